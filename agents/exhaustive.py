"""Exhaustive search: every distinct design once, in lexicographic order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from archgym.agent import Agent
from archgym.errors import UsageError
from archgym.evaluation import Evaluation
from archgym.space import Codes, DesignSpace


class Exhaustive(Agent):
    """Walks through ``space.enumerate``; complete when the budget covers the canonical designs."""

    @dataclass(frozen=True)
    class Config:
        """Hyperparameters.

        Attributes:
            chunk: raw designs enumerated at a time.
        """

        chunk: int = 65536

        def __post_init__(self) -> None:
            if self.chunk < 1:
                raise UsageError(f"exhaustive: chunk must be at least 1, got {self.chunk}")

    anytime = True
    config: Config

    def __init__(self, space: DesignSpace, config: Any = None, **study: Any) -> None:
        super().__init__(space, config, **study)
        self._blocks = space.enumerate(self.config.chunk)
        self._block = np.empty((0, len(space)), np.int64)

    def ask(self, n: int) -> Codes:
        """The next designs (k, d), k <= n; empty at the end."""
        if len(self._block) == 0:
            self._block = next(self._blocks, self._block)
        out, self._block = self._block[:n], self._block[n:]
        return out

    def tell(self, evaluation: Evaluation) -> None:
        """Nothing to learn: the order is fixed."""
