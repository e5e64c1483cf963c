"""Processes that import nothing again: each forks off a clean one that holds PyTorch, instead of waiting seconds for it."""

import atexit
import os
import runpy
import sys
import tempfile
import threading
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from typing import NamedTuple

from sercore.publishing import notebooks


class Server(ForkServerContext):
    """A context of multiprocessing whose processes have the environment of who starts them, as where they are spawned."""

    def Process(self, *, target, args=(), **settings):  # as it is called there
        return super().Process(target=_at_home, args=(dict(os.environ), target, args), **settings)


def _at_home(environment, target, args):
    os.environ.clear()
    os.environ.update(environment)
    target(*args)


server = Server()
server.set_forkserver_preload(
    ["sercore.__main__", "sercore.lab.sweep", "sercore.lab.training", "sercore.network.engines.cpu", *notebooks.EVERYWHERE]
)


class Done(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


def start(*command, folder: Path, cwd: Path | None = None, **variables: str | None) -> ForkServerProcess:
    """Start `command` as `python *command` would: a script, "-m" and a module, or "-c" and a program.

    What it prints goes to the files stdout and stderr of `folder`; `variables` are added to the environment, those of None taken
    out of it.
    """
    process = server.Process(target=_run, args=(list(map(str, command)), folder, cwd or Path.cwd(), variables))
    process.start()
    return process


def run(*command, cwd: Path | None = None, **variables: str) -> Done:
    """Run it to its end, as `subprocess.run` with captured text."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        process = start(*command, folder=folder, cwd=cwd, **variables)
        process.join()
        return Done(process.exitcode, *((folder / stream).read_text() for stream in ("stdout", "stderr")))


def _run(command: list[str], folder: Path, cwd: Path, variables: dict[str, str | None]) -> None:
    for number, stream in ((1, "stdout"), (2, "stderr")):
        file = os.open(folder / stream, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(file, number)
    sys.stdout, sys.stderr = (os.fdopen(number, "w", buffering=1, closefd=False) for number in (1, 2))
    os.chdir(cwd)
    for name in [name for name, value in variables.items() if value is None]:
        os.environ.pop(name, None)
    os.environ.update({name: value for name, value in variables.items() if value is not None})
    try:
        if command[0] == "-m":
            sys.argv = command[1:]
            sys.modules.pop(f"{command[1]}.__main__", None)
            runpy.run_module(command[1], run_name="__main__", alter_sys=True)
        elif command[0] == "-c":
            sys.argv = ["-c", *command[2:]]
            exec(compile(command[1], "<string>", "exec"), {"__name__": "__main__"})
        else:
            sys.argv = command
            sys.path.insert(0, str(Path(command[0]).parent))
            runpy.run_path(command[0], run_name="__main__")
    finally:
        threading._shutdown()  # as any process ends, but one of multiprocessing that joblib's workers should end with
        atexit._run_exitfuncs()
