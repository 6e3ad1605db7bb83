"""Mappings for people: the loop nest with the memory levels as headers."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from .shapes import DILATION_V, DIMS, HEIGHT, PAD_V, STRIDE_V, TENSORS

if TYPE_CHECKING:
    from .mapping import Mapping

_OWN = {"W": "GKCRS", "O": "NGKPQ"}  # tensors whose tile is the product of dimensions


def printout(mapping: Mapping, layer_row: npt.NDArray[np.int64] | None = None) -> str:
    """The loop nest, outer loops first, one indented line a loop.

    ``for k in 0..8`` runs from 0 to 7 in time, ``parallel-for c in 0..4 (X)`` on four neighbours along X; loops of
    one iteration are left out. Above its first loop stands each level: ``GLB: W 48, I 36``, the tensors it holds
    and, given a layer (`shapes.layer_row`), the words of the largest tile (of I those the layer touches). Levels
    without boundary in common appear in parts, in parentheses: ``(RF: W 6)`` where the tile of W begins. Last
    comes ``mac``, given a layer with the MACs per run of the nest (a padded nest has fewer than iterations).
    """
    kept = [{v: start for v, start in zip(TENSORS, row, strict=True) if start >= 0} for row in mapping.tiles]
    lines = []
    depth = 0
    for at in range(len(mapping.loops) + 1):
        for name, starts in zip(reversed(mapping.level_names), reversed(kept), strict=True):
            here = [v for v, start in starts.items() if start == at]
            if here:
                held = f"{name}: " + ", ".join(_held(mapping, layer_row, v, at) for v in here)
                lines.append("  " * depth + (held if len(here) == len(starts) else f"({held})"))
        if at < len(mapping.loops) and mapping.loops[at].bound > 1:
            loop = mapping.loops[at]
            head = f"for {loop.dim.lower()} in 0..{loop.bound}"
            lines.append("  " * depth + (head if loop.kind == "temporal" else f"parallel-{head} ({loop.kind})"))
            depth += 1
    lines.append("  " * depth + "mac" + ("" if layer_row is None else _macs(mapping, layer_row)))
    empty = [name for name, starts in zip(mapping.level_names, kept, strict=True) if not starts]
    return "\n".join([*lines, *(f"{name} holds nothing" for name in reversed(empty))])


def _macs(mapping: Mapping, layer_row: npt.NDArray[np.int64]) -> str:
    macs, iterations = prod(layer_row[: len(DIMS)].tolist()), prod(loop.bound for loop in mapping.loops)
    return f" ({macs})" if macs == iterations else f" ({macs} of {iterations} iterations)"


def _held(mapping: Mapping, layer_row: npt.NDArray[np.int64] | None, v: str, start: int) -> str:
    if layer_row is None:
        return v
    row = layer_row.tolist()
    size = dict(zip(DIMS, row, strict=False))
    span = {dim: prod(loop.bound for loop in mapping.loops[start:] if loop.dim == dim) for dim in DIMS}
    if v != "I":
        return f"{v} {prod(min(span[dim], size[dim]) for dim in _OWN[v])}"
    lines = [
        _lines(
            size[out],
            size[tap],
            span[out],
            span[tap],
            *(row[at + axis] for at in (STRIDE_V, DILATION_V, PAD_V, HEIGHT)),
        )
        for axis, (out, tap) in enumerate((("P", "R"), ("Q", "S")))
    ]
    return f"{v} {prod(min(span[dim], size[dim]) for dim in 'NGC') * prod(lines)}"


def _lines(
    outputs: int, taps: int, outputs_held: int, taps_held: int, stride: int, dilation: int, pad: int, extent: int
) -> int:
    """Rows (columns) of the input that the largest tile over so many outputs and taps touches."""
    most = 0
    for first_output in range(0, outputs, outputs_held):
        for first_tap in range(0, taps, taps_held):
            touched = {
                output * stride + tap * dilation - pad
                for output in range(first_output, min(outputs, first_output + outputs_held))
                for tap in range(first_tap, min(taps, first_tap + taps_held))
            }
            most = max(most, sum(0 <= line < extent for line in touched))
    return most
