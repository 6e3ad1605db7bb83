"""A random walk: every design is a small step away from the last one, whatever came of that.

ArchGym's agent of this name (Krishnan et al., ISCA 2023; its scripts ``train_randomwalker_*``) does not walk: it draws
each design uniformly and independently, with repetitions, as the agent ``random`` does with ``distinct=False``, and as
this one does with ``jump=1`` but for the repetitions. A walk proper is what landscapes are probed with: how fast the
rewards along it stop being alike tells how rugged they are (Weinberger, Biological Cybernetics 63, 1990).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from archgym.agent import Agent
from archgym.errors import UsageError
from archgym.evaluation import Evaluation
from archgym.space import Codes, DesignSpace, Level

from .unseen import Unseen
from .variation import Variation

_TRIES = 50  # steps through designs that are known or not allowed, before it jumps


class RandomWalk(Agent):
    """Starts at a random design; moves a parameter or two at each step and never looks back.

    A step onto a known design is taken but not asked for again, and one onto a design that is not allowed is not
    taken.
    """

    @dataclass(frozen=True)
    class Config:
        """Hyperparameters.

        Attributes:
            moves: parameters that change in a step; an ordered one by one level.
            jump: probability that a step goes to a random design instead.
        """

        moves: int = 1
        jump: float = 0.1

        def __post_init__(self) -> None:
            if self.moves < 1 or not 0 <= self.jump <= 1:
                raise UsageError(
                    f"random-walk: expected moves of at least 1 and jump from 0 to 1, got {self.moves} and {self.jump}"
                )

    search_space: ClassVar[Mapping[str, tuple[Level, ...]]] = {"moves": (1, 2, 4), "jump": (0.0, 0.1, 0.3, 1.0)}
    anytime = True
    config: Config

    def __init__(self, space: DesignSpace, config: Any = None, **study: Any) -> None:
        super().__init__(space, config, **study)
        self._unseen = Unseen(space)
        self._variation = Variation(space)
        self._here: Codes = np.empty((0, len(space)), np.int64)  # (1, d) once it has started

    def ask(self, n: int) -> Codes:
        """The next ``n`` new designs (k, d) on the way; fewer only when the space runs out."""
        steps = [self._step() for _ in range(n)]
        return np.concatenate(steps)

    def tell(self, evaluation: Evaluation) -> None:
        """Learn only which designs are known already."""
        self._unseen.add(evaluation.codes)

    def _step(self) -> Codes:
        """The next new design (1, d); none (0, d) if there is none left."""
        if len(self._here) and self.rng.random() >= self.config.jump:
            for _ in range(_TRIES):
                there = self._variation.steps(self._here, self.rng, self.config.moves)
                if not self.space.allowed or self.space.is_allowed(there)[0]:
                    self._here = there
                    if len(fresh := self._unseen.claim(there, 1)):
                        return fresh
        fresh = self._unseen.draw(1, self.rng)
        self._here = fresh if len(fresh) else self._here
        return fresh
