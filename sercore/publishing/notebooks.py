"""papermill's engine for the book: a notebook's cells run in IPython, in a process of that notebook's own.

A kernel takes a second or two to start and to import what every chapter imports, most of what a chapter takes. Here a
process that has imported all that (`warm`) is forked for each notebook, where forking is safe; elsewhere it starts afresh.
A cell's output is what IPython would show: text, displayed objects, the value of the last expression, and pyplot's figures.
"""

from __future__ import annotations

import base64
import gc
import importlib
import io
import sys
from contextlib import redirect_stderr, redirect_stdout
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

from IPython.core.displayhook import DisplayHook
from IPython.core.displaypub import DisplayPublisher
from IPython.core.interactiveshell import InteractiveShell
from papermill.engines import Engine, papermill_engines
from traitlets import Type
from traitlets.config import Config

if TYPE_CHECKING:
    from nbformat import NotebookNode
    from papermill.engines import NotebookExecutionManager

ENGINE = "sercore"
EVERYWHERE = (
    "pandas",
    "pyarrow.parquet",
    "scipy.stats",
    "joblib",
    "matplotlib.pyplot",
    "sercore.report.display",
    "sercore.report.figures",
    "sercore.report.findings",
)
"""What chapters import, PyTorch apart: few that read records need it."""

_start = "spawn"


def warm() -> None:
    """Make this process, which must have no threads yet, one that notebooks are forked from."""
    global _start
    for name in EVERYWHERE:
        importlib.import_module(name)
    if sys.platform == "linux":  # Apple's libraries forbid it, Windows has no such thing
        _start = "fork"


class OwnProcess(Engine):
    """An engine for papermill; a process that dies ends the notebook with a `ChildProcessError`."""

    @classmethod
    def execute_managed_notebook(cls, nb_man: NotebookExecutionManager, kernel_name: str, **_: Any) -> None:
        context: Any = get_context(_start)
        here, there = context.Pipe()
        process = context.Process(target=_run_cells, args=(there, here), daemon=False)
        process.start()
        there.close()
        try:
            cells = [(index, cell) for index, cell in enumerate(nb_man.nb.cells) if cell.cell_type == "code"]
            for number, (index, cell) in enumerate(cells, 1):
                nb_man.cell_start(cell, index)
                here.send(cell.source)
                try:
                    cell.outputs, failed = here.recv()
                except EOFError:
                    process.join()
                    raise ChildProcessError(
                        f"its process ended (exit code {process.exitcode}) in the cell\n{cell.source}"
                    ) from None
                cell.execution_count = number
                if failed:
                    nb_man.cell_exception(cell, index)
                    break
                nb_man.cell_complete(cell, index)
        finally:
            here.close()  # which ends the process
            process.join()


papermill_engines.register(ENGINE, OwnProcess)


# ---- in the notebook's process


class _Outputs(list):
    """A cell's outputs, as a notebook holds them, in the order in which they come."""

    def add(self, kind: str, **content: Any) -> NotebookNode:
        from nbformat.v4 import new_output

        self.append(new_output(kind, **content))
        return self[-1]

    def show(self, kind: str, data: dict[str, Any], metadata: dict[str, Any] | None, **content: Any) -> NotebookNode:
        texts = {name: base64.b64encode(value).decode() if isinstance(value, bytes) else value for name, value in data.items()}
        return self.add(kind, data=texts, metadata=metadata or {}, **content)


class _Stream(io.TextIOBase):
    def __init__(self, outputs: _Outputs, name: str) -> None:
        self.outputs, self.name = outputs, name

    def write(self, text: str) -> int:
        last = self.outputs[-1] if self.outputs else {}
        if last.get("name") == self.name:
            last["text"] += text
        elif text:
            self.outputs.add("stream", name=self.name, text=text)
        return len(text)


class _Publisher(DisplayPublisher):
    """For what `display` shows."""

    shell: _Shell

    def publish(
        self, data: Any, metadata: Any = None, source: Any = None, *, transient: Any = None, update: bool = False, **_: Any
    ) -> None:
        name = (transient or {}).get("display_id")
        if update and name in self.shell.by_id:
            shown = _Outputs().show("display_data", data, metadata)
            self.shell.by_id[name].update(data=shown.data, metadata=shown.metadata)
        else:
            self.shell.by_id[name] = self.shell.outputs.show("display_data", data, metadata)


class _Result(DisplayHook):
    """For the value of a cell's last expression."""

    shell: _Shell

    def write_output_prompt(self) -> None:
        """A notebook has its own."""

    def write_format_data(self, format_dict: Any, md_dict: Any = None) -> None:
        self.shell.outputs.show("execute_result", format_dict, md_dict, execution_count=self.prompt_count)


class _Shell(InteractiveShell):
    """IPython without a terminal."""

    display_pub_class = Type(_Publisher)
    displayhook_class = Type(_Result)
    outputs: _Outputs
    by_id: dict[str | None, NotebookNode]
    failed = False

    def run(self, source: str) -> tuple[list[NotebookNode], bool]:
        """A cell's outputs, and whether it failed."""
        self.outputs, self.by_id, self.failed = _Outputs(), {}, False
        with redirect_stdout(_Stream(self.outputs, "stdout")), redirect_stderr(_Stream(self.outputs, "stderr")):
            self.run_cell(source, store_history=True)
        return list(self.outputs), self.failed

    def _showtraceback(self, etype: type[BaseException], evalue: BaseException, stb: list[str]) -> None:
        self.failed = True
        self.outputs.add("error", ename=etype.__name__, evalue=str(evalue), traceback=stb)

    def enable_gui(self, gui: Any = None) -> None:
        """There are no windows."""


def _run_cells(pipe: Connection, other_end: Connection) -> None:
    """Answer each source that comes with its outputs, and whether it failed, until nobody asks any more."""
    other_end.close()  # or this process would keep its own pipe open
    gc.set_threshold(50_000)  # looking for cycles so often as usual takes a tenth of a page's time, and pages are short
    shell = _Shell.instance(config=Config(HistoryManager={"enabled": False}))
    shell.enable_matplotlib("inline")
    while True:
        try:
            source = pipe.recv()
        except EOFError:
            return
        pipe.send(shell.run(source))
