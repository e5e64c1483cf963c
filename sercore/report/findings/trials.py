"""What the page of the model that comes along says about it."""

from __future__ import annotations

from typing import Any

import pandas as pd

from ...evidence.results import UNDISTURBED
from ..names import name as named
from ..tables.trials import trials_disturbed
from ..tables.words import IN_COMBINATIONS, corpus_title, title
from .words import in_words, inside, listed, listed_names

HARM = 0.25
"""Share of labels that a disturbance may change before the page warns of it."""

SAFE = 0.6
"""Where networks that agree are right less often, the page says that agreement is not safe."""


def model_sentence(about: dict[str, Any]) -> str:
    """What a model is, and how well its networks did on speakers that they had not heard (`models.Trained.about`)."""
    corpus, _, system = about.get("trained_as", "").partition("/")
    if not corpus:
        return f"It is `{named(about['name'])}`, of whose training no record came with it."
    members, found = len(about["members"]), about["estimate"]
    trained = f"the system *{named(title(system))}*, trained on {named(corpus_title(corpus))}"
    what = (
        f"It is {in_words(members)} networks with {trained}, each on other speakers; their probabilities are averaged. "
        if members > 1
        else f"It is one network with {trained}. "
    )
    if found is None:
        return what
    low, high = min(found["ua_of_folds"]), max(found["ua_of_folds"])
    folds = f", {100 * low:.0f} to {100 * high:.0f} from fold to fold" if members > 1 else ""
    return (
        f"{what}Of speakers that it had not heard, one such network labels **{100 * found['ua']:.0f} %** right{folds}; guessing "
        f"would be right in {100 / len(about['classes']):.0f} %. (UA over {found['speakers']} speakers.)"
    )


def calibration_sentence(about: dict[str, Any]) -> str:
    """How far its probabilities can be taken at their word."""
    found = about["estimate"]
    if found is None or not all("temperature" in member for member in about["members"]):
        return "Its probabilities have not been calibrated."
    after, before = f"{100 * found['ece_calibrated']:.0f}", f"{100 * found['ece']:.0f}"
    off = f"{after} points on average, " + ("with that as without" if after == before else f"without that by {before}")
    return (
        "Its probabilities were calibrated by one temperature a network, on the speakers that chose its epoch. On speakers that "
        f"it had not heard they are off by {off}."
    )


def elsewhere_sentence(trials: pd.DataFrame | None, model: str) -> str:
    """How well a model does on corpora that it was not trained on."""
    tried = None if trials is None else trials[(trials["model"] == model) & (trials["disturbance"] == UNDISTURBED)]
    if tried is None or tried.empty:
        return "*It has not been tried on another corpus yet: `python -m sercore.inference.trials`.*"
    own, cut = tried[~tried["trimmed"]], tried[tried["trimmed"]]
    if own.empty:
        return f"*{named(model)} has been tried on other corpora with the silence around recordings cut off alone.*"
    parts = [f"{100 * row['ua']:.0f} % of {named(corpus_title(row['corpus']))}" for _, row in own.sort_values("ua").iterrows()]
    chance = 1 / sum(str(column).startswith("said_") for column in own) if any("said_" in str(column) for column in own) else 0
    guessing = ": little more than guessing would" if own["ua"].max() < chance + 0.05 else ""
    trimmed = listed(
        [f"{100 * row['ua']:.0f} % of {named(corpus_title(row['corpus']))}" for _, row in cut.sort_values("ua").iterrows()]
    )
    trimmed = f" With the silence around the speech cut off, as this page does, it is {trimmed}." if trimmed else ""
    told = own.dropna(subset=["wa_united", "wa_apart"])
    more = len(told) == len(own) and (told["wa_united"] > told["wa_apart"] + 0.05).all()
    heard = cut if len(cut) else own
    agree = " Where its networks agree it is right more often, as the table shows." if more else ""
    if more and heard["wa_united"].min() < SAFE:
        worst = heard.loc[heard["wa_united"].idxmin()]
        right = f"{100 * worst['wa_united']:.0f} % of {named(corpus_title(worst['corpus']))}'s recordings on which all agree"
        agree = f" That its networks agree makes a label likelier, and not safe: they are right in {right}."
    return (
        f"**Of recordings from corpora that it has never heard it labels {listed(parts)} right{guessing}** (UA).{trimmed}{agree}"
    )


def harm_sentence(trials: pd.DataFrame, model: str, corpus: str) -> str:
    """What changes its labels, and what does not."""
    own = trials[(trials["model"] == model) & (trials["corpus"] == corpus) & (trials["disturbance"] != UNDISTURBED)]
    own = own[own["trimmed"]]
    if own.empty:
        return ""
    bad = own[own["changed"] >= HARM].sort_values("changed", ascending=False)
    gains = own[own["disturbance"].str.startswith("gain")]
    most = 100 * gains["changed"].max() if len(gains) else 0
    tried = sorted(int(name.split()[1]) for name in gains["disturbance"])
    ends = [f"{abs(end)} dB {'softer' if end < 0 else 'louder'}" for end in tried if end in (tried[0], tried[-1])]
    few = f"{listed(ends)}, at most {most:.0f} % of the labels change. " if len(ends) < 2 else ""
    few = few or f"From {ends[0]} to {ends[1]}, at most {most:.0f} % of the labels change. "
    loud = "" if gains.empty else few if most < 10 else f"**Loudness alone changes up to {most:.0f} % of the labels.** "
    if bad.empty:
        return f"{loud}Nothing that was tried changes more than a quarter of them."
    return f"{loud}These change more than a quarter of them: {listed_names(bad['disturbance'])}."


def systems_disturbed_sentence(trials: pd.DataFrame, corpus: str) -> str:
    """Whether it matters which system hears disturbed recordings; nothing where one alone did."""
    own = trials_disturbed(trials, corpus)
    own = own[~own["disturbance"].str.startswith(UNDISTURBED)]  # nor what is not a disturbance of the recording
    if own["model"].nunique() < 2:
        return ""
    means = own.groupby("model").agg(system=("system", "first"), changed=("changed", "mean"), ua=("ua", "mean"))
    least, most = (means.loc[found(means["changed"])] for found in (pd.Series.idxmin, pd.Series.idxmax))
    little = 100 * (most["changed"] - least["changed"]) < 5

    def called(slug: str) -> str:
        return "the baseline" if slug == "baseline" else IN_COMBINATIONS.get(slug) or named(inside(title(slug)))

    matters = "Which system it is matters little" if little else "Systems differ in what they bear"
    ends = 100 * own.groupby("disturbance")["ua"].agg(["min", "max"])
    widest = ends.loc[(ends["max"] - ends["min"]).idxmax()]
    apart = f" They lie furthest apart under *{widest.name}*, where {widest['min']:.0f} to {widest['max']:.0f} % are."
    changed = [f"{100 * one['changed']:.0f} % of the labels change with {called(one['system'])}" for one in (least, most)]
    return (
        f"**{matters}:** averaged over all that was tried, {changed[0]} and {changed[1].replace(' of the labels change', '')}; "
        f"{100 * means['ua'].min():.0f} to {100 * means['ua'].max():.0f} % are right (UA).{apart} All were trained alike, once a "
        "fold; what another seed would change was not measured."
    )
