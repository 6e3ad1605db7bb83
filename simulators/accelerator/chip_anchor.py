"""Published figures beside ours, and one mapping evaluated with its energy split into chip and off-chip memory."""

from __future__ import annotations

import math
from collections.abc import Iterable
from collections.abc import Mapping as MappingABC
from dataclasses import dataclass

from archgym.workload import Layer

from . import nest
from .hardware import Hardware
from .mapping import Mapping
from .shapes import DIMS, TENSORS, layer_row

Table = Iterable[MappingABC[str, str]]
"""Rows of a published table, as csv.DictReader gives them."""


@dataclass(frozen=True, slots=True)
class Anchor:
    """One published figure beside ours.

    Attributes:
        quantity: what, with its unit.
        published, ours: in that unit.
        residual: what the difference is made of, as far as known.
        parts: (name, value): ours by component, same unit.
    """

    quantity: str
    published: float
    ours: float
    residual: str
    parts: tuple[tuple[str, float], ...] = ()

    @property
    def ratio(self) -> float:
        """Ours over published."""
        return self.ours / self.published


@dataclass(frozen=True, slots=True)
class Run:
    """One layer evaluated under one mapping.

    Attributes:
        seconds: latency.
        compute_cycles, cycles: without and with waiting for memories.
        limit: name of the level whose ports decide the cycles, "" if none does.
        macs: multiply-accumulates.
        active: multipliers that have work: coordinates outside the layer's sizes do not count.
        moved: words that each level reads and writes, by level name.
        chip_pj: energy on the chip by component; "clock" is the hardware's share for clock network and control.
        dram_pj: energy of off-chip memory, background included.
        slack: largest excess over a capacity or a fan-out; at most 0 if all fits.
    """

    seconds: float
    compute_cycles: int
    cycles: int
    limit: str
    macs: int
    active: int
    moved: dict[str, int]
    chip_pj: dict[str, float]
    dram_pj: float
    slack: int


def evaluate(hardware: Hardware, layer: Layer, mapping: Mapping) -> Run:
    """Evaluate ``mapping`` of ``layer`` and split its energy into chip and off-chip memory.

    Raises:
        UsageError: the mapping is no legal nest of the layer, or a part has no price.
    """
    row, arrays = layer_row(layer), hardware.arrays()
    mapping.check(row)
    loops, tiles = mapping.arrays()
    found = nest.evaluate_batch(row, loops[None], tiles[None], arrays.hw_i, arrays.hw_f, arrays.mac, arrays.bits)
    out, counts = found["out"][0], found["counts"][0]
    seconds = float(out[nest.CYCLES] / arrays.mac[nest.CLOCK_HZ])
    leakage, dram = float(out[nest.LEAKAGE_PJ]), 0.0
    switching = {"mac": float(out[nest.MACS_PJ]), "wires": float(out[nest.WIRES_PJ])}
    for l, (level, price) in enumerate(zip(hardware.levels, hardware.level_costs(), strict=True)):
        on_chip = "".join(store.tensors for store in level.stores if store.kind != "dram")
        energies = {t: _access_pj(counts[l, v], arrays.hw_f[l], v) for v, t in enumerate(TENSORS)}
        if on_chip:
            switching[level.name] = math.fsum(energies[t] for t in on_chip)
        dram += math.fsum(pj for t, pj in energies.items() if t not in on_chip)
        for store, cost in zip(level.stores, price.stores, strict=True):
            if store.kind == "dram":
                background = cost.leakage_mw * 1e9 * seconds
                leakage, dram = leakage - background, dram + background
    clock = hardware.clock_power_share
    chip = {name: pj * (1 - clock) for name, pj in switching.items()} | {"leakage": leakage}
    if clock:
        chip["clock"] = math.fsum(switching.values()) * clock
    used = {dim: math.prod(x.bound for x in mapping.loops if x.dim == dim and x.kind != "temporal") for dim in DIMS}
    return Run(
        seconds=seconds,
        compute_cycles=int(out[nest.COMPUTE]),
        cycles=int(out[nest.CYCLES]),
        limit="" if out[nest.LIMIT] < 0 else hardware.levels[int(out[nest.LIMIT])].name,
        macs=int(row[: len(DIMS)].prod()),
        active=math.prod(min(used[dim], int(size)) for dim, size in zip(DIMS, row, strict=False)),
        moved={level.name: int(counts[l, :, : nest.DRAINS + 1].sum()) for l, level in enumerate(hardware.levels)},
        chip_pj=chip,
        dram_pj=dram,
        slack=int(found["slack"][0].max()),
    )


def _access_pj(counts: nest.Ints, prices: nest.Floats, v: int) -> float:
    reads = counts[nest.READS] + counts[nest.DRAINS]
    writes = counts[nest.FILLS] + counts[nest.UPDATES]
    return float(reads * prices[nest.READ_PJ + v] + writes * prices[nest.WRITE_PJ + v])


def watts(parts: MappingABC[str, float], seconds: float) -> float:
    """Mean power of ``parts`` in pJ over ``seconds``."""
    return math.fsum(parts.values()) * 1e-12 / seconds


def value(table: Table, quantity: str) -> float:
    """The number beside ``quantity`` in a published table."""
    return next(float(row["value"]) for row in table if row["quantity"] == quantity)


def ceil_div(a: int, b: int) -> int:
    """a / b, rounded up."""
    return -(-a // b)


def markdown(anchors: Iterable[Anchor]) -> str:
    """A table of anchors for people."""
    lines = ["| quantity | published | ours | ratio | parts | residual |", "|---|---|---|---|---|---|"]
    for a in anchors:
        parts = ", ".join(f"{name} {value:.3g}" for name, value in a.parts)
        lines.append(f"| {a.quantity} | {a.published:.4g} | {a.ours:.4g} | {a.ratio:.2f} | {parts} | {a.residual} |")
    return "\n".join(lines)
