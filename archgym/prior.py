"""What is known before a study begins: rows from the logs of other studies of the same design space.

A log of the very problem (same simulator, options and workloads; the objective may differ) holds true numbers: its rows
are a warm start, told to the agent without costing budget. Of the other logs (another workload, a lower fidelity) the
nearest by workload features is the prior: a guess that agents with ``uses_prior`` start from. The rows used are kept in
the study's own folder, so that it can be resumed and replayed when the others are gone.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from archgym.errors import LogError, UsageError
from archgym.evaluation import Evaluation
from archgym.evaluator import Evaluator
from archgym.log import PRIOR, rows_as_json
from archgym.problem import Problem
from archgym.spec import StudySpec

if TYPE_CHECKING:
    from archgym.study import Summary


@dataclass(frozen=True, eq=False)
class Prior:
    """Rows of other logs, in terms of the problem at hand.

    Attributes:
        told: of the very problem, or None.
        believed: of a similar problem, or None; rewards are relative to that problem's own baseline.
        text: both as the content of ``prior.json``; empty if there is nothing.
    """

    told: Evaluation | None = None
    believed: Evaluation | None = None
    text: bytes = b""

    @property
    def digest(self) -> str:
        """sha256 of the text, which a study's identity contains; "" if there is nothing."""
        return hashlib.sha256(self.text).hexdigest() if self.text else ""


def choose_prior(sources: Sequence[Summary], problem: Problem) -> Prior:
    """What some studies tell about a problem.

    Args:
        sources: logged studies; the earlier one is preferred where two are equally near.
        problem: at hand.

    Raises:
        UsageError: a study of another design space, without rows, or without a metric that the problem needs.
    """
    for source in sources:
        _check(source, problem)
    same = [s for s in sources if s.problem.measurement == problem.measurement]
    other = [s for s in sources if s.problem.measurement != problem.measurement]
    nearest = sorted(other, key=lambda s: distance(s.problem, problem))[:1]
    if not sources:
        return Prior()
    content = {
        "sources": [
            {
                "label": s.problem.spec.label,
                "hash": s.spec.hash(s.problem),
                "rows": len(s.samples),
                "use": "told" if s in same else "believed",
            }
            for s in (*same, *nearest)
        ],
        "told": [row for s in same for row in _rows(_judged(s, problem), problem)],
        "believed": [row for s in nearest for row in _rows(_relative(s, problem), None)],
    }
    return _parsed(orjson.dumps(content, option=orjson.OPT_INDENT_2), problem)


def kept_prior(spec: StudySpec, problem: Problem, folder: str | Path | None) -> Prior:
    """What a study's own folder keeps of the logs that it began with.

    Raises:
        UsageError: the spec names a prior that is not there.
        LogError: it is not what the study began with.
    """
    digest = spec.prior
    if not digest:
        return Prior()
    if folder is None or not (Path(folder) / PRIOR).exists():
        raise UsageError(f"prior: the spec names {digest[:8]}, but {folder or 'no folder'} holds it; give its logs")
    path = Path(folder) / PRIOR
    try:
        text = path.read_bytes()
    except OSError as error:
        raise LogError(f"cannot read {path}, which the study began with: {error.strerror or error}") from None
    if (found := hashlib.sha256(text).hexdigest()) != digest:
        raise LogError(f"{path} was altered: the study began with {digest[:8]}, this is {found[:8]}")
    return _parsed(text, problem)


def distance(a: Problem, b: Problem) -> float:
    """Mean absolute difference of log1p of workload features (their means over several workloads); 0 for the same
    workloads, whatever the simulator's options, and infinite between workloads of different kinds."""
    if a.features.keys() != b.features.keys():
        return math.inf
    apart = [abs(_log(a.features[name]) - _log(b.features[name])) for name in a.features]
    return sum(apart) / max(len(apart), 1)


def _log(feature: float) -> float:
    return math.copysign(math.log1p(abs(feature)), feature)  # a logarithm can be below -1, hence the sign apart


def _check(source: Summary, problem: Problem) -> None:
    wanted, found = problem.space, source.problem.space
    if found.fingerprint != wanted.fingerprint:
        theirs = {p.name: p for p in found.parameters}
        apart = [p.name for p in wanted.parameters if theirs.pop(p.name, None) != p] + list(theirs)
        raise UsageError(
            f"prior {source.folder}: expected the design space of {problem.spec.label} ({wanted.size} designs), got "
            f"{source.problem.spec.label} with {found.size}; they differ in {', '.join(apart) or 'their rules'}"
        )
    if len(source.samples) == 0:
        raise UsageError(f"prior {source.folder}: expected a log with rows, got an empty one")
    objective = problem.objective
    needed = [*(t.metric for t in objective.terms), *(limit.metric for limit in objective.limits)]
    needed += [name for name, _ in objective.targets]
    if missing := [name for name in dict.fromkeys(needed) if name not in source.samples.metric_names]:
        raise UsageError(
            f"prior {source.folder}: expected the metrics of {problem.spec.label}, got none of {', '.join(missing)}; "
            f"it holds {', '.join(source.samples.metric_names)}"
        )


def _judged(source: Summary, problem: Problem) -> Evaluation:
    """The rows of a study under the objective of a problem; NaN where the study has no such number."""
    samples, nothing = source.samples, np.full(len(source.samples), np.nan)
    slacks = {name: samples.violations[:, i] for i, name in enumerate(source.problem.slack_names)}
    return problem.judge(
        samples.codes,
        _columns(samples.metrics, problem.metric_names, nothing),
        _columns(slacks, problem.slack_names, nothing),
        samples.reason,
        np.asarray(np.isfinite(samples.metric_values).any(axis=1)),  # an impossible design has no metrics
    )


def _columns(known: Mapping[str, Any], names: Sequence[str], nothing: Any) -> Any:
    return np.stack([nothing, *(known.get(name, nothing) for name in names)], axis=1)[:, 1:]


def _relative(source: Summary, problem: Problem) -> Evaluation:
    """The same for a similar problem: rewards against its own baseline, or they could all be cut off at the floor."""
    rows = _judged(source, problem)
    objective = problem.objective.with_reference(source.problem.baseline_metrics)
    reward = np.where(rows.feasible, objective.reward(rows.metrics), objective.floor)
    return replace(rows, reward=reward, reason=np.zeros_like(rows.reason))


def _rows(rows: Evaluation, problem: Problem | None) -> list[dict[str, Any]]:
    reasons = [""] * len(rows) if problem is None else problem.reasons(rows)
    return list(rows_as_json(rows, reasons, trial=0, ask=0))


def _parsed(text: bytes, problem: Problem) -> Prior:
    """The prior that a file holds: also a fresh one is read back, so that a resumed study gets the same bits."""
    content = orjson.loads(text)
    told, believed = (Evaluator.recall(problem, content[use]) if content[use] else None for use in ("told", "believed"))
    return Prior(told, believed, text)
