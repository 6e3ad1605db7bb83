"""NSGA-II that never evaluates a design twice: non-dominated sorting, crowding, constraints before objectives.

Deb, Pratap, Agarwal & Meyarivan, IEEE Transactions on Evolutionary Computation 6(2), 2002, steady-state: whatever is
told joins the population at once, and the best of both survive. With a single value it is a (mu + lambda) genetic
algorithm.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from archgym.agent import Agent
from archgym.errors import UsageError
from archgym.evaluation import Evaluation, Floats
from archgym.space import Codes, DesignSpace, Level

from .ranking import violation
from .unseen import Unseen
from .variation import Variation

_TRIES = 10
_HUGE = 1e9  # what an infinite value counts as, so that distances stay finite


class Nsga2(Agent):
    """Keeps the fronts of the designs it knows, and recombines designs of good fronts in sparse places.

    Feasible designs come before infeasible ones, and these (told violations, on the grey track) in the order of their
    sum. Values are compared by their logarithms, so that a front spreads over orders of magnitude. On the scalar track
    it searches the reward.
    """

    @dataclass(frozen=True)
    class Config:
        """Hyperparameters.

        Attributes:
            population: survivors; half as many where there is a single value, and no front to cover.
            founders: random designs asked first.
            tournament: contestants for each parent.
            crossover: probability that a child has two parents.
            mutation: expected number of mutated parameters.
            step: probability that a mutated ordered parameter moves by one level instead of jumping anywhere.
        """

        population: int = 40
        founders: int = 24
        tournament: int = 2
        crossover: float = 0.8
        mutation: float = 0.8
        step: float = 0.6

        def __post_init__(self) -> None:
            if min(self.population, self.founders, self.tournament) < 1 or self.mutation <= 0:
                raise UsageError(
                    "nsga2: expected population, founders and tournament of at least 1 and a positive mutation, got "
                    f"{self.population}, {self.founders}, {self.tournament} and {self.mutation}"
                )
            if not (0 <= self.crossover <= 1 and 0 <= self.step <= 1):
                raise UsageError(
                    f"nsga2: crossover and step are probabilities from 0 to 1, got {self.crossover} and {self.step}"
                )

    search_space: ClassVar[Mapping[str, tuple[Level, ...]]] = {
        "population": (20, 40, 80),
        "founders": (12, 24, 48),
        "tournament": (2, 3),
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
        self._survivors = self.config.population if self.n_values > 1 else -(-self.config.population // 2)
        self._codes: Codes = np.empty((0, len(space)), np.int64)  # survivors, best first
        self._costs: Floats = np.empty((0, self.n_values))
        self._violation: Floats = np.empty(0)

    def ask(self, n: int) -> Codes:
        """``n`` new designs (k, d): founders first, then children; fewer only when the space runs out."""
        founders = min(n, max(self.config.founders - len(self._unseen), 0))  # a warm start takes their place
        parts = [self._unseen.draw(founders, self.rng)]
        children = n - founders
        for attempt in range(_TRIES if len(self._codes) else 0):
            if (missing := children - sum(map(len, parts[1:]))) == 0:
                break
            parts.append(self._unseen.claim(self._children(2 * missing, 1 + attempt), missing))
        parts.append(self._unseen.draw(n - sum(map(len, parts)), self.rng))
        return np.concatenate(parts)

    def tell(self, evaluation: Evaluation) -> None:
        """Merge into the population; of the last front that fits in part, those in sparse places survive."""
        codes = np.concatenate([self._codes, self._unseen.add(evaluation.codes)])
        costs = np.concatenate([self._costs, self._cost(evaluation)])
        violations = np.concatenate([self._violation, violation(evaluation)])
        _, first = np.unique(self.space.keys(codes), return_index=True)
        first.sort()
        front = fronts(costs[first], violations[first])
        sparse = crowding(costs[first], front)
        order = first[np.lexsort((-sparse, front))][: self._survivors]
        self._codes, self._costs, self._violation = codes[order], costs[order], violations[order]

    def _cost(self, evaluation: Evaluation) -> Floats:
        """What is minimised (n, m): signed logarithms of several values, else the negated reward."""
        if self.n_values == 1:
            return np.asarray(-evaluation.reward[:, None])
        flat = np.where(evaluation.feasible[:, None], evaluation.values, 1.0).ravel().tolist()
        logs = [math.log(v) if v > 0 else -math.log(-v) if v < 0 else 0.0 for v in flat]  # negated where maximised
        return np.asarray(np.clip(np.array(logs).reshape(evaluation.values.shape), -_HUGE, _HUGE), np.float64)

    def _children(self, n: int, boldness: int) -> Codes:
        """``n`` children; where they keep being known designs, the caller makes mutation bolder."""
        c = self.config
        contestants = self.rng.integers(0, len(self._codes), size=(n, 2, c.tournament))
        mother, father = self._codes[contestants.min(axis=2)].transpose(1, 0, 2)  # survivors are sorted: best wins
        mutation = boldness * c.mutation
        return self._variation.children(mother, father, self.rng, crossover=c.crossover, mutation=mutation, step=c.step)


def fronts(costs: Floats, violations: Floats) -> npt.NDArray[np.int64]:
    """Number of the front (n,) that each design is in: 0 for the best.

    Args:
        costs: (n, m), minimised.
        violations: (n,), 0 where feasible. Equally infeasible designs share a front, behind all feasible ones.
    """
    import moocore

    feasible = violations == 0
    out = np.zeros(len(costs), np.int64)
    if feasible.any():
        out[feasible] = moocore.pareto_rank(np.ascontiguousarray(costs[feasible]))
    if not feasible.all():
        _, worse = np.unique(violations[~feasible], return_inverse=True)
        out[~feasible] = len(costs) + worse
    return out


def crowding(costs: Floats, front: npt.NDArray[np.int64]) -> Floats:
    """Crowding distance (n,) within each front: the larger the sparser, infinite at a front's ends.

    Args:
        costs: (n, m).
        front: (n,) as from `fronts`.
    """
    n, m = costs.shape
    out = np.zeros(n)
    for column in costs.T:
        order = np.lexsort((column, front))
        value, group = column[order], front[order]
        starts = np.r_[True, group[1:] != group[:-1]]
        ends = np.r_[starts[1:], True]
        index = np.cumsum(starts) - 1
        spans = (value[ends] - value[starts])[index]
        gaps = np.zeros(n)
        gaps[1:-1] = value[2:] - value[:-2]
        gaps = np.divide(gaps, spans, out=np.zeros(n), where=spans > 0)
        gaps[starts | ends] = np.inf
        out[order] += gaps
    return out
