"""Eyeriss with its published mapping of AlexNet: Chen et al., JSSC 52(1), 2017, tables III to VI.

Nothing is fitted to the measurements; what the chip has and the model lacks stands in each anchor's residual.
"""

from __future__ import annotations

import math
from collections.abc import Mapping as MappingABC
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from archgym.workload import Layer

from .chip_anchor import Anchor, Run, Table, ceil_div, evaluate, value, watts
from .hardware_file import load_hardware
from .levels import FanOut
from .mapping import BYPASS, Loop, Mapping

ALEXNET: Final = {"conv1": (1, 0), "conv2": (2, 2), "conv3": (1, 1), "conv4": (2, 1), "conv5": (2, 1)}
"""Groups and padding of AlexNet's layers (Krizhevsky et al., 2012); table III has padded inputs."""

BATCH: Final = 4


def row_stationary(row: MappingABC[str, str], array: FanOut, batch: int = BATCH) -> tuple[Layer, Mapping]:
    """The layer and the mapping of one row of Eyeriss' table III.

    A processing pass runs q r channels of p t filters for n inputs: in a PE the window of S columns, q channels
    and p filters; over the array R rows of filters, e rows of outputs (a set wider than the array is cut into
    segments, one above the other), r and t sets. Passes over filters share the inputs in the buffer; passes over
    channels accumulate there, so that it holds the sums of m filters (section III of the paper).
    """
    name = row["layer"]
    groups, pad = ALEXNET[name]
    size, taps, out, stride = (int(row[key]) for key in ("H_W", "R_S", "E_F", "U"))
    m, n, e, p, q, r, t = (int(row[key]) for key in "mnepqrt")
    filters, channels = int(row["M"]) // groups, int(row["C"])
    layer = Layer(
        name, N=batch, G=groups, K=filters, C=channels, H=size - 2 * pad, W=size - 2 * pad, R=taps, S=taps,
        stride=(stride, stride), padding=(pad, pad),
    )  # fmt: skip
    width, across = min(e, array.x), t if e * t <= array.x else 1
    loops = [
        *_loops(2, G=groups, N=ceil_div(batch, n), K=ceil_div(filters, m), P=ceil_div(out, e)),
        *_loops(1, C=ceil_div(channels, q * r)),
        *_loops(1, K=ceil_div(m, p * t), N=n, Q=out),
        Loop("P", width, "X", 1),
        Loop("K", across, "X", 1),
        Loop("P", ceil_div(e, width), "Y", 1),
        Loop("R", taps, "Y", 1),
        Loop("K", t // across, "Y", 1),
        Loop("C", r, "Y", 1),
        *_loops(0, C=q, S=taps, K=p),
    ]
    spads = len(loops) - 3
    tiles = ((spads, spads, spads), (BYPASS, 5, 4), (0, 0, 0))  # inputs are renewed with each block of channels
    return layer, Mapping(("spads", "buffer", "dram"), tuple(loops), tiles)


def _loops(level: int, **bounds: int) -> list[Loop]:
    return [Loop(dim, bound, "temporal", level) for dim, bound in bounds.items()]


def eyeriss(mappings: Table, measured: Table, chip: Table) -> list[Anchor]:
    """AlexNet on Eyeriss, and the chip's area and power.

    Args:
        mappings: table III (layer, H_W, R_S, E_F, C, M, U, m, n, e, p, q, r, t).
        measured: table V (layer, processing_latency_ms, active_pes, glb_accesses_mb, power_mw).
        chip: (quantity, value) with core_area.

    The processing latency is that with off-chip traffic fully overlapped: the link is made unlimited.
    """
    hardware = load_hardware("eyeriss")
    outermost = hardware.levels[-1]
    free = replace(outermost.stores[0], read_bandwidth=math.inf)
    hardware = replace(hardware, levels=(*hardware.levels[:-1], replace(outermost, stores=(free,))))
    array = hardware.level("buffer").fanout
    published = {row["layer"]: row for row in measured}
    anchors, runs = [], []
    for row in mappings:
        name = row["layer"]
        run = evaluate(hardware, *row_stationary(row, array))
        runs.append(run)
        told, ms = published[name], 1e3 / (hardware.clock_mhz * 1e6)
        moved = run.moved["buffer"] * hardware.word_bits[1] / 8e6
        anchors += [
            Anchor(
                f"eyeriss {name} processing latency, ms", float(told["processing_latency_ms"]), run.seconds * 1e3,
                "ramp-up of a pass: the exchange of the PEs' tiles, one word a cycle and PE",
                (("compute", run.compute_cycles * ms), ("waiting", (run.cycles - run.compute_cycles) * ms)),
            ),
            Anchor(f"eyeriss {name} active PEs", float(told["active_pes"]), run.active, ""),
            Anchor(f"eyeriss {name} buffer traffic, MB", float(told["glb_accesses_mb"]), moved, _TRAFFIC.get(name, "")),
            Anchor(
                f"eyeriss {name} power, mW", float(told["power_mw"]), watts(run.chip_pj, run.seconds) * 1e3,
                "no gating of zero inputs" if name != "conv1" else "no zeros in these inputs: nothing to gate",
                _milliwatts([run]),
            ),
        ]  # fmt: skip
    seconds = math.fsum(run.seconds for run in runs)
    total = math.fsum(math.fsum(run.chip_pj.values()) for run in runs)
    area = hardware.area_mm2()
    anchors += [
        Anchor(
            "eyeriss power over AlexNet, mW", float(published["total"]["power_mw"]), total * 1e-9 / seconds,
            "clock and control by the paper's share (45 % or more); the chip gates 58 % of inputs, the model none; "
            "multipliers 21 % of ours, under 10 % of the chip's",
            _milliwatts(runs),
        ),
        Anchor(
            "eyeriss core area, mm2", value(chip, "core_area"), math.fsum(area.values()),
            "over the paper's shares of the cells (multipliers 7.4 %, buffer 19 %, spads 48 %) each of our parts alone "
            "gives 3.7 to 4.6 mm2 of cells: the proportions agree, the density (another chip's) is the open factor",
            tuple(area.items()),
        ),
    ]  # fmt: skip
    return anchors


_TRAFFIC: Final = {
    "conv3": "the published tables disagree: q r = 4 (table III) means 64 passes over channels, partial sums alone "
    "cross the buffer 127 times = 65.9 MB, 1.31 of table V; with conv4's q, r, t = 3, 2, 2 the model gives 50.9",
}


def _milliwatts(runs: Sequence[Run]) -> tuple[tuple[str, float], ...]:
    seconds = math.fsum(run.seconds for run in runs)
    return tuple((part, math.fsum(run.chip_pj[part] for run in runs) * 1e-9 / seconds) for part in runs[0].chip_pj)
