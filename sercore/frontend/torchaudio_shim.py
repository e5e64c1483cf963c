"""Import torchaudio beside any build of torch.

On Linux, PyPI's torchaudio is compiled for CUDA; beside a CPU build of torch its extension cannot load and the import
raises. Nothing here needs the extension, so an empty stand-in takes its place where, and only where, loading fails.
"""

from __future__ import annotations

import importlib
import sys
import types
from typing import Any, NoReturn

EXTENSION = "torchaudio._extension"


def load() -> types.ModuleType:
    """The module `torchaudio`, whole where its extension loads, its Python parts alone otherwise."""
    try:
        return importlib.import_module("torchaudio")
    except (OSError, ImportError) as error:
        if isinstance(error, ModuleNotFoundError):
            raise
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchaudio"]:
            del sys.modules[name]
        sys.modules[EXTENSION] = _stand_in()
        return importlib.import_module("torchaudio")


def _stand_in() -> types.ModuleType:
    def unavailable(*arguments: Any, **settings: Any) -> NoReturn:
        raise RuntimeError("this torchaudio has no compiled extension: its build does not match that of torch")

    module = types.ModuleType(EXTENSION)
    module._IS_TORCHAUDIO_EXT_AVAILABLE = False  # type: ignore[attr-defined]
    module._load_lib = lambda name: False  # type: ignore[attr-defined]
    module.fail_if_no_align = lambda function: unavailable  # type: ignore[attr-defined]
    return module
