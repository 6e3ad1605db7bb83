"""Mapping a layer or a network onto an accelerator: the search's Python side.

``heuristic`` walks a fixed sequence of candidates and stops when ``budget`` of them have been looked at, most by a fast
estimate, the promising ones by the evaluation itself, whose costs alone are reported: a larger budget evaluates all
that a smaller one did, so its hull is never worse. ``optimal`` sees the whole space (see `mapper_optimal`). Both are
deterministic: same arguments, same mappings, bit for bit.

The space: even mappings. First each axis of each fan-out takes spatial factors: divisors of what is left of a
dimension, and at most one of N G K C P Q may take the factor that fills the room left by the others,
ceil(left / ceil(left / room)), though it does not divide. What is left of each dimension is then split over the
temporal blocks by divisors. Orders of a block: the eight of `mapper.ORDERS`, behind the hardware's fixed ones.
"""

from __future__ import annotations

from collections.abc import Mapping as Dictionary
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from archgym.errors import UnknownNameError, UsageError

from . import mapper, mapper_climb, mapper_optimal, mapper_trial
from .hardware import HardwareArrays
from .hulls import sweep
from .levels import FREE, WHOLE
from .mapper_trial import CODE, HULL
from .mapping import Mapping
from .nest import convention, marks_size

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

MODES: Final = ("heuristic", "optimal")
DEFAULT_BUDGET: Final = 5000
_SPATIAL_ROOM: Final = 20000
_RULES: Final = {
    "estimated": mapper_climb.ESTIMATED,
    "seen": mapper_trial.SEEN,
    "capacity": mapper_optimal.CAPACITY_RULE,
    "tiling_bound": mapper_optimal.TILING_RULE,
    "order_bound": mapper_optimal.ORDER_RULE,
    "space": mapper_optimal.SPACE,
}
PLACES: Final = ("W", "I", "O", "shared", "X", "Y")


class Violation(NamedTuple):
    """What fits least badly of the smallest tiles: level, "W" "I" "O" "shared" (bits) or "X" "Y" (children), excess.

    ``level`` -1: no factors obey the constraints; ``place`` is then "factors" and the excess 1.
    """

    level: int
    place: str
    excess: int


@dataclass(frozen=True, slots=True)
class LayerMappings:
    """The best mappings found for a layer: vertices of the lower hull of (energy, cycles), fewest cycles first.

    Attributes:
        energy: (m,) pJ. cycles: (m,). m = 0 where nothing fits.
        codes: (m, L, 35) int64: per level bounds of the temporal, X and Y loops of each dimension, the dimensions
            from inner to outer, and 1 for each of W, I, O that is kept.
        evaluated: mappings evaluated exactly.
        pruned: by rule, how many candidates went no further: "estimated" were estimated or bounded, "seen" came up
            again; in the optimal mode "capacity", "tiling_bound" and "order_bound" (see `mapper_optimal`), of a
            "space" of so many mappings.
        complete: the whole space has been seen or safely left out.
        violation: what did not fit if nothing does, else None.
        level_names: for the mappings.
    """

    energy: Floats
    cycles: Ints
    codes: Ints
    evaluated: int
    pruned: Dictionary[str, int]
    complete: bool
    violation: Violation | None
    level_names: tuple[str, ...] | None = None

    def mapping(self, index: int) -> Mapping:
        """Vertex ``index`` as a mapping."""
        return Mapping.from_arrays(*decode(self.codes[index]), self.level_names)

    @property
    def mappings(self) -> tuple[Mapping, ...]:
        """All vertices as mappings."""
        return tuple(self.mapping(index) for index in range(len(self.codes)))

    def best(self, weights: tuple[float, float] = (1.0, 1.0)) -> int:
        """The vertex of least energy^a cycles^b, (a, b) = weights; UsageError if there is none."""
        if not len(self.energy):
            raise UsageError(f"mapping: expected one that fits, got none: {self.violation}")
        return int(np.argmin(self.energy ** weights[0] * self.cycles.astype(np.float64) ** weights[1]))


@dataclass(frozen=True, slots=True)
class NetworkMapping:
    """One mapping for each layer of a network, together the best for E^a D^b over all that was evaluated.

    Attributes:
        energy: pJ over all layers and repeats; infinite if a layer has no mapping.
        cycles: likewise; 0 if a layer has no mapping.
        choice: per layer, the vertex taken; empty if a layer has no mapping.
        layers: all vertices of each layer.
    """

    energy: float
    cycles: int
    choice: tuple[int, ...]
    layers: tuple[LayerMappings, ...]

    @property
    def mappings(self) -> tuple[Mapping, ...]:
        """The mapping taken for each layer."""
        return tuple(layer.mapping(index) for layer, index in zip(self.layers, self.choice, strict=True))


def decode(code: Ints) -> tuple[Ints, Ints]:
    """Loops (n, 4) and tiles (L, 3) of a code (L, 35), see `LayerMappings`; loops of bound 1 are left out."""
    loops: list[tuple[int, int, int, int]] = []
    tiles = np.full((len(code), 3), -1, np.int64)
    for level in range(len(code) - 1, -1, -1):
        row = code[level].tolist()
        tiles[level, [v for v in range(3) if row[32 + v]]] = len(loops)
        loops += [(d, row[d], 0, level) for d in reversed(row[24:32]) if row[d] > 1]
        loops += [(d, row[at + d], at // 8, level) for at in (8, 16) for d in range(8) if row[at + d] > 1]
    return np.array(loops, np.int64).reshape(-1, 4), tiles


def map_layer(
    row: Ints,
    arrays: HardwareArrays,
    *,
    budget: int = DEFAULT_BUDGET,
    mode: str = "heuristic",
    counting: str = "exact",
    level_names: Sequence[str] | None = None,
) -> LayerMappings:
    """`map_layers` of one layer (16,)."""
    rows = np.asarray(row, np.int64)[None]
    return map_layers(rows, arrays, budget=budget, mode=mode, counting=counting, level_names=level_names)[0]


def map_layers(
    rows: Ints,
    arrays: HardwareArrays,
    *,
    budget: int = DEFAULT_BUDGET,
    mode: str = "heuristic",
    counting: str = "exact",
    level_names: Sequence[str] | None = None,
) -> tuple[LayerMappings, ...]:
    """The best mappings of each layer on its own.

    Args:
        rows: (n, 16) int64, see `shapes.layer_row`.
        arrays: of the hardware. A mapping that is given in part comes through its temporal_max, spatial_max,
            spatial_min (met as far as the dimension reaches) and order_fixed.
        budget: heuristic: mappings looked at for a layer, estimated or evaluated (a climb or a ranking that has
            begun is finished); optimal: the largest space, in mappings, that is searched.
        mode: one of MODES.
        counting: one of `nest.CONVENTIONS`; "timeloop" also takes its latency (no first fill and last drain).
        level_names: for the mappings; else L0, L1, ...

    Raises:
        UnknownNameError: no such mode or counting convention.
        UsageError: the budget is below 1, or (optimal) the space is larger than it.
    """
    if mode not in MODES:
        raise UnknownNameError("mapper mode", mode, MODES)
    if budget < 1:
        raise UsageError(f"budget: expected at least 1 mapping, got {budget}")
    number, policy = convention(counting)
    rows = np.ascontiguousarray(rows, np.int64)
    n, levels = len(rows), len(arrays.hw_i)
    temporal_max, spatial_max = effective_limits(arrays)
    sizes, energy, cycles = np.zeros(n, np.int64), np.zeros((n, HULL + 1)), np.zeros((n, HULL + 1), np.int64)
    codes = np.zeros((n, HULL + 1, levels * CODE), np.int64)
    stats, violations = np.zeros((n, mapper_trial.N_STAT), np.int64), np.full((n, 3), -1, np.int64)
    first_budget = budget if mode == "heuristic" else DEFAULT_BUDGET
    limits = (temporal_max.ravel(), spatial_max.ravel(), arrays.spatial_min.ravel(), arrays.order_fixed)
    for i, row in enumerate(rows):
        sizes[i] = mapper.search_layer(
            row, arrays.hw_i, arrays.hw_f, arrays.mac, arrays.bits, *limits, first_budget, number, policy,
            counting == "timeloop", marks_size(row), energy[i], cycles[i], codes[i], stats[i], violations[i],
        )  # fmt: skip
        if mode == "optimal":
            sizes[i] = _optimal(row, arrays, limits, budget, (number, policy, counting), energy[i], cycles[i],
                                codes[i], int(sizes[i]), stats[i])  # fmt: skip
    names = None if level_names is None else tuple(level_names)
    return tuple(
        LayerMappings(
            energy[i, :m],
            cycles[i, :m],
            codes[i, :m].reshape(m, levels, CODE),
            int(stats[i, mapper_trial.EVALUATED]),
            {name: int(stats[i, column]) for name, column in _RULES.items()},
            bool(stats[i, mapper_trial.COMPLETE]),
            None if m else _violation(violations[i].tolist()),
            names,
        )
        for i, m in enumerate(sizes.tolist())
    )


def _optimal(row: Ints, arrays: HardwareArrays, limits: tuple[Ints, Ints, Ints, Ints], most: int,
             counting: tuple[int, int, str], energy: Floats, cycles: Ints, codes: Ints, seeds: int,
             stat: Ints) -> int:  # fmt: skip
    """Grow the heuristic's hull to that of the whole space; its vertices."""
    number, policy, name = counting
    hull_id, slot_id = np.zeros(HULL + 1, np.int64), np.zeros(HULL + 2, np.int64)
    slots = np.zeros((HULL + 2, codes.shape[1]), np.int64)
    hull_id[:seeds] = slot_id[:seeds] = -1 - np.arange(seeds)
    slots[:seeds] = codes[:seeds]
    m = mapper_optimal.map_optimal(
        row, arrays.hw_i, arrays.hw_f, arrays.mac, arrays.bits, *limits, most, number, policy, name == "timeloop",
        marks_size(row), _SPATIAL_ROOM, seeds, energy, cycles, hull_id, slot_id, slots, stat,
    )  # fmt: skip
    if m < 0:
        raise UsageError(
            f"budget: expected a space of at most {most} mappings for the optimal mode, got "
            f"{stat[mapper_optimal.SPACE] or 'one with too many spatial choices'}; raise it or use the heuristic"
        )
    for k in range(m):
        codes[k] = slots[int(np.flatnonzero(slot_id == hull_id[k])[0])]
    return m


def _violation(found: list[int]) -> Violation:
    level, place, excess = found
    return Violation(-1, "factors", 1) if level < 0 else Violation(level, PLACES[place], excess)


def map_network(
    rows: Ints,
    repeats: Ints,
    arrays: HardwareArrays,
    weights: tuple[float, float] = (1.0, 1.0),
    *,
    budget: int = DEFAULT_BUDGET,
    mode: str = "heuristic",
    counting: str = "exact",
    level_names: Sequence[str] | None = None,
) -> NetworkMapping:
    """The network of least E^a D^b, exact over all mappings evaluated for its layers (see `hulls`).

    Args:
        rows, repeats: (n, 16) and (n,), see `shapes.unique_shapes`.
        weights: (a, b), see `hulls.OBJECTIVES`.
        Others: see `map_layers`; the budget is for each row.
    """
    layers = map_layers(rows, arrays, budget=budget, mode=mode, counting=counting, level_names=level_names)
    n = len(layers)
    sizes = np.array([len(layer.energy) for layer in layers], np.int64)
    if n == 0 or not sizes.all():
        return NetworkMapping(np.inf, 0, (), layers)
    energy, cycles = np.zeros((n, sizes.max())), np.zeros((n, sizes.max()), np.int64)
    for i, layer in enumerate(layers):
        energy[i, : sizes[i]], cycles[i, : sizes[i]] = layer.energy, layer.cycles
    choice, total, delay = np.zeros((1, n), np.int64), np.zeros(1), np.zeros(1, np.int64)
    exponents = np.array([weights], np.float64)
    sweep(energy, cycles, sizes, np.ascontiguousarray(repeats, np.int64), exponents, choice, total, delay)
    return NetworkMapping(float(total[0]), int(delay[0]), tuple(choice[0].tolist()), layers)


def effective_limits(arrays: HardwareArrays) -> tuple[Ints, Ints]:
    """temporal_max (L, 8) and spatial_max (L, 2, 8) where "all that is left" has become: nothing further out."""
    temporal, spatial = arrays.temporal_max.copy(), arrays.spatial_max.copy()
    for level, dim in np.argwhere(arrays.temporal_max == WHOLE):
        temporal[level, dim] = FREE
        temporal[level + 1 :, dim] = 1
        spatial[level + 1 :, :, dim] = 1
    for level, axis, dim in np.argwhere(arrays.spatial_max == WHOLE):
        spatial[level, axis, dim] = FREE
        temporal[level:, dim] = 1
        spatial[level + 1 :, :, dim] = 1
    return temporal, spatial
