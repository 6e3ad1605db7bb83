"""What ``gymnasium.make("archgym/…")`` calls: keyword arguments to a ready environment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from archgym.errors import UsageError
from archgym.evaluator import Evaluator
from archgym.log import StudyLog
from archgym.problem import Problem, ProblemSpec
from archgym.spec import EXTERNAL, StudySpec
from archgym.workload import is_workload_file

from .design_env import DesignEnv
from .design_vector_env import DesignVectorEnv
from .episodes import check_episode

_SLOW_SECONDS = 1e-4  # declared cost from which an unlogged environment remembers designs


def make_env(
    *, episode: str = "one_step", horizon: int = 20, render_mode: str | None = None, **options: Any
) -> DesignEnv:
    """One environment; see ``make_evaluator`` for the options.

    Args:
        episode: ``"one_step"`` (an action is a design, then the episode ends) or ``"refine"``.
        horizon: designs per ``refine`` episode.
        render_mode: None, ``"ansi"`` or ``"rgb_array"``.
    """
    check_episode(episode, 1, horizon, render_mode)  # before a log is opened
    return DesignEnv(make_evaluator(1, **options), episode=episode, horizon=horizon, render_mode=render_mode)


def make_vector_env(
    num_envs: int, *, episode: str = "one_step", horizon: int = 20, max_episode_steps: int | None = None, **options: Any
) -> DesignVectorEnv:
    """``num_envs`` environments that evaluate one batch per step; see ``make_evaluator`` for the options."""
    if max_episode_steps is not None:
        raise UsageError("max_episode_steps: episodes have a fixed length; use horizon with episode='refine'")
    check_episode(episode, num_envs, horizon)
    return DesignVectorEnv(make_evaluator(num_envs, **options), num_envs, episode=episode, horizon=horizon)


def make_evaluator(
    batch: int,
    *,
    simulator: str,
    workload: str,
    objective: str,
    aggregate: str = "geomean",
    limits: Sequence[str] | str = (),
    sim: Mapping[str, Any] | None = None,
    space: Mapping[str, Sequence[Any] | str] | None = None,
    track: str = "grey",
    budget: int | None = None,
    log: str | None = None,
) -> Evaluator:
    """The evaluator behind an environment.

    Args:
        batch: designs per step.
        simulator, objective, aggregate, limits, sim, space: as in ``ProblemSpec``.
        workload: a name, several joined with ``+``, or the path of a workload file.
        track: ``"grey"``, or ``"scalar"`` to hide metrics from observations and ``info``.
        budget: samples until ``step`` raises BudgetExhausted; None is unlimited.
        log: folder for a normal study log (agent "external"), which replay and data sets read.
    """
    is_file = is_workload_file(workload)
    problem_spec = ProblemSpec(
        simulator,
        (workload,) if is_file else tuple(workload.split("+")),
        objective,
        aggregate,
        sim=dict(sim or {}),
        space=dict(space or {}),
        limits=(limits,) if isinstance(limits, str) else tuple(limits),
    ).embedded()
    problem = Problem(problem_spec)
    spec = StudySpec(problem_spec, EXTERNAL, {}, budget, batch, track)
    journal = StudyLog(log, spec.header(problem)) if log is not None else None
    remember = log is not None or problem.cost_seconds >= _SLOW_SECONDS
    return Evaluator(problem, budget, track=track, cache=remember, log=journal)
