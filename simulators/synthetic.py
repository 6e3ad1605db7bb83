"""Landscapes whose difficulty is known: for tuning and tests, no evidence about any hardware.

All arithmetic is on integers, so results are the same on every machine. ``x`` are level indices, ``t`` a hidden
design drawn from the landscape's seed.

- ridge: ``1 + 100 sum (y_i - y_(i+1))^2 + sum y_i^2`` with ``y = x - t``: moves of one parameter climb the walls of
  a diagonal valley (after Rosenbrock, The Computer Journal 3(3), 1960). The optimum is ``t`` with cost 1.
- trap: parameters in blocks of ``degree``; a block with u of its parameters at ``t`` costs 0 if complete and else
  1 + u, so that every single step towards the optimum costs (Deb & Goldberg, FOGA 2, 1993). Cost 1 + sum; the
  optimum is ``t`` with cost 1. Categorical.
- nk: every parameter adds a number from a random table over itself and its ``degree`` successors, cyclically
  (Kauffman & Weinberger, Journal of Theoretical Biology 141(2), 1989). Categorical; the optimum is enumerated.
- knapsack: ``1 + sum w_i |x_i - t_i|`` under the capacity ``sum a_i x_i <= b``, a third of what ``t`` would need
  beyond the emptiest design; the optimum lies where the capacity ends, and is enumerated.

``weight`` is a second metric, in conflict with ``cost``, for Pareto objectives and limits.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt

from archgym import rng
from archgym.landscape import Landscape
from archgym.metrics import Constraint, Metric
from archgym.simulator import Seeds, Simulator
from archgym.space import Columns, DesignSpace, Level, Parameter
from archgym.workload import Workload

Ints = npt.NDArray[np.int64]

_UNLIMITED = 1 << 40


class _Tables(NamedTuple):
    """What a landscape draws from its seed: (d,) each, and tables (d, levels ** (degree + 1))."""

    target: Ints
    weights: Ints
    sizes: Ints
    capacity: int
    table: Ints


class Synthetic(Simulator):
    """A landscape as a simulator (see the module's text)."""

    accepts: ClassVar[tuple[str, ...]] = ("landscape",)
    version: ClassVar[str] = "1"
    cost_seconds: ClassVar[float] = 1e-6
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric("cost", "", "value of the landscape"),
        Metric("weight", "", "1 + sum of the parameters' weights times their levels"),
    )
    constraints: ClassVar[tuple[Constraint, ...]] = (
        Constraint("capacity", "", "sizes of the levels must fit; only a knapsack is limited"),
    )

    def design_space(self, workload: Workload) -> DesignSpace:
        """``x0``, ``x1``, …; ordered, but for the families trap and nk."""
        assert isinstance(workload, Landscape)
        return _space(workload.parameters, workload.levels, workload.family in ("ridge", "knapsack"))

    def baseline(self, workload: Workload) -> dict[str, Level]:
        """Every parameter at level 0, which every capacity allows."""
        return {p.name: p.levels[0] for p in self.design_space(workload).parameters}

    def _simulate(self, designs: Columns, workload: Workload, seeds: Seeds | None) -> Columns:
        assert isinstance(workload, Landscape)
        x = np.stack([designs[name] for name in self.design_space(workload).names], axis=1).astype(np.int64)
        drawn = _tables(workload)
        used = x @ drawn.sizes
        columns: dict[str, npt.NDArray[Any]] = {
            "cost": _COSTS[workload.family](x, drawn, workload),
            "weight": 1 + x @ drawn.weights,
            "capacity": used - drawn.capacity,
            "capacity.limit": np.full(len(x), drawn.capacity, np.int64),
        }
        return columns


def _ridge(x: Ints, drawn: _Tables, landscape: Landscape) -> Ints:
    y = x - drawn.target
    walls: Ints = (np.diff(y, axis=1) ** 2).sum(axis=1)
    return np.asarray(1 + 100 * walls + (y**2).sum(axis=1), np.int64)


def _trap(x: Ints, drawn: _Tables, landscape: Landscape) -> Ints:
    right = x == drawn.target
    cost = np.ones(len(x), np.int64)
    for start in range(0, landscape.parameters, landscape.degree):
        block = right[:, start : start + landscape.degree]
        cost += np.where(block.all(axis=1), 0, 1 + block.sum(axis=1))
    return cost


def _nk(x: Ints, drawn: _Tables, landscape: Landscape) -> Ints:
    cost = np.ones(len(x), np.int64)
    for i in range(landscape.parameters):
        place = x[:, i]
        for step in range(1, landscape.degree + 1):
            place = place * landscape.levels + x[:, (i + step) % landscape.parameters]
        cost += drawn.table[i, place]
    return cost


def _knapsack(x: Ints, drawn: _Tables, landscape: Landscape) -> Ints:
    return np.asarray(1 + np.abs(x - drawn.target) @ drawn.weights, np.int64)


_COSTS = {"ridge": _ridge, "trap": _trap, "nk": _nk, "knapsack": _knapsack}


@lru_cache(maxsize=32)
def _space(parameters: int, levels: int, ordered: bool) -> DesignSpace:
    return DesignSpace([Parameter(f"x{i}", tuple(range(levels)), ordered=ordered) for i in range(parameters)])


@lru_cache(maxsize=32)
def _tables(landscape: Landscape) -> _Tables:
    d, levels = landscape.parameters, landscape.levels
    draw = rng.generator(landscape.seed, "landscape", landscape.family)
    target = draw.integers(0, levels, d)
    weights, sizes = draw.integers(1, 100, d), draw.integers(1, 100, d)
    table = np.zeros((d, 1), np.int64)
    capacity = _UNLIMITED
    if landscape.family == "nk":
        table = draw.integers(0, 1000, (d, levels ** (landscape.degree + 1)))
    if landscape.family == "knapsack":
        target = np.full(d, levels - 1) - (target == 0)  # what is wanted is large
        capacity = int(target @ sizes) // 3
    return _Tables(target, weights, sizes, capacity, table)
