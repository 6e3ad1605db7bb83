"""A steady-state genetic algorithm that never evaluates a design twice.

Truncation survival, tournament parents, uniform crossover, ordinal mutation. Against a
generational GA with duplicates this is the difference between a mediocre and a strong baseline on
finite design spaces: every sample of the budget is a new design (Whitley's GENITOR, ICGA 1989, for
the steady-state scheme).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from archgym.agent import Agent
from archgym.errors import UsageError
from archgym.evaluation import Evaluation, Floats
from archgym.space import Codes, DesignSpace, Level

from .ranking import ranks
from .unseen import Unseen
from .variation import Variation

_TRIES = 10


class Genetic(Agent):
    """Keeps the best designs and recombines them.

    With several values (a Pareto objective) it searches their equally weighted product; told
    violations (grey track), it ranks infeasible designs by their sum.
    """

    @dataclass(frozen=True)
    class Config:
        """Hyperparameters.

        Attributes:
            population: survivors, and random designs asked first.
            tournament: contestants for each parent.
            crossover: probability that a child has two parents.
            mutation: expected number of mutated parameters.
            step: probability that a mutated ordered parameter moves by one level instead of jumping anywhere.
        """

        population: int = 24
        tournament: int = 3
        crossover: float = 0.8
        mutation: float = 1.2
        step: float = 0.6

        def __post_init__(self) -> None:
            if self.population < 1 or self.tournament < 1 or self.mutation <= 0:
                raise UsageError("genetic: population and tournament must be at least 1, mutation positive")
            if not (0 <= self.crossover <= 1 and 0 <= self.step <= 1):
                raise UsageError("genetic: crossover and step are probabilities")

    search_space: ClassVar[Mapping[str, tuple[Level, ...]]] = {
        "population": (8, 16, 24, 32, 64),
        "tournament": (2, 3, 4),
        "crossover": (0.5, 0.8, 1.0),
        "mutation": (0.8, 1.2, 2.0),
        "step": (0.3, 0.6, 0.9),
    }
    anytime = True
    config: Config

    def __init__(self, space: DesignSpace, config: Any = None, **study: Any) -> None:
        super().__init__(space, config, **study)
        self._unseen = Unseen(space)
        self._variation = Variation(space)
        self._codes = np.empty((0, len(space)), np.int64)  # survivors, best first
        self._rank: Floats = np.empty((0, 2))

    def ask(self, n: int) -> Codes:
        """``n`` new designs (k, d): founders first, then children; fewer only when the space runs out."""
        founders = min(n, max(self.config.population - len(self._unseen), 0))  # a warm start takes their place
        parts = [self._unseen.draw(founders, self.rng)]
        children = n - founders
        for attempt in range(_TRIES if len(self._codes) else 0):
            missing = children - sum(map(len, parts[1:]))
            if missing == 0:
                break
            parts.append(self._unseen.claim(self._children(missing, 1 + attempt), missing))
        parts.append(self._unseen.draw(n - sum(map(len, parts)), self.rng))
        return np.concatenate(parts)

    def tell(self, evaluation: Evaluation) -> None:
        """Merge into the population; only the best survive."""
        codes = np.concatenate([self._codes, self._unseen.add(evaluation.codes)])
        rank = np.concatenate([self._rank, ranks(evaluation)])
        _, first = np.unique(self.space.keys(codes), return_index=True)
        first.sort()
        order = first[np.lexsort(rank[first].T[::-1])][: self.config.population]
        self._codes, self._rank = codes[order], rank[order]

    def _children(self, n: int, boldness: int) -> Codes:
        """``n`` children; where they keep being known designs, the caller makes mutation bolder."""
        c = self.config
        contestants = self.rng.integers(0, len(self._codes), size=(n, 2, c.tournament))
        mother, father = self._codes[contestants.min(axis=2)].transpose(1, 0, 2)  # survivors are sorted: best wins
        mutation = boldness * c.mutation
        return self._variation.children(mother, father, self.rng, crossover=c.crossover, mutation=mutation, step=c.step)
