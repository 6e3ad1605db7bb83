"""Accelerator with a mapper inside: metrics recomputed layer by layer, knobs, objectives, options and refusals."""

import functools
import itertools
import math

import numpy as np
import pytest

from archgym.errors import UnknownNameError, UsageError
from archgym.problem import Problem, ProblemSpec
from archgym.simulators.accelerator import nest
from archgym.simulators.accelerator.knobs import BASELINE, KINDS, SPACE, Surroundings, hardware
from archgym.simulators.accelerator.simulator import Accelerator, AcceleratorConfig
from archgym.simulators.accelerator.totals import smallest_slack
from archgym.workload import Layer, Network, load_workload

LEVELS = ("spads", "buffer", "dram")
CONSTRAINTS = ("spads.W", "spads.I", "spads.O", "buffer")
SRAM = ("smartbuffer-sram", "sram")
CLOCK = 200e6
ALEXNET = load_workload("alexnet")

# Every kind of layer, small: strided, grouped, repeated, 1x1, connected; "again" has the shape of "plain".
MIXED = Network(
    "mixed",
    (
        Layer.conv("plain", 8, 13, 13, 16, 3, padding=1),
        Layer.conv("strided", 3, 23, 23, 12, 5, stride=2, repeats=2),
        Layer.conv("depthwise", 12, 9, 9, 12, 3, padding=1, groups=12, repeats=3),
        Layer.conv("pointwise", 24, 7, 7, 20, 1),
        Layer.conv("again", 8, 13, 13, 16, 3, padding=1),
        Layer.gemm("connected", M=2, N=60, K=72),
    ),
)


@functools.cache
def simulator_of(**options):
    return Accelerator(AcceleratorConfig(**options))


def designs_of(n, seed=0):
    """The baseline and n - 1 random designs."""
    random = [SPACE.design(row) for row in SPACE.sample(n - 1, np.random.default_rng(seed))]
    return [dict(BASELINE), *random]


def simulate(designs, network, **options):
    """Columns for designs."""
    return simulator_of(**options).simulate(SPACE.encode(designs), network)


@functools.cache
def some():
    """Designs, and their columns on AlexNet; all are feasible."""
    designs = designs_of(7)
    return designs, simulate(designs, ALEXNET)


def one(design, network, **options):
    """Metrics of one design as plain numbers."""
    return {name: column[0].item() for name, column in simulate([design], network, **options).items()}


def parts(columns, what, names):
    return sum(columns[f"{what}_{name}"] for name in names)


# ---- metrics among themselves ----------------------------------------------------------------------------


def test_every_design_here_is_feasible():
    # The smallest scratchpad has two words and the smallest buffer 1024, and a tile of one word exists at any level.
    _, columns = some()
    assert (columns["reason"] == 0).all()
    for name in CONSTRAINTS:
        assert (columns[name] < 0).all()


def test_parts_of_energy_and_area_add_up():
    _, columns = some()
    energy = parts(columns, "energy", ("mac", *LEVELS, "wire", "leakage"))
    np.testing.assert_allclose(columns["energy"], energy, rtol=1e-14)
    np.testing.assert_allclose(columns["area"], parts(columns, "area", ("mac", "spads", "buffer")), rtol=1e-14)


def test_utilisation_is_the_product_of_its_factors():
    designs, columns = some()
    factors = [columns[f"utilisation_{name}"] for name in ("spatial", "temporal", "edge")]
    for factor in factors:
        assert ((factor > 0) & (factor <= 1)).all()
    np.testing.assert_allclose(columns["utilisation"], factors[0] * factors[1] * factors[2], rtol=1e-13)
    # and by its meaning: 724.4 M MACs over the multiplier cycles that pass
    pes = np.array([design["pes"] for design in designs])
    np.testing.assert_allclose(columns["utilisation"], ALEXNET.macs / (pes * columns["cycles"]), rtol=1e-14)


def test_metrics_that_follow_from_others():
    _, c = some()
    expected = {
        "latency": c["cycles"] / CLOCK,
        "throughput": 1 / c["latency"],
        "power": c["energy"] / c["latency"],
        "macs": np.full(len(c["macs"]), ALEXNET.macs),
        "utilisation_temporal": c["compute_cycles"] / c["cycles"],
        "arithmetic_intensity": ALEXNET.macs / c["dram_bytes"],
        "tops_per_watt": 2e-12 * ALEXNET.macs / c["energy"],
        "tops_per_mm2": 2e-12 * ALEXNET.macs / c["latency"] / c["area"],
    }
    for name, values in expected.items():
        np.testing.assert_allclose(c[name], values, rtol=1e-14, err_msg=name)


def test_bounds_that_hold_for_any_mapping():
    designs, c = some()
    # Each weight is read and each output written off chip once at least, 2 bytes each.
    assert (c["dram_bytes"] >= 2 * sum(layer.weights + layer.ofmap_words for layer in ALEXNET.layers)).all()
    for i, design in enumerate(designs):
        assert ALEXNET.macs / design["pes"] <= c["compute_cycles"][i] <= c["cycles"][i]
    assert ((c["memory_bound"] >= 0) & (c["memory_bound"] <= 1)).all()


def test_area_is_that_of_the_hardware():
    designs, c = some()
    for i, design in enumerate(designs):
        area = hardware(design, Surroundings()).area_mm2()
        for name in ("mac", "spads", "buffer"):
            assert c[f"area_{name}"][i] == pytest.approx(area[name], rel=1e-13)
        assert area["dram"] == 0


# ---- a network is the sum of its layers ------------------------------------------------------------------


def by_layers(simulator, design, network):
    """Metrics from the chosen mappings, evaluated one layer at a time and added up over the repeats."""
    arrays = hardware(design, Surroundings()).arrays()
    shapes = simulator.shapes(network)
    chosen = simulator.map(arrays, shapes)
    sums = dict.fromkeys(("cycles", "compute_cycles", "used", "stalled", "mappings"), 0)
    sums |= dict.fromkeys(("energy", *(f"energy_{name}" for name in ("mac", "wire", "leakage", *LEVELS))), 0.0)
    sums |= dict.fromkeys((f"{name}_bytes" for name in LEVELS), 0.0)
    for row, repeats, mapping, layer in zip(shapes.rows, shapes.repeats, chosen.mappings, chosen.layers, strict=True):
        mapping.check(row)
        loops, tiles = mapping.arrays()
        found = nest.evaluate_batch(row, loops[None], tiles[None], arrays.hw_i, arrays.hw_f, arrays.mac, arrays.bits)
        assert found["fits"][0]
        out, counts, times = found["out"][0], found["counts"][0], int(repeats)
        sums["cycles"] += times * int(out[nest.CYCLES])
        sums["compute_cycles"] += times * int(out[nest.COMPUTE])
        sums["used"] += times * int(out[nest.COMPUTE] * out[nest.PES_USED])
        sums["stalled"] += times * int(out[nest.CYCLES]) * (out[nest.LIMIT] >= 0)
        sums["energy"] += times * out[nest.ENERGY_PJ] * 1e-12
        sums["energy_mac"] += times * int(row[:8].prod()) * arrays.mac[0] * 1e-12
        sums["energy_wire"] += times * out[nest.WIRES_PJ] * 1e-12
        watts = arrays.mac[1] + arrays.hw_f[:, nest.LEAKAGE_W].sum()
        sums["energy_leakage"] += times * watts * out[nest.CYCLES] / CLOCK
        sums["mappings"] += layer.evaluated
        for level, name in enumerate(LEVELS):
            reads, writes = counts[level, :, [1, 3]].sum(axis=0), counts[level, :, [0, 2]].sum(axis=0)
            prices = arrays.hw_f[level]
            sums[f"energy_{name}"] += times * float(reads @ prices[0:3] + writes @ prices[3:6]) * 1e-12
            sums[f"{name}_bytes"] += times * float((reads + writes) @ arrays.bits) / 8
    return sums


@pytest.mark.parametrize("seed", [0, 1])
def test_a_network_is_the_sum_of_its_layers(seed):
    simulator = simulator_of()
    for design in designs_of(4, seed)[seed:]:
        for network in (MIXED, ALEXNET):
            row, sums = one(design, network), by_layers(simulator, design, network)
            for name in ("cycles", "compute_cycles", "mappings"):
                assert row[name] == sums[name], name
            for name in (n for n in sums if n.startswith("energy") or n.endswith("bytes")):
                assert row[name] == pytest.approx(sums[name], rel=1e-12), name
            assert row["macs"] == network.macs
            assert row["memory_bound"] == pytest.approx(sums["stalled"] / sums["cycles"], rel=1e-12)
            # used multiplier cycles: 1 of 168 at work for 100 cycles are 100
            assert row["utilisation_spatial"] == pytest.approx(
                sums["used"] / (design["pes"] * sums["compute_cycles"]), rel=1e-12
            )
            assert row["utilisation_edge"] == pytest.approx(network.macs / sums["used"], rel=1e-12)


def test_repeats_are_layers_listed_again():
    # Shapes are mapped once; whether a shape comes from repeats or from several layers cannot matter.
    listed = []
    for layer in MIXED.layers:
        data = {**layer.to_dict(), "repeats": 1}
        listed += [Layer.from_dict({**data, "name": f"{layer.name}{i}"}) for i in range(layer.repeats)]
    assert len(listed) == 9
    designs = designs_of(4, 3)
    a, b = simulate(designs, MIXED), simulate(designs, Network("listed", tuple(listed)))
    for name, column in a.items():
        assert column.tobytes() == b[name].tobytes(), name


def test_breakdown_lists_the_layers_of_the_network():
    for design in designs_of(3, 4):
        row, table = one(design, MIXED), simulator_of().breakdown(SPACE.encode([design]), MIXED)
        assert table["layer"] == [layer.name for layer in MIXED.layers]
        repeats = [layer.repeats for layer in MIXED.layers]
        assert table["macs"] == [layer.macs for layer in MIXED.layers]
        for name, column in (("cycles", "cycles"), ("energy", "energy_j"), ("dram_bytes", "dram_bytes")):
            total = math.fsum(r * v for r, v in zip(repeats, table[column], strict=True))
            assert row[name] == pytest.approx(total, rel=1e-12), name
        stalled = [r * c for r, c, b in zip(repeats, table["cycles"], table["bound"], strict=True) if b != "compute"]
        assert row["memory_bound"] == pytest.approx(sum(stalled) / row["cycles"], rel=1e-12)
        for layer, text in zip(MIXED.layers, table["mapping"], strict=True):  # "dram loops | buffer loops | spads"
            assert len(text.split("|")) == 3
            bounds = [int(loop[1:].partition("@")[0]) for loop in text.replace("|", " ").split()]
            assert math.prod(bounds) >= layer.macs  # padded at most


def test_no_other_mapping_of_one_layer_improves_the_network():
    # The network's EDP is (sum E)(sum D): necessary for the optimum is that no single exchange helps.
    simulator, shapes = simulator_of(), simulator_of().shapes(MIXED)
    for design in designs_of(3, 5):
        chosen = simulator.map(hardware(design, Surroundings()).arrays(), shapes)

        def edp(choice, chosen=chosen):
            picked = [
                (r, m.energy[c], m.cycles[c]) for r, m, c in zip(shapes.repeats, chosen.layers, choice, strict=True)
            ]
            return math.fsum(r * e for r, e, _ in picked) * sum(int(r) * int(d) for r, _, d in picked)

        best = edp(chosen.choice)
        for i, layer in enumerate(chosen.layers):
            for vertex in range(len(layer.energy)):
                other = [*chosen.choice[:i], vertex, *chosen.choice[i + 1 :]]
                assert best <= edp(other) * (1 + 1e-12)


def test_mappings_follow_their_objective():
    # Each choice is the best of the same evaluated mappings, so nobody beats it at its own objective.
    for design in designs_of(4, 6):
        rows = {name: one(design, MIXED, mapping_objective=name) for name in ("edp", "latency", "energy", "ed2p")}
        scores = {
            "latency": lambda r: r["cycles"],
            "energy": lambda r: r["energy"],
            "edp": lambda r: r["energy"] * r["cycles"],
            "ed2p": lambda r: r["energy"] * r["cycles"] ** 2,
        }
        for name, score in scores.items():
            for other in rows.values():
                assert score(rows[name]) <= score(other) * (1 + 1e-12)


def never_worse(designs, layers, budgets):
    for layer in layers:
        network = Network(layer.name, (layer,))
        rows = [simulate(designs, network, budget=budget) for budget in budgets]
        for less, more in itertools.pairwise(rows):
            edp = [r["energy"] * r["cycles"] for r in (less, more)]
            assert (edp[1] <= edp[0] * (1 + 1e-12)).all()
            assert (more["mappings"] >= less["mappings"]).all()


def test_a_larger_budget_never_finds_a_worse_mapping():
    never_worse(designs_of(3, 7), MIXED.layers[:3], (1, 2, 4, 8, 32, 400))


@pytest.mark.slow
def test_a_larger_budget_never_finds_a_worse_mapping_at_length():
    never_worse(designs_of(25, 8), [*MIXED.layers, *ALEXNET.layers], (1, 2, 3, 5, 9, 17, 40, 100, 400, 2000))


@pytest.mark.parametrize("budget", [2, 10, 100])
def test_no_more_mappings_are_evaluated_than_the_budget_allows(budget):
    designs = designs_of(25, 8)
    for layer in (MIXED.layers[0], MIXED.layers[3], ALEXNET.layers[2]):
        mappings = simulate(designs, Network(layer.name, (layer,)), budget=budget)["mappings"]
        assert ((mappings >= 1) & (mappings <= budget)).all()


# ---- knobs -----------------------------------------------------------------------------------------------


def words(design, name):
    return design[f"{name}_depth"] * design[f"{name}_block"]


@pytest.mark.parametrize(("bits", "psum_bits"), [(16, 16), (8, 24)])
def test_capacities_are_rows_times_words(bits, psum_bits):
    around = Surroundings(bits=bits, psum_bits=psum_bits)
    for design in designs_of(60, 9):
        built = hardware(design, around)
        arrays = built.arrays()
        for v, (name, tensor, width) in enumerate(
            (("weight", "W", bits), ("ifmap", "I", bits), ("psum", "O", psum_bits))
        ):
            assert built.capacity("spads", tensor) == words(design, name) * width == arrays.hw_i[0, v]
        assert built.capacity("buffer", "I") == words(design, "buffer") * bits == arrays.hw_i[1, 3]
        assert built.capacity("buffer", "W") == 0  # weights go straight to the scratchpads
        assert built.capacity("dram", "O") == -1


def test_the_mesh_times_its_rows_is_the_elements():
    for pes in SPACE["pes"].levels:
        for mesh in SPACE["mesh_x"].levels:
            built = hardware({**BASELINE, "pes": pes, "mesh_x": mesh}, Surroundings())
            fanout = built.levels[1].fanout
            assert (fanout.x, fanout.x * fanout.y, built.pes) == (mesh, pes, pes)
            assert built.instances == (pes, 1, 1)


def test_banks_and_rows_are_as_documented():
    # SRAM serves one access of a row a cycle and bank; registers are as wide as the larger bandwidth.
    seen = set()
    for design in designs_of(80, 10):
        built = hardware(design, Surroundings())
        for name, tensor in (("weight", "W"), ("ifmap", "I"), ("psum", "O"), ("buffer", "O")):
            store = built.levels[name == "buffer"].store(tensor)
            kind, depth, block = (design[f"{name}_{what}"] for what in ("kind", "depth", "block"))
            read, write = design[f"{name}_read"], design[f"{name}_write"]
            assert store.kind == kind
            seen.add((name == "buffer", kind))
            if kind in SRAM:
                banks = design["buffer_banks"] if name == "buffer" else min(depth, math.ceil((read + write) / block))
                assert (store.banks, store.width_bits, store.depth) == (banks, block * 16, depth)
                enough = min(1.0, banks * block / (read + write))
            else:
                width = min(max(block, read, write), depth * block)
                assert (store.banks, store.width_bits, store.depth) == (1, width * 16, depth * block // width)
                enough = 1.0
            assert store.read_bandwidth == pytest.approx(16 * read * enough, rel=1e-15)
            assert store.write_bandwidth == pytest.approx(16 * write * enough, rel=1e-15)
    assert len(seen) == 2 * len(KINDS)


def test_a_scratchpad_of_two_rows_has_two_banks():
    # 16 + 16 words a cycle want 32 banks of one word; two rows make at most two, which serve 2/32 of that: 1 + 1.
    store = (
        hardware({**BASELINE, "weight_depth": 2, "weight_read": 16, "weight_write": 16}, Surroundings())
        .levels[0]
        .stores[0]
    )
    assert (store.banks, store.read_bandwidth, store.write_bandwidth) == (2, 16.0, 16.0)


def test_banks_of_a_buffer_of_registers_do_not_matter():
    # 4 banks levels are one design there: merged by the space, equal hardware or not.
    design = {**BASELINE, "buffer_kind": "regfile"}
    codes = SPACE.encode([{**design, "buffer_banks": banks} for banks in SPACE["buffer_banks"].levels])
    assert len(np.unique(SPACE.canonical(codes), axis=0)) == 1
    columns = simulator_of().simulate(codes, MIXED)
    assert all(len(set(column.tolist())) == 1 for column in columns.values())


def test_the_space_is_as_large_as_documented():
    # 24 elements x 3 meshes x (4 kinds x 16 depths x 3 blocks x 4 x 4 bandwidths)^3 x (4 x 7 x 4 x 3 x 4 x 4) = 1.1e16
    assert SPACE.size == 24 * 3 * (4 * 16 * 3 * 16) ** 3 * (4 * 7 * 4 * 3 * 16)
    assert SPACE.size > 1e14  # of the predecessor's


def test_the_smallest_and_the_largest_hardware_map():
    for last in (0, -1):
        design = {p.name: p.levels[last] for p in SPACE.parameters}
        row = one(design, MIXED)
        assert row["reason"] == 0
        assert math.isfinite(row["energy"])
        assert row["macs"] == MIXED.macs


def test_slacks_are_those_of_tiles_of_one_word():
    design = {**BASELINE, "weight_depth": 2, "psum_depth": 4, "psum_block": 2}
    simulator = simulator_of(psum_bits=32)
    row = {n: c[0] for n, c in simulator.simulate(SPACE.encode([design]), MIXED).items()}
    # W: 16 of 2 x 16 bits; I: 16 of 16 x 16; O: 32 of 8 x 32; buffer: 16 + 32 of 65536 x 16
    assert [row[name] for name in CONSTRAINTS] == [16 - 32, 16 - 256, 32 - 256, 48 - 2**20]
    assert [row[f"{name}.limit"] for name in CONSTRAINTS] == [32, 256, 256, 2**20]
    arrays = hardware(design, Surroundings(psum_bits=32)).arrays()
    arrays.hw_i[0, 0] = 8  # half a word
    assert smallest_slack(simulator.shapes(MIXED), arrays)[0].tolist() == [8, 16 - 256, 32 - 256, 0]


# ---- objectives and limits -------------------------------------------------------------------------------

POWERS = {"latency": (0, 1), "energy": (1, 0), "edp": (1, 1), "ed2p": (1, 2)}


@pytest.mark.parametrize("objective", POWERS)
def test_objectives_are_powers_against_the_baseline(objective):
    designs, c = some()
    problem = Problem.parse(f"accelerator/alexnet/{objective}")
    evaluation = problem.evaluate(SPACE.encode(designs))
    e, d = POWERS[objective]
    values = c["energy"] ** e * c["latency"] ** d
    np.testing.assert_allclose(evaluation.values[:, 0], values, rtol=1e-14)
    np.testing.assert_allclose(evaluation.reward, -np.log(values / values[0]), rtol=1e-12, atol=1e-12)
    assert evaluation.reward[0] == 0.0  # the baseline against itself
    assert evaluation.feasible.all()


def test_area_limits_make_large_designs_infeasible():
    designs, c = some()
    limit = float(np.median(c["area"]))
    problem = Problem.parse("accelerator/alexnet/edp", limits=(f"area<={limit!r}",))
    evaluation = problem.evaluate(SPACE.encode(designs))
    assert problem.constraint_names == (*CONSTRAINTS, f"area<={limit!r}")
    np.testing.assert_allclose(evaluation.violations[:, -1], (c["area"] - limit) / limit, rtol=1e-12, atol=1e-15)
    assert evaluation.feasible.tolist() == (c["area"] <= limit).tolist()
    assert 0 < evaluation.feasible.sum() < len(designs)
    assert set(evaluation.reward[~evaluation.feasible]) == {-20.0}
    row = int(np.flatnonzero(~evaluation.feasible)[0])
    assert problem.explain(evaluation, row) == f"violates area<={limit!r}"


def test_archgym_target_is_relative_to_our_baseline():
    designs, c = some()
    problem = Problem.parse("accelerator/alexnet/archgym-target")
    rewards = problem.evaluate(SPACE.encode(designs)).reward
    # at the baseline itself 0.70/0.30 * 0.85/0.15 * 0.80/0.20 = 7/3 * 17/3 * 4 = 476/9
    assert rewards[0] == pytest.approx(476 / 9, rel=1e-12)
    for i in range(1, len(designs)):
        expected = 1.0
        for name, share in (("energy", 0.70), ("area", 0.85), ("cycles", 0.80)):
            target = share * float(c[name][0])
            expected *= target / abs(target - float(c[name][i]))
        assert rewards[i] == pytest.approx(expected, rel=1e-12)


# ---- batch -----------------------------------------------------------------------------------------------


def test_a_batch_is_a_network_with_n_images():
    designs = designs_of(3, 11)
    batch, each = simulate(designs, MIXED, batch=3), simulate(designs, MIXED.with_batch(3))
    for name in batch:
        factor = {"throughput": 3.0}.get(name, 1 / 3 if name.startswith("energy") else 1.0)
        np.testing.assert_allclose(batch[name], each[name] * factor, rtol=1e-14, err_msg=name)
    assert (batch["macs"] == 3 * MIXED.macs).all()
    np.testing.assert_allclose(batch["throughput"], 3 / batch["latency"], rtol=1e-14)
    np.testing.assert_allclose(batch["power"], 3 * batch["energy"] / batch["latency"], rtol=1e-14)


def test_a_batch_shares_the_weights_of_connected_layers():
    # One input vector uses each weight once: 4096 x 1000 weights of 2 bytes must come in for one as for 16.
    network = Network("fc", (Layer.gemm("fc8", M=1, N=1000, K=4096),))
    single, batch = one(BASELINE, network), one(BASELINE, network, batch=16)
    weights = 2 * 4096 * 1000
    assert single["dram_bytes"] >= weights
    assert batch["dram_bytes"] < 16 * weights / 4
    assert batch["energy"] < single["energy"] / 2


# ---- refusals --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch": 0}, "batch and budget must be at least 1"),
        ({"budget": 0}, "batch and budget must be at least 1"),
        ({"node": 33}, "node: expected one of .*got 33"),
        ({"memory": "LPDDR4-3200 x23"}, "did you mean LPDDR4-3200 x32"),
        ({"sram_device": "itrs-lpo"}, "did you mean itrs-lop"),
        ({"bits": 0}, "expected an integer >= 1"),
        ({"clock_mhz": 0.0}, "clock_mhz: expected a number from"),
    ],
)
def test_wrong_options_are_refused_before_the_first_design(options, message):
    with pytest.raises(UsageError, match=message):
        AcceleratorConfig(**options)


@pytest.mark.parametrize(
    ("sim", "message"),
    [
        ({"mapping_objective": "edpp"}, "mapping_objective.*edp"),
        ({"budgets": 3}, "did you mean budget"),
        ({"budget": "many"}, "budget.*many"),
    ],
)
def test_wrong_options_of_a_problem_are_refused(sim, message):
    with pytest.raises(UsageError, match=message):
        Problem.parse("accelerator/alexnet/edp", sim=sim)


def test_unknown_metrics_suggest_the_nearest():
    with pytest.raises(UnknownNameError, match="did you mean area_buffer"):
        Problem.parse("accelerator/alexnet/edp", limits=("area_bufer<=1",))
    with pytest.raises(UsageError, match="'memory_bound' can be zero"):
        Problem.parse("accelerator/alexnet/memory_bound")


def test_layers_of_another_word_width_are_refused():
    network = Network("q", (Layer.gemm("a", M=1, N=2, K=2, bits=16), Layer.gemm("b", M=1, N=2, K=2, bits=8)))
    with pytest.raises(UsageError, match=r"layer 'b': expected words of 16 bits \(sim.bits\), got 8"):
        simulate([BASELINE], network)
    wide = Network("w", (network.layers[0], Layer.gemm("c", M=1, N=2, K=2)))  # "c" states none
    assert one(BASELINE, wide)["macs"] == 8
    with pytest.raises(UsageError, match="layer 'a': expected words of 8 bits"):
        simulate([BASELINE], wide, bits=8)


def test_traces_are_no_networks():
    with pytest.raises(UsageError, match="runs workloads of kind network"):
        Problem.parse("accelerator/stream/edp")


# ---- several workloads -----------------------------------------------------------------------------------

HEAD, TAIL = Network("head", MIXED.layers[:3]), Network("tail", MIXED.layers[3:])


def several(aggregate, **options):
    return Problem(ProblemSpec("accelerator", (HEAD.to_dict(), TAIL.to_dict()), "edp", aggregate, **options))


def test_several_workloads_are_aggregated():
    designs = designs_of(3, 12)
    codes = SPACE.encode(designs)
    a, b = simulate(designs, HEAD), simulate(designs, TAIL)
    worst, total, mean = (several(how).evaluate(codes) for how in ("worst", "sum", "geomean"))
    for evaluation in (worst, total, mean):
        assert evaluation.feasible.all()
        columns = evaluation.metrics
        assert columns["latency@head"].tolist() == a["latency"].tolist()
        assert columns["utilisation@tail"].tolist() == b["utilisation"].tolist()
        assert columns["area"].tolist() == a["area"].tolist() == b["area"].tolist()  # one chip for both
    assert worst.metrics["latency"].tolist() == np.maximum(a["latency"], b["latency"]).tolist()
    assert worst.metrics["utilisation"].tolist() == np.minimum(a["utilisation"], b["utilisation"]).tolist()
    np.testing.assert_allclose(total.metrics["energy"], a["energy"] + b["energy"], rtol=1e-15)
    np.testing.assert_allclose(mean.metrics["energy"], np.sqrt(a["energy"] * b["energy"]), rtol=1e-12)
    edp = [x["energy"] * x["latency"] for x in (a, b)]
    np.testing.assert_allclose(mean.values[:, 0], np.sqrt(edp[0] * edp[1]), rtol=1e-12)


def test_networks_one_after_the_other_are_one_network_where_layers_do_not_bargain():
    # For latency alone every layer takes its fastest mapping whatever the others do, so cycles add up.
    designs = designs_of(3, 13)
    evaluation = several("sum", sim={"mapping_objective": "latency"}).evaluate(SPACE.encode(designs))
    whole = simulate(designs, MIXED, mapping_objective="latency")
    assert evaluation.metrics["cycles"].tolist() == whole["cycles"].tolist()
