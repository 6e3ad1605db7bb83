"""Multiply-accumulate against the published rows."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archgym.errors import UsageError
from archgym.technology.arithmetic import logic_leakage_mw_per_um2, multiply_accumulate, operation
from archgym.technology.scaling import area_factor, energy_factor
from archgym.technology.tables import table

WIDTHS = st.integers(min_value=8, max_value=32)


def test_published_8_and_32_bit() -> None:
    mac = multiply_accumulate(8)
    assert mac.energy_pj == pytest.approx(0.2 + 0.1, rel=1e-12)
    assert mac.area_um2 == 282 + 137
    assert multiply_accumulate(32).energy_pj == pytest.approx(3.1 + 0.1, rel=1e-12)
    assert multiply_accumulate(8, accumulator_bits=16).energy_pj == pytest.approx(0.25, rel=1e-12)


def test_every_published_row_is_exact() -> None:
    rows = [r for r in table("operations.csv") if r["use"] == "model" and r["operation"] != "register"]
    assert len(rows) == 9
    for row in rows:
        found = operation(row["operation"], int(row["bits"]))
        assert found.energy_pj == float(row["energy_pj"])
        assert found.area_um2 == float(row["area_um2"])


def test_interpolation_by_hand() -> None:
    # Half way between 8 and 32 bits in log: the geometric mean.
    assert operation("int_mult", 16).energy_pj == pytest.approx(math.sqrt(0.2 * 3.1), rel=1e-12)
    assert operation("int_mult", 16).area_um2 == pytest.approx(math.sqrt(282 * 3495), rel=1e-12)


@given(bits=WIDTHS, accumulator=WIDTHS)
def test_inside_the_published_and_growing(bits: int, accumulator: int) -> None:
    mac = multiply_accumulate(bits, accumulator)
    assert mac.energy_pj + 1e-12 >= 0.2 + 0.03
    assert mac.energy_pj <= 3.1 + 0.1 + 1e-12
    if bits < 32:
        wider = multiply_accumulate(bits + 1, accumulator)
        assert wider.energy_pj > mac.energy_pj
        assert wider.area_um2 > mac.area_um2


@pytest.mark.parametrize(("bits", "accumulator"), [(4, 32), (7, 32), (33, 32), (64, 32), (8, 4), (8, 48)])
def test_outside_the_published_widths(bits: int, accumulator: int) -> None:
    with pytest.raises(UsageError, match="8 to 32 bits"):
        multiply_accumulate(bits, accumulator)


def test_unknown_operation_and_node() -> None:
    with pytest.raises(UsageError, match="int_mult"):
        operation("int_mul", 8)
    with pytest.raises(UsageError, match="28"):
        multiply_accumulate(8, node=28)


def test_other_nodes_and_leakage() -> None:
    at_45, at_7 = multiply_accumulate(8), multiply_accumulate(8, node=7)
    assert at_7.energy_pj == pytest.approx(at_45.energy_pj * energy_factor(45, 7))
    assert at_7.area_um2 == pytest.approx(at_45.area_um2 * area_factor(45, 7))
    assert at_7.leakage_mw == at_45.leakage_mw == pytest.approx(419 * logic_leakage_mw_per_um2())
    assert multiply_accumulate(8, leakage_scale=2.0).leakage_mw == pytest.approx(2 * at_45.leakage_mw)
    # 12.3 mW/mm2: leakage of a busy 1 GHz multiplier is a small share of its power.
    assert at_45.leakage_mw < 0.05 * at_45.energy_pj
