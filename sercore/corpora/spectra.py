"""Corpora that are here as spectra alone: log-Mel energies in a bundle, and no audio.

Who may not hand on recordings can often hand on these (`sercore bundle` writes them from a corpus of your own); what was said
and who said it can still be made out in part, so they are not anonymous. Those below were recovered from pictures of Mel
spectrograms that somebody published: CREMA-D's, whose audio is open but was not at hand, and those of two corpora whose audio
was, taken the same way to measure what the way costs. The page `data` tells both.
"""

from typing import Any

from . import register
from .base import Corpus
from .bundled import no_audio

RECOVERED = "spectra recovered from published pictures, clips of at most 3 s"
TAKEN = "spectra taken through pictures, the first 3 s"

ALIKE: dict[str, Any] = {
    "kind": "acted",
    "adapter": no_audio,
    "clip_seconds": 3.0,
    "spectra": True,
    "obtain": "It is no part of this project.",
}

register(
    Corpus(
        name="cremad-spectra",
        title=f"CREMA-D ({RECOVERED})",
        heading="CREMA-D's spectra",
        language="English",
        licence="Open Database License 1.0",
        citation="cao2014cremad",
        url="https://github.com/CheyneyComputerScience/CREMA-D",
        counts=(1027, 1175, 1035, 985),
        shareable=True,
        **ALIKE,
    )
)
register(
    Corpus(
        name="emodb-spectra",
        title=f"EmoDB ({TAKEN})",
        heading="EmoDB's spectra",
        language="German",
        licence="freely available, usually given as CC0",
        citation="burkhardt2005emodb",
        url="http://emodb.bilderbar.info",
        counts=(127, 71, 62, 79),
        shareable=True,
        max_epochs=200,  # as EmoDB itself
        patience=100,
        **ALIKE,
    )
)
register(
    Corpus(
        name="ravdess-spectra",
        title=f"RAVDESS ({TAKEN})",
        heading="RAVDESS's spectra",
        language="English",
        licence="CC BY-NC-SA 4.0",
        citation="livingstone2018ravdess",
        url="https://zenodo.org/records/1188976",
        counts=(192, 192, 192, 96),
        max_epochs=139,  # as RAVDESS itself
        patience=139,
        **ALIKE,
    )
)
