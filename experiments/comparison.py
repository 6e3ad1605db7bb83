"""Agents compared on equal terms: one table a problem and agent, one an agent over all problems."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from rich.console import Console

from archgym.errors import UsageError
from archgym.runs import Runs

from . import stats, tables
from .budgets import by_budget, gaps_at, planned_longer, shorter_curves
from .curves import Curves, Optimum, curves, optima
from .front_shares import hypervolumes, is_pareto
from .gaps import area_under_curves, duplicate_share, samples_to_feasible, samples_to_gap
from .intervals import Estimate, median_interval, share_interval

Floats = npt.NDArray[np.float64]

BUDGETS = (50, 200, 1000, 10_000)
SOLVED = math.log(1.01)  # within 1 % of the optimum


@dataclass(frozen=True, eq=False)
class Comparison:
    """What ``compare`` found.

    Attributes:
        curves: the runs of the longest budget as arrays.
        budgets: samples after which agents are judged.
        against: the agent whose runs the probability of improvement refers to.
        by_problem: one row a problem and agent. ``track``, ``problem``, ``optimum`` ("exact", or "best known": then
            gaps are from the best of these runs and flatter everybody), ``agent``, ``seeds``; ``gap@N``, ``gap@N.low``,
            ``gap@N.high``: median over seeds and its 95 % interval after N samples; ``area``: mean gap over the log
            of samples, cut off at the median feasible design; ``solved`` and ``feasible`` with intervals: shares of
            runs that end within 1 % of the optimum, and that find anything feasible; ``samples_to_feasible`` and
            ``samples_to_solved``: medians, infinite where most runs never get there;
            ``duplicates``: share of samples; ``ms_per_ask``, ``simulate_ms``: milliseconds of the agent per ask and of
            the evaluator per sample; ``hypervolume@N``: median share of the reference front's, Pareto objectives only.
        by_agent: one row an agent over all problems: ``gap@N``: interquartile mean over problems and seeds with its
            interval; ``gap90@N``: 90th percentile; ``better``: probability of improvement over ``against`` at the full
            budget, with interval; the other columns as above, of all runs.
        gaps: (problems, agents, seeds, budgets) after each of ``budgets``.
        of_their_own: agents with studies of the shorter budgets, which tell their gaps there.
        planned_longer: agents that plan with their budget and are judged after fewer samples than they planned for.
    """

    curves: Curves
    budgets: tuple[int, ...]
    against: str
    by_problem: pd.DataFrame
    by_agent: pd.DataFrame
    gaps: Floats
    of_their_own: tuple[str, ...] = ()
    planned_longer: tuple[str, ...] = ()

    @property
    def conditions(self) -> str:
        """One line that belongs to every table: track, batch, budget, seeds, and where gaps are measured from."""
        c = self.curves
        source = " or ".join(dict.fromkeys(_source(c.optima[p]) for p in c.problems))
        ended = f", {len(c.extended)} studies ended early" if c.extended else ""
        planned = f", {' and '.join(self.planned_longer)} planned for {c.budget}" if self.planned_longer else ""
        return (
            f"track {c.track}, batch {c.batch}, {c.budget} samples, {len(c.seeds)} seeds, "
            f"gap ln(f/f_opt) to {source}{ended}{planned}"
        )

    def non_inferiority(
        self, agent: str, margin: float, *, budget: int | None = None
    ) -> dict[str, stats.NonInferiority]:
        """Whether an agent is worse than each other one by less than a margin, Holm-corrected; agent -> test.

        Gaps are cut off at the median feasible design (see ``Curves.caps``), so that all are finite.

        Args:
            agent: label of the one that is tested.
            margin: in gap, such as ``math.log(1.05)``.
            budget: one of ``budgets``; None is the last of them.

        Raises:
            UsageError: no such agent or budget.
        """
        if budget is not None and budget not in self.budgets:
            raise UsageError(f"budget: expected one of {', '.join(map(str, self.budgets))}; got {budget}")
        place = -1 if budget is None else self.budgets.index(budget)
        clipped = np.minimum(self.gaps[..., place], self.curves.caps[:, None, None])
        me = self.curves.agent(agent)
        others = {name: clipped[:, i] for i, name in enumerate(self.curves.agents) if i != me}
        return stats.non_inferiority_to_all(clipped[:, me], others, margin)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; numbers that do not exist or are infinite are null."""
        return {
            "track": self.curves.track,
            "batch": self.curves.batch,
            "budget": self.curves.budget,
            "budgets": list(self.budgets),
            "seeds": list(self.curves.seeds),
            "against": self.against,
            "conditions": self.conditions,
            "by_problem": tables.records(self.by_problem),
            "by_agent": tables.records(self.by_agent),
        }

    def to_json(self) -> str:
        """``to_dict`` as text."""
        return json.dumps(self.to_dict(), indent=1)

    def to_markdown(self) -> str:
        """Both tables for a document."""
        return "\n\n".join(tables.markdown(title, columns) for title, columns in self.shown()) + "\n"

    def print(self, console: Console | None = None) -> None:
        """Both tables for a terminal."""
        console = console or tables.make_console()
        for title, columns in self.shown():
            console.print(title, style="bold", soft_wrap=True)
            tables.columns_table(console, "", columns)

    def shown(self) -> list[tuple[str, dict[str, list[str]]]]:
        """Titles and tables as text, by problem and by agent: names of columns -> cells."""
        one = {"problem": list(self.by_problem["problem"]), "agent": list(self.by_problem["agent"])}
        if not all(o == "exact" for o in self.by_problem["optimum"]):
            one["optimum"] = list(self.by_problem["optimum"])
        all_of = {"agent": list(self.by_agent["agent"])}
        last = self.budgets[-1]
        for budget in self.budgets:
            one[f"gap@{budget}"] = _estimates(self.by_problem, f"gap@{budget}")
            if f"hypervolume@{budget}" in self.by_problem:
                one[f"hypervolume@{budget}"] = [_gap(v) for v in self.by_problem[f"hypervolume@{budget}"]]
            all_of[f"gap@{budget}"] = _estimates(self.by_agent, f"gap@{budget}")
        all_of[f"90 % of runs@{last}"] = [_gap(v) for v in self.by_agent[f"gap90@{last}"]]
        all_of[f"P(better than {self.against})"] = [
            "-" if name == self.against else text
            for name, text in zip(self.by_agent["agent"], _estimates(self.by_agent, "better"), strict=True)
        ]
        if (self.by_problem["samples_to_feasible"] > 1).any():
            first = self.by_problem["samples_to_feasible"]
            one["samples to feasible"] = ["none" if math.isinf(v) else f"{v:g}" for v in first]
        for frame, out in ((self.by_problem, one), (self.by_agent, all_of)):
            out["within 1 %"] = _percents(frame["solved"])
            out["feasible found"] = _percents(frame["feasible"])
            out["duplicates"] = _percents(frame["duplicates"])
            out["ms/ask"] = ["-" if math.isnan(v) else f"{v:.3g}" for v in frame["ms_per_ask"]]
        return [
            (f"median gap over seeds [95 %] ({self.conditions})", one),
            (f"interquartile mean gap over {len(self.curves.problems)} problems [95 %] ({self.conditions})", all_of),
        ]


def compare(
    runs: Runs,
    *,
    agents: Sequence[str] | None = None,
    budgets: Sequence[int] | None = None,
    against: str | None = None,
    known_optima: Mapping[str, Optimum] | None = None,
    unfinished: str = "refuse",
    seed: int = 0,
) -> Comparison:
    """Compare agents on the problems that all of them ran.

    Args:
        runs: studies of one track and batch, with the same seeds of every agent on every problem. All agents need
            studies of the longest budget; where an agent has some of a shorter one as well, these tell its gap then.
        agents: labels to compare; None is all.
        budgets: samples after which they are judged; None is 50, 200, 1000, 10000 as far as they go, and the budgets
            of the studies.
        against: the agent that others are held against; None is the best by interquartile mean at the end.
        known_optima: problem label -> Optimum; None takes those of the suite, else the best known among the runs.
        unfinished: see ``curves``.
        seed: of the bootstrap.

    Raises:
        UsageError: studies that cannot be compared: mixed tracks, batches or budgets, missing or repeated seeds.
    """
    longest, shorter = by_budget(runs, agents)
    known = optima(runs) if known_optima is None else known_optima  # of all studies, whatever their budget
    c = curves(longest, agents=agents, known_optima=known, unfinished=unfinished)
    own = shorter_curves(c, shorter, known, unfinished)
    usual = {b for b in BUDGETS if b < c.budget} | {*own, c.budget}
    chosen = tuple(sorted(set(budgets) if budgets else usual))
    at = gaps_at(c, chosen, own)  # (problems, agents, seeds, budgets)
    if against is None:
        against = c.agents[int(np.argmin(stats.iqm(at[..., -1].swapaxes(0, 1).reshape(len(c.agents), -1))))]
    area = area_under_curves(np.minimum(c.gaps, c.caps[:, None, None, None]), np.inf)
    volumes = {p: hypervolumes(runs, c, own, p, chosen) for p in c.problems if is_pareto(runs, p)}
    by_agent = _by_agent(c, chosen, at, area, c.agent(against), seed)
    by_problem = _by_problem(c, chosen, at, area, volumes)
    with_own = tuple(c.agents[k] for k in sorted({k for s in own.values() for k in s.places}))
    return Comparison(c, chosen, against, by_problem, by_agent, at, with_own, planned_longer(c, chosen, own))


def _source(optimum: Optimum) -> str:
    if optimum.exact:
        return "exact optima"
    return "the suite's best known" if optimum.suite else "the best known of these runs"


def _by_problem(
    c: Curves, budgets: Sequence[int], at: Floats, area: Floats, volumes: Mapping[str, Floats]
) -> pd.DataFrame:
    rows = []
    for i, problem in enumerate(c.problems):
        for k, agent in enumerate(c.agents):
            optimum = "exact" if c.optima[problem].exact else "best known"
            row: dict[str, Any] = {"track": c.track, "problem": c.titles[i], "optimum": optimum}
            row |= {"agent": agent, "seeds": len(c.seeds)}
            for j, budget in enumerate(budgets):
                row |= _cells(f"gap@{budget}", median_interval(at[i, k, :, j]))
                if volumes:  # of the problems with a Pareto objective; the others have an empty cell
                    found = volumes[problem][k, :, j] if problem in volumes else np.array([np.nan])
                    row[f"hypervolume@{budget}"] = float(np.median(found))
            rows.append(row | {"area": float(np.median(area[i, k]))} | _shares(c, i, k))
    return pd.DataFrame(rows)


def _by_agent(c: Curves, budgets: Sequence[int], at: Floats, area: Floats, reference: int, seed: int) -> pd.DataFrame:
    rows = []
    for k, agent in enumerate(c.agents):
        row: dict[str, Any] = {"track": c.track, "agent": agent, "problems": len(c.problems), "seeds": len(c.seeds)}
        for j, budget in enumerate(budgets):
            row |= _cells(f"gap@{budget}", stats.iqm_interval(at[:, k, :, j], seed=seed))
            row |= _cells(f"gap90@{budget}", stats.upper_decile_interval(at[:, k, :, j], seed=seed))
        better = stats.probability_of_improvement(at[:, k, :, -1], at[:, reference, :, -1], seed=seed)
        row |= _cells("better", better if k != reference else Estimate(0.5, 0.5, 0.5))
        rows.append(row | {"area": float(stats.iqm(area[:, k].reshape(-1)))} | _shares(c, None, k))
    return pd.DataFrame(rows)


def _cells(name: str, estimate: Estimate) -> dict[str, float]:
    return {name: estimate.value, f"{name}.low": estimate.low, f"{name}.high": estimate.high}


def _shares(c: Curves, problem: int | None, agent: int) -> dict[str, float]:
    """Success, duplicates and times of an agent's runs on one problem, or on all of them."""
    rows = slice(None) if problem is None else slice(problem, problem + 1)
    gaps, found = c.gaps[rows, agent], samples_to_feasible(c.rewards[rows, agent]).ravel()
    frame = c.studies[c.studies["agent_label"] == c.agents[agent]]
    if problem is not None:
        frame = frame[frame["problem"] == c.problems[problem]]
    samples = frame["samples"].to_numpy()
    asks = np.ceil(samples / c.batch).sum()
    solved = share_interval(int((gaps[..., -1] <= SOLVED).sum()), found.size)
    feasible = share_interval(int(np.isfinite(found).sum()), found.size)
    return {
        **_cells("solved", solved),
        **_cells("feasible", feasible),
        "samples_to_feasible": median_interval(found).value,
        "samples_to_solved": median_interval(samples_to_gap(gaps, SOLVED).ravel()).value,
        "duplicates": float(duplicate_share(samples.sum(), frame["unique"].sum())),
        "ms_per_ask": 1e3 * float(frame["suggest_s"].sum(skipna=False)) / asks,
        "simulate_ms": 1e3 * float(frame["simulate_s"].sum(skipna=False)) / float(samples.sum()),
    }


def _estimates(frame: pd.DataFrame, name: str) -> list[str]:
    columns = (frame[name], frame[f"{name}.low"], frame[f"{name}.high"])
    return [f"{_gap(v)} [{_gap(low)}, {_gap(high)}]" for v, low, high in zip(*columns, strict=True)]


def _percents(column: Any) -> list[str]:
    return ["-" if math.isnan(v) else f"{100 * v:.0f} %" for v in column]


def _gap(value: float) -> str:
    """Three decimals, a thousandth of the objective; "none" where nothing feasible was found."""
    return "-" if math.isnan(value) else "none" if math.isinf(value) else "0" if value == 0 else f"{value:.3f}"
