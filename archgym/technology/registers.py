"""Flip-flop registers, per bit (Aladdin, characterised in a commercial 40 nm library).

The scaling table has no 40 nm node. The 40 nm figures stand unscaled for 45 nm: a lower bound there
in energy and area (a register of the older node needs no less), by about (45/40)^2 = 1.27 in area.
Other nodes scale from 45 nm by the table.
"""

from __future__ import annotations

from dataclasses import dataclass

from archgym.technology.scaling import STANDS_FOR, area_factor, energy_factor
from archgym.technology.tables import table


@dataclass(frozen=True, slots=True)
class Register:
    """Cost of one register bit.

    Attributes:
        read_pj: energy of reading the bit in one clock cycle, pJ.
        write_pj: energy of writing it in one clock cycle, pJ.
        leakage_mw: static power, mW.
        area_um2: area, square micrometres.
        source: where the numbers come from.
    """

    read_pj: float
    write_pj: float
    leakage_mw: float
    area_um2: float
    source: str


def register(node: int = 45, leakage_scale: float = 1.0) -> Register:
    """One register bit at ``node`` nm.

    Aladdin charges the same 0.009 pJ (clock pin and switching) for a read and for a write; the figure
    changes by less than 1 % between 1 and 10 ns clocks. ``leakage_scale`` multiplies the leakage: it
    is assumed to be the same power at every node.
    """
    (row,) = (r for r in table("operations.csv") if r["operation"] == "register")
    start = STANDS_FOR[int(row["node_nm"])]
    access = float(row["energy_pj"]) * energy_factor(start, node)
    area = float(row["area_um2"]) * area_factor(start, node)
    return Register(access, access, float(row["leakage_mw"]) * leakage_scale, area, row["source"])
