"""On-chip SRAM from a table of CACTI 7.0 results, as banks that stay inside the table.

Access energy, leakage and area are interpolated in log-log between tabulated capacities and widths.
A demand outside the table is met with several banks, never by extrapolation:

- wider than the widest macro: equal banks side by side, all accessed at once;
- more capacity than the largest macro of that width: banks of the largest size in depth and one for the
  rest, one accessed at a time (charged as the largest), all leaking and taking area;
- less capacity or width than the smallest macro: the smallest macro.

Wires and multiplexers between banks are not included. Leakage is sub-threshold plus gate leakage at
350 K. CACTI's own steps of 20 to 30 % (where it picks another organisation) are in the table: area and
leakage never fall with capacity, read energy falls once (itrs-hp, 45 nm, 16 bit, 64 to 128 KiB: -8 %);
with width all of them may fall.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache, lru_cache

from archgym.errors import UnknownNameError, UsageError
from archgym.technology import scaling
from archgym.technology.tables import geometric, log_log, table, whole

SOURCE = "CACTI 7.0, github.com/HewlettPackard/cacti commit 1ffd8df (sram_cacti.csv)"

SUPPLY_V = {
    "itrs-lop": {65: 0.8, 45: 0.7, 32: 0.6, 22: 0.6},
    "itrs-hp": {65: 1.1, 45: 1.0, 32: 0.9, 22: 0.8},
}
"""Supply of each device type and node, V (CACTI 7.0, tech_params/*.dat, line -Vdd)."""

LEAKAGE_ASSUMPTION = (
    "a macro at a node without CACTI data leaks what it leaks at the nearest node with data: between the "
    "nodes of CACTI leakage is not monotonic, so no trend is drawn; leakage_scale multiplies it"
)

_COLUMNS = ("read_energy_pj", "write_energy_pj", "leakage_mw", "area_mm2")


@dataclass(frozen=True, slots=True)
class Sram:
    """Cost of one SRAM.

    Attributes:
        read_pj: energy of one read of the full width, pJ.
        write_pj: energy of one write of the full width, pJ.
        leakage_mw: static power of all banks, mW (sub-threshold and gate, 350 K).
        area_mm2: area of all banks, mm2.
        banks_wide: banks side by side, accessed together.
        banks_deep: banks in depth, one accessed at a time.
        bank_bytes: capacity of one bank (of the largest, where the last in depth is smaller).
        bank_width_bits: access width of one bank.
        last_bank_bytes: capacity of the last bank in depth (equal to ``bank_bytes`` if there is one).
        source: where the numbers come from.
    """

    read_pj: float
    write_pj: float
    leakage_mw: float
    area_mm2: float
    banks_wide: int
    banks_deep: int
    bank_bytes: int
    bank_width_bits: int
    last_bank_bytes: int
    source: str


@dataclass(frozen=True, slots=True)
class _Macros:
    """The tabulated macros of one node, device and width: ascending capacities and their columns."""

    capacity: tuple[float, ...]
    columns: dict[str, tuple[float, ...]]


@cache
def _grids() -> dict[tuple[int, str], dict[int, _Macros]]:
    """(node, device) -> width -> macros; gate leakage is added to the leakage column here."""
    rows: dict[tuple[int, str], dict[int, list[tuple[float, ...]]]] = {}
    for row in table("sram_cacti.csv"):
        leakage = float(row["leakage_mw"]) + float(row["gate_leakage_mw"])
        values = (float(row["read_energy_pj"]), float(row["write_energy_pj"]), leakage, float(row["area_mm2"]))
        widths = rows.setdefault((int(row["node_nm"]), row["device"]), {})
        widths.setdefault(int(row["width_bits"]), []).append((float(row["capacity_bytes"]), *values))
    grids: dict[tuple[int, str], dict[int, _Macros]] = {}
    for key, widths in rows.items():
        grids[key] = {}
        for width in sorted(widths):
            capacity, *columns = zip(*sorted(widths[width]), strict=True)
            grids[key][width] = _Macros(capacity, dict(zip(_COLUMNS, columns, strict=True)))
    return grids


def devices() -> tuple[str, ...]:
    """The device types with CACTI data: low operating power and high performance."""
    return tuple(sorted({device for _, device in _grids()}))


def cacti_nodes(device: str) -> tuple[int, ...]:
    """The nodes with CACTI data of ``device``, nm, largest first."""
    return tuple(sorted((node for node, name in _grids() if name == device), reverse=True))


def sram(
    capacity_bytes: int,
    width_bits: int,
    node: int = 45,
    device: str = "itrs-lop",
    leakage_scale: float = 1.0,
) -> Sram:
    """An SRAM of ``capacity_bytes`` that delivers ``width_bits`` an access, at ``node`` nm.

    Nodes with CACTI data are read as they are; other nodes of the scaling table take the nearest one,
    energy and area scaled by the table (22 nm data scale as its 20 nm) and leakage as it stands
    (LEAKAGE_ASSUMPTION). ``leakage_scale`` multiplies the leakage, for another temperature or library.
    """
    capacity = whole("capacity_bytes", capacity_bytes)
    width = whole("width_bits", width_bits)
    if device not in devices():
        raise UnknownNameError("SRAM device type", device, devices())
    known = sorted({*cacti_nodes(device), *scaling.nodes()}, reverse=True)
    if node not in known:
        raise UsageError(f"no SRAM data for {node!r} nm; known nodes: {', '.join(map(str, known))}")
    return _build(capacity, width, int(node), device, float(leakage_scale))


@lru_cache(maxsize=65536)
def _build(capacity: int, width: int, node: int, device: str, leakage_scale: float) -> Sram:
    start = scaling.nearest_node(node, cacti_nodes(device))
    grid = _grids()[start, device]
    widths = tuple(grid)
    wide = -(-width // widths[-1])
    bank_width = max(-(-width // wide), widths[0])
    low, high = _neighbours(bank_width, widths)
    # Between two widths only the capacities that both have: outside, one of them would be extrapolated.
    smallest = int(max(grid[low].capacity[0], grid[high].capacity[0]))
    largest = int(min(grid[low].capacity[-1], grid[high].capacity[-1]))
    share = 0.0 if low == high else math.log(bank_width / low) / math.log(high / low)

    def cost(column: str, nbytes: int) -> float:
        at_low = log_log(nbytes, grid[low].capacity, grid[low].columns[column])
        at_high = log_log(nbytes, grid[high].capacity, grid[high].columns[column])
        return geometric(at_low, at_high, share)

    needed = max(-(-capacity // wide), smallest)
    deep = -(-needed // largest)
    last = max(needed - (deep - 1) * largest, smallest)
    bank = largest if deep > 1 else last
    energy, area = _node_factors(start, node)
    return Sram(
        read_pj=wide * cost("read_energy_pj", bank) * energy,
        write_pj=wide * cost("write_energy_pj", bank) * energy,
        leakage_mw=wide * ((deep - 1) * cost("leakage_mw", bank) + cost("leakage_mw", last)) * leakage_scale,
        area_mm2=wide * ((deep - 1) * cost("area_mm2", bank) + cost("area_mm2", last)) * area,
        banks_wide=wide,
        banks_deep=deep,
        bank_bytes=bank,
        bank_width_bits=bank_width,
        last_bank_bytes=last,
        source=SOURCE if start == node else f"{SOURCE}, {start} nm scaled to {node} nm: {scaling.SOURCE}",
    )


def _neighbours(width: int, widths: tuple[int, ...]) -> tuple[int, int]:
    """The tabulated widths around ``width``; twice the same where it is tabulated."""
    low = max(w for w in widths if w <= width)
    high = min(w for w in widths if w >= width)
    return low, high


def _node_factors(start: int, node: int) -> tuple[float, float]:
    """Energy and area factor from the node of the data to the node asked for."""
    if start == node:
        return 1.0, 1.0
    start = scaling.STANDS_FOR.get(start, start)
    return scaling.energy_factor(start, node), scaling.area_factor(start, node)
