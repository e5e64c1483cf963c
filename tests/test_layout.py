"""CONTRIBUTING's table of floors is the folders of the package, and imports run down only."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import sercore

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "sercore"


def floors() -> dict[str, int]:
    """Folder of the package, or module at its root, -> floor, as CONTRIBUTING's table has them."""
    rows = re.findall(r"^\| (\d)[^|]*\|([^|]*)\|", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE)
    named = {room: int(floor) for floor, rooms in rows for room in re.findall("`(?:sercore/)?([^`]+)`", rooms)}
    return {room.rstrip("/").removesuffix(".py"): floor for room, floor in named.items()}


def rooms() -> set[str]:
    inside = (path for path in PACKAGE.iterdir() if path.suffix == ".py" or (path.is_dir() and path.name != "__pycache__"))
    return {path.stem for path in inside}


def imported(path: Path, text: str) -> Iterator[str]:
    """Folders of the package, and modules at its root, that a file at `path` imports, inside its functions too."""
    package = ("sercore", *path.relative_to(PACKAGE).parts[:-1])
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names = [alias.name.split(".") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            module = (*above, *(node.module.split(".") if node.module else ()))
            names = [[*module, alias.name] for alias in node.names]
        else:
            continue
        for first, *rest in names:
            if first == "sercore" and rest:
                yield rest[0] if rest[0] in rooms() else "__init__"


def wrong(path: Path, text: str) -> list[str]:
    """What a file imports though it stands neither lower nor in its own folder; the files of one floor at the root are as one."""
    floor, room = floors(), path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    own = {name for name in floor if floor[name] == floor[room] and (PACKAGE / f"{name}.py").exists()} | {room}
    high = [name for name in imported(path, text) if floor[name] >= floor[room] and name not in own]
    return [f"{path.relative_to(ROOT)} imports {name}" for name in high]


def test_the_table_is_the_folders():
    assert {name for name in floors() if "." not in name} - {"book"} == rooms()
    assert len([path for path in PACKAGE.iterdir() if path.name != "__pycache__"]) <= 17


def test_imports_run_down_only():
    assert not [line for path in sorted(PACKAGE.rglob("*.py")) for line in wrong(path, path.read_text())]


def test_an_import_from_a_higher_floor_is_found():
    path = PACKAGE / "frontend" / "audio.py"
    inside = ["from ..corpora import load", "import sercore.lab.sweep", "from .. import build"]
    text = "\n    ".join(["from ..errors import SercoreError\n\n\ndef read():", *inside])
    assert wrong(path, text) == [f"sercore/frontend/audio.py imports {name}" for name in ("corpora", "lab", "__init__")]


def test_one_version_everywhere():
    changes, citation = ((ROOT / name).read_text() for name in ("CHANGELOG.md", "CITATION.cff"))
    assert re.search(r"^## (\S+)", changes, re.MULTILINE)[1] == sercore.__version__
    assert f"\nversion: {sercore.__version__}\n" in citation


def test_nothing_that_is_read_can_run_code():
    """No pickles: models load their weights alone, arrays no objects, tables are Parquet or CSV."""
    for path in (ROOT / "sercore").rglob("*.py"):
        text = path.read_text()
        for word in ("import pickle", "allow_pickle=True", "joblib.load", "weights_only=False", "read_pickle", "yaml.load("):
            assert word not in text, f"{path}: {word}"
        assert not re.search(r"(?<![.\w])(eval|exec)\(", text), path
        assert all("weights_only=True" in line for line in text.splitlines() if "torch.load(" in line), path
