"""SRAM: exact at the table, inside it everywhere, banks by hand."""

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archgym.errors import UsageError
from archgym.technology.scaling import area_factor, energy_factor
from archgym.technology.sram import SUPPLY_V, Sram, cacti_nodes, devices, sram
from archgym.technology.tables import table

ROWS = table("sram_cacti.csv")
POINTS = [(node, device) for device in devices() for node in cacti_nodes(device)]
CAPACITY = st.integers(min_value=1, max_value=64 << 20)
WIDTH = st.integers(min_value=1, max_value=4096)
FIELDS = ("read_pj", "write_pj", "leakage_mw", "area_mm2")


def costs(found: Sram) -> tuple[float, ...]:
    return tuple(getattr(found, field) for field in FIELDS)


def row_costs(row: dict[str, str]) -> tuple[float, ...]:
    leakage = float(row["leakage_mw"]) + float(row["gate_leakage_mw"])
    return float(row["read_energy_pj"]), float(row["write_energy_pj"]), leakage, float(row["area_mm2"])


def test_every_table_point_is_exact() -> None:
    assert len(ROWS) == 192
    for row in ROWS:
        found = sram(int(row["capacity_bytes"]), int(row["width_bits"]), int(row["node_nm"]), row["device"])
        assert costs(found) == row_costs(dict(row))
        assert (found.banks_wide, found.banks_deep) == (1, 1)
        assert found.bank_bytes == int(row["capacity_bytes"])


def test_every_node_and_device_has_its_supply() -> None:
    assert {(int(row["node_nm"]), row["device"]) for row in ROWS} == set(POINTS)
    assert all(SUPPLY_V[device][node] > 0 for node, device in POINTS)


def test_table_never_falls_with_capacity() -> None:
    """Area and leakage grow in every column of the table; read energy falls in one place only."""
    falls = []
    for (node, device), width in itertools.product(POINTS, (16, 64, 128, 512)):
        rows = [r for r in ROWS if (int(r["node_nm"]), r["device"], int(r["width_bits"])) == (node, device, width)]
        rows.sort(key=lambda row: int(row["capacity_bytes"]))
        for before, after in itertools.pairwise(rows):
            for field, low, high in zip(FIELDS, row_costs(dict(before)), row_costs(dict(after)), strict=True):
                if high < low:
                    falls.append((node, device, width, int(before["capacity_bytes"]), field))
    assert falls == [(45, "itrs-hp", 16, 65536, "read_pj")]


def test_between_two_capacities() -> None:
    low, middle, high = sram(4096, 64), sram(5793, 64), sram(8192, 64)
    for a, b, c in zip(costs(low), costs(middle), costs(high), strict=True):
        assert a < b < c
        assert b == pytest.approx(math.sqrt(a * c), rel=1e-4)  # 5793 is 4096 x sqrt(2)


def test_between_two_widths() -> None:
    low, middle, high = sram(65536, 128), sram(65536, 256), sram(65536, 512)
    assert middle.read_pj == pytest.approx(math.sqrt(low.read_pj * high.read_pj))
    assert middle.area_mm2 == pytest.approx(math.sqrt(low.area_mm2 * high.area_mm2))
    assert (middle.banks_wide, middle.bank_width_bits) == (1, 256)


def test_small_demands_take_the_smallest_macro() -> None:
    assert costs(sram(1, 1)) == costs(sram(256, 16))
    assert costs(sram(1, 64)) == costs(sram(512, 64))
    assert costs(sram(100, 512)) == costs(sram(4096, 512))
    assert sram(1, 1).bank_bytes == 256
    # Between 64 and 128 bits both need at least 1024 bytes.
    assert sram(1, 100).bank_bytes == 1024


def test_wide_banks_by_hand() -> None:
    # 64 KiB at 2048 bits: 4 banks of 16 KiB x 512 bits, all accessed.
    one, four = sram(16384, 512), sram(65536, 2048)
    assert (four.banks_wide, four.banks_deep, four.bank_bytes, four.bank_width_bits) == (4, 1, 16384, 512)
    assert costs(four) == tuple(4 * value for value in costs(one))
    # 520 bits do not fit in 512: two banks of 260 bits.
    assert (sram(65536, 520).banks_wide, sram(65536, 520).bank_width_bits) == (2, 260)


def test_deep_banks_by_hand() -> None:
    # 300 KiB at 16 bits: two of the largest (128 KiB) and one of 44 KiB; one is accessed.
    largest, rest, found = sram(131072, 16), sram(44 * 1024, 16), sram(300 * 1024, 16)
    assert (found.banks_deep, found.bank_bytes, found.last_bank_bytes) == (3, 131072, 45056)
    assert (found.read_pj, found.write_pj) == (largest.read_pj, largest.write_pj)
    assert found.leakage_mw == pytest.approx(2 * largest.leakage_mw + rest.leakage_mw)
    assert found.area_mm2 == pytest.approx(2 * largest.area_mm2 + rest.area_mm2)


def test_64_mib_at_4096_bits() -> None:
    # 8 wide; 8 MiB each is 4 of the largest macro, 2 MiB.
    largest, found = sram(2 << 20, 512), sram(64 << 20, 4096)
    assert (found.banks_wide, found.banks_deep, found.bank_bytes) == (8, 4, 2 << 20)
    assert found.read_pj == pytest.approx(8 * largest.read_pj)
    assert found.area_mm2 == pytest.approx(32 * largest.area_mm2)
    assert found.leakage_mw == pytest.approx(32 * largest.leakage_mw)


@given(capacity=CAPACITY, width=WIDTH, point=st.sampled_from(POINTS))
def test_never_outside_the_table(capacity: int, width: int, point: tuple[int, str]) -> None:
    node, device = point
    rows = [row_costs(dict(r)) for r in ROWS if (int(r["node_nm"]), r["device"]) == (node, device)]
    found = sram(capacity, width, node, device)
    bank = tuple(value / found.banks_wide for value in costs(found))
    for i, field in enumerate(FIELDS):
        column = [row[i] for row in rows]
        banks = found.banks_deep if field in ("leakage_mw", "area_mm2") else 1
        assert min(column) * 0.999 <= bank[i] <= max(column) * banks * 1.001
    assert found.banks_wide * found.bank_width_bits >= width
    held = (found.banks_deep - 1) * found.bank_bytes + found.last_bank_bytes
    assert found.banks_wide * held >= capacity
    assert 256 <= found.last_bank_bytes <= found.bank_bytes <= 2 << 20


@settings(max_examples=200)
@given(capacity=CAPACITY, more=st.integers(min_value=1, max_value=1 << 20), width=WIDTH, point=st.sampled_from(POINTS))
def test_area_and_leakage_grow_with_capacity(capacity: int, more: int, width: int, point: tuple[int, str]) -> None:
    small, large = sram(capacity, width, *point), sram(capacity + more, width, *point)
    assert large.area_mm2 >= small.area_mm2 * (1 - 1e-12)
    assert large.leakage_mw >= small.leakage_mw * (1 - 1e-12)
    if point != (45, "itrs-hp"):  # the one fall of the table
        assert large.read_pj >= small.read_pj * (1 - 1e-12)
    assert large.write_pj >= small.write_pj * (1 - 1e-12)


def test_nodes_without_cacti_data() -> None:
    at_65, at_90 = sram(65536, 128, 65), sram(65536, 128, 90)
    assert at_90.read_pj == pytest.approx(at_65.read_pj * energy_factor(65, 90))
    assert at_90.area_mm2 == pytest.approx(at_65.area_mm2 * area_factor(65, 90))
    assert at_90.leakage_mw == at_65.leakage_mw
    assert "65 nm scaled to 90 nm" in at_90.source
    at_22 = sram(65536, 128, 22)
    assert costs(sram(65536, 128, 20)) == costs(at_22)
    at_7 = sram(65536, 128, 7)
    assert at_7.read_pj == pytest.approx(at_22.read_pj * energy_factor(20, 7))
    assert sram(65536, 128, 65, "itrs-hp").read_pj == pytest.approx(
        sram(65536, 128, 45, "itrs-hp").read_pj * energy_factor(45, 65)
    )


def test_leakage_scale() -> None:
    assert sram(65536, 128, leakage_scale=0.5).leakage_mw == pytest.approx(0.5 * (0.794863 + 2.85332))


def test_horowitz_anchors_within_four_times() -> None:
    """Other design points (0.9 V, whole caches), so the same order is all that can be asked."""
    for name, capacity in (("sram_8KiB", 8 << 10), ("sram_32KiB", 32 << 10), ("sram_1MiB", 1 << 20)):
        (published,) = (float(r["energy_pj"]) for r in table("operations.csv") if r["operation"] == name)
        found = sram(capacity, 64, 45, "itrs-hp").read_pj
        assert 1 / 4 < found / published < 4
    assert 1 / 4 < sram(8192, 64).read_pj / 10 < 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 64), "capacity_bytes"),
        ((-1, 64), "capacity_bytes"),
        ((1024, 0), "width_bits"),
        ((1024.5, 64), "whole number"),
        ((1024, 64, 28), "130, 90, 65, 45, 32, 22, 20"),
        ((1024, 64, 45, "itrs-lp"), "itrs-lop"),
    ],
)
def test_wrong_arguments(arguments: tuple[int, ...], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        sram(*arguments)
