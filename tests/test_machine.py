"""Which processors multiply bfloat16 faster than float32."""

import pytest

from sercore import machine

CPUINFO = """processor\t: 0
vendor_id\t: {vendor}
model name\t: {name}
flags\t\t: fpu {flags}

processor\t: 1
vendor_id\t: {vendor}
model name\t: {name}
flags\t\t: fpu {flags}
"""


@pytest.mark.parametrize(
    ("vendor", "flags", "amx", "faster"),
    [
        ("GenuineIntel", "avx512f avx512_bf16 amx_bf16", True, True),
        ("GenuineIntel", "avx512f avx512_bf16", False, False),
        ("AuthenticAMD", "avx512f avx512_bf16", False, True),
        ("AuthenticAMD", "avx2", False, False),
    ],
)
def test_who_multiplies_bfloat16_faster(monkeypatch, vendor, flags, amx, faster):
    text = CPUINFO.format(vendor=vendor, name="A  processor", flags=flags)
    monkeypatch.setattr(machine, "_cpuinfo", text.splitlines)
    assert machine.has_amx() is amx
    assert machine.multiplies_bfloat16.__wrapped__() is faster
    assert machine._processor() == "A processor"


def test_a_system_without_cpuinfo_is_asked_otherwise(monkeypatch):
    monkeypatch.setattr(machine, "_cpuinfo", list)
    assert not machine.has_amx() and not machine.multiplies_bfloat16.__wrapped__()
    assert machine._processor()
