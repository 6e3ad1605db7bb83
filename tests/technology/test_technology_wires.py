"""Wires against the published table and against CACTI."""

import itertools

import pytest

from archgym.errors import UsageError
from archgym.technology.scaling import nodes
from archgym.technology.tables import table
from archgym.technology.wires import side_mm, wire


def test_published_rows() -> None:
    assert wire(40).pj_per_bit_mm == 310 / 256 / 10
    assert wire(10).pj_per_bit_mm == 200 / 256 / 10
    assert "Keckler" in wire().source


def test_clamped_outside_and_between_inside() -> None:
    assert wire(130) == wire(65) == wire(45) == wire(40)
    assert wire(7) == wire(10)
    assert wire(10).pj_per_bit_mm < wire(20).pj_per_bit_mm < wire(40).pj_per_bit_mm
    for larger, smaller in itertools.pairwise(nodes()):
        assert wire(larger).pj_per_bit_mm >= wire(smaller).pj_per_bit_mm


def test_cacti_agrees_at_equal_supply() -> None:
    """C*V^2 on half of the bits, brought to the published 0.9 V."""
    rows = [row for row in table("wires.csv") if row["source"].startswith("CACTI")]
    assert len(rows) == 8
    for row in rows:
        found = 0.5 * float(row["energy_pj"]) * (0.9 / float(row["voltage_v"])) ** 2
        assert found == pytest.approx(wire(40).pj_per_bit_mm, rel=0.25)


def test_side_and_unknown_node() -> None:
    assert side_mm(4.0) == 2.0
    with pytest.raises(UsageError, match="known nodes: 130"):
        wire(28)
