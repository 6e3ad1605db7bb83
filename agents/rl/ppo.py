"""Proximal policy optimisation over whole designs, by stable-baselines3.

Schulman, Wolski, Dhariwal, Radford and Klimov: "Proximal Policy Optimization Algorithms" (arXiv 1707.06347). One
action is one design, a level for each parameter (MultiDiscrete), and the observation is constant, so that the policy
is a product of one categorical distribution per parameter. For comparison it can be a Gaussian instead, whose points
are cut into levels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from gymnasium.spaces import Box

from archgym.errors import UnknownNameError, UsageError
from archgym.evaluation import Floats
from archgym.space import DesignSpace, Level

from ..policy_search import Draw, Outcome, rollout_size
from .library_policy import LibraryPolicy, PolicyConfig, Spaces, from_cube

_ACTIONS = ("levels", "cells", "rounded")
_ROUNDING = 1e-6  # differences of scaled rewards that are none


class Ppo(LibraryPolicy):
    """stable_baselines3.PPO, updated after every ``rollout`` designs that its policy has drawn.

    On-policy: rows it never asked for only move the scale of rewards.
    """

    @dataclass(frozen=True)
    class Config(PolicyConfig):
        """Hyperparameters, those of `PolicyConfig` and:

        Attributes:
            rollout: draws per update; 0 for a thirtieth of the budget, 16 to 256.
            epochs: gradient steps of an update, each over all of its designs.
            clip: how far an update may move the probability of a design, as a share of it.
            entropy: weight of the policy's entropy (nats) against scaled rewards, at the beginning; it falls linearly
                with the budget.
            entropy_floor: and its weight at the end.
            actions: "levels", a categorical distribution per parameter; "cells" or "rounded", a Gaussian over
                [-1, 1]^d that `from_cube` makes designs of.
        """

        rollout: int = 0
        epochs: int = 4
        clip: float = 0.2
        entropy: float = 0.1
        entropy_floor: float = 0.01
        actions: str = "levels"

        def __post_init__(self) -> None:
            super().__post_init__()
            if self.actions not in _ACTIONS:
                raise UnknownNameError("kind of actions of ppo", self.actions, _ACTIONS)
            if self.rollout < 0 or self.rollout == 1 or self.epochs < 1:
                raise UsageError(
                    "ppo: rollout must be 0 (automatic) or at least 2 and epochs at least 1, got "
                    f"{self.rollout} and {self.epochs}"
                )
            if self.clip <= 0 or min(self.entropy, self.entropy_floor) < 0:
                raise UsageError(
                    "ppo: clip must be positive, entropy and entropy_floor not negative, got "
                    f"{self.clip}, {self.entropy} and {self.entropy_floor}"
                )

    search_space: ClassVar[Mapping[str, tuple[Level, ...]]] = {
        "learning_rate": (0.003, 0.01, 0.03),
        "rollout": (0, 16, 32, 64),
        "epochs": (2, 4, 8),
        "clip": (0.1, 0.2, 0.3),
        "entropy": (0.05, 0.1, 0.2, 0.4),
        "distinct": (True, False),
    }
    config: Config

    def __init__(self, space: DesignSpace, config: Any = None, **study: Any) -> None:
        super().__init__(space, config, **study)
        self._collected: list[tuple[Draw, Outcome]] = []

    def _make_model(self) -> Any:
        levels, cube = self.space.gym_space(), Box(-1.0, 1.0, (len(self.space),))
        spaces = Spaces(Box(0.0, 1.0, (1,)), levels if self.config.actions == "levels" else cube)
        return self._library.PPO("MlpPolicy", spaces, **self._hyperparameters(1))

    def _hyperparameters(self, steps: int) -> dict[str, Any]:
        """Arguments of the library's algorithm, for episodes of so many steps."""
        c = self.config
        self._rollout = rollout_size(c.rollout, self.budget)
        n_steps = self._rollout * steps
        return {
            "learning_rate": c.learning_rate,
            "n_steps": n_steps,
            "batch_size": n_steps,
            "n_epochs": c.epochs,
            "clip_range": c.clip,
            "gamma": 1.0,
            "gae_lambda": 1.0,  # the advantage of a decision is the whole episode's, which has one reward
            "policy_kwargs": {"net_arch": [c.width, c.width]},
            "device": "cpu",
        }

    def _draws(self, n: int) -> list[Draw]:
        torch = self._streams.torch
        with self._streams(), torch.no_grad():
            actions, values, log_probs = self._model.policy(torch.ones((n, 1)))
        drawn, kind = actions.numpy(), self.config.actions
        codes = drawn if kind == "levels" else from_cube(self.space, drawn.astype(np.float64), kind)
        return [
            Draw(codes[i], [{"obs": np.ones(1), "action": drawn[i], "value": values[i], "log_prob": log_probs[i]}])
            for i in range(n)
        ]

    def _learn(self, draw: Draw, outcome: Outcome) -> None:
        self._collected.append((draw, outcome))

    def _updated(self) -> None:
        while len(self._collected) >= self._rollout:
            draws, outcomes = zip(*self._collected[: self._rollout], strict=True)
            self._collected = self._collected[self._rollout :]
            with self._streams():
                self._improve(draws, self._rewards(outcomes))

    def _improve(self, draws: Sequence[Draw], rewards: Floats) -> None:
        """One update of the library's; a draw's memo lists its decisions, which earn nothing before the last."""
        buffer = self._model.rollout_buffer
        buffer.reset()
        for draw, reward in zip(draws, rewards, strict=True):
            last = len(draw.memo) - 1
            for i, step in enumerate(draw.memo):
                buffer.add(**step, reward=reward if i == last else 0.0, episode_start=i == 0)
        buffer.compute_returns_and_advantage(self._streams.torch.zeros(1), np.ones(1, np.bool_))
        if np.ptp(buffer.advantages) < _ROUNDING:  # the library would divide rounding errors by their spread
            buffer.advantages[:] = 0.0
        spent = self.progress
        self._model.ent_coef = (1 - spent) * self.config.entropy + spent * self.config.entropy_floor
        self._model.train()
