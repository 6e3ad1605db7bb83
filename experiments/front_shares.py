"""How much of a Pareto front the runs of a comparison have found, after each budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from archgym.errors import UsageError
from archgym.runs import Runs

from .budgets import Shorter
from .curves import Curves
from .fronts import ReferenceFront, costs

Floats = npt.NDArray[np.float64]


def is_pareto(runs: Runs, problem: str) -> bool:
    """Whether a problem's objective is a trade-off, not one number."""
    return str(runs.problems[problem].objective["name"]).startswith("pareto:")


def hypervolumes(runs: Runs, c: Curves, own: Mapping[int, Shorter], problem: str, budgets: Sequence[int]) -> Floats:
    """Shares (agents, seeds, budgets) of the reference front's hypervolume: of the suite, else of all runs together."""
    terms = runs.problems[problem].terms
    frame = pd.concat([x.studies for x in (c, *(s.curves for s in own.values()))], ignore_index=True)
    frame = frame[frame["problem"] == problem]
    trials = runs.trials(["feasible", *(f"metric.{name}" for name, _ in terms)], frame)
    points = costs({name: trials[f"metric.{name}"] for name, _ in terms}, terms)
    points[~trials["feasible"].to_numpy()] = np.nan
    stored = c.optima[problem].known
    try:
        reference = ReferenceFront.of_known(stored, terms) if stored else ReferenceFront.of(points)
    except UsageError:  # nothing trades off here
        return np.full((len(c.agents), len(c.seeds), len(budgets)), np.nan)
    ends = np.cumsum(frame["samples"].to_numpy())[:-1]
    parts = iter(np.split(points, ends))
    n = len(c.agents) * len(c.seeds)
    found = np.array([reference.hypervolumes(next(parts), budgets) for _ in range(n)])
    found = found.reshape(len(c.agents), len(c.seeds), len(budgets))
    for budget, s in own.items():
        shape = (len(s.places), len(s.curves.seeds))
        shares = np.array([reference.hypervolumes(next(parts), [budget])[0] for _ in range(shape[0] * shape[1])])
        if budget in budgets:
            found[..., list(budgets).index(budget)][list(s.places)] = shares.reshape(shape)[:, list(s.seeds)]
    return found
