"""Which controllers are alike: each rule of the canonical form against runs of the designs that it merges."""

import functools
from dataclasses import dataclass

import numpy as np
import pytest

from archgym.simulators.dram.memory import prepare, run
from archgym.simulators.dram.simulator import Dram, DramConfig
from archgym.simulators.dram.space import policy_of
from archgym.trace import Trace
from archgym.workloads import traces

COMPAT = "dramsys-4.0"
QUEUES = ("Fifo", "Reorder")
STANDARDS = ("DDR3-1600", "DDR4-2400", "DDR4-1866", "LPDDR4-3200", "HBM2-2000", "DDR5-4800")
# (space, compat): the full space has no compat mode
KINDS = (("archgym-rl", ""), ("archgym-rl", COMPAT), ("archgym-search", ""), ("archgym-search", COMPAT), ("full", ""))


@functools.cache
def simulator_of(standard, space, compat, window=0):
    return Dram(DramConfig(standard=standard, space=space, compat=compat, window=window))


def random_trace(rng, *, reads_only):
    """300 to 600 requests: saturating, sparse or in bursts; over rows, banks and channels, or in few of them."""
    n, seed = int(rng.integers(300, 601)), int(rng.integers(1 << 30))
    writes = 0.0 if reads_only else float(rng.choice([0.2, 0.5, 0.8]))
    footprint = int(rng.choice([1 << 14, 1 << 18, 1 << 24, 1 << 30]))
    match int(rng.integers(7)):
        case 0:
            return traces.random_access(n, write_share=writes, footprint=footprint, seed=seed)
        case 1:
            gap = float(rng.choice([3, 20, 59, 300]))
            return traces.random_access(n, gap=gap, write_share=writes, footprint=footprint, seed=seed)
        case 2:
            return traces.zipf_rows(n, rows=int(rng.choice([2, 8, 32])), gap=1, write_share=writes, seed=seed)
        case 3:
            idle, burst = int(rng.choice([50, 1000])), int(rng.choice([4, 32]))
            return traces.bursty(n, idle=idle, burst=burst, write_share=writes, footprint=footprint, seed=seed)
        case 4:
            return traces.stream(n, gap=int(rng.choice([0, 5])), write_share=writes, seed=seed)
        case 5:
            return traces.mixed(n, gap=2, write_share=writes, seed=seed)
        case _:  # few rows of few banks
            address = rng.integers(0, 1 << 14, n) * 64 + (rng.integers(0, 4, n) << int(rng.integers(13, 28)))
            cycle = np.cumsum(rng.integers(0, 2 + int(rng.choice([0, 2, 40])), n))
            return Trace("few", address, rng.random(n) < writes, cycle, float(rng.choice([800.0, 1000.0, 1200.0])))


# ---- the rules -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """What a rule may look at: levels of the space, and what holds of trace and memory."""

    levels: dict
    reads_only: bool
    compat: bool
    pseudo_channels: bool


def pick(rng, values):
    return values[int(rng.integers(len(values)))]


def at_least(case, name, low):
    return [level for level in case.levels[name] if level >= low]


def no_writes(case, rng):
    """1: what concerns writes is dead in a trace of reads."""
    if not case.reads_only:
        return None
    change = [
        {"Scheduler": "FrFcfsGrp"},
        {"SchedulerBuffer": "ReadWrite"},
        {"WriteHighWatermark": pick(rng, (8, 16, 64)), "WriteLowWatermark": pick(rng, (0, 25, 75))},
    ]
    which = int(rng.integers(3 if "WriteHighWatermark" in case.levels else 2))
    fixed = [{"Scheduler": "FrFcfs"}, {"SchedulerBuffer": "Shared"}, {"WriteHighWatermark": 0, "WriteLowWatermark": 0}]
    return fixed[which], change[which]


def one_waits(case, rng):
    """2: at most one request a bank leaves nothing to choose."""
    premises = [{"SchedulerBuffer": "Shared", "RequestBufferSize": 1}]
    premises.append({"Arbiter": pick(rng, QUEUES), "MaxActiveTransactions": 1})
    if not case.compat:
        premises.append({"SchedulerBuffer": "Bankwise", "RequestBufferSize": 1})
    if case.compat or case.reads_only:
        premises.append({"SchedulerBuffer": "ReadWrite", "RequestBufferSize": 1})
    premise, page = pick(rng, premises), pick(rng, ("Open", "Closed"))
    change = {"Scheduler": pick(rng, case.levels["Scheduler"]), "PagePolicy": pick(rng, (page, page + "Adaptive"))}
    if "RowHitCap" in case.levels:
        change["RowHitCap"] = pick(rng, case.levels["RowHitCap"])
    return premise | {"PagePolicy": page, "Scheduler": "Fifo"}, change


def closed_rows(case, rng):
    """3: a row that is closed after each access is open for the oldest request."""
    premise = {"PagePolicy": "Closed", "Scheduler": "Fifo"}
    if "WriteHighWatermark" in case.levels and not case.reads_only:
        premise["WriteHighWatermark"] = 0
    change = {"Scheduler": "FrFcfs"}
    if "RowHitCap" in case.levels:
        change["RowHitCap"] = pick(rng, case.levels["RowHitCap"])
    return premise, change


def room_for_all(case, rng):
    """4: a buffer that holds all that is in flight never refuses a request."""
    active = pick(rng, [n for n in case.levels["MaxActiveTransactions"] if n <= max(case.levels["RequestBufferSize"])])
    sizes = at_least(case, "RequestBufferSize", active)
    kinds = case.levels["SchedulerBuffer"]
    premise = {"Arbiter": pick(rng, QUEUES), "MaxActiveTransactions": active, "RequestBufferSize": pick(rng, sizes)}
    change = {"RequestBufferSize": pick(rng, sizes), "SchedulerBuffer": pick(rng, kinds)}
    return premise | {"SchedulerBuffer": pick(rng, kinds)}, change


def one_in_flight(case, rng):
    """5: one response at a time has no order."""
    premise = {"MaxActiveTransactions": 1, "Arbiter": "Fifo", "RespQueue": "Fifo"}
    return premise, {"Arbiter": pick(rng, QUEUES), "RespQueue": pick(rng, ("Fifo", "Reorder"))}


def who_sorts(case, rng):
    """6: responses in order of arrival are the same from whoever sorts them."""
    if case.compat or case.pseudo_channels:
        return None
    premise = {"Arbiter": "Reorder", "RespQueue": "Fifo"}
    if "WriteHighWatermark" in case.levels and not case.reads_only:
        premise["WriteHighWatermark"] = 0
    if rng.random() < 0.5:
        return premise, {"RespQueue": "Reorder"}
    return premise | ({"Channels": 1} if "Channels" in case.levels else {}), {"Arbiter": "Fifo", "RespQueue": "Reorder"}


RULES = (no_writes, one_waits, closed_rows, room_for_all, one_in_flight, who_sorts)


def members(simulator, trace, rule, rng):
    """Codes of two designs that differ in nothing but what the rule merges; None where the rule does not hold."""
    space = simulator.design_space(trace)
    levels = {p.name: p.levels for p in space.parameters}
    reads_only = not trace.is_write.any()
    case = Case(levels, reads_only, bool(simulator.config.compat), simulator.config.standard.startswith("HBM2"))
    found = rule(case, rng)
    if found is None:
        return None
    premise, change = found
    base = space.design(space.sample(1, rng)[0]) | premise
    return space.encode([base, base | change])


def outcome(simulator, design, trace):
    """Everything that a run returns: metrics, and the times of every burst; None for a controller that stops."""
    memory = simulator.memory(design)
    requests = prepare(trace, memory)
    result = run(memory, policy_of(design), requests)
    if not result.finished_all:
        return None
    times = (result.sent, result.accepted, result.finished, result.outcome)
    metrics = simulator._metrics(result, requests, trace)
    return [column.tobytes() for column in times], repr(metrics)  # the shortest text that is this float


def check_rule(rule, space, compat, *, reads_only, n, seed):
    """Compare ``n`` pairs of members, ten a trace; returns how many of them are two designs."""
    name = f"{rule.__name__} {space} {compat} {reads_only}"
    rng = np.random.default_rng([seed, *name.encode()])
    two = 0
    while n > 0:
        standard = pick(rng, [s for s in STANDARDS if rule is not who_sorts or not s.startswith("HBM2")])
        window = 0 if compat else int(rng.choice([0, 0, 0, 4]))
        simulator, trace = simulator_of(standard, space, compat, window), random_trace(rng, reads_only=reads_only)
        designs = simulator.design_space(trace).design
        for _ in range(10):
            pair = members(simulator, trace, rule, rng)
            assert pair is not None
            merged = simulator.canonical(pair, trace)
            assert np.array_equal(merged[0], merged[1]), (name, designs(pair[0]), designs(pair[1]))
            one, other = (outcome(simulator, designs(code), trace) for code in pair)
            assert one == other, (name, standard, window, trace, designs(pair[0]), designs(pair[1]))
            two += not np.array_equal(pair[0], pair[1])
            n -= 1
    return two


def classes(rules=RULES):
    """(rule, space, compat, reads_only) wherever the rule holds."""
    for rule in rules:
        for space, compat in KINDS:
            for reads_only in (True, False):
                if (rule is no_writes and not reads_only) or (rule is who_sorts and compat):
                    continue
                yield pytest.param(rule, space, compat, reads_only, id=f"{rule.__name__}-{space}{compat}-{reads_only}")


@pytest.mark.parametrize(("rule", "space", "compat", "reads_only"), [*classes()])
def test_members_of_a_rule_are_alike(rule, space, compat, reads_only):
    """Bit for bit: every metric, and when each request was sent, accepted and answered."""
    assert check_rule(rule, space, compat, reads_only=reads_only, n=20, seed=1) >= 8


@pytest.mark.slow
@pytest.mark.parametrize(("rule", "space", "compat", "reads_only"), [*classes()])
def test_hundreds_of_members_of_a_rule_are_alike(rule, space, compat, reads_only):
    assert check_rule(rule, space, compat, reads_only=reads_only, n=600, seed=2) >= 200


# ---- all rules together ----------------------------------------------------------------------------------


def check_random(space, compat, *, n, seed):
    """Random designs and their representatives; returns how many differ."""
    merged = 0
    for round_ in range(n // 12):
        rng = np.random.default_rng([seed, round_, *f"{space}{compat}".encode()])
        simulator = simulator_of(pick(rng, STANDARDS), space, compat, 0 if compat else int(rng.choice([0, 0, 0, 4])))
        trace = random_trace(rng, reads_only=bool(rng.random() < 0.5))
        design_space = simulator.design_space(trace)
        codes = design_space.sample(12, rng)
        for name, few in (("RequestBufferSize", 1), ("MaxActiveTransactions", 3)):  # where most rules are
            at = [p.name for p in design_space.parameters].index(name)
            codes[:, at] = np.where(rng.random(12) < 0.3, rng.integers(0, few, 12), codes[:, at])
        for code, representative in zip(codes, simulator.canonical(codes, trace), strict=True):
            if np.array_equal(code, representative):
                continue
            merged += 1
            one, other = (design_space.design(c) for c in (code, representative))
            assert outcome(simulator, one, trace) == outcome(simulator, other, trace), (trace, one, other)
    return merged


@pytest.mark.parametrize(("space", "compat"), KINDS)
def test_random_designs_behave_as_their_representatives(space, compat):
    assert check_random(space, compat, n=240, seed=3) >= 80


@pytest.mark.slow
@pytest.mark.parametrize(("space", "compat"), KINDS)
def test_thousands_of_random_designs_behave_as_their_representatives(space, compat):
    assert check_random(space, compat, n=6000, seed=4) >= 3000


# ---- how many there are ----------------------------------------------------------------------------------


def count_classes(space, standard, *, reads_only, compat):
    """Different designs of an ArchGym space, by their representatives; no rule looks at the limits of refresh."""
    simulator = simulator_of(standard, space, compat)
    trace = traces.random_access(2, write_share=0.0 if reads_only else 1.0)
    design_space = simulator.design_space(trace)
    at = {p.name: i for i, p in enumerate(design_space.parameters)}
    limits = [at["RefreshMaxPostponed"], at["RefreshMaxPulledin"]]
    total = 0
    for refresh, combinations in ((0, 1), (1, int(np.prod(np.array(design_space.nvec)[limits])))):
        shape = np.array(design_space.nvec)
        shape[[*limits, at["RefreshPolicy"]]] = 1
        codes = np.indices(shape).reshape(len(shape), -1).T.astype(np.int64)
        codes[:, at["RefreshPolicy"]] = refresh
        representatives = simulator.canonical(codes, trace)
        assert (representatives[:, at["RefreshPolicy"]] == refresh).all()
        numbers = np.ravel_multi_index(tuple(representatives.T), tuple(design_space.nvec))
        assert np.array_equal(simulator.canonical(representatives, trace), representatives)  # idempotent
        total += combinations * len(np.unique(numbers))
    return total


@pytest.mark.parametrize(
    ("space", "compat", "reads", "mixed"),
    [
        ("archgym-rl", "", 16_116, 38_148),  # of 442,368
        ("archgym-rl", COMPAT, 31_280, 67_898),
        ("archgym-search", "", 1_652_820, 3_983_460),  # of 28,311,552
        ("archgym-search", COMPAT, 3_458_000, 7_934_810),
    ],
)
def test_how_many_controllers_differ(space, compat, reads, mixed):
    found = [count_classes(space, "DDR3-1600", reads_only=r, compat=compat) for r in (True, False)]
    assert found == [reads, mixed]


def test_pseudo_channels_keep_who_sorts_apart():
    """Without rule 6 as many as in compat mode, where rule 2 holds of ReadWrite instead of Bankwise."""
    assert count_classes("archgym-rl", "HBM2-2000", reads_only=False, compat="") == 67_898


# ---- what is not merged is alive -------------------------------------------------------------------------


def times_of(simulator, trace, **knobs):
    space = simulator.design_space(trace)
    design = simulator.baseline(trace) | {"RefreshPolicy": "NoRefresh"} | knobs
    memory = simulator.memory(space.design(space.encode([design])[0]))
    return run(memory, policy_of(design), prepare(trace, memory)).finished.tolist()


def test_refreshes_pulled_in_delay_a_read_of_a_sparse_trace():
    """DDR3: due at 6240, each takes 88 cycles. A read after two of them waits for a third only if three may come."""
    simulator = simulator_of("DDR3-1600", "archgym-rl", "")
    trace = Trace("one", np.array([0]), False, np.array([6240 + 2 * 88 + 1]), 800.0)
    assert times_of(simulator, trace, RefreshPolicy="AllBank", RefreshMaxPulledin=1) == [6240 + 2 * 88 + 1 + 24]
    assert times_of(simulator, trace, RefreshPolicy="AllBank", RefreshMaxPulledin=2) == [6240 + 3 * 88 + 24]


def test_the_response_queue_is_alive_under_the_simple_arbiter():
    """DDR3, three reads of one bank, the last a hit served second: in order of arrival it is answered last."""
    simulator = simulator_of("DDR3-1600", "archgym-rl", "")
    trace = Trace("three", np.array([0, 1 << 27, 64]), False, np.arange(3), 800.0)
    knobs = {"Arbiter": "Simple", "Scheduler": "FrFcfs", "PagePolicy": "Open", "RequestBufferSize": 8}
    assert times_of(simulator, trace, RespQueue="Fifo", **knobs)[2] < 40
    assert times_of(simulator, trace, RespQueue="Reorder", **knobs)[2] > 60


ALIVE = [
    ("full", {"PagePolicy": "Closed", "Scheduler": "Fifo", "WriteHighWatermark": 8}, {"Scheduler": "FrFcfs"}, False),
    ("full", {"PagePolicy": "Closed", "Scheduler": "Fifo"}, {"Scheduler": "FrFcfsGrp"}, False),
    ("full", {"WriteHighWatermark": 16, "WriteLowWatermark": 0}, {"WriteLowWatermark": 75}, False),
    ("archgym-rl", {"Scheduler": "FrFcfsGrp"}, {"Scheduler": "FrFcfs"}, False),
    ("archgym-rl", {"SchedulerBuffer": "ReadWrite", "RequestBufferSize": 1, "Scheduler": "Fifo"},
     {"Scheduler": "FrFcfs"}, False),
    ("archgym-rl", {"Arbiter": "Fifo", "MaxActiveTransactions": 8, "RequestBufferSize": 4, "SchedulerBuffer": "Shared"},
     {"SchedulerBuffer": "Bankwise"}, True),
    ("full", {"Arbiter": "Reorder", "RespQueue": "Reorder", "Channels": 4, "AddressMapping": "row-column-bank"},
     {"Arbiter": "Fifo"}, True),
]  # fmt: skip


@pytest.mark.parametrize(("space", "premise", "change", "reads_only"), ALIVE)
def test_a_premise_of_a_rule_is_needed(space, premise, change, reads_only):
    """Just outside a rule, designs stay apart, and some runs of them differ."""
    differ = 0
    for seed in range(30):
        rng = np.random.default_rng([6, seed])
        simulator, trace = simulator_of("DDR3-1600", space, ""), random_trace(rng, reads_only=reads_only)
        design_space = simulator.design_space(trace)
        base = design_space.design(design_space.sample(1, rng)[0])
        base |= {"CmdMux": "Oldest"} if space == "full" else {}
        pair = design_space.encode([base | premise, base | premise | change])
        merged = simulator.canonical(pair, trace)
        if not np.array_equal(merged[0], merged[1]):  # another rule may hold
            one, other = (outcome(simulator, design_space.design(code), trace) for code in pair)
            differ += one != other
    assert differ > 0


def test_pseudo_channels_have_data_out_of_order():
    """HBM2: a write on the other pseudo channel is done before an older read, so it matters who sorts."""
    simulator, differ = simulator_of("HBM2-2000", "archgym-rl", ""), 0
    for seed in range(10):
        trace = random_trace(np.random.default_rng([7, seed]), reads_only=False)
        knobs = {"Arbiter": "Reorder", "MaxActiveTransactions": 128}
        differ += times_of(simulator, trace, RespQueue="Fifo", **knobs) != times_of(
            simulator, trace, RespQueue="Reorder", **knobs
        )
    assert differ > 0
