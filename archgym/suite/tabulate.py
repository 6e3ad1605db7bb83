"""Enumerate a simulator into a table, which then serves every result without it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from archgym import config as configs
from archgym.errors import UsageError
from archgym.executor import Executor, Serial
from archgym.problem import Problem, ProblemSpec
from archgym.registry import SIMULATORS
from archgym.space import DesignSpace, Level
from archgym.table import LARGEST, Results, Table, smallest_type

SIMULATED = 4096  # designs between two reports of progress
_RAW = 65536  # raw designs that are made canonical at a time


def build_table(
    simulator: str,
    workloads: Sequence[str | Mapping[str, Any]],
    *,
    config: Mapping[str, Any] | None = None,
    space: Mapping[str, Sequence[Level] | str] | None = None,
    baseline: Mapping[str, Level] | None = None,
    executor: Executor | None = None,
    on_chunk: Callable[[int, int], None] | None = None,
) -> Table:
    """Simulate every distinct canonical design on every workload.

    Designs that static rules forbid are part of the table too: `Problem.evaluate` simulates them like any
    other, and a search on the table has to see what a search on the simulator sees.

    Args:
        simulator: registered name or ``"module:Class"``; deterministic, with at least one positive metric.
        workloads: names, paths, or contents as ``Workload.to_dict`` writes them.
        config: overrides of the simulator's Config.
        space: parameter -> the levels to keep.
        baseline: parameter -> level, where the simulator's baseline has one that the space does not keep. With
            another baseline rewards shift by a constant; optimum, gaps and front are the same.
        executor: where simulations run; the table does not depend on it.
        on_chunk: called with (designs simulated, designs to simulate), over all workloads.

    Returns:
        The table; equal arguments give equal fingerprints.

    Raises:
        UnknownNameError: an unknown simulator, workload, option or parameter.
        UsageError: more than `LARGEST` raw designs, a simulator that is not deterministic, a baseline
            that is infeasible or outside the restricted space, workloads that repeat or differ in their space.
    """
    problems = _problems(simulator, workloads, config or {}, space or {})
    first, workers = problems[0], executor or Serial()
    baselines = [_baseline(problem, baseline or {}) for problem in problems]
    merged = [_classes(problem) for problem in problems]
    total = sum(len(representatives) for _, representatives in merged)
    done, results = 0, []
    for problem, design, (classes, representatives) in zip(problems, baselines, merged, strict=True):
        distinct = _DistinctRows()
        parts = []
        for start in range(0, len(representatives), SIMULATED):
            codes = problem.space.unrank(representatives[start : start + SIMULATED])
            parts.append(distinct.add(workers.simulate(problem, codes, None)))
            done += len(codes)
            if on_chunk is not None:
                on_chunk(done, total)
        outcomes, columns = np.concatenate(parts).astype(smallest_type(len(distinct))), distinct.columns()
        w = problem.workloads[0]
        results.append(Results(w.name, w.kind, w.fingerprint, design, classes, representatives, outcomes, columns))
    sim = first.simulator
    bare = DesignSpace(first.space.parameters, first.space.allowed)  # without what the simulator merges
    declared = (bare, sim.metrics, sim.constraints, sim.reasons, sim.objectives, sim.absent)
    return Table(first.spec.simulator, sim.version, configs.to_json(sim.config), *declared, tuple(results))


def _problems(
    simulator: str,
    workloads: Sequence[str | Mapping[str, Any]],
    config: Mapping[str, Any],
    space: Mapping[str, Sequence[Level] | str],
) -> list[Problem]:
    """One problem per workload, for what workloads disagree about must not be merged for either. All fit a table."""
    cls = SIMULATORS.load(simulator)
    declared = cls(configs.configure(cls.Config, config, f"simulator {simulator}")).metrics
    objective = next((m.name for m in declared if m.positive), "")
    problems = [Problem(ProblemSpec(simulator, (w,), objective, sim=config, space=space)) for w in workloads]
    if not problems:
        raise UsageError(f"table of {simulator}: expected at least one workload")
    names, contents = [p.workloads[0].name for p in problems], [p.workloads[0].fingerprint for p in problems]
    if min(len(set(names)), len(set(contents))) < len(problems):
        raise UsageError(f"table of {simulator}: workloads repeat: {', '.join(names)}")
    if not problems[0].simulator.deterministic:
        raise UsageError(f"table of {simulator}: it is not deterministic, so no table can stand for it")
    if len({p.space.fingerprint for p in problems}) > 1:
        raise UsageError(f"table of {simulator}: it has different design spaces for these workloads")
    size = problems[0].space.size
    if size > LARGEST:
        raise UsageError(f"table of {simulator}: {size:.3g} designs, expected at most {LARGEST:,}; restrict space")
    return problems


def _baseline(problem: Problem, replaced: Mapping[str, Level]) -> dict[str, Level]:
    """The simulator's baseline with some levels replaced; it has to be a possible design of the restricted space."""
    label = f"table of {problem.spec.simulator}"
    for name in replaced:
        problem.space[name]  # raises for an unknown one
    try:
        codes = problem.space.encode([{**problem.baseline, **replaced}])
    except UsageError as error:
        raise UsageError(f"{label}: the baseline design is outside the space, replace levels of it: {error}") from None
    design = problem.space.design(codes[0])
    if not problem.evaluate(codes).feasible[0]:
        raise UsageError(f"{label}: the baseline design {design} is infeasible; rewards would have no reference")
    return design


def _classes(problem: Problem) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64]]:
    """The class of every raw design (size,), and the rank of each class's canonical design (k,) ascending."""
    space = problem.space
    ranks = np.empty(space.size, np.int64)
    for start in range(0, space.size, _RAW):
        codes = space.unrank(range(start, min(start + _RAW, space.size)))
        ranks[start : start + _RAW] = space.keys(space.canonical(codes))
    representatives, classes = np.unique(ranks, return_inverse=True)
    astray = np.flatnonzero(ranks[representatives] != representatives)
    if len(astray):
        (codes,) = space.unrank(representatives[astray[:1]])
        where = f"{problem.spec.simulator} at {space.design(codes)}"
        raise UsageError(f"table of {where}: canonical is not idempotent there; see archgym.testing.check_simulator")
    return classes.astype(smallest_type(len(representatives))), representatives


class _DistinctRows:
    """Rows of columns without repetition, in order of first appearance; equal means the same bits."""

    def __init__(self) -> None:
        self._rows: dict[bytes, int] = {}
        self._types: dict[str, Any] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, columns: Mapping[str, npt.NDArray[Any]]) -> npt.NDArray[np.int64]:
        """The number (n,) of each row; new rows get the next numbers."""
        types = {name: column.dtype for name, column in columns.items()}
        self._types = self._types or types
        assert types == self._types, f"column types changed from {self._types} to {types}"
        bits = np.stack([column.view(np.int64) for column in columns.values()], axis=1)
        return np.array([self._rows.setdefault(row.tobytes(), len(self._rows)) for row in bits], np.int64)

    def columns(self) -> dict[str, npt.NDArray[Any]]:
        """The distinct rows as columns (m,)."""
        bits = np.frombuffer(b"".join(self._rows), np.int64).reshape(len(self._rows), len(self._types))
        return {name: bits[:, i].copy().view(dtype) for i, (name, dtype) in enumerate(self._types.items())}
