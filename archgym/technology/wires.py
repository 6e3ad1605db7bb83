"""On-chip wires: energy of moving one bit one millimetre.

Keckler et al., IEEE Micro 2011, table 1: 256 bits of random data over 10 mm cost 310 pJ at 40 nm and
0.9 V (0.121 pJ/bit/mm; 240 fJ per bit that switches) and 200 pJ projected at 10 nm and 0.75 V. Wire
capacitance per mm hardly changes between nodes, so the gate scaling table does not apply to wires:
nodes between 40 and 10 nm are interpolated in log-log; larger nodes take the 40 nm row (a lower bound:
their supply was higher) and smaller ones the 10 nm row (an upper bound). Cross-check: the repeated wires
of CACTI 7.0 at 65 to 22 nm (wires.csv), half of the bits charging and brought to 0.9 V, lie within 25 %.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

from archgym.errors import UsageError
from archgym.technology.scaling import STANDS_FOR, nodes
from archgym.technology.tables import log_log, table

SIDE_ASSUMPTION = "a component is a square; a transfer across it travels one side"


@dataclass(frozen=True, slots=True)
class Wire:
    """Energy of on-chip wires.

    Attributes:
        pj_per_bit_mm: energy of one bit of random data over one millimetre, pJ.
        source: where the number comes from.
    """

    pj_per_bit_mm: float
    source: str


@cache
def _published() -> tuple[tuple[float, ...], tuple[float, ...], str]:
    rows = sorted((r for r in table("wires.csv") if r["use"] == "model"), key=lambda r: int(r["node_nm"]))
    energies = (float(r["energy_pj"]) / float(r["bits"]) / float(r["length_mm"]) for r in rows)
    return tuple(float(r["node_nm"]) for r in rows), tuple(energies), rows[0]["source"]


def wire(node: int = 45) -> Wire:
    """Wires at ``node`` nm (a node of the scaling table, 40 or 22), for random data (Keckler et al. 2011)."""
    known = sorted({*nodes(), *STANDS_FOR}, reverse=True)
    if node not in known:
        raise UsageError(f"no wire data for {node!r} nm; known nodes: {', '.join(map(str, known))}")
    published, energies, source = _published()
    return Wire(log_log(node, published, energies), source)


def side_mm(area_mm2: float) -> float:
    """Side of a square of ``area_mm2``, mm: the distance across an array (SIDE_ASSUMPTION)."""
    return math.sqrt(area_mm2)
