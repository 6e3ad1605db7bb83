"""Memory macros: sums by hand, monotony, published ratios."""

import itertools
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archgym.errors import UnknownNameError, UsageError
from archgym.technology.arithmetic import multiply_accumulate, operation
from archgym.technology.logic import gate2, mux2
from archgym.technology.macros import (
    Macro,
    address_bits,
    banked_sram,
    register_file,
    smart_buffer,
    sram_macro,
)
from archgym.technology.registers import register
from archgym.technology.scaling import nodes
from archgym.technology.sram import sram
from archgym.technology.tables import table
from archgym.technology.wires import wire

FIELDS = ("read_pj", "write_pj", "leakage_mw", "area_mm2")
NODES = st.sampled_from(nodes())


def costs(found: Macro) -> tuple[float, ...]:
    return tuple(getattr(found, field) for field in FIELDS)


def test_address_bits() -> None:
    assert [address_bits(depth) for depth in (1, 2, 3, 4, 5, 1024, 1025)] == [0, 1, 2, 2, 3, 10, 11]


def test_register_file_by_hand() -> None:
    """8 rows of 16 bits: 136 flip-flops (a clock gate a row), 7 x 16 multiplexers, 14 decoder gates."""
    bit, mux, gate = register(), mux2(), gate2()
    area_um2 = 136 * bit.area_um2 + 112 * mux.area_um2 + 14 * gate.area_um2
    wires = (16 + 3) * (area_um2**0.5 * 1e-3) * wire().pj_per_bit_mm
    found = register_file(8, 16)
    assert found.area_mm2 == pytest.approx(area_um2 * 1e-6)
    assert found.read_pj == pytest.approx(16 * (bit.read_pj + 3 * mux.energy_pj) + wires)
    assert found.write_pj == pytest.approx(17 * bit.write_pj + 6 * gate.energy_pj + wires)
    leakage = 136 * bit.leakage_mw + 112 * mux.leakage_mw + 14 * gate.leakage_mw
    assert found.leakage_mw == pytest.approx(leakage)


def test_one_row_is_a_register_and_its_clock_gate() -> None:
    found, bit = register_file(1, 32), register()
    assert found.area_mm2 == pytest.approx(33 * bit.area_um2 * 1e-6)
    assert found.leakage_mw == pytest.approx(33 * bit.leakage_mw)
    # 14 um of wire beside 32 bits: little more than the register itself.
    assert 32 * bit.read_pj < found.read_pj < 1.25 * 32 * bit.read_pj


@given(
    depth=st.integers(1, 65535),
    width=st.integers(1, 1024),
    more=st.tuples(st.integers(1, 65535), st.integers(1, 1024)),
    node=NODES,
)
def test_register_file_grows_with_depth_and_width(depth: int, width: int, more: tuple[int, int], node: int) -> None:
    small = register_file(depth, width, node)
    deeper = register_file(min(depth + more[0], 65536), width, node)
    wider = register_file(depth, width + more[1], node)
    for field, value in zip(FIELDS, costs(small), strict=True):
        assert 0 < value < getattr(deeper, field)
        assert value < getattr(wider, field)


def test_plain_sram_is_the_table() -> None:
    # 100 words of 12 bits are 150 bytes.
    for depth, width, nbytes in ((1024, 64, 8192), (100, 12, 150), (3, 3, 2)):
        expected = sram(nbytes, width, 32, "itrs-hp", 0.5)
        found = sram_macro(depth, width, 32, "itrs-hp", 0.5)
        assert costs(found) == tuple(getattr(expected, field) for field in FIELDS)


@pytest.mark.parametrize("node", [65, 45, 32, 22, 7])
def test_sram_grows_with_depth_and_its_energy_and_area_with_width(node: int) -> None:
    """itrs-lop. Leakage may fall with width (CACTI picks other organisations), by 11 % at most."""
    depths, widths = [2**k for k in range(1, 17)], [8, 16, 32, 64, 128, 256, 512]
    for width in widths:
        for small, large in itertools.pairwise(sram_macro(depth, width, node) for depth in depths):
            assert all(a <= b for a, b in zip(costs(small), costs(large), strict=True))
    for depth in depths:
        for narrow, wide in itertools.pairwise(sram_macro(depth, width, node) for width in widths):
            assert narrow.read_pj <= wide.read_pj
            assert narrow.write_pj <= wide.write_pj
            assert narrow.area_mm2 <= wide.area_mm2
            assert 0.89 * narrow.leakage_mw <= wide.leakage_mw


def test_counters_by_hand() -> None:
    """1024 words: a 10-bit adder and 10 register bits for each of two ports."""
    plain, buffer = sram_macro(1024, 16), smart_buffer(1024, 16, "sram")
    adder, bit = operation("int_add", 10), register()
    step = adder.energy_pj + 10 * bit.write_pj
    assert buffer.read_pj - plain.read_pj == pytest.approx(step)
    assert buffer.write_pj - plain.write_pj == pytest.approx(step)
    assert buffer.area_mm2 - plain.area_mm2 == pytest.approx(2e-6 * (adder.area_um2 + 10 * bit.area_um2))
    assert buffer.leakage_mw - plain.leakage_mw == pytest.approx(2 * (adder.leakage_mw + 10 * bit.leakage_mw))


def test_narrow_counters_take_the_8_bit_adder() -> None:
    plain, buffer = register_file(16, 8), smart_buffer(16, 8, "regfile")
    assert buffer.read_pj - plain.read_pj == pytest.approx(0.03 + 4 * register().write_pj)
    assert costs(smart_buffer(1, 8, "regfile")) == costs(register_file(1, 8))  # one word needs no address


def test_a_counter_costs_about_as_much_as_a_published_one() -> None:
    """32 bits: 0.39 pJ and 328 um2 beside 0.25 pJ and 496 um2: another design, so within a factor of 2."""
    (row,) = (row for row in table("logic.csv") if row["circuit"] == "counter")
    adder, bit = operation("int_add", 32), register()
    assert 1 / 2 < (adder.energy_pj + 32 * bit.write_pj) / float(row["energy_pj"]) < 2
    assert 1 / 2 < (adder.area_um2 + 32 * bit.area_um2) / float(row["area_um2"]) < 2


def test_one_bank_is_plain_sram() -> None:
    assert banked_sram(4096, 64) == sram_macro(4096, 64)


def test_banks_by_hand() -> None:
    """4 banks of 1024 x 64 bits: 3 x 64 multiplexers and 6 gates between them; 64 + 10 bits travel one side."""
    bank, mux, gate, found = sram_macro(1024, 64), mux2(), gate2(), banked_sram(4096, 64, 4)
    area_mm2 = 4 * bank.area_mm2 + (192 * mux.area_um2 + 6 * gate.area_um2) * 1e-6
    wires = 74 * area_mm2**0.5 * wire().pj_per_bit_mm
    assert found.area_mm2 == pytest.approx(area_mm2)
    assert found.leakage_mw == pytest.approx(4 * bank.leakage_mw + 192 * mux.leakage_mw + 6 * gate.leakage_mw)
    # Two select bits: two multiplexers a bit when reading; one decoder path off and one on.
    assert found.write_pj == pytest.approx(bank.write_pj + wires + 4 * gate.energy_pj)
    assert found.read_pj - found.write_pj == pytest.approx(bank.read_pj - bank.write_pj + 64 * 2 * mux.energy_pj)


def test_trade_off_of_banks() -> None:
    """4 KiB at 64 bits: the banks shrink to the smallest macro of the table, so area and leakage grow without end."""
    found = [banked_sram(512, 64, 2**k) for k in range(10)]
    for few, many in itertools.pairwise(found[3:]):
        assert few.area_mm2 < many.area_mm2
        assert few.leakage_mw < many.leakage_mw
    # 512 KiB: 64 banks read for less than one macro, 2 banks (longer wires, banks hardly cheaper) for more.
    one, two, many = (banked_sram(65536, 64, banks) for banks in (1, 2, 64))
    assert many.read_pj < one.read_pj < two.read_pj
    assert one.leakage_mw < many.leakage_mw


def test_banks_that_do_not_divide_the_depth_hold_all_of_it() -> None:
    assert costs(banked_sram(1000, 64, 3)) == costs(banked_sram(1002, 64, 3))


def test_eyeriss_order() -> None:
    """Eyeriss (65 nm, 16 bits): multiply-accumulate 1, register file of 0.5 kB 1, buffer of 100 kB 6.

    Ours: 1, 1.13 and 6.3 a word (four words an access of 64 bits).
    """
    mac = multiply_accumulate(16, 32, 65).energy_pj
    file = register_file(256, 16, 65).read_pj / mac
    buffer = sram_macro(12800, 64, 65).read_pj / 4 / mac
    assert 1 < file < buffer
    assert 1 / 2 < file / 1 < 2
    assert 1 / 2 < buffer / 6 < 2
    assert buffer < sram_macro(51200, 16, 65).read_pj / mac  # a narrow port pays for every word


def test_horowitz_8_kib() -> None:
    """10 pJ for 64 bits of an 8 KiB cache at 0.9 V, 45 nm; a macro alone at 0.7 and 1.0 V: same order."""
    for device in ("itrs-lop", "itrs-hp"):
        assert 1 / 4 < sram_macro(1024, 64, 45, device).read_pj / 10 < 4


@given(node=NODES, scale=st.floats(0, 4))
def test_every_node_and_leakage_scale(node: int, scale: float) -> None:
    for scaled, plain in (
        (register_file(32, 16, node, scale), register_file(32, 16, node)),
        (smart_buffer(32, 16, "sram", node, "itrs-lop", scale), smart_buffer(32, 16, "sram", node)),
        (banked_sram(2048, 16, 4, node, "itrs-lop", scale), banked_sram(2048, 16, 4, node)),
    ):
        assert scaled.leakage_mw == pytest.approx(scale * plain.leakage_mw)
        assert (scaled.read_pj, scaled.write_pj, scaled.area_mm2) == (plain.read_pj, plain.write_pj, plain.area_mm2)


def test_smaller_nodes_cost_less() -> None:
    for build in (
        lambda node: register_file(128, 16, node),
        lambda node: smart_buffer(128, 16, "regfile", node),
        lambda node: smart_buffer(2048, 16, "sram", node, "itrs-hp"),
        lambda node: banked_sram(65536, 64, 8, node, "itrs-hp"),
    ):
        for larger, smaller in itertools.pairwise(build(node) for node in (130, 90, 65, 45, 20, 16, 14, 10, 7)):
            assert smaller.read_pj < larger.read_pj
            assert smaller.area_mm2 < larger.area_mm2


def test_sources_are_named() -> None:
    assert "Aladdin" in register_file(8, 8).source
    assert "Keckler" in register_file(8, 8).source
    for name in ("CACTI", "Horowitz", "Aladdin"):
        assert name in smart_buffer(64, 8).source
    assert "Keckler" in banked_sram(64, 8, 2).source


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: register_file(0, 8), UsageError, "depth must be 1 to 65536, got 0"),
        (lambda: register_file(65537, 8), UsageError, "depth must be 1 to 65536, got 65537"),
        (lambda: register_file(8, 0), UsageError, "width_bits must be at least 1, got 0"),
        (lambda: register_file(8.0, 8), UsageError, "depth must be a whole number, got 8.0"),
        (lambda: register_file(8, 8, 28), UsageError, "known nodes"),
        (lambda: sram_macro(0, 8), UsageError, "depth must be at least 1"),
        (lambda: sram_macro(8, 8, 45, "itrs-lp"), UnknownNameError, "itrs-lop"),
        (lambda: smart_buffer(8, 8, "flash"), UnknownNameError, "regfile"),
        (lambda: banked_sram(8, 8, 9), UsageError, "banks must be 1 to 8, got 9"),
        (lambda: banked_sram(8, 8, 0), UsageError, "banks must be 1 to 8, got 0"),
    ],
)
def test_wrong_arguments(build: Callable[[], Macro], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        build()
