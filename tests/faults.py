"""Sweeps and publishing killed, starved and locked out, at length: `make faults`. The tests hold the quick forms.

One line a fault: what was tried, how often, and how many finished records were lost. It ends with 1 where any was.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import conftest
import fresh_process
import numpy as np

from sercore import SercoreError
from sercore.evidence import results
from sercore.lab import records, sweep

KILLS = int(os.environ.get("FAULTS_KILLS", "50"))
SYSTEMS = "baseline,lstm"
QUICK = ("--set", "max_epochs=3", "--set", "patience=3", "--set", "clip_seconds=0.5")
CHANGES = {"max_epochs": 3, "patience": 3, "clip_seconds": 0.5}

Lost = int


class Trial:
    """A corpus of tones in a folder of its own, whose name has a space and letters of elsewhere, and its unbroken sweep."""

    def __init__(self, root: Path) -> None:
        self.root, self.random = root / "a folder für 音", random.Random(0)
        self.root.mkdir()
        conftest._tones(self.root)
        self.corpus = self.root / "tones.csv"
        self.wanted = sweep.plan(str(self.corpus), SYSTEMS, "speaker,paper", "0")
        self.unbroken = self.root / "unbroken"
        self.sweep(self.unbroken).join()
        self.whole = self.publish(self.unbroken, self.root / "unbroken results")

    def sweep(self, runs: Path, *more: str) -> fresh_process.ForkServerProcess:
        command = ("sweep", "--corpus", str(self.corpus), "--systems", SYSTEMS, "--protocols", "speaker,paper", *QUICK)
        return self.start(*command, "--runs", str(runs), *more)

    def start(self, *command: str, **variables: str) -> fresh_process.ForkServerProcess:
        said = Path(tempfile.mkdtemp(dir=self.root))
        process = fresh_process.start("-m", "sercore", *command, folder=said, cwd=self.root, **variables)
        process.said = said
        return process

    def publish(self, runs: Path, target: Path) -> Path:
        self.start("publish", "--runs", str(runs), "--results", str(target)).join()
        return target

    def there(self, runs: Path) -> set[str]:
        """Finished records, each of which can be read."""
        found = {folder.parent.name for folder in runs.glob("*/run.json") if not folder.parent.name.endswith(".partial")}
        for name in found:
            records.read_facts(runs / name), records.read_history(runs / name), records.read_test(runs / name)
        return found

    def same(self, target: Path) -> bool:
        """Whether the published predictions and features are those of the unbroken sweep, bit for bit."""
        for corpus, protocol in results.published(self.whole):
            for read in (results.predictions, results.features):
                ours, theirs = (read(corpus, protocol, folder) for folder in (target, self.whole))
                rows = zip(ours.itertuples(index=False), theirs.itertuples(index=False), strict=False)
                if len(ours) != len(theirs) or not all(np.array_equal(*pair) for row in rows for pair in zip(*row, strict=True)):
                    return False
        return results.published(target) == results.published(self.whole)


def killed_sweeps(trial: Trial) -> tuple[str, int, Lost]:
    """kill -9 at random moments of a sweep in two processes, each followed by a restart."""
    runs, seen, lost, kills = trial.root / "killed", set(), 0, 0
    while kills < KILLS:
        process = trial.sweep(runs, *(("--jobs", "2") if kills % 2 else ()))
        process.join(trial.random.uniform(0.2, 4))
        if process.is_alive():
            os.kill(process.pid, signal.SIGKILL)
            process.join()
            kills += 1
        now = trial.there(runs) if runs.exists() else set()
        lost += len(seen - now)
        seen = now
        if len(now) == len(trial.wanted.names):  # the next sweep begins again
            if not trial.same(trial.publish(runs, trial.root / "killed results")):
                lost += len(now)
            shutil.rmtree(runs)
            shutil.rmtree(trial.root / "killed results")
            seen = set()
    trial.sweep(runs).join()
    lost += len(trial.wanted.names) - len(trial.there(runs))
    lost += 0 if trial.same(trial.publish(runs, trial.root / "killed results")) else 1
    return "kill -9 at a random moment of a sweep", kills, lost


def killed_publishing(trial: Trial) -> tuple[str, int, Lost]:
    """kill -9 at random moments of `publish`: what stood there can be read, and the next one ends with the same tables."""
    target, lost, kills = trial.root / "published", 0, 0
    took = 4.0
    while kills < KILLS:
        if kills % 10 == 0:
            shutil.rmtree(target, ignore_errors=True)
        started = time.monotonic()
        process = trial.start("publish", "--runs", str(trial.unbroken), "--results", str(target), "--replace", "--yes")
        process.join(trial.random.uniform(0, took))
        if process.is_alive():
            os.kill(process.pid, signal.SIGKILL)
            process.join()
            kills += 1
        else:
            took = max(0.5, time.monotonic() - started)
        try:
            table = results.runs(target)
            lost += sum(name not in set(table["run"]) for name in map(str, trial.wanted.names)) if len(table) else 0
            for corpus, protocol in results.published(target):
                results.predictions(corpus, protocol, target)
        except (SercoreError, OSError, ValueError) as error:
            print(f"    {error}")
            lost += 1
    trial.publish(trial.unbroken, target)
    return "kill -9 at a random moment of publish", kills, lost + (0 if trial.same(target) else 1)


def eight_at_once(trial: Trial) -> tuple[str, int, Lost]:
    """Eight processes sweep into one folder: each run is trained once."""
    runs, counted = trial.root / "eight", trial.root / "trained"
    command = (
        "import runpy, sys; from sercore.lab import experiment; true = experiment._train\n"
        "def train(prepared, config, names, *rest):\n"
        f"    open({str(counted)!r}, 'a').writelines(f'{{name}}\\n' for name in names); true(prepared, config, names, *rest)\n"
        "experiment._train = train; sys.argv = ['sercore', *sys.argv[1:]]; runpy.run_module('sercore', run_name='__main__')"
    )
    arguments = ("sweep", "--corpus", trial.corpus, "--systems", SYSTEMS, "--protocols", "speaker,paper", *QUICK, "--runs", runs)
    folders = [Path(tempfile.mkdtemp(dir=trial.root)) for _ in range(8)]
    processes = [fresh_process.start("-c", command, *arguments, folder=said, cwd=trial.root) for said in folders]
    for process in processes:
        process.join()
    wrong = sum(process.exitcode != 0 for process in processes)
    trained = counted.read_text().split()
    wrong += len(trained) - len(set(trained))
    return "eight sweeps into one folder at once", 8, wrong + len(trial.wanted.names) - len(trial.there(runs))


@contextlib.contextmanager
def small_disk(folder: Path, size: str = "14m") -> Iterator[bool]:
    """A disk of this size at `folder`, where one can be mounted."""
    folder.mkdir(exist_ok=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], capture_output=True, check=False
    )
    try:
        yield mounted.returncode == 0
    finally:
        if mounted.returncode == 0:
            subprocess.run(["umount", str(folder)], check=True)


def one_clear_error(process: fresh_process.ForkServerProcess, words: str) -> bool:
    """It ended with 2, without a traceback, and said so in one line."""
    said = (process.said / "stderr").read_text()
    told = [line for line in said.splitlines() if line.startswith("sercore: ")]
    if process.exitcode == 2 and len(told) == 1 and words in told[0] and "Traceback" not in said:
        return True
    print(f"    exit {process.exitcode}: {said[-600:]}")
    return False


def full_disk(trial: Trial) -> tuple[str, int, Lost]:
    """A disk that is full after some runs: one clear error, and what was finished can be read."""
    disk = trial.root / "disk"
    with small_disk(disk) as there:
        if not there:
            return "a full disk: NOT TRIED, nothing can be mounted here", 0, 0
        process = trial.sweep(disk / "runs")
        process.join()
        before = trial.there(disk / "runs")
        wrong = not one_clear_error(process, "No space left on device") or not before
        subprocess.run(["mount", "-o", "remount,size=200m", str(disk)], check=True)
        trial.sweep(disk / "runs").join()
        now = trial.there(disk / "runs")
        return "a disk that fills up, and has room again", 1, int(wrong) + len(before - now) + len(trial.wanted.names) - len(now)


def read_only(trial: Trial) -> tuple[str, int, Lost]:
    """A folder that cannot be written."""
    disk = trial.root / "locked"
    with small_disk(disk, "100m") as there:
        if not there:
            return "a read-only folder: NOT TRIED, nothing can be mounted here", 0, 0
        shutil.copytree(trial.unbroken, disk / "runs")
        gone = str(trial.wanted.names[0])
        shutil.rmtree(disk / "runs" / gone)
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        process = trial.sweep(disk / "runs")
        process.join()
        wrong = not one_clear_error(process, "Read-only file system")
        return "a folder that is read-only", 1, int(wrong) + len(trial.wanted.names) - 1 - len(trial.there(disk / "runs"))


def file_limit(trial: Trial) -> tuple[str, int, Lost]:
    """No file may be larger than 100 kB: no model fits."""
    runs = trial.root / "limited"
    command = (
        "import resource, signal, runpy, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)); "
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); sys.argv = ['sercore', *sys.argv[1:]]; "
        "runpy.run_module('sercore', run_name='__main__')"
    )
    said = Path(tempfile.mkdtemp(dir=trial.root))
    arguments = ("sweep", "--corpus", trial.corpus, "--systems", "baseline", "--folds", "0", *QUICK, "--runs", runs)
    process = fresh_process.start("-c", command, *arguments, folder=said, cwd=trial.root)
    process.said = said
    process.join()
    return "a limit on the size of a file", 1, int(not one_clear_error(process, "File too large"))


def jumping_clock(trial: Trial) -> tuple[str, int, Lost]:
    """The clock jumps by years between epochs, backwards too."""
    runs = trial.root / "clock"
    command = (
        "import random, runpy, sys, time; true = time.time; draw = random.Random(0); "
        "time.time = lambda: true() + draw.uniform(-1e8, 1e8); sys.argv = ['sercore', *sys.argv[1:]]; "
        "runpy.run_module('sercore', run_name='__main__')"
    )
    said = Path(tempfile.mkdtemp(dir=trial.root))
    arguments = ("sweep", "--corpus", trial.corpus, "--systems", SYSTEMS, "--protocols", "speaker,paper", *QUICK, "--runs", runs)
    fresh_process.start("-c", command, *arguments, folder=said, cwd=trial.root).join()
    return "a clock that jumps by years", 1, len(trial.wanted.names) - len(trial.there(runs))


def interrupted(trial: Trial) -> tuple[str, int, Lost]:
    """Ctrl-C once, and twice in a row: it ends at once and with its word, and the next sweep goes on."""
    runs, lost = trial.root / "interrupted", 0
    for times in (1, 2, 1, 2):
        process = trial.sweep(runs, "--jobs", "2")
        process.join(trial.random.uniform(1.5, 3))
        before = trial.there(runs) if runs.exists() else set()
        if process.is_alive():
            for _ in range(times):
                os.kill(process.pid, signal.SIGINT)
                time.sleep(0.05)
            process.join(30)
            done = process.exitcode == 0 and len(trial.there(runs)) == len(trial.wanted.names)  # it had ended by itself
            if process.is_alive() or (times == 1 and process.exitcode != 130 and not done):
                print(f"    exit {process.exitcode} after {times}")
                lost += 1
        lost += len(before - trial.there(runs))
    trial.sweep(runs).join()
    return "Ctrl-C, once and twice", 4, lost + len(trial.wanted.names) - len(trial.there(runs))


FAULTS: tuple[Callable[[Trial], tuple[str, int, Lost]], ...] = (
    *(killed_sweeps, killed_publishing, eight_at_once, full_disk, read_only, file_limit, jumping_clock, interrupted),
)


def main(names: list[str]) -> int:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    total = 0
    with tempfile.TemporaryDirectory() as root:
        os.environ |= {"SERCORE_CACHE": f"{root}/cache", "OMP_NUM_THREADS": "1"}
        trial = Trial(Path(root))
        print(f"{len(trial.wanted.names)} runs of {SYSTEMS} on two protocols, in {json.dumps(str(trial.root))}")
        for fault in FAULTS:
            if names and fault.__name__ not in names:
                continue
            started = time.monotonic()
            what, tried, lost = fault(trial)
            total += lost
            print(f"{what}: tried {tried} times, records lost {lost} ({time.monotonic() - started:.0f} s)", flush=True)
    print(f"records lost: {total}")
    return int(total > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
