"""Studies of several budgets in one comparison.

An agent that pays no heed to its budget (``Agent.anytime``) is run once, under the longest: what it has after 50
samples is what a study of 50 would have ended with. One that plans with its budget, as a grid does, is run under
each of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from archgym.errors import ArchGymError, UsageError
from archgym.registry import AGENTS
from archgym.runs import Runs

from .curves import Curves, Optimum, curves
from .gaps import at_budgets

Floats = npt.NDArray[np.float64]


def budgets_to_run(agent: str, budgets: Sequence[int], batch: int) -> tuple[int, ...]:
    """The budgets under which an agent has to be run to know what it reaches under all of them, ascending.

    The last ask of a study whose budget is no multiple of the batch is smaller than it would be in a longer one, so
    such a study is no beginning of that one even if the agent is anytime.

    Args:
        agent: registered name, or ``"module:Class"``.
        budgets: samples.
        batch: designs asked per step.

    Raises:
        UnknownNameError: no such agent.
    """
    anytime = bool(getattr(AGENTS.load(agent), "anytime", False))
    longest = max(budgets)
    return tuple(b for b in sorted(set(budgets)) if b == longest or not anytime or b % batch)


def by_budget(runs: Runs, agents: Sequence[str] | None = None) -> tuple[Runs, dict[int, Runs]]:
    """The studies of the longest budget, which every agent must have, and those of each shorter one.

    Args:
        runs: studies.
        agents: labels; None is all.

    Raises:
        UsageError: some agent was run under shorter budgets only.
    """
    frame = runs.studies
    if agents is not None:
        frame = frame[frame["agent_label"].isin(agents)]
    budgets = sorted(int(b) for b in frame["budget"].dropna().unique())
    if len(budgets) < 2:
        return runs.select(frame), {}
    last = frame[frame["budget"] == budgets[-1]]
    if without := sorted(set(frame["agent_label"]) - set(last["agent_label"])):
        shown = ", ".join(str(b) for b in budgets)
        raise UsageError(f"a comparison needs one budget, got {shown}: {without[0]} has none of {budgets[-1]} samples")
    return runs.select(last), {b: runs.select(frame[frame["budget"] == b]) for b in budgets[:-1]}


@dataclass(frozen=True, eq=False)
class Shorter:
    """Agents that were run under a shorter budget of its own, in the places of the longest studies.

    Attributes:
        places: of the agents.
        seeds: places of the longest studies' seeds among the shorter ones.
        curves: the shorter studies.
    """

    places: tuple[int, ...]
    seeds: tuple[int, ...]
    curves: Curves


def shorter_curves(
    c: Curves, shorter: Mapping[int, Runs], known: Mapping[str, Optimum], unfinished: str
) -> dict[int, Shorter]:
    """Budget -> the studies that were run under it.

    Raises:
        UsageError: an agent lacks some problem or seed of its longest studies.
    """
    out = {}
    for budget, runs in shorter.items():
        own = curves(runs, known_optima=known, unfinished=unfinished)
        if (
            own.problems != c.problems
            or not set(c.seeds) <= set(own.seeds)
            or (own.track, own.batch)
            != (
                c.track,
                c.batch,
            )
        ):
            raise UsageError(
                f"studies of {budget} samples: expected the problems, seeds, track and batch of those of {c.budget}"
            )
        places = tuple(c.agent(name) for name in own.agents)
        out[budget] = Shorter(places, tuple(own.seeds.index(s) for s in c.seeds), own)
    return out


def gaps_at(c: Curves, budgets: Sequence[int], own: Mapping[int, Shorter]) -> Floats:
    """Gaps (problems, agents, seeds, budgets): of the studies of that very budget, else read off the longest."""
    at = at_budgets(c.gaps, budgets)
    for j, budget in enumerate(budgets):
        if budget in own:
            found = own[budget]
            at[..., j][:, list(found.places)] = found.curves.gaps[..., -1][..., list(found.seeds)]
    return at


def planned_longer(c: Curves, budgets: Sequence[int], own: Mapping[int, Shorter]) -> tuple[str, ...]:
    """Agents known to plan with their budget that are judged after fewer samples than they planned for."""
    out = []
    for k, label in enumerate(c.agents):
        name = str(c.studies.loc[c.studies["agent_label"] == label, "agent"].iloc[0])
        read_off = [b for b in budgets if b != c.budget and (b not in own or k not in own[b].places)]
        if read_off and not _is_anytime(name):
            out.append(label)
    return tuple(out)


def _is_anytime(agent: str) -> bool:
    try:
        return bool(AGENTS.load(agent).anytime)
    except (ArchGymError, ImportError, AttributeError):  # not installed here, or somebody's own loop
        return True
