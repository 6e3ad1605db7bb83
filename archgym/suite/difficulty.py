"""How hard a problem is: exact optimum and front, how rare good designs are, how far random search gets."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from archgym import rng
from archgym.errors import UsageError
from archgym.executor import Executor, Serial
from archgym.pareto import front
from archgym.problem import Problem
from archgym.space import Level
from archgym.table import LARGEST

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

BUDGETS = (50, 200, 1000)
RUNS = 1001  # odd: the median is one of them
_CHUNK = 32768


@dataclass(frozen=True)
class Difficulty:
    """What enumeration tells about a problem.

    The *value* of a design is what the objective minimises, as one number (of a Pareto objective the product
    of its terms); its *gap* is (value - best) / \\|best\\|, 0 at the optimum.

    Attributes:
        problem: label.
        fingerprint: of the problem.
        designs: raw designs, forbidden ones included.
        distinct: canonical, allowed designs.
        feasible: those of them that are feasible.
        best_value: the optimum, in the metrics' own units.
        best: all distinct designs that attain it, in lexicographic order.
        within_1_percent, within_5_percent: share of the feasible designs with a gap up to 0.01 or 0.05.
        random_gaps: (budget, median gap of random search after so many samples); infinite where most
            searches find nothing feasible.
        random_success: (budget, share of the random searches that have found something feasible).
        front: the objective's terms as one Pareto front, sorted by the first: (design, metric -> value).
        ideal: best value of each term on the front.
        nadir: worst value of each term on the front.
    """

    problem: str
    fingerprint: str
    designs: int
    distinct: int
    feasible: int
    best_value: float
    best: tuple[dict[str, Level], ...]
    within_1_percent: float
    within_5_percent: float
    random_gaps: tuple[tuple[int, float], ...]
    random_success: tuple[tuple[int, float], ...]
    front: tuple[tuple[dict[str, Level], dict[str, float]], ...]
    ideal: dict[str, float]
    nadir: dict[str, float]

    @property
    def feasible_share(self) -> float:
        """Feasible designs among the distinct ones."""
        return self.feasible / self.distinct

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {**dataclasses.asdict(self), "feasible_share": self.feasible_share}


def difficulty(
    problem: Problem,
    *,
    budgets: Sequence[int] = BUDGETS,
    runs: int = RUNS,
    seed: int = 0,
    executor: Executor | None = None,
    on_chunk: Callable[[int, int], None] | None = None,
) -> Difficulty:
    """Enumerate a problem, fast where its simulator is a table.

    Args:
        problem: deterministic, of at most `LARGEST` raw designs.
        budgets: samples after which random search is judged.
        runs: random searches whose median is taken; odd.
        seed: of the random searches.
        executor: where simulations run.
        on_chunk: called with (designs scored, distinct designs).

    Raises:
        UsageError: too many designs, a simulator that is not deterministic, or nothing feasible.
    """
    if problem.space.size > LARGEST:
        raise UsageError(
            f"{problem.spec.label}: {problem.space.size:.3g} designs, expected at most {LARGEST:,}; restrict"
        )
    if not problem.simulator.deterministic:
        raise UsageError(f"{problem.spec.label}: its simulator is not deterministic, so it has no exact optimum")
    if min(budgets, default=0) < 1 or runs < 1 or runs % 2 == 0:
        raise UsageError(f"difficulty: expected budgets of at least 1 and an odd number of runs, got {budgets}, {runs}")
    ranks, copies = _distinct(problem)
    values, terms = _score(problem, ranks, executor or Serial(), on_chunk)
    feasible = ~np.isnan(values)
    if not feasible.any():
        raise UsageError(f"{problem.spec.label}: none of its {len(ranks)} designs is feasible")
    best = float(np.nanmin(values))
    gaps = np.where(feasible, (values - best) / abs(best), np.inf)
    searches = random_search_gaps(gaps, copies, budgets, runs=runs, seed=seed)
    medians = np.sort(searches, axis=0)[runs // 2]
    names = [t.metric for t in problem.objective.terms]
    signs = np.array([1.0 if t.weight > 0 else -1.0 for t in problem.objective.terms])
    kept = front(terms * signs)
    points = terms[kept]

    def design(i: int) -> dict[str, Level]:
        return problem.space.design(problem.space.unrank(ranks[i : i + 1])[0])

    def point(i: int) -> dict[str, float]:
        return dict(zip(names, terms[i].tolist(), strict=True))

    return Difficulty(
        problem.spec.label,
        problem.fingerprint,
        problem.space.size,
        len(ranks),
        int(feasible.sum()),
        best,
        tuple(design(i) for i in np.flatnonzero(values == best).tolist()),
        float((gaps <= 0.01).sum() / feasible.sum()),
        float((gaps <= 0.05).sum() / feasible.sum()),
        tuple(zip(budgets, medians.tolist(), strict=True)),
        tuple(zip(budgets, np.isfinite(searches).mean(axis=0).tolist(), strict=True)),
        tuple((design(i), point(i)) for i in kept.tolist()),
        dict(zip(names, (signs * (points * signs).min(axis=0)).tolist(), strict=True)),
        dict(zip(names, (signs * (points * signs).max(axis=0)).tolist(), strict=True)),
    )


def random_search_gaps(gaps: Floats, copies: Ints, budgets: Sequence[int], *, runs: int, seed: int) -> Floats:
    """Best gap (runs, len(budgets)) that random searches of an enumerated space have seen after each budget.

    As the agent ``random`` does it: raw designs are drawn uniformly, those seen before do not count. The
    order in which distinct designs appear is that of independent exponential waiting times with their numbers
    of raw designs as rates (Efraimidis and Spirakis, Information Processing Letters 97(5), 2006), so that no
    draw has to be repeated.

    Args:
        gaps: (k,) of each distinct design; infinite where infeasible.
        copies: (k,) raw designs of each.
        budgets: samples; a search that has seen everything stays at the optimum.
        runs: number of searches.
        seed: of their streams.
    """
    most = min(max(budgets), len(gaps))
    rows = [min(budget, most) - 1 for budget in budgets]
    out = np.empty((runs, len(budgets)))
    for run in range(runs):
        waiting = rng.generator(seed, "difficulty", run).standard_exponential(len(gaps)) / copies
        seen = np.argpartition(waiting, most - 1)[:most]
        seen = seen[np.argsort(waiting[seen], kind="stable")]
        out[run] = np.minimum.accumulate(gaps[seen])[rows]
    return out


def _distinct(problem: Problem) -> tuple[Ints, Ints]:
    """Ranks of the canonical designs (k,) ascending, and how many allowed raw designs each stands for (k,)."""
    space, parts = problem.space, []
    for start in range(0, space.size, _CHUNK):
        codes = space.unrank(range(start, min(start + _CHUNK, space.size)))
        parts.append(space.keys(space.canonical(codes[space.is_allowed(codes)])))
    ranks, copies = np.unique(np.concatenate(parts), return_counts=True)
    return ranks, copies


def _score(
    problem: Problem, ranks: Ints, workers: Executor, on_chunk: Callable[[int, int], None] | None
) -> tuple[Floats, Floats]:
    """Value (k,) and objective's terms (k, t) of designs; NaN where infeasible."""
    objective = replace(problem.objective, pareto=False)
    values, terms = [], []
    for start in range(0, len(ranks), _CHUNK):
        codes = problem.space.unrank(ranks[start : start + _CHUNK])
        e = problem.score(codes, workers.simulate(problem, codes, None))
        columns = np.stack([e.metrics[t.metric] for t in objective.terms], axis=1)
        values.append(np.where(e.feasible, objective.values(e.metrics)[:, 0], np.nan))
        terms.append(np.where(e.feasible[:, None], columns, np.nan))
        if on_chunk is not None:
            on_chunk(start + len(codes), len(ranks))
    return np.concatenate(values), np.concatenate(terms)
