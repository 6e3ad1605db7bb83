"""A systolic array with three SRAMs and a DRAM, running whole neural networks.

The default model counts what an array with double-buffered SRAMs has to do, in closed form; more SRAM or
bandwidth never costs traffic or time (more PEs may: folds get coarser). ``Config(compat="scalesim-3.0.0")``
reproduces SCALE-Sim 3.0.0 (CALC mode) with its quirks instead. Differences of the default model from the
tool, complete:

1.  Output sizes are floor'ed; a window that hangs over the edge does not exist.
2.  Batch, groups, padding, dilation and asymmetric strides are part of a layer. The batch is folded
    into M, groups run one after the other in one stream of folds, padding costs no DRAM traffic.
3.  Cycles are counted (F L), not indexed (F L - 1); with ``fold_overlap`` (default) the weights of the
    next fold load and the outputs of the last drain while the current fold streams. L is the tool's:
    for os it ends with the last MAC, so that without overlap the R cycles of draining are not counted.
4.  The word width is ``bits``, not one byte. Partial sums, and the ofmap SRAM's words, have ``psum_bits``.
5.  DRAM reads follow the reuse that half of an SRAM (double buffering) can hold; they never rise with
    capacity. The tool empties its whole buffer whenever it is full.
6.  Partial sums that do not fit are read back; the tool writes them and never reads them.
7.  No extra ofmap writes per os fold; no over-counted drains; utilisation of the fold as it is.
8.  A layer takes the longer of computing and of moving its bytes at the DRAM's bandwidth; the tool's
    CALC mode assumes that memory never limits.
9.  ``keep_on_chip`` (default off) lets an output that fits stay for the next layer. Layers are chained
    by size; a residual input that has to survive longer is not accounted for.

Simplifications of the default model. Optimistic: one pass over the ifmap touches each kept word once also
where ws visits the taps of a window in different row folds; is reads the ifmap once at any SRAM size; SRAMs
keep up with the array at any clock and serve reads, writes and fills in one cycle; DRAM delivers its peak
bandwidth, and no buffer needs room to hide its latency; its controller and PHY take no area. Pessimistic:
what the widest column slice cannot keep is fetched again for every slice; M, and so a batch, is never split
to make partial sums fit.

Energy, area and power are ours in both modes, from ``archgym.technology``; control logic, clock trees
and the chip's periphery are not modelled. The registers of every PE are clocked in every compute cycle,
used or not; a stalled array is gated.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from archgym.errors import UsageError
from archgym.metrics import Constraint, Metric
from archgym.simulator import Reproduction, Seeds, Simulator
from archgym.space import Codes, Columns, DesignSpace, Level
from archgym.workload import Layer, Network, Workload

from . import array, scalesim
from .hardware import SPACE, SystolicConfig, design_constants, integer_designs, tile_slacks
from .layers import layer_table, tool_counts, tool_designs, tool_row

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
        """A 32 x 32 output-stationary array with 640 KiB and one DDR4 channel: a middling edge accelerator."""
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
        parts = integer_designs(designs)
        constants, areas = design_constants(designs, parts, self.config)
        c = self.config
        clock_hz = c.clock_mhz * 1e6
        reason = np.zeros(len(parts), np.int64)
        if c.compat:
            counts, reason = tool_counts(parts, layers)
            totals = array.totals_of(parts, constants, table, counts, c.psum_bits, clock_hz, False)
        else:
            totals = array.simulate(parts, constants, table, c.psum_bits, clock_hz, c.fold_overlap, c.keep_on_chip)
        with np.errstate(divide="ignore", invalid="ignore"):  # where the tool fails there is nothing to divide by
            columns = _metrics(totals, areas, parts, c)
        slacks = tile_slacks(parts, c)
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
        parts = integer_designs(designs)
        names = [layer.name for layer in workload.layers]
        repeats = [layer.repeats for layer in workload.layers]
        if self.config.compat:
            repeats = [layer.repeats * layer.G for layer in workload.layers]  # groups are separate layers
            rows = np.array([tool_row(layer) for layer in workload.layers], np.int64)
            report = scalesim.report(rows, np.repeat(tool_designs(parts), len(rows), axis=0))
            return {"layer": names, "repeats": repeats, **{k: v.tolist() for k, v in report.items()}}
        table, _ = self._layers(workload, merge=False)
        constants, _ = design_constants(designs, parts, self.config)
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

    def reproduce(self, rows: Sequence[Mapping[str, str]], traces: Path | None = None) -> Reproduction:
        """Layers measured with SCALE-Sim 3.0.0; see ``.validation`` for the columns."""
        if traces is not None:
            raise UsageError(f"traces: expected no folder, a table of layers names no traces, got '{traces}'")
        from .validation import reproduce

        return reproduce(rows)

    def _layers(self, network: Network, *, merge: bool = True) -> tuple[npt.NDArray[np.int64], tuple[Layer, ...]]:
        merge = merge and not self.config.keep_on_chip
        return layer_table(network, self.config.bits, self.config.batch, bool(self.config.compat), merge)


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
