"""Random memories, policies and short traces: every run ends, loses nothing and keeps the order of each line."""

import numpy as np
import pytest

from archgym.errors import UsageError
from archgym.simulators.dram import controller as k
from archgym.simulators.dram.mapping import FIELDS, AddressMapping, preset, preset_names
from archgym.simulators.dram.memory import LEVELS, Memory, Policy, prepare, run, unsupported
from archgym.simulators.dram.standards import load_standard, standard_names
from archgym.trace import Trace

STANDARDS = [load_standard(name) for name in standard_names()]
FORWARDED = 3  # outcome of a read that the write buffer answers


def random_mapping(rng, standard, channels, ranks):
    """A preset, or its bits dealt out anew."""
    mapping = preset(str(rng.choice(preset_names())), standard, channels=channels, ranks=ranks)
    if rng.random() < 0.8:
        return mapping
    bits, fields, used = rng.permutation(mapping.bits).tolist(), {}, 0
    for name in (*FIELDS, "byte"):
        count = len(getattr(mapping, name))
        fields[name] = tuple(bits[used : used + count])
        used += count
    return AddressMapping(**fields, xor=mapping.xor if rng.random() < 0.5 else ())


def random_memory(rng):
    standard, compat = STANDARDS[rng.integers(len(STANDARDS))], bool(rng.random() < 0.35)
    channels, ranks = int(rng.choice([1, 1, 2, 4])), max(standard.ranks, int(rng.choice([1, 1, 2, 4])))
    window = 0 if compat else int(rng.choice([0, 0, 1, 2, 7]))
    think = float(rng.choice([0.0, 3.0, 100.0])) if window else 0.0
    mapping = random_mapping(rng, standard, channels, ranks)
    return Memory(standard, mapping, channels, ranks, compat, window, think)


def random_policy(rng, memory):
    while True:
        knobs = {name: str(rng.choice(levels)) for name, levels in LEVELS.items()}
        knobs["command_mux"] = "Strict" if rng.random() < 0.25 else "Oldest"
        knobs |= {"buffer_size": int(rng.choice([1, 2, 3, 4, 8, 32])), "max_active": int(rng.choice([1, 2, 3, 8, 128]))}
        knobs |= {name: int(rng.choice([0, 1, 2, 8])) for name in ("max_postponed", "max_pulled_in")}
        if not memory.compat and rng.random() < 0.5:
            knobs["write_high"] = int(rng.choice([1, 2, 4, 8, 16]))
            knobs["write_low"] = int(rng.integers(0, knobs["write_high"]))
        if not memory.compat and rng.random() < 0.5:
            knobs["hit_cap"] = int(rng.choice([1, 2, 4, 16]))
        policy = Policy(**knobs)
        if not unsupported(memory.standard, policy):
            return policy


def random_trace(rng):
    """1 to 60 requests of 1 to 256 bytes: anywhere, to few addresses, in few rows, strided, or mixtures."""
    n = int(rng.integers(1, 61))
    few = rng.integers(0, 1 << 31, int(rng.integers(1, 9)))
    some = few[rng.integers(0, len(few), n)]
    address = [
        rng.integers(0, 1 << 32, n),
        some,
        some + rng.integers(0, 1 << 14, n),
        few[0] // 64 * 64 + np.arange(n) * 64 * int(rng.integers(1, 130)),
        np.where(rng.random(n) < 0.5, some, rng.integers(0, 1 << 20, n)),
    ][rng.integers(5)]
    writes = rng.random(n) < rng.choice([0.0, 0.2, 0.5, 0.8, 1.0])
    gap = int(rng.choice([0, 1, 3, 30, 500, 20_000]))
    cycle = np.cumsum(rng.integers(0, 2 * gap + 1, n))
    if rng.random() < 0.1:
        rng.shuffle(cycle)  # times need not ascend
    size = rng.integers(1, 257, n) if rng.random() < 0.5 else np.full(n, 64)
    columns = {"size": size, "source": rng.integers(0, 3, n)}
    if rng.random() < 0.3:
        return Trace("fuzz", address, writes, time_ns=cycle * 1.25 + rng.random(n), **columns)
    clock = float(rng.choice([800.0, 1200.0, 933.0, 100.0, 3200.0]))
    return Trace("fuzz", address, writes, cycle, clock, **columns)


def case(seed):
    rng = np.random.default_rng([17, seed])
    memory = random_memory(rng)
    return memory, random_policy(rng, memory), random_trace(rng)


def play(memory, policy, trace):
    requests = prepare(trace, memory)
    return requests, run(memory, policy, requests, record=None)


def issued(result):
    """Request -> position of its column command among all commands."""
    columns = np.flatnonzero((result.commands["command"] >= k.RD) & (result.commands["command"] <= k.WRA))
    return dict(zip(result.commands["request"][columns].tolist(), columns.tolist(), strict=True))


def broken_orders(requests, result):
    """Pairs (older, younger) of bursts of one line, one of them a write, that reached the memory the other way round.

    A read from the write buffer must find the youngest older write of its line there: accepted, not yet commanded.
    """
    place, lines, write = issued(result), requests.table[:, k.Q_LINE], requests.table[:, k.Q_WRITE] == 1
    cycle = result.commands["cycle"]
    out = []
    for line in np.unique(lines).tolist():
        before: list[int] = []
        for young in np.flatnonzero(lines == line).tolist():
            if result.outcome[young] == FORWARDED:
                older = [old for old in before if write[old]]
                if not older or cycle[place[older[-1]]] < result.accepted[young]:
                    out.append((older[-1] if older else -1, young))
                continue
            out += [(old, young) for old in before if (write[old] or write[young]) and place[old] > place[young]]
            before.append(young)
    return out


def check(seed):
    """Returns whether the run came to its end."""
    memory, policy, trace = case(seed)
    requests, result = play(memory, policy, trace)
    n, bursts = result.counters, len(requests.table)
    if not result.finished_all:
        # column commands in order of arrival: a scheduler or a write buffer may offer another one first, and for ever
        assert policy.command_mux == "Strict", "deadlock"
        assert policy.scheduler != "Fifo" or policy.write_high > 0, "deadlock of in-order banks"
        assert len(issued(result)) < bursts
        return False
    assert (result.finished >= result.accepted).all()
    assert (result.accepted >= result.sent).all()
    assert memory.window > 0 or (result.sent >= requests.table[:, k.Q_ARRIVE]).all()
    assert result.finished.max() == n[k.TIME]
    outcomes = n[[k.ROW_HITS, k.ROW_MISSES, k.ROW_CONFLICTS, k.FORWARDED]]
    assert outcomes.sum() == bursts
    assert n[k.COUNT + k.RD : k.COUNT + k.WRA + 1].sum() + n[k.FORWARDED] == bursts == len(issued(result)) + outcomes[3]
    assert broken_orders(requests, result) == []
    again = run(memory, policy, requests)
    assert np.array_equal(again.finished, result.finished)
    assert np.array_equal(again.counters, result.counters)
    return True


def check_all(seeds):
    stuck = 0
    for seed in seeds:
        try:
            stuck += not check(seed)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {case(seed)[1:]}") from error
    return stuck


def test_random_runs_end_and_keep_the_order_of_each_line():
    stuck = check_all(range(1500))
    assert 10 < stuck < 150  # Strict with something that reorders: some of a quarter of the runs


@pytest.mark.slow
def test_twenty_thousand_random_runs():
    assert check_all(range(100_000, 120_000)) > 100


def test_the_oracle_of_orders_sees_a_swap():
    """A write and a read of one line, and a write of another: swapped commands of the first two are found."""
    standard = STANDARDS[0]
    memory = Memory(standard, preset("row-bank-column", standard))
    trace = Trace("t", np.array([0, 0, 64]), np.array([True, False, True]), np.arange(3), 800.0)
    requests, result = play(memory, Policy(refresh="NoRefresh"), trace)
    assert broken_orders(requests, result) == []
    columns = [issued(result)[request] for request in (0, 1)]
    result.commands["request"][columns] = [1, 0]
    assert broken_orders(requests, result) == [(0, 1)]


def test_equal_watermarks_do_not_stop_the_controller():
    """Draining would begin and end at every look: refused, or played to the end. Three rows of one bank: R, R, W."""
    standard = STANDARDS[0]
    memory = Memory(standard, preset("row-bank-column", standard))
    trace = Trace("t", np.array([2, 1, 0]) << 16, np.array([False, False, True]), np.arange(3), 800.0)
    try:
        policy = Policy(refresh="NoRefresh", write_high=1, write_low=1)
    except UsageError:
        return
    assert play(memory, policy, trace)[1].finished_all


def test_channels_of_a_bankwise_buffer_do_not_look_at_each_other():
    """Compat: the last accepted request's bank must have room; a channel that accepted none yet has an empty one.

    Two channels, one request of bank 0 to each.
    """
    standard = STANDARDS[0]
    mapping = preset("row-column-bank", standard, channels=2)
    memory = Memory(standard, mapping, 2, 1, True)
    address = mapping.encode(np.array([[0, 0, 0, 0, 1, 0], [1, 0, 0, 0, 1, 0]]))
    trace = Trace("t", address, False, np.arange(2), 800.0)
    result = play(memory, Policy(refresh="NoRefresh", buffer="Bankwise", buffer_size=1), trace)[1]
    assert result.finished_all
    assert result.accepted.tolist() == [0, 1]


@pytest.mark.parametrize("compat", [False, True], ids=["default", "compat"])
@pytest.mark.parametrize("name", ["DDR3-1600", "HBM2-2000"])
def test_a_long_time_changes_nothing(name, compat):
    """Without refresh a pause before the trace only moves it: by seconds, hours, and as long as a trace may last."""
    standard = load_standard(name)
    memory = Memory(standard, preset("row-bank-column", standard, ranks=standard.ranks), 1, standard.ranks, compat)
    rng = np.random.default_rng(0)
    cycle, address = np.arange(60), rng.integers(0, 1 << 20, 60) * 64
    first, write = None, rng.random(60) < 0.4
    for seconds in (1e-6, 0.01, 1, 100, 10_000, 1_000_000):
        pause = int(seconds * standard.clock_mhz * 1e6)
        trace = Trace("late", address, write, cycle + pause, standard.clock_mhz)
        requests, result = play(memory, Policy(refresh="NoRefresh"), trace)
        assert result.finished_all, seconds
        began = requests.table[0, k.Q_ARRIVE]
        first = result.finished - began if first is None else first
        assert np.array_equal(result.finished - began, first), seconds
