"""The book: built from nothing, again with nothing changed, and after one published record changed; and so with twice the runs.

A copy of the project is built in a folder of its own; the published book is left alone. The second half of the runs is the
first under other seeds.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import measure

ROOT = Path(__file__).parents[1]
JUPYTER_BOOK = Path(sys.executable).with_name("jupyter-book")


def build(project: Path) -> float:
    """Seconds of `jupyter-book build book`; one that fails ends the benchmark with its output."""
    started = time.perf_counter()
    call = subprocess.run([JUPYTER_BOOK, "build", "book"], cwd=project, capture_output=True, text=True, check=False)
    if call.returncode:
        sys.exit(f"the build failed:\n{call.stdout[-4000:]}{call.stderr[-4000:]}")
    return time.perf_counter() - started


def change_a_record(project: Path) -> bool:
    """Make one run a second longer; False where nothing is published."""
    import pandas as pd

    path = project / "results" / "runs.parquet"
    if not path.exists():
        return False
    runs = pd.read_parquet(path)
    runs.loc[0, "seconds"] += 1
    runs.to_parquet(path, index=False, compression="zstd")
    return True


def double(project: Path) -> int:
    """Publish every run once more, as one of another seed, with its predictions and history; how many there are then."""
    import pandas as pd

    results, count = project / "results", 0
    for path in (results / "runs.parquet", results / "history.parquet", *sorted((results / "predictions").glob("*.parquet"))):
        found = pd.read_parquet(path)
        again = found.assign(run=found["run"].str.replace(r"-seed(\d)-", r"-seed9\1-", regex=True))
        if "seed" in found:
            again["seed"] += 90
            count = 2 * len(found)
        pd.concat([found, again], ignore_index=True).to_parquet(path, index=False, compression="zstd")
    return count


def main() -> None:
    chosen = measure.parser(__doc__).parse_args()
    if chosen.smoke:
        print("a build takes over a minute: the smoke test only asks jupyter-book for its version", file=sys.stderr)
        subprocess.run([JUPYTER_BOOK, "--version"], check=True, stdout=subprocess.DEVNULL)
        print(json.dumps({"seconds": {}}))
        return
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder) / "project"
        tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
        for name in filter(None, tracked.split("\0")):
            target = project / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target, follow_symlinks=False)
        seconds = {"from nothing": build(project), "nothing changed": build(project)}
        if change_a_record(project):
            seconds["one record changed"] = build(project)
            runs = double(project)
            seconds[f"{runs} runs, from those"] = build(project)
            change_a_record(project)
            seconds[f"{runs} runs, one record changed"] = build(project)
    rows = [{"the book": name, "seconds": taken} for name, taken in seconds.items()]
    measure.report("build", chosen, "`jupyter-book build book`.", rows, {"seconds": seconds})


if __name__ == "__main__":
    main()
