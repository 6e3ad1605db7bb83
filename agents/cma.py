"""CMA-ES for integers and categories: CatCMA with margin, by the library cmaes.

Hamano, Uchida, Shirakawa, Morimoto and Saito: "CatCMA with Margin: Stochastic Optimization for Continuous, Integer,
and Categorical Variables" (GECCO 2025, arXiv 2504.07884); the margin keeps the probability of leaving a level above
zero (CMA-ES with Margin, GECCO 2022). Ordered parameters are its integers, two levels and text its categories.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from archgym.agent import Agent
from archgym.errors import UsageError
from archgym.evaluation import Evaluation
from archgym.space import Codes, DesignSpace, Level

from .dedup import Dedup
from .libraries import library, quiet
from .penalty import penalised
from .told import Told

_TRIES = 20  # samples of the distribution per design asked


class Cmaes(Agent):
    """Samples a distribution and moves it towards the better half of each population.

    A sample that is a known design enters the population with its known value and costs nothing; a forbidden one
    enters as the worst. Where the distribution yields hardly anything new it has converged and starts again from a
    random mean. It knows no constraints (infeasible designs get a penalty) and searches the equally weighted product
    of several values.
    """

    @dataclass(frozen=True)
    class Config:
        """Hyperparameters.

        Attributes:
            population: samples per update; 0 for the library's 4 + 3 ln d, at most a tenth of the budget.
            sigma: initial step, in units of a fifth of the distance from the mean to the nearer end.
        """

        population: int = 0
        sigma: float = 2.0

        def __post_init__(self) -> None:
            if self.population < 0 or self.population == 1 or self.sigma <= 0:
                raise UsageError(
                    "cmaes: population must be 0 (automatic) or at least 2 and sigma positive, got "
                    f"{self.population} and {self.sigma}"
                )

    search_space: ClassVar[Mapping[str, tuple[Level, ...]]] = {
        "population": (0, 6, 10, 16, 24),
        "sigma": (0.5, 1.0, 2.0),
    }
    config: Config

    def __init__(self, space: DesignSpace, config: Any = None, **study: Any) -> None:
        super().__init__(space, config, **study)
        self._library = library("cmaes")
        self._dedup = Dedup(space, self.rng)
        self._told = Told(space)
        ordered = np.array([p.ordered for p in space.parameters]) & (space.nvec > 2)
        self._integers = np.flatnonzero(ordered)
        self._categories = np.flatnonzero(~ordered & (space.nvec > 1))
        free = len(self._integers) + len(self._categories)
        usual = 4 + math.floor(3 * math.log(max(free, 1)))
        self._population = self.config.population or max(4, min(usual, (self.budget or 10**9) // 10))
        self._cost: dict[Any, float] = {}  # canonical key -> cost, of everything told
        self._samples: list[tuple[Any, Any]] = []  # (solution, canonical key), not yet in an update
        self._optimizer = self._start(np.round(0.5 * (space.nvec[self._integers] - 1))) if free else None

    def ask(self, n: int) -> Codes:
        """``n`` new designs (k, d); fewer only when the space runs out."""
        parts = [self._sample(n)] if self._optimizer is not None else []
        missing = n - sum(map(len, parts))
        if missing and parts:
            self._restart()
            parts.append(self._sample(missing))
        parts.append(self._dedup.draw(n - sum(map(len, parts)), self.rng))
        return np.concatenate(parts)

    def tell(self, evaluation: Evaluation) -> None:
        """Learn the values; rows it never asked for count once they are sampled."""
        self._dedup.add(evaluation.codes)
        if len(self._told.add(evaluation)):
            rows = self._told.rows
            assert rows is not None
            self._cost = dict(zip(self.space.keys(rows.codes).tolist(), penalised(rows).tolist(), strict=True))
        self._update()

    def _sample(self, n: int) -> Codes:
        """Up to ``n`` new designs drawn from the distribution."""
        out: list[Codes] = []
        for _ in range(_TRIES * n):
            if len(out) == n:
                break
            assert self._optimizer is not None
            solution = self._optimizer.ask()
            row = self.space.canonical(self._codes(solution))
            (key,) = self.space.keys(row).tolist()
            fresh = self._dedup.claim(row, 1)
            if len(fresh):
                out.append(fresh)
            elif key not in self._cost and not self.space.is_allowed(row)[0]:
                key = None
            elif key not in self._cost:
                continue  # asked, not told yet
            self._samples.append((solution, key))
            self._update()
        return np.concatenate(out) if out else np.empty((0, len(self.space)), np.int64)

    def _update(self) -> None:
        """Whenever a population has its values, move the distribution."""
        ready = [sample for sample in self._samples if sample[1] is None or sample[1] in self._cost]
        if len(ready) < self._population or not self._cost or self._optimizer is None:
            return
        worst = max(self._cost.values()) + 1.0
        told = [(solution, self._cost.get(key, worst)) for solution, key in ready[: self._population]]
        used = {id(solution) for solution, _ in told}
        self._samples = [sample for sample in self._samples if id(sample[0]) not in used]
        with quiet():
            try:
                self._optimizer.tell(told)
                is_over = self._optimizer.should_stop()
            except np.linalg.LinAlgError:  # steps have grown until the covariance overflowed
                is_over = True
            if is_over:
                self._restart()

    def _restart(self) -> None:
        high = self.space.nvec[self._integers] - 1
        self._samples = []
        self._optimizer = self._start(self.rng.integers(np.minimum(1, high), np.maximum(high, 1)))

    def _start(self, mean: Any) -> Any:
        levels = self.space.nvec
        return self._library.CatCMAwM(
            z_space=[list(range(levels[i])) for i in self._integers] or None,
            c_space=[int(levels[i]) for i in self._categories] or None,
            population_size=self._population,
            mean=np.asarray(mean, np.float64) if len(self._integers) else None,
            sigma=self.config.sigma,
            seed=int(self.rng.integers(2**31)),
        )

    def _codes(self, solution: Any) -> Codes:
        """A solution as one row of codes (1, d)."""
        row = np.zeros((1, len(self.space)), np.int64)
        if len(self._integers):
            row[0, self._integers] = np.round(solution.z).astype(np.int64)
        if len(self._categories):
            row[0, self._categories] = np.argmax(solution.c, axis=1)
        return row
