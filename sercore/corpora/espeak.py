"""Speaks sentences by espeak-ng and writes them as FLAC files, as a program of its own.

espeak-ng keeps its state in global variables, and what it says depends a little on what it said before; so
`demo` starts this file afresh for each speaker, and its own process stays clean. Reads one JSON object from
standard input.
"""

import ctypes
import json
import os
import sys
from typing import Any

SYNCHRONOUS, DONT_EXIT, UTF8 = 2, 0x8000, 1
RATE, PITCH, RANGE = 1, 3, 4  # espeak-ng's numbers of its parameters


def speak(voice: str, utterances: list[dict[str, Any]], rate: int, seed: int) -> None:
    """Write English `utterances` (path, text, pitch, range, rate, level and noise in dB) at `rate` Hz."""
    import espeakng_loader
    import numpy as np
    import soundfile
    import soxr

    library = ctypes.CDLL(espeakng_loader.get_library_path())
    callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)
    pieces: list[Any] = []

    @callback
    def keep(samples: Any, count: int, _events: Any) -> int:
        if samples and count:
            pieces.append(np.ctypeslib.as_array(samples, (count,)).copy())
        return 0

    spoken_rate = library.espeak_Initialize(SYNCHRONOUS, 0, espeakng_loader.get_data_path().encode(), DONT_EXIT)
    if spoken_rate <= 0:
        sys.exit("espeak-ng found no voice data")
    library.espeak_SetSynthCallback(keep)
    # espeak-ng itself would speak on in its standard voice
    known = os.path.isfile(os.path.join(espeakng_loader.get_data_path(), "voices", "!v", voice))
    if not known or library.espeak_SetVoiceByName(f"en+{voice}".encode()):
        sys.exit(f"espeak-ng has no voice {voice!r}")
    random = np.random.default_rng(seed)
    for utterance in utterances:
        pieces.clear()
        for parameter, name in ((RATE, "rate"), (PITCH, "pitch"), (RANGE, "range")):
            library.espeak_SetParameter(parameter, utterance[name], 0)
        text = utterance["text"].encode() + b"\0"
        if library.espeak_Synth(text, ctypes.c_size_t(len(text)), 0, 0, 0, UTF8, None, None) or not pieces:
            sys.exit(f"espeak-ng could not say {utterance['text']!r}")
        speech = soxr.resample(np.concatenate(pieces) / 32768, spoken_rate, rate, quality="VHQ")
        speech *= 10 ** (utterance["level"] / 20) / np.sqrt(np.mean(speech**2))
        speech += random.normal(0, 10 ** (utterance["noise"] / 20), len(speech))
        soundfile.write(utterance["path"], np.clip(speech, -1, 1), rate, subtype="PCM_16")


if __name__ == "__main__":
    speak(**json.load(sys.stdin))
