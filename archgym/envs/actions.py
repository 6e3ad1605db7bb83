"""Wrappers that turn level indices into the actions that some algorithms want."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from gymnasium.utils import RecordConstructorArgs

from archgym.errors import UsageError
from archgym.space import DesignSpace

LARGEST_DISCRETE = 1_000_000


class ActionToBox(gym.ActionWrapper[Any, Any, Any], RecordConstructorArgs):
    """Actions in [-1, 1]^d, for algorithms with continuous actions (SAC, TD3).

    Each axis is cut into as many equal cells as its parameter has levels, so that every level is reached, by a share
    of the axis that is the same for all. (ArchGym rounded actions to the nearest index instead, and reached few.)

    Args:
        env: an archgym environment whose actions are whole designs.

    Raises:
        UsageError: another kind of environment.
    """

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        RecordConstructorArgs.__init__(self)
        gym.ActionWrapper.__init__(self, env)
        self._space = design_space(env.unwrapped, env.action_space)
        self.action_space = gym.spaces.Box(-1.0, 1.0, (len(self._space),), np.float32)

    def action(self, action: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
        """Level indices (d,) of the cell that a point (d,) lies in."""
        (codes,) = from_box(self._space, np.asarray(action)[None])
        return np.asarray(codes)


class ActionToDiscrete(gym.ActionWrapper[Any, Any, Any], RecordConstructorArgs):
    """Designs numbered from 0 in lexicographic order (last parameter fastest), for algorithms with one discrete action.

    Args:
        env: an archgym environment whose actions are whole designs.

    Raises:
        UsageError: another kind of environment, or more than a million designs.
    """

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        RecordConstructorArgs.__init__(self)
        gym.ActionWrapper.__init__(self, env)
        self._space = design_space(env.unwrapped, env.action_space)
        if self._space.size > LARGEST_DISCRETE:
            raise UsageError(
                f"ActionToDiscrete: expected at most {LARGEST_DISCRETE:,} designs, got {self._space.size:,}; "
                "restrict the space, or use the environment's own MultiDiscrete actions"
            )
        self.action_space = gym.spaces.Discrete(self._space.size)

    def action(self, action: Any) -> npt.NDArray[np.int64]:
        """Level indices (d,) of design number ``action``."""
        return np.asarray(self._space.unrank([int(action)])[0])


def from_box(space: DesignSpace, points: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Codes (n, d) of the cells that points (n, d) of [-1, 1]^d lie in."""
    return space.from_unit((np.asarray(points, np.float64) + 1.0) / 2.0)


def design_space(env: Any, action_space: gym.Space[Any]) -> DesignSpace:
    """The design space of an archgym environment ``env`` in which an action is a whole design.

    Raises:
        UsageError: another kind of environment.
    """
    space = getattr(getattr(env, "problem", None), "space", None)
    if not isinstance(space, DesignSpace) or action_space != space.gym_space():
        raise UsageError(f"expected an archgym environment whose actions are whole designs, got {env}")
    return space
