"""What ``gymnasium.make("archgym/…")`` calls: keyword arguments to a ready environment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from archgym.errors import UnknownNameError, UsageError
from archgym.evaluator import Evaluator
from archgym.log import StudyLog
from archgym.problem import Problem, ProblemSpec
from archgym.proxied import proxied
from archgym.spec import EXTERNAL, StudySpec
from archgym.workload import is_workload_file

from .assign import Assign
from .contexts import Contexts
from .design_env import AssignEnv, DesignEnv
from .design_vector_env import AssignVectorEnv, DesignVectorEnv
from .episodes import Episodes
from .refine import Refine

EPISODES = ("one_step", "refine", "assign")
_SLOW_SECONDS = 1e-4  # declared cost from which an unlogged environment remembers designs
_RANDOM = "random:"


def make_env(
    *,
    episode: str = "one_step",
    horizon: int = 20,
    vector_reward: bool = False,
    render_mode: str | None = None,
    **options: Any,
) -> DesignEnv:
    """One environment; see ``make_contexts`` for the options.

    Args:
        episode: ``"one_step"`` (an action is a design, then the episode ends), ``"refine"`` (several designs, rewarded
            for improvement) or ``"assign"`` (an action is the level of one parameter, with masks).
        horizon: designs per ``refine`` episode.
        vector_reward: one reward per term of a Pareto objective (``reward_space``, as MO-Gymnasium has it).
        render_mode: None, ``"ansi"`` or ``"rgb_array"``.
    """
    modes = DesignEnv.metadata["render_modes"]
    if render_mode is not None and render_mode not in modes:
        raise UnknownNameError("render_mode", render_mode, modes)
    _check(1, episode, horizon, vector_reward, options)
    episodes = make_episodes(make_contexts(1, **options), 1, episode, horizon, vector_reward)
    kind = AssignEnv if episode == "assign" else DesignEnv
    return kind(episodes, render_mode=render_mode)


def make_vector_env(
    num_envs: int,
    *,
    episode: str = "one_step",
    horizon: int = 20,
    vector_reward: bool = False,
    max_episode_steps: int | None = None,
    **options: Any,
) -> DesignVectorEnv:
    """``num_envs`` environments that evaluate one batch per step; see ``make_env`` for the options."""
    if max_episode_steps is not None:
        raise UsageError("max_episode_steps: episodes have a fixed length; use horizon with episode='refine'")
    _check(num_envs, episode, horizon, vector_reward, options)
    episodes = make_episodes(make_contexts(num_envs, **options), num_envs, episode, horizon, vector_reward)
    kind = AssignVectorEnv if episode == "assign" else DesignVectorEnv
    return kind(episodes)


def make_episodes(
    contexts: Contexts, n: int, episode: str = "one_step", horizon: int = 20, vector_reward: bool = False
) -> Episodes:
    """n episodes of the form ``episode``; see ``make_env``."""
    if episode == "refine":
        return Refine(contexts, n, horizon)
    return (Assign if episode == "assign" else Episodes)(contexts, n, vector_reward=vector_reward)


def _check(n: int, episode: str, horizon: int, vector_reward: bool, options: Mapping[str, Any]) -> None:
    """Refuse wrong options before a log is opened."""
    if episode not in EPISODES:
        raise UnknownNameError("episode", episode, EPISODES)
    if horizon < 1 or n < 1:
        raise UsageError(f"horizon and number of environments: expected at least 1, got {horizon} and {n}")
    if vector_reward and (episode == "refine" or options.get("track") == "scalar"):
        raise UsageError("vector_reward: expected episode='one_step' or 'assign' and track='grey'")


def make_contexts(
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
    proxy: str | None = None,
) -> Contexts:
    """What an environment evaluates designs with.

    Args:
        batch: designs per step.
        simulator, objective, aggregate, limits, sim, space: as in ``ProblemSpec``.
        workload: a name, several joined with ``+``, or the path of a workload file. ``"random:[a,b,c+d]"`` draws one
            of these for each episode, at ``reset``.
        track: ``"grey"``, or ``"scalar"`` to hide metrics from observations and ``info``.
        budget: samples until ``step`` raises BudgetExhausted; None is unlimited.
        log: folder for a normal study log (agent "external"), which replay and data sets read; with random workloads
            it holds one such folder for each.

        proxy: folder of a proxy model (``archgym proxy fit``) that predicts what the simulator would return; ``info``
            then holds ``fidelity`` ("proxy"), ``p_feasible``, ``ood`` and ``std.METRIC``.

    Raises:
        UsageError: random workloads that do not share one design space, or a proxy of something else.
    """
    drawn = _drawn(workload)
    specs = []
    for name in drawn or [workload]:
        names = (name,) if is_workload_file(name) else tuple(name.split("+"))
        chosen = (limits,) if isinstance(limits, str) else tuple(limits)
        spec = ProblemSpec(
            simulator, names, objective, aggregate, sim=dict(sim or {}), space=dict(space or {}), limits=chosen
        )
        spec = spec.embedded()
        specs.append(spec if proxy is None else proxied(spec, proxy))
    problems = [Problem(spec) for spec in specs]
    own_budget = None if drawn else budget  # several share one
    Contexts([Evaluator(problem, own_budget, track=track) for problem in problems])  # refuses before a log is opened
    if budget is not None and budget < 1:
        raise UsageError(f"budget: expected at least 1 sample, got {budget}")
    evaluators = []
    for i, problem in enumerate(problems):
        study = StudySpec(specs[i], EXTERNAL, {}, own_budget, batch, track)
        folder = None if log is None else str(Path(log) / f"{i}-{'+'.join(w.name for w in problem.workloads)}")
        folder = folder if drawn else log
        journal = StudyLog(folder, study.header(problem)) if folder is not None else None
        remember = log is not None or problem.cost_seconds >= _SLOW_SECONDS
        evaluators.append(Evaluator(problem, own_budget, track=track, cache=remember, log=journal))
    return Contexts(evaluators, budget)


def _drawn(workload: str) -> list[str]:
    """The workloads of ``"random:[a,b]"``; none of any other text."""
    if not workload.startswith(_RANDOM):
        return []
    inside = workload.removeprefix(_RANDOM).strip()
    names = [name.strip() for name in inside[1:-1].split(",")] if inside[:1] == "[" and inside[-1:] == "]" else []
    if not all(names) or not names:
        raise UsageError(f"workload: expected random:[NAME,NAME,...], got '{workload}'")
    return names
