"""The workload side: networks as the integer tables that the kernels read."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from archgym.errors import UsageError
from archgym.workload import Layer, Network

from . import array, scalesim
from .hardware import SIDES

_EXACT = 2**53  # integers below are exact in float64, in which networks are summed


@lru_cache(maxsize=64)
def layer_table(
    network: Network, bits: int, batch: int, compat: bool, merge: bool
) -> tuple[npt.NDArray[np.int64], tuple[Layer, ...]]:
    """The table that kernels read, and the layers behind its rows; equal layers merge into one with more repeats."""
    network = network.with_batch(batch)
    _refuse_beyond_exact(network)
    rows: list[list[int]] = []
    layers: list[Layer] = []
    previous: Layer | None = None
    seen: dict[tuple[int, ...], int] = {}
    for layer in network.layers:
        row = _tool_table_row(layer) if compat else _table_row(layer, bits)
        row[array.CHAINED] = int(previous is not None and _feeds(previous, layer))
        previous = layer
        identity = (*row[1 : array.CHAINED], *((tool_row(layer)) if compat else ()))
        if merge and identity in seen:
            rows[seen[identity]][array.REPEATS] += row[array.REPEATS]
            continue
        seen[identity] = len(rows)
        rows.append(row)
        layers.append(layer)
    return np.array(rows, np.int64), tuple(layers)


def _refuse_beyond_exact(network: Network) -> None:
    """Bounds on MACs and on cycles over all designs must stay exact integers; words x bits then fit int64."""
    smallest, skew = min(SIDES), 3 * max(SIDES)
    macs = cycles = 0
    for layer in network.layers:
        macs += layer.macs * layer.repeats
        m, n, k = layer.mnk
        folded = ((m, n, k), (k, n, m), (k, m, n))  # held on rows and columns, streamed: os, ws, is
        most = max(-(-a // smallest) * -(-b // smallest) * (t + skew) for a, b, t in folded)
        cycles += layer.G * most * layer.repeats
    if max(macs, cycles) >= _EXACT:
        raise UsageError(
            f"workload '{network.name}': {macs:.3g} MACs in up to {cycles:.3g} cycles are beyond exact counting (2^53)"
        )


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
    """Distinct input positions that the windows of one axis touch, and the same counted once per window.

    Tap t of window p reads position p stride + t dilation - padding. Positions of one residue modulo the
    stride form, for each tap, a run of ``outputs`` consecutive multiples; runs of one residue are merged.
    """
    runs: dict[int, list[int]] = {}
    for tap in range(taps):
        first, residue = divmod(tap * dilation - padding, stride)
        runs.setdefault(residue, []).append(first)
    distinct = counted = 0
    for residue, starts in runs.items():
        inside = max(0, -(-(extent - residue) // stride))  # multiples 0 .. inside - 1 lie in the input
        reached = 0
        for start in sorted(starts):
            low, high = min(max(start, 0), inside), min(max(start + outputs, 0), inside)
            counted += high - low
            distinct += max(0, high - max(low, reached))
            reached = max(reached, high)
    return distinct, counted


def _feeds(previous: Layer, layer: Layer) -> bool:
    """Whether a layer's input is, by size, exactly the output of the one before it."""
    same_words = previous.ofmap_words == layer.ifmap_words and previous.bits == layer.bits
    return same_words and previous.repeats == layer.repeats


def tool_row(layer: Layer) -> list[int]:
    """A layer as a SCALE-Sim topology row; what the tool cannot express is an error."""
    unequal = layer.stride[0] != layer.stride[1]
    if layer.N > 1 or layer.dilation != (1, 1) or unequal or layer.bits not in (None, 8):
        raise UsageError(
            f"layer '{layer.name}': scalesim-3.0.0 knows no batch, dilation, unequal strides or words but bytes "
            f"(batch {layer.N}, dilation {layer.dilation}, stride {layer.stride}, bits {layer.bits})"
        )
    height, width = layer.H + 2 * layer.padding[0], layer.W + 2 * layer.padding[1]
    return [height, width, layer.R, layer.S, layer.C, layer.K, layer.stride[0]]


def _tool_table_row(layer: Layer) -> list[int]:
    height, width, r, s, c, k, stride = tool_row(layer)
    row = [0] * array.N_LAYER
    row[array.REPEATS], row[array.GROUPS] = layer.repeats * layer.G, 1  # groups are separate layers
    row[array.M] = -(-(height - r + stride) // stride) * -(-(width - s + stride) // stride)  # ceil'd, as the tool
    row[array.K], row[array.N], row[array.WORD_BITS] = c * r * s, k, 8
    return row


def tool_designs(parts: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Designs as the tool takes them: SRAM sizes in KiB instead of bits."""
    out = parts.copy()
    out[:, array.IFMAP_BITS :] //= 1024 * 8
    return out


def tool_counts(
    parts: npt.NDArray[np.int64], layers: tuple[Layer, ...]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The tool's counts in the order of ``array``'s columns (d, l, N_COUNT), and the first reason (d,)."""
    rows = np.array([tool_row(layer) for layer in layers], np.int64)
    tool = scalesim.counts(rows, tool_designs(parts))
    out = np.zeros((*tool.shape[:2], array.N_COUNT), np.int64)
    out[..., array.CYCLES] = tool[..., 0]
    for at, source in (
        (array.SRAM_IFMAP_READ, 1),
        (array.SRAM_FILTER_READ, 2),
        (array.SRAM_OFMAP_WRITE, 3),
        (array.DRAM_IFMAP, 4),
        (array.DRAM_FILTER, 5),
        (array.DRAM_OFMAP, 6),
        (array.SRAM_IFMAP_FILL, 4),
        (array.SRAM_OFMAP_DRAIN, 6),
    ):
        out[..., at] = tool[..., source]
    return out, tool[..., 7].max(axis=1)
