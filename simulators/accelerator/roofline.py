"""The roofline of an accelerator: what no mapping can beat, in some 0.15 ms instead of ten.

A layer takes at least the time of its multiply-accumulates on all multipliers and the time of its compulsory traffic
at the DRAM (S. Williams, A. Waterman, D. Patterson, "Roofline", CACM 52(4), 2009). Its energy is at least that of the
multipliers, of one read of each operand and one update of a partial sum beside them for each multiply-accumulate, of
the compulsory traffic, and of leakage meanwhile. Area is that of the mapped simulator. Hardware, knobs, prices and
units are those of `.simulator`, of which this is the lower fidelity.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from archgym.errors import UsageError
from archgym.metrics import Metric
from archgym.simulator import Seeds, Simulator
from archgym.space import Columns
from archgym.workload import Network, Workload

from . import nest, totals
from .hardware import HardwareArrays
from .knobs import KnobSpace, Surroundings, design_of, hardware, surroundings
from .shapes import unique_shapes


@dataclass(frozen=True)
class RooflineConfig(Surroundings):
    """What is fixed while the design is searched.

    Attributes:
        batch: inferences per pass; latency is of the whole batch, energy of one inference.
        Others: see `Surroundings`.
    """

    batch: int = 1

    def __post_init__(self) -> None:
        if self.batch < 1:
            raise UsageError("simulator roofline: batch must be at least 1")
        surroundings(self)


class Roofline(KnobSpace, Simulator):
    """Bounds for the row-stationary array of `Accelerator`: same knobs, no mapper (see the module's text)."""

    Config: ClassVar[type[RooflineConfig]] = RooflineConfig
    accepts: ClassVar[tuple[str, ...]] = ("network",)
    version: ClassVar[str] = "1"
    cost_seconds: ClassVar[float] = 2e-4
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric("latency", "s", "least time of one pass over the workload, whole batch", additive=True),
        Metric("energy", "J", "least energy of one inference", additive=True),
        Metric("power", "W", "energy over latency"),
        Metric("area", "mm2", "multipliers and memories on the chip"),
    )
    config: RooflineConfig

    def _simulate(self, designs: Columns, workload: Workload, seeds: Seeds | None) -> Columns:
        assert isinstance(workload, Network)
        totals.check_widths(workload, self.config.bits)
        counts = _counts(workload.with_batch(self.config.batch))
        n = len(designs["pes"])
        rows = [self._bounds(hardware(design_of(designs, i), self._around).arrays(), *counts) for i in range(n)]
        return {m.name: np.array([row[m.name] for row in rows]) for m in self.metrics}

    def _bounds(self, arrays: HardwareArrays, macs: Any, words: Any) -> Mapping[str, float]:
        """Metrics from multiply-accumulates (n,) and distinct words (n, 3) of W, I, O of n layers."""
        pes = (arrays.hw_i[:, nest.FANOUT] * arrays.hw_i[:, nest.FANOUT + 1]).prod()
        spads, dram = arrays.hw_f[0], arrays.hw_f[-1]
        bits = words * arrays.bits
        cycles = np.maximum(macs / pes, bits.sum(axis=1) / dram[6])
        latency = float(cycles.sum() / arrays.mac[nest.CLOCK_HZ])
        each = arrays.mac[nest.MAC_PJ] + spads[0] + spads[1] + spads[2] + spads[5]
        moved = words[:, 0] * dram[0] + words[:, 1] * dram[1] + words[:, 2] * dram[5]
        leakage = float(arrays.hw_f[:, nest.LEAKAGE_W].sum() + arrays.mac[nest.MAC_LEAKAGE_W])
        energy = (float((macs * each + moved).sum()) * 1e-12 + leakage * latency) / self.config.batch
        area = float(arrays.hw_f[:-1, nest.AREA].sum() + arrays.mac[nest.MAC_AREA])
        power = energy * self.config.batch / latency
        return {"latency": latency, "energy": energy, "power": power, "area": area}


def _counts(network: Network) -> tuple[Any, Any]:
    """Multiply-accumulates (n,) and distinct words (n, 3) of W, I, O of the layers, repeats included."""
    shapes = unique_shapes(network)
    n, g, k, c, p, q, r, s = shapes.rows[:, :8].T.astype(np.float64)
    height, width = shapes.rows[:, 14], shapes.rows[:, 15]
    macs = shapes.rows[:, :8].prod(axis=1).astype(np.float64)
    words = np.stack([g * k * c * r * s, n * g * c * height * width, n * g * k * p * q], axis=1)
    return macs * shapes.repeats, words * shapes.repeats[:, None]
