"""The hardware side: design space, fixed options, and what each design's parts cost.

Energies and areas come from ``archgym.technology``; here they become constants per design.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from archgym.errors import UsageError
from archgym.space import Codes, Columns, DesignSpace, Parameter
from archgym.technology import arithmetic, dram, registers, sram, wires

from . import array

DATAFLOWS = ("os", "ws", "is")
SIDES = (4, 6, 8, 12, 14, 16, 20, 24, 28, 32, 48, 56, 64, 96, 128, 192, 256, 384, 512)
SRAM_KIB = (2, 4, 8, 16, 32, 64, 128, 192, 256, 384, 512, 1024, 2048, 4096, 8192)
MEMORIES = (
    "LPDDR4-3200 x32",
    "LPDDR4-3200 2x32",
    "DDR4-2400 x64",
    "DDR4-2400 2x64",
    "HBM2 1 stack",
    "HBM2 2 stacks",
)


def exchange_sides(code: Codes) -> Codes:
    """A wider and a taller array (k, 7) of about as many elements: one level of rows for one of columns.

    Either alone changes what the array costs, and what fits beside it, before its new shape can pay.
    """
    moved = np.tile(code, (2, 1))
    moved[:, :2] += [[1, -1], [-1, 1]]
    inside = (moved[:, :2] >= 0) & (moved[:, :2] < len(SIDES))
    return moved[inside.all(axis=1)]


SPACE = DesignSpace(
    [
        Parameter("rows", SIDES, group="array", doc="processing elements in a column of the array"),
        Parameter("cols", SIDES, group="array", doc="processing elements in a row of the array"),
        Parameter.categorical("dataflow", DATAFLOWS, group="array", doc="which operand stays in the array"),
        Parameter("ifmap_sram", SRAM_KIB, unit="KiB", group="sram", doc="input buffer"),
        Parameter("filter_sram", SRAM_KIB, unit="KiB", group="sram", doc="weight buffer"),
        Parameter("ofmap_sram", SRAM_KIB, unit="KiB", group="sram", doc="output and partial-sum buffer"),
        Parameter.categorical("memory", MEMORIES, group="memory", doc="off-chip memory system"),
    ],
    moves=exchange_sides,
)


@dataclass(frozen=True)
class SystolicConfig:
    """What is fixed while the design is searched.

    Attributes:
        bits: operand width of the multipliers and of stored words (8 to 32; a layer may say less).
        psum_bits: width of partial sums.
        clock_mhz: of array and SRAMs.
        node: technology node, nm; supply as the sources state it (45 nm: 0.9 V).
        sram_device: CACTI device type, itrs-lop (low operating power) or itrs-hp.
        batch: inferences per pass; latency is of the whole batch, energy of one inference.
        fold_overlap: double-buffered weights and accumulators (default model only).
        keep_on_chip: skip DRAM between layers where output and next input fit (default model only).
        compat: "scalesim-3.0.0" for that tool's counts, "" for the default model.
        leakage_scale: multiplies all leakage power; an assumption, 1.0 is CACTI's 350 K.
        row_hit_share: share of DRAM bursts that hit an open row; an assumption.
        hbm2_background_w: background power of one HBM2 stack; an assumption, no public currents exist.
    """

    bits: int = 8
    psum_bits: int = 32
    clock_mhz: float = 700.0
    node: int = 45
    sram_device: str = "itrs-lop"
    batch: int = 1
    fold_overlap: bool = True
    keep_on_chip: bool = False
    compat: Literal["", "scalesim-3.0.0"] = ""
    leakage_scale: float = 1.0
    row_hit_share: float = dram.ROW_HIT_SHARE
    hbm2_background_w: float = dram.HBM2_BACKGROUND_W

    def __post_init__(self) -> None:
        if not 1e-3 <= self.clock_mhz <= 1e6 or self.batch < 1:
            raise UsageError("simulator systolic: clock_mhz must lie between 0.001 and 1e6, batch be at least 1")
        if not (0 <= self.leakage_scale < math.inf and 0 <= self.hbm2_background_w < math.inf):
            raise UsageError("simulator systolic: leakage_scale and hbm2_background_w must be finite and not negative")
        if self.psum_bits < self.bits:
            raise UsageError(f"simulator systolic: psum_bits {self.psum_bits} is below bits {self.bits}")
        if self.compat and (self.bits != 8 or self.batch != 1 or self.keep_on_chip):
            raise UsageError(f"simulator systolic: {self.compat} has 8-bit words, batch 1 and no keep_on_chip")


def integer_designs(designs: Columns) -> npt.NDArray[np.int64]:
    kib = 1024 * 8
    columns = [designs["dataflow"], designs["rows"], designs["cols"]]
    columns += [designs[f"{operand}_sram"] * kib for operand in ("ifmap", "filter", "ofmap")]
    return np.ascontiguousarray(np.stack(columns, axis=1), np.int64)


def tile_slacks(parts: npt.NDArray[np.int64], config: SystolicConfig) -> dict[str, npt.NDArray[Any]]:
    """Two minimal tiles against the capacity, in bytes: what one fold holds, or one vector of what it streams."""
    dataflow, rows, cols = (parts[:, i] for i in (array.DATAFLOW, array.ROWS, array.COLS))
    held = rows * cols * config.bits
    tiles = {
        "ifmap": np.where(dataflow == array.IS, held, rows * config.bits),
        "filter": np.choose(dataflow, [cols * config.bits, held, rows * config.bits]),
        "ofmap": np.where(dataflow == array.OS, rows * cols, cols) * config.psum_bits,
    }
    out: dict[str, npt.NDArray[Any]] = {}
    for i, (operand, tile) in enumerate(tiles.items()):
        capacity = parts[:, array.IFMAP_BITS + i] / 8.0
        out[f"{operand}_sram_tiles"] = 2 * tile / 8.0 - capacity
        out[f"{operand}_sram_tiles.limit"] = capacity
    return out


@lru_cache(maxsize=16)
def _sram_table(word_bits: int, node: int, device: str, leakage_scale: float) -> npt.NDArray[np.float64]:
    """[capacity, side, (read J/word, write J/word, leakage W, area mm2)] for SRAMs that serve a side of the array."""
    out = np.empty((len(SRAM_KIB), len(SIDES), 4))
    for i, kib in enumerate(SRAM_KIB):
        for j, lanes in enumerate(SIDES):
            macro = sram.sram(kib * 1024, lanes * word_bits, node, device, leakage_scale)
            out[i, j, 0] = macro.read_pj * 1e-12 / lanes
            out[i, j, 1] = macro.write_pj * 1e-12 / lanes
            out[i, j, 2] = macro.leakage_mw * 1e-3
            out[i, j, 3] = macro.area_mm2
    return out


@lru_cache(maxsize=16)
def _memory_table(config: SystolicConfig) -> npt.NDArray[np.float64]:
    """[memory, (J/bit, background W, B/s)]."""
    systems = [
        dram.memory_system(name, row_hit_share=config.row_hit_share, hbm2_background_w=config.hbm2_background_w)
        for name in MEMORIES
    ]
    return np.array([[s.pj_per_bit * 1e-12, s.background_w, s.bandwidth_gbps * 1e9] for s in systems])


def _register_bits(
    dataflow: npt.NDArray[np.int64], config: SystolicConfig
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Bits that a PE holds through a fold and bits that move on every cycle: os holds the sum, ws and is an operand."""
    is_os = dataflow == array.OS
    held = np.where(is_os, config.psum_bits, config.bits)
    return held, np.where(is_os, 2 * config.bits, config.bits + config.psum_bits)


def design_constants(
    designs: Columns, parts: npt.NDArray[np.int64], config: SystolicConfig
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Energies and powers of each design (d, 14), and its areas (d, 2): PEs, SRAMs, in mm2."""
    node, leak = config.node, config.leakage_scale
    row_at = np.searchsorted(SIDES, designs["rows"])
    col_at = np.searchsorted(SIDES, designs["cols"])
    is_input_held = parts[:, array.DATAFLOW] == array.IS
    ports = {
        "ifmap": (np.where(is_input_held, col_at, row_at), config.bits),
        "filter": (np.where(is_input_held, row_at, col_at), config.bits),
        "ofmap": (col_at, config.psum_bits),
    }
    pes = parts[:, array.ROWS] * parts[:, array.COLS]
    mac = arithmetic.multiply_accumulate(config.bits, config.psum_bits, node, leak)
    register = registers.register(node, leak)
    held, moving = _register_bits(parts[:, array.DATAFLOW], config)
    copies = 2 if config.fold_overlap and not config.compat else 1  # a shadow register while folds overlap
    stored = held * copies + moving
    pe_area = (mac.area_um2 + stored * register.area_um2) * 1e-6

    out = np.empty((len(parts), array.N_CONSTANT))
    areas = np.zeros((len(parts), 2))
    areas[:, 0] = pes * pe_area
    out[:, array.LEAKAGE_W] = pes * ((mac.leakage_mw + stored * register.leakage_mw) * 1e-3)
    for i, (operand, (lanes_at, word_bits)) in enumerate(ports.items()):
        size_at = np.searchsorted(SRAM_KIB, designs[f"{operand}_sram"])
        macros = _sram_table(word_bits, node, config.sram_device, leak)[size_at, lanes_at]
        out[:, array.IFMAP_READ_J + 2 * i] = macros[:, 0]
        out[:, array.IFMAP_WRITE_J + 2 * i] = macros[:, 1]
        out[:, array.LEAKAGE_W] += macros[:, 2]
        areas[:, 1] += macros[:, 3]
    # Per cycle a PE reads and writes what moves; it reads what it holds, and writes it if that is a sum (os).
    writes_held = parts[:, array.DATAFLOW] == array.OS
    access = moving * (register.read_pj + register.write_pj)
    access = access + held * (register.read_pj + np.where(writes_held, register.write_pj, 0.0))
    out[:, array.PE_CYCLE_J] = access * 1e-12
    out[:, array.MAC_J] = mac.energy_pj * 1e-12
    bit_mm = wires.wire(node).pj_per_bit_mm * 1e-12
    pitch = np.sqrt(pe_area)  # wires.side_mm of each design's PE
    out[:, array.WIRE_ROW_J] = bit_mm * pitch * parts[:, array.COLS]  # along a row of PEs: one column after the other
    out[:, array.WIRE_COLUMN_J] = bit_mm * pitch * parts[:, array.ROWS]
    out[:, array.DRAM_BIT_J :] = _memory_table(config)[designs["memory"]]
    return out, areas
