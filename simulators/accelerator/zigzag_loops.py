"""ZigZag mappings as the arrays that the nest analysis reads: one list of loops, and where each tile starts in it.

ZigZag's memories belong to tensors; a nest has levels that all tensors share or bypass. Memories that serve the same
axes and do not hold the same tensor share a level, so that register files of W, I and O are one. Spatial loops have no
place among ZigZag's temporal loops, but need one here: outside of the tiles below their fan-out, inside of those
above. A tile may start anywhere among loops that are irrelevant to its tensor, which often makes room for that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from archgym.errors import UsageError

from .zigzag_description import FREE, Memory, ZigzagHardware, ZigzagLayer, ZigzagMapping

Ints = npt.NDArray[np.int64]


def common_levels(hardware: ZigzagHardware) -> list[tuple[Memory, ...]]:
    """The memories of each level, innermost first.

    Raises:
        UsageError: memories serve axes that are not nested, or a tensor's outer memory serves fewer than its inner one.
    """
    groups = sorted({memory.axes for memory in hardware.memories}, key=len)
    places: dict[str, tuple[int, int]] = {}
    for memory in hardware.memories:
        group = groups.index(memory.axes)
        lower = [places[m.name] for m in hardware.memories if m.name in places and set(m.tensors) & set(memory.tensors)]
        nested = all(axes <= memory.axes or memory.axes <= axes for axes in groups)
        if not nested or max(lower, default=(0, 0))[0] > group:
            raise UsageError(
                f"{hardware.name}, memory {memory.name}: expected axes nested from inner to outer memories, got "
                f"{sorted(memory.axes)}; such an array has no common levels"
            )
        places[memory.name] = (group, 1 + max((depth for g, depth in lower if g == group), default=-1))
    levels = sorted(set(places.values()))
    return [tuple(m for m in hardware.memories if places[m.name] == level) for level in levels]


def to_loops(layer: ZigzagLayer, hardware: ZigzagHardware, mapping: ZigzagMapping) -> tuple[Ints, Ints, Ints]:
    """The arrays of a nest.

    Returns:
        layer (16,): sizes N, G, K, C, P, Q, R, S, then stride and dilation per axis, no padding, input rows, columns.
        loops (n, 4), outermost first: dimension, bound, kind (0 temporal, 1 and 2 spatial on axis 0 and 1), level (of
        a spatial loop: the one above the fan-out).
        tiles (levels, 3): number of loops outside of the tile of W, I, O at a level of `common_levels`; -1 = bypassed.

    Raises:
        UsageError: no common levels, a spatial loop on an axis that nothing serves, or no place for it because a tile
            below the fan-out holds loops that one above does not.
    """
    mapping.check(layer, hardware)
    levels = common_levels(hardware)
    fan_outs = _fan_outs(hardware, levels, mapping)
    held = {
        (level, tensor): mapping.cuts[tensor][hardware.levels(tensor).index(memory)]
        for level, memories in enumerate(levels)
        for memory in memories
        for tensor in memory.tensors
    }
    places = _places(hardware, mapping, fan_outs, held)
    for (level, tensor), cut in held.items():
        innermost = max((place for fan_out, place in places.items() if fan_out <= level), default=0)
        outermost = min((place for fan_out, place in places.items() if fan_out > level), default=len(mapping.temporal))
        held[level, tensor] = min(max(cut, innermost), outermost)
    loops: list[tuple[int, int, int, int]] = []  # inner to outer
    for position in range(len(mapping.temporal) + 1):
        for fan_out, place in places.items():
            if place == position:
                loops += [(dim, bound, 1 + axis, fan_out) for dim, bound, axis in fan_outs[fan_out]]
        if position < len(mapping.temporal):
            loops.append((*mapping.temporal[position], 0, _block(position, places, held, len(levels))))
    tiles = np.full((len(levels), 3), -1, np.int64)
    for (level, tensor), cut in held.items():
        tiles[level, tensor] = len(loops) - cut - sum(len(fan_out) for fan_out in fan_outs[: level + 1])
    extent = [
        (layer.sizes[out] - 1) * layer.stride + (layer.sizes[tap] - 1) * layer.dilation + 1
        for out, tap in ((4, 6), (5, 7))
    ]
    row = [*layer.sizes, layer.stride, layer.stride, layer.dilation, layer.dilation, 0, 0, *extent]
    return np.array(row, np.int64), np.array(loops[::-1], np.int64).reshape(-1, 4), tiles


def _fan_outs(
    hardware: ZigzagHardware, levels: Sequence[Sequence[Memory]], mapping: ZigzagMapping
) -> list[list[tuple[int, int, int]]]:
    """Spatial loops (dimension, bound, axis) right below each level."""
    fan_outs: list[list[tuple[int, int, int]]] = [[] for _ in levels]
    for axis, loops in enumerate(mapping.spatial):
        below = next((level for level, memories in enumerate(levels) if axis in memories[0].axes), None)
        if below is not None:
            fan_outs[below] += [(dim, bound, axis) for dim, bound in loops]
        elif loops:
            raise UsageError(f"{hardware.name}: no memory serves axis {axis}, on which the mapping has spatial loops")
    return fan_outs


def _places(
    hardware: ZigzagHardware,
    mapping: ZigzagMapping,
    fan_outs: Sequence[Sequence[tuple[int, int, int]]],
    held: Mapping[tuple[int, int], int],
) -> dict[int, int]:
    """Fan-outs in use -> how many temporal loops lie inside of their spatial ones."""
    places: dict[int, int] = {}
    least = 0
    for fan_out, loops in enumerate(fan_outs):
        if not loops:
            continue
        inner = [_slide(mapping, tensor, cut, -1) for (level, tensor), cut in held.items() if level < fan_out]
        outer = [_slide(mapping, tensor, cut, 1) for (level, tensor), cut in held.items() if level >= fan_out]
        least = max([least, *inner])
        if least > min(outer):
            raise UsageError(
                f"{hardware.name}: the spatial loops below level {fan_out} have no place: a tile below them spans "
                f"{least} temporal loops, one above only {min(outer)}"
            )
        places[fan_out] = least
    return places


def _slide(mapping: ZigzagMapping, tensor: int, cut: int, step: int) -> int:
    """The farthest cut in a direction that changes no tile: past loops irrelevant to the tensor."""
    temporal = mapping.temporal
    while 0 <= (crossed := cut if step > 0 else cut - 1) < len(temporal) and temporal[crossed][0] in FREE[tensor]:
        cut += step
    return cut


def _block(position: int, places: Mapping[int, int], held: Mapping[tuple[int, int], int], levels: int) -> int:
    """The level in whose block a temporal loop stands: the innermost that has it in a tile, on its side of fan-outs."""
    lowest = max((fan_out for fan_out, place in places.items() if place <= position), default=0)
    highest = min((fan_out - 1 for fan_out, place in places.items() if place > position), default=levels - 1)
    spanned = (level for level in range(lowest, highest) if any(held.get((level, v), 0) > position for v in range(3)))
    return next(spanned, highest)
