"""papermill's engine for the book: what cells put out, and that each notebook has a process of its own."""

from __future__ import annotations

import nbformat
import papermill
import pytest
from papermill.exceptions import PapermillExecutionError

from sercore.publishing import notebooks


def execute(*sources: str, **how):
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    made = nbformat.v4.new_notebook(cells=cells)
    return papermill.execute_notebook(made, None, engine_name=notebooks.ENGINE, kernel_name="python3", progress_bar=False, **how)


def outputs(source: str) -> list:
    return execute(source).cells[0].outputs


def test_outputs_come_in_their_order():
    made = outputs(
        "import sys\nfrom IPython.display import HTML, display\nprint('a')\nprint('b')\ndisplay(HTML('<b>c</b>'))\n"
        "print('d', file=sys.stderr)\nprint('e')\n{'f': 1}"
    )
    kinds = [output.get("name", output.output_type) for output in made]
    assert kinds == ["stdout", "display_data", "stderr", "stdout", "execute_result"]
    assert made[0].text == "a\nb\n"
    assert made[1].data["text/html"] == "<b>c</b>"
    assert made[4].data == {"text/plain": "{'f': 1}"}


def test_cells_share_names_and_notebooks_do_not():
    made = execute("a = 2", "def twice(x):\n    return 2 * x", "twice(a);", "a", "__name__")
    assert [cell.execution_count for cell in made.cells] == [1, 2, 3, 4, 5]
    assert [[output.data["text/plain"] for output in cell.outputs] for cell in made.cells] == [[], [], [], ["2"], ["'__main__'"]]
    with pytest.raises(PapermillExecutionError, match="NameError"):
        execute("a")


def test_a_figure_shows_where_its_cell_ends():
    (made,) = outputs("import matplotlib.pyplot as plt\nplt.plot([1, 2]);")
    assert made.output_type == "display_data"
    assert made.data["image/png"].startswith("iVBOR")


def test_what_is_shown_under_a_name_can_be_replaced():
    (made,) = outputs("from IPython.display import display\nshown = display('a', display_id=True)\nshown.update('b')")
    assert made.data["text/plain"] == "'b'"


@pytest.mark.parametrize(
    ("source", "said"), [("print(1)\n1 / 0", "ZeroDivisionError: division by zero"), ("1 +", "SyntaxError: invalid syntax")]
)
def test_an_error_ends_the_notebook(source, said, capfd):
    with pytest.raises(PapermillExecutionError, match=said) as caught:
        execute(source, "print('never')")
    assert caught.value.source == source
    assert capfd.readouterr().out == ""


def test_a_process_that_dies_is_reported():
    with pytest.raises(ChildProcessError, match=r"its process ended \(exit code 3\) in the cell\nimport os"):
        execute("import os\nos._exit(3)")
