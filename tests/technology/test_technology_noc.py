"""Wires over an array of tiles, by hand."""

import itertools

import pytest

from archgym.errors import UsageError
from archgym.technology.arithmetic import multiply_accumulate
from archgym.technology.noc import array_wires
from archgym.technology.scaling import nodes
from archgym.technology.wires import wire


def test_by_hand() -> None:
    # 4 x 2 tiles of 0.25 mm2: pitch 0.5 mm, 2 mm x 1 mm; 310 pJ for 256 bits over 10 mm.
    found = array_wires(4, 2, 0.25)
    assert (found.width_mm, found.height_mm) == (2.0, 1.0)
    assert found.far_pj_per_bit == pytest.approx(310 / 2560 * 1.5)
    assert found.near_pj_per_bit == pytest.approx(310 / 2560 * 0.5)
    assert "Keckler" in found.source
    assert "assumption" in found.source


def test_one_tile_is_one_pitch_away() -> None:
    found = array_wires(1, 1, 0.04)
    assert found.far_pj_per_bit == found.near_pj_per_bit == pytest.approx(0.2 * wire().pj_per_bit_mm)


def test_far_is_the_mean_distance_of_the_tiles() -> None:
    """Mean over all tiles of the rectilinear way from the corner to the middle of the tile, in pitches."""
    columns, rows = 14, 12
    ways = [x + 0.5 + y + 0.5 for x in range(columns) for y in range(rows)]
    found = array_wires(columns, rows, 1.0)
    assert found.far_pj_per_bit == pytest.approx(sum(ways) / len(ways) * found.near_pj_per_bit)


def test_grows_with_the_array_and_the_tile() -> None:
    for small, large in itertools.pairwise([(1, 1, 0.1), (2, 1, 0.1), (2, 3, 0.1), (2, 3, 0.2)]):
        assert array_wires(*large).far_pj_per_bit > array_wires(*small).far_pj_per_bit
    assert array_wires(64, 64, 0.1).near_pj_per_bit == array_wires(1, 1, 0.1).near_pj_per_bit


def test_every_node_scales_as_its_wire() -> None:
    for node in nodes():
        assert array_wires(3, 3, 1.0, node).near_pj_per_bit == pytest.approx(wire(node).pj_per_bit_mm)


def test_eyeriss_lies_between_one_pitch_and_the_mean_distance() -> None:
    """Eyeriss counts 2 multiply-accumulates for a 16-bit word between processing elements (65 nm)."""
    mac = multiply_accumulate(16, 32, 65).energy_pj
    found = array_wires(14, 12, 0.05, 65)  # 168 elements on about 8 of the core's 12.25 mm2
    assert 16 * found.near_pj_per_bit < 2 * mac < 16 * found.far_pj_per_bit


def test_tiles_without_area_have_no_wires() -> None:
    assert array_wires(4, 4, 0.0).far_pj_per_bit == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 2, 1.0), "columns must be at least 1, got 0"),
        ((2, 1.5, 1.0), "rows must be a whole number"),
        ((2, 2, -1.0), "not negative, got -1.0"),
        ((2, 2, float("nan")), "finite"),
        ((2, 2, 1.0, 28), "known nodes: 130"),
    ],
)
def test_wrong_arguments(arguments: tuple[int, int, float], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        array_wires(*arguments)
