"""Mappings as designs: against a slow decoding of their own, counted by hand, merged, filtered and refused."""

import functools
import itertools
import math
import re
from dataclasses import replace

import numpy as np
import pytest

from archgym.errors import UnknownNameError, UsageError
from archgym.problem import Problem
from archgym.simulators.accelerator import nest
from archgym.simulators.accelerator.codesign import CoDesign, CoDesignConfig
from archgym.simulators.accelerator.hardware_file import load_hardware, save_hardware, template_names
from archgym.simulators.accelerator.knobs import BASELINE, SPACE, Surroundings, hardware
from archgym.simulators.accelerator.levels import FREE, bounds
from archgym.simulators.accelerator.mapping import Mapping
from archgym.simulators.accelerator.mapping_simulator import MappingConfig, MappingSearch
from archgym.simulators.accelerator.mapping_space import MappingSpace
from archgym.simulators.accelerator.shapes import DIMS, TENSORS, layer_row
from archgym.workload import Layer, Network, load_workload

TEMPLATES = template_names()
EVERYWHERE = (*TEMPLATES, "codesign")
ALEXNET = load_workload("alexnet")
# Small enough to count tiles element by element, together with everything that a layer may have.
LAYERS = {
    "strided": Layer.conv("strided", 6, 11, 11, 8, 3, stride=2, padding=1),
    "dilated": Layer.conv("dilated", 4, 12, 10, 12, 3, dilation=2, padding=1, N=2),
    "grouped": Layer.conv("grouped", 8, 7, 9, 12, (2, 4), groups=4),
    "gemm": Layer.gemm("gemm", M=6, N=8, K=20),
    "conv1": ALEXNET.layers[0],
    "conv2": ALEXNET.layers[1],
    "fc8": ALEXNET.layers[7],
    "tiny": Layer.gemm("tiny", M=1, N=4, K=2),
}


@functools.cache
def simulator_of(name, space="full"):
    if name == "codesign":
        return CoDesign(CoDesignConfig(space=space))
    return MappingSearch(MappingConfig(hardware=name, space=space))


def network_of(layer):
    return Network(layer, (LAYERS[layer],))


def in_the_space(name):
    """The hardware whose constraints the space follows: codesign's fan-out is as wide as any design's."""
    if name != "codesign":
        return load_hardware(name)
    built = hardware(BASELINE, Surroundings())
    widest = replace(built.levels[1].fanout, x=14, y=168)
    return replace(built, levels=(built.levels[0], replace(built.levels[1], fanout=widest), built.levels[2]))


def feasible(simulator, columns):
    ok = columns["reason"] == 0
    for constraint in simulator.constraints:
        ok = ok & (columns[constraint.name] <= 0)
    return ok


def random_designs(name, layer, n, seed=0):
    """Random raw codes, and the same as dicts."""
    space = simulator_of(name).design_space(network_of(layer))
    codes = space.sample(n, np.random.default_rng(seed))
    return codes, [space.design(row) for row in codes]


def canonical(name, layer, codes):
    network, simulator = network_of(layer), simulator_of(name)
    return simulator.canonical(simulator.design_space(network).canonical(codes), network)


# ---- a slow decoding of its own --------------------------------------------------------------------------


def prime_factors(n):
    found = []
    for p in range(2, n + 1):
        while n % p == 0:
            found.append(p)
            n //= p
    return found


def decode(built, row, design):
    """Loops (dim, bound, kind, level), outer to inner, none of bound 1; tiles; names of the parameters that were read.

    By the documented meaning: factors go to the slots from the multipliers outwards, Y before X before the block, each
    taking what it asks for or what is left; the outermost slot takes the rest. Orders are chosen from inside.
    """
    read, taken = set(), {}
    for dim, size in zip(DIMS, row.tolist(), strict=False):
        for prime in sorted(set(prime_factors(size))):
            left, places = prime_factors(size).count(prime), []
            for level, memory in enumerate(built.levels):
                fanout, at = memory.fanout, DIMS.index(dim)
                limits = (
                    (2, ".y", min(fanout.y_max[at] or FREE, fanout.y)),
                    (1, ".x", min(fanout.x_max[at] or FREE, fanout.x)),
                    (0, "", memory.temporal_max[at] or FREE),
                )
                places += [(level, kind, memory.name + suffix) for kind, suffix, limit in limits if limit >= prime]
            for level, kind, name in places[:-1]:
                read.add(f"{dim}{prime}.{name}")
                take = min(design[f"{dim}{prime}.{name}"], left)
                taken[level, kind, dim] = taken.get((level, kind, dim), 1) * prime**take
                left -= take
            level, kind, _ = places[-1]
            taken[level, kind, dim] = taken.get((level, kind, dim), 1) * prime**left
    loops, tiles = [], []
    for level in reversed(range(len(built.levels))):
        memory = built.levels[level]
        kept = []
        for tensor in TENSORS:
            choice = tensor in memory.may_keep
            if choice:
                read.add(f"keep.{tensor}.{memory.name}")
            kept.append(bool(design[f"keep.{tensor}.{memory.name}"]) if choice else tensor in memory.tensors)
        tiles.insert(0, tuple(len(loops) if keep else -1 for keep in kept))
        order = list(reversed(DIMS))
        if level:
            order = [d for d in memory.innermost if row[DIMS.index(d)] > 1]
            free = [
                d
                for i, d in enumerate(DIMS)
                if row[i] > 1 and memory.temporal_max[i] != 1 and d not in memory.innermost
            ]
            for k in range(1, len(free)):
                read.add(f"order{k}.{memory.name}")
                order.append(free.pop(int(design[f"order{k}.{memory.name}"])))
            order += free
        loops += [(d, taken.get((level, 0, d), 1), 0, level) for d in reversed(order)]
        loops += [(d, taken.get((level, kind, d), 1), kind, level) for kind in (1, 2) for d in DIMS]
        loops = [loop for loop in loops if loop[1] > 1]
    return loops, tiles, read


def arrays_of(loops, tiles):
    rows = [(DIMS.index(dim), bound, kind, level) for dim, bound, kind, level in loops]
    return np.array(rows, np.int64).reshape(-1, 4), np.array(tiles, np.int64)


CASES = [
    *itertools.product(EVERYWHERE, ("strided", "conv2")),
    ("small", "dilated"), ("tpu", "gemm"), ("simba", "grouped"), ("nvdla", "conv1"), ("eyeriss", "fc8"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "layer"), CASES)
def test_nests_are_what_the_parameters_say(name, layer):
    simulator, network, row = simulator_of(name), network_of(layer), layer_row(LAYERS[layer])
    built = in_the_space(name)
    _, designs = random_designs(name, layer, 40)
    for design in designs:
        loops, tiles, read = decode(built, row, design)
        hardware_knobs = set(SPACE.names) if name == "codesign" else set()
        assert read == set(design) - hardware_knobs  # every parameter means something
        for dim, size in zip(DIMS, row.tolist(), strict=False):
            assert math.prod(bound for d, bound, _, _ in loops if d == dim) == size
        if name == "codesign":  # it has no mapping(...); its breakdown prints the nest
            (code,) = simulator.design_space(network).encode([design])
            expected = Mapping.from_arrays(*arrays_of(loops, tiles), tuple(level.name for level in built.levels))
            assert simulator.breakdown(code[None], network)["nest"] == expected.pretty(row).splitlines()
            continue
        mapping = simulator.mapping(design, network)
        mapping.check(row)
        got = [(loop.dim, loop.bound, ("temporal", "X", "Y").index(loop.kind), loop.level) for loop in mapping.loops]
        assert inner_sorted(got) == inner_sorted(loops)
        assert list(mapping.tiles) == tiles


def inner_sorted(loops):
    """Loops with level 0's block in the order of DIMS: its order means nothing."""
    outer = [loop for loop in loops if loop[3] or loop[2]]
    return outer, sorted(loop for loop in loops if not (loop[3] or loop[2]))


@pytest.mark.parametrize(("name", "layer"), CASES)
def test_factors_of_all_slots_multiply_to_the_sizes(name, layer):
    built, row = in_the_space(name), layer_row(LAYERS[layer])
    space = MappingSpace(row, built.arrays(), tuple(level.name for level in built.levels))
    rng = np.random.default_rng(1)
    designs = {p.name: rng.integers(0, len(p.levels), 500) for p in space.parameters}
    factors = space.factors(designs)
    assert factors.shape == (500, 3 * len(built.levels), 8)
    assert (factors.prod(axis=1) == row[:8]).all()
    loops, _ = space.nests(designs)
    for d in range(8):
        assert (np.where(loops[..., 0] == d, loops[..., 1], 1).prod(axis=1) == row[d]).all()


def test_a_nest_by_hand():
    # gemm 6 x 20 by 20 x 8 on 4 x 4 elements: K = 2^3, C = 2^2 5, P = 2 3. Two factors 2 of K go to Y, 2 of C to X,
    # the spad keeps K2 and C5; of P, 2 stands in the buffer; 3 is the rest and 2 of C is left: both in the DRAM.
    asked = {"K2.buffer.y": 2, "C2.buffer.x": 1, "K2.spad": 1, "C5.spad": 1, "P2.buffer": 1, "keep.W.buffer": 1}
    simulator, network = simulator_of("small"), network_of("gemm")
    space = simulator.design_space(network)
    design = {p.name: asked.get(p.name, p.levels[0]) for p in space.parameters}
    text = simulator.mapping({**design, "order1.dram": 2}, network).pretty(layer_row(LAYERS["gemm"]))
    assert [line.strip() for line in text.splitlines()] == [
        "dram: W 160, I 120, O 48",
        "for c in 0..2",
        "for p in 0..3",
        "buffer: W 80, I 20, O 16",
        "for p in 0..2",
        "parallel-for c in 0..2 (X)",
        "parallel-for k in 0..4 (Y)",
        "spad: W 10, I 5, O 2",
        "for k in 0..2",
        "for c in 0..5",
        "mac (960)",
    ]


# ---- slacks and metrics ----------------------------------------------------------------------------------


def rows_touched(layer, axis, inside, outside):
    """The most rows of the input that one tile touches, by trying them all.

    Args:
        inside, outside: bounds of P and R (axis 0; else Q and S) inside the tile, and outside of it.
    """
    extent = (layer.H, layer.W)[axis]
    stride, dilation, pad = layer.stride[axis], layer.dilation[axis], layer.padding[axis]
    most = 0
    for tile_p, tile_r in itertools.product(range(outside[0]), range(outside[1])):
        rows = {
            (tile_p * inside[0] + p) * stride + (tile_r * inside[1] + r) * dilation - pad
            for p in range(inside[0])
            for r in range(inside[1])
        }
        most = max(most, sum(0 <= row < extent for row in rows))
    return most


def words_of(layer, loops, start, tensor):
    """Words of the largest tile that the loops from ``start`` on span; outer loops have the larger strides."""
    inside = {d: math.prod(b for dim, b, _, _ in loops[start:] if dim == d) for d in DIMS}
    outside = {d: math.prod(b for dim, b, _, _ in loops[:start] if dim == d) for d in DIMS}
    if tensor != "I":
        return math.prod(inside[d] for d in {"W": "GKCRS", "O": "NGKPQ"}[tensor])
    rows, columns = (
        rows_touched(layer, axis, [inside[d] for d in dims], [outside[d] for d in dims])
        for axis, dims in enumerate(("PR", "QS"))
    )
    return inside["N"] * inside["G"] * inside["C"] * rows * columns


def slacks_by_hand(built, layer, loops, tiles):
    """Constraint -> what is needed beyond the limit."""
    slacks = {}
    for level, memory in enumerate(built.levels):
        copies = 2 if memory.double_buffered and level < len(built.levels) - 1 else 1
        bits = {
            tensor: words_of(layer, loops, tiles[level][v], tensor) * built.word_bits[v] * copies
            for v, tensor in enumerate(TENSORS)
            if tiles[level][v] >= 0
        }
        if memory.is_partitioned:
            limits = {t: built.capacity(memory.name, t) for t in bits}
            slacks |= {f"{memory.name}.{t}": bits[t] - limit for t, limit in limits.items() if limit >= 0}
        elif memory.stores[0].depth is not None:
            slacks[memory.name] = sum(bits.values()) - memory.stores[0].capacity_bits
        for kind, axis, limit in ((1, "x", memory.fanout.x), (2, "y", memory.fanout.y)):
            if limit > 1:
                used = math.prod(b for _, b, k, at in loops if (k, at) == (kind, level))
                slacks[f"{memory.name}.{axis}"] = used - limit
    return slacks


@pytest.mark.parametrize("layer", ["strided", "dilated", "grouped", "gemm"])
@pytest.mark.parametrize("name", TEMPLATES)
def test_slacks_by_hand(name, layer):
    simulator, network, built = simulator_of(name), network_of(layer), load_hardware(name)
    codes, designs = random_designs(name, layer, 12, seed=2)
    columns = simulator.simulate(codes, network)
    for i, design in enumerate(designs):
        loops, tiles, _ = decode(built, layer_row(LAYERS[layer]), design)
        slacks = slacks_by_hand(built, LAYERS[layer], loops, tiles)
        assert {c.name for c in simulator.constraints} == set(slacks)
        for constraint in simulator.constraints:
            if constraint.unit == "bit" or "." in constraint.name:
                assert columns[constraint.name][i] == slacks[constraint.name], constraint.name
    if name not in ("tpu", "nvdla"):  # which fit whatever is this small
        assert not feasible(simulator, columns).all()


def priced(arrays, row, loops, tiles):
    loops, tiles = arrays_of(loops, tiles)
    found = nest.evaluate_batch(row, loops[None], tiles[None], arrays.hw_i, arrays.hw_f, arrays.mac, arrays.bits)
    return bool(found["fits"][0]), found["out"][0]


def test_hardware_and_mapping_of_a_codesign_meet():
    # The metrics of a design are those of its decoded nest on its own hardware; its limits are that hardware's.
    simulator, network = simulator_of("codesign"), network_of("strided")
    layer, row, widest = LAYERS["strided"], layer_row(LAYERS["strided"]), in_the_space("codesign")
    pool = walk("codesign", "strided", 30)[0]
    codes = np.concatenate([pool[:30], random_designs("codesign", "strided", 30, seed=3)[0]])
    columns = simulator.simulate(codes, network)
    fitting = 0
    for i, code in enumerate(codes):
        design = simulator.design_space(network).design(code)
        loops, tiles, _ = decode(widest, row, design)
        built = hardware({name: design[name] for name in SPACE.names}, Surroundings())
        slacks = slacks_by_hand(built, layer, loops, tiles)
        fits, out = priced(built.arrays(), row, loops, tiles)
        fitting += fits
        mesh = design["mesh_x"]
        for axis, limit in (("x", mesh), ("y", design["pes"] // mesh)):
            slacks[f"buffer.{axis}"] = math.prod(b for _, b, k, _ in loops if k == "xy".index(axis) + 1) - limit
            assert columns[f"buffer.{axis}.limit"][i] == limit
        assert {c.name: columns[c.name][i] for c in simulator.constraints} == slacks
        assert columns["spads.I.limit"][i] == design["ifmap_depth"] * design["ifmap_block"] * 16
        assert fits == np.isfinite(columns["energy"][i])
        if fits:
            assert columns["cycles"][i] == out[nest.CYCLES]
            assert columns["energy"][i] == pytest.approx(out[nest.ENERGY_PJ] * 1e-12, rel=1e-12)
            assert columns["area"][i] == pytest.approx(sum(built.area_mm2().values()), rel=1e-12)
            assert columns["utilisation"][i] == pytest.approx(layer.macs / design["pes"] / out[nest.CYCLES], rel=1e-12)
    assert 30 <= fitting < len(codes)


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_saved_mapping_costs_the_same(name, tmp_path):
    simulator, network, row = simulator_of(name), network_of("conv2"), layer_row(LAYERS["conv2"])
    pool = walk(name, "conv2", 20)[0]
    columns = simulator.simulate(pool, network)
    for i, code in enumerate(pool[:20]):
        mapping = simulator.mapping(simulator.design_space(network).design(code), network)
        text = mapping.pretty(row)
        assert simulator.breakdown(code[None], network) == {"nest": text.splitlines()}
        # every loop of the printed nest once: together they run all MACs
        printed = [int(n) for n in re.findall(r"for [ngkcpqrs] in 0\.\.(\d+)", text)]
        assert math.prod(printed) == LAYERS["conv2"].macs
        mapping.save(tmp_path / "mapping.json")
        loaded = Mapping.load(tmp_path / "mapping.json")
        assert loaded == mapping
        loops, tiles = loaded.arrays()
        a = simulator.arrays
        found = nest.evaluate_batch(row, loops[None], tiles[None], a.hw_i, a.hw_f, a.mac, a.bits)
        out = found["out"][0]
        assert found["fits"][0]
        assert columns["cycles"][i] == out[nest.CYCLES]
        assert columns["energy_wire"][i] == out[nest.WIRES_PJ] * 1e-12
        for level, memory in enumerate(simulator.names):
            assert columns[f"energy_{memory}"][i] == out[nest.LEVEL_PJ + level] * 1e-12


# ---- one representative of each mapping ------------------------------------------------------------------


def nest_keys(name, layer, codes):
    """What the designs mean, one value each."""
    built, row = in_the_space(name), layer_row(LAYERS[layer])
    space = simulator_of(name).design_space(network_of(layer))
    keys = []
    for code in codes:
        design = space.design(code)
        loops, tiles, _ = decode(built, row, design)
        knobs = {k: v for k, v in design.items() if k in SPACE.names}
        if "regfile" in str(knobs.get("buffer_kind")):
            del knobs["buffer_banks"]  # only SRAM has banks
        keys.append((str(inner_sorted(loops)), str(tiles), str(knobs)))
    return keys


@pytest.mark.parametrize("name", EVERYWHERE)
@pytest.mark.parametrize("layer", ["strided", "conv2"])
def test_canonical_designs_keep_their_metrics_and_their_nest(name, layer):
    simulator, network = simulator_of(name), network_of(layer)
    codes, _ = random_designs(name, layer, 300 if name != "codesign" else 60, seed=4)
    codes = np.concatenate([codes, walk(name, layer, 100)[2][:100]])
    merged = canonical(name, layer, codes)
    assert (canonical(name, layer, merged) == merged).all()
    assert (merged != codes).any()  # there is something to merge
    before, after = simulator.simulate(codes, network), simulator.simulate(merged, network)
    for column, values in before.items():
        assert values.tobytes() == after[column].tobytes(), column
    assert nest_keys(name, layer, codes[:50]) == nest_keys(name, layer, merged[:50])


def test_one_canonical_design_for_each_nest():
    # All 10368 designs of a tiny layer: K = 2^2 and C = 2, five places for each factor, orders, keep or not.
    space = simulator_of("small").design_space(network_of("tiny"))
    assert space.size == 3**4 * 2**4 * 2 * 2 * 2
    codes = canonical("small", "tiny", space.unrank(range(space.size)))
    representatives = np.unique(codes, axis=0)
    keys = nest_keys("small", "tiny", representatives)
    assert len(set(keys)) == len(keys)  # two representatives never mean the same
    # and none is lost: C2 stands in one of 5 places, two equal factors of K in 15; orders matter in a block that
    # holds both K and C: there are 2 such blocks (buffer and DRAM; that of level 0 has no order), each with one of 5
    # places of C and the 5 of 15 ways that put a K there; W is kept or not.
    assert len(keys) == 2 * (5 * 15 + 2 * 1 * 5)


@pytest.mark.parametrize("name", ["eyeriss", "simba", "codesign"])
def test_canonical_designs_that_differ_mean_different_nests(name):
    codes = canonical(name, "strided", walk(name, "strided", 150)[2])
    representatives = np.unique(codes, axis=0)
    assert len(set(nest_keys(name, "strided", representatives))) == len(representatives) >= 150


# ---- rules ---------------------------------------------------------------------------------------------


@functools.cache
def walk(name, layer, wanted, seed=5):
    """From the baseline by random changes: distinct canonical designs that are feasible, others, and all as drawn."""
    simulator, network = simulator_of(name), network_of(layer)
    space, rng = simulator.design_space(network), np.random.default_rng(seed)
    pool = canonical(name, layer, space.encode([simulator.baseline(network)]))
    others, raw = pool[:0], pool
    block = 60 if name == "codesign" else 400
    for _ in range(60):
        codes = pool[rng.integers(0, len(pool), block)]
        for _ in range(3):  # up to three parameters each
            at = rng.integers(0, len(space), block)
            codes[np.arange(block), at] = rng.integers(0, space.nvec[at])
        raw = np.concatenate([raw, codes])
        codes = canonical(name, layer, codes)
        ok = feasible(simulator, simulator.simulate(codes, network))
        pool = np.unique(np.concatenate([pool, codes[ok]]), axis=0)
        others = np.unique(np.concatenate([others, codes[~ok]]), axis=0)
        if len(pool) >= wanted:
            break
    rng.shuffle(pool)
    return pool, others, raw


def check_rules(name, layer, wanted):
    """Every feasible design is allowed; returns how many are forbidden, all of them infeasible."""
    network = network_of(layer)
    full, filtered = (simulator_of(name, space).design_space(network) for space in ("full", "allowed"))
    assert full.names == filtered.names
    pool, others, _ = walk(name, layer, wanted)
    assert len(pool) >= wanted
    assert filtered.is_allowed(pool).all()
    random = canonical(name, layer, full.sample(60 if name == "codesign" else 3000, np.random.default_rng(6)))
    simulator = simulator_of(name)
    others = np.concatenate([others, random])
    forbidden = others[~filtered.is_allowed(others)][: 300 if name == "codesign" else None]
    assert not feasible(simulator, simulator.simulate(forbidden, network)).any()
    return len(forbidden)


@pytest.mark.parametrize("name", EVERYWHERE)
def test_no_feasible_design_is_forbidden(name):
    forbidden = check_rules(name, "conv2", 300)
    # nvdla has no rule here: K = 2^7 asks for 32 of 32 elements along X at most, C = 48 is fewer than the 64 along Y
    assert (forbidden > 0) == (name != "nvdla")
    check_rules(name, "strided", 200)


@pytest.mark.slow
@pytest.mark.parametrize("layer", [layer for layer in LAYERS if layer != "tiny"])
@pytest.mark.parametrize("name", EVERYWHERE)
def test_no_feasible_design_is_forbidden_at_length(name, layer):
    check_rules(name, layer, 500 if layer != "fc8" else 100)


@pytest.mark.parametrize("name", EVERYWHERE)
@pytest.mark.parametrize("space", ["full", "allowed"])
def test_the_baseline_is_in_both_spaces(space, name):
    # Rewards are measured against it, so it must have one: 0.
    if name == "codesign":
        problem = Problem.parse("codesign/alexnet/edp", sim={"space": space})
    else:
        problem = Problem.parse("mapping/alexnet/edp", sim={"space": space, "hardware": name})
    evaluation = problem.evaluate(problem.space.encode([problem.baseline]))
    assert evaluation.feasible.all()
    assert evaluation.reward[0] == 0.0


@pytest.mark.parametrize("name", ["eyeriss", "simba", "small", "codesign"])
def test_the_filtered_space_has_more_that_fits(name):
    network, shares = network_of("conv2"), []
    for space in ("full", "allowed"):
        simulator = simulator_of(name, space)
        codes = simulator.design_space(network).sample(300, np.random.default_rng(7))
        shares.append(feasible(simulator, simulator.simulate(codes, network)).mean())
    assert shares[1] > max(2 * shares[0], 0.05)


PADDED = Layer.conv("padded", 2, 4, 3, 2, 3, padding=2, dilation=2)
"""Four rows, three columns: taps -2, 0, 2 of one output never meet three columns that exist, but two at most."""


def test_tiles_that_padding_makes_small_are_allowed():
    network = Network("padded", (PADDED,))
    simulator = simulator_of("codesign")
    # All three taps S of an output column stand in the scratchpad, which holds two inputs; C and P outside of it.
    asked = {"ifmap_depth": 2, "ifmap_block": 1, "S3.spads": 1}
    design = {**{p.name: p.levels[0] for p in simulator.design_space(network).parameters}, **BASELINE, **asked}
    codes = simulator.design_space(network).encode([design])
    assert feasible(simulator, simulator.simulate(codes, network)).all()
    assert simulator_of("codesign", "allowed").design_space(network).is_allowed(codes).all()


# ---- the greedy baseline ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "layer"), [*itertools.product(EVERYWHERE, ("strided", "conv1", "conv2", "fc8"))])
def test_the_greedy_baseline_fits_and_has_no_room(name, layer):
    # From the multipliers outwards each slot takes every factor that still fits, so one more never fits afterwards.
    simulator, network, row = simulator_of(name), network_of(layer), layer_row(LAYERS[layer])
    space, baseline = simulator.design_space(network), simulator.baseline(network)
    assert feasible(simulator, simulator.simulate(space.encode([baseline]), network)).all()
    assert all(baseline[p.name] for p in space.parameters if p.name.startswith("keep."))
    if name == "codesign":
        assert {k: baseline[k] for k in SPACE.names} == dict(BASELINE)
    built = in_the_space(name)
    loops = decode(built, row, baseline)[0]
    for p in space.parameters:
        match = re.fullmatch(r"([NGKCPQRS])\d+\.(.+)", p.name)
        if not match or baseline[p.name] == p.levels[-1]:
            continue
        more = {**baseline, p.name: baseline[p.name] + 1}
        if decode(built, row, more)[0] != loops:  # else there is no such factor left
            assert not feasible(simulator, simulator.simulate(space.encode([more]), network)).any(), p.name


# ---- constraints of the hardware -------------------------------------------------------------------------


def saved(tmp_path, level, **changes):
    """The template ``small`` with a level changed, as a file; its path."""
    built = load_hardware("small")
    levels = [replace(memory, **changes) if memory.name == level else memory for memory in built.levels]
    save_hardware(replace(built, levels=tuple(levels)), tmp_path / "own.toml")
    return str(tmp_path / "own.toml")


def test_a_users_file_is_a_hardware(tmp_path):
    # K may stand in the DRAM's block alone there: the spad asks for no factor of it.
    path = saved(tmp_path, "spad", temporal_max=bounds(FREE, K=1))
    names = simulator_of("small").design_space(network_of("gemm")).names
    own = MappingSearch(MappingConfig(hardware=path)).design_space(network_of("gemm")).names
    assert set(names) - set(own) == {"K2.spad"}


def test_a_factor_without_a_place_is_refused(tmp_path):
    built = load_hardware("small")
    no_k = bounds(FREE, K=1)
    levels = [replace(m, temporal_max=no_k, fanout=replace(m.fanout, x_max=no_k, y_max=no_k)) for m in built.levels]
    save_hardware(replace(built, levels=tuple(levels)), tmp_path / "own.json")
    simulator = MappingSearch(MappingConfig(hardware=str(tmp_path / "own.json")))
    with pytest.raises(UsageError, match="dimension K has a factor 2 that no level and no fan-out"):
        simulator.design_space(network_of("gemm"))


@pytest.mark.parametrize("level", ["spad", "dram"])
def test_bounds_between_one_and_all_are_refused(tmp_path, level):
    # K = 12 = 2 2 3 with at most 4 in one block: prime factors in slots cannot say that.
    network = Network("n", (Layer.gemm("g", M=4, N=12, K=8),))
    simulator = MappingSearch(MappingConfig(hardware=saved(tmp_path, level, temporal_max=bounds(FREE, K=4))))
    with pytest.raises(UsageError, match=f"{level} has a bound between 1 and all for dimension K"):
        simulator.design_space(network)


# ---- refusals --------------------------------------------------------------------------------------------


def test_unknown_names_suggest_the_nearest():
    with pytest.raises(UnknownNameError, match="'eyeris'; did you mean eyeriss"):
        MappingSearch(MappingConfig(hardware="eyeris"))
    for name in ("mapping", "codesign"):
        with pytest.raises(UnknownNameError, match="unknown layer of alexnet 'convv1'; did you mean conv1"):
            Problem.parse(f"{name}/alexnet/edp", sim={"layer": "convv1"})
        with pytest.raises(UsageError, match="space 'alowed'; did you mean allowed"):
            Problem.parse(f"{name}/alexnet/edp", sim={"space": "alowed"})


@pytest.mark.parametrize("config", [MappingConfig, CoDesignConfig])
def test_wrong_options_are_refused(config):
    with pytest.raises(UsageError, match="batch must be at least 1, got 0"):
        config(batch=0)


def test_the_layer_is_chosen_by_name_or_by_its_macs():
    # conv2 of AlexNet: 2 groups x 128 x 48 x 27 x 27 x 5 x 5 = 224 M MACs, more than any other layer.
    assert simulator_of("eyeriss").layer(ALEXNET).name == "conv2"
    named = MappingSearch(MappingConfig(layer="conv1", batch=4))
    assert (named.layer(ALEXNET).name, named.layer(ALEXNET).N) == ("conv1", 4)
    codes = named.design_space(ALEXNET).encode([named.baseline(ALEXNET)])
    columns = named.simulate(codes, ALEXNET)
    assert columns["macs"][0] == 4 * ALEXNET.layers[0].macs
    assert columns["throughput"][0] == pytest.approx(4 / columns["latency"][0], rel=1e-15)
    assert columns["power"][0] == pytest.approx(4 * columns["energy"][0] / columns["latency"][0], rel=1e-12)


def test_spaces_of_different_layers_make_no_problem():
    # Each layer has a space of its own, so two networks share one only if their layers do.
    with pytest.raises(UsageError, match="different design spaces"):
        Problem.parse("mapping/alexnet+resnet18/edp")
