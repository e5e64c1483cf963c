import subprocess
import sys

import pytest

PROGRAM = """
import sys, types
{prepare}
from sercore.frontend import torchaudio_shim
torchaudio = torchaudio_shim.load()
import torch
out = torchaudio.transforms.MelSpectrogram(16000, n_fft=512, n_mels=40)(torch.zeros(1, 1600))
extension = sys.modules[torchaudio_shim.EXTENSION]
print(tuple(out.shape), getattr(extension, "made_by", None), torchaudio_shim.load() is torchaudio)
"""
LOADS = """
extension = types.ModuleType("torchaudio._extension")
extension.made_by, extension._IS_TORCHAUDIO_EXT_AVAILABLE = "test", False  # its operators are not to be had here
extension._load_lib, extension.fail_if_no_align = (lambda name: True), (lambda function: function)
sys.modules["torchaudio._extension"] = extension
"""
FAILS = """
import importlib.abc
class Broken(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "torchaudio._extension":
            raise OSError("libc10_cuda.so: cannot open shared object file")
sys.meta_path.insert(0, Broken())
"""


@pytest.mark.parametrize("prepare, maker", [(LOADS, "test"), (FAILS, "None")], ids=["extension loads", "extension fails"])
def test_torchaudio_imports_with_and_without_its_extension(prepare, maker):
    call = subprocess.run([sys.executable, "-c", PROGRAM.format(prepare=prepare)], capture_output=True, text=True, check=False)
    assert call.stdout.split() == ["(1,", "40,", "7)", maker, "True"], call.stderr


def test_a_missing_torchaudio_stays_a_missing_module(monkeypatch):
    from sercore.frontend import torchaudio_shim

    monkeypatch.setitem(sys.modules, "torchaudio", None)
    with pytest.raises(ModuleNotFoundError):
        torchaudio_shim.load()
