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
