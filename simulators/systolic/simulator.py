"""A systolic array with three SRAMs and a DRAM, running whole neural networks.

The default model counts what an array with double-buffered SRAMs has to do, in closed form and
monotone in its resources; ``Config(compat="scalesim-3.0.0")`` reproduces SCALE-Sim 3.0.0 (CALC mode)
with its quirks instead. Differences of the default model from the tool, complete:

1.  Output sizes are floor'ed; a window that hangs over the edge does not exist.
2.  Batch, groups, padding, dilation and asymmetric strides are part of a layer. The batch is folded
    into M, groups run one after the other in one stream of folds, padding costs no DRAM traffic.
3.  Cycles are counted (F L), not indexed (F L - 1); with ``fold_overlap`` (default) the weights of the
    next fold load and the outputs of the last drain while the current fold streams.
4.  The word width is ``bits``, not one byte. Partial sums have ``psum_bits``.
5.  DRAM reads follow the reuse that half of an SRAM (double buffering) can hold; they never rise with
    capacity. The tool empties its whole buffer whenever it is full.
6.  Partial sums that do not fit are read back; the tool writes them and never reads them.
7.  No extra ofmap writes per os fold; no over-counted drains; utilisation of the fold as it is.
8.  A layer takes the longer of computing and of moving its bytes at the DRAM's bandwidth; the tool's
    CALC mode assumes that memory never limits.
9.  ``keep_on_chip`` (default off) lets an output that fits stay for the next layer.

Energy, area and power are ours in both modes, from ``archgym.technology``; control logic, clock trees
and the chip's periphery are not modelled. Moving operands and partial sums are clocked in every PE in
every compute cycle, used or not; a stalled array is gated.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from archgym.errors import UsageError
from archgym.metrics import Constraint, Metric
from archgym.simulator import Reproduction, Seeds, Simulator
from archgym.space import Codes, Columns, DesignSpace, Level, Parameter
from archgym.technology import arithmetic, dram, registers, sram, wires
from archgym.workload import Layer, Network, Workload

from . import array, scalesim

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

SPACE = DesignSpace(
    [
        Parameter("rows", SIDES, group="array", doc="processing elements in a column of the array"),
        Parameter("cols", SIDES, group="array", doc="processing elements in a row of the array"),
        Parameter.categorical("dataflow", DATAFLOWS, group="array", doc="which operand stays in the array"),
        Parameter("ifmap_sram", SRAM_KIB, unit="KiB", group="sram", doc="input buffer"),
        Parameter("filter_sram", SRAM_KIB, unit="KiB", group="sram", doc="weight buffer"),
        Parameter("ofmap_sram", SRAM_KIB, unit="KiB", group="sram", doc="output and partial-sum buffer"),
        Parameter.categorical("memory", MEMORIES, group="memory", doc="off-chip memory system"),
    ]
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
        if self.clock_mhz <= 0 or self.leakage_scale < 0:
            raise UsageError("simulator systolic: clock_mhz must be positive and leakage_scale not negative")
        if self.psum_bits < self.bits:
            raise UsageError(f"simulator systolic: psum_bits {self.psum_bits} is below bits {self.bits}")
        if self.compat and (self.bits != 8 or self.batch != 1 or self.keep_on_chip):
            raise UsageError(f"simulator systolic: {self.compat} has 8-bit words, batch 1 and no keep_on_chip")


_ENERGIES = ("mac", "register", "sram", "wire", "dram", "background", "leakage")


class Systolic(Simulator):
    """Systolic array, SRAMs, DRAM: networks in, time, energy, power and area out (see the module's text)."""

    Config: ClassVar[type[SystolicConfig]] = SystolicConfig
    accepts: ClassVar[tuple[str, ...]] = ("network",)
    version: ClassVar[str] = "1"
    cost_seconds: ClassVar[float] = 1e-5
    reasons: ClassVar[tuple[str, ...]] = scalesim.REASONS
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric("latency", "s", "time of one pass over the network, whole batch", additive=True),
        Metric("cycles", "cycles", "compute cycles of one pass, memory stalls excluded", additive=True),
        Metric("throughput", "1/s", "inferences per second", maximise=True),
        Metric("energy", "J", "energy of one inference", additive=True),
        Metric("energy_mac", "J", "multiply-accumulate", additive=True),
        Metric("energy_register", "J", "operand and partial-sum registers of all PEs", additive=True),
        Metric("energy_sram", "J", "SRAM accesses", additive=True),
        Metric("energy_wire", "J", "operands and results across the array", additive=True),
        Metric("energy_dram", "J", "DRAM transfers", additive=True),
        Metric("energy_background", "J", "DRAM background power x time", positive=False, additive=True),
        Metric("energy_leakage", "J", "leakage of SRAMs and PEs x time", positive=False, additive=True),
        Metric("power", "W", "average power"),
        Metric("peak_power", "W", "power of the layer that draws most"),
        Metric("area", "mm2", "PEs and SRAMs"),
        Metric("area_pe", "mm2", "all processing elements"),
        Metric("area_sram", "mm2", "the three SRAMs"),
        Metric("macs", "MAC", "multiply-accumulates of one pass", additive=True),
        Metric("utilisation", "", "MACs / (PEs x clock x latency): time-weighted, stalls included", maximise=True),
        Metric("layer_utilisation", "", "mean over layers of MACs / (PEs x compute cycles)", maximise=True),
        Metric("dram_bytes", "B", "off-chip traffic of one pass", additive=True),
        Metric("sram_bytes", "B", "traffic of the three SRAMs in one pass", additive=True),
        Metric("arithmetic_intensity", "MAC/B", "MACs per byte of DRAM traffic", maximise=True),
        Metric("tops_per_watt", "TOPS/W", "2 MACs / energy", maximise=True),
        Metric("tops_per_mm2", "TOPS/mm2", "2 MACs / latency / area", maximise=True),
        Metric("compute_bound", "", "share of time in layers that computing limits", positive=False),
        Metric("memory_bound", "", "share of time in layers that DRAM bandwidth limits", positive=False),
    )
    constraints: ClassVar[tuple[Constraint, ...]] = tuple(
        Constraint(f"{operand}_sram_tiles", "B", f"two minimal {operand} tiles of the dataflow must fit the SRAM")
        for operand in ("ifmap", "filter", "ofmap")
    )
    config: SystolicConfig

    def design_space(self, workload: Workload) -> DesignSpace:
        """The constant space of array, SRAMs and memory."""
        return SPACE

    def baseline(self, workload: Workload) -> dict[str, Level]:
        """A 32 x 32 output-stationary array with 640 KiB and one DDR4 channel: half its time waits for memory."""
        return {
            "rows": 32,
            "cols": 32,
            "dataflow": "os",
            "ifmap_sram": 256,
            "filter_sram": 256,
            "ofmap_sram": 128,
            "memory": "DDR4-2400 x64",
        }

    def _simulate(self, designs: Columns, workload: Workload, seeds: Seeds | None) -> Columns:
        assert isinstance(workload, Network)
        table, layers = self._layers(workload)
        parts = _integer_designs(designs)
        constants, areas = _constants(designs, parts, self.config)
        c = self.config
        clock_hz = c.clock_mhz * 1e6
        reason = np.zeros(len(parts), np.int64)
        if c.compat:
            counts, reason = _tool_counts(parts, layers)
            totals = array.totals_of(parts, constants, table, counts, c.psum_bits, clock_hz, False)
        else:
            totals = array.simulate(parts, constants, table, c.psum_bits, clock_hz, c.fold_overlap, c.keep_on_chip)
        columns = _metrics(totals, areas, parts, c)
        slacks = _tile_slacks(parts, c)
        possible = (reason == 0) & np.logical_and.reduce([slacks[s.name] <= 0 for s in self.constraints])
        for column in columns.values():
            column[~possible] = 0 if column.dtype == np.int64 else np.nan
        return {**columns, **slacks, "reason": reason}

    def breakdown(self, codes: Codes, workload: Workload) -> dict[str, list[Any]]:
        """The layers of one design (1, d), as columns of a table for people.

        In compat mode the tool's own report columns, one row per layer.
        """
        assert isinstance(workload, Network)
        designs = SPACE.columns(codes)
        parts = _integer_designs(designs)
        table, _ = self._layers(workload, merge=False)
        names = [layer.name for layer in workload.layers]
        repeats = [layer.repeats for layer in workload.layers]
        if self.config.compat:
            rows = np.array([_tool_row(layer) for layer in workload.layers], np.int64)
            report = scalesim.report(rows, np.repeat(_tool_designs(parts), len(rows), axis=0))
            return {"layer": names, "repeats": repeats, **{k: v.tolist() for k, v in report.items()}}
        constants, _ = _constants(designs, parts, self.config)
        c = self.config
        counts = array.counts_of(parts, table, c.psum_bits, c.fold_overlap, c.keep_on_chip)
        single = np.array(table)
        single[:, array.REPEATS] = 1
        totals = np.concatenate(
            [
                array.totals_of(
                    parts, constants, single[i : i + 1], counts[:, i : i + 1], c.psum_bits, c.clock_mhz * 1e6, True
                )
                for i in range(len(table))
            ]
        )
        at = {name: totals[:, i] for i, name in enumerate(array.TOTALS)}
        energy = np.sum([at[f"energy_{part}"] for part in _ENERGIES], axis=0)
        return {
            "layer": names,
            "repeats": repeats,
            "macs": at["macs"].astype(np.int64).tolist(),
            "cycles": at["cycles"].astype(np.int64).tolist(),
            "utilisation": at["layer_utilisation"].tolist(),
            "latency_s": at["latency"].tolist(),
            "bound": ["compute" if share else "memory" for share in at["compute_bound"]],
            "dram_bytes": (at["dram_bits"] / 8).tolist(),
            "energy_j": (energy / c.batch).tolist(),
        }

    def reproduce(self, rows: Sequence[Mapping[str, str]]) -> Reproduction:
        """Layers measured with SCALE-Sim 3.0.0; see ``.validation`` for the columns."""
        from .validation import reproduce

        return reproduce(rows)

    def _layers(self, network: Network, *, merge: bool = True) -> tuple[npt.NDArray[np.int64], tuple[Layer, ...]]:
        merge = merge and not self.config.keep_on_chip
        return _layer_table(network, self.config.bits, self.config.batch, bool(self.config.compat), merge)


# ---- workload side -----------------------------------------------------------------------


@lru_cache(maxsize=64)
def _layer_table(
    network: Network, bits: int, batch: int, compat: bool, merge: bool
) -> tuple[npt.NDArray[np.int64], tuple[Layer, ...]]:
    """The table that kernels read, and the layers behind its rows; equal layers merge into one with more repeats."""
    rows: list[list[int]] = []
    layers: list[Layer] = []
    previous: Layer | None = None
    seen: dict[tuple[int, ...], int] = {}
    for layer in network.with_batch(batch).layers:
        row = _tool_table_row(layer) if compat else _table_row(layer, bits)
        row[array.CHAINED] = int(previous is not None and _feeds(previous, layer))
        previous = layer
        identity = (*row[1 : array.CHAINED], *((_tool_row(layer)) if compat else ()))
        if merge and identity in seen:
            rows[seen[identity]][array.REPEATS] += row[array.REPEATS]
            continue
        seen[identity] = len(rows)
        rows.append(row)
        layers.append(layer)
    return np.array(rows, np.int64), tuple(layers)


def _table_row(layer: Layer, bits: int) -> list[int]:
    word = layer.bits or bits
    if word > bits:
        raise UsageError(f"layer '{layer.name}' has {word}-bit words, the array multiplies {bits}-bit words (sim.bits)")
    m, n, k = layer.mnk
    rows, row_taps = _touched(layer.H, layer.R, layer.P, layer.stride[0], layer.padding[0], layer.dilation[0])
    columns, _ = _touched(layer.W, layer.S, layer.Q, layer.stride[1], layer.padding[1], layer.dilation[1])
    span = min(layer.H, (layer.R - 1) * layer.dilation[0] + 1)
    row = [0] * array.N_LAYER
    row[array.REPEATS], row[array.GROUPS] = layer.repeats, layer.G
    row[array.M], row[array.K], row[array.N] = m, k, n
    row[array.IFMAP_WORDS] = layer.N * layer.C * rows * columns
    row[array.PASS_WORDS] = layer.N * layer.C * row_taps * columns
    row[array.HALO_WORDS] = span * layer.W * layer.C
    row[array.WORD_BITS] = word
    return row


def _touched(extent: int, taps: int, outputs: int, stride: int, padding: int, dilation: int) -> tuple[int, int]:
    """Distinct input positions that the windows of one axis touch, and the same counted once per window."""
    position = np.arange(outputs)[:, None] * stride + np.arange(taps) * dilation - padding
    inside = position[(position >= 0) & (position < extent)]
    return len(np.unique(inside)), len(inside)


def _feeds(previous: Layer, layer: Layer) -> bool:
    """Whether a layer's input is, by size, exactly the output of the one before it."""
    same_words = previous.ofmap_words == layer.ifmap_words and previous.bits == layer.bits
    return same_words and previous.repeats == layer.repeats


def _tool_row(layer: Layer) -> list[int]:
    """A layer as a SCALE-Sim topology row; what the tool cannot express is an error."""
    if layer.N > 1 or layer.dilation != (1, 1) or layer.stride[0] != layer.stride[1]:
        raise UsageError(
            f"layer '{layer.name}': scalesim-3.0.0 knows no batch, dilation or unequal strides "
            f"(batch {layer.N}, dilation {layer.dilation}, stride {layer.stride})"
        )
    height, width = layer.H + 2 * layer.padding[0], layer.W + 2 * layer.padding[1]
    return [height, width, layer.R, layer.S, layer.C, layer.K, layer.stride[0]]


def _tool_table_row(layer: Layer) -> list[int]:
    height, width, r, s, c, k, stride = _tool_row(layer)
    row = [0] * array.N_LAYER
    row[array.REPEATS], row[array.GROUPS] = layer.repeats * layer.G, 1  # groups are separate layers
    row[array.M] = -(-(height - r + stride) // stride) * -(-(width - s + stride) // stride)  # ceil'd, as the tool
    row[array.K], row[array.N], row[array.WORD_BITS] = c * r * s, k, 8
    return row


# ---- design side -------------------------------------------------------------------------


def _integer_designs(designs: Columns) -> npt.NDArray[np.int64]:
    kib = 1024 * 8
    columns = [designs["dataflow"], designs["rows"], designs["cols"]]
    columns += [designs[f"{operand}_sram"] * kib for operand in ("ifmap", "filter", "ofmap")]
    return np.ascontiguousarray(np.stack(columns, axis=1), np.int64)


def _tool_designs(parts: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    out = parts.copy()
    out[:, array.IFMAP_BITS :] //= 1024 * 8
    return out


def _tool_counts(
    parts: npt.NDArray[np.int64], layers: tuple[Layer, ...]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The tool's counts in the order of ``array``'s columns (d, l, N_COUNT), and the first reason (d,)."""
    rows = np.array([_tool_row(layer) for layer in layers], np.int64)
    tool = scalesim.counts(rows, _tool_designs(parts))
    out = np.zeros((*tool.shape[:2], array.N_COUNT), np.int64)
    out[..., array.CYCLES] = tool[..., 0]
    for at, source in (
        (array.SRAM_IFMAP_READ, 1),
        (array.SRAM_FILTER_READ, 2),
        (array.SRAM_OFMAP_WRITE, 3),
        (array.DRAM_IFMAP, 4),
        (array.DRAM_FILTER, 5),
        (array.DRAM_OFMAP, 6),
    ):
        out[..., at] = tool[..., source]
    return out, tool[..., 7].max(axis=1)


def _tile_slacks(parts: npt.NDArray[np.int64], config: SystolicConfig) -> dict[str, npt.NDArray[Any]]:
    """Two minimal tiles against the capacity, in bytes: what one fold holds, or one vector of what it streams."""
    dataflow, rows, cols = (parts[:, i] for i in (array.DATAFLOW, array.ROWS, array.COLS))
    held = rows * cols * config.bits
    tiles = {
        "ifmap": np.where(dataflow == array.IS, held, rows * config.bits),
        "filter": np.choose(dataflow, [cols * config.bits, held, rows * config.bits]),
        "ofmap": np.where(dataflow == array.OS, held, cols * config.psum_bits),
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


def _constants(
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
    # Held operand twice (one loading, one in use) with overlap, moving operand, partial sum.
    register_bits = config.bits * (3 if config.fold_overlap and not config.compat else 2) + config.psum_bits
    pe_area = (mac.area_um2 + register_bits * register.area_um2) * 1e-6

    out = np.empty((len(parts), array.N_CONSTANT))
    areas = np.zeros((len(parts), 2))
    areas[:, 0] = pes * pe_area
    out[:, array.LEAKAGE_W] = pes * ((mac.leakage_mw + register_bits * register.leakage_mw) * 1e-3)
    for i, (operand, (lanes_at, word_bits)) in enumerate(ports.items()):
        size_at = np.searchsorted(SRAM_KIB, designs[f"{operand}_sram"])
        macros = _sram_table(word_bits, node, config.sram_device, leak)[size_at, lanes_at]
        out[:, array.IFMAP_READ_J + 2 * i] = macros[:, 0]
        out[:, array.IFMAP_WRITE_J + 2 * i] = macros[:, 1]
        out[:, array.LEAKAGE_W] += macros[:, 2]
        areas[:, 1] += macros[:, 3]
    # Per cycle a PE reads its held operand, and reads and writes the moving operand and the partial sum.
    moving = (config.bits + config.psum_bits) * (register.read_pj + register.write_pj)
    out[:, array.PE_CYCLE_J] = (config.bits * register.read_pj + moving) * 1e-12
    out[:, array.MAC_J] = mac.energy_pj * 1e-12
    bit_mm = wires.wire(node).pj_per_bit_mm * 1e-12
    pitch = wires.side_mm(pe_area)
    out[:, array.WIRE_ROW_J] = bit_mm * pitch * parts[:, array.COLS]  # along a row of PEs: one column after the other
    out[:, array.WIRE_COLUMN_J] = bit_mm * pitch * parts[:, array.ROWS]
    out[:, array.DRAM_BIT_J :] = _memory_table(config)[designs["memory"]]
    return out, areas


def _metrics(
    totals: npt.NDArray[np.float64],
    areas: npt.NDArray[np.float64],
    parts: npt.NDArray[np.int64],
    config: SystolicConfig,
) -> dict[str, npt.NDArray[Any]]:
    at = {name: totals[:, i] for i, name in enumerate(array.TOTALS)}
    out: dict[str, npt.NDArray[Any]] = {"latency": at["latency"], "cycles": at["cycles"].astype(np.int64)}
    out["throughput"] = config.batch / at["latency"]
    whole = np.zeros(len(totals))
    for part in _ENERGIES:  # summed in a fixed order, so that the parts add up to the total bit for bit
        out[f"energy_{part}"] = at[f"energy_{part}"] / config.batch
        whole = whole + out[f"energy_{part}"]
    out["energy"] = whole
    out["power"] = whole * config.batch / at["latency"]
    out["peak_power"] = at["peak_power"]
    out["area_pe"], out["area_sram"] = areas[:, 0].copy(), areas[:, 1].copy()
    out["area"] = areas[:, 0] + areas[:, 1]
    out["macs"] = at["macs"].astype(np.int64)
    pes = parts[:, array.ROWS] * parts[:, array.COLS]
    out["utilisation"] = at["macs"] / (pes * (config.clock_mhz * 1e6) * at["latency"])
    out["layer_utilisation"] = at["layer_utilisation"].copy()
    out["dram_bytes"] = at["dram_bits"] / 8
    out["sram_bytes"] = at["sram_bits"] / 8
    out["arithmetic_intensity"] = at["macs"] / out["dram_bytes"]
    out["tops_per_watt"] = 2e-12 * at["macs"] / (whole * config.batch)
    out["tops_per_mm2"] = 2e-12 * at["macs"] / at["latency"] / out["area"]
    out["compute_bound"] = at["compute_bound"].copy()
    out["memory_bound"] = 1.0 - at["compute_bound"]
    return out
