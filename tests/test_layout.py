"""CONTRIBUTING's table of floors against the code: every room has one, and imports run down only."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "sercore"


def floors() -> dict[str, int]:
    rows = re.findall(r"^\| (\d) [^|]*\|([^|]*)\|", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE)
    return {room.rstrip("/"): int(floor) for floor, rooms in rows for room in re.findall("`([^`]+)`", rooms)}


def imported(path: Path) -> set[str]:
    """Rooms of the package that a file imports, inside its functions too."""
    depth = len(path.relative_to(PACKAGE).parts)
    relative = [n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.ImportFrom) and n.level == depth]
    return {name for node in relative for name in ([node.module.split(".")[0]] if node.module else [n.name for n in node.names])}


def test_every_room_has_a_floor_and_imports_from_no_higher_one():
    floor, wrong = floors(), []
    for path in sorted(PACKAGE.rglob("*.py")):
        room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        if room == "__main__":
            continue
        assert room in floor, f"CONTRIBUTING.md has no floor for {room}"
        wrong += [f"{path.name} imports {name}" for name in imported(path) if floor.get(name, 0) > floor[room]]
    assert not wrong, wrong
