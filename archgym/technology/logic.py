"""Single gates: the two-way multiplexer and the two-input gate, as shares of published circuits.

Two published circuits consist of little else (Aladdin, the 40 nm library of the register bit, logic.csv): a
32-bit shifter is five stages of 32 two-way multiplexers, and a 32-bit bitwise operator is 32 two-input
gates. One gate is taken as the circuit over that number, wires inside the circuit included. The
multiplexer's area agrees with that of the cell of an open 45 nm library, MUX2_X1: 1.56 um2 at 40 nm beside
1.86 um2 at 45 nm.
The 40 nm figures stand unscaled for 45 nm, like those of ``registers``; leakage power is the same at all nodes.
"""

from __future__ import annotations

from dataclasses import dataclass

from archgym.technology.scaling import STANDS_FOR, area_factor, energy_factor
from archgym.technology.tables import table


@dataclass(frozen=True, slots=True)
class Gate:
    """Cost of one gate.

    Attributes:
        energy_pj: energy of one operation with random data, pJ.
        area_um2: area, square micrometres.
        leakage_mw: static power, mW.
        source: where the numbers come from.
    """

    energy_pj: float
    area_um2: float
    leakage_mw: float
    source: str


def mux2(node: int = 45, leakage_scale: float = 1.0) -> Gate:
    """A two-way multiplexer of one bit at ``node`` nm: a 32-bit shifter over its 160 multiplexers (Aladdin).

    ``leakage_scale`` multiplies the leakage. An unknown node raises UsageError.
    """
    return _share("shifter", node, leakage_scale)


def gate2(node: int = 45, leakage_scale: float = 1.0) -> Gate:
    """A two-input gate at ``node`` nm: a 32-bit AND/OR/XOR operator over its 32 gates (Aladdin).

    ``leakage_scale`` multiplies the leakage. An unknown node raises UsageError.
    """
    return _share("bitwise", node, leakage_scale)


def _share(circuit: str, node: int, leakage_scale: float) -> Gate:
    (row,) = (r for r in table("logic.csv") if r["circuit"] == circuit)
    gates, start = int(row["gates"]), STANDS_FOR[int(row["node_nm"])]
    return Gate(
        float(row["energy_pj"]) / gates * energy_factor(start, node),
        float(row["area_um2"]) / gates * area_factor(start, node),
        float(row["leakage_mw"]) / gates * leakage_scale,
        row["source"],
    )
