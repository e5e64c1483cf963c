"""Which processors multiply bfloat16 faster than float32, and texts that anybody may have written."""

import pytest

from sercore import machine, places
from sercore.errors import SercoreError

CPUINFO = """processor\t: 0
vendor_id\t: {vendor}
model name\t: {name}
flags\t\t: fpu {flags}

processor\t: 1
vendor_id\t: {vendor}
model name\t: {name}
flags\t\t: fpu {flags}
"""


def test_what_steers_a_terminal_is_its_escape_and_the_rest_as_it_was():
    assert machine.printable("\x1b]0;t\x07\r\x9b\u202e\udcff\x7f") == r"\x1b]0;t\x07\r\x9b\u202e\udcff\x7f"
    assert machine.printable("a\n\tb  高兴 محمد \\x1b") == "a\n\tb  高兴 محمد \\x1b"


@pytest.mark.parametrize("text", ["=1", "+cmd", "-x", "@SUM(1)", "\tx", "\n=1", " \n =1", "\u3000=1", "＝1", "＋a", "－a", "＠a"])
def test_what_a_spreadsheet_would_compute_begins_with_an_apostrophe(text):
    assert machine.no_formula(text) == f"'{text}"


@pytest.mark.parametrize("value", ["a=1", "+1.2 [−0.4, +2.9]", "-3", "|", "a\n=1", 1.5, None])
def test_what_it_would_not_stays(value):
    assert machine.no_formula(value) is value or machine.no_formula(value) == value


def test_a_carriage_return_of_a_cell_is_seen():
    assert machine.no_formula("\r=1") == r"\r=1"


@pytest.mark.parametrize(
    ("vendor", "flags", "unit"),
    [
        ("GenuineIntel", "avx512f avx512_bf16 amx_bf16", "amx"),
        ("GenuineIntel", "avx512f avx512_bf16", ""),
        ("AuthenticAMD", "avx512f avx512_bf16", "avx512"),
        ("AuthenticAMD", "avx2", ""),
    ],
)
def test_what_multiplies_bfloat16_faster(monkeypatch, vendor, flags, unit):
    text = CPUINFO.format(vendor=vendor, name="A  processor", flags=flags)
    monkeypatch.setattr(machine, "_cpuinfo", text.splitlines)
    assert machine.bfloat16_unit.__wrapped__() == unit
    assert machine._processor() == "A processor"


def test_a_system_without_cpuinfo_is_asked_otherwise(monkeypatch):
    monkeypatch.setattr(machine, "_cpuinfo", list)
    assert not machine.bfloat16_unit.__wrapped__()
    assert machine._processor()


@pytest.mark.parametrize("name", ["tpu", "cpu:x", "cuda:", "cuda:x", "cuda", "cuda:7", ""])
def test_a_device_that_is_not_there_is_refused(name, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(SercoreError, match="device"):
        machine.choose_device(name)


def test_a_device_is_one_of_those_that_are_there(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert machine.choose_device("cuda:1").index == 1 and machine.choose_device().type == "cuda"
    with pytest.raises(SercoreError, match="PyTorch sees 2 of them"):
        machine.choose_device("cuda:2")
    assert machine.choose_device("cpu").type == "cpu"


def test_a_folder_is_what_is_named_then_the_variable_then_beside_oneself(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    for name, find in (("SERCORE_RUNS", places.runs_folder), ("SERCORE_RESULTS", places.results_folder)):
        monkeypatch.delenv(name, raising=False)
        assert str(find()) == name.removeprefix("SERCORE_").lower()
        monkeypatch.setenv(name, "~/there")
        assert find() == tmp_path / "there" and str(find("here")) == "here" and find("~/mine") == tmp_path / "mine"


def test_an_error_can_be_shown_whoever_prints_it():
    assert str(SercoreError("a\x1b[31m\u202eb:\n  c")) == "a\\x1b[31m\\u202eb:\n  c"
