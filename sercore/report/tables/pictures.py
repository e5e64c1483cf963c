"""What a way of taking log-Mel energies costs: the same utterances from recordings, from recordings cut short, and through
pictures (`sercore.lab.study.WAY`)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from ... import places
from ...evidence import results, statistics
from ...lab import study
from .measured import tallied
from .words import ENDS, corpus_title, with_interval

WHOLE, SHORT, PICTURES = "recordings", "recordings, cut at 3 s", "through pictures, cut at 3 s"


@results.once
def way(folder: str | Path | None = None) -> pd.DataFrame:
    """One row a corpus and way: UA of the baseline, how far it `moved` from that of the cut recordings, and the `gain` of AMS, in
    points, each with its interval over speakers and seeds (NaN with one seed). Empty before it has been measured."""
    main = places.results_folder(folder)
    beside = main / study.WAY
    rows = []
    for corpus in sorted({line.corpus for line in study.LINES if line.folder == study.WAY and "-" not in line.corpus}):
        taken = {
            WHOLE: (corpus, study.COMPARED, main),
            SHORT: (corpus, study.CUT, beside),
            PICTURES: (f"{corpus}-spectra", study.COMPARED, beside),
        }
        there = {}
        for how, (name, slugs, where) in taken.items():
            if (name, "speaker") in results.published(where):
                found = tallied(name, "speaker", slugs, where)
                if slugs[0] in found:
                    there[how] = [found[slug] for slug in slugs if slug in found]
        if set(there) <= {WHOLE}:
            continue
        for how, tallies in there.items():
            ua = statistics.over_seeds(tallies[0], "ua", tallies)
            moved = gained = None
            if how != SHORT and SHORT in there and statistics.common_seeds(tallies[0], there[SHORT][0]):
                moved = statistics.paired_over_seeds(tallies[0], there[SHORT][0], "ua", [*tallies, *there[SHORT]])
            if len(tallies) > 1 and statistics.common_seeds(*tallies):
                gained = statistics.paired_over_seeds(tallies[1], tallies[0], "ua")
            row: dict[str, object] = {"corpus": corpus, "how": how, "seeds": len(tallies[0].seeds)}
            for column, found_ in (("ua", ua), ("moved", moved), ("gain", gained)):
                values = (np.nan,) * 3 if found_ is None else (100 * found_.estimate, 100 * found_.low, 100 * found_.high)
                row |= dict(zip((f"{column}{end}" for end in ENDS), values, strict=True))
            rows.append(row)
    columns = ["corpus", "how", "seeds", *(f"{column}{end}" for column in ("ua", "moved", "gain") for end in ENDS)]
    return pd.DataFrame(rows, columns=columns)


def way_runs(folder: str | Path | None = None) -> pd.DataFrame:
    """The runs that `way` rests on beside those of the tables."""
    return results.runs(places.results_folder(folder) / study.WAY)


def shown_way(table: pd.DataFrame) -> pd.DataFrame:
    """`way` as a page shows it."""
    records = table.to_dict("records")
    return pd.DataFrame(
        {
            "Corpus": table["corpus"].map(corpus_title),
            "Energies from": table["how"],
            "UA of the baseline": [with_interval(row, "ua") for row in records],
            "Less the cut recordings, same seeds": [with_interval(row, "moved", sign=True) for row in records],
            "Gain of AMS": [with_interval(row, "gain", sign=True) for row in records],
            "Seeds": table["seeds"],
        }
    )
