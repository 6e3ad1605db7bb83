"""Scaling between technology nodes with the table of Stillmaker & Baas (2017).

The energy factors hold at an equal supply of 0.8 V in both nodes: they carry the change of the
devices, not of the supply. Nodes are nanometres.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import cache

from archgym.errors import UsageError
from archgym.technology.tables import table

SOURCE = (
    "Stillmaker & Baas, Integration 58, 2017 (doi:10.1016/j.vlsi.2017.02.002): "
    "area table; energy at an equal supply of 0.8 V"
)

STANDS_FOR = {22: 20, 40: 45}
"""Assumption: data measured at a node that the table lacks scale like the neighbouring node here."""


@cache
def _factors() -> dict[tuple[int, int], tuple[float, float]]:
    return {
        (int(row["from_nm"]), int(row["to_nm"])): (
            float(row["area_factor"]),
            float(row["energy_factor_same_vdd_0p8V"]),
        )
        for row in table("tech_scaling.csv")
    }


def nodes() -> tuple[int, ...]:
    """The nodes of the table in nm, largest first."""
    return tuple(sorted({start for start, _ in _factors()}, reverse=True))


def _lookup(from_nm: int, to_nm: int) -> tuple[float, float]:
    if (from_nm, to_nm) not in _factors():
        unknown = from_nm if from_nm not in nodes() else to_nm
        known = ", ".join(map(str, nodes()))
        raise UsageError(f"no technology node of {unknown!r} nm in the scaling table; known nodes: {known}")
    return _factors()[from_nm, to_nm]


def area_factor(from_nm: int, to_nm: int) -> float:
    """Area of a circuit at ``to_nm`` over its area at ``from_nm`` (Stillmaker & Baas 2017, table of areas)."""
    return _lookup(from_nm, to_nm)[0]


def energy_factor(from_nm: int, to_nm: int) -> float:
    """Switching energy at ``to_nm`` over that at ``from_nm``, both at 0.8 V (Stillmaker & Baas 2017)."""
    return _lookup(from_nm, to_nm)[1]


def nearest_node(node: int, candidates: Iterable[int]) -> int:
    """The candidate node whose ratio to ``node`` is closest to 1 (the larger node on a tie)."""
    return min(candidates, key=lambda candidate: (abs(math.log(candidate / node)), -candidate))
