"""Scaling between nodes against the published table."""

import itertools

import pytest

from archgym.errors import UsageError
from archgym.technology import scaling

PAIRS = list(itertools.product(scaling.nodes(), repeat=2))


def test_published_factors() -> None:
    assert scaling.nodes() == (130, 90, 65, 45, 32, 20, 16, 14, 10, 7)
    assert scaling.area_factor(65, 45) == 0.66
    assert scaling.energy_factor(65, 45) == 0.806
    assert scaling.area_factor(45, 7) == 0.059
    assert scaling.energy_factor(45, 7) == 0.0943


@pytest.mark.parametrize(("start", "end"), PAIRS)
def test_round_trip(start: int, end: int) -> None:
    # The area table is printed with two digits, the energies with four.
    assert scaling.area_factor(start, end) * scaling.area_factor(end, start) == pytest.approx(1, rel=0.05)
    assert scaling.energy_factor(start, end) * scaling.energy_factor(end, start) == pytest.approx(1, rel=0.002)


def test_smaller_node_costs_less() -> None:
    for larger, smaller in itertools.pairwise(scaling.nodes()):
        assert scaling.area_factor(larger, smaller) < 1
        assert scaling.energy_factor(larger, smaller) < 1


@pytest.mark.parametrize(("start", "end"), [(45, 28), (28, 45), (45, 40), (22, 45)])
def test_unknown_node_lists_the_known(start: int, end: int) -> None:
    with pytest.raises(UsageError, match="130, 90, 65, 45, 32, 20, 16, 14, 10, 7"):
        scaling.area_factor(start, end)


def test_nearest_node() -> None:
    assert scaling.nearest_node(7, (65, 45, 32, 22)) == 22
    assert scaling.nearest_node(130, (65, 45)) == 65
    assert scaling.nearest_node(32, (45, 22)) == 45
