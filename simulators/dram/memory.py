"""A memory system and one trace through it: configuration in names and numbers, results in columns.

This is the interface below the simulator: no design codes, no environments. ``Memory`` is what is built,
``Policy`` is how its controllers work, ``run`` plays a trace.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property, lru_cache

import numpy as np
import numpy.typing as npt

from archgym.errors import UnknownNameError, UsageError
from archgym.trace import Trace

from . import controller as k
from .command_trace import COMMAND_DTYPE
from .drampower import replay
from .energy import Activity, Energy, activity, energy, together
from .mapping import AddressMapping
from .standards import Standard
from .timing import Tables, tables

Ints = npt.NDArray[np.int64]

COMPAT = "dramsys-4.0"

# Levels of the policies, under DRAMSys' names, in the kernel's order.
LEVELS: Mapping[str, tuple[str, ...]] = {
    "page_policy": ("Open", "OpenAdaptive", "Closed", "ClosedAdaptive"),
    "scheduler": ("Fifo", "FrFcfs", "FrFcfsGrp"),
    "buffer": ("Bankwise", "ReadWrite", "Shared"),
    "command_mux": ("Oldest", "Strict"),
    "response_queue": ("Fifo", "Reorder"),
    "refresh": ("NoRefresh", "AllBank", "PerBank", "SameBank"),
    "power_down": ("NoPowerDown", "Staggered"),
    "arbiter": ("Simple", "Fifo", "Reorder"),
}
_KNOBS = {
    "page_policy": k.PAGE_POLICY,
    "scheduler": k.SCHEDULER,
    "buffer": k.BUFFER,
    "buffer_size": k.BUFFER_SIZE,
    "command_mux": k.COMMAND_MUX,
    "response_queue": k.RESPONSE_QUEUE,
    "refresh": k.REFRESH,
    "max_postponed": k.MAX_POSTPONED,
    "max_pulled_in": k.MAX_PULLED_IN,
    "power_down": k.POWER_DOWN,
    "arbiter": k.ARBITER,
    "max_active": k.MAX_ACTIVE,
    "write_high": k.WRITE_HIGH,
    "write_low": k.WRITE_LOW,
    "hit_cap": k.HIT_CAP,
}


@dataclass(frozen=True)
class Policy:
    """How the controllers work; names as in DRAMSys where it has the knob.

    Attributes:
        page_policy: Open keeps a row open; Closed precharges after each access; the adaptive ones close a row
            when no waiting request wants it (OpenAdaptive: and another request waits for the bank).
        scheduler: of a bank's requests: Fifo; FrFcfs, row hits first; FrFcfsGrp, among these reads after reads
            and writes after writes.
        buffer, buffer_size: requests a controller holds: per bank, per type or in all.
        command_mux: Oldest, or Strict: column commands in order of arrival.
        response_queue: responses leave in order of their commands (Fifo) or of arrival (Reorder).
        refresh, max_postponed, max_pulled_in: refresh manager; limits in refresh intervals.
        power_down: Staggered: power-down when a rank is idle, self-refresh when it stays so.
        arbiter, max_active: Simple passes requests on; Fifo and Reorder queue up to ``max_active``.
        write_high, write_low: write buffer: reads go first until ``write_high`` writes wait, then writes until
            ``write_low`` are left; a read of a waiting write's data is answered from the buffer. 0: off.
        hit_cap: row hits served before an older request to another row; 0: no cap.

    Raises:
        UnknownNameError: a level that does not exist.
        UsageError: a size out of range.
    """

    page_policy: str = "Open"
    scheduler: str = "FrFcfs"
    buffer: str = "Bankwise"
    buffer_size: int = 8
    command_mux: str = "Oldest"
    response_queue: str = "Fifo"
    refresh: str = "AllBank"
    max_postponed: int = 8
    max_pulled_in: int = 8
    power_down: str = "NoPowerDown"
    arbiter: str = "Simple"
    max_active: int = 128
    write_high: int = 0
    write_low: int = 0
    hit_cap: int = 0

    def __post_init__(self) -> None:
        for name, levels in LEVELS.items():
            if getattr(self, name) not in levels:
                raise UnknownNameError(name, str(getattr(self, name)), levels)
        for name, low in (("buffer_size", 1), ("max_active", 1), ("max_postponed", 0), ("max_pulled_in", 0)):
            if getattr(self, name) < low:
                raise UsageError(f"{name}: expected at least {low}, got {getattr(self, name)}")
        low, high = self.write_low, self.write_high
        if not (0 <= low < high or low == high == 0) or self.hit_cap < 0:  # equal ones would end what they begin
            raise UsageError(
                f"write_low, write_high, hit_cap: expected 0 <= write_low < write_high (or both 0) and hit_cap >= 0, "
                f"got {self.write_low}, {self.write_high}, {self.hit_cap}"
            )


@dataclass(frozen=True)
class Memory:
    """What is built: channels of one standard behind one address map, and the clock of who asks.

    Attributes:
        standard, mapping: of each channel, and of addresses to channels.
        channels, ranks: ranks per channel.
        compat: with the quirks of DRAMSys 4.0.
        window: requests in flight of a closed-loop player; 0: open loop, timestamps rule.
        think_ns: closed loop: from a response to the request that it makes room for.

    Raises:
        UsageError: the map does not match, or counts are out of range.
    """

    standard: Standard
    mapping: AddressMapping
    channels: int = 1
    ranks: int = 1
    compat: bool = False
    window: int = 0
    think_ns: float = 0.0

    def __post_init__(self) -> None:
        self.mapping.matches(self.standard, self.channels, self.ranks)
        if self.compat and self.window:
            raise UsageError("window: the trace player of DRAMSys is open loop, got a closed loop in compat mode")
        if not 1 <= self.channels <= 8:
            raise UsageError(f"channels: expected 1 to 8, got {self.channels}")


@dataclass(frozen=True)
class Requests:
    """A trace, prepared for a memory: bursts, decoded.

    Attributes:
        table: (n, N_REQUEST) int64 for the kernel, one row a burst.
        of_request: (n,) the request of the trace that a burst belongs to; ``first`` its first burst.
        in_channel, offset: bursts by channel.
        clock_ps: period of the trace player.
    """

    table: Ints
    of_request: Ints
    in_channel: Ints
    offset: Ints
    clock_ps: int


@dataclass(frozen=True)
class Run:
    """Results of one run. Times in ticks, one entry a burst; ``counters`` as in ``controller``."""

    memory: Memory
    counters: Ints
    sent: Ints
    accepted: Ints
    finished: Ints
    outcome: Ints
    commands: npt.NDArray[np.void]

    @property
    def finished_all(self) -> bool:
        """False if the controllers reached a state in which nothing can ever move again."""
        return int(self.counters[k.STATUS]) == 0

    @property
    def ticks_per_cycle(self) -> int:
        """Times count in ticks: cycles, but picoseconds for HBM2 in compat mode."""
        return _ticks(self.memory)

    @property
    def period_ps(self) -> float:
        """Of the memory's clock; in compat mode rounded to 1 ps, as the tool's is."""
        standard = self.memory.standard
        return float(standard.tck_ps) if self.memory.compat else 1e6 / standard.clock_mhz

    @property
    def seconds_per_tick(self) -> float:
        standard = self.memory.standard
        return self.tick_ps * 1e-12 if self.memory.compat else standard.clock_ns * 1e-9

    @property
    def tick_ps(self) -> int:
        """What times count in compat mode, ps."""
        return self.memory.standard.tck_ps // _ticks(self.memory)

    @property
    def time_ps(self) -> int:
        """Time of the last response, in whole ps; exact in compat mode."""
        if self.memory.compat:
            return int(self.counters[k.TIME]) * self.tick_ps
        return round(int(self.counters[k.TIME]) * self.memory.standard.clock_ns * 1000)

    @cached_property
    def activity(self) -> Activity:
        """What the energy is counted from. In compat mode, if every command was recorded, DRAMPower's count."""
        standard, memory, n = self.memory.standard, self.memory, int(self.counters[k.N_COMMANDS])
        if not memory.compat or standard.power is None or len(self.commands) < n:
            return activity(self.counters)
        channels = [self.commands[self.commands["channel"] == channel] for channel in range(memory.channels)]
        return together([replay(standard, commands, memory.ranks) for commands in channels])

    def energy(self) -> Energy | None:
        """By component; None if the standard has no currents. See `counters_suffice` for compat mode."""
        compat = self.memory.compat
        ranks = self.memory.ranks if compat else 1  # DRAMPower: one state for all, charged once each
        return energy(self.memory.standard, self.activity, ranks=ranks, slow_exit=compat)


def counters_suffice(memory: Memory, policy: Policy) -> bool:
    """Whether the counters of a run give its energy; else `run` has to record all commands."""
    simple = memory.ranks == 1 and policy.power_down == "NoPowerDown"
    return simple or not memory.compat or memory.standard.power is None


def unsupported(standard: Standard, policy: Policy) -> str:
    """Why a standard cannot work under a policy; "" if it can."""
    timing = standard.timing
    if policy.refresh == "PerBank" and not ("RFCPB" in timing or (standard.family == "HBM2" and "RFCSB" in timing)):
        return f"{standard.family} has no per-bank refresh"
    if policy.refresh == "SameBank" and not (standard.family == "DDR5" and "RFCSB" in timing):
        return f"{standard.family} has no same-bank refresh"
    if policy.power_down != "NoPowerDown" and not standard.has_power_down:
        return f"{standard.name} has no sourced power-down timings"
    return ""


def data_cycles(standard: Standard) -> tuple[int, int]:
    """Cycles from a read and from a write command to the end of its data."""
    t = standard.timing
    read, write = t["RL"] + standard.burst_cycles, t["WL"] + standard.burst_cycles
    if standard.family == "LPDDR4":  # commands of four cycles; DQSCK and DQS2DQ after them
        read, write = read + t["DQSCK"] + 3, write + t["DQSS"] + t["DQS2DQ"] + 3
    elif standard.family == "HBM2":
        read += t["DQSCK"]
    elif standard.family == "DDR5":  # latencies count from the second cycle of a command
        read, write = read + 1, write + 1
    return read, write


def prepare(trace: Trace, memory: Memory) -> Requests:
    """Decode a trace for a memory. In compat mode a line is one burst, else requests are split into bursts."""
    standard = memory.standard
    burst = standard.bytes_per_burst
    address, n = np.asarray(trace.address), len(trace)
    if memory.compat:
        of_request = np.arange(n)
        line = address
    else:
        first, last = address // burst, (address + np.maximum(trace.size, 1) - 1) // burst
        counts = last - first + 1
        of_request = np.repeat(np.arange(n), counts)
        within = np.arange(len(of_request)) - np.repeat(np.cumsum(counts) - counts, counts)
        line = (first[of_request] + within) * burst
    fields_ = memory.mapping.decode(line)
    channel, rank, group, bank, row = (fields_[:, i] for i in range(5))
    table = np.zeros((len(of_request), k.N_REQUEST), np.int64)
    groups, banks = standard.bank_groups, standard.banks_per_group
    table[:, k.Q_BANK] = ((channel * memory.ranks + rank) * groups + group) * banks + bank
    table[:, k.Q_ROW] = row
    table[:, k.Q_LINE] = line
    table[:, k.Q_WRITE] = trace.is_write[of_request]
    table[:, k.Q_CHANNEL] = channel
    arrivals, clock_ps = _arrivals(trace, memory)
    table[:, k.Q_ARRIVE] = arrivals[of_request]
    in_channel = np.argsort(channel, kind="stable")
    offset = np.zeros(memory.channels + 1, np.int64)
    offset[1:] = np.cumsum(np.bincount(channel, minlength=memory.channels))
    table[in_channel, k.Q_SEQUENCE] = np.arange(len(channel)) - offset[channel[in_channel]]
    return Requests(table, of_request, in_channel.astype(np.int64), offset, clock_ps)


def run(memory: Memory, policy: Policy, requests: Requests, *, record: int | None = 0) -> Run:
    """Play prepared requests.

    Args:
        record: commands to record, from the first on; None records all.

    Raises:
        UsageError: the standard cannot work under the policy.
    """
    reason = unsupported(memory.standard, policy)
    if reason:
        raise UsageError(f"{reason}: choose another refresh or power-down policy")
    dense = _tables(memory.standard)
    knobs = _knobs(memory, policy, dense, requests.clock_ps)
    ticks = _ticks(memory)
    rules = dense.rules
    if ticks > 1:
        rules = np.where(rules > k.NO_RULE, rules * ticks, rules)
    places = 4 * len(requests.table) + 1000 if record is None else record
    table, counters, commands = _play(knobs, requests, rules, places)
    if record is None and counters[k.N_COMMANDS] > places:  # long pauses with refreshes: once more, with room
        table, counters, commands = _play(knobs, requests, rules, int(counters[k.N_COMMANDS]))
    return Run(
        memory,
        counters,
        table[:, k.Q_SENT].copy(),
        table[:, k.Q_ACCEPTED].copy(),
        table[:, k.Q_FINISHED].copy(),
        table[:, k.Q_CLASS].copy(),
        _commands(commands, memory),
    )


def _play(knobs: Ints, requests: Requests, rules: Ints, places: int) -> tuple[Ints, Ints, Ints]:
    """Requests with results, counters, and the first commands, at most ``places``."""
    knobs[k.RECORD] = places
    table = requests.table.copy()
    commands = np.zeros((places, k.N_RECORD), np.int64)
    counters = k.play(knobs, table, requests.in_channel, requests.offset, rules, commands)
    return table, counters, commands[: int(counters[k.N_COMMANDS])]


def _ticks(memory: Memory) -> int:
    """Ticks per cycle. HBM2 in DRAMSys leaves the clock's grid by 1 ps after its first command."""
    return memory.standard.tck_ps if memory.compat and memory.standard.family == "HBM2" else 1


@lru_cache(maxsize=64)
def _tables(standard: Standard) -> Tables:
    return tables(standard)


def _arrivals(trace: Trace, memory: Memory) -> tuple[Ints, int]:
    """The first tick at which each request of the trace may be sent, and the period of the player's clock in ps.

    DRAMSys' player runs at the trace's clock; ours works on the memory's clock, whatever the trace counts in.
    """
    standard = memory.standard
    if not memory.compat:
        if trace.cycle is None or trace.clock_mhz is None:
            assert trace.time_ns is not None
            cycles = np.ceil(trace.time_ns * (standard.clock_mhz * 1e-3) - 1e-6)
        else:  # exact where both clocks are the same
            cycles = np.ceil(trace.cycle * (standard.clock_mhz / trace.clock_mhz) - 1e-6)
        return cycles.astype(np.int64), standard.tck_ps
    period = standard.tck_ps
    clock_ps = period if trace.clock_mhz is None else round(1e6 / trace.clock_mhz)
    ps = np.asarray(trace.time_ps if trace.cycle is None else trace.cycle * clock_ps)
    return (ps + period - 1) // period * _ticks(memory), clock_ps


def _knobs(memory: Memory, policy: Policy, dense: Tables, clock_ps: int) -> Ints:
    standard = memory.standard
    t, family, burst = standard.timing, standard.family, standard.burst_cycles
    knobs = np.zeros(k.N_KNOB, np.int64)
    for field in fields(policy):
        value = getattr(policy, field.name)
        knobs[_KNOBS[field.name]] = LEVELS[field.name].index(value) if field.name in LEVELS else value
    ticks = _ticks(memory)
    knobs[k.COMPAT] = memory.compat
    knobs[k.TWO_BUSES] = family == "HBM2"
    knobs[k.CHANNELS], knobs[k.RANKS] = memory.channels, memory.ranks
    knobs[k.GROUPS], knobs[k.BANKS] = standard.bank_groups, standard.banks_per_group
    knobs[k.CYCLE], knobs[k.TICK_PS] = ticks, standard.tck_ps // ticks
    knobs[k.PLAYER_PS] = clock_ps
    knobs[k.FIRST_COMMAND] = ticks - 1  # where the tool's unset time stamps overflow
    knobs[k.WINDOW] = memory.window
    knobs[k.THINK] = int(np.ceil(memory.think_ns / standard.clock_ns - 1e-9)) * ticks
    rl, wl = t["RL"], t["WL"]
    read, write = data_cycles(standard)
    close_write = wl + burst + t["WR"]
    scaled = {
        k.READ_END: read,
        k.WRITE_END: write,
        k.INTERVAL: t["REFI"],
        k.UNIT_INTERVAL: t.get("REFIPB", t.get("REFISB", t["REFI"])),
        k.REFRESH_ROUND: dense.refresh_round,
        k.READ_CLOSE: t.get("AL", 0) + (max(4, t["RTP"]) if family == "DDR3" else t["RTP"]),
        k.WRITE_CLOSE: close_write,
        k.ROW_ACTIVE: t["RAS"],
        k.REFRESH_OPEN: t["RFC"] - t["RP"] if "RFC" in t and "RP" in t else 0,
        k.READ_DONE: rl + t.get("DQSCK", 0) + burst,
        k.WRITE_DONE: close_write - 1,
        k.ACTIVATE_DONE: t.get("RCD", t.get("RCDRD", 1)) - 1,
        k.PRECHARGE_DONE: t.get("RP", t.get("RPPB", 1)) - 1,
        # a forced refresh, which closes every row, comes within max_postponed + 2 intervals
        k.PATIENCE: (policy.max_postponed + policy.max_pulled_in + 8) * t["REFI"],
    }
    for knob, cycles in scaled.items():
        knobs[knob] = cycles * ticks
    return knobs


def _commands(recorded: Ints, memory: Memory) -> npt.NDArray[np.void]:
    out = np.zeros(len(recorded), COMMAND_DTYPE)
    standard = memory.standard
    bank = recorded[:, k.REC_BANK]
    out["cycle"], out["command"] = recorded[:, k.REC_CYCLE], recorded[:, k.REC_COMMAND]
    out["row"], out["request"] = recorded[:, k.REC_ROW], recorded[:, k.REC_REQUEST]
    out["bank"] = bank % standard.banks_per_group
    out["bankgroup"] = bank // standard.banks_per_group % standard.bank_groups
    out["rank"] = bank // standard.banks % memory.ranks
    out["channel"] = bank // (standard.banks * memory.ranks)
    return out
