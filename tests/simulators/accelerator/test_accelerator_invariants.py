"""What must hold for every mapping of every layer: random mappings of real layers, no reference needed.

Sources: conservation and order of counts follow from the definition of a count (Parashar et al., ISPASS 2019); the
lower bound on a matrix product's traffic is that of Smith et al., "A tight I/O lower bound for matrix
multiplication", 2019 (arXiv:1702.02017).
"""

from functools import cache
from math import prod
from typing import NamedTuple

import numpy as np
import pytest

from archgym.simulators.accelerator import nest
from archgym.simulators.accelerator.nest import (
    DRAINS,
    FILLS,
    INPUT,
    OUTPUT,
    READS,
    TILE,
    UPDATES,
    WEIGHT,
    C,
    G,
    K,
    N,
    P,
    Q,
    R,
    S,
)

FEW, MANY = 10, 250  # mappings of each layer on each machine: 10,000 in all in the slow tests
RELEVANT = ({G, K, C, R, S}, {N, G, C, P, Q, R, S}, {N, G, K, P, Q})


def row(n, g, k, c, p, q, r, s, stride=1, pad=0, dilation=1):
    """A layer whose input has the rows and columns that these outputs with this padding come from."""
    extent = [(p - 1) * stride + (r - 1) * dilation + 1 - 2 * pad, (q - 1) * stride + (s - 1) * dilation + 1 - 2 * pad]
    return np.array([n, g, k, c, p, q, r, s, stride, stride, dilation, dilation, pad, pad, *extent], np.int64)


LAYERS = {
    "AlexNet conv1": row(1, 1, 96, 3, 55, 55, 11, 11, stride=4),
    "AlexNet conv2": row(4, 2, 128, 48, 27, 27, 5, 5, pad=2),
    "AlexNet fc6": row(4, 1, 4096, 9216, 1, 1, 1, 1),
    "ResNet conv1": row(1, 1, 64, 3, 112, 112, 7, 7, stride=2, pad=3),
    "ResNet 3x3": row(1, 1, 128, 128, 28, 28, 3, 3, pad=1),
    "ResNet downsample": row(2, 1, 512, 256, 28, 28, 1, 1, stride=2),
    "MobileNet depthwise": row(1, 96, 1, 1, 56, 56, 3, 3, stride=2, pad=1),
    "dilated": row(1, 1, 64, 32, 30, 30, 3, 3, dilation=2, pad=2),
    "BERT projection": row(1, 1, 768, 768, 128, 1, 1, 1),
    "BERT scores": row(1, 12, 128, 64, 128, 1, 1, 1),
}
GEMMS = ("BERT projection", "AlexNet fc6")
MACHINES = {
    "3 levels": (3, (1,)),
    "3 levels, 2 fan-outs": (3, (2, 0)),
    "4 levels": (4, (1,)),
    "4 levels, 2": (4, (3, 1)),
}
NUMBERS = (FEW, pytest.param(MANY, marks=pytest.mark.slow))
everywhere = pytest.mark.parametrize("name", LAYERS)
on_every_machine = pytest.mark.parametrize("machine", MACHINES)
in_numbers = pytest.mark.parametrize("number", NUMBERS)


class Batch(NamedTuple):
    """Mappings of one layer; loops are filled up with bound 1."""

    layer: np.ndarray
    loops: np.ndarray
    tiles: np.ndarray
    rng: np.random.Generator


def factors(rng, size, is_perfect):
    """Bounds that multiply to the size, or to at least it."""
    bounds, left = [], size
    while left > 1:
        if is_perfect:
            divisors = [d for d in range(2, min(left, 64) + 1) if left % d == 0] or [left]
            bound = int(rng.choice(divisors))
            left //= bound
        else:
            bound = int(rng.integers(2, min(left, 64) + 1))
            left = -(-left // bound)
        bounds.append(bound)
    return bounds


def random_mapping(rng, layer, levels, fanouts, is_perfect):
    """Loops and tiles: blocks from the outside, each fan-out behind its level's; half even, half per tensor."""
    slots = {(level, kind): [] for level in range(levels) for kind in (False, True)}
    places = [(level, False) for level in range(levels)] + [(fan, True) for fan in fanouts] * 2
    for dim in range(8):
        # Rows and columns only in few layers: what is cut off there is counted row by row, a thousand times slower.
        perfect = is_perfect or (dim >= P and layer[P + dim % 2] > 32)
        for bound in factors(rng, int(layer[dim]), perfect):
            level, is_spatial = places[int(rng.integers(len(places)))]
            full = prod(loop[1] for loop in slots[level, True]) * bound > 256
            slots[level, is_spatial and not full].append([dim, bound, 0, level])
    loops, first, edges = [], {}, {}
    for level in range(levels - 1, -1, -1):
        first[level] = len(loops)
        rng.shuffle(slots[level, False])
        loops += slots[level, False]
        if slots[level, True]:
            begin = len(loops)
            loops += [[dim, bound, int(rng.integers(1, 3)), level] for dim, bound, _, level in slots[level, True]]
            edges[level] = (begin, len(loops))
    tiles, outer, is_even = np.zeros((levels, 3), np.int64), [0, 0, 0], rng.random() < 0.5
    for level in range(levels - 2, -1, -1):
        low = max([end for fan, (_, end) in edges.items() if fan > level], default=0)
        high = min([begin for fan, (begin, _) in edges.items() if fan <= level], default=len(loops))
        if not is_even:
            outer = [int(rng.integers(max(low, start), high + 1)) for start in outer]
        tiles[level] = [-1 if rng.random() < 0.2 else first[level] if is_even else start for start in outer]
    return loops, tiles


@cache
def batch(name, machine, number, is_perfect=False):
    levels, fanouts = MACHINES[machine]
    rng = np.random.default_rng([list(LAYERS).index(name), list(MACHINES).index(machine), is_perfect])
    made = [random_mapping(rng, LAYERS[name], levels, fanouts, is_perfect) for _ in range(number)]
    loops = np.full((number, max(len(one) for one, _ in made), 4), (N, 1, 0, 0), np.int64)
    for filled, (one, _) in zip(loops, made, strict=True):
        filled[: len(one)] = np.array(one).reshape(-1, 4)
    return Batch(LAYERS[name], loops, np.array([tiles for _, tiles in made]), rng)


def shares(levels, share):
    hw_i = np.zeros((levels, nest.HW_INTS), np.int64)
    hw_i[:, nest.SHARE : nest.SHARE + 3] = share
    return hw_i


def count(made, share=1, convention="exact", policy=None, loops=None, tiles=None):
    mode, usual = nest.convention(convention)
    hw_i = shares(made.tiles.shape[1], share)
    loops, tiles = made.loops if loops is None else loops, made.tiles if tiles is None else tiles
    return nest.count(made.layer, loops, tiles, hw_i, mode, usual if policy is None else policy)


def existing(layer, axis):
    """Of the pairs (p, r) of an axis, the input rows met that exist, with repetition."""
    p, r = np.meshgrid(np.arange(layer[P + axis]), np.arange(layer[R + axis]))
    met = (p * layer[8 + axis] + r * layer[10 + axis] - layer[12 + axis]).ravel()
    return met[(met >= 0) & (met < layer[14 + axis])]


def words(layer):
    """Words of W, touched words of I, words of O."""
    touched = [len(set(existing(layer, axis).tolist())) for axis in (0, 1)]
    pixels = prod(layer[[N, G, C]].tolist()) * touched[0] * touched[1]
    return prod(layer[[G, K, C, R, S]].tolist()), pixels, prod(layer[[N, G, K, P, Q]].tolist())


def pairs(tiles, v):
    """(mappings, child, parent) of neighbouring levels that keep a tensor."""
    levels = tiles.shape[1]
    for child in range(levels):
        for parent in range(child + 1, levels):
            kept = (tiles[:, [child, parent], v] >= 0).all(1) & (tiles[:, child + 1 : parent, v] < 0).all(1)
            if kept.any():
                yield np.flatnonzero(kept), child, parent


def lowest(tiles, v):
    return (tiles[:, :, v] >= 0).argmax(1)


def copies(made, v, level, rows):
    """Product of the irrelevant spatial bounds outside of the tiles of a level."""
    loops = made.loops[rows]
    outside = np.arange(loops.shape[1]) < made.tiles[rows, level, v, None]
    counts = outside & (loops[:, :, 2] > 0) & ~np.isin(loops[:, :, 0], list(RELEVANT[v]))
    return np.where(counts, loops[:, :, 1], 1).prod(1)


@in_numbers
@on_every_machine
@everywhere
def test_traffic_is_at_least_compulsory_and_conserved(name, machine, number):
    made = batch(name, machine, number)
    shared, alone = count(made, 1), count(made, 0)
    sizes, every = words(made.layer), np.arange(number)
    for v in (WEIGHT, INPUT):
        assert (shared[:, -1, v, READS] >= sizes[v]).all()
    assert (shared[:, -1, OUTPUT, UPDATES] >= sizes[OUTPUT]).all()
    for v in (WEIGHT, INPUT):
        for rows, child, parent in pairs(made.tiles, v):
            # Without sharing, what a parent reads is what its children receive.
            assert (alone[rows, parent, v, READS] == alone[rows, child, v, FILLS]).all()
            assert (shared[rows, parent, v, READS] <= alone[rows, parent, v, READS]).all()
            assert (shared[rows, child, v, FILLS] == alone[rows, child, v, FILLS]).all()
    for rows, child, parent in pairs(made.tiles, OUTPUT):
        assert (alone[rows, parent, OUTPUT, UPDATES] == alone[rows, child, OUTPUT, DRAINS]).all()
        assert (shared[rows, parent, OUTPUT, UPDATES] <= alone[rows, parent, OUTPUT, UPDATES]).all()
        # What is given back is what was read, if one sum of each group comes up and one goes down.
        assert (shared[rows, parent, OUTPUT, READS] == shared[rows, child, OUTPUT, FILLS]).all()
        for counts in (shared, alone):  # of all updates of a word the first in each copy of it reads nothing
            started = sizes[OUTPUT] * copies(made, OUTPUT, parent, rows)
            assert (counts[rows, parent, OUTPUT, UPDATES] - counts[rows, parent, OUTPUT, READS] == started).all()
    # Next to the MACs: without sharing each one reads its weight and pixel (if there is one) and adds once.
    macs = prod(made.layer[:8].tolist())
    pixels = prod(made.layer[[N, G, K, C]].tolist()) * len(existing(made.layer, 0)) * len(existing(made.layer, 1))
    for v, column, expected in ((WEIGHT, READS, macs), (INPUT, READS, pixels), (OUTPUT, UPDATES, macs)):
        assert (alone[every, lowest(made.tiles, v), v, column] == expected).all()


@in_numbers
@on_every_machine
@everywhere
def test_conventions_are_ordered(name, machine, number):
    made = batch(name, machine, number)
    delta, refill, forwarded = count(made), count(made, policy=nest.REFILL), count(made, 2)
    columns = [FILLS, READS, UPDATES, DRAINS]
    assert (delta[..., columns] <= refill[..., columns]).all()
    assert (delta[:, :, [WEIGHT, OUTPUT]] == refill[:, :, [WEIGHT, OUTPUT]]).all()  # disjoint tiles: no halo
    assert (forwarded[..., READS] <= delta[..., READS]).all()
    assert (forwarded[..., FILLS] == delta[..., FILLS]).all()
    box, zigzag = count(made, convention="timeloop"), count(made, convention="zigzag-3.9")
    assert (delta[..., TILE] <= zigzag[..., TILE]).all()
    assert (zigzag[..., TILE] <= box[..., TILE]).all()
    assert (delta[:, :, WEIGHT] == box[:, :, WEIGHT]).all()
    # Sums that return to every member are as many for the parent, and more for the children.
    assert (delta[:, 1:, OUTPUT, READS][made.tiles[:, :-1, OUTPUT] < 0] >= 0).all()
    assert (delta[:, :, OUTPUT, FILLS] <= box[:, :, OUTPUT, FILLS]).all()
    assert (delta[:, :, OUTPUT, UPDATES] == box[:, :, OUTPUT, UPDATES]).all()


def with_inserted(made):
    """A loop of bound 1 at a random place of each mapping, before or behind the boundaries there."""
    loops, tiles = [], made.tiles.copy()
    for i, one in enumerate(made.loops):
        at = int(made.rng.integers(len(one) + 1))
        loops.append(np.insert(one, at, (int(made.rng.integers(8)), 1, 0, 0), 0))
        tiles[i] += (tiles[i] > at) | ((tiles[i] == at) & (tiles[i] > 0) & bool(made.rng.integers(2)))
    return np.array(loops), tiles


def with_split(made):
    """The loop of the largest bound that is no prime becomes two adjacent ones."""
    loops, tiles = [], made.tiles.copy()
    for i, one in enumerate(made.loops):
        parts = [next((d for d in range(2, bound) if bound % d == 0), 1) for bound in one[:, 1].tolist()]
        at = int(np.argmax(np.where(np.array(parts) > 1, one[:, 1], 0)))
        outer = one[at].copy()
        outer[1] //= parts[at]
        two = np.insert(one, at, outer, 0)
        two[at + 1, 1] = parts[at]
        loops.append(two)
        tiles[i] += tiles[i] > at
    return np.array(loops), tiles


@in_numbers
@on_every_machine
@everywhere
def test_equal_nests_count_alike(name, machine, number):
    made = batch(name, machine, number)
    for convention in nest.CONVENTIONS:
        counts = count(made, convention=convention)
        for loops, tiles in (with_inserted(made), with_split(made)):
            assert (count(made, convention=convention, loops=loops, tiles=tiles) == counts).all()


@in_numbers
@on_every_machine
@everywhere
def test_neighbours_that_do_not_matter_swap(name, machine, number):
    made, counts = batch(name, machine, number), count(batch(name, machine, number))
    for v in range(3):
        # Two adjacent temporal loops of different irrelevant dimensions, on one side of all boundaries of the tensor.
        ends = made.loops[:, :-1], made.loops[:, 1:]
        free = (ends[0][:, :, 0] != ends[1][:, :, 0]) & (made.tiles[:, None, :, v] != np.arange(1, made.loops.shape[1])[
            None, :, None]).all(-1)  # fmt: skip
        for end in ends:
            free &= (end[:, :, 2] == 0) & (end[:, :, 1] > 1) & ~np.isin(end[:, :, 0], list(RELEVANT[v]))
        loops = made.loops.copy()
        rows = np.flatnonzero(free.any(1))
        at = free[rows].argmax(1)
        loops[rows, at], loops[rows, at + 1] = made.loops[rows, at + 1], made.loops[rows, at]
        assert (count(made, loops=loops)[:, :, v] == counts[:, :, v]).all()
        if number == MANY and v == WEIGHT and made.layer[P] > 1 and made.layer[Q] > 1:
            assert len(rows) > MANY // 20  # there is something to swap


@in_numbers
@on_every_machine
@everywhere
def test_rows_and_columns_are_alike(name, machine, number):
    made = batch(name, machine, number)
    swapped = made.layer[[N, G, K, C, Q, P, S, R, 9, 8, 11, 10, 13, 12, 15, 14]]
    loops = made.loops.copy()
    loops[:, :, 0] = np.array([N, G, K, C, Q, P, S, R])[loops[:, :, 0]]
    for convention in nest.CONVENTIONS:
        turned = count(made._replace(layer=swapped), convention=convention, loops=loops)
        assert (turned == count(made, convention=convention)).all()


@in_numbers
@on_every_machine
@pytest.mark.parametrize("share", [0, 1])
def test_both_operands_of_a_matrix_product_are_alike(machine, share, number):
    made = batch("BERT projection", machine, number)
    loops = made.loops.copy()
    loops[:, :, 0] = np.array([N, G, P, C, K, Q, R, S])[loops[:, :, 0]]
    swapped = made._replace(layer=row(1, 1, 128, 768, 768, 1, 1, 1))
    turned = count(swapped, share, loops=loops, tiles=made.tiles[:, :, [INPUT, WEIGHT, OUTPUT]])
    assert (turned[:, :, [INPUT, WEIGHT, OUTPUT]] == count(made, share)).all()


@in_numbers
@on_every_machine
@everywhere
def test_what_fits_on_chip_crosses_once(name, machine, number):
    made = batch(name, machine, number)
    tiles = made.tiles.copy()
    tiles[:, -2] = np.minimum(tiles[:, -2], 0)  # the second outermost level, where it keeps a tensor, holds it all
    has_outer_fanout = ((made.loops[:, :, 3] == tiles.shape[1] - 1) & (made.loops[:, :, 2] > 0)).any(1)
    counts, sizes = count(made, tiles=tiles), words(made.layer)
    for v, column in ((WEIGHT, READS), (INPUT, READS), (OUTPUT, UPDATES)):
        rows = (tiles[:, -2, v] == 0) & ~has_outer_fanout
        assert (counts[rows, -1, v, column] == sizes[v]).all()
        if v == OUTPUT:
            assert (counts[rows, -1, v, READS] == 0).all()


@in_numbers
@on_every_machine
@pytest.mark.parametrize("name", GEMMS)
def test_no_mapping_beats_the_lower_bound_of_a_matrix_product(name, machine, number):
    made = batch(name, machine, number, is_perfect=True)
    counts = count(made)
    spatial = np.where(made.loops[:, :, 2] > 0, made.loops[:, :, 1], 1)
    stored = 3.0 * spatial.prod(1)  # a multiplier has its three words in hand
    for level in range(made.tiles.shape[1] - 1):
        instances = np.where(made.loops[:, :, 3] > level, spatial, 1).prod(1)
        stored += instances * np.where(made.tiles[:, level] >= 0, counts[:, level, :, TILE], 0).sum(1)
    dram = counts[:, -1]
    traffic = dram[:, WEIGHT, READS] + dram[:, INPUT, READS] + dram[:, OUTPUT, READS] + dram[:, OUTPUT, UPDATES]
    bound = 2 * prod(made.layer[:8].tolist()) / np.sqrt(stored) - 2 * stored
    assert (traffic >= bound).all()
    assert number == FEW or (bound > 0).any()


def random_hardware(rng, levels):
    """hw_i, hw_f, mac, bits with capacities and bandwidths that limit some mappings; stores of its own or shared."""
    hw_i, hw_f = shares(levels, rng.integers(0, 3, (levels, 3))), np.zeros((levels, nest.HW_FLOATS))
    hw_i[:, :4] = nest.UNLIMITED
    for level in range(levels - 1):
        hw_i[level, nest.PARTITIONED] = rng.integers(2)
        hw_i[level, nest.DOUBLE_BUFFERED] = rng.integers(2)
        size = 10 ** rng.uniform(2 + 2 * level, 5 + 2 * level)
        hw_i[level, : 3 if hw_i[level, nest.PARTITIONED] else 0] = int(size)
        hw_i[level, nest.SHARED_CAPACITY] = nest.UNLIMITED if hw_i[level, nest.PARTITIONED] else int(size)
    hw_i[:, nest.FANOUT : nest.FANOUT + 2] = rng.integers(1, 65, (levels, 2))
    hw_f[:, :6] = rng.uniform(0.1, 200, (levels, 6))
    hw_f[:, 6:12] = 2.0 ** rng.integers(3, 12, (levels, 6))
    hw_f[rng.random(levels) < 0.3, 9:12] = -1  # one port
    hw_f[:, 12:16] = rng.uniform(0, 1, (levels, 4))
    return hw_i, hw_f, np.array([0.5, 0.01, 1.0, 1e9]), np.array([8, 8, 24])


def evaluated(made, hardware, convention="exact"):
    return nest.evaluate_batch(made.layer, made.loops, made.tiles, *hardware, convention)


def busy(hw_f, level, port, reads, writes):
    read, write = hw_f[level, 6 + port], hw_f[level, 9 + port]
    return -(-(reads + writes) // read) if write < 0 else np.maximum(-(-reads // read), -(-writes // write))


@in_numbers
@on_every_machine
@everywhere
def test_costs_are_those_of_the_counts(name, machine, number):
    made = batch(name, machine, number)
    levels = made.tiles.shape[1]
    hardware = hw_i, hw_f, mac, bits = random_hardware(np.random.default_rng(7), levels)
    found = evaluated(made, hardware)
    counts, out, slack = found["counts"], found["out"], found["slack"]
    temporal = np.where(made.loops[:, :, 2] == 0, made.loops[:, :, 1], 1).prod(1)
    spatial = np.where(made.loops[:, :, 2] > 0, made.loops[:, :, 1], 1)
    macs, pes, cycles = prod(made.layer[:8].tolist()), spatial.prod(1), out[:, nest.CYCLES]
    assert (out[:, nest.COMPUTE] == temporal).all()
    assert (out[:, nest.PES_USED] == pes).all()
    assert (cycles >= temporal).all()
    assert (temporal * pes >= macs).all()
    available = np.maximum(pes, 4096)  # of any array with at least these PEs: spatial x temporal x edge
    assert np.allclose(macs / (cycles * available), pes / available * (temporal / cycles) * (macs / (temporal * pes)))
    # Energy: every read and write at its price, and no other part but multipliers, wires and leakage.
    reads = counts[..., READS] + counts[..., DRAINS]
    writes = counts[..., FILLS] + counts[..., UPDATES]
    levels_pj = (reads * hw_f[:, 0:3] + writes * hw_f[:, 3:6]).sum(2)
    assert np.allclose(out[:, nest.LEVEL_PJ :], levels_pj, rtol=1e-12)
    assert (out[:, nest.MACS_PJ] == macs * mac[nest.MAC_PJ]).all()
    leakage = (mac[nest.MAC_LEAKAGE_W] + hw_f[:, nest.LEAKAGE_W].sum()) * cycles / mac[nest.CLOCK_HZ] * 1e12
    assert np.allclose(out[:, nest.LEAKAGE_PJ], leakage, rtol=1e-12)
    parts = levels_pj.sum(1) + out[:, [nest.MACS_PJ, nest.WIRES_PJ, nest.LEAKAGE_PJ]].sum(1)
    assert np.allclose(out[:, nest.ENERGY_PJ], parts, rtol=1e-12)
    # Slack: bits needed less bits there.
    fits = np.ones(number, bool)
    for level in range(levels):
        twice = 2 if hw_i[level, nest.DOUBLE_BUFFERED] and level < levels - 1 else 1
        needed = np.where(made.tiles[:, level] >= 0, counts[:, level, :, TILE] * bits * twice, 0)
        for v in range(3):
            if hw_i[level, v] >= 0:
                expected = np.where(needed[:, v] > 0, needed[:, v] - hw_i[level, v], 0)
                assert (slack[:, level, v] == expected).all()
                fits &= expected <= 0
        if hw_i[level, 3] >= 0:
            expected = np.where(needed.any(1), needed.sum(1) - hw_i[level, 3], 0)
            assert (slack[:, level, nest.SLACK_SHARED] == expected).all()
            fits &= expected <= 0
        for axis in (0, 1):
            used = np.where((made.loops[:, :, 2] == 1 + axis) & (made.loops[:, :, 3] == level), spatial, 1).prod(1)
            assert (slack[:, level, nest.SLACK_X + axis] == used - hw_i[level, nest.FANOUT + axis]).all()
            fits &= used <= hw_i[level, nest.FANOUT + axis]
    assert (found["fits"] == fits).all()


@in_numbers
@on_every_machine
@everywhere
def test_cycles_are_the_slowest_port_or_the_loops(name, machine, number):
    made = batch(name, machine, number)
    levels = made.tiles.shape[1]
    hw_i, hw_f, mac, bits = random_hardware(np.random.default_rng(8), levels)
    for convention in ("timeloop", "exact"):
        found = evaluated(made, (hw_i, hw_f, mac, bits), convention)
        slowest = found["out"][:, nest.COMPUTE]
        for level in range(levels):
            outer = (made.loops[:, :, 2] > 0) & (made.loops[:, :, 3] > level)
            width = bits / np.where(outer, made.loops[:, :, 1], 1).prod(1)[:, None]
            read = [READS] if convention == "timeloop" else [READS, DRAINS]  # Timeloop reads nothing to send it up
            reads = found["counts"][:, level, :, read].sum(0) * width
            writes = (found["counts"][:, level, :, [FILLS, UPDATES]].sum(0)) * width
            if hw_i[level, nest.PARTITIONED]:
                ports = [busy(hw_f, level, v, reads[:, v], writes[:, v]) for v in range(3)]
            else:
                ports = [busy(hw_f, level, 0, reads.sum(1), writes.sum(1))]
            slowest = np.max([slowest, *ports], 0)
        if convention == "timeloop":  # the slowest alone; otherwise the first fill and last drain come on top
            assert (found["out"][:, nest.OVERHEAD] == 0).all()
        else:
            filled = (made.tiles[:, :-1] >= 0).any((1, 2))  # else the MACs work out of DRAM, and there is no tile
            assert ((found["out"][:, nest.OVERHEAD] > 0) == filled).all()
        # A fraction of a bit, rounded one way or the other, is a cycle at most.
        assert (abs(found["out"][:, nest.CYCLES] - slowest - found["out"][:, nest.OVERHEAD]) <= 1).all()


@in_numbers
@on_every_machine
@everywhere
def test_more_hardware_is_never_worse(name, machine, number):
    made = batch(name, machine, number)
    hw_i, hw_f, mac, bits = random_hardware(np.random.default_rng(9), made.tiles.shape[1])
    base = evaluated(made, (hw_i, hw_f, mac, bits))
    fast = hw_f.copy()
    fast[:, 6:12] = np.where(hw_f[:, 6:12] > 0, 3 * hw_f[:, 6:12], -1)
    faster = evaluated(made, (hw_i, fast, mac, bits))
    assert (faster["out"][:, nest.CYCLES] <= base["out"][:, nest.CYCLES]).all()
    large = hw_i.copy()
    large[:, :4] = np.where(hw_i[:, :4] > 0, 5 * hw_i[:, :4], nest.UNLIMITED)
    larger = evaluated(made, (large, hw_f, mac, bits))
    assert (larger["counts"] == base["counts"]).all()
    assert (larger["out"] == base["out"]).all()
    assert (larger["fits"] >= base["fits"]).all()
    # Rows do not know each other, to the last bit.
    backwards = evaluated(made._replace(loops=made.loops[::-1], tiles=made.tiles[::-1]), (hw_i, hw_f, mac, bits))
    for key, values in base.items():
        assert backwards[key][::-1].tobytes() == values.tobytes()
