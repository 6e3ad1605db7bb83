"""The hyperparameter lottery: what the choice of an agent's configuration does to its result, at equal budget."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from archgym import config as configs
from archgym.errors import ArchGymError, UsageError
from archgym.registry import AGENTS
from archgym.runs import Runs

from .curves import Curves, Optimum, curves, optima
from .intervals import LEVEL, Estimate

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Lottery:
    """Final gaps of one agent's configurations (``agents`` of the curves) under the same budget and seeds.

    Attributes:
        agent: name.
        curves: the runs as arrays; its agents are the configurations.
        default: label of the default configuration, or None if it was not run.
    """

    agent: str
    curves: Curves
    default: str | None

    @property
    def finals(self) -> Floats:
        """(problems, configurations, seeds) gap at the end, cut off at the median feasible design (``Curves.caps``)."""
        return np.minimum(self.curves.gaps[..., -1], self.curves.caps[:, None, None])

    def frame(self) -> pd.DataFrame:
        """One row a problem: how much the configuration matters there.

        Columns: ``track``, ``problem``, ``optimum``, ``configurations``, ``seeds``; of the configurations' mean gaps
        over seeds: ``best``, ``q10``, ``median``, ``q90``, ``worst``; ``default`` (its mean gap) and
        ``default_quantile`` (share of the configurations that are better, ties half; missing without a default run);
        ``best_of_K`` for K = 1, 2, 4, …; ``config_share`` with its interval, ``sd_config`` and ``sd_seed`` (see
        ``variance_parts``).
        """
        c, rows = self.curves, []
        for i, problem in enumerate(c.problems):
            means = self.finals[i].mean(axis=1)
            row: dict[str, Any] = {
                "track": c.track,
                "problem": c.titles[i],
                "optimum": "exact" if c.optima[problem].exact else "best known",
                "configurations": len(c.agents),
                "seeds": len(c.seeds),
                "best": means.min(),
                "q10": np.quantile(means, 0.1),
                "median": np.median(means),
                "q90": np.quantile(means, 0.9),
                "worst": means.max(),
                "default": math.nan if self.default is None else means[c.agent(self.default)],
                "default_quantile": math.nan if self.default is None else quantile_of(means, c.agent(self.default)),
            }
            for k in (2**e for e in range(len(c.agents).bit_length())):
                row[f"best_of_{k}"] = expected_best(self.finals[i], k)
            if len(c.agents) > 1 and len(c.seeds) > 1:
                parts = variance_parts(self.finals[i])
                row |= {"config_share": parts.share.value, "config_share.low": parts.share.low}
                row |= {"config_share.high": parts.share.high, "sd_config": parts.sd_config, "sd_seed": parts.sd_seed}
            rows.append(row)
        return pd.DataFrame(rows)


def lottery(
    runs: Runs,
    agent: str,
    *,
    known_optima: Mapping[str, Optimum] | None = None,
    unfinished: str = "refuse",
) -> Lottery:
    """Judge the configurations of one agent that were run.

    Args:
        runs: studies; those of other agents are left aside.
        agent: its name.
        known_optima: see ``compare``.
        unfinished: see ``curves``.

    Raises:
        UsageError: no such studies, or they differ in track, batch, budget or seeds, or all of their problems are
            scored by success: those are left aside, there is no gap.
    """
    frame = runs.studies
    frame = frame[frame["agent"] == agent]
    if frame.empty:
        raise UsageError(f"{runs.folder}: expected studies of agent '{agent}', found none")
    known = optima(runs) if known_optima is None else known_optima  # of all agents, not of this one
    c = curves(runs.select(frame), known_optima=known, unfinished=unfinished)
    if c.satisfice.all():
        raise UsageError(f"{runs.folder}: a lottery measures gaps, {', '.join(c.titles)} is scored by success")
    return Lottery(agent, c.part(~c.satisfice), _default(frame, agent))


def quantile_of(values: Floats, i: int) -> float:
    """Share of the other values that are smaller than the i-th, ties half: 0 is the best, 1 the worst; NaN if alone."""
    others = np.delete(values, i)
    if len(others) == 0:
        return math.nan
    return float((others < values[i]).mean() + 0.5 * (others == values[i]).mean())


def expected_best(gaps: Floats, k: int) -> float:
    """Expected smallest gap of k different configurations, each run once with one seed.

    Unbiased: of all subsets of k of the n configurations, per seed, then the mean over seeds:
    ``sum_i x_(i) C(n - i, k - 1) / C(n, k)`` (Tang et al., "Showing Your Work Doesn't Always Work", ACL 2020). Its
    cost is k budgets.

    Args:
        gaps: (configurations, seeds).
        k: 1 to the number of configurations.
    """
    n = len(gaps)
    if not 1 <= k <= n:
        raise UsageError(f"expected best of k: expected k from 1 to {n} configurations, got {k}")
    weights = np.array([math.comb(n - i, k - 1) / math.comb(n, k) for i in range(1, n + 1)])
    return float((weights @ np.sort(gaps, axis=0)).mean())


@dataclass(frozen=True)
class VarianceParts:
    """Where the spread of final gaps comes from.

    Attributes:
        sd_config: standard deviation between configurations.
        sd_seed: standard deviation between seeds of one configuration.
        share: the configuration's part of the variance of one run, with its 95 % interval.
    """

    sd_config: float
    sd_seed: float
    share: Estimate


def variance_parts(gaps: Floats, *, level: float = LEVEL) -> VarianceParts:
    """Variance components of the balanced one-way random-effects model ``y_ij = mean + config_i + seed_ij``.

    With n configurations, r seeds, the mean squares MSB between and MSW within configurations:
    ``var_seed = MSW``, ``var_config = max(0, (MSB - MSW)/r)``, share = var_config/(var_config + var_seed); the interval
    of the share follows from F = MSB/MSW (S. Searle, G. Casella, C. McCulloch, "Variance Components", 1992,
    chapter 3). It assumes normal effects; gaps are logarithms, but zeros of solved problems make it approximate.

    Args:
        gaps: (configurations, seeds), at least two of each.
    """
    from scipy.special import fdtri

    n, r = gaps.shape
    if n < 2 or r < 2:
        raise UsageError(f"variance parts: expected at least two configurations and two seeds, got {n} and {r}")
    between = r * float(gaps.mean(axis=1).var(ddof=1))
    within = float(gaps.var(axis=1, ddof=1).mean())
    config = max(0.0, (between - within) / r)
    if within == 0.0:
        share = Estimate(math.nan, math.nan, math.nan) if between == 0.0 else Estimate(1.0, 1.0, 1.0)
        return VarianceParts(math.sqrt(config), 0.0, share)

    def part(f: float) -> float:
        return float(max(0.0, (f - 1.0) / (f - 1.0 + r)))

    ratio, freedom = between / within, (n - 1, n * (r - 1))
    low = part(ratio / float(fdtri(*freedom, 0.5 + level / 2)))
    high = part(ratio / float(fdtri(*freedom, 0.5 - level / 2)))
    return VarianceParts(math.sqrt(config), math.sqrt(within), Estimate(config / (config + within), low, high))


def _default(frame: pd.DataFrame, agent: str) -> str | None:
    """Label of the configuration in which every hyperparameter has its default."""
    try:
        known = configs.flat(configs.to_json(AGENTS.load(agent).Config()))
    except (ArchGymError, ImportError):  # not installed here: only "nothing overridden" can be told
        known = {}
    for _, row in frame.drop_duplicates("agent_label").iterrows():
        given = {str(k).removeprefix("config."): v for k, v in row.items() if str(k).startswith("config.")}
        if all(_is_missing(v) or (key in known and v == known[key]) for key, v in given.items()):
            return str(row["agent_label"])
    return None


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))
