"""The facts of a suite problem: how large, how much of it is feasible, the optimum, the front, how hard.

Stored as one JSON per problem beside this file. Two measures of a distance to the optimum occur and agree to first
order: *gaps* of random search are relative, (f - f*) / |f*|; ``median_gap`` is ln(f / f*), a difference of rewards.
"Within 1 %" is f <= 1.01 f* in both.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from archgym import rng
from archgym.evaluation import Evaluation
from archgym.executor import Executor, Serial
from archgym.problem import Problem
from archgym.registry import SIMULATORS
from archgym.spec import StudySpec
from archgym.study import run
from archgym.table import LARGEST
from archgym.table_file import load_table

from .build import build, front_rows, optimum_row
from .difficulty import BUDGETS, difficulty
from .entry import Search, SuiteProblem

FRONT = 1000  # points that are stored
_CONFIDENCE = 0.975  # of each end of a 95 % interval
_DRAWN = Search().random_runs

Facts = dict[str, Any]
Progress = Callable[[int, int], None]


def facts(
    entry: SuiteProblem, version: int, *, executor: Executor | None = None, on_chunk: Progress | None = None
) -> Facts:
    """Everything that is stored about a problem, as plain JSON data.

    Args:
        entry: the problem.
        version: of the suite.
        executor: where designs are enumerated; a search is serial.
        on_chunk: called with (designs evaluated, designs to evaluate) in each of the passes.

    Returns:
        ``suite`` (version), ``problem`` (spec), ``fingerprint``, ``optimum_kind``, ``method``, ``cost_seconds``
        (declared, of one sample on the simulator itself), ``floor`` (reward of an infeasible design), ``designs``
        (raw), ``distinct`` and ``feasible`` (null where not enumerated), ``sampled`` (random designs behind the
        shares; 0: none, they are exact), ``feasible_share`` with ``feasible_share_upper``, ``optimum`` (design, codes,
        reward, value, metrics, ties), ``median_gap`` of the feasible designs, ``within_1_percent`` and
        ``within_5_percent`` (shares of the feasible designs) with ``within_1_percent_upper``, ``random_gaps`` and
        ``random_success`` (median gap, and share of searches with something feasible, after so many samples; a gap of
        null: most have found nothing), ``front`` with ``front_size`` (points in all; at most `FRONT` of them are
        stored, evenly along the first term, both ends included), ``ideal`` and ``nadir`` of the whole front.

    Raises:
        UsageError: nothing feasible, or a problem that cannot be enumerated and has no search.
    """
    problem = Problem(entry.spec)
    head: Facts = {
        "suite": version,
        "problem": problem.spec.to_dict(),
        "fingerprint": problem.fingerprint,
        "optimum_kind": entry.optimum,
        "method": "enumeration" if entry.search is None else entry.search.text,
        "cost_seconds": cost_seconds(problem),
        "floor": problem.objective.floor,
    }
    if entry.search is None:
        return {**head, **_enumerated(problem, executor or Serial(), on_chunk)}
    return {**head, **_searched(problem, entry.search, on_chunk)}


def cost_seconds(problem: Problem) -> float:
    """Declared cost of one sample: of the simulator that a table stands for, on every workload."""
    simulator = problem.simulator
    if problem.spec.simulator == "tabular":
        original = load_table(str(problem.spec.sim["table"])).simulator
        cost = SIMULATORS.load(original).cost_seconds if original in SIMULATORS.names() else simulator.cost_seconds
    else:
        cost = simulator.cost_seconds
    return float(cost) * len(problem.workloads)


def to_text(content: Facts) -> str:
    """JSON with a line per fact and a line per point of the front."""
    lines = []
    for key, value in content.items():
        text = json.dumps(value)
        if key == "front":
            text = "[\n  " + ",\n  ".join(json.dumps(point) for point in value) + "\n ]"
        lines.append(f' "{key}": {text}')
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _enumerated(problem: Problem, workers: Executor, on_chunk: Progress | None) -> Facts:
    result = build(problem, executor=workers, on_chunk=on_chunk and (lambda done, total, _: on_chunk(done, total)))
    share = result["feasible"] / result["distinct"]
    if problem.space.size <= LARGEST:
        d = difficulty(problem, executor=workers, on_chunk=on_chunk)
        chances = {"random_gaps": _by_budget(d.random_gaps), "random_success": _by_budget(d.random_success)}
    else:
        chances = _chances(problem, _draw(problem, _DRAWN, on_chunk), result["optimum"]["value"])
    return {
        "designs": result["designs"],
        "distinct": result["distinct"],
        "feasible": result["feasible"],
        "sampled": 0,
        "feasible_share": share,
        "feasible_share_upper": share,
        "optimum": result["optimum"],
        "median_gap": result["median_gap"],
        "within_1_percent": result["within_1_percent"],
        "within_1_percent_upper": result["within_1_percent"],
        "within_5_percent": result["within_5_percent"],
        **chances,
        **_stored_front(problem, result["front"]),
    }


def _searched(problem: Problem, search: Search, on_chunk: Progress | None) -> Facts:
    drawn = _draw(problem, search.random_runs, on_chunk)
    found = [drawn]
    for seed in range(search.seeds):
        found.append(run(StudySpec(problem.spec, budget=search.budget, batch=search.batch, seed=seed)).samples)
        if on_chunk is not None:
            on_chunk(seed + 1, search.seeds)
    every = Evaluation.concatenate(found)
    every = every.take(np.flatnonzero(every.feasible))
    best = optimum_row(problem, every, int(np.argmax(every.reward)))
    rewards = drawn.reward[drawn.feasible]
    n, k = len(drawn), len(rewards)
    close = int((rewards >= best["reward"] - math.log(1.01)).sum())
    return {
        "designs": problem.space.size,
        "distinct": None,
        "feasible": None,
        "sampled": n,
        "feasible_share": k / n,
        "feasible_share_upper": _upper(k, n),
        "optimum": best,
        "median_gap": best["reward"] - float(np.median(rewards)) if k else None,
        "within_1_percent": close / k if k else None,
        "within_1_percent_upper": _upper(close, k),
        "within_5_percent": int((rewards >= best["reward"] - math.log(1.05)).sum()) / k if k else None,
        **_chances(problem, drawn, best["value"]),
        **_stored_front(problem, front_rows(problem, every)),
    }


def _draw(problem: Problem, runs: int, on_chunk: Progress | None) -> Evaluation:
    """Random searches of as many samples as the largest budget, one after the other; what repeats is rare."""
    parts = []
    for i in range(runs):
        codes = problem.space.sample(max(BUDGETS), rng.generator(0, "suite random", i))
        parts.append(problem.evaluate(codes))
        if on_chunk is not None:
            on_chunk(i + 1, runs)
    return Evaluation.concatenate(parts)


def _chances(problem: Problem, drawn: Evaluation, best: float) -> Facts:
    values = np.where(drawn.feasible, scalar_values(problem, drawn), np.inf).reshape(-1, max(BUDGETS))
    so_far = np.minimum.accumulate(values, axis=1)[:, [budget - 1 for budget in BUDGETS]]
    gaps = np.median((so_far - best) / abs(best), axis=0)
    success = np.isfinite(so_far).mean(axis=0)
    return {
        "random_gaps": _by_budget(tuple(zip(BUDGETS, gaps.tolist(), strict=True))),
        "random_success": _by_budget(tuple(zip(BUDGETS, success.tolist(), strict=True))),
    }


def scalar_values(problem: Problem, evaluation: Evaluation) -> npt.NDArray[np.float64]:
    """What is minimised (n,), of a Pareto objective the product of its terms; NaN where infeasible."""
    objective = replace(problem.objective, pareto=False)
    return np.where(evaluation.feasible, objective.values(evaluation.metrics)[:, 0], np.nan)


def _stored_front(problem: Problem, points: list[dict[str, Any]]) -> Facts:
    """The front, thinned out evenly, and its corners."""
    signs = {t.metric: t.weight > 0 for t in problem.objective.terms}
    first = problem.objective.terms[0].metric
    points = sorted(points, key=lambda point: float(point[first]))
    chosen = points
    if len(points) > FRONT:
        chosen = [points[i] for i in np.unique(np.linspace(0, len(points) - 1, FRONT).round().astype(int)).tolist()]
    columns = {name: [float(point[name]) for point in points] for name in signs}
    return {
        "ideal": {name: min(c) if signs[name] else max(c) for name, c in columns.items()},
        "nadir": {name: max(c) if signs[name] else min(c) for name, c in columns.items()},
        "front_size": len(points),
        "front": chosen,
    }


def _upper(k: int, n: int) -> float:
    """Upper end of the 95 % interval of a share, k of n (Clopper and Pearson, Biometrika 26(4), 1934)."""
    from scipy.stats import beta

    return 1.0 if k >= n else float(beta.ppf(_CONFIDENCE, k + 1, n - k))


def _by_budget(pairs: tuple[tuple[int, float], ...]) -> dict[str, float | None]:
    return {str(budget): value if math.isfinite(value) else None for budget, value in pairs}
