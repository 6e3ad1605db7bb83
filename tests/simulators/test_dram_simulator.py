"""The DRAM simulator: its metrics recomputed from single requests, its options, and what it refuses."""

import functools
import math
from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest

from archgym.errors import UnknownNameError, UsageError
from archgym.problem import Problem, ProblemSpec
from archgym.simulators.dram import controller as k
from archgym.simulators.dram.memory import prepare, run
from archgym.simulators.dram.simulator import Dram, DramConfig
from archgym.simulators.dram.space import policy_of
from archgym.simulators.dram.standards import load_standard, standard_names
from archgym.simulators.dram.statistics import QUANTILES, request_times, summary
from archgym.testing import check_env, check_simulator
from archgym.trace import Trace
from archgym.workloads import traces

COMPAT = "dramsys-4.0"
SUFFIXES = ("", "_p50", "_p95", "_p99", "_max")
PARTS = (
    "activate", "precharge", "read", "write", "refresh", "active_standby", "precharge_standby", "power_down",
    "self_refresh",
)  # fmt: skip


@functools.cache
def simulator_of(**options):
    return Dram(DramConfig(**options))


def mixed(n=300, **options):
    """Reads and writes of odd sizes from three sources."""
    rng = np.random.default_rng(n)
    trace = traces.mixed(n, gap=2, write_share=0.3, seed=n)
    return replace(trace, size=rng.integers(1, 300, n), source=rng.integers(0, 3, n), **options)


def simulate(simulator, trace, **knobs):
    """Metrics of the baseline with some knobs turned, plain numbers."""
    space = simulator.design_space(trace)
    columns = simulator.simulate(space.encode([simulator.baseline(trace) | knobs]), trace)
    return {name: column[0].item() for name, column in columns.items()}


def one_read_at(cycle):
    """A DDR3-1600 trace whose only read is answered 24 cycles after ``cycle`` (tRCD 10, RL 10, BL/2 4)."""
    return Trace("one", np.array([0]), False, np.array([cycle]), 800.0)


# ---- metrics by brute force ------------------------------------------------------------------------------


def nearest_rank(values, quantile):
    """The smallest value that at least this share of all values does not exceed."""
    values = np.sort(values)
    return values[math.ceil(quantile * len(values)) - 1]


def statistics_of(values):
    """Mean, percentiles and maximum of whole cycles."""
    return [int(values.sum()) / len(values), *(int(nearest_rank(values, q)) for q in QUANTILES), int(values.max())]


@pytest.mark.parametrize("n", [1, 2, 3, 19, 20, 21, 99, 100, 101, 1000])
def test_percentiles_are_nearest_ranks(n):
    values = np.random.default_rng(n).integers(0, 50, n)
    assert summary(values, QUANTILES).tolist() == statistics_of(values)


def test_no_values_have_no_statistics():
    assert np.isnan(summary(np.zeros(0, np.int64), QUANTILES)).all()


def test_a_request_lasts_from_its_first_burst_to_its_last():
    columns = [np.array(c) for c in ([0, 0, 1, 1, 1], [5, 6, 7, 8, 9], [6, 9, 8, 9, 12], [40, 30, 99, 50, 60])]
    assert request_times(*columns).tolist() == [[5, 9, 40], [7, 12, 99]]


CONFIGS = [
    {"standard": "DDR3-1600"},
    {"standard": "DDR4-1866", "window": 6, "think_ns": 10.0},
    {"standard": "DDR4-2400", "space": "archgym-rl", "compat": COMPAT},
    {"standard": "LPDDR4-3200", "space": "archgym-search"},
    {"standard": "HBM2-2000"},
    {"standard": "HBM2-2000", "space": "archgym-rl", "compat": COMPAT},
    {"standard": "DDR5-4800"},
]


def by_hand(simulator, design, trace):
    """All metrics of a run but energies, from the times of its bursts and its commands, request by request."""
    memory = simulator.memory(design)
    requests = prepare(trace, memory)
    result = run(memory, policy_of(design), requests, record=None)
    assert result.finished_all
    standard = memory.standard
    if memory.compat:  # the tool rounds the period to 1 ps; HBM2 counts in ps
        period = 1e-12 if standard.family == "HBM2" else standard.tck_ps * 1e-12
    else:
        period = standard.clock_ns * 1e-9
    time = int(result.finished.max()) * period
    forwarded = int((result.outcome == 3).sum())
    out = {
        "latency": time,
        "row_hits": int((result.outcome == 0).sum()),
        "row_misses": int((result.outcome == 1).sum()),
        "row_conflicts": int((result.outcome == 2).sum()),
        "forwarded_reads": forwarded,
    }
    codes = result.commands["command"].tolist()
    for name, members in {
        "activates": (k.ACT,), "precharges": (k.PRE, k.PREA, k.PRESB), "auto_precharges": (k.RDA, k.WRA),
        "reads": (k.RD, k.RDA), "writes": (k.WR, k.WRA), "refreshes": (k.REFA, k.REFB, k.REFSB),
        "power_downs": (k.PDEA, k.PDEP, k.SREFEN),
    }.items():  # fmt: skip
        out[name] = sum(codes.count(code) for code in members)
    waits = {"read_latency": [], "read_service": [], "write_latency": []}
    for request in range(len(trace)):
        bursts = np.flatnonzero(requests.of_request == request)
        asked = result.sent[bursts].min() if memory.window else requests.table[bursts[0], k.Q_ARRIVE]
        done = result.finished[bursts].max()
        if trace.is_write[request]:
            waits["write_latency"].append(done - asked)
        else:
            waits["read_latency"].append(done - asked)
            waits["read_service"].append(done - result.accepted[bursts].max())
    for name, values in waits.items():
        for suffix, value in zip(SUFFIXES, statistics_of(np.array(values)), strict=True):
            out[name + suffix] = value * period
    return out


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: "-".join(map(str, c.values())))
def test_metrics_are_those_of_the_requests(config):
    simulator, trace = simulator_of(**config), mixed()
    space = simulator.design_space(trace)
    codes = space.sample(20, np.random.default_rng(1))
    columns, compared = simulator.simulate(codes, trace), 0
    for i, code in enumerate(codes):
        if columns["reason"][i]:
            continue  # Strict with reordering
        expected = by_hand(simulator, space.design(code), trace)
        found = {name: columns[name][i].item() for name in expected}
        assert found == pytest.approx(expected, rel=1e-12, abs=0)
        counts = [name for name, value in expected.items() if isinstance(value, int)]
        assert [found[name] for name in counts] == [expected[name] for name in counts]
        compared += 1
    assert compared >= 8


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: "-".join(map(str, c.values())))
def test_cycles_are_memory_clocks(config):
    simulator, trace = simulator_of(**config), mixed(50)
    found = simulate(simulator, trace)
    standard = load_standard(config["standard"])
    clock = standard.tck_ps * 1e-12 if "compat" in config else standard.clock_ns * 1e-9
    # HBM2 of the tool leaves the clock's grid by 1 ps
    assert found["latency"] == pytest.approx(found["cycles"] * clock, rel=1e-3 / found["cycles"] + 1e-12)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: "-".join(map(str, c.values())))
def test_bandwidth_is_bytes_of_bursts_over_time(config):
    simulator, trace = simulator_of(**config), mixed()
    found = simulate(simulator, trace)
    standard = load_standard(config["standard"])
    moved = (found["reads"] + found["writes"]) * standard.bytes_per_burst
    assert found["bandwidth"] == pytest.approx(moved / found["latency"], rel=1e-12)
    assert 0 < found["utilisation"] < 1


@pytest.mark.parametrize("name", standard_names())
def test_no_memory_moves_more_than_its_peak(name):
    """Consecutive bursts over all banks, as fast as they go: the buses are nearly full, and no fuller."""
    trace = traces.stream(60_000, clock_mhz=8000.0)
    rl = simulator_of(standard=name, space="archgym-rl", mapping="row-column-bank")
    found = simulate(rl, trace, RefreshPolicy="NoRefresh", SchedulerBuffer="Shared", RequestBufferSize=128)
    assert 0.9 < found["utilisation"] <= 1


def test_reads_from_the_write_buffer_move_no_data():
    """Each line is written and read at once: half of the requests never reach the memory."""
    n = 2000
    trace = Trace("t", np.arange(n) // 2 * 64, np.arange(n) % 2 == 0, np.arange(n), 1200.0)
    knobs = {"WriteHighWatermark": 64, "WriteLowWatermark": 25, "SchedulerBuffer": "Shared", "RequestBufferSize": 128}
    found = simulate(simulator_of(standard="DDR4-2400"), trace, **knobs)
    assert found["forwarded_reads"] == n / 2
    assert found["utilisation"] <= 1


def test_energy_is_the_sum_of_its_parts():
    simulator, trace = simulator_of(standard="DDR4-2400"), mixed()
    codes = simulator.design_space(trace).sample(20, np.random.default_rng(2))
    columns = simulator.simulate(codes, trace)
    possible = columns["reason"] == 0
    total = np.zeros(len(codes))
    for part in PARTS:  # in this order: floats
        total += columns[f"energy_{part}"]
    assert np.array_equal(total[possible], columns["energy"][possible])
    assert np.allclose(columns["power"][possible], (columns["energy"] / columns["latency"])[possible], rtol=1e-12)
    assert all((columns[f"energy_{part}"][possible] >= 0).all() for part in PARTS)


def test_a_trace_in_the_memorys_clock_comes_in_its_cycles():
    """Requests far apart in cycles of the memory are sent in these cycles, whatever a cycle is in ps."""
    cycle = 50 * np.arange(40) + np.arange(40) % 7
    for name in standard_names():
        standard = load_standard(name)
        memory = simulator_of(standard=name).memory({})
        trace = Trace("t", 64 * np.arange(40), False, cycle, standard.clock_mhz)
        assert prepare(trace, memory).table[:, k.Q_ARRIVE].reshape(40, -1)[:, 0].tolist() == cycle.tolist(), name


# ---- time as ArchGym reads it ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cycles", "printed"),
    [
        (24, 30),  # 30 000 ps are printed as 30 ns
        (29, 36_250),  # 36 250 ps
        (800, 1),  # 1 us
        (804, 1005),  # 1005 ns
        (800_000, 1),  # 1 ms
        (1_000_000, 1250),  # 1250 us
    ],
)
def test_the_number_that_is_read_as_nanoseconds(cycles, printed):
    """SystemC prints a time in the largest unit that leaves an integer; the unit was dropped. DDR3: 1.25 ns a cycle."""
    for compat in ("", COMPAT):
        simulator = simulator_of(space="archgym-rl", compat=compat)
        found = simulate(simulator, one_read_at(cycles - 24), RefreshPolicy="NoRefresh")
        assert found["cycles"] == cycles
        assert found["latency"] == pytest.approx(cycles * 1.25e-9, rel=1e-12)
        assert found["latency_archgym"] == pytest.approx(printed * 1e-9, rel=1e-12)


# ---- contract --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "trace"),
    [
        ({"standard": "DDR4-2400"}, mixed()),
        ({"standard": "DDR4-1866", "space": "archgym-search"}, traces.bursty(300, idle=1000)),
        ({"standard": "DDR3-1600", "space": "archgym-rl", "compat": COMPAT}, traces.zipf_rows(300)),
        ({"standard": "HBM2-2000", "space": "archgym-rl", "compat": COMPAT}, traces.copy(300)),
        ({"standard": "LPDDR4-3200"}, traces.random_access(200, gap=300)),
        ({"standard": "HBM2-2000"}, traces.random_access(300, write_share=0.0)),
        ({"standard": "DDR5-6400", "window": 8, "think_ns": 5.0}, traces.triad(300)),
        ({"standard": "DDR3-1600+DDR4-2400"}, traces.mixed(300)),
        ({"standard": "DDR4-3200+DDR5-3200+LPDDR4-3200+HBM2-2000", "mapping": "mop"}, mixed()),
    ],
    ids=lambda value: value.get("standard") if isinstance(value, dict) else value.name,
)
def test_conformance(config, trace):
    """Rows are independent, runs repeatable, canonical designs alike, metrics finite."""
    check_simulator(simulator_of(**config), trace, n=25)


def test_the_environment():
    options = {"workload": "gen-hotrow", "objective": "read-latency", "sim": {"space": "archgym-rl"}}
    check_env("archgym/DRAM-v0", **options)
    env = gym.make("archgym/DRAM-v0", workload="gen-mixed", objective="time", sim={"standard": "DDR4-2400"})
    env.action_space.seed(3)
    env.reset(seed=0)
    rewards = [env.step(env.action_space.sample())[1] for _ in range(5)]
    assert np.isfinite(rewards).all()
    assert len(set(rewards)) > 1


# ---- several standards -----------------------------------------------------------------------------------


def test_the_standard_may_be_a_knob():
    """The same lines are moved whatever the memory; only 32 bytes a burst in HBM2 and LPDDR4."""
    simulator, trace = simulator_of(standard="DDR3-1600+DDR4-2400+LPDDR4-3200+HBM2-2000"), traces.mixed(300)
    assert simulator.design_space(trace)["Standard"].levels == ("DDR3-1600", "DDR4-2400", "LPDDR4-3200", "HBM2-2000")
    for name in ("DDR3-1600", "DDR4-2400", "LPDDR4-3200", "HBM2-2000"):
        found = simulate(simulator, trace, Standard=name)
        burst = load_standard(name).bytes_per_burst
        assert (found["reads"] + found["writes"]) * burst == 300 * 64
        assert found["bandwidth"] * found["latency"] == pytest.approx(300 * 64, rel=1e-12)
        alone = simulate(simulator_of(standard=name), trace)
        assert {m: found[m] for m in found} == {m: alone[m] for m in found}


def test_what_a_standard_cannot_do_is_a_static_rule():
    """DDR3 has no per-bank refresh, LPDDR4 has; DDR4-3200 has no power-down."""
    trace = traces.mixed(50)
    simulator = simulator_of(standard="DDR3-1600+LPDDR4-3200+DDR4-3200")
    space, base = simulator.design_space(trace), simulator.baseline(trace)

    def allowed(**knobs):
        return bool(space.is_allowed(space.encode([base | knobs]))[0])

    assert allowed(Standard="LPDDR4-3200", RefreshPolicy="PerBank")
    assert not allowed(Standard="DDR3-1600", RefreshPolicy="PerBank")
    assert allowed(Standard="DDR3-1600", PowerDownPolicy="Staggered")
    assert not allowed(Standard="DDR4-3200", PowerDownPolicy="Staggered")
    codes = space.sample(500, np.random.default_rng(0))
    assert space.is_allowed(codes).all()


# ---- no currents, no energy ------------------------------------------------------------------------------


@pytest.mark.parametrize("standard", ["HBM2-2000", "LPDDR4-3200", "DDR5-4800", "DDR3-1600+HBM2-2000"])
def test_without_currents_there_is_no_energy(standard):
    simulator = simulator_of(standard=standard)
    names = {m.name for m in simulator.metrics}
    gone = {"power", "energy", *(f"energy_{part}" for part in PARTS)}
    assert not names & gone
    assert set(simulator.absent) == gone
    assert set(simulate(simulator, traces.copy(50))) == names | {"reason"}
    culprit = standard.split("+")[-1]
    for objective in ("edp", "energy", "pareto:latency,energy", "archgym-target:power=1"):
        with pytest.raises(
            UsageError, match=rf"metric '(energy|power)' is not available: {culprit}: .*(currents|energy)"
        ):
            Problem(ProblemSpec("dram", ("gen-copy",), objective, sim={"standard": standard}))


def test_with_currents_edp_is_an_objective():
    problem = Problem(ProblemSpec("dram", ("gen-copy",), "edp", sim={"standard": "DDR4-3200"}))
    energy, latency = (problem.baseline_metrics[name] for name in ("energy", "latency"))
    row = problem.evaluate(problem.space.encode([problem.baseline]))
    assert row.values[0, 0] == energy * latency
    assert row.reward[0] == 0


# ---- objectives ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("objective", "metric"), [("time", "latency"), ("read-latency", "read_latency"), ("p99", "read_latency_p99")]
)
def test_objectives_have_names(objective, metric):
    problem = Problem(ProblemSpec("dram", ("gen-hotrow",), objective, sim={"space": "archgym-rl"}))
    assert problem.objective.name == objective
    codes = problem.space.sample(5, np.random.default_rng(1))
    rows = problem.evaluate(codes)
    assert np.array_equal(rows.values[:, 0], rows.metrics[metric])
    reference = problem.baseline_metrics[metric]
    assert rows.reward == pytest.approx(-np.log(rows.values[:, 0] / reference), abs=1e-12)


def test_the_predecessors_reward():
    """target / |target - x|: the product over both targets."""
    objective = "archgym-target:power=1,latency=0.1"
    problem = Problem(ProblemSpec("dram", ("gen-copy",), objective, sim={"space": "archgym-rl"}))
    rows = problem.evaluate(problem.space.sample(6, np.random.default_rng(1)))
    power, latency = (rows.metrics[name] for name in ("power", "latency"))
    assert rows.reward == pytest.approx(1 / np.abs(1 - power) * 0.1 / np.abs(0.1 - latency), rel=1e-12)


# ---- sources ---------------------------------------------------------------------------------------------


def test_the_breakdown_compares_each_source_with_itself_alone():
    simulator, trace = simulator_of(standard="DDR4-2400"), traces.gen_sources().where(np.arange(2000))
    space = simulator.design_space(trace)
    code = space.encode([simulator.baseline(trace)])
    table = simulator.breakdown(code, trace)
    sources = np.unique(trace.source).tolist()
    assert table["source"] == sources
    assert table["requests"] == [int((trace.source == s).sum()) for s in sources]
    design = space.design(code[0])
    memory = simulator.memory(design)
    for i, source in enumerate(sources):
        mine = trace.source == source
        assert table["read share"][i] == pytest.approx(float((~trace.is_write[mine]).mean()))
        means = []
        for part in (trace, trace.where(mine)):
            requests = prepare(part, memory)
            result = run(memory, policy_of(design), requests)
            wait = (result.finished - requests.table[:, k.Q_ARRIVE])[part.source[requests.of_request] == source]
            means.append(float(wait.mean()) * result.seconds_per_tick)  # lines of 64 bytes: one burst a request
            if part is trace:
                p99 = float(nearest_rank(wait, 0.99)) * result.seconds_per_tick
        assert table["mean latency (s)"][i] == pytest.approx(means[0], rel=1e-12)
        assert table["alone (s)"][i] == pytest.approx(means[1], rel=1e-12)
        assert table["slowdown"][i] == pytest.approx(means[0] / means[1], rel=1e-12)
        assert table["p99 latency (s)"][i] == pytest.approx(p99, rel=1e-12)


# ---- what cannot be --------------------------------------------------------------------------------------


def test_a_controller_that_stops_is_infeasible_and_says_why():
    """Read, write, read: the write buffer lets both reads go first, Strict wants the write before the second."""
    trace = Trace("three", np.array([0, 64, 128]), np.array([False, True, False]), np.arange(3), 800.0)
    simulator = simulator_of(standard="DDR3-1600")
    knobs = {"CmdMux": "Strict", "WriteHighWatermark": 8}
    found = simulate(simulator, trace, **knobs)
    assert simulator.reasons[found["reason"]].startswith("deadlock")
    assert math.isnan(found["latency"])
    assert found["row_hits"] == 0
    problem = Problem(ProblemSpec("dram", (trace.to_dict(),), "time", sim={"standard": "DDR3-1600"}))
    row = problem.evaluate(problem.space.encode([problem.baseline | knobs]))
    assert (bool(row.feasible[0]), float(row.reward[0])) == (False, -20.0)
    assert problem.explain(row, 0).startswith("deadlock")


def test_options_that_make_no_sense_are_refused(tmp_path):
    for options, error, message in (
        ({"standard": "DDR3-1601"}, UnknownNameError, "unknown DRAM standard 'DDR3-1601'; did you mean DDR3-1600"),
        ({"standard": "DDR3-1600+DDR6"}, UnknownNameError, "unknown DRAM standard 'DDR6'"),
        ({"space": "archgym"}, UnknownNameError, "unknown space of dram 'archgym'; did you mean archgym-rl"),
        ({"compat": "dramsys-5"}, UsageError, "compat: expected 'dramsys-4.0' or nothing, got 'dramsys-5'"),
        ({"compat": COMPAT}, UsageError, "use space=archgym-rl or archgym-search"),
        ({"window": -1}, UsageError, "window, think_ns: expected no negative number, got -1"),
        ({"standard": "DDR3-1600+DDR4-2400", "space": "archgym-rl"}, UsageError, "several go with space=full"),
        ({"standard": str(tmp_path / "none.json")}, UsageError, "expected a readable file"),
    ):
        with pytest.raises(error, match=message):
            Dram(DramConfig(**options))


def test_maps_that_do_not_fit_are_refused(tmp_path):
    trace = traces.copy(20)
    bad = tmp_path / "bad.json"
    bad.write_text('{"CONGEN": {"BYTE_BIT": [0, 1, 2], "COLUMN_BIT": [3, 4]}}')
    with pytest.raises(UsageError, match="address map: bank: expected 3 bits for 8 of DDR3-1600, got 0"):
        simulate(simulator_of(space="archgym-rl", mapping=str(bad)), trace)
    other = tmp_path / "other.json"
    other.write_text('{"CONGEM": {}}')
    with pytest.raises(UsageError, match="expected one key CONGEN"):
        simulate(simulator_of(space="archgym-rl", mapping=str(other)), trace)
    with pytest.raises(UnknownNameError, match="address mapping 'row-bank-colum'; did you mean row-bank-column"):
        simulate(simulator_of(space="archgym-rl", mapping="row-bank-colum"), trace)


def test_only_traces_are_played():
    with pytest.raises(UsageError, match=r"runs workloads of kind trace, .* is a network"):
        Problem(ProblemSpec("dram", ("alexnet",), "time")).evaluate(np.zeros((1, 20), np.int64))
