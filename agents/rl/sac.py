"""Soft actor-critic over designs as points of a cube, by stable-baselines3.

Haarnoja, Zhou, Abbeel and Levine: "Soft Actor-Critic: Off-Policy Maximum Entropy Deep Reinforcement Learning with a
Stochastic Actor" (ICML 2018, arXiv 1801.01290), with the automatic entropy weight of arXiv 1812.05905. An action is a
point of [-1, 1]^d, cut into as many cells a parameter as it has levels; the order of levels is all that it knows, so
that categorical parameters are hard for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from gymnasium.spaces import Box

from archgym.errors import UnknownNameError, UsageError
from archgym.evaluation import Evaluation
from archgym.space import DesignSpace, Level

from ..policy_search import Draw, Outcome
from .library_policy import LibraryPolicy, PolicyConfig, Spaces, from_cube

_UNKNOWN_BUDGET = 10_000


class Sac(LibraryPolicy):
    """stable_baselines3.SAC with some gradient steps after every tell.

    Off-policy: what it never asked for is learnt as the middle of the design's cell. Of what it remembers, as many
    designs as the budget has samples, all rewards stand on the scale of today.
    """

    @dataclass(frozen=True)
    class Config(PolicyConfig):
        """Hyperparameters, those of `PolicyConfig` and:

        Attributes:
            start: random designs before the first gradient step.
            steps: gradient steps for each design told.
            batch: designs of a gradient step, drawn from all that it remembers.
            spread: the entropy that its automatic weight aims at, in nats a parameter; that of a uniform action is
                0.69, each unit less divides the width of what is tried by e.
            actions: what a point of the cube stands for: "cells", or "rounded" as in `from_cube`.
        """

        start: int = 20
        steps: int = 1
        batch: int = 64
        spread: float = -1.0
        actions: str = "cells"

        def __post_init__(self) -> None:
            super().__post_init__()
            if self.actions not in ("cells", "rounded"):
                raise UnknownNameError("kind of actions of sac", self.actions, ("cells", "rounded"))
            if min(self.start, self.steps, self.batch) < 1 or self.spread >= np.log(2):
                raise UsageError(
                    "sac: start, steps and batch must be at least 1 and spread below ln 2, got "
                    f"{self.start}, {self.steps}, {self.batch} and {self.spread}"
                )

    search_space: ClassVar[Mapping[str, tuple[Level, ...]]] = {
        "learning_rate": (0.003, 0.01, 0.03),
        "start": (10, 20, 50),
        "steps": (1, 2, 4),
        "batch": (32, 64, 128),
        "spread": (-2.0, -1.0, 0.0),
        "distinct": (True, False),
    }
    config: Config

    def __init__(self, space: DesignSpace, config: Any = None, **study: Any) -> None:
        super().__init__(space, config, **study)
        self._remembered: list[Outcome] = []  # in the order of the replay buffer

    def _make_model(self) -> Any:
        c, d = self.config, len(self.space)
        return self._library.SAC(
            "MlpPolicy",
            Spaces(Box(0.0, 1.0, (1,)), Box(-1.0, 1.0, (d,))),
            learning_rate=c.learning_rate,
            buffer_size=self.budget or _UNKNOWN_BUDGET,
            target_entropy=c.spread * d,
            gamma=0.0,
            policy_kwargs={"net_arch": [c.width, c.width]},
            device="cpu",
        )

    def tell(self, evaluation: Evaluation) -> None:
        """Remember the rewards, also of rows it never asked for, and improve the policy."""
        super().tell(evaluation)
        if len(evaluation) and self._n_told >= self.config.start:
            self._model.replay_buffer.rewards[: len(self._remembered), 0] = self._rewards(self._remembered)
            with self._streams():
                self._model.train(self.config.steps * len(evaluation), self.config.batch)

    def _draws(self, n: int) -> list[Draw]:
        torch = self._streams.torch
        if self._n_told < self.config.start and not self.config.policy:
            actions = self.rng.uniform(-1.0, 1.0, (n, len(self.space)))
        else:
            with self._streams(), torch.no_grad():
                actions = self._model.actor(torch.ones((n, 1))).numpy().astype(np.float64)
        codes = from_cube(self.space, actions, self.config.actions)
        return [Draw(code, action) for code, action in zip(codes, actions, strict=True)]

    def _learn(self, draw: Draw, outcome: Outcome) -> None:
        buffer = self._model.replay_buffer
        self._remembered[buffer.pos : buffer.pos + 1] = [outcome]  # the oldest is overwritten where it is full
        observation = np.ones((1, 1))
        buffer.add(observation, observation, draw.memo, np.zeros(1), np.ones(1), [{}])

    def _learn_unasked(self, codes: npt.NDArray[np.int64], outcome: Outcome) -> None:
        (centre,) = 2.0 * self.space.to_unit(codes[None]) - 1.0
        self._learn(Draw(codes, centre), outcome)
