"""Agents compared on equal terms: one table a problem and agent, one an agent over all problems."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
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
from .comparison_tables import all_pairs, by_agent, by_problem, by_success
from .curves import Curves, Optimum, curves, optima
from .front_shares import hypervolumes, is_pareto

Floats = npt.NDArray[np.float64]

BUDGETS = (50, 200, 1000, 10_000)


@dataclass(frozen=True, eq=False)
class Comparison:
    """What ``compare`` found.

    Attributes:
        curves: the runs of the longest budget as arrays, of all problems.
        budgets: samples after which agents are judged.
        against: the agent whose runs the probability of improvement refers to.
        by_problem: one row an agent and problem that is scored by gaps. ``track``, ``problem``, ``optimum`` ("exact",
            or "best known": then gaps are from the best of these runs and flatter everybody), ``agent``, ``seeds``;
            ``gap@N``, ``gap@N.low``, ``gap@N.high``: median over seeds and its 95 % interval after N samples;
            ``area``: mean gap over the log of samples, cut off at the median feasible design; ``solved`` and
            ``feasible`` with intervals: shares of runs that end within 1 % of the optimum, and that find anything
            feasible; ``samples_to_feasible`` and ``samples_to_solved``: medians, infinite where most runs never get
            there; ``duplicates``: share of samples; ``ms_per_ask``, ``simulate_ms``: milliseconds of the agent per
            ask and of the evaluator per sample; ``hypervolume@N``: median share of the reference front's with
            its interval, Pareto objectives only.
        by_success: one row an agent and problem in which all limits have to be met and nothing else counts:
            ``success@N``: share of the runs that have met them by one of N samples, ``samples_to_feasible``: median
            over seeds of the samples until then, infinite where most runs never get there, both with intervals; the
            other columns as above.
        by_agent: one row an agent over all problems: ``gap@N``: interquartile mean over problems and seeds with its
            interval; ``gap90@N``: 90th percentile, likewise; ``better`` and ``better_area``: probability of a smaller
            gap than that of ``against`` at the full budget, and of a smaller area, with intervals; ``success@N``: of
            all runs of problems scored by it; the other columns as above.
        gaps: (problems, agents, seeds, budgets) after each of ``budgets``; of a problem that is scored by success only
            whether they are finite counts.
        of_their_own: agents with studies of the shorter budgets, which tell their gaps there.
        planned_longer: agents that plan with their budget and are judged after fewer samples than they planned for.
    """

    curves: Curves
    budgets: tuple[int, ...]
    against: str
    by_problem: pd.DataFrame
    by_success: pd.DataFrame
    by_agent: pd.DataFrame
    gaps: Floats
    of_their_own: tuple[str, ...] = ()
    planned_longer: tuple[str, ...] = ()

    @property
    def conditions(self) -> str:
        """One line that belongs to every table: track, batch, budget, seeds, and where gaps are measured from."""
        c = self.curves
        graded = [p for p in c.problems if not c.optima[p].satisfice]
        source = " or ".join(dict.fromkeys(_source(c.optima[p]) for p in graded))
        ended = f", {len(c.extended)} studies ended early" if c.extended else ""
        planned = f", {' and '.join(self.planned_longer)} planned for {c.budget}" if self.planned_longer else ""
        gaps = f", gap ln(f/f_opt) to {source}" if graded else ""
        return f"track {c.track}, batch {c.batch}, {c.budget} samples, {len(c.seeds)} seeds{gaps}{ended}{planned}"

    def non_inferiority(
        self, agent: str, margin: float, *, budget: int | None = None
    ) -> dict[str, stats.NonInferiority]:
        """Whether an agent is worse than each other one by less than a margin, Holm-corrected; agent -> test.

        On the problems that are scored by gaps; these are cut off at the median feasible design (see
        ``Curves.caps``), so that all are finite.

        Args:
            agent: label of the one that is tested.
            margin: in gap, such as ``math.log(1.05)``.
            budget: one of ``budgets``; None is the last of them.

        Raises:
            UsageError: no such agent or budget, or all problems are scored by success.
        """
        graded = ~self.curves.satisfice
        if not graded.any():
            raise UsageError("non-inferiority: expected a problem that is scored by gaps, all are scored by success")
        if budget is not None and budget not in self.budgets:
            raise UsageError(f"budget: expected one of {', '.join(map(str, self.budgets))}; got {budget}")
        place = -1 if budget is None else self.budgets.index(budget)
        clipped = np.minimum(self.gaps[..., place], self.curves.caps[:, None, None])[graded]
        me = self.curves.agent(agent)
        others = {name: clipped[:, i] for i, name in enumerate(self.curves.agents) if i != me}
        return stats.non_inferiority_to_all(clipped[:, me], others, margin)

    def pairs(self, *, seed: int = 0) -> pd.DataFrame:
        """Every agent against every other on the problems scored by gaps: ``agent``, ``other``, ``better`` and
        ``better_area`` (see ``by_agent``), with intervals.

        Args:
            seed: of the bootstrap.

        Raises:
            UsageError: all problems are scored by success.
        """
        if self.curves.satisfice.all():
            raise UsageError("pairs: expected a problem that is scored by gaps, all are scored by success")
        return all_pairs(self.curves, self.gaps, seed)

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
            "by_success": tables.records(self.by_success),
            "by_agent": tables.records(self.by_agent),
        }

    def to_json(self) -> str:
        """``to_dict`` as text."""
        return json.dumps(self.to_dict(), indent=1)

    def to_markdown(self) -> str:
        """The tables for a document."""
        return "\n\n".join(tables.markdown(title, columns) for title, columns in self.shown()) + "\n"

    def print(self, console: Console | None = None) -> None:
        """The tables for a terminal."""
        console = console or tables.make_console()
        for title, columns in self.shown():
            console.print(title, style="bold", soft_wrap=True)
            tables.columns_table(console, "", columns)

    def shown(self) -> list[tuple[str, dict[str, list[str]]]]:
        """Titles and tables as text, by problem and, last, by agent: names of columns -> cells."""
        out = []
        if len(self.by_problem):
            out.append((f"median gap over seeds [95 %] ({self.conditions})", self._gap_columns()))
        if len(self.by_success):
            out.append((f"all limits met [95 %] ({self.conditions})", self._success_columns()))
        of = [f"interquartile mean gap over {n} problems [95 %]"] if (n := int((~self.curves.satisfice).sum())) else []
        of += [f"all limits met, {n} problems"] if (n := int(self.curves.satisfice.sum())) else []
        return [*out, (f"{'; '.join(of)} ({self.conditions})", self._agent_columns())]

    def _gap_columns(self) -> dict[str, list[str]]:
        frame = self.by_problem
        out = {"problem": list(frame["problem"]), "agent": list(frame["agent"])}
        if not all(o == "exact" for o in frame["optimum"]):
            out["optimum"] = list(frame["optimum"])
        for budget in self.budgets:
            out[f"gap@{budget}"] = _estimates(frame, f"gap@{budget}")
            if f"hypervolume@{budget}" in frame:
                out[f"hypervolume@{budget}"] = _estimates(frame, f"hypervolume@{budget}")
        if (frame["samples_to_feasible"] > 1).any():
            out["samples to feasible"] = [_count(v) for v in frame["samples_to_feasible"]]
        out["area"] = [_gap(v) for v in frame["area"]]
        return out | _solved_columns(frame) | {"feasible found": _percents(frame["feasible"])} | _effort_columns(frame)

    def _success_columns(self) -> dict[str, list[str]]:
        frame = self.by_success
        out = {"problem": list(frame["problem"]), "agent": list(frame["agent"])}
        for budget in self.budgets:
            out[f"limits met@{budget}"] = _estimates(frame, f"success@{budget}", _percent)
        out["samples until met"] = _estimates(frame, "samples_to_feasible", _count)
        return out | _effort_columns(frame)

    def _agent_columns(self) -> dict[str, list[str]]:
        frame = self.by_agent
        out = {"agent": list(frame["agent"])}
        if len(self.by_problem):
            out |= {f"gap@{budget}": _estimates(frame, f"gap@{budget}") for budget in self.budgets}
            out |= {f"90 % of runs@{budget}": _estimates(frame, f"gap90@{budget}") for budget in self.budgets}
            out["area"] = [_gap(v) for v in frame["area"]]
            for what, name in (("better", "better"), ("smaller area", "better_area")):
                out[f"P({what} than {self.against})"] = [
                    "-" if agent == self.against else text
                    for agent, text in zip(frame["agent"], _estimates(frame, name), strict=True)
                ]
            out |= _solved_columns(frame)
        if len(self.by_success):
            out |= {f"limits met@{budget}": _percents(frame[f"success@{budget}"]) for budget in self.budgets}
        return out | {"feasible found": _percents(frame["feasible"])} | _effort_columns(frame)


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
        against = c.agents[_leader(c, at)]
    graded = c.part(~c.satisfice)
    volumes = {p: hypervolumes(runs, c, own, p, chosen) for p in graded.problems if is_pareto(runs, p)}
    of_problems = by_problem(graded, chosen, at[~c.satisfice], volumes)
    of_success = by_success(c.part(c.satisfice), chosen, at[c.satisfice])
    of_agents = by_agent(c, chosen, at, c.agent(against), seed)
    with_own = tuple(c.agents[k] for k in sorted({k for s in own.values() for k in s.places}))
    longer = planned_longer(c, chosen, own)
    return Comparison(c, chosen, against, of_problems, of_success, of_agents, at, with_own, longer)


def _leader(c: Curves, at: Floats) -> int:
    """The agent with the smallest interquartile mean gap at the end, or where no gap is measured, most success."""
    final = at[..., -1].swapaxes(0, 1)
    if c.satisfice.all():
        return int(np.argmax(np.isfinite(final).mean(axis=(1, 2))))
    return int(np.argmin(stats.iqm(final[:, ~c.satisfice].reshape(len(c.agents), -1))))


def _source(optimum: Optimum) -> str:
    if optimum.exact:
        return "exact optima"
    return "the suite's best known" if optimum.suite else "the best known of these runs"


def _estimates(frame: pd.DataFrame, name: str, text: Callable[[float], str] | None = None) -> list[str]:
    columns, text = (frame[name], frame[f"{name}.low"], frame[f"{name}.high"]), text or _gap
    cells = zip(*columns, strict=True)
    return ["-" if math.isnan(v) else f"{text(v)} [{text(low)}, {text(high)}]" for v, low, high in cells]


def _solved_columns(frame: pd.DataFrame) -> dict[str, list[str]]:
    return {"within 1 %": _percents(frame["solved"]), "samples to 1 %": [_count(v) for v in frame["samples_to_solved"]]}


def _effort_columns(frame: pd.DataFrame) -> dict[str, list[str]]:
    times = ["-" if math.isnan(v) else f"{v:.3g}" for v in frame["ms_per_ask"]]
    return {"duplicates": _percents(frame["duplicates"]), "ms/ask": times}


def _percents(column: Any) -> list[str]:
    return [_percent(v) for v in column]


def _percent(value: float) -> str:
    return "-" if math.isnan(value) else f"{100 * value:.0f} %"


def _count(value: float) -> str:
    return "none" if math.isinf(value) else f"{value:g}"


def _gap(value: float) -> str:
    """Three decimals, a thousandth of the objective; "none" where nothing feasible was found."""
    return "-" if math.isnan(value) else "none" if math.isinf(value) else "0" if value == 0 else f"{value:.3f}"
