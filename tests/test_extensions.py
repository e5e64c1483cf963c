"""Files of the user's own, in a process of their own: what is imported stays imported."""

import os

import fresh_process
import pytest

LOSS = """
import torch.nn.functional as F
from sercore.network.losses import LOSSES, Softmax

class Smoothed(Softmax):
    def forward(self, features, labels):
        return F.cross_entropy(self.scores(features), labels, label_smoothing=0.1)

LOSSES["smoothed"] = Smoothed
"""

CORPUS = """
from sercore.corpora import register
from sercore.corpora.base import Corpus, table

register(Corpus("mine", "Mine", "English", "acted", "ours", "", "", adapter=lambda root: table([])))
"""


@pytest.fixture
def call(tones, tmp_path):
    def run(*arguments, **variables):
        done = fresh_process.run("-m", "sercore", *arguments, cwd=tmp_path, **variables)
        return done.returncode, done.stdout + done.stderr

    return run


def test_a_loss_of_ones_own_trains_and_an_edited_one_does_not_pass_for_it(call, tones, tmp_path):
    mine, quick = tmp_path / "mine.py", ("--set", "max_epochs=1", "--set", "clip_seconds=0.35", "--runs", tmp_path / "runs")
    train = ("run", tones, "speaker", "baseline@loss=smoothed", *quick)
    mine.write_text(LOSS.replace("0.1", "SMOOTHING") + "\nSMOOTHING = 0.1\n")
    code, said = call(*train, SERCORE_EXTENSIONS=str(mine))
    assert code == 0 and "UA" in said, said
    code, said = call(*train, SERCORE_EXTENSIONS=str(mine))
    assert code == 0 and "it was there already" in said, said
    mine.write_text(mine.read_text().replace("0.1", "0.9"))  # not in its class: a loss is known by its whole file
    code, said = call(*train, SERCORE_EXTENSIONS=str(mine))
    assert code == 2 and "the code of its loss has changed" in said, said
    label = ("predict", next(tones.parent.glob("*.wav")), "--model", next((tmp_path / "runs").glob("*fold0")))
    code, said = call(*label, SERCORE_EXTENSIONS=str(mine))
    assert code == 2 and "the code of its loss has changed since it was trained" in said, said
    for arguments in (train, label):
        code, said = call(*arguments)
        assert code == 2 and "unknown loss 'smoothed'" in said and "SERCORE_EXTENSIONS" in said, said


def test_a_name_of_the_package_is_not_replaced(call, tmp_path):
    (tmp_path / "mine.py").write_text(LOSS.replace('LOSSES["smoothed"]', 'LOSSES["softmax"]'))
    code, said = call("systems", SERCORE_EXTENSIONS="mine.py")
    assert code == 2 and "mine.py replaces the loss 'softmax': take a new name" in said, said


def test_a_corpus_of_ones_own_is_listed_and_a_bad_file_is_named(call, tmp_path):
    (tmp_path / "corpus.py").write_text(CORPUS)
    code, said = call("corpora", SERCORE_EXTENSIONS="corpus.py")
    assert code == 0 and "mine" in said, said
    (tmp_path / "bad.py").write_text("1 / 0")
    code, said = call("corpora", SERCORE_EXTENSIONS=os.pathsep.join(["corpus.py", "bad.py"]))
    assert code == 2 and "bad.py fails (ZeroDivisionError" in said, said
    code, said = call("check", "emodb", SERCORE_EXTENSIONS="absent.py")
    assert code == 2 and "absent.py is not there" in said, said
