"""What episodes are about: one problem, or several that differ in their workloads alone, one drawn for each episode."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from archgym.errors import BudgetExhausted, UsageError
from archgym.evaluation import Evaluation
from archgym.evaluator import Evaluator
from archgym.problem import Problem
from archgym.space import Codes

Floats = npt.NDArray[np.float64]


class Contexts:
    """Evaluators of one design space, metrics and constraints, each of another workload, under one budget.

    Args:
        evaluators: one a workload; the budget of a single one is its own, several must have none.
        budget: samples of several together; None is unlimited.

    Attributes:
        evaluators, problems: one a workload.
        space: of every problem.
        features: names of the workload features, equal for all.
        feature_values: (w, f).
        starts: (w, d) codes of the baselines; all first levels where a restricted space does not hold the baseline.

    Raises:
        UsageError: spaces, metrics or constraints differ, or there is a name twice.
    """

    def __init__(self, evaluators: Sequence[Evaluator], budget: int | None = None) -> None:
        assert len(evaluators) == 1 or all(e.budget is None for e in evaluators)
        self.evaluators = tuple(evaluators)
        self.problems = tuple(e.problem for e in evaluators)
        self.space = self.problems[0].space
        self.track = evaluators[0].track
        self._budget = budget
        for problem in self.problems[1:]:
            _alike(self.problems[0], problem)
        described = [problem.features for problem in self.problems]
        self.features = tuple(described[0])
        self.feature_values = np.array([list(d.values()) for d in described], np.float64)
        self.starts = np.stack([_start(problem) for problem in self.problems])

    def __len__(self) -> int:
        return len(self.problems)

    @property
    def labels(self) -> list[str]:
        """The workloads' names."""
        return ["+".join(w.name for w in p.workloads) for p in self.problems]

    @property
    def fingerprints(self) -> dict[str, str]:
        """Label of each workload -> fingerprint of its problem."""
        return dict(zip(self.labels, (problem.fingerprint for problem in self.problems), strict=True))

    def draw(self, generators: Sequence[np.random.Generator]) -> npt.NDArray[np.int64]:
        """A workload (n,) for each of n episodes, each from its own random stream; one alone draws nothing."""
        n = len(self.problems)
        return np.array([int(g.integers(n)) if n > 1 else 0 for g in generators], np.int64)

    def evaluate(self, at: npt.NDArray[np.int64], codes: Codes) -> Evaluation:
        """The designs (n, d), each on its workload ``at`` (n,); rows stay in order.

        Raises:
            BudgetExhausted: the budget does not hold n more samples; what fits is evaluated and carried as ``partial``.
            UsageError: no designs of the space.
        """
        if len(self.evaluators) == 1:
            return self.evaluators[0](codes)
        left = len(codes) if self._budget is None else self._budget - sum(e.n_samples for e in self.evaluators)
        checked = self.space.check(codes)[:left]
        rows = [np.flatnonzero(at[:left] == i) for i in range(len(self.evaluators))]
        parts = [evaluator(checked[r]) for evaluator, r in zip(self.evaluators, rows, strict=True) if len(r)]
        done = Evaluation.concatenate(parts).take(np.argsort(np.concatenate(rows), kind="stable")) if parts else None
        if done is None or len(done) < len(codes):
            raise BudgetExhausted(f"the budget of {self._budget} samples is spent: {len(codes)} asked", done)
        return done

    def remarks(self, at: npt.NDArray[np.int64], codes: Codes) -> dict[str, npt.NDArray[Any]]:
        """What the simulator remarks on the designs (n, d), each on its workload ``at`` (n,); names of all of them."""
        out: dict[str, npt.NDArray[Any]] = {}
        for i, problem in enumerate(self.problems):
            rows = np.flatnonzero(at == i)
            for name, column in problem.remarks(codes[rows]).items() if len(rows) else ():
                if name not in out:
                    out[name] = np.empty(len(codes), column.dtype)
                out[name][rows] = column
        return out

    def close(self) -> None:
        """Close all logs; idempotent."""
        for evaluator in self.evaluators:
            evaluator.close()


def _alike(first: Problem, other: Problem) -> None:
    """Refuse workloads on which a design, or what is said of it, is not the same thing."""
    for what, a, b in (
        ("design space", first.space.fingerprint, other.space.fingerprint),
        ("metrics", first.metric_names, other.metric_names),
        ("constraints", first.constraint_names, other.constraint_names),
        ("workload features", list(first.features), list(other.features)),
    ):
        if a != b:
            labels = f"{first.spec.label} and {other.spec.label}"
            raise UsageError(f"workloads drawn at random: expected the same {what}, which differs between {labels}")
    if first.fingerprint == other.fingerprint:
        raise UsageError(f"workloads drawn at random: {first.spec.label} comes twice")


def _start(problem: Problem) -> npt.NDArray[np.int64]:
    try:
        return np.asarray(problem.space.encode([problem.baseline])[0])
    except UsageError:  # the restricted space does not hold the baseline
        return np.zeros(len(problem.space), np.int64)
