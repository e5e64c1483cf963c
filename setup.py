"""The wheel carries the sources of the book, of which `sercore init` makes that of a study; all else is in pyproject.toml."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

HERE = Path(__file__).parent
SOURCES = ("notebooks", "_study", "_ext", "_static", "_templates", "explorer", "toys", "voice", "references.bib")


class WithBook(build_py):
    def run(self) -> None:
        super().run()
        if self.editable_mode:  # there they lie where they are written
            return
        target = Path(self.build_lib) / "sercore" / "template"
        for name in SOURCES:
            source = HERE / "book" / name
            if source.is_dir():
                shutil.copytree(source, target / "book" / name, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, target / "book")
        shutil.copy(HERE / "_config.yml", target)


setup(cmdclass={"build_py": WithBook})
