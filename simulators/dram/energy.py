"""Energy of DRAM devices from their currents: the IDD formulas of DRAMPower 4 (Chandrasekar et al., 2012-2020).

Each command costs what it draws above standby, standby is charged for the whole time; I x V x t of one device,
times the devices of a rank. DDR4's second supply (VPP) feeds activation, precharge and self-refresh only. No
I/O or termination energy.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from . import controller as k
from .standards import Standard

Ints = npt.NDArray[np.int64]


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


def energy(standard: Standard, counters: Ints, *, ranks: int, compat: bool) -> Energy | None:
    """Energy of one run; None if the standard has no currents.

    Args:
        standard: with currents in mA and supplies in V.
        counters: (N_COUNTER,) of ``controller.run``.
        ranks: per channel; only used in compat mode.
        compat: DRAMPower's reading: all ranks of a channel share one state, whose standby is charged once per
            rank; power-down draws the slow-exit current although exits take tXP.
    """
    p, t = standard.power, standard.timing
    if p is None:
        return None
    count = {name: int(counters[k.COUNT + code]) for name, code in _CODES.items()}
    times = ranks if compat else 1
    standby = times * _standby(counters)
    active_down = times * int(counters[k.ACTIVE + k.PD_ACTIVE])
    precharged_down = times * int(counters[k.ACTIVE + k.PD_PRECHARGED])
    self_refresh = times * int(counters[k.ACTIVE + k.PD_SELF_REFRESH])
    slow = "0" if compat else "1"
    closings = int(counters[k.CLOSINGS])
    # pJ per mA and cycle at 1 V, over the devices of a rank; DRAMPower's period is not rounded
    unit = standard.clock_ns * standard.devices * 1e-12
    vdd, vpp = p["vdd"] * unit, p.get("vdd2", 0.0) * unit
    row, idd02 = count["ACT"] * t["RAS"], p.get("idd02", 0.0)
    close = closings * (t["RC"] - t["RAS"])
    return Energy(
        activate=row * (p["idd0"] - p["idd3n"]) * vdd + row * idd02 * vpp,
        precharge=close * (p["idd0"] - p["idd2n"]) * vdd + close * idd02 * vpp,
        read=(count["RD"] + count["RDA"]) * standard.burst_cycles * (p["idd4r"] - p["idd3n"]) * vdd,
        write=(count["WR"] + count["WRA"]) * standard.burst_cycles * (p["idd4w"] - p["idd3n"]) * vdd,
        refresh=count["REFA"] * t["RFC"] * (p["idd5"] - p["idd3n"]) * vdd,
        active_standby=times * int(counters[k.ACTIVE]) * p["idd3n"] * vdd,
        precharge_standby=standby * p["idd2n"] * vdd,
        power_down=(active_down * p[f"idd3p{slow}"] + precharged_down * p[f"idd2p{slow}"]) * vdd,
        self_refresh=self_refresh * (p["idd6"] * vdd + p.get("idd62", 0.0) * vpp),
    )


def _standby(counters: Ints) -> int:
    """Cycles with all banks closed and clock enabled."""
    return int(counters[k.WINDOW_END]) - sum(int(counters[k.ACTIVE + state]) for state in range(4))


_CODES = {"RD": k.RD, "WR": k.WR, "RDA": k.RDA, "WRA": k.WRA, "ACT": k.ACT, "REFA": k.REFA}
