"""Runs of the DRAM controller held against the standards by the independent checker, and to laws of conservation."""

import functools
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from archgym.simulators.dram import controller as k
from archgym.simulators.dram.checker import Checker, mutate
from archgym.simulators.dram.command_trace import CODE
from archgym.simulators.dram.mapping import preset, preset_names
from archgym.simulators.dram.memory import LEVELS, Memory, Policy, data_cycles, prepare, run, unsupported
from archgym.simulators.dram.standards import load_standard, standard_names
from archgym.trace import Trace
from archgym.workloads import traces

STANDARDS = {name: load_standard(name) for name in standard_names()}
FILES = {
    json.loads(file.read_text())["memspec"]["memoryId"]: file
    for file in (Path(k.__file__).parent / "standards").glob("*.json")
}
READS, WRITES, COLUMN = ("RD", "RDA"), ("WR", "WRA"), ("RD", "RDA", "WR", "WRA")
REFRESHES = ("REFA", "REFB", "REFSB")
CLOSINGS = ("RDA", "WRA", "PRE", "PREA", "PRESB")
SLEEPS = ("PDEA", "PDEP", "SREFEN")


@functools.cache
def memspec_of(standard, ranks):
    """The file of a shipped standard, with another number of ranks."""
    tree = json.loads(FILES[standard.memory_id].read_text())
    tree["memspec"]["memarchitecturespec"]["nbrOfRanks"] = ranks
    return tree


@functools.cache
def checker_of(standard, ranks):
    return Checker(memspec_of(standard, ranks))


def named(commands, *names):
    return np.isin(commands["command"], [CODE[name] for name in names])


# ---- random systems --------------------------------------------------------------------------------------


def random_policy(rng, standard, *, compat, mux="Oldest"):
    """A policy that the standard can work under, every knob free."""
    while True:
        knobs = {name: str(rng.choice(levels)) for name, levels in LEVELS.items()} | {"command_mux": mux}
        knobs |= {"buffer_size": int(rng.choice([1, 2, 4, 8, 32, 128])), "max_active": int(rng.choice([1, 2, 8, 128]))}
        knobs |= {name: int(rng.choice([0, 1, 2, 4, 8])) for name in ("max_postponed", "max_pulled_in")}
        if not compat and rng.random() < 0.4:
            high = int(rng.choice([1, 8, 32]))
            knobs |= {"write_high": high, "write_low": int(rng.integers(0, high))}
        if not compat and rng.random() < 0.4:
            knobs["hit_cap"] = int(rng.choice([1, 4, 16]))
        policy = Policy(**knobs)
        if not unsupported(standard, policy):
            return policy


def random_memory(rng, standard, *, compat):
    channels, ranks = int(rng.choice([1, 1, 2])), max(standard.ranks, int(rng.choice([1, 2])))
    scheme = str(rng.choice(preset_names()))
    window = 0 if compat or rng.random() < 0.8 else int(rng.choice([1, 4, 16]))
    return Memory(
        standard, preset(scheme, standard, channels=channels, ranks=ranks), channels, ranks, compat, window, 20.0
    )


def random_trace(rng, n):
    seed, writes = int(rng.integers(1 << 30)), float(rng.choice([0.0, 0.3, 0.5, 1.0]))
    match int(rng.integers(0, 9)):
        case 0:
            return traces.random_access(n, write_share=writes, seed=seed)
        case 1:
            return traces.random_access(n, gap=float(rng.choice([3, 20, 59])), write_share=writes, seed=seed)
        case 2:  # hot rows
            return traces.zipf_rows(n, rows=int(rng.choice([4, 64])), write_share=writes, gap=1, seed=seed)
        case 3:
            idle = int(rng.choice([100, 1000, 10000]))
            return traces.bursty(n, idle=idle, burst=int(rng.choice([4, 32])), write_share=writes, seed=seed)
        case 4:
            return traces.stream(n, write_share=writes, gap=int(rng.choice([0, 5])), seed=seed)
        case 5:  # longer than several refresh intervals between requests
            return traces.random_access(n // 8 + 1, gap=4000, write_share=writes, seed=seed)
        case 6:
            return traces.copy(n)
        case 7:  # few lines, read and written again and again
            return traces.random_access(n, write_share=writes, seed=seed, footprint=1024)
        case _:  # odd sizes
            base = traces.mixed(n // 2, gap=2, write_share=writes, seed=seed)
            return replace(base, size=rng.integers(1, 257, n // 2))


def random_system(seed, name, n, *, compat=False):
    rng = np.random.default_rng([compat, list(STANDARDS).index(name), seed])
    standard = STANDARDS[name]
    memory = random_memory(rng, standard, compat=compat)
    return memory, random_policy(rng, standard, compat=compat), random_trace(rng, n)


def play(memory, policy, trace):
    requests = prepare(trace, memory)
    result = run(memory, policy, requests, record=None)
    assert result.finished_all
    assert len(result.commands) == result.counters[k.N_COMMANDS]
    return requests, result


# ---- what must hold of every run -------------------------------------------------------------------------


def hold_conservation(memory, policy, requests, result):
    """Every request once, by one column command of its type to its bank and row; outcomes and counters add up."""
    table, n, commands = requests.table, result.counters, result.commands
    forwarded = result.outcome == 3
    columns = commands[named(commands, *COLUMN)]
    served = columns["request"]
    assert np.array_equal(np.sort(served), np.flatnonzero(~forwarded))
    writes = named(columns, *WRITES)
    assert np.array_equal(table[served, k.Q_WRITE] == 1, writes)
    bank = (columns["channel"].astype(np.int64) * memory.ranks + columns["rank"]) * memory.standard.bank_groups
    bank = (bank + columns["bankgroup"]) * memory.standard.banks_per_group + columns["bank"]
    assert np.array_equal(bank, table[served, k.Q_BANK])
    assert np.array_equal(columns["row"], table[served, k.Q_ROW])
    outcomes = [int(n[c]) for c in (k.ROW_HITS, k.ROW_MISSES, k.ROW_CONFLICTS, k.FORWARDED)]
    assert outcomes == np.bincount(result.outcome, minlength=4).tolist()
    assert sum(outcomes) == len(table)
    assert not forwarded.any() or policy.write_high > 0
    assert not table[forwarded, k.Q_WRITE].any()
    by_code = n[k.COUNT : k.COUNT + k.N_COMMAND].tolist()
    assert by_code == np.bincount(commands["command"], minlength=k.N_COMMAND).tolist()
    activates = by_code[CODE["ACT"]]
    if policy.write_high == 0:  # else a row opened by a read may serve the write that asked for another's precharge
        assert activates >= outcomes[1] + outcomes[2]
        simple = policy.scheduler != "FrFcfsGrp" or policy.page_policy.startswith("Open")
        if policy.refresh == "NoRefresh" and simple and policy.hit_cap == 0:
            assert activates == outcomes[1] + outcomes[2]  # no row is closed under the request that opened it
    open_at_the_end = activates - int(n[k.CLOSINGS])
    assert 0 <= open_at_the_end <= memory.channels * memory.ranks * memory.standard.banks


def hold_times(memory, policy, requests, result):
    """Arrived, sent, accepted, commanded, finished: in this order; one response a cycle and channel."""
    table, period = requests.table, ticks(memory)
    cycle = max(1, period - 1)  # in the tool HBM2 leaves the clock's grid by 1 ps
    assert (result.sent >= (0 if memory.window else table[:, k.Q_ARRIVE])).all()
    assert (np.diff(result.sent) >= cycle).all()  # one request a cycle
    assert (result.accepted >= result.sent).all()
    assert (result.finished >= result.accepted).all()
    assert result.counters[k.TIME] == result.finished.max()
    commands = result.commands
    assert (np.diff(commands["cycle"]) >= 0).all()
    columns = commands[named(commands, *COLUMN)]
    reads = named(columns, *READS)
    ready = columns["cycle"] + np.where(reads, *data_cycles(memory.standard))
    assert (result.finished[columns["request"]] // period >= ready).all()
    for channel in range(memory.channels):
        done = np.sort(result.finished[table[:, k.Q_CHANNEL] == channel])
        assert (np.diff(done) >= cycle).all()
    if policy.arbiter != "Simple":
        assert (np.diff(np.sort(result.finished)) >= cycle).all()
    if policy.arbiter == "Reorder":
        assert (np.diff(result.finished) > 0).all()
    if policy.response_queue == "Reorder":
        for channel in range(memory.channels):
            assert (np.diff(result.finished[table[:, k.Q_CHANNEL] == channel]) > 0).all()


def hold_bandwidth(memory, result):
    """No more data than the buses carry, and none of it at the same time."""
    standard, commands = memory.standard, result.commands
    columns = commands[named(commands, *COLUMN)]
    pseudo = standard.family == "HBM2"  # each pseudo channel has its half of the data bus
    bus = columns["channel"] * memory.ranks + columns["rank"] if pseudo else columns["channel"]
    end = columns["cycle"] + np.where(named(columns, *READS), *data_cycles(standard))
    apart = standard.burst_cycles
    if standard.family == "LPDDR4" and memory.ranks > 1:
        # A write after a read of another rank, as in DRAMSys: no allowance for tDQSCK, which the read's data may need
        t = standard.timing
        apart -= t["DQSCK"] - t["DQSS"] - t["DQS2DQ"] - t["RTRS"]
    for one in np.unique(bus):
        assert (np.diff(np.sort(end[bus == one])) >= apart).all()
    buses = memory.channels * (memory.ranks if pseudo else 1)
    assert len(columns) * standard.burst_cycles <= buses * (result.counters[k.TIME] // ticks(memory))


def hold_refresh(memory, policy, result):
    """Without sleep: never further behind than may be postponed, never further ahead than may be pulled in."""
    commands, standard = result.commands, memory.standard
    refreshed = commands[named(commands, *REFRESHES)]
    if policy.refresh == "NoRefresh":
        assert len(refreshed) == 0 or policy.power_down != "NoPowerDown"  # the one after self-refresh
        return
    if policy.power_down != "NoPowerDown" or (memory.compat and policy.refresh != "AllBank"):
        return  # in the tool requests may keep a bank from its refresh for ever
    t = standard.timing
    units, interval = 1, t["REFI"]
    if policy.refresh != "AllBank":
        units = standard.banks if policy.refresh == "PerBank" else standard.banks_per_group
        interval = t.get("REFIPB", t.get("REFISB"))
    end = int(result.counters[k.TIME]) // ticks(memory)
    # closing the banks, a refresh, and what the standards call tRAS, tWR and the like take time
    late = 4 * t.get("RFC", t.get("RFCAB"))
    for channel in range(memory.channels):
        for rank in range(memory.ranks):
            mine = refreshed[(refreshed["channel"] == channel) & (refreshed["rank"] == rank)]
            at = mine["cycle"].astype(np.int64)
            done = np.arange(1, len(at) + 1)
            ahead = done - at // interval
            assert (ahead <= policy.max_pulled_in * units + 2).all()  # ranks start within the first interval
            just_before = np.concatenate([at, [end]])
            behind = (just_before - late) // interval - np.arange(len(at) + 1)
            assert (behind <= policy.max_postponed * units + 1).all()
            if policy.refresh != "AllBank":  # every unit once a round
                bank = (
                    mine["bank"]
                    if policy.refresh == "SameBank"
                    else (mine["bankgroup"] * standard.banks_per_group + mine["bank"])
                )
                for start in range(0, len(bank), units):
                    one_round = bank[start : start + units]
                    assert len(np.unique(one_round)) == len(one_round)


def ticks(memory):
    """In compat mode HBM2 counts in picoseconds."""
    return memory.standard.tck_ps if memory.compat and memory.standard.family == "HBM2" else 1


def hold(memory, policy, trace):
    """Play a trace and hold the run against everything above; returns the number of commands and the report."""
    requests, result = play(memory, policy, trace)
    hold_conservation(memory, policy, requests, result)
    hold_times(memory, policy, requests, result)
    hold_bandwidth(memory, result)
    hold_refresh(memory, policy, result)
    return result, checker_of(memory.standard, memory.ranks).check(result.commands, limit=3)


# ---- the default model is legal --------------------------------------------------------------------------


def check_default(seeds, n):
    """Counts of commands and of levels of knobs seen; no rule may be broken."""
    total, seen = 0, Counter()
    for seed in seeds:
        for name in STANDARDS:
            memory, policy, trace = random_system(seed, name, n)
            try:
                result, report = hold(memory, policy, trace)
            except AssertionError as error:
                raise AssertionError(f"{name}, seed {seed}: {memory}, {policy}, {trace}") from error
            assert report.legal, (name, seed, policy, report.violations)
            total += len(result.commands)
            seen.update(zip(LEVELS, (getattr(policy, knob) for knob in LEVELS), strict=True))
            seen.update([("ranks", memory.ranks), ("channels", memory.channels), ("buffer", policy.write_high > 0)])
            seen.update([("cap", policy.hit_cap > 0), ("window", memory.window > 0), ("writes", trace.is_write.any())])
    return total, seen


def test_no_rule_of_any_standard_is_broken():
    """All standards under random policies; every level of every knob takes part."""
    total, seen = check_default(range(24), 700)
    assert total >= 300_000
    levels = {(knob, level) for knob, levels in LEVELS.items() for level in levels} - {("command_mux", "Strict")}
    assert levels <= set(seen)
    assert {("ranks", 2), ("channels", 2), ("buffer", True), ("cap", True), ("window", True)} <= set(seen)


@pytest.mark.slow
def test_no_rule_is_broken_in_ten_million_commands():
    total, _ = check_default(range(1000, 1200), 3000)
    assert total >= 10_000_000


# ---- compat mode, faults of the tool included ------------------------------------------------------------

# DRAMSys' power-down manager forgets that RDA and WRA close rows: a rank with all banks closed sleeps as active, and
# as nothing has to be precharged after waking up, the refresh follows at once.
FAULTS_OF_THE_TOOL = {"PDXA->REFA rank", "REFA->PDEA rank"}


def check_compat(seeds, n):
    total, broken = 0, Counter()
    for seed in seeds:
        for name in STANDARDS:
            memory, policy, trace = random_system(seed, name, n, compat=True)
            result, report = hold(memory, policy, trace)
            total += len(result.commands)
            broken.update(report.counts)
            assert report.legal or policy.power_down == "Staggered", (name, seed, policy, report.violations)
            assert report.legal or policy.page_policy != "Open", (name, seed, policy, report.violations)
    return total, broken


def test_compat_mode_breaks_the_rules_that_the_tool_breaks():
    total, broken = check_compat(range(12), 500)
    assert total >= 80_000
    assert set(broken) <= FAULTS_OF_THE_TOOL
    assert broken["PDXA->REFA rank"] > 0


@pytest.mark.slow
def test_compat_mode_breaks_no_others_in_a_million_commands():
    total, broken = check_compat(range(1000, 1060), 1000)
    assert total >= 1_000_000
    assert set(broken) <= FAULTS_OF_THE_TOOL


# ---- the checker sees what is one cycle too early ---------------------------------------------------------


def tight_and_caught(memory, commands):
    """Move every tight command one cycle up, one at a time: how many, how many are flagged there, and their codes."""
    checker = checker_of(memory.standard, memory.ranks)
    tried, caught, codes = 0, 0, set()
    for index, moved in mutate(commands, memspec_of(memory.standard, memory.ranks)):
        told = checker.check(moved, limit=100).violations
        caught += any(v.index == index and v.required == v.cycle + 1 for v in told)
        codes.add(int(moved["command"][index]))
        tried += 1
    return tried, caught, codes


@pytest.mark.parametrize("name", STANDARDS)
def test_every_tight_command_one_cycle_early_is_flagged(name):
    """Of our own traces: so the checker would have seen it, had the controller been a cycle too fast."""
    tried, codes = 0, set()
    for seed in range(60, 66):
        memory, policy, trace = random_system(seed, name, 300)
        commands = play(memory, policy, trace)[1].commands[:300]
        more, caught, moved = tight_and_caught(memory, commands)
        assert caught == more, (name, seed)
        tried, codes = tried + more, codes | moved
    assert tried > 500
    assert {k.ACT} < codes


# ---- slower memories are slower ----------------------------------------------------------------------------

SLOWER = {"RCD": ("RCD", "RCDRD", "RCDWR"), "RP": ("RP", "RPPB", "RPAB"), "RFC": ("RFC", "RFCAB")}


def one_bank(rng, standard, n, gap):
    """Requests to few rows of one bank, in the standard's own bursts."""
    mapping = preset("bank-row-column", standard, channels=1, ranks=standard.ranks)
    coordinates = np.zeros((n, 6), np.int64)
    coordinates[:, 4] = rng.integers(0, int(rng.choice([1, 2, 5, 50])), n)
    coordinates[:, 5] = rng.integers(0, 32, n) * standard.burst_length
    writes = rng.random(n) < rng.choice([0.0, 0.5, 1.0])
    cycle = np.cumsum(rng.integers(0, 2 * gap, n))
    return mapping, Trace(
        "bank", mapping.encode(coordinates), writes, cycle, standard.clock_mhz, size=standard.bytes_per_burst
    )


@pytest.mark.parametrize("name", STANDARDS)
@pytest.mark.parametrize("timing", SLOWER)
def test_no_request_of_an_in_order_bank_gains_by_a_longer_timing(timing, name):
    """Served in order from one bank, each step waits for earlier ones and adds a constant: max-plus, so monotone.

    A refresh breaks this, as it may come before or after a request and leaves the row closed: tRCD and tRP without
    any, tRFC with a single forced one.
    """
    standard, refresh = STANDARDS[name], "AllBank" if timing == "RFC" else "NoRefresh"
    keys = [key for key in SLOWER[timing] if key in standard.timing]
    longer = 0
    for seed in range(25):
        rng = np.random.default_rng([3, seed])
        mapping, trace = one_bank(rng, standard, int(rng.integers(5, 90)), int(rng.choice([1, 30, 200])))
        policy = Policy(
            page_policy=str(rng.choice(["Open", "Closed"])), scheduler="Fifo", refresh=refresh, max_postponed=0,
            max_pulled_in=0, buffer="Shared", buffer_size=int(rng.choice([1, 2, 8])),
            arbiter=str(rng.choice(["Simple", "Fifo"])), max_active=int(rng.choice([1, 4, 16])),
        )  # fmt: skip
        window, before = int(rng.choice([0, 0, 1, 4])), None
        if timing == "RFC":  # most of the trace comes about the first refresh
            trace = replace(trace, cycle=trace.cycle + standard.timing["REFI"] - 200)
            window = 0
        for more in (0, 1, 2, 5, 11, 40):
            slow = replace(standard, timing=dict(standard.timing) | {key: standard.timing[key] + more for key in keys})
            memory = Memory(slow, mapping, 1, standard.ranks, window=window)
            result = run(memory, policy, prepare(trace, memory))
            if timing == "RFC" and result.counters[k.TIME] > 1.4 * standard.timing["REFI"]:
                break  # HBM2's other pseudo channel refreshes every half interval
            if before is not None:
                assert (result.finished >= before).all(), (seed, more)
                longer += (result.finished > before).any()
            before = result.finished
    assert longer >= 20
