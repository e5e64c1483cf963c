"""Small words of tables and sentences: what systems, corpora and places are called, numbers with their intervals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ...lab import systems

TITLES = {
    "lstm": "LSTM",
    "lstm-att": "LSTM with attention",
    "rnn-att": "RNN with local attention (Mirsamadi et al. 2017)",
    "cnn-blstm": "CNN + BLSTM (Satt et al. 2017)",
    "tdnn-lstm": "TDNN + LSTM (Sarma et al. 2018)",
    "resnet-mha": "Dilated ResNet + multi-head attention (Li et al. 2019)",
    "3d-crnn": "3-D CRNN with attention (Chen et al. 2018)",
    "baseline": "Baseline (softmax, attentive pooling)",
    "combined": "Combined attentive pooling",
    "chance": "Chance",
    "majority": "Always the most frequent class",
    "bands": "Logistic regression on the bands' means and deviations",
    "speakers": "Logistic regression, standardised within each speaker",
    "egemaps": "Support vector machine on eGeMAPS",
}


IN_COMBINATIONS = {slug: systems.FAMILIES[systems.family(slug)] for slug in systems.CLAIMS[1:]}
"""What the schemes are called where several meet, each in the setting that the paper names best."""


ENDS = ("", "_low", "_high")


def title(slug: str) -> str:
    """A system's name as a reader meets it: `ams-s10-m0.4` -> `AMS, s = 10, m = 0.4`; `ams-s10-m0.4+combined` -> `AMS +
    combined pooling`."""
    if slug in TITLES:
        return TITLES[slug]
    if systems.is_own(slug):
        return systems.OWN[slug][0] if slug in systems.OWN else slug
    name, _, settings = slug.partition("@")
    if "+" in name:
        text = " + ".join(IN_COMBINATIONS.get(part) or _scheme(part) for part in name.split("+"))
        text = text[0].upper() + text[1:]
    else:
        text = _scheme(name)
    return text + (f" ({settings})" if settings else "")


def _scheme(slug: str) -> str:
    if slug in systems.TABLE_1:  # one that came after the paper's seven
        return slug
    family, *values = slug.split("-")
    symbols = {"s": "s", "m": "m", "g": "γ", "a": "α"}
    if family not in systems.FAMILIES or not all(value[:1] in symbols for value in values):
        return slug
    name, numbers = systems.FAMILIES[family], ", ".join(f"{symbols[value[0]]} = {value[1:]}" for value in values)
    return f"{name[0].upper()}{name[1:]}, {numbers}" if values else TITLES[slug]


def with_interval(row: pd.Series | dict, measure: str, sign: bool = False) -> str | None:
    """`71.2 [66.0, 75.8]` from `<measure>`, `<measure>_low` and `<measure>_high`; None where it was not measured."""
    value, low, high = (row.get(f"{measure}{end}", np.nan) for end in ENDS)
    return None if np.isnan(value) else interval_text(value, low, high, sign)


def wide_gain(row: pd.Series | dict) -> str | None:
    """A gain of `systems_table` with the interval that the verdicts rest on, over speakers and seeds; None without a gain."""
    gain, low, high = (row.get(name, np.nan) for name in ("gain", "wide_low", "wide_high"))
    return None if np.isnan(gain) else interval_text(gain, low, high, sign=True)


def interval_text(value: float, low: float, high: float, sign: bool = False) -> str:
    """`71.2 [66.0, 75.8]`, without brackets where there is no interval."""
    plus = "+" if sign else ""
    value, low, high = (round(number, 1) + 0.0 for number in (value, low, high))  # no minus before 0.0
    text = f"{value:{plus}.1f}" if np.isnan(low) else f"{value:{plus}.1f} [{low:{plus}.1f}, {high:{plus}.1f}]"
    return text.replace("-", "\u2212")


def p_text(p: float) -> str:
    """`p = 0.021`, `p < 0.001`."""
    return "p < 0.001" if p < 0.0005 else f"p = {p:.3f}"


def seeds_text(seeds: Sequence[int]) -> str:
    """`seed 0`, `seeds 0, 1`."""
    return f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"


def corpus_title(name: str) -> str:
    """The short name of a corpus in headings; that of synthetic speech says so."""
    from ... import corpora

    if name not in corpora.names():
        return name
    corpus = corpora.get(name)
    return corpus.heading or corpus.title


SPLITS = {"speaker": "speakers apart", "paper": "random split", "leaky": "leaky split"}
"""What the protocols are to a reader, who takes *paper* for the paper's own numbers."""


def protocol_title(protocol: str) -> str:
    """`speakers apart`."""
    return SPLITS.get(protocol, protocol)


def place_title(corpus: str, protocol: str) -> str:
    """`EmoDB, speakers apart`."""
    return f"{corpus_title(corpus)}, {protocol_title(protocol)}"


def of_protocol(places: pd.Series, protocol: str) -> pd.Series:
    """Which of these titles of places are those of a protocol."""
    return places.astype(str).str.endswith(f", {protocol_title(protocol)}")
