"""Wires between a memory and the array of its children: pJ/bit/mm times a length from the children's area.

The children are equal squares on a grid and the memory stands at a corner. A word goes to its first child
over half of width plus height, the mean rectilinear distance from the corner; a word for several
children goes on from child to child, one pitch for each (a rectilinear tree over adjacent tiles).
Routers, arbitration and clocks are not included: these are wires with repeaters (``wires``).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

from archgym.errors import UsageError
from archgym.technology.tables import whole
from archgym.technology.wires import side_mm, wire

DISTANCE_ASSUMPTION = (
    "children are squares on a grid; mean distance (width + height) / 2 from the corner, one pitch to each "
    "further child of a multicast"
)


@dataclass(frozen=True, slots=True)
class ArrayWires:
    """Energy and size of the wires of one fan-out.

    Attributes:
        far_pj_per_bit: one bit from the memory to the first child that takes it, pJ.
        near_pj_per_bit: one bit on to each further child, pJ.
        width_mm: width of the array, mm.
        height_mm: height of the array, mm.
        source: where the numbers come from.
    """

    far_pj_per_bit: float
    near_pj_per_bit: float
    width_mm: float
    height_mm: float
    source: str


def array_wires(columns: int, rows: int, tile_area_mm2: float, node: int = 45) -> ArrayWires:
    """Wires over ``columns`` x ``rows`` tiles of ``tile_area_mm2`` each at ``node`` nm.

    Tiles without area have no wires. Columns or rows that are no whole numbers of at least 1, an area that
    is negative or not finite and an unknown node raise UsageError.
    """
    columns, rows = whole("columns", columns), whole("rows", rows)
    if not (math.isfinite(tile_area_mm2) and tile_area_mm2 >= 0):
        raise UsageError(f"tile_area_mm2 must be finite and not negative, got {tile_area_mm2!r}")
    return _array_wires(columns, rows, float(tile_area_mm2), node)


@lru_cache(maxsize=65536)
def _array_wires(columns: int, rows: int, tile_area_mm2: float, node: int) -> ArrayWires:
    pitch, wires = side_mm(tile_area_mm2), wire(node)
    width, height = columns * pitch, rows * pitch
    return ArrayWires(
        far_pj_per_bit=wires.pj_per_bit_mm * (width + height) / 2,
        near_pj_per_bit=wires.pj_per_bit_mm * pitch,
        width_mm=width,
        height_mm=height,
        source=f"{wires.source}; assumption: {DISTANCE_ASSUMPTION}",
    )
