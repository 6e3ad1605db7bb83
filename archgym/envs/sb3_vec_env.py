"""stable-baselines3's form of the vector environment: no processes, one batched simulation a step."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from stable_baselines3.common.vec_env import VecEnv

from archgym.errors import UsageError

from .actions import design_space, from_box
from .design_vector_env import AssignVectorEnv, DesignVectorEnv


class DesignVecEnv(VecEnv):
    """A ``VecEnv`` over ``gym.make_vec("archgym/…", num_envs=n)``.

    ``action_masks`` is there for maskable algorithms where the environment has it (``episode="assign"``). Infos hold
    the metrics of every step only if asked for: they cost more than a fast simulator.

    Args:
        env: the vector environment.
        continuous: actions in [-1, 1]^d instead of level indices, see `archgym.envs.actions.ActionToBox`.
        infos: whether each step's infos hold what the environment's do.

    Raises:
        UsageError: not an archgym vector environment, vector rewards, or continuous actions for other than whole
            designs.
    """

    def __init__(
        self, env: gym.vector.VectorEnv[Any, Any, Any], *, continuous: bool = False, infos: bool = False
    ) -> None:
        inner = env.unwrapped
        if not isinstance(inner, DesignVectorEnv):
            raise UsageError(f"DesignVecEnv: expected gym.make_vec('archgym/...', num_envs=N), got {env}")
        if hasattr(inner, "reward_space"):
            raise UsageError("DesignVecEnv: stable-baselines3 knows one reward a step; leave vector_reward out")
        self.env = inner
        self.render_mode = None
        self._infos = infos
        self._space = design_space(inner, inner.single_action_space) if continuous else None
        self._actions: npt.NDArray[Any] = np.empty(0)
        action_space = inner.single_action_space
        if self._space is not None:
            action_space = gym.spaces.Box(-1.0, 1.0, (len(self._space),), np.float32)
        super().__init__(inner.num_envs, inner.single_observation_space, action_space)

    def reset(self) -> Any:
        """Begin all episodes; observations (n, k)."""
        seeds: Any = list(self._seeds)
        self._reset_seeds()
        return self.env.reset(seed=seeds)[0]

    def step_async(self, actions: npt.NDArray[Any]) -> None:
        """Note the actions (n, …)."""
        self._actions = actions if self._space is None else from_box(self._space, actions)

    def step_wait(self) -> Any:
        """Evaluate them: observations (n, k), rewards (n,), whether episodes are over (n,), infos.

        Raises:
            BudgetExhausted: the budget is spent; it passes through ``learn``, and ends it.
        """
        observation, reward, terminated, truncated, columns = self.env.step(self._actions)
        over = terminated | truncated
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        final = columns.get("final_obs")
        if self._infos:
            shown = columns.get("final_info", columns)
            for name in [name for name in shown if not name.startswith("_")]:
                for i, value in enumerate(np.asarray(shown[name]).tolist()):
                    infos[i][name] = value
        if final is not None:
            for i in range(self.num_envs):
                infos[i] |= {"terminal_observation": final[i], "TimeLimit.truncated": False}
        return observation, reward, over, infos

    def close(self) -> None:
        """Close the log; idempotent."""
        self.env.close()

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """An attribute, the same for all environments.

        Raises:
            AttributeError: there is none of this name.
        """
        found = self.render_mode if attr_name == "render_mode" else getattr(self.env, attr_name)
        return [found for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Refused: environments in lock step share everything."""
        raise UsageError(f"DesignVecEnv: '{attr_name}' cannot be set; make another environment")

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
        """``action_masks`` of each environment; there are no other methods."""
        if method_name != "action_masks" or not isinstance(self.env, AssignVectorEnv):
            raise AttributeError(f"DesignVecEnv has no '{method_name}' (action_masks only, with episode='assign')")
        masks = self.env.action_masks()
        return [masks[i] for i in self._get_indices(indices)]

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
        """Never."""
        return [False for _ in self._get_indices(indices)]
