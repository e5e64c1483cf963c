"""Table 1: the earlier systems that the paper sets its baseline beside, as it reports them and as they are measured here."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from ...evidence import paper, results, statistics
from ...lab import systems
from .accuracy import references
from .measured import measured_earlier, measured_systems, tallied, trained_alike
from .words import TITLES, title, with_interval

ORDER = (*systems.TABLE_1, *systems.CLAIMS)

ATTRIBUTION = {
    "lstm": "unknown",
    "lstm-att": "unknown",
    "rnn-att": "likely, by its name",
    "cnn-blstm": "sure: the number is theirs",
    "tdnn-lstm": "sure: the paper describes it",
    "resnet-mha": "sure: the paper describes it",
    "3d-crnn": "sure: the paper describes it",
}
"""How sure it is that a row of Table 1 is the work that we take it for: the paper's reference list did not reach us."""


def reported() -> pd.Series:
    """slug -> UA in percent on IEMOCAP, as the paper's tables have it."""
    first = paper.table_1().query("group == 'prior'")["ua"]
    second = paper.table_2().set_index("slug")["ua"]
    return pd.concat([pd.Series(first.to_numpy(), index=list(paper.SOURCES)), second])


def sources() -> pd.DataFrame:
    """One row an earlier system: `slug`, `source` and `notes` (what is known of it and what was guessed), from its own file."""
    from ...network.prior import PRIOR

    rows = []
    for slug, network in PRIOR.items():
        source, _, notes = inspect.getdoc(sys.modules[network.__module__]).partition("\n\n")  # type: ignore[union-attr]
        source = source.partition(": ")[2].partition('": ')[2] or source.partition('": ')[2]
        rows.append({"slug": slug, "source": " ".join(source.split()), "notes": " ".join(notes.split())})
    return pd.DataFrame(rows)


def costs(folder: str | Path | None = None) -> pd.DataFrame:
    """What every system costs (`sercore.lab.costs`), by slug; an empty frame where it has not been measured."""
    columns = ["parameters", "multiply_adds", "training_ms", "labelling_ms"]
    table = results.costs(folder)
    return pd.DataFrame(columns=columns) if table is None else table.set_index("system")


def with_costs(folder: str | Path | None = None) -> pd.DataFrame:
    """One row a system of Table 1 and of the claims: reported UA and its costs, as the page shows it."""
    spent, said = costs(folder), reported()
    rows = []
    for slug in ORDER:
        own = spent.loc[slug] if slug in spent.index else pd.Series(dtype=object)
        rows.append(
            {
                "System": title(slug),
                "Reported UA": said.get(slug, np.nan),
                "Whose it is": ATTRIBUTION.get(slug, "not in the paper" if slug in systems.TABLE_1 else "the paper's own"),
                "Parameters": own.get("parameters", np.nan),
                "Million multiply-adds": own.get("multiply_adds", np.nan) / 1e6,
                "Training, ms": own.get("training_ms", np.nan),
                "Labelling, ms": own.get("labelling_ms", np.nan),
            }
        )
    return pd.DataFrame(rows)


def on_equal_terms(corpus: str, protocol: str, folder: str | Path | None = None) -> pd.DataFrame:
    """One row a system of Table 1 and of the claims that was measured: `slug`, `reported`, `seeds`, UA and WA, and by how much
    the baseline's UA lies above it (`over`), each with `_low` and `_high` over speakers and seeds, in percent and points."""
    there = [*measured_earlier(corpus, protocol, folder), *measured_systems(corpus, protocol, folder)]
    tallies = tallied(corpus, protocol, [slug for slug in ORDER if slug in there], folder)
    said, rows = reported(), []
    ours = list(trained_alike(corpus, protocol, folder).values())
    earlier = [tallies[slug] for slug in ("baseline", *systems.TABLE_1) if slug in tallies]
    for slug, tally in tallies.items():
        row: dict[str, object] = {"slug": slug, "reported": said.get(slug, np.nan), "seeds": len(tally.seeds)}
        beside = earlier if slug in systems.TABLE_1 else ours  # what is trained alike, as the verdicts have it
        found = {measure: statistics.over_seeds(tally, measure, beside).percent() for measure in ("ua", "wa")}
        if slug != "baseline" and "baseline" in tallies and statistics.common_seeds(tally, tallies["baseline"]):
            found["over"] = statistics.paired_over_seeds(tallies["baseline"], tally, "ua", beside).percent()
        for name, interval in found.items():
            row |= {name: interval.estimate, f"{name}_low": interval.low, f"{name}_high": interval.high}
        rows.append(row)
    columns = ["slug", "reported", "seeds", *(f"{name}{end}" for name in ("ua", "wa", "over") for end in ("", "_low", "_high"))]
    return pd.DataFrame(rows, columns=columns)


def table_1(corpus: str, protocol: str, folder: str | Path | None = None) -> pd.DataFrame:
    """Table 1 at one place as the page shows it: reported and measured UA, WA, by how much the baseline lies above, and below
    these what a network has to beat. A system that was not measured here stands with empty cells, one that cannot be says so;
    where none of the earlier ones was, they are left out."""
    from ... import corpora

    found = on_equal_terms(corpus, protocol, folder).set_index("slug")
    spectra = corpus in corpora.names() and corpora.get(corpus).spectra
    rows, some = [], bool(set(systems.TABLE_1) & set(found.index))
    for slug in [slug for slug in ORDER if some or slug not in systems.TABLE_1]:
        own = found.loc[slug] if slug in found.index else pd.Series(dtype=object)
        deaf = not systems.measurable(slug, spectra)
        rows.append(
            {
                "System": title(slug),
                "Reported on IEMOCAP": reported().get(slug, np.nan),
                "UA": "needs the audio" if deaf else with_interval(own, "ua"),
                "WA": with_interval(own, "wa"),
                "Baseline's gain over it": with_interval(own, "over", sign=True),
                "Seeds": own.get("seeds", np.nan),
            }
        )
    for reference in references(corpus, protocol, folder).to_dict("records"):
        rows.append({"System": TITLES[reference["slug"]], "UA": with_interval(reference, "ua"), "WA": f"{reference['wa']:.1f}"})
    return pd.DataFrame(rows)
