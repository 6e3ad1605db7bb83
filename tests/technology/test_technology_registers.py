"""Register bits."""

import pytest

from archgym.errors import UsageError
from archgym.technology.registers import register
from archgym.technology.scaling import area_factor, energy_factor


def test_published_bit_stands_for_45_nm() -> None:
    bit = register()
    assert bit.read_pj == bit.write_pj == 0.008999495
    assert bit.area_um2 == 5.981433
    assert bit.leakage_mw == 7.395312e-05
    assert "40 nm" in bit.source


def test_other_nodes() -> None:
    bit = register(7, leakage_scale=0.5)
    assert bit.read_pj == pytest.approx(0.008999495 * energy_factor(45, 7))
    assert bit.area_um2 == pytest.approx(5.981433 * area_factor(45, 7))
    assert bit.leakage_mw == pytest.approx(0.5 * 7.395312e-05)
    with pytest.raises(UsageError, match="known nodes"):
        register(40)


def test_a_register_file_costs_less_than_its_multiplier() -> None:
    # 8 bits read: 0.07 pJ, beside 0.3 pJ of an 8-bit multiply-accumulate (Eyeriss counts them alike at 16 bits).
    assert 0.05 < 8 * register().read_pj < 0.3
