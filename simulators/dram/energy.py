"""Energy of DRAM devices from their currents: the IDD formulas of DRAMPower 4 (Chandrasekar et al., 2012-2020).

Each command costs what it draws above standby, standby is charged for the whole time; I x V x t of one device,
times the devices of a rank. DDR4's second supply (VPP) feeds activation, precharge and self-refresh only. No
I/O or termination energy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from archgym.errors import UsageError

from . import controller as k
from .standards import Standard

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Activity:
    """What devices did, over all ranks and channels.

    Attributes:
        activates, precharges: of single banks, whichever command did it.
        reads, writes, refreshes: commands, with or without auto-precharge.
        active, precharged: cycles in standby with a bank open, with all closed.
        active_down, precharged_down, self_refresh: cycles in the low-power states.
        entry_active, entry_precharged: cycles in self-refresh of the refresh that it begins with.
        exit_active, exit_precharged: the same, after self-refresh ended too soon for it.
    """

    activates: int
    precharges: int
    reads: int
    writes: int
    refreshes: int
    active: int
    precharged: int
    active_down: int = 0
    precharged_down: int = 0
    self_refresh: int = 0
    entry_active: int = 0
    entry_precharged: int = 0
    exit_active: int = 0
    exit_precharged: int = 0

    @property
    def cycles(self) -> int:
        """In all states together."""
        return sum(getattr(self, f.name) for f in fields(self)[5:])


def together(parts: Sequence[Activity]) -> Activity:
    """The sum of activities, of several channels."""
    return Activity(*[sum(getattr(part, f.name) for part in parts) for f in fields(Activity)])


@dataclass(frozen=True)
class Energy:
    """Energy by component, J, over all devices, ranks and channels."""

    activate: float
    precharge: float
    read: float
    write: float
    refresh: float
    active_standby: float
    precharge_standby: float
    power_down: float
    self_refresh: float

    @property
    def total(self) -> float:
        return sum_in_order([getattr(self, f.name) for f in fields(self)])


def sum_in_order(parts: list[float]) -> float:
    """Their sum, added from the left: the same bits on every machine."""
    total = 0.0
    for part in parts:
        total += part
    return total


def activity(counters: Ints) -> Activity:
    """What a run did.

    Args:
        counters: (N_COUNTER,) of ``controller.run``; in compat mode the ranks of a channel share one state.
    """
    active, active_down, precharged_down, self_refresh = (int(counters[k.ACTIVE + state]) for state in range(4))
    return Activity(
        activates=int(counters[k.COUNT + k.ACT]),
        precharges=int(counters[k.CLOSINGS]),
        reads=int(counters[k.COUNT + k.RD] + counters[k.COUNT + k.RDA]),
        writes=int(counters[k.COUNT + k.WR] + counters[k.COUNT + k.WRA]),
        refreshes=int(counters[k.COUNT + k.REFA]),
        active=active,
        precharged=int(counters[k.WINDOW_END]) - active - active_down - precharged_down - self_refresh,
        active_down=active_down,
        precharged_down=precharged_down,
        self_refresh=self_refresh,
    )


def energy(standard: Standard, done: Activity, *, ranks: int = 1, slow_exit: bool = False) -> Energy | None:
    """Energy of an activity; None if the standard has no currents.

    Args:
        standard: with currents in mA and supplies in V.
        ranks: times that cycles are charged: of a channel whose ranks share one state.
        slow_exit: power-down draws the current of the exit that has to wait for the DLL.

    Raises:
        UsageError: a low-power state was entered whose current the standard lacks.
    """
    p, t = standard.power, standard.timing
    if p is None:
        return None
    # pJ per mA and cycle at 1 V, over the devices of a rank; DRAMPower's period is not rounded
    unit = standard.clock_ns * standard.devices * 1e-12
    vdd, vpp = p["vdd"] * unit, p.get("vdd2", 0.0) * unit
    row, idd02 = done.activates * t["RAS"], p.get("idd02", 0.0)
    close = done.precharges * (t["RC"] - t["RAS"])
    exit_ = 0 if slow_exit else 1
    down = _charge(standard, done.active_down, f"idd3p{exit_}")
    down += _charge(standard, done.precharged_down, f"idd2p{exit_}")
    # the refresh that self-refresh begins with: what it draws, and standby of power-down until the exit
    first = done.entry_active + done.entry_precharged + done.exit_active + done.exit_precharged
    at_entry = first * (p["idd5"] - p["idd3n"])
    at_entry += _charge(standard, done.entry_active, "idd3p0") + _charge(standard, done.entry_precharged, "idd2p0")
    at_entry += done.exit_active * p["idd3n"] + done.exit_precharged * p["idd2n"]
    asleep = _charge(standard, done.self_refresh, "idd6") * vdd + done.self_refresh * p.get("idd62", 0.0) * vpp
    return Energy(
        activate=row * (p["idd0"] - p["idd3n"]) * vdd + row * idd02 * vpp,
        precharge=close * (p["idd0"] - p["idd2n"]) * vdd + close * idd02 * vpp,
        read=done.reads * standard.burst_cycles * (p["idd4r"] - p["idd3n"]) * vdd,
        write=done.writes * standard.burst_cycles * (p["idd4w"] - p["idd3n"]) * vdd,
        refresh=done.refreshes * t["RFC"] * (p["idd5"] - p["idd3n"]) * vdd,
        active_standby=ranks * done.active * p["idd3n"] * vdd,
        precharge_standby=ranks * done.precharged * p["idd2n"] * vdd,
        power_down=ranks * down * vdd,
        self_refresh=ranks * (asleep + at_entry * vdd),
    )


def _charge(standard: Standard, cycles: int, name: str) -> float:
    """mA cycles in a low-power state."""
    assert standard.power is not None
    if cycles and name not in standard.power:
        raise UsageError(f"DRAM standard '{standard.name}': expected the current {name} of a state it enters, got none")
    return cycles * standard.power.get(name, 0.0)
