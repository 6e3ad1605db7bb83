"""The contract of a simulator: a pure, batched function from designs to metrics.

To add one: subclass ``Simulator``, declare ``Config``, ``metrics``, ``constraints``, ``accepts``
and ``version``, describe the design space and a baseline, and override exactly one of
``_simulate`` (columns in, columns out) and ``_simulate_one`` (one design at a time). Register the
class in ``archgym.registry.SIMULATORS`` or through the entry point group ``archgym.simulators``;
``archgym.testing.check_simulator`` tells whether it keeps the contract.
"""

from __future__ import annotations

import inspect
import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, final

import numpy as np
import numpy.typing as npt

from archgym.errors import UsageError
from archgym.metrics import Constraint, Metric
from archgym.space import Codes, Columns, DesignSpace, Level
from archgym.workload import Workload

Seeds = npt.NDArray[np.int64]


@dataclass(frozen=True)
class NoOptions:
    """The Config of a simulator that has none."""


@dataclass(frozen=True)
class CommandCheck:
    """Whether a trace of commands is legal.

    Attributes:
        commands, violations: how many.
        rules: one row of a table per broken rule; equal keys in all.
    """

    commands: int
    violations: int
    rules: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Reproduction:
    """A published table, recomputed.

    Attributes:
        skipped: rows that the model does not claim to reproduce.
        columns: output column -> (theirs, ours), arrays over the rows that were not skipped.
        tolerance: output column -> largest relative error that passes; absent means equality.
    """

    skipped: int
    columns: Mapping[str, tuple[npt.NDArray[Any], npt.NDArray[Any]]]
    tolerance: Mapping[str, float]


class Simulator(ABC):
    """Base of all simulators. Instances are immutable: everything they know is ``config``.

    Class attributes:
        Config: frozen dataclass of technology, fixed hardware and model options.
        metrics: what is returned for each design.
        constraints: physical limits, returned as signed slacks.
        reasons: texts of the ``reason`` codes; code 0 ("") means no reason given.
        accepts: kinds of workload, e.g. ``("network",)``.
        objectives: names under which single metrics are optimised, beside their own.
        absent: metrics that do not exist as configured -> why; set by an instance that narrows ``metrics``.
        version: changes whenever any returned number changes; part of every study's hash.
        deterministic: same design, workload and seed give the same bits; only such results are cached.
        cost_seconds: declared cost of one design on one core; never measured at run time.
    """

    Config: ClassVar[type[Any]] = NoOptions
    metrics: ClassVar[tuple[Metric, ...]] = ()
    constraints: ClassVar[tuple[Constraint, ...]] = ()
    reasons: ClassVar[tuple[str, ...]] = ("",)
    accepts: ClassVar[tuple[str, ...]] = ()
    objectives: ClassVar[Mapping[str, str]] = {}
    absent: Mapping[str, str] = {}
    version: ClassVar[str] = "1"
    deterministic: ClassVar[bool] = True
    cost_seconds: ClassVar[float] = 1e-3

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        batched = cls._simulate is not Simulator._simulate
        single = cls._simulate_one is not Simulator._simulate_one
        if not inspect.isabstract(cls) and batched == single:
            raise TypeError(f"{cls.__name__}: override exactly one of _simulate and _simulate_one")

    def __init__(self, config: Any = None) -> None:
        self.config = self.Config() if config is None else config

    @abstractmethod
    def design_space(self, workload: Workload) -> DesignSpace:
        """The parameters of the simulated hardware; most simulators return one constant space.

        Where single steps lead astray, as from a wide array to a tall one, it may declare `moves` (`DesignSpace`).
        """

    @abstractmethod
    def baseline(self, workload: Workload) -> dict[str, Level]:
        """A feasible, sensible design: rewards are measured against its metrics."""

    def canonical(self, codes: Codes, workload: Workload) -> Codes:
        """The representative (n, d) of each design among those proved to behave identically.

        Idempotent. Override to merge more than the space's own ``active_when`` does, and only by
        rules that follow from the model's semantics.
        """
        return codes

    def remarks(self, codes: Codes, workload: Workload) -> dict[str, npt.NDArray[Any]]:
        """What else a user should know of results: columns (n,) of designs (n, d), shown in ``info``; {} if nothing.

        A learnt simulator says here how sure it is.
        """
        return {}

    def breakdown(self, codes: Codes, workload: Workload) -> dict[str, list[Any]]:
        """Where one design (1, d) spends its time and energy, as columns of a table for people; {} if not offered."""
        return {}

    def reproduce(self, rows: Sequence[Mapping[str, str]], traces: Path | None = None) -> Reproduction:
        """Recompute the rows of a table that was measured with the original tool.

        Args:
            rows: header -> text; the key ``""`` holds file and line for messages.
            traces: folder of the traces that the rows name, for simulators of traces.

        Raises:
            UsageError: there is no original tool, the table lacks a column, or a folder for a table without traces.
        """
        raise UsageError(f"{type(self).__name__} reproduces no original tool, so there is nothing to validate")

    def check_commands(self, path: str | os.PathLike[str], device: str) -> CommandCheck:
        """Whether a trace of commands to a device, from any simulator, keeps the device's rules.

        Raises:
            UsageError: the simulator knows no such traces, or a file is wrong.
        """
        raise UsageError(f"{type(self).__name__} has no traces of commands, so there is nothing to check")

    @final
    def simulate(self, codes: Codes, workload: Workload, *, seeds: Seeds | None = None) -> dict[str, npt.NDArray[Any]]:
        """Simulate designs on one workload.

        Args:
            codes: (n, d) int64 level indices of ``design_space(workload)``.
            workload: of a kind in ``accepts``.
            seeds: (n,) int64, one per row; ignored by deterministic simulators.

        Returns:
            Columns of length n: every metric (float64, or int64 for counts), every constraint's
            slack, ``<constraint>.limit`` where the limit differs between designs, and ``reason``
            (int64). Row i depends on row i of the arguments only.

        Raises:
            UsageError: codes outside the space, or a workload of another kind.
        """
        if workload.kind not in self.accepts:
            raise UsageError(
                f"{type(self).__name__} runs workloads of kind {' or '.join(self.accepts)}, "
                f"'{workload.name}' is a {workload.kind}"
            )
        space = self.design_space(workload)
        codes = space.check(codes)
        if type(self)._simulate is not Simulator._simulate:
            columns = self._simulate(space.columns(codes), workload, seeds)
        else:
            columns = self._stack(codes, space, workload, seeds)
        return self._checked(columns, len(codes))

    def _simulate(self, designs: Columns, workload: Workload, seeds: Seeds | None) -> Columns:
        """Batched form: columns in (textual parameters as level indices), columns out."""
        raise NotImplementedError

    def _simulate_one(
        self, design: Mapping[str, Level], workload: Workload, seed: int | None
    ) -> Mapping[str, float | int]:
        """One design at a time: plain level values in, plain numbers out."""
        raise NotImplementedError

    def _stack(self, codes: Codes, space: DesignSpace, workload: Workload, seeds: Seeds | None) -> Columns:
        rows = [
            self._simulate_one(space.design(row), workload, None if seeds is None else int(seeds[i]))
            for i, row in enumerate(codes)
        ]
        rows = [{"reason": 0, **row} for row in rows]
        return {name: np.array([row[name] for row in rows]) for name in self.output_names}

    @property
    def output_names(self) -> tuple[str, ...]:
        """The columns that ``simulate`` returns, in order."""
        limits = [f"{c.name}.limit" for c in self.constraints if c.limit is None]
        return (*(m.name for m in self.metrics), *(c.name for c in self.constraints), *limits, "reason")

    def _checked(self, columns: Columns, n: int) -> dict[str, npt.NDArray[Any]]:
        out = {}
        for name in self.output_names:
            if name == "reason" and name not in columns:
                column: npt.NDArray[Any] = np.zeros(n, np.int64)
            else:
                assert name in columns, f"{type(self).__name__} did not return '{name}'"
                column = np.asarray(columns[name])
            assert column.shape == (n,), f"{type(self).__name__}: '{name}' has shape {column.shape}, expected ({n},)"
            if column.dtype.kind in "iub":
                column = column.astype(np.int64, copy=False)
            else:
                column = column.astype(np.float64, copy=False)
            out[name] = column
        return out
