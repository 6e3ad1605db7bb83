"""Landscapes with a known difficulty, for hyperparameters only."""

from __future__ import annotations

from archgym.problem import ProblemSpec

from .entry import SuiteProblem


def _landscape(name: str, objective: str = "cost") -> SuiteProblem:
    return SuiteProblem(f"synthetic-{name}", ProblemSpec("synthetic", (f"syn-{name}",), objective), "tuning")


SYNTHETIC = tuple(_landscape(name) for name in ("ridge", "trap", "nk", "knapsack"))
