"""A hardware as text: what each level holds, and what it costs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from . import costs
from .shapes import TENSORS

if TYPE_CHECKING:
    from .hardware import Hardware

_HEAD = (
    "level", "inst", "holds", "store", "KiB", "read pJ W/I/O", "write pJ W/I/O", "bit/cycle", "leak mW", "mm2",
    "fan-out",
)  # fmt: skip


def describe(hardware: Hardware) -> str:
    """The levels from the outermost to the multipliers, one line each, and totals.

    Energies are pJ per element, read and written; KiB and bit/cycle (read/write, "=" for one port) are of one
    instance; leakage and area of all instances. DRAM takes no area, its leakage is the background power. A
    tensor in lower case is kept or not as the mapper chooses.
    """
    prices, counts = hardware.level_costs(), hardware.instances
    rows = []
    for level, price, count in zip(hardware.levels, prices, counts, strict=True):
        kept = "".join(t.lower() if t in level.may_keep else t for t in level.tensors)
        fanout = level.fanout
        rows.append(
            (
                level.name,
                str(count),
                kept,
                _joined(store.kind for store in level.stores),
                _joined(
                    "-" if store.capacity_bits < 0 else f"{store.capacity_bits / 8192:.4g}" for store in level.stores
                ),
                _energies(level.tensors, price.read_pj),
                _energies(level.tensors, price.write_pj),
                _joined(_bandwidth(cost) for cost in price.stores),
                f"{count * price.leakage_mw:.4g}",
                f"{count * price.area_mm2:.4g}",
                f"{fanout.x} x {fanout.y}",
            )
        )
    mac = costs.mac_cost(hardware.mac, hardware.technology)
    pes = hardware.pes
    leakage = sum(count * price.leakage_mw for price, count in zip(prices, counts, strict=True))
    rows.reverse()
    lines = [
        f"{hardware.name}: {pes} multipliers, {hardware.clock_mhz:g} MHz, {hardware.node} nm, "
        f"{'/'.join(map(str, hardware.word_bits))} bits (W/I/O)",
        *_table([_HEAD, *rows]),
        f"mac: {mac.energy_pj:.4g} pJ, leakage {pes * mac.leakage_mw:.4g} mW, {pes * mac.area_um2 * 1e-6:.4g} mm2",
        f"total: {sum(hardware.area_mm2().values()):.4g} mm2, leakage {leakage + pes * mac.leakage_mw:.4g} mW "
        "(background of DRAM included)",
    ]
    return "\n".join(lines)


def _joined(parts: Iterable[str]) -> str:
    """Texts joined by "/", once if they are all the same."""
    texts = list(parts)
    return texts[0] if len(set(texts)) == 1 else "/".join(texts)


def _energies(held: str, values: Sequence[float]) -> str:
    return "/".join(f"{value:.3g}" if tensor in held else "-" for tensor, value in zip(TENSORS, values, strict=True))


def _bandwidth(cost: costs.StoreCost) -> str:
    return f"{cost.read_bandwidth:.4g}" + ("=" if cost.write_bandwidth < 0 else f":{cost.write_bandwidth:.4g}")


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]
