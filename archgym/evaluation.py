"""The outcome of evaluating designs: frozen columns of one length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

TRACKS = ("grey", "scalar")  # whether metrics and violations are shown, or only reward and feasibility


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """n evaluated designs, in the order they were asked.

    Attributes:
        codes: (n, d) int64 level indices, as asked.
        metric_names: names of the metric columns; empty on the scalar track.
        metric_values: (n, len(metric_names)) float64; NaN where a design has no such number.
        reward: (n,) float64, always finite; an infeasible design has the objective's floor.
        values: (n, m) float64, minimised objective values; NaN where infeasible by physics.
        violations: (n, c) float64, relative; satisfied where <= 0. Empty on the scalar track.
        feasible: (n,) bool: physically possible and within all limits.
        reason: (n,) int64 code of the simulator's ``reasons``; 0 if it gave none.
        cached: (n,) bool: the same canonical design was evaluated earlier in this study.
    """

    codes: npt.NDArray[np.int64]
    metric_names: tuple[str, ...]
    metric_values: Floats
    reward: Floats
    values: Floats
    violations: Floats
    feasible: npt.NDArray[np.bool_]
    reason: npt.NDArray[np.int64]
    cached: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.reward)

    def __repr__(self) -> str:
        return f"Evaluation({len(self)} designs, {int(self.feasible.sum())} feasible, {len(self.metric_names)} metrics)"

    @property
    def metrics(self) -> dict[str, Floats]:
        """Metric name -> (n,) column."""
        return {name: self.metric_values[:, i] for i, name in enumerate(self.metric_names)}

    def take(self, rows: npt.NDArray[np.int64] | slice) -> Evaluation:
        """The evaluation of some rows."""
        return Evaluation(
            self.codes[rows],
            self.metric_names,
            self.metric_values[rows],
            self.reward[rows],
            self.values[rows],
            self.violations[rows],
            self.feasible[rows],
            self.reason[rows],
            self.cached[rows],
        )

    def scalar(self) -> Evaluation:
        """What the scalar track shows: codes, reward and feasibility, nothing else."""
        n = len(self)
        nothing = np.empty((n, 0))
        zero = np.zeros(n, np.int64)
        return Evaluation(self.codes, (), nothing, self.reward, nothing, nothing, self.feasible, zero, self.cached)

    @classmethod
    def concatenate(cls, parts: Sequence[Evaluation]) -> Evaluation:
        """Several evaluations of one problem, one after the other."""
        return cls(
            np.concatenate([p.codes for p in parts]),
            parts[0].metric_names,
            np.concatenate([p.metric_values for p in parts]),
            np.concatenate([p.reward for p in parts]),
            np.concatenate([p.values for p in parts]),
            np.concatenate([p.violations for p in parts]),
            np.concatenate([p.feasible for p in parts]),
            np.concatenate([p.reason for p in parts]),
            np.concatenate([p.cached for p in parts]),
        )
