"""Evaluated designs as columns of a data set."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from archgym.evaluation import Evaluation
from archgym.problem import Problem
from archgym.space import Codes, DesignSpace
from archgym.spec import StudySpec

from .source import Source


def design_columns(space: DesignSpace, codes: Codes) -> dict[str, npt.NDArray[Any]]:
    """``param.*``: the values of levels."""
    return {f"param.{name}": values for name, values in space.decode(codes).items()}


def run_columns(source: Source, problem: str, study: str, agent_label: str, seed: int, n: int) -> dict[str, Any]:
    """Columns that are the same in all n rows of a run."""
    same = {"source": source.id, "problem": problem, "study": study, "agent_label": agent_label}
    return {name: np.full(n, text, object) for name, text in same.items()} | {"seed": np.full(n, seed, np.int64)}


def evaluation_columns(
    source: Source, spec: StudySpec, problem: Problem, study: str, e: Evaluation
) -> dict[str, npt.NDArray[Any]]:
    """All columns of the rows of a run that has just been made, with all metrics (track grey)."""
    columns: dict[str, npt.NDArray[Any]] = run_columns(
        source, spec.problem.label, study, spec.agent_label, spec.seed, len(e)
    )
    columns["trial"] = np.arange(len(e))
    columns["design"] = source.designs(problem.space.canonical(e.codes))
    columns |= design_columns(problem.space, e.codes)
    columns |= {f"metric.{name}": values for name, values in e.metrics.items()}
    columns |= {f"violation.{name}": e.violations[:, i] for i, name in enumerate(problem.constraint_names)}
    columns["valid"] = has_metrics(e.metric_values)
    return columns | {
        "feasible": e.feasible,
        "reason": np.array(problem.reasons(e), object),
        "reward": e.reward,
    }


def has_metrics(table: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Whether the rows (n,) of metrics (n, m) hold any number; an impossible design has none."""
    return np.asarray(np.isfinite(table).any(axis=1), np.bool_)
