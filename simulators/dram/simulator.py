"""A DRAM memory system: a trace in; time, latencies, command counts and energy out.

The controller is the one of DRAMSys 4.0 in architecture and in the names of its knobs, cycle-accurate, event
driven and compiled. ``Config(compat="dramsys-4.0")`` reproduces that tool to the picosecond, quirks included.
Differences of the default model from it, complete:

1.  The Bankwise buffer looks at the bank of the request that wants in (the tool: of the one accepted before),
    ReadWrite at its type only (the tool: at both).
2.  A bank that a forced refresh blocks issues nothing more; a per-bank refresh blocks its bank also while it
    still has to be precharged.
3.  Power-down knows that RDA and WRA close rows, so that a precharged rank sleeps precharged.
4.  The clock's period is not rounded to 1 ps; requests come at their time in ns, whatever clock the trace
    counts in, at most one per memory clock and never before their time.
5.  A request of many bytes is split into bursts; one that touches two lines moves both. In the tool each line
    of a trace is one burst.
6.  Within one cycle, controllers act first, then the arbiter, then the trace player; in the tool the order
    depends on the event queue of SystemC. No command is shifted by the overflow of an unset time stamp (HBM2).
7.  Energy counts until the last response, standby per rank, power-down at the current of the fast exit that
    its timing assumes.
8.  Beyond the tool: a write buffer with watermarks, a cap on row hits, a closed-loop player, DDR5.

A controller that can never move again (Strict with a reordering scheduler) is infeasible, with the reason. Not
modelled: I/O and termination energy, refresh modes other than 1x but DDR4's, temperature, data errors.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from archgym.errors import UsageError
from archgym.metrics import Metric
from archgym.simulator import CommandCheck, Reproduction, Simulator
from archgym.space import Codes, DesignSpace, Level
from archgym.trace import Trace
from archgym.workload import Workload

from . import controller as k
from .command_trace import read_commands
from .mapping import AddressMapping, load_mapping, preset
from .memory import COMPAT, Memory, Requests, Run, counters_suffice, prepare, run
from .space import Fixed, canonical, policy_of, space
from .standards import Standard, load_memspec, load_standard
from .statistics import QUANTILES, STATISTICS, request_times, summary

_ENERGIES = (
    "activate", "precharge", "read", "write", "refresh",
    "active_standby", "precharge_standby", "power_down", "self_refresh",
)  # fmt: skip
_COUNTED = {
    "activates": (k.ACT,),
    "precharges": (k.PRE, k.PREA, k.PRESB),
    "auto_precharges": (k.RDA, k.WRA),
    "reads": (k.RD, k.RDA),
    "writes": (k.WR, k.WRA),
    "refreshes": (k.REFA, k.REFB, k.REFSB),
    "power_downs": (k.PDEA, k.PDEP, k.SREFEN),
}
_COUNTS = {"cycles", "row_hits", "row_misses", "row_conflicts", "forwarded_reads", *_COUNTED}


@dataclass(frozen=True)
class DramConfig:
    """Options of the simulator.

    Attributes:
        standard: name or memspec file (.json); several joined with "+" become a parameter of the full space.
        space: "full", or the predecessor's "archgym-rl" and "archgym-search".
        mapping: address map: a preset, or a DRAMSys file (.json); "" lets the full space choose (the predecessor's
            spaces: row-bank-column).
        compat: "" or "dramsys-4.0".
        window: requests in flight of a closed-loop trace player; 0: open loop, the trace's times rule.
        think_ns: closed loop: from a response to the request that it makes room for.
    """

    standard: str = "DDR3-1600"
    space: str = "full"
    mapping: str = ""
    compat: str = ""
    window: int = 0
    think_ns: float = 0.0

    def __post_init__(self) -> None:
        if self.compat not in ("", COMPAT):
            raise UsageError(f"compat: expected '{COMPAT}' or nothing, got '{self.compat}'")
        if self.window < 0 or self.think_ns < 0:
            raise UsageError(f"window, think_ns: expected no negative number, got {self.window}, {self.think_ns}")
        if self.compat and self.space == "full":
            raise UsageError(
                "compat: DRAMSys has no write buffer or row-hit cap; use space=archgym-rl or archgym-search"
            )


class Dram(Simulator):
    """Memory controllers and DRAM devices under a trace of requests (see the module's text)."""

    Config: ClassVar[type[DramConfig]] = DramConfig
    accepts: ClassVar[tuple[str, ...]] = ("trace",)
    version: ClassVar[str] = "1"
    cost_seconds: ClassVar[float] = 2e-2
    reasons: ClassVar[tuple[str, ...]] = (
        "",
        "deadlock: the command multiplexer waits for a request that its bank does not offer (Strict with reordering)",
    )
    objectives: ClassVar[Mapping[str, str]] = {
        "time": "latency",
        "read-latency": "read_latency",
        "p99": "read_latency_p99",
    }
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric("latency", "s", "total time: of the last response", additive=True),
        Metric("cycles", "cycles", "total time in memory clocks", additive=True),
        Metric("bandwidth", "B/s", "bytes served / total time", maximise=True),
        Metric("utilisation", "", "bytes that the memory moved / what its buses can move", maximise=True),
        *[
            Metric(f"read_latency{suffix}", "s", f"of reads, from the time of the request: {name}")
            for name, suffix in zip(STATISTICS, ("", "_p50", "_p95", "_p99", "_max"), strict=True)
        ],
        *[
            Metric(f"read_service{suffix}", "s", f"of reads, from acceptance: {name}")
            for name, suffix in zip(STATISTICS, ("", "_p50", "_p95", "_p99", "_max"), strict=True)
        ],
        *[
            Metric(f"write_latency{suffix}", "s", f"of writes, from the time of the request: {name}", positive=False)
            for name, suffix in zip(STATISTICS, ("", "_p50", "_p95", "_p99", "_max"), strict=True)
        ],
        Metric("row_hits", "", "requests whose row was open", positive=False, additive=True),
        Metric("row_misses", "", "requests that found their bank closed", positive=False, additive=True),
        Metric("row_conflicts", "", "requests that found another row open", positive=False, additive=True),
        Metric("forwarded_reads", "", "reads answered from the write buffer", positive=False, additive=True),
        *[Metric(name, "", f"{name.replace('_', ' ')} commanded", positive=False, additive=True) for name in _COUNTED],
        Metric("energy", "J", "all devices, without I/O and termination", additive=True),
        *[Metric(f"energy_{part}", "J", part.replace("_", " "), positive=False, additive=True) for part in _ENERGIES],
        Metric("power", "W", "energy / total time"),
        Metric("latency_archgym", "s", "total time as ArchGym reads it: the tool's number, whatever its unit, in ns"),
    )
    config: DramConfig

    def __init__(self, config: Any = None) -> None:
        super().__init__(config)
        self._standards = tuple(load_standard(name) for name in self.config.standard.split("+"))
        absent = next((s for s in self._standards if s.power is None), None)
        if absent is not None:  # never nan in a reward: such a metric does not exist
            why = f"{absent.name}: {absent.no_energy}"
            self.absent = {m.name: why for m in self.metrics if m.name.startswith("energy") or m.name == "power"}
            self.metrics = tuple(m for m in self.metrics if m.name not in self.absent)  # type: ignore[misc]
        free = self.config.space == "full" and not self.config.mapping
        self._space = space(self.config.space, self._standards, mapping_is_free=free)

    def design_space(self, workload: Workload) -> DesignSpace:
        """The space that the options name."""
        return self._space

    def baseline(self, workload: Workload) -> dict[str, Level]:
        """Open rows, first-ready scheduling with eight requests a bank, all-bank refresh: a usual controller."""
        wanted: dict[str, Level] = {
            "Channels": 1,
            "Ranks": 1,
            "AddressMapping": "row-bank-column",
            "PagePolicy": "Open",
            "Scheduler": "FrFcfs",
            "SchedulerBuffer": "Bankwise",
            "RequestBufferSize": 8,
            "RowHitCap": 0,
            "WriteHighWatermark": 0,
            "WriteLowWatermark": 0,
            "CmdMux": "Oldest",
            "RespQueue": "Fifo",
            "RefreshPolicy": "AllBank",
            "RefreshMaxPostponed": 8,
            "RefreshMaxPulledin": 8,
            "PowerDownPolicy": "NoPowerDown",
            "Arbiter": "Simple",
            "MaxActiveTransactions": 128,
        }
        return {p.name: wanted.get(p.name, p.levels[0]) for p in self._space.parameters}

    def canonical(self, codes: Codes, workload: Workload) -> Codes:
        """Merges what ``space.canonical`` proves to be alike on this kind of trace."""
        assert isinstance(workload, Trace)
        ordered = all(s.family != "HBM2" for s in self._standards)
        fixed = Fixed(not bool(workload.is_write.any()), ordered, bool(self.config.compat))
        return self._space.canonical(canonical(self._space, codes, fixed))

    def _simulate_one(
        self, design: Mapping[str, Level], workload: Workload, seed: int | None
    ) -> dict[str, float | int]:
        assert isinstance(workload, Trace)
        memory = self.memory(design)
        requests = _prepared(workload, memory)
        policy = policy_of(design)
        result = run(memory, policy, requests, record=0 if counters_suffice(memory, policy) else None)
        if not result.finished_all:
            return {m.name: 0 if m.name in _COUNTS else np.nan for m in self.metrics} | {"reason": 1}
        return self._metrics(result, requests, workload)

    def memory(self, design: Mapping[str, Level]) -> Memory:
        """The memory system of a design.

        Raises:
            UsageError: the configured address map does not fit it.
        """
        c = self.config
        standard = self._standards[0]
        if "Standard" in design:
            standard = next(s for s in self._standards if s.name == design["Standard"])
        channels = int(design.get("Channels", standard.channels))
        ranks = max(int(design.get("Ranks", 1)), standard.ranks)
        scheme = c.mapping or str(design.get("AddressMapping", "row-bank-column"))
        mapping = _mapping(scheme, standard, channels, ranks)
        return Memory(standard, mapping, channels, ranks, bool(c.compat), c.window, c.think_ns)

    def _metrics(self, result: Run, requests: Requests, trace: Trace) -> dict[str, float | int]:
        standard, n = result.memory.standard, result.counters
        time = int(n[k.TIME]) * result.seconds_per_tick
        bursts = sum(int(n[k.COUNT + code]) for code in (k.RD, k.RDA, k.WR, k.WRA))  # without forwarded reads
        served, moved = len(requests.table) * standard.bytes_per_burst, bursts * standard.bytes_per_burst
        peak = 1000.0 * standard.bytes_per_burst / (standard.burst_cycles * result.period_ps) * 1e9
        # the pseudo channels of HBM2, its ranks, have a data bus each
        peak *= result.memory.channels * (result.memory.ranks if standard.family == "HBM2" else 1)
        out: dict[str, float | int] = {
            "latency": time,
            "cycles": math.ceil(int(n[k.TIME]) / result.ticks_per_cycle),
            "bandwidth": served / time,
            "utilisation": moved / time / peak,
            "row_hits": int(n[k.ROW_HITS]),
            "row_misses": int(n[k.ROW_MISSES]),
            "row_conflicts": int(n[k.ROW_CONFLICTS]),
            "forwarded_reads": int(n[k.FORWARDED]),
            "latency_archgym": _as_archgym_reads(result.time_ps),
        }
        out |= {name: sum(int(n[k.COUNT + c]) for c in codes) for name, codes in _COUNTED.items()}
        times = request_times(requests.of_request, result.sent, result.accepted, result.finished)
        asked = requests.table[np.flatnonzero(np.diff(requests.of_request, prepend=-1)), k.Q_ARRIVE]
        if result.memory.window:
            asked = times[:, 0]  # a closed loop asks when it sends
        for name, start, rows in (
            ("read_latency", asked, ~trace.is_write),
            ("read_service", times[:, 1], ~trace.is_write),
            ("write_latency", asked, trace.is_write),
        ):
            values = summary((times[:, 2] - start)[rows], QUANTILES) * result.seconds_per_tick
            if name == "write_latency" and not rows.any():
                values = np.zeros(len(values))
            for suffix, value in zip(("", "_p50", "_p95", "_p99", "_max"), values.tolist(), strict=True):
                out[name + suffix] = value
        energy = result.energy()
        if energy is not None and "energy" not in getattr(self, "absent", {}):
            out |= {f"energy_{part}": getattr(energy, part) for part in _ENERGIES}
            out["energy"] = energy.total
            window = time if not result.memory.compat else result.activity.cycles * standard.clock_ns * 1e-9
            out["power"] = energy.total / (window / result.memory.channels if result.memory.compat else window)
        return out

    def breakdown(self, codes: Codes, workload: Workload) -> dict[str, list[Any]]:
        """The sources of one design's requests: latency beside the others and alone, and the slowdown between."""
        assert isinstance(workload, Trace)
        design = self._space.design(codes[0])
        memory, policy = self.memory(design), policy_of(design)
        together = _source_latencies(workload, run(memory, policy, _prepared(workload, memory)), memory)
        table: dict[str, list[Any]] = {"source": [], "requests": [], "read share": []}
        table |= {"mean latency (s)": [], "p99 latency (s)": [], "alone (s)": [], "slowdown": []}
        for source, (mean, p99) in together.items():
            rows = workload.source == source
            alone = workload.where(rows)
            single = _source_latencies(alone, run(memory, policy, prepare(alone, memory)), memory)[source][0]
            share = float(1.0 - workload.is_write[rows].mean())
            values = (source, int(rows.sum()), share, mean, p99, single, mean / single)
            for column, value in zip(table.values(), values, strict=True):
                column.append(value)
        return table

    def check_commands(self, path: str | os.PathLike[str], device: str) -> CommandCheck:
        """Whether a trace of DRAM commands is legal, by the checker, which shares nothing with the controller.

        Args:
            path: CSV, see ``.command_trace``. device: name of a standard, or a memspec file.
        """
        from .checker import Checker, summary

        checker = Checker(load_memspec(device))
        report = checker.check(read_commands(path))
        return CommandCheck(report.commands, report.total, summary(report, checker.rules))

    def reproduce(self, rows: Sequence[Mapping[str, str]], traces: Path | None = None) -> Reproduction:
        """Runs measured with DRAMSys 4.0; see ``.validation`` for the columns."""
        from .validation import reproduce

        return reproduce(rows, traces)


@lru_cache(maxsize=32)
def _prepared(trace: Trace, memory: Memory) -> Requests:
    """Pure, and shared by the designs of a batch."""
    return prepare(trace, memory)


@lru_cache(maxsize=256)
def _mapping(scheme: str, standard: Standard, channels: int, ranks: int) -> AddressMapping:
    if scheme.lower().endswith(".json"):
        return load_mapping(os.fspath(scheme))
    return preset(scheme, standard, channels=channels, ranks=ranks)


def _as_archgym_reads(time_ps: int) -> float:
    """Seconds, if the number that SystemC prints is taken for ns: it prints the largest unit that leaves an integer."""
    number = time_ps
    for _ in range(4):
        if number % 1000:
            break
        number //= 1000
    return number * 1e-9


def _source_latencies(trace: Trace, result: Run, memory: Memory) -> dict[int, tuple[float, float]]:
    """Source -> mean and 99th percentile latency of its requests, s."""
    requests = _prepared(trace, memory)
    times = request_times(requests.of_request, result.sent, result.accepted, result.finished)
    asked = requests.table[np.flatnonzero(np.diff(requests.of_request, prepend=-1)), k.Q_ARRIVE]
    latency = (times[:, 2] - (times[:, 0] if memory.window else asked)) * result.seconds_per_tick
    out = {}
    for source in np.unique(trace.source).tolist():
        values = np.sort(latency[trace.source == source])
        out[int(source)] = (float(values.mean()), float(values[int(np.ceil(0.99 * len(values))) - 1]))
    return out
