"""Mapper: against plain enumeration of tiny spaces, against its own exhaustive mode, and its promises one by one."""

from dataclasses import replace
from itertools import permutations, product

import numpy as np
import pytest

from archgym.errors import UnknownNameError, UsageError
from archgym.simulators.accelerator.hardware import Hardware
from archgym.simulators.accelerator.hardware_file import load_hardware
from archgym.simulators.accelerator.hulls import lower_hull
from archgym.simulators.accelerator.levels import FREE, WHOLE, FanOut, MemoryLevel, Store, bounds
from archgym.simulators.accelerator.mapper_trial import ORDERS
from archgym.simulators.accelerator.mapping_search import Violation, decode, map_layer, map_layers, map_network
from archgym.simulators.accelerator.nest import evaluate_batch
from archgym.simulators.accelerator.shapes import unique_shapes
from archgym.workload import load_workload

N, G, K, C, P, Q, R, S = range(8)
SMALL = load_hardware("small")
SPAD, BUFFER, DRAM = SMALL.levels


def layer(stride=1, dilation=1, pad=0, **sizes):
    row = [sizes.get(dim, 1) for dim in "NGKCPQRS"]
    height, width = ((row[P + a] - 1) * stride + (row[R + a] - 1) * dilation + 1 - 2 * pad for a in (0, 1))
    return np.array([*row, stride, stride, dilation, dilation, pad, pad, height, width], np.int64)


def variant(spad_bytes=64, x=4, y=4, buffer_depth=256, may_keep="", spad=None) -> Hardware:
    store = replace(BUFFER.stores[0], depth=buffer_depth)
    inner = replace(SPAD, stores=(replace(SPAD.stores[0], depth=spad_bytes),)) if spad is None else spad
    fanout = replace(BUFFER.fanout, x=x, y=y)
    return replace(SMALL, levels=(inner, replace(BUFFER, stores=(store,), fanout=fanout, may_keep=may_keep), DRAM))


LAYERS = {
    "conv": layer(K=8, C=4, P=6, Q=6, R=3, S=3, pad=1),
    "strided": layer(K=8, C=4, P=4, Q=4, R=3, S=3, stride=2),
    "depthwise": layer(G=8, P=7, Q=7, R=3, S=3, stride=2, pad=1),
    "1x1": layer(K=16, C=16, P=7, Q=7),
    "connected": layer(K=64, C=96),
    "stem": layer(K=8, C=3, P=4, Q=4, R=7, S=7, stride=2, pad=3),
    "gemm": layer(K=24, C=32, P=36),
    "primes": layer(K=13, C=11, P=13, Q=13),
    "batch": layer(N=4, K=32, C=32),
}


def evaluated(row, arrays, codes):
    """Energies and cycles of codes, through the evaluator alone; all must fit."""
    energy, cycles = [], []
    for code in codes:
        loops, tiles = decode(code)
        found = evaluate_batch(row, loops[None], tiles[None], arrays.hw_i, arrays.hw_f, arrays.mac, arrays.bits)
        assert found["fits"][0]
        energy.append(found["out"][0, 0])
        cycles.append(int(found["out"][0, 1]))
    return energy, cycles


# --- the oracle itself -------------------------------------------------------------------------------------------


def splits(n, parts):
    if parts == 1:
        return [(n,)]
    return [(f, *rest) for f in range(1, n + 1) if n % f == 0 for rest in splits(n // f, parts - 1)]


def plain_hull(row, arrays, spatial):
    """Hull over all splits, all permutations of each block and the given spatial loops (dim, bound, kind, level)."""
    levels = len(arrays.hw_i)
    left = [int(size) for size in row[:8]]
    for dim, bound, _, _ in spatial:
        left[dim] = -(-left[dim] // bound)
    mappings, tiles = [], []
    for factors in product(*(splits(size, levels) for size in left)):
        blocks = []
        for level in range(levels):
            active = [d for d in range(8) if factors[d][level] > 1]
            blocks.append(list(permutations(active)) if level else [tuple(active)])
        for chosen in product(*blocks):
            loops, starts = [], [[0] * 3 for _ in range(levels)]
            for level in range(levels - 1, -1, -1):
                starts[level] = [len(loops)] * 3
                loops += [(d, factors[d][level], 0, level) for d in chosen[level]]
                loops += [loop for loop in spatial if loop[3] == level]
            mappings.append(loops)
            tiles.append(starts)
    most = max(map(len, mappings))
    padded = np.array([loops + [(0, 1, 0, 0)] * (most - len(loops)) for loops in mappings], np.int64)
    found = evaluate_batch(row, padded, np.array(tiles), arrays.hw_i, arrays.hw_f, arrays.mac, arrays.bits)
    energy = np.where(found["fits"], found["out"][:, 0], np.inf)
    cycles = found["out"][:, 1].astype(np.int64)
    return energy, cycles


def hull_of(points):
    energy, cycles = (np.concatenate(part) for part in zip(*points, strict=True))
    at = np.empty(len(energy), np.int64)
    at = at[: lower_hull(energy, cycles, at)]
    return energy[at], cycles[at]


@pytest.mark.parametrize(
    "row",
    [
        layer(K=4, C=3, P=4),
        layer(K=2, P=4, R=3, pad=1),
        layer(C=2, P=3, Q=2, R=3),
        layer(N=2, G=3, K=4),
        layer(P=4, Q=3, S=2, K=2, stride=2),
    ],
    ids=["gemm", "rows", "plane", "groups", "strided"],
)  # fmt: skip
def test_optimal_is_the_hull_of_every_split_and_every_order(row):
    # A fan-out of 2 x 1: no spatial loop, a factor of 2 of one dimension, or the imperfect 2 that fills it for a 3.
    arrays = variant(spad_bytes=24, x=2, y=1, buffer_depth=4).arrays()
    points = [plain_hull(row, arrays, [])]
    for dim in range(8):
        if row[dim] % 2 == 0 or (row[dim] > 2 and dim < R):
            points.append(plain_hull(row, arrays, [(dim, 2, 1, 1)]))
    energy, cycles = hull_of(points)
    found = map_layer(row, arrays, mode="optimal", budget=10**9)
    assert found.complete
    assert found.cycles.tolist() == cycles.tolist()
    assert found.energy.tolist() == pytest.approx(energy.tolist(), rel=1e-12)


def test_only_the_innermost_run_of_an_order_matters():
    # W stays put under N P Q, I under K, O under C R S: some order of the table starts with each of them whole.
    for stays in ({N, P, Q}, {K}, {C, R, S}):
        assert any(set(order[: len(stays)]) == stays for order in ORDERS)
    assert all(sorted(order) == list(range(8)) for order in ORDERS)


# --- quality -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hardware", [variant(), variant(96, 3, 5, 128), "eyeriss", "shidiannao", "tpu"])
def test_heuristic_is_close_to_optimal(hardware):
    arrays = (load_hardware(hardware) if isinstance(hardware, str) else hardware).arrays()
    gaps = []
    for row in (LAYERS[name] for name in ("strided", "depthwise", "1x1", "connected", "primes", "batch")):
        best = [
            (found.energy * found.cycles).min()
            for found in (
                map_layer(row, arrays),
                map_layer(row, arrays, mode="optimal", budget=10**9),
            )
        ]
        gaps.append(best[0] / best[1] - 1)
    assert min(gaps) >= 0
    assert sorted(gaps)[-2] < 0.01
    assert max(gaps) < 0.05


def test_larger_budgets_are_never_worse_for_any_weighting():
    arrays = SMALL.arrays()
    for row in (LAYERS["conv"], LAYERS["gemm"]):
        lowest = None
        for budget in (1, 30, 100, 300, 1000, 3000, 10000):
            found = map_layer(row, arrays, budget=budget)
            slopes = 10.0 ** np.arange(-3, 9)
            value = (found.energy[:, None] + slopes * found.cycles[:, None]).min(0)
            assert lowest is None or (value <= lowest).all()
            lowest = value


# --- what comes back ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["eyeriss", "nvdla", "shidiannao", "simba", "small", "tpu"])
def test_costs_are_the_evaluators_and_the_constraints_hold(name):
    hardware = load_hardware(name)
    arrays = hardware.arrays()
    rows = unique_shapes(load_workload("alexnet")).rows
    names = tuple(level.name for level in hardware.levels)
    for row, found in zip(rows, map_layers(rows, arrays, budget=500, level_names=names), strict=True):
        energy, cycles = evaluated(row, arrays, found.codes)
        assert (found.energy.tolist(), found.cycles.tolist()) == (energy, cycles)
        assert len(energy) >= 1
        assert found.violation is None
        assert sorted(cycles) == cycles
        assert sorted(energy, reverse=True) == energy
        for code, mapping in zip(found.codes, found.mappings, strict=True):
            mapping.check(row)
            assert mapping.level_names == names
            assert [a.tolist() for a in mapping.arrays()] == [a.tolist() for a in decode(code)]
            check_constraints(code, arrays)


def check_constraints(code, arrays):
    for level, row in enumerate(code):
        temporal, spatial = row[:8], row[8:24].reshape(2, 8)
        assert (temporal <= np.where(arrays.temporal_max[level] == WHOLE, FREE, arrays.temporal_max[level])).all()
        for axis in range(2):
            most = arrays.spatial_max[level, axis]
            assert (spatial[axis] <= np.where(most == WHOLE, FREE, most)).all()
            assert spatial[axis].prod() <= arrays.hw_i[level, 8 + axis]
        fixed = [d for d in arrays.order_fixed[level].tolist() if d >= 0]
        assert row[24:32].tolist()[: len(fixed)] == fixed
        for v in range(3):
            assert row[32 + v] == (arrays.hw_i[level, 10 + v] == 1) or arrays.hw_i[level, 10 + v] == 2


def test_partial_mappings_come_in_through_the_limits():
    arrays = variant(256, 4, 4, 1024).arrays()
    row = LAYERS["conv"]
    arrays.temporal_max[0, R] = WHOLE  # all of R in the scratchpad
    arrays.temporal_max[1, K] = 2
    arrays.spatial_min[1, 0, C] = 4
    arrays.order_fixed[2, :2] = Q, K
    found = map_layer(row, arrays)
    assert len(found.energy)
    for code in found.codes:
        assert code[0, R] == 3
        assert code[1, K] <= 2
        assert code[1, 8 + C] == 4
        assert code[2, 24:26].tolist() == [Q, K]
    assert found.energy.tolist() == evaluated(row, arrays, found.codes)[0]


def test_same_arguments_same_mappings():
    arrays = SMALL.arrays()
    rows = np.array([LAYERS["conv"], LAYERS["1x1"], LAYERS["conv"]])
    first, _, third = map_layers(rows, arrays)
    alone = map_layer(LAYERS["conv"], arrays)
    for other in (third, alone):
        assert first.codes.tolist() == other.codes.tolist()
        assert first.energy.tolist() == other.energy.tolist()


def test_a_tensor_bypasses_where_that_is_cheaper():
    # Words of W used once by one element gain nothing from a stay in a buffer that costs as much as DRAM.
    dear = replace(BUFFER.stores[0], read_pj=5000.0, write_pj=5000.0)
    hardware = variant()
    levels = (hardware.levels[0], replace(hardware.levels[1], stores=(dear,), may_keep="W"), DRAM)
    found = map_layer(LAYERS["connected"], replace(SMALL, levels=levels).arrays())
    assert found.codes[found.best((1, 0)), 1, 32] == 0


# --- nothing fits ------------------------------------------------------------------------------------------------


def test_violation_names_the_smallest_excess():
    # One word each of W (8 bits), I (8) and O (24) are 40 bits in a shared scratchpad of 4 bytes: 8 too many.
    found = map_layer(LAYERS["conv"], variant(spad_bytes=4).arrays())
    assert len(found.energy) == 0
    assert found.violation == Violation(0, "shared", 8)
    with pytest.raises(UsageError, match="expected one that fits"):
        found.best()
    network = map_network(LAYERS["conv"][None], np.array([2]), variant(spad_bytes=4).arrays())
    assert network.energy == np.inf
    assert network.choice == ()


def test_violation_without_legal_factors():
    arrays = variant().arrays()
    arrays.temporal_max[:, P] = 1
    arrays.spatial_max[:, :, P] = 1
    assert map_layer(LAYERS["conv"], arrays).violation == Violation(-1, "factors", 1)


def test_three_levels_of_registers_name_the_partition():
    spad = MemoryLevel(
        "spad", (Store("regfile", "W", 8, 4), Store("regfile", "I", 8, 4), Store("regfile", "O", 16, 1)), FanOut(1, 1)
    )
    found = map_layer(LAYERS["gemm"], variant(spad=spad).arrays())
    assert found.violation == Violation(0, "O", 8)  # 24 bits of a sum in 16


# --- networks ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("weights", [(1.0, 1.0), (1.0, 0.0), (0.0, 1.0), (1.0, 2.0)])
def test_network_is_the_best_of_all_combinations(weights):
    rows = np.array([LAYERS[name] for name in ("conv", "1x1", "batch", "gemm")])
    repeats = np.array([1, 3, 2, 5])
    arrays = SMALL.arrays()
    found = map_network(rows, repeats, arrays, weights, budget=2000)
    best = np.inf
    for choice in product(*(range(len(one.energy)) for one in found.layers)):
        energy = sum(r * one.energy[k] for r, one, k in zip(repeats, found.layers, choice, strict=True))
        cycles = sum(int(r) * int(one.cycles[k]) for r, one, k in zip(repeats, found.layers, choice, strict=True))
        best = min(best, energy ** weights[0] * float(cycles) ** weights[1])
    assert found.energy ** weights[0] * float(found.cycles) ** weights[1] == pytest.approx(best, rel=1e-12)
    assert len(found.mappings) == 4


# --- errors ------------------------------------------------------------------------------------------------------


def test_errors_say_what_was_expected():
    arrays = SMALL.arrays()
    with pytest.raises(UnknownNameError, match="heuristic"):
        map_layer(LAYERS["conv"], arrays, mode="heuristics")
    with pytest.raises(UsageError, match="at least 1 mapping, got 0"):
        map_layer(LAYERS["conv"], arrays, budget=0)
    with pytest.raises(UsageError, match=r"at most 1000 mappings for the optimal mode, got \d+"):
        map_layer(LAYERS["conv"], arrays, mode="optimal", budget=1000)


def test_bounds_keep_dimensions_out():
    closed = replace(BUFFER.fanout, x_max=bounds(1, K=FREE), y_max=bounds(1, C=FREE))
    hardware = replace(SMALL, levels=(SPAD, replace(BUFFER, fanout=closed), DRAM))
    for code in map_layer(LAYERS["conv"], hardware.arrays()).codes:
        assert code[1, 8:16].tolist() == [1, 1, code[1, 8 + K], 1, 1, 1, 1, 1]
        assert code[1, 16:24].prod() == code[1, 16 + C]
