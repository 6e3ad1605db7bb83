"""Hulls against their definition in exact fractions, and the network optimum against all combinations of mappings."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from archgym.errors import UsageError
from archgym.simulators.accelerator.hulls import (
    CAPACITY,
    OBJECTIVES,
    hull_insert,
    lower_hull,
    network_optima,
    network_optimum,
    sweep,
)

WEIGHTS = tuple(OBJECTIVES.values())

# Small integers give ties, duplicates and collinear points; tenths give points that are almost collinear, on a side
# that float64 products do not tell; large cycles are those that float64 does not hold.
TIES = st.tuples(st.integers(0, 6).map(float), st.integers(0, 6))
TENTHS = st.tuples(st.integers(1, 12).map(lambda n: n * 0.1), st.integers(1, 12))
LARGE = st.tuples(st.floats(1e-3, 1e15), st.one_of(st.integers(0, 2**62), st.integers(2**61, 2**61 + 3)))
POINTS = st.one_of(*(st.lists(kind, min_size=1, max_size=14) for kind in (TIES, TENTHS, LARGE)))


def arrays(points):
    return np.array([e for e, _ in points], float), np.array([d for _, d in points], np.int64)


def hull_of(points):
    out = np.full(len(points), -7, np.int64)
    return out[: lower_hull(*arrays(points), out)].tolist()


def by_definition(points):
    """Fewest cycles first: not dominated, the first of its equals, strictly below every chord of two others."""
    exact = [(Fraction(e), Fraction(d)) for e, d in points]
    vertices = []
    for i, (e, d) in enumerate(exact):
        others = [(f, c, k) for k, (f, c) in enumerate(exact) if k != i]
        dominated = any(f <= e and c <= d and ((f, c) != (e, d) or k < i) for f, c, k in others)
        above = any(
            a[1] < d < b[1] and a[0] + (b[0] - a[0]) * (d - a[1]) / (b[1] - a[1]) <= e
            for a, b in itertools.permutations(others, 2)
        )
        if not dominated and not above:
            vertices.append(i)
    return sorted(vertices, key=lambda i: points[i][1])


class Streamed:
    """A hull that is built point by point."""

    def __init__(self, capacity=CAPACITY):
        self.energy, self.cycles = np.full(capacity + 1, np.nan), np.full(capacity + 1, -1, np.int64)
        self.id, self.m = np.full(capacity + 1, -1, np.int64), 0

    def insert(self, energy, cycles, identity):
        self.m = hull_insert(self.energy, self.cycles, self.id, self.m, energy, cycles, identity)

    @property
    def state(self):
        return [list(zip(self.energy, self.cycles, self.id, strict=True))[: self.m], self.m]

    @property
    def ids(self):
        return self.id[: self.m].tolist()


# ---- the hull of one layer -----------------------------------------------------------------------------------


def test_a_hull_by_hand():
    #          inside    vertex     on edge 1-3  vertex   vertex    dominated  1 again   slower than 4
    points = [(6.0, 4), (10.0, 1), (7.5, 2), (5.0, 3), (4.0, 6), (9.0, 7), (10.0, 1), (4.0, 9)]
    assert hull_of(points) == [1, 3, 4]


@given(POINTS)
@example([(0.3, 1), (0.2, 2), (0.1, 3)])  # float64 0.2 lies above the middle of 0.1 and 0.3, by 3e-18
@example([(0.3, 1), (0.19999999999999998, 2), (0.1, 3)])
@example([(3.0, 2**61), (2.0, 2**61 + 1), (1.0, 2**61 + 2)])
@settings(max_examples=150, deadline=None)
def test_hull_is_its_definition(points):
    assert hull_of(points) == by_definition(points)


def test_hull_where_float64_does_not_tell():
    """The middle one of three points is the float64 next to the chord, or beside that; cycles of up to 61 bits."""
    rng = np.random.default_rng(1)
    sides, misled = set(), 0
    for _ in range(300):
        d0, d1, d2 = np.sort(rng.integers(0, 2 ** rng.integers(3, 61), 3) * 2 + [0, 1, 2]).tolist()
        e0, e2 = np.sort(10 ** rng.uniform(0, 3, 2))[::-1].tolist()
        chord = Fraction(e0) + (Fraction(e2) - Fraction(e0)) * (d1 - d0) / (d2 - d0)
        for e1 in (float(chord), np.nextafter(float(chord), 0).item(), np.nextafter(float(chord), 1e9).item()):
            if not d0 < d1 < d2 or not e0 > e1 > e2:
                continue
            below = Fraction(e1) < chord
            sides.add(below)
            misled += ((e1 - e0) * (d2 - d1) < (e2 - e1) * (d1 - d0)) != below
            assert hull_of([(e0, d0), (e1, d1), (e2, d2)]) == ([0, 1, 2] if below else [0, 2])
    assert sides == {True, False}
    assert misled > 50  # so often float64 products are on the wrong side


@given(POINTS, st.randoms(use_true_random=False))
@settings(max_examples=150, deadline=None)
def test_streamed_hull_is_the_hull_of_all_points_in_any_order(points, random):
    order = list(range(len(points)))
    random.shuffle(order)
    hull = Streamed()
    for i in order:
        hull.insert(*points[i], i)
    assert hull.ids == hull_of(points)
    assert [(e, d) for e, d, _ in hull.state[0]] == [points[i] for i in hull.ids]


def test_long_streams_with_every_prefix():
    # A cloud over a hyperbola: vertices come and go in the middle of the hull, several at a time.
    rng = np.random.default_rng(0)
    cycles = rng.integers(1, 300, 600)
    energy = np.round(1e5 / cycles * rng.uniform(1, 1.5, 600))
    hull, out, grown = Streamed(), np.empty(600, np.int64), 0
    for n in range(600):
        before = hull.m
        hull.insert(energy[n], cycles[n], n)
        grown = max(grown, before + 1 - hull.m)
        assert hull.ids == out[: lower_hull(energy[: n + 1], cycles[: n + 1], out)].tolist()
    assert hull.m > 12
    assert grown >= 3  # one point pushed off three


def test_points_that_change_nothing():
    hull = Streamed()
    for i, point in enumerate([(10.0, 1), (5.0, 3), (4.0, 6)]):
        hull.insert(*point, i)
    before = hull.state
    # dominated, above a chord, on a chord, equal, beyond the end with equal energy, no point at all
    for point in [(11.0, 1), (6.0, 4), (7.5, 2), (5.0, 3), (4.0, 7), (math.nan, 0), (math.inf, 0), (-math.inf, 9)]:
        hull.insert(*point, 9)
        assert hull.state == before, point
    hull.insert(5.0, 3, -1)  # but of equal points the lowest identity stays
    assert hull.ids == [0, -1, 2]


def test_rows_without_a_mapping_are_no_points():
    assert hull_of([(math.nan, 1), (math.inf, 2)]) == []
    assert hull_of([(math.nan, 1), (3.0, 2), (math.inf, 0)]) == [1]


def test_a_full_hull_gives_up_the_vertex_that_is_missed_least():
    # Cycles 0, 1, 3, 4 with energies 16, 8, 2, 1. Chord over cycle 1: 16 - 14/3 = 11.33, g = 0.42; over cycle 3:
    # 8 - 7 * 2/3 = 3.33, g = 0.67. So cycle 1 goes, although it was there before the one that makes the hull full.
    points = [(16.0, 0), (8.0, 1), (1.0, 4), (2.0, 3)]
    hull = Streamed(3)
    for i, point in enumerate(points):
        hull.insert(*point, i)
    assert hull.ids == [0, 3, 2]
    # Energies 8, 4, 2, 1: g = 5 / 4 - 1 = 2.5 / 2 - 1 for both. Of equals the one of fewer cycles goes.
    hull = Streamed(3)
    for i, point in enumerate([(8.0, 0), (4.0, 1), (2.0, 2), (1.0, 3)]):
        hull.insert(*point, i)
    assert hull.ids == [0, 2, 3]
    # The ends stay: of three vertices the middle one goes.
    hull = Streamed(2)
    for i, point in enumerate([(8.0, 0), (4.0, 1), (1.0, 2)]):
        hull.insert(*point, i)
    assert hull.ids == [0, 2]


@given(st.lists(st.tuples(st.floats(0.5, 2.0), st.integers(1, 60)), min_size=8, max_size=40), st.integers(2, 5))
@settings(max_examples=60, deadline=None)
def test_what_a_full_hull_loses_is_bounded(scatter, capacity):
    """The ends are exact, the hull stays convex, and every lambda-optimum is within the product of the 1 + g."""
    points = [(scale * 100.0 / d, d) for scale, d in scatter]
    hull, full, allowed = Streamed(capacity), False, 1.0
    for i, point in enumerate(points):
        wider = Streamed(capacity + 1)
        wider.energy[: hull.m], wider.cycles[: hull.m] = hull.energy[: hull.m], hull.cycles[: hull.m]
        wider.id[: hull.m], wider.m = hull.id[: hull.m], hull.m
        wider.insert(*point, i)
        hull.insert(*point, i)
        assert hull.m == min(wider.m, capacity)
        if wider.m > capacity:  # what the stated rule gives up, from the hull before it was cut
            full = True
            kept, gaps = wider.state[0], []
            for (e0, d0, _), (e1, d1, _), (e2, d2, _) in zip(kept, kept[1:], kept[2:], strict=False):
                gaps.append((e0 + (e2 - e0) * float(d1 - d0) / float(d2 - d0)) / e1 - 1)
            lost = ({k[2] for k in kept} - set(hull.ids)).pop()
            g = gaps[[k[2] for k in kept].index(lost) - 1]
            assert g <= min(gaps) + 1e-12
            allowed *= 1 + g
    exact = hull_of(points)
    assert (hull.ids[0], hull.ids[-1]) == (exact[0], exact[-1])
    assert full or hull.ids == exact
    assert hull_of([points[i] for i in hull.ids]) == list(range(hull.m))
    for slope in (0.0, 0.01, 0.1, 1.0, 3.0, 10.0, 100.0):
        least = min(e + slope * d for e, d in points)
        assert min(points[i][0] + slope * points[i][1] for i in hull.ids) <= least * allowed * (1 + 1e-12)


# ---- the network ---------------------------------------------------------------------------------------------


def all_networks(layers, repeats):
    """(E, D) of every combination of one point a layer; float64, so exact where all numbers are small integers."""
    energy, delay = np.zeros(1), np.zeros(1)
    for points, runs in zip(layers, repeats, strict=True):
        e, d = arrays(points)
        energy, delay = np.add.outer(energy, runs * e).ravel(), np.add.outer(delay, runs * d.astype(float)).ravel()
    return energy, delay


def least(layers, repeats, weights):
    """Minimum of E^a D^b over all combinations."""
    energy, delay = all_networks(layers, repeats)
    return (energy ** weights[0] * delay ** weights[1]).min()


def solve(layers, repeats, weights=WEIGHTS):
    """The optima, checked to be what their choice costs."""
    optima = network_optima([arrays(layer) for layer in layers], repeats, weights)
    for optimum in optima:
        chosen = [layer[i] for layer, i in zip(layers, optimum.choice, strict=True)]
        assert optimum.cycles == sum(r * d for r, (_, d) in zip(repeats, chosen, strict=True))
        assert optimum.energy == pytest.approx(sum(r * e for r, (e, _) in zip(repeats, chosen, strict=True)), rel=1e-14)
    return optima


NETWORKS = st.integers(1, 4).flatmap(
    lambda n: st.tuples(
        st.lists(st.lists(TIES, min_size=1, max_size=6), min_size=n, max_size=n),
        st.lists(st.integers(1, 4), min_size=n, max_size=n),
    )
)


@given(NETWORKS)
@settings(max_examples=120, deadline=None)
def test_optimum_over_all_integer_points_is_exact(network):
    """All combinations of all points, not of hull vertices; integers give real ties, and zeros."""
    layers, repeats = network
    for (a, b), optimum in zip(WEIGHTS, solve(layers, repeats), strict=True):
        assert optimum.energy**a * optimum.cycles**b == least(layers, repeats, (a, b))


@pytest.mark.parametrize("seed", range(24))
def test_optimum_over_all_random_points(seed):
    """Clouds over hyperbolas, over planes and over nothing; layers of sizes that differ by 1000."""
    rng = np.random.default_rng(seed)
    n = 1 + seed % 4
    layers, repeats = [], rng.integers(1, 9, n).tolist()
    for _ in range(n):
        cycles = rng.integers(1, 50, 7 if n == 4 else 11) * int(10 ** rng.uniform(0, 3))
        scale = 10 ** rng.uniform(0, 3)
        shape = [cycles.max() / cycles, 2 - cycles / cycles.max(), np.ones(len(cycles))][seed // 4 % 3]
        energy = scale * shape * rng.uniform(1, 1.3, len(cycles))
        layers.append(list(zip(energy.tolist(), cycles.tolist(), strict=True)))
    weights = (*WEIGHTS, (2, 1), (1, 3))
    for (a, b), optimum in zip(weights, solve(layers, repeats, weights), strict=True):
        assert optimum.energy**a * optimum.cycles**b == pytest.approx(least(layers, repeats, (a, b)), rel=1e-12)


def test_fractional_exponents():
    """E^0.5 D orders networks as E D^2 does."""
    rng = np.random.default_rng(5)
    points = [(rng.uniform(1, 9, 8), rng.integers(1, 99, 8)) for _ in range(6)]
    half, whole = network_optima(points, [1, 2, 3, 1, 2, 3], [(0.5, 1), (1, 2)])
    assert half == whole


def test_network_edp_is_not_made_of_the_layers_own_optima():
    # Layer A alone: 10 * 10 = 100 < 6 * 18 = 108. Beside B (100 pJ, 1000 cycles) cycles hardly count and A's energy
    # does: 106 * 1018 = 107908 < 110 * 1010 = 111100.
    a, b = [(10.0, 10), (6.0, 18)], [(100.0, 1000)]
    assert solve([a], [1])[2].choice == (0,)
    assert solve([a, b], [1, 1])[2].choice == (1, 0)


def test_latency_and_energy_take_the_ends_and_break_ties_by_the_other():
    layers = [[(9.0, 2), (7.0, 2), (3.0, 5), (3.0, 4)], [(8.0, 1), (2.0, 2), (1.0, 9)]]
    latency, energy, *_ = solve(layers, [2, 3])
    assert (latency.choice, latency.energy, latency.cycles) == ((1, 0), 2 * 7 + 3 * 8.0, 2 * 2 + 3 * 1)
    assert (energy.choice, energy.energy, energy.cycles) == ((3, 2), 2 * 3 + 3 * 1.0, 2 * 4 + 3 * 9)


def test_ties_take_fewest_cycles_then_the_lowest_index():
    # 8 * 2 = 2 * 8 = 16 is the least; 5 * 5 = 25 between them. The vertex (4, 1) comes twice.
    layer = [(1.0, 4), (4.0, 1), (4.0, 1)]
    optimum = solve([layer, layer], [1, 1])[2]
    assert (optimum.choice, optimum.energy, optimum.cycles) == ((1, 1), 8.0, 2)


def test_one_sweep_serves_every_objective():
    rng, cycles = np.random.default_rng(3), np.arange(1, 30)
    # E = 100 / d^3 + 1: E d is least at d = 200^(1/3) = 5.8, E d^2 at 50^(1/3) = 3.7 (a layer alone, without noise).
    layers = [(rng.uniform(1, 1.2, 29) * (100.0 / cycles**3 + 1), cycles) for _ in range(5)]
    together = network_optima(layers, [1, 2, 3, 4, 5], WEIGHTS)
    assert together == tuple(network_optimum(layers, [1, 2, 3, 4, 5], weights) for weights in WEIGHTS)
    assert len({optimum.choice for optimum in together}) == 4  # they do differ
    delays = {name: optimum.cycles for name, optimum in zip(OBJECTIVES, together, strict=True)}
    assert delays["latency"] < delays["ed2p"] < delays["edp"] < delays["energy"]


@pytest.mark.parametrize("seed", range(6))
def test_another_mapping_for_each_run_gains_nothing(seed):
    """A layer that runs three times against three layers that may differ: the reason why repeats share a mapping."""
    rng = np.random.default_rng(seed)
    layer = arrays([(float(e), int(d)) for e, d in zip(rng.integers(1, 40, 9), rng.integers(1, 40, 9), strict=True)])
    other = arrays([(float(e), int(d)) for e, d in zip(rng.integers(1, 90, 9), rng.integers(1, 90, 9), strict=True)])
    for weights in WEIGHTS:
        together = network_optimum([layer, other], [3, 1], weights)
        apart = network_optimum([layer, layer, layer, other], [1, 1, 1, 1], weights)
        assert (together.energy, together.cycles) == (apart.energy, apart.cycles)


@pytest.mark.parametrize(("factor", "last"), [(1 - 1e-7, 0), (1 + 1e-7, 1)])
def test_many_layers_lose_no_precision(factor, last):
    """80 layers save 1e12 each: float64 keeps 0.01 of the running sum at the start, and the end must still be exact."""
    # When the 80 edges are taken, E = 111.6 + x in 160 + d cycles. The last layer offers (x, d) = (1, 101) or one
    # cycle and a little more or less than makes E D equal: an error of 0.01 in 111.6 would turn that over.
    points = [(np.array([1e12, 1 + i / 100]), np.array([1, 2])) for i in range(80)]
    rest = sum(1 + i / 100 for i in range(80))
    slow = (1.0, 101)
    fast = ((rest + slow[0]) * (160 + slow[1]) / (160 + 1) * factor - rest, 1)
    optimum = network_optimum([*points, arrays([fast, slow])], [1] * 81, (1, 1))
    assert optimum.choice == (1,) * 80 + (last,)


def test_cycles_are_int64_throughout():
    """2^60 + 1 cycles: float64 would round it, and the totals."""
    points = [(np.array([1.0, 2.0]), np.array([2**60 + 1, 2**60])), (np.array([1.0]), np.array([1]))]
    assert network_optimum(points, [3, 1], (1, 0)).cycles == 3 * 2**60 + 4
    latency = network_optimum(points, [3, 1], (0, 1))
    assert (latency.choice, latency.cycles) == ((1, 0), 3 * 2**60 + 1)


def test_kernel_on_padded_arrays():
    """What stands behind a row's hull is never read; 1 + edges networks are looked at; no vertex, no network."""
    energy = np.array([[5.0, 2.0, np.nan], [7.0, np.nan, np.nan], [9.0, 4.0, 3.0]])
    cycles = np.array([[1, 2, -1], [3, -1, -1], [1, 2, 8]])
    sizes, repeats, weights = np.array([2, 1, 3]), np.array([1, 1, 2]), np.array([[1.0, 1.0]])
    choice, e, d = np.full((1, 3), -1), np.empty(1), np.empty(1, np.int64)
    assert sweep(energy, cycles, sizes, repeats, weights, choice, e, d) == 1 + 1 + 0 + 2
    # E D along the walk: 30 * 6, 20 * 8 (layer 2 saves 5 a cycle), 17 * 9 (layer 0 saves 3), 15 * 21.
    assert (choice.tolist(), e[0], d[0]) == ([[1, 0, 1]], 17.0, 9)
    sizes[1] = 0
    assert sweep(energy, cycles, sizes, repeats, weights, choice, e, d) == 0
    assert (choice.tolist(), e[0], d[0]) == ([[1, 0, 1]], 17.0, 9)


@pytest.mark.parametrize(
    ("points", "repeats", "weights", "message"),
    [
        ([], [], (1, 1), "one per layer and a layer"),
        ([([1.0], [1])], [1, 1], (1, 1), "one per layer"),
        ([([1.0], [1])], [0], (1, 1), "integers >= 1"),
        ([([1.0], [1])], [1.5], (1, 1), "integers >= 1"),
        ([([1.0], [1]), ([1.0, 2.0], [1])], [1, 1], (1, 1), r"points\[1\].*\(2,\)"),
        ([([1.0], [1.5])], [1], (1, 1), r"points\[0\].*integer cycles"),
        ([([-1.0], [1])], [1], (1, 1), r"points\[0\].*energy >= 0"),
        ([([1.0], [2**62 + 1])], [1], (1, 1), r"points\[0\].*2\*\*62"),
        ([([math.nan], [1])], [1], (1, 1), r"points\[0\].*got none"),
        ([([1.0], [2**62])], [2], (1, 1), r"below 2\*\*63"),
        ([([1.0], [1])], [1], (0, 0), "not both 0"),
        ([([1.0], [1])], [1], (-1, 1), "0 ... 8"),
        ([([1.0], [1])], [1], (math.nan, 1), "0 ... 8"),
        ([([1.0], [1])], [1], (1, 9), "0 ... 8"),
    ],
)
def test_wrong_input_is_named(points, repeats, weights, message):
    points = [(np.array(e), np.array(d)) for e, d in points]
    with pytest.raises(UsageError, match=message):
        network_optimum(points, repeats, weights)
