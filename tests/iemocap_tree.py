"""A generated folder in the layout of the IEMOCAP release: its numbers of utterances, its traps, tiny recordings."""

import random

from recordings import tone, write

LABELS = {"ang": 1103, "hap": 595, "exc": 1041, "sad": 1084, "neu": 1708}
OTHERS = {"fru": 1849, "xxx": 2507, "sur": 107, "fea": 40, "oth": 3, "dis": 2}
DIALOGUES = ("impro01", "impro02", "impro05a", "script01_1", "script01_1b", "script02_2")


def build(root, labels=LABELS, others=OTHERS):
    """Write the tree; every utterance of the four classes has its recording."""
    emotions = [label for counts in (labels, others) for label, count in counts.items() for _ in range(count)]
    random.Random(0).shuffle(emotions)
    dialogues = [f"Ses0{s}{sex}_{task}" for s in range(1, 6) for sex in "FM" for task in DIALOGUES]
    sound = write(root / "one.wav", tone(0.01)).read_bytes()
    (root / "one.wav").unlink()
    for number, dialogue in enumerate(dialogues):
        session = root / f"Session{dialogue[4]}"
        evaluation = session / "dialog" / "EmoEvaluation"
        sounds = session / "sentences" / "wav" / dialogue
        for folder in (evaluation / "Categorical", sounds):
            folder.mkdir(parents=True, exist_ok=True)
        lines = ["% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]", ""]
        for turn, emotion in enumerate(emotions[number :: len(dialogues)]):
            name = f"{dialogue}_{'FM'[turn % 2]}{turn:03d}"
            lines += [f"[{turn}.2901 - {turn}.9357]\t{name}\t{emotion}\t[2.5000, 2.5000, 2.5000]"]
            lines += ["C-E2:\tNeutral;\t()", "A-E3:\tval 3; act 2; dom  2;\t()", ""]
            if emotion in labels:
                (sounds / f"{name}.wav").write_bytes(sound)
        (evaluation / f"{dialogue}.txt").write_text("\n".join(lines))
        (evaluation / f"._{dialogue}.txt").write_bytes(b"\x00\x05\x16\x07[0.0 - 1.0]\tSes01F_impro01_F000\tang\t[1]\n")
        (evaluation / "Categorical" / f"{dialogue}_e2_cat.txt").write_text("Ses01F_impro01_F000 :Anger; ()\n")
        (sounds / f"._{dialogue}_F000.wav").write_bytes(b"\x00\x05\x16\x07")
    return root
