"""Random search: uniform designs, by default without repetition."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from archgym.agent import Agent
from archgym.evaluation import Evaluation
from archgym.space import Codes, DesignSpace

from .unseen import Unseen


class RandomSearch(Agent):
    """Draws designs uniformly from the allowed ones."""

    @dataclass(frozen=True)
    class Config:
        """Hyperparameters.

        Attributes:
            distinct: never ask for the same canonical design twice; the search ends when none is left.
        """

        distinct: bool = True

    anytime = True
    config: Config

    def __init__(self, space: DesignSpace, config: Any = None, **study: Any) -> None:
        super().__init__(space, config, **study)
        self._unseen = Unseen(space)

    def ask(self, n: int) -> Codes:
        """``n`` random designs (k, d); fewer when a small space runs out."""
        return self._unseen.draw(n, self.rng) if self.config.distinct else self.space.sample(n, self.rng)

    def tell(self, evaluation: Evaluation) -> None:
        """Learn only which designs are known already."""
        self._unseen.add(evaluation.codes)
