"""Low-level descriptors (LLDs) of the voice, by openSMILE: what was in a recogniser before networks heard spectra.

They are the sixteen of the Interspeech 2009 Emotion Challenge (Schuller, Steidl & Batliner 2009) that Mirsamadi, Barsoum & Zhang
(2017) name, each with its delta: pitch, probability of voicing, energy, zero crossings and twelve cepstral coefficients. They are
taken from openSMILE's ComParE 2016 set, the one in its Python package that has all of them; eGeMAPS has four coefficients alone.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np

from ..errors import SercoreError
from .audio import SAMPLE_RATE
from .deltas import delta
from .log_mel import HOP, checked, num_frames

if TYPE_CHECKING:
    import opensmile

NAMES = (
    *("F0final_sma", "voicingFinalUnclipped_sma", "pcm_RMSenergy_sma", "pcm_zcr_sma"),
    *(f"mfcc_sma[{number}]" for number in range(1, 13)),
)
"""Of the ComParE 2016 set, as openSMILE calls them."""

WINDOW = 960  # samples, 60 ms: the longest that one of them looks at
EDGE = HOP
"""Zeros before a waveform's first sample. openSMILE's windows of 20 and of 60 ms begin together: with a frame of silence
before them the middles of the short ones lie within half a frame of those of `log_mel`, and those of the long ones within two."""


def descriptors(waveform: np.ndarray) -> np.ndarray:
    """The `NAMES` of a waveform (samples,) at 16 kHz, and their deltas: (frames, 32) float32, with as many frames as `log_mel`.

    Raises `SercoreError` where openSMILE is not installed.
    """
    frames = num_frames(checked(waveform).size)
    padded = np.zeros(WINDOW + max(frames, 8) * HOP, dtype=np.float32)
    body = waveform[: padded.size - EDGE]
    padded[EDGE : EDGE + body.size] = body
    table = _smile().process_signal(padded, SAMPLE_RATE)
    own = table[list(NAMES)].to_numpy(np.float32)[:frames]
    return np.concatenate([own, delta(own)], axis=1)


@functools.cache
def _smile() -> opensmile.Smile:
    try:
        import opensmile
    except ImportError:
        raise SercoreError("low-level descriptors need openSMILE: pip install opensmile") from None
    return opensmile.Smile(opensmile.FeatureSet.ComParE_2016, opensmile.FeatureLevel.LowLevelDescriptors)
