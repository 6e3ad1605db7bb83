"""Published chips against the model: the chip's own mapping or workload, evaluated like any other.

`eyeriss` (Chen et al., JSSC 52(1), 2017); `tpu`: TPU v1 (Jouppi et al., ISCA 2017, tables 1 to 3); `simba` (Zimmer et
al., VLSI 2019). Callers pass the published tables as rows of text (csv.DictReader); nothing is fitted to them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping as MappingABC
from collections.abc import Sequence
from typing import Final

from archgym.workload import Layer

from .chip_anchor import Anchor, Table, ceil_div, evaluate, markdown, value, watts
from .chip_eyeriss import eyeriss
from .hardware_file import load_hardware
from .mapping import Mapping
from .mapping_text import Block, even

__all__ = ["ROOFLINE", "Anchor", "eyeriss", "markdown", "roofline_tops", "simba", "tpu", "tpu_layer"]

SIDE: Final = 256  # of the TPU's array
ROOFLINE: Final = ("MLP0", "MLP1", "LSTM0", "CNN0")
"""Applications whose layers follow from table 1; LSTM1 and CNN1 need shapes that are not public."""


def tpu_layer(row: MappingABC[str, str]) -> tuple[Layer, Mapping]:
    """A typical layer of a row of the TPU's table 1, and its mapping.

    Layer shapes are not public. Here all layers of an application are alike and square: the published weights
    over the published layers, sides rounded to whole tiles of the array (the published share of multipliers
    without work is 0 to 1.2 %). Convolutions are 3 x 3 over as many outputs as a weight has uses per sample.
    """
    name, batch, weights = row["name"], int(row["batch"]), 1e6 * float(row["weights_m"])
    convolutions = row["conv_layers"] != ""
    taps = 3 if convolutions else 1
    side = math.sqrt(weights / float(row["conv_layers"] or row["fc_layers"])) / taps
    tiles = max(1, round(side / SIDE))
    out = math.isqrt(int(row["ops_per_weight_byte"]) // batch)
    layer = Layer(name, N=batch, K=tiles * SIDE, C=tiles * SIDE, H=out, W=out, R=taps, S=taps, padding=(taps // 2,) * 2)
    blocks = ceil_div(batch, 2048 // (out * out))  # of samples: half of the accumulators takes 2048 outputs
    samples = ceil_div(batch, blocks)
    return layer, even(
        [
            Block("memory", f"N{blocks} K{tiles} C{tiles}"),
            Block("accumulators", f"R{taps} S{taps}", bypass="WI"),
            Block("fifo", f"N{samples} P{out} Q{out}", x=f"K{SIDE}", y=f"C{SIDE}", bypass="IO"),
            Block("weights", bypass="IO"),
        ]
    )


def tpu(chip: Table, workloads: Sequence[MappingABC[str, str]]) -> list[Anchor]:
    """Throughput of the applications whose layers can be told, and power at CNN0.

    Args:
        chip: (quantity, value) with measured_busy_power, W per die.
        workloads: table 1 (name, fc_layers, conv_layers, weights_m, ops_per_weight_byte, batch, tops_measured).
    """
    hardware = load_hardware("tpu")
    runs = {row["name"]: evaluate(hardware, *tpu_layer(row)) for row in workloads if row["name"] in ROOFLINE}
    anchors = [
        Anchor(
            f"tpu {row['name']} throughput, TOPS", float(row["tops_measured"]),
            2e-12 * runs[row["name"]].macs / runs[row["name"]].seconds,
            f"limit: {runs[row['name']].limit or 'multipliers'}; layers made square; dependences, host not modelled",
        )
        for row in workloads
        if row["name"] in runs
    ]  # fmt: skip
    run = runs["CNN0"]
    parts = run.chip_pj | {"dram": run.dram_pj}
    busy = Anchor(
        "tpu busy power at CNN0, W", value(chip, "measured_busy_power"), watts(parts, run.seconds),
        "40 W is the full load of CNN0 (ISCA 2017, fig. 10), memory included; 32 nm prices for 28 nm; outputs kept at "
        "32 bits; no clock tree, control or host interface",
        tuple((name, pj * 1e-12 / run.seconds) for name, pj in parts.items()),
    )  # fmt: skip
    return [*anchors, busy]


def roofline_tops(row: MappingABC[str, str], bandwidth: float = 34e9, peak: float = 92.0) -> float:
    """The bound of a row of table 1, TOPS: two operations for each use of a weight byte, at most the peak."""
    return min(peak, 2 * bandwidth * float(row["ops_per_weight_byte"]) * 1e-12)


# --- Simba -------------------------------------------------------------------------------------------------------


def simba(chip: Table) -> list[Anchor]:
    """Energy and area per operation of one chiplet, 8-bit operands, 24-bit sums, two operations a MAC.

    A 3 x 3 convolution of 128 to 128 channels, 28 x 28 (ResNet-50's conv3_x), which fills all multipliers; off-chip
    memory is left out, as the test chip has none. Prices are those of the technology data (0.8 V), at the
    template's clock; the published energy is at the chip's most efficient, lower supply.

    Args:
        chip: (chips, efficiency_pj_per_op, area_efficiency_tops_per_mm2, peak_tops).
    """
    told = next(row for row in chip if row["chips"] == "1")
    hardware = load_hardware("simba")
    layer = Layer("conv3_x", K=128, C=128, H=28, W=28, R=3, S=3, padding=(1, 1))
    mapping = even(
        [
            Block("dram"),
            Block("buffer", "P4 Q4", x="K4", y="C4", bypass="W"),
            Block("pe", "K4 C4 R3 S3 P7 Q7", x="K8", y="C8"),
            Block("weights", bypass="IO"),
        ]
    )
    run = evaluate(hardware, layer, mapping)
    operations, area = 2 * run.macs, hardware.area_mm2()
    peak = 2e-6 * hardware.pes * hardware.clock_mhz
    return [
        Anchor(
            "simba energy, pJ/op", float(told["efficiency_pj_per_op"]), math.fsum(run.chip_pj.values()) / operations,
            "published at the most efficient supply, ours at 0.8 V: at equal supply ours is low, for want of clock, "
            "control, routers and registers between stages",
            tuple((name, pj / operations) for name, pj in run.chip_pj.items()),
        ),
        Anchor(
            "simba area per peak throughput, mm2/TOPS", 1 / float(told["area_efficiency_tops_per_mm2"]),
            math.fsum(area.values()) / peak,
            "the parts alone: no control, routers, processor, links or white space",
            tuple((name, mm2 / peak) for name, mm2 in area.items()),
        ),
    ]  # fmt: skip
