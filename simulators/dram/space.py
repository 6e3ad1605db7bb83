"""Design spaces of memory controllers, and which of their designs provably behave alike.

``archgym-rl`` and ``archgym-search`` are the spaces of ArchGym's reinforcement-learning and search agents (ISCA
2023; ``arch_gym/envs/DRAMEnv*.py`` of oss-arch-gym). ``full`` adds what is built and what is beyond that tool.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from archgym.errors import UnknownNameError, UsageError
from archgym.space import Codes, DesignSpace, Level, Parameter, Rule

from .mapping import preset_names
from .memory import LEVELS, Policy, unsupported
from .standards import Standard

SPACES = ("full", "archgym-rl", "archgym-search")

_POWERS = (1, 2, 4, 8, 16, 32, 64, 128)
_QUEUES = ("Fifo", "Reorder")  # arbiters that queue requests


@dataclass(frozen=True)
class Fixed:
    """What a trace lets a canonicalisation assume, and what the memory does.

    Attributes:
        read_only: the trace has no writes.
        ordered_data: data of later column commands come strictly later: no pseudo channels.
        compat: of DRAMSys, whose event queue breaks ties by the history of all events.
    """

    read_only: bool
    ordered_data: bool
    compat: bool


def space(kind: str, standards: Sequence[Standard], *, mapping_is_free: bool) -> DesignSpace:
    """A space over designs of memories of the given standards.

    Args:
        kind: one of ``SPACES``.
        standards: levels of the parameter Standard, which exists if there are several.
        mapping_is_free: whether the full space chooses the address map.

    Raises:
        UnknownNameError: no such space.
        UsageError: an ArchGym space with several standards.
    """
    if kind not in SPACES:
        raise UnknownNameError("space of dram", kind, SPACES)
    if kind != "full":
        if len(standards) > 1:
            names = "+".join(s.name for s in standards)
            raise UsageError(f"space '{kind}' is over one standard, got '{names}'; several go with space=full")
        return DesignSpace(_archgym(search=kind == "archgym-search"))
    return _full(standards, mapping_is_free)


def _choice(name: str, levels: Sequence[Level], group: str, doc: str, **options: Any) -> Parameter:
    return Parameter.categorical(name, levels, group=group, doc=doc, **options)


def _sizes(name: str, levels: Sequence[int], group: str, doc: str, **options: Any) -> Parameter:
    return Parameter(name, tuple(levels), group=group, doc=doc, **options)


def _scheduling(sizes: Sequence[int]) -> list[Parameter]:
    return [
        _choice("PagePolicy", LEVELS["page_policy"], "bank", "when a row is closed"),
        _choice("Scheduler", LEVELS["scheduler"], "scheduler", "which request of a bank goes next"),
        _choice("SchedulerBuffer", LEVELS["buffer"], "scheduler", "what the request buffer counts"),
        _sizes("RequestBufferSize", sizes, "scheduler", "requests per bank, per type or in all"),
    ]


def _flexibility(sizes: Sequence[int]) -> list[Parameter]:
    when = {"RefreshPolicy": ("AllBank", "PerBank", "SameBank")}
    return [
        _sizes("RefreshMaxPostponed", sizes, "refresh", "intervals a refresh may wait", active_when=when),
        _sizes("RefreshMaxPulledin", sizes, "refresh", "refreshes that may be done ahead", active_when=when),
    ]


def _arbitration(sizes: Sequence[int]) -> list[Parameter]:
    queues = {"Arbiter": _QUEUES}
    return [
        _choice("Arbiter", LEVELS["arbiter"], "arbiter", "how requests reach the channels"),
        _sizes("MaxActiveTransactions", sizes, "arbiter", "requests in flight", active_when=queues),
    ]


def _archgym(*, search: bool) -> list[Parameter]:
    small = tuple(range(1, 9))
    return [
        *_scheduling(small if search else _POWERS),
        _choice("RespQueue", LEVELS["response_queue"], "response", "order of responses"),
        _choice("RefreshPolicy", ("NoRefresh", "AllBank"), "refresh", "refresh manager"),
        *_flexibility(small if search else (1, 2, 4, 8)),
        *_arbitration(tuple(range(1, 129)) if search else _POWERS),
    ]


def _full(standards: Sequence[Standard], mapping_is_free: bool) -> DesignSpace:
    refreshes = [r for r in LEVELS["refresh"][1:] if any(not unsupported(s, Policy(refresh=r)) for s in standards)]
    sleeps = [p for p in LEVELS["power_down"] if any(not unsupported(s, Policy(power_down=p)) for s in standards)]
    first: list[Parameter] = []
    if len(standards) > 1:
        first.append(_choice("Standard", [s.name for s in standards], "memory", "the DRAM of every channel"))
    first.append(_sizes("Channels", (1, 2, 4), "memory", "independent channels"))
    if any(s.ranks == 1 for s in standards):
        single = {"Standard": [s.name for s in standards if s.ranks == 1]} if len(standards) > 1 else None
        first.append(_sizes("Ranks", (1, 2), "memory", "per channel", active_when=single))
    if mapping_is_free:
        first.append(_choice("AddressMapping", preset_names(), "memory", "fields of an address from the top"))
    buffered = {"WriteHighWatermark": (8, 16, 32, 64)}
    reorders = {"Scheduler": ("FrFcfs", "FrFcfsGrp")}
    parameters = [
        *first,
        *_scheduling(_POWERS),
        _sizes("RowHitCap", (0, 4, 8, 16), "scheduler", "hits before an older request, 0: all", active_when=reorders),
        _sizes("WriteHighWatermark", (0, 8, 16, 32, 64), "scheduler", "writes that start a drain, 0: no buffer"),
        _sizes("WriteLowWatermark", (0, 25, 50, 75), "scheduler", "% of high that ends it", active_when=buffered),
        _choice("CmdMux", LEVELS["command_mux"], "command", "order of column commands"),
        _choice("RespQueue", LEVELS["response_queue"], "response", "order of responses"),
        _choice("RefreshPolicy", refreshes, "refresh", "refresh manager"),
        *[_sizes(p.name, (1, 2, 4, 8), "refresh", p.doc) for p in _flexibility((1, 2, 4, 8))],
        _choice("PowerDownPolicy", sleeps, "power", "whether idle ranks sleep"),
        *_arbitration(_POWERS),
    ]  # fmt: skip
    return DesignSpace(parameters, _support(standards, refreshes, sleeps))


def _support(standards: Sequence[Standard], refreshes: Sequence[str], sleeps: Sequence[str]) -> list[Rule]:
    """Which standards know which refresh and power-down policies."""
    if len(standards) == 1:
        return []
    can = np.array([[not unsupported(s, Policy(refresh=r)) for r in refreshes] for s in standards])
    may = np.array([[not unsupported(s, Policy(power_down=p)) for p in sleeps] for s in standards])
    return [Rule(("Standard", "RefreshPolicy"), can), Rule(("Standard", "PowerDownPolicy"), may)]


def canonical(design_space: DesignSpace, codes: Codes, fixed: Fixed) -> Codes:
    """The representative of each design among those that behave identically, request by request.

    Every rule follows from the controller's semantics for every trace of the class that it names:

    1. A trace without writes has no write buffer to drain, no type to group by and no write to count:
       FrFcfsGrp = FrFcfs, ReadWrite = Shared, watermarks are dead.
    2. At most one request per bank waits if one in all may (Shared, or ReadWrite without writes, of size 1), if
       one per bank may (Bankwise of size 1), or if one is in flight (MaxActiveTransactions 1 of a queueing
       arbiter). Then there is nothing to choose from: schedulers are alike, the cap is dead, and no further
       request exists: OpenAdaptive = Open, ClosedAdaptive = Closed.
    3. Closed opens a row for the head of a bank's list, which FrFcfs then finds first: FrFcfs = Fifo, unless the
       write buffer changes what may be served in between.
    4. A queueing arbiter admits at most MaxActiveTransactions requests; a buffer that holds as many never
       refuses one: its kind and size are dead.
    5. A queueing arbiter of one request is alike whether it reorders, and with any response queue.
    6. Responses reach the arbiter in order of their data, at least a cycle apart; delivered in order of arrival,
       it is the same who sorts: the Reorder arbiter with any response queue, and with one channel Fifo with
       Reorder. Not in compat mode (ties of events), not with pseudo channels or a write buffer (two responses may
       be ready at once).

    In compat mode Bankwise looks at another request's bank (rule 2 excludes it) and ReadWrite at both types.

    Args:
        codes: (n, d) of ``design_space``, a space of this module.
        fixed: what holds for the trace and the memory.
    """
    out = codes.copy()
    at = {p.name: i for i, p in enumerate(design_space.parameters)}
    levels = {p.name: p.levels for p in design_space.parameters}

    def where(name: str, *values: Level) -> npt.NDArray[np.bool_]:
        wanted = [levels[name].index(v) for v in values if v in levels[name]]
        return np.isin(out[:, at[name]], wanted)

    def assign(rows: npt.NDArray[np.bool_], name: str, value: Level | None = None) -> None:
        if name in at:
            out[rows, at[name]] = 0 if value is None else levels[name].index(value)

    every = np.ones(len(out), bool)
    if fixed.read_only:
        assign(where("Scheduler", "FrFcfsGrp"), "Scheduler", "FrFcfs")
        assign(where("SchedulerBuffer", "ReadWrite"), "SchedulerBuffer", "Shared")
        assign(every, "WriteHighWatermark")
        assign(every, "WriteLowWatermark")
    buffered = ~where("WriteHighWatermark", 0) if "WriteHighWatermark" in at else ~every
    queues = where("Arbiter", *_QUEUES)
    single = queues & where("MaxActiveTransactions", 1)
    sizes = np.array(levels["RequestBufferSize"])[out[:, at["RequestBufferSize"]]]
    active = np.array(levels["MaxActiveTransactions"])[out[:, at["MaxActiveTransactions"]]]
    roomy = queues & (sizes >= active)
    assign(roomy, "SchedulerBuffer")
    assign(roomy, "RequestBufferSize", levels["RequestBufferSize"][-1])
    one = where("SchedulerBuffer", "Shared") if fixed.compat else where("SchedulerBuffer", "Shared", "Bankwise")
    if fixed.compat:
        one |= where("SchedulerBuffer", "ReadWrite")
    alone = single | (one & (sizes == 1) & ~roomy)
    assign(alone, "Scheduler")
    assign(alone, "RowHitCap")
    assign(alone & where("PagePolicy", "OpenAdaptive"), "PagePolicy", "Open")
    assign(alone & where("PagePolicy", "ClosedAdaptive"), "PagePolicy", "Closed")
    assign(where("PagePolicy", "Closed") & where("Scheduler", "FrFcfs") & ~buffered, "Scheduler", "Fifo")
    assign(where("Scheduler", "Fifo"), "RowHitCap")
    assign(single, "Arbiter", "Fifo")
    assign(single, "RespQueue")
    if fixed.ordered_data and not fixed.compat:
        one_channel = where("Channels", 1) if "Channels" in at else every
        sorted_before = where("RespQueue", "Reorder") & one_channel
        sorts = queues & ~single & ~buffered & (where("Arbiter", "Reorder") | sorted_before)
        assign(sorts, "Arbiter", "Reorder")
        assign(sorts, "RespQueue")
    return out


def policy_of(design: Mapping[str, Level]) -> Policy:
    """The controllers' policy of a design."""
    high = int(design.get("WriteHighWatermark", 0))
    return Policy(
        page_policy=str(design["PagePolicy"]),
        scheduler=str(design["Scheduler"]),
        buffer=str(design["SchedulerBuffer"]),
        buffer_size=int(design["RequestBufferSize"]),
        command_mux=str(design.get("CmdMux", "Oldest")),
        response_queue=str(design["RespQueue"]),
        refresh=str(design["RefreshPolicy"]),
        max_postponed=int(design["RefreshMaxPostponed"]),
        max_pulled_in=int(design["RefreshMaxPulledin"]),
        power_down=str(design.get("PowerDownPolicy", "NoPowerDown")),
        arbiter=str(design["Arbiter"]),
        max_active=int(design["MaxActiveTransactions"]),
        write_high=high,
        write_low=high * int(design.get("WriteLowWatermark", 0)) // 100,
        hit_cap=int(design.get("RowHitCap", 0)),
    )
