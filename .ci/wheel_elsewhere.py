"""The built wheel installs into a folder of its own and runs there, away from the checkout."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

wheel = max(Path("dist").glob("*.whl"), key=lambda path: path.stat().st_mtime).resolve()
with tempfile.TemporaryDirectory() as folder:
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", folder, str(wheel)], check=True)
    program = f"import sys; sys.path.insert(0, {folder!r})\nimport sercore\n"
    program += "print(sercore.__file__, sercore.build('combined').num_parameters())"
    out = subprocess.run([sys.executable, "-c", program], cwd=folder, check=True, capture_output=True, text=True).stdout
    assert out.split()[-1] == "359812" and folder in out, out

    def call(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "sercore", *arguments], cwd=folder, check=True, stdout=subprocess.PIPE, text=True
        )
        return done.stdout

    call("systems", "--json")
    assert json.loads(call("models", "--json")), "no model comes with the wheel"
    call("init", "my-study", "--data", "demo")
    assert (Path(folder) / "my-study" / "book" / "notebooks" / "table-2.md").exists()
print(f"{wheel.name} runs elsewhere")
