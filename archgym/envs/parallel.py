"""``archgym.parallel_env``: the multi-agent form of a problem."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from archgym.errors import MissingExtraError, UnknownNameError, UsageError
from archgym.evaluator import Evaluator
from archgym.problem import Problem

from .registration import IDS

if TYPE_CHECKING:
    from archgym.grouping import Groups

    from .team_env import TeamEnv


def parallel_env(
    problem: str | Problem | Evaluator,
    *,
    groups: Groups = "parameter",
    episode: str = "one_step",
    horizon: int = 20,
    **options: Any,
) -> TeamEnv:
    """A PettingZoo ``ParallelEnv``: one agent per parameter or group, a shared reward.

    ``pettingzoo.utils.parallel_to_aec`` makes the turn-based form of it.

    Args:
        problem: an environment id such as ``"archgym/DRAM-v0"``, a Problem, or an Evaluator with its own budget and
            log.
        groups: ``"parameter"``, ``"declared"``, or as in `archgym.grouping.parameter_groups`.
        episode: ``"one_step"`` or ``"refine"``.
        horizon: designs per ``refine`` episode.
        options: with an id as of ``gymnasium.make`` (workload, objective, budget, log, …), else none.

    Raises:
        MissingExtraError: PettingZoo is not installed.
        UsageError: wrong options or groups.
    """
    try:
        from .team_env import TeamEnv
    except ImportError as error:
        raise MissingExtraError(error.name or "pettingzoo", "marl") from None
    from .contexts import Contexts
    from .entry import make_contexts, make_episodes

    if episode not in ("one_step", "refine"):
        raise UnknownNameError("episode of a team", episode, ("one_step", "refine"))
    if isinstance(problem, str):
        if problem not in IDS:
            raise UnknownNameError("environment", problem, IDS)
        contexts = make_contexts(1, **IDS[problem] | options)
    elif options:
        raise UsageError(f"parallel_env: {', '.join(options)} can only be given with an environment id")
    else:
        contexts = Contexts([problem if isinstance(problem, Evaluator) else Evaluator(problem, cache=False)])
    return TeamEnv(make_episodes(contexts, 1, episode, horizon), groups)
