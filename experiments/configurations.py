"""Configurations of an agent for the lottery: drawn from what it declares as its search space."""

from __future__ import annotations

import math
from typing import Any

from archgym import config as configs
from archgym import rng
from archgym.errors import UsageError
from archgym.registry import AGENTS
from archgym.study import agent_config

_MOST = 10**7  # combinations; larger spaces are drawn from in the same way, but never exhausted


def configurations(agent: str, n: int, *, seed: int = 0, track: str = "grey") -> list[dict[str, Any]]:
    """The default configuration, then others drawn uniformly from the agent's ``search_space`` without replacement.

    More of them begin with the same ones. Combinations that the agent's Config refuses are left out.

    Args:
        agent: registered name, or ``"module:Class"``.
        n: how many; fewer are returned if there are no more.
        seed: of the draw.
        track: of the studies.

    Returns:
        Hyperparameters that differ from their defaults; the first is empty.

    Raises:
        UsageError: the agent declares no search space, or one that is not of its Config.
    """
    agent_config(agent, {}, track)
    cls = AGENTS.load(agent)
    axes = {key: tuple(values) for key, values in cls.search_space.items()}
    if not axes or not all(axes.values()):
        raise UsageError(f"agent {agent} declares no search_space: there are no configurations to draw")
    defaults = configs.flat(configs.to_json(cls.Config()))
    size = math.prod(len(values) for values in axes.values())
    found: list[dict[str, Any]] = [{}]
    seen: set[int] = set()
    draw = rng.generator(seed, "lottery", agent)
    while len(found) < n and len(seen) < min(size, _MOST):
        place = int(draw.integers(size))
        if place in seen:
            continue
        seen.add(place)
        point = {}
        for key, values in axes.items():
            place, i = divmod(place, len(values))
            point[key] = values[i]
        try:
            typed = agent_config(agent, point, track)
        except UsageError:
            if any(key not in defaults for key in point):
                raise
            continue
        changed = {key: value for key, value in typed.items() if value != defaults[key]}
        if changed not in found:
            found.append(changed)
    return found
