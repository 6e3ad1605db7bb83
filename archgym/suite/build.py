"""Enumerate a problem completely: exact optimum, Pareto front, and how rare good designs are."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from archgym.errors import UsageError
from archgym.evaluation import Evaluation
from archgym.executor import Executor, Serial
from archgym.objective import Term
from archgym.pareto import front
from archgym.problem import Problem

CHUNK = 32768
LARGEST = 10**9


def build(
    problem: Problem,
    *,
    executor: Executor | None = None,
    on_chunk: Callable[[int, int, float], None] | None = None,
) -> dict[str, Any]:
    """Evaluate every distinct canonical design, without a log.

    Args:
        problem: deterministic, at most 1e9 raw designs.
        executor: where simulations run.
        on_chunk: called with (raw designs passed, raw designs in all, best reward so far).

    Returns:
        Plain JSON data: ``designs`` (raw), ``distinct``, ``feasible``, ``optimum`` (design, metrics,
        reward, value, number of designs that attain it), ``front`` (the terms' metrics as one Pareto front,
        each point with the codes of one design), ``within_1_percent`` and ``within_5_percent`` (share of the feasible
        designs whose objective is at most that much worse), and the problem's fingerprint.

    Raises:
        UsageError: too many designs, a simulator that is not deterministic, or nothing feasible.
    """
    if problem.space.size > LARGEST:
        raise UsageError(f"{problem.spec.label}: {problem.space.size:.3g} designs are too many to enumerate; restrict")
    if not problem.simulator.deterministic:
        raise UsageError(f"{problem.spec.label}: its simulator is not deterministic, so it has no exact optimum")
    workers = executor or Serial()
    terms = list(problem.objective.terms)
    rewards: list[Any] = []
    kept: Evaluation | None = None  # the non-dominated designs so far
    best: Evaluation | None = None
    distinct = passed = 0
    for codes in problem.space.enumerate(CHUNK):
        evaluation = problem.score(codes, workers.simulate(problem, codes, None))
        distinct += len(codes)
        passed = min(passed + CHUNK, problem.space.size)
        rewards.append(evaluation.reward[evaluation.feasible])
        best = _better(best, evaluation)
        kept = _front(evaluation if kept is None else Evaluation.concatenate([kept, evaluation]), terms)
        if on_chunk is not None:
            on_chunk(passed, problem.space.size, float(best.reward[0]) if best is not None else math.nan)
    if best is None or kept is None:
        raise UsageError(f"{problem.spec.label}: none of its {distinct} designs is feasible")
    every = np.concatenate(rewards)
    top = float(best.reward[0])
    return {
        "problem": problem.spec.to_dict(),
        "fingerprint": problem.fingerprint,
        "designs": problem.space.size,
        "distinct": distinct,
        "feasible": len(every),
        "optimum": {**optimum_row(problem, best, 0), "ties": int((every == top).sum())},
        "median_gap": top - float(np.median(every)),
        "within_1_percent": int((every >= top - math.log(1.01)).sum()) / len(every),
        "within_5_percent": int((every >= top - math.log(1.05)).sum()) / len(every),
        "front": front_rows(problem, kept),
    }


def _better(best: Evaluation | None, evaluation: Evaluation) -> Evaluation | None:
    reward = np.where(evaluation.feasible, evaluation.reward, -np.inf)
    i = int(np.argmax(reward))
    if not evaluation.feasible[i] or (best is not None and best.reward[0] >= reward[i]):
        return best
    return evaluation.take(slice(i, i + 1))


def _front(evaluation: Evaluation, terms: Sequence[Term]) -> Evaluation:
    columns = [math.copysign(1.0, t.weight) * evaluation.metrics[t.metric] for t in terms]
    values = np.where(evaluation.feasible[:, None], np.stack(columns, axis=1), np.nan)
    return evaluation.take(front(values))


def front_rows(problem: Problem, evaluation: Evaluation) -> list[dict[str, Any]]:
    """The objective's terms as one Pareto front, one design of each of its points: codes, metric -> value."""
    terms = problem.objective.terms
    kept, seen, rows = _front(evaluation, terms), set(), []
    for i in range(len(kept)):
        point = {t.metric: float(kept.metrics[t.metric][i]) for t in terms}
        if tuple(point.values()) not in seen:
            seen.add(tuple(point.values()))
            rows.append({"codes": kept.codes[i].tolist(), **point})
    return rows


def optimum_row(problem: Problem, evaluation: Evaluation, i: int) -> dict[str, Any]:
    """A design with everything about it; ``value`` is what is minimised, of a Pareto objective the product."""
    row = evaluation.take(slice(i, i + 1))
    objective = replace(problem.objective, pareto=False)
    return {
        "design": problem.space.design(row.codes[0]),
        "codes": row.codes[0].tolist(),
        "reward": float(row.reward[0]),
        "value": float(objective.values(row.metrics)[0, 0]),
        "metrics": {name: float(column[0]) for name, column in row.metrics.items()},
    }
