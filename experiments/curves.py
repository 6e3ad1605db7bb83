"""The studies of a comparison as one array: problems x agents x seeds x samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from archgym.errors import UsageError
from archgym.runs import Runs
from archgym.suite.problems import SUITE, stored_facts

from .gaps import gap_curves, suggest_seconds

Floats = npt.NDArray[np.float64]

UNFINISHED = ("refuse", "drop", "extend")


@dataclass(frozen=True)
class Optimum:
    """What gaps on a problem are measured from.

    Attributes:
        reward: of the best design.
        exact: by enumeration; else it is the best known: of all runs at hand, and of what the suite has stored.
        suite: name of the suite problem and ``~N`` of a variant, or "".
        median_gap: of the feasible designs, where known: where a search that has found nothing is put.
        known: what is stored with the suite problem, if its optimum is exact: front, shares. Designs are given in
            its codes, which are not those of a variant.
        satisfice: meeting every limit is all that is asked; no gap is measured, success and samples are.
    """

    reward: float
    exact: bool
    suite: str = ""
    median_gap: float | None = None
    known: Mapping[str, Any] | None = None
    satisfice: bool = False


def optima(runs: Runs) -> dict[str, Optimum]:
    """Problem label -> its Optimum: exact for the suite's enumerated problems, else the best known.

    A variant has the optimum of the problem that it disguises. Problems outside the suite on which no run found
    anything feasible are left out.
    """
    stored = {found["fingerprint"]: (name, found) for name in SUITE if (found := stored_facts(name)) is not None}
    best = runs.studies.groupby("problem")["best_reward"].max().dropna()
    out: dict[str, Optimum] = {}
    for label, problem in runs.problems.items():
        if problem.variant_of in stored:
            name, found = stored[problem.variant_of]
            reward, exact = found["optimum"]["reward"], found["optimum_kind"] == "exact"
            reward = reward if exact else max(reward, best.get(label, reward))  # a run may beat the best known
            title = f"{name}~{problem.variant}" if problem.variant else name
            facts = found if exact else None
            out[label] = Optimum(reward, exact, title, found["median_gap"], facts, SUITE[name].satisfice)
        elif label in best:
            out[label] = Optimum(float(best[label]), False)
    return out


@dataclass(frozen=True, eq=False)
class Curves:
    """Studies of several agents on several problems with the same seeds, budget, batch and track.

    Attributes:
        problems, agents, seeds: what the axes of the arrays mean; agents by ``agent_label``.
        gaps: (problems, agents, seeds, budget) gap of the best so far; infinite before anything feasible.
        rewards: of the same shape, of every sample; NaN where infeasible.
        suggest: of the same shape, cumulated seconds of the agent; NaN where they were not timed.
        studies: the rows of ``Runs.studies``, in the order of the arrays.
        optima: problem -> what its gaps are measured from.
        track, batch, budget: of all studies.
        extended: names of studies that ended before their budget and keep their last gap until then.
    """

    problems: tuple[str, ...]
    agents: tuple[str, ...]
    seeds: tuple[int, ...]
    gaps: Floats
    rewards: Floats
    suggest: Floats
    studies: pd.DataFrame
    optima: Mapping[str, Optimum]
    track: str
    batch: int
    budget: int
    extended: tuple[str, ...] = ()

    @property
    def caps(self) -> Floats:
        """Per problem (problems,) the gap at which curves are cut off where a number is needed.

        The median gap of all feasible designs where it is known (a random feasible design), else the largest
        finite gap of any run.
        """
        out = np.empty(len(self.problems))
        for i, problem in enumerate(self.problems):
            finite = self.gaps[i][np.isfinite(self.gaps[i])]
            stored = self.optima[problem].median_gap
            out[i] = stored if stored is not None else finite.max() if finite.size else np.inf
        return out

    @property
    def titles(self) -> tuple[str, ...]:
        """How problems (problems,) are called in tables and pictures: by their name in the suite, if they have one."""
        return tuple(self.optima[p].suite or p for p in self.problems)

    @property
    def satisfice(self) -> npt.NDArray[np.bool_]:
        """Per problem (problems,) whether it is scored by success; the others are by their gaps."""
        return np.array([self.optima[p].satisfice for p in self.problems], np.bool_)

    def part(self, problems: Sequence[int] | npt.NDArray[Any]) -> Curves:
        """Some of the problems, by their places or by a mask."""
        rows = np.arange(len(self.problems))[np.asarray(problems)].tolist()
        names = tuple(self.problems[i] for i in rows)
        return replace(
            self,
            problems=names,
            gaps=self.gaps[rows],
            rewards=self.rewards[rows],
            suggest=self.suggest[rows],
            studies=self.studies[self.studies["problem"].isin(names)].reset_index(drop=True),
        )

    def agent(self, label: str) -> int:
        """The place of an agent.

        Raises:
            UsageError: not among them.
        """
        return _place("agent", label, self.agents)

    def problem(self, label: str) -> int:
        """The place of a problem.

        Raises:
            UsageError: not among them.
        """
        return _place("problem", label, self.problems)


def _place(kind: str, label: str, known: Sequence[str]) -> int:
    if label not in known:
        raise UsageError(f"{kind}: expected one of {', '.join(known)}; got '{label}'")
    return known.index(label)


def curves(
    runs: Runs,
    *,
    agents: Sequence[str] | None = None,
    known_optima: Mapping[str, Optimum] | None = None,
    unfinished: str = "refuse",
) -> Curves:
    """Arrange studies into arrays.

    Args:
        runs: studies of one track, batch and budget; ``Runs.select`` chooses them.
        agents: labels, in this order; None is all of them, sorted.
        known_optima: problem label -> Optimum; None is ``optima(runs)``.
        unfinished: what becomes of studies shorter than their budget: ``"refuse"``; ``"drop"`` leaves their seeds out
            for every agent and problem; ``"extend"`` keeps their last gap (for an agent that had seen the whole space).

    Raises:
        UsageError: mixed tracks, batches or budgets; a seed that some agent lacks on some problem; or repeated.
    """
    if unfinished not in UNFINISHED:
        raise UsageError(f"unfinished: expected one of {', '.join(UNFINISHED)}; got '{unfinished}'")
    frame = runs.studies
    if agents is not None:
        frame = frame[frame["agent_label"].isin(agents)]
    if frame.empty:
        raise UsageError(
            f"{runs.folder}: expected studies to compare, found none{' of these agents' if agents else ''}"
        )
    track, batch, budget = (_single(frame, name) for name in ("track", "batch", "budget"))
    short = frame.loc[~frame["finished"], ["study", "seed"]]
    if len(short) and unfinished == "refuse":
        raise UsageError(
            f"{len(short)} studies are shorter than their budget, such as {short['study'].iloc[0]}: finish them, or "
            "leave their seeds out (unfinished='drop') or keep their last result (unfinished='extend')"
        )
    if unfinished == "drop":
        frame = frame[~frame["seed"].isin(short["seed"])]
    names = tuple(agents) if agents is not None else tuple(sorted(frame["agent_label"].unique()))
    found = dict(optima(runs) if known_optima is None else known_optima)
    problems = tuple(sorted(frame["problem"].unique()))
    if missing := [p for p in problems if p not in found]:
        raise UsageError(f"{missing[0]}: no run found anything feasible, so there is nothing to measure gaps from")
    frame, seeds = _complete(frame, problems, names)
    shape = (len(problems), len(names), len(seeds), int(budget))
    rewards = _table(runs.rewards(), frame, int(budget)).reshape(shape)
    gaps = np.empty(shape)
    for i, problem in enumerate(problems):
        gaps[i] = gap_curves(rewards[i], found[problem].reward, has_targets=runs.problems[problem].has_targets)
    suggest = _suggest(runs.select(frame), frame, int(budget)).reshape(shape)
    kept = tuple(frame.loc[~frame["finished"], "study"])
    return Curves(
        problems, names, seeds, gaps, rewards, suggest, frame, found, str(track), int(batch), int(budget), kept
    )


def _single(frame: pd.DataFrame, name: str) -> Any:
    values = frame[name].unique().tolist()
    if len(values) != 1 or pd.isna(values[0]):
        shown = ", ".join(str(v) for v in values)
        raise UsageError(f'a comparison needs one {name}, got {shown}: choose some with Runs.select("{name} == …")')
    return values[0]


def _complete(
    frame: pd.DataFrame, problems: Sequence[str], agents: Sequence[str]
) -> tuple[pd.DataFrame, tuple[int, ...]]:
    """The studies sorted by problem, agent and seed, if every combination exists exactly once."""
    seeds = tuple(int(s) for s in np.sort(frame["seed"].unique()))
    counts = frame.groupby(["problem", "agent_label", "seed"]).size()
    if (counts > 1).any():
        problem, agent, seed = counts[counts > 1].index[0]
        raise UsageError(f"{problem}: {agent} has {counts.max()} studies with seed {seed}; keep one of them")
    index = pd.MultiIndex.from_product([problems, agents, seeds], names=counts.index.names)
    if len(absent := index.difference(list(counts.index))):
        problem, agent, seed = absent[0]
        raise UsageError(
            f"{problem}: {agent} lacks seed {seed} ({len(absent)} of {len(index)} studies are missing); every agent "
            "needs the same seeds on every problem"
        )
    return frame.set_index(list(counts.index.names), drop=False).loc[index].reset_index(drop=True), seeds


def _table(columns: Mapping[str, Floats], frame: pd.DataFrame, budget: int) -> Floats:
    """Rows (studies, budget) of rewards; NaN after the end of a short study."""
    out = np.full((len(frame), budget), np.nan)
    for i, name in enumerate(frame["study"]):
        row = columns[name][:budget]
        out[i, : len(row)] = row
    return out


def _suggest(runs: Runs, frame: pd.DataFrame, budget: int) -> Floats:
    out = np.full((len(frame), budget), np.nan)
    timed = {str(name): part for name, part in runs.timing().groupby("study")}
    for i, (name, samples) in enumerate(zip(frame["study"], frame["samples"], strict=True)):
        if name in timed:
            part = timed[name]
            seconds = suggest_seconds(part["rows"].to_numpy(), part["agent_s"].to_numpy(), int(samples))
            out[i, : len(seconds)] = seconds[:budget]
            out[i, len(seconds) :] = seconds[-1] if len(seconds) else np.nan  # a short study's clock stands still
    return out
