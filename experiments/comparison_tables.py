"""What the agents of a comparison reached, as numbers: one row a problem and agent, one an agent over all problems.

The columns are those of `archgym.experiments.comparison.Comparison`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from . import stats
from .curves import Curves
from .gaps import area_under_curves, duplicate_share, samples_to_feasible, samples_to_gap
from .intervals import Estimate, median_interval, share_interval

Floats = npt.NDArray[np.float64]

SOLVED = math.log(1.01)  # within 1 % of the optimum
_NOTHING = Estimate(math.nan, math.nan, math.nan)


def by_problem(c: Curves, budgets: Sequence[int], at: Floats, volumes: Mapping[str, Floats]) -> pd.DataFrame:
    """Gaps at the budgets, (problems, agents, seeds, budgets); shares of the front's hypervolume by problem."""
    rows = []
    for i, problem in enumerate(c.problems):
        one = c.part([i])
        for k, agent in enumerate(c.agents):
            optimum = "exact" if c.optima[problem].exact else "best known"
            row: dict[str, Any] = {"track": c.track, "problem": c.titles[i], "optimum": optimum}
            row |= {"agent": agent, "seeds": len(c.seeds)}
            for j, budget in enumerate(budgets):
                row |= _cells(f"gap@{budget}", median_interval(at[i, k, :, j]))
                if volumes:  # of the problems with a Pareto objective; the others have an empty cell
                    known = median_interval(volumes[problem][k, :, j]) if problem in volumes else _NOTHING
                    row |= _cells(f"hypervolume@{budget}", known)
            row["area"] = float(np.median(_areas(one, k)))
            rows.append(row | _solved(one, k) | _found(one, k) | _effort(one, k))
    return pd.DataFrame(rows)


def by_success(c: Curves, budgets: Sequence[int], at: Floats) -> pd.DataFrame:
    """Problems scored by success; gaps at the budgets, (problems, agents, seeds, budgets), infinite before it."""
    rows = []
    for i, title in enumerate(c.titles):
        one = c.part([i])
        for k, agent in enumerate(c.agents):
            row: dict[str, Any] = {"track": c.track, "problem": title, "agent": agent, "seeds": len(c.seeds)}
            row |= _successes(at[i, k], budgets)
            until = median_interval(samples_to_feasible(one.rewards[0, k]))
            rows.append(row | _cells("samples_to_feasible", until) | _effort(one, k))
    return pd.DataFrame(rows)


def by_agent(c: Curves, budgets: Sequence[int], at: Floats, reference: int, seed: int) -> pd.DataFrame:
    """All problems together; the place of the agent that others are held against, and the bootstrap's seed."""
    rows, graded, gaps = [], c.part(~c.satisfice), at[~c.satisfice]
    for k, agent in enumerate(c.agents):
        row: dict[str, Any] = {"track": c.track, "agent": agent, "problems": len(c.problems), "seeds": len(c.seeds)}
        if len(gaps):
            for j, budget in enumerate(budgets):
                row |= _cells(f"gap@{budget}", stats.iqm_interval(gaps[:, k, :, j], seed=seed))
                row |= _cells(f"gap90@{budget}", stats.upper_decile_interval(gaps[:, k, :, j], seed=seed))
            better = stats.probability_of_improvement(gaps[:, k, :, -1], gaps[:, reference, :, -1], seed=seed)
            areas = _areas(graded, k)
            smaller = stats.probability_of_improvement(areas, _areas(graded, reference), seed=seed)
            itself = Estimate(0.5, 0.5, 0.5)
            row |= _cells("better", better if k != reference else itself)
            row |= _cells("better_area", smaller if k != reference else itself)
            row |= {"area": float(stats.iqm(areas.ravel()))} | _solved(graded, k)
        if c.satisfice.any():
            row |= _successes(at[c.satisfice, k].reshape(-1, len(budgets)), budgets)
        rows.append(row | _found(c, k) | _effort(c, k))
    return pd.DataFrame(rows)


def all_pairs(c: Curves, at: Floats, seed: int) -> pd.DataFrame:
    """One row for each ordered pair of agents: the probability that a run of the first ends with a smaller gap
    (``better``), and has a smaller area (``better_area``), than one of the second on the same problem; with intervals.
    Problems scored by success are left out."""
    graded, final = c.part(~c.satisfice), at[~c.satisfice][..., -1]
    areas = [_areas(graded, k) for k in range(len(c.agents))]
    rows = []
    for i, k in itertools.permutations(range(len(c.agents)), 2):
        row: dict[str, Any] = {"agent": c.agents[i], "other": c.agents[k]}
        row |= _cells("better", stats.probability_of_improvement(final[:, i], final[:, k], seed=seed))
        rows.append(row | _cells("better_area", stats.probability_of_improvement(areas[i], areas[k], seed=seed)))
    return pd.DataFrame(rows)


def _cells(name: str, estimate: Estimate) -> dict[str, float]:
    return {name: estimate.value, f"{name}.low": estimate.low, f"{name}.high": estimate.high}


def _areas(c: Curves, agent: int) -> Floats:
    return area_under_curves(np.minimum(c.gaps[:, agent], c.caps[:, None, None]), np.inf)


def _successes(gaps: Floats, budgets: Sequence[int]) -> dict[str, float]:
    """Shares of the runs (runs, budgets) that have found anything feasible."""
    cells = [
        _cells(f"success@{budget}", share_interval(int(np.isfinite(gaps[:, j]).sum()), len(gaps)))
        for j, budget in enumerate(budgets)
    ]
    return {name: value for each in cells for name, value in each.items()}


def _solved(c: Curves, agent: int) -> dict[str, float]:
    gaps = c.gaps[:, agent]
    solved = gaps[..., -1] <= SOLVED
    until = median_interval(samples_to_gap(gaps, SOLVED).ravel()).value
    return _cells("solved", share_interval(int(solved.sum()), solved.size)) | {"samples_to_solved": until}


def _found(c: Curves, agent: int) -> dict[str, float]:
    until = samples_to_feasible(c.rewards[:, agent]).ravel()
    feasible = share_interval(int(np.isfinite(until).sum()), until.size)
    return _cells("feasible", feasible) | {"samples_to_feasible": median_interval(until).value}


def _effort(c: Curves, agent: int) -> dict[str, float]:
    """Duplicates and times of an agent's runs."""
    frame = c.studies[c.studies["agent_label"] == c.agents[agent]]
    samples = frame["samples"].to_numpy()
    asks = np.ceil(samples / c.batch).sum()
    return {
        "duplicates": float(duplicate_share(samples.sum(), frame["unique"].sum())),
        "ms_per_ask": 1e3 * float(frame["suggest_s"].sum(skipna=False)) / asks,
        "simulate_ms": 1e3 * float(frame["simulate_s"].sum(skipna=False)) / float(samples.sum()),
    }
