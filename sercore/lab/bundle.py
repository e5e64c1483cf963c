"""A corpus as one file: its table of utterances and its log-Mel energies, to train where there is no audio.

    sercore bundle emodb                                                      # here: writes emodb.bundle
    python -m sercore.lab emodb.bundle --systems table2 --runs runs        # there: as `sercore sweep`
    sercore publish --runs runs                                               # here again, with the runs brought back

There it takes torch, numpy, pandas, pyarrow and scikit-learn alone. Energies are kept as multiples of 1/64 (0.07 dB),
which float16 holds exactly, or of the finest coarser step with which the file stays under `LIMIT`; each record says so.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .. import machine
from ..config import assignments
from ..corpora import bundled
from ..corpora.bundled import ENTRY, SUFFIX, is_bundle
from ..errors import SercoreError
from ..frontend.front_ends import FRONT_ENDS
from ..frontend.inputs import extract

if TYPE_CHECKING:
    from . import experiment

LIMIT = 60 * 2**20
STEPS = (1 / 64, 1 / 32, 1 / 16, 1 / 8)


FINE = 32
"""Steps to a standard deviation, of the frames of other front ends."""


def write(
    corpus: str,
    path: Path | None = None,
    data_root: str | None = None,
    progress: bool = False,
    front_ends: Sequence[str] = (),
) -> Path:
    """Write the bundle of a corpus (a name, or a path of your own) and return its path, by default NAME.bundle here.

    `front_ends` (of `sercore.frontend.front_ends`) are those whose frames it has beside the log-Mel energies, for the earlier
    systems that hear them, in steps of `1 / FINE` of each band's standard deviation.
    """
    from . import experiment

    prepared = experiment.prepare(corpus, data_root, progress)
    entry, table = prepared.corpus, prepared.utterances
    unknown = [name for name in front_ends if name not in FRONT_ENDS or FRONT_ENDS[name].of_log_mel is not None]
    if unknown:
        others = [name for name, own in FRONT_ENDS.items() if own.of_log_mel is None]
        raise SercoreError(f"front ends {', '.join(unknown)}: a bundle can have {', '.join(others)} beside the log-Mel energies")
    beside, scales = _coded_beside(prepared, front_ends, progress)
    path = path or Path(f"{entry.name}{SUFFIX}")
    if path.suffix != SUFFIX:
        raise SercoreError(f"{path}: the name of a bundle ends in {SUFFIX}")
    about = {name: getattr(entry, name) for name in ENTRY} | {
        "clip_seconds": experiment.configure(prepared, "baseline").clip_seconds,
        "source": prepared.source,
        "digest": prepared.data.inputs.digest,
        "table": table.drop(columns="path").to_dict("list"),
        "scales": scales,
    }
    partial = path.with_name(f"{path.name}.partial")
    for step in STEPS:
        coded = [bundled.encode(mels, step) for mels in prepared.data.inputs.arrays]
        with partial.open("wb") as file:
            np.savez_compressed(
                file,
                about=np.frombuffer(json.dumps(about | {"step": step}).encode(), np.uint8),
                lengths=prepared.data.inputs.lengths,
                low=np.concatenate([code.astype(np.uint8) for code in coded]),
                high=np.concatenate([(code >> 8).astype(np.uint8) for code in coded]),
                **beside,  # type: ignore[arg-type]
            )
        if partial.stat().st_size < LIMIT:
            break
    else:
        partial.unlink()
        few = ": write a bundle for each of the front ends" if len(front_ends) > 1 else ""
        raise SercoreError(f"{entry.title} does not fit into {LIMIT >> 20} MiB even in steps of {STEPS[-1]}{few}")
    os.replace(partial, path)
    return path


def _coded_beside(
    prepared: experiment.Prepared, front_ends: Sequence[str], progress: bool
) -> tuple[dict[str, np.ndarray], dict[str, list[float]]]:
    """Codes of the frames of other front ends, and the size of their steps, band by band."""
    arrays: dict[str, np.ndarray] = {}
    scales: dict[str, list[float]] = {}
    for name in front_ends:
        heard = extract(prepared.utterances, progress=progress, front_end=name)
        _, deviation = heard.normalisation(range(len(heard)), int(heard.lengths.max()))
        scale = deviation.numpy() / FINE
        scales[name] = scale.tolist()
        coded = np.concatenate([bundled.encode(frames / scale, 1.0) for frames in heard.arrays])
        arrays |= {f"{name}-low": coded.astype(np.uint8), f"{name}-high": (coded >> 8).astype(np.uint8)}
    return arrays, scales


def main(arguments: list[str] | None = None) -> int:
    """Train from a bundle: what of a grid is missing under --runs. It can be killed and started again."""
    options = machine.Options("python -m sercore.lab", description=main.__doc__)
    options.add_argument("bundle", help=f"a file of `sercore bundle`; its name ends in {SUFFIX}")
    options.add_argument("--systems", default="claims", help="slugs with commas; table1, table2, claims [claims]")
    options.add_argument("--protocols", default="speaker", help="paper, speaker, leaky, with commas [speaker]")
    options.add_argument("--seeds", default="0", help="as in 0-4 or 0,2 [0]")
    options.add_argument("--folds", default="0-4")
    options.add_argument("--runs", default="runs", help="folder of the records [runs]")
    options.add_argument("--jobs", type=int, default=1, help="runs at once [1]")
    options.add_argument("--device", default="auto", help="auto, cpu or cuda")
    options.add_argument("--precision", default="bfloat16", help="float32 or bfloat16 [bfloat16]")
    options.add_argument("--set", action="append", default=[], metavar="SETTING=VALUE")
    chosen = options.parse_args(arguments)
    from . import sweep

    def told(name: sweep.RunName, done: int, total: int) -> None:
        print(machine.printable(f"{done} of {total}: {name}"), flush=True)

    def work() -> dict[sweep.RunName, str]:
        if not is_bundle(chosen.bundle):
            raise SercoreError(f"{chosen.bundle}: the name of a bundle ends in {SUFFIX}")
        plan = sweep.plan(chosen.bundle, chosen.systems, chosen.protocols, chosen.seeds, chosen.folds)
        if plan.unheard:
            lacking = f"{chosen.bundle} has not what they hear (`sercore bundle --front-ends`)"
            print(machine.printable(f"left out, for {lacking}: {', '.join(plan.unheard)}"), file=sys.stderr)
        changes = {"precision": chosen.precision} | assignments(chosen.set)
        return sweep.sweep(plan, chosen.runs, None, changes, chosen.device, chosen.jobs, on_run=told).failed

    return sweep.exit_status(work)


if __name__ == "__main__":
    sys.exit(main())
