"""Ant colony optimisation: pheromone on every level, laid by the best designs, evaporating, never quite gone.

Dorigo & Stützle, "Ant Colony Optimization", 2004, in the form that keeps trails between bounds (MAX-MIN ant system,
Stützle & Hoos, Future Generation Computer Systems 16, 2000) and as probabilities (the hyper-cube framework, Blum &
Dorigo, IEEE Transactions on Systems, Man, and Cybernetics B 34(2), 2004).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from archgym.agent import Agent
from archgym.errors import UsageError
from archgym.evaluation import Evaluation, Floats
from archgym.space import Codes, DesignSpace, Level

from .ranking import ranks
from .unseen import Unseen

_TRIES = 10  # rounds of ants that only find known designs, each roaming more freely, before chance decides


class AntColony(Agent):
    """Ants choose level by level in proportion to the pheromone; where rules forbid one, among those that remain.

    The best designs known lay pheromone on the levels of their active parameters, the more the better they are, on
    ordered parameters some of it on the adjacent levels. Told violations (grey track), infeasible designs rank by them.
    Of several values (a Pareto objective) it searches the equally weighted product, the reward.

    Attributes:
        trails: (d, most levels) float64 pheromone; every row sums to 1, levels that a parameter lacks have none.
    """

    @dataclass(frozen=True)
    class Config:
        """Hyperparameters.

        Attributes:
            elite: best designs that lay pheromone.
            evaporation: share of the pheromone that every design renews.
            bound: least probability of exploring: the share of the pheromone that is spread evenly.
            spread: share of the pheromone that goes to the adjacent levels of an ordered parameter.
        """

        elite: int = 4
        evaporation: float = 0.06
        bound: float = 0.1
        spread: float = 0.2

        def __post_init__(self) -> None:
            if self.elite < 1 or not 0 < self.evaporation <= 1:
                raise UsageError("ant-colony: expected an elite of at least 1 and evaporation in (0, 1]")
            if not (0 < self.bound <= 1 and 0 <= self.spread <= 1):
                raise UsageError("ant-colony: expected a bound in (0, 1] and a spread in [0, 1]")

    search_space: ClassVar[Mapping[str, tuple[Level, ...]]] = {
        "elite": (2, 4, 8, 16),
        "evaporation": (0.02, 0.04, 0.06, 0.12),
        "bound": (0.05, 0.1, 0.15, 0.3),
        "spread": (0.0, 0.2, 0.4),
    }
    anytime = True
    config: Config

    def __init__(self, space: DesignSpace, config: Any = None, **study: Any) -> None:
        super().__init__(space, config, **study)
        self._unseen = Unseen(space)
        levels = np.arange(int(space.nvec.max()))
        self._even: Floats = (levels < space.nvec[:, None]) / space.nvec[:, None]  # (d, levels), rows sum to 1
        self.trails = self._even.copy()
        self._ordered = np.array([p.ordered for p in space.parameters])
        self._conditions = [
            (i, space.names.index(name), np.array([level in matters for level in space[name].levels], np.bool_))
            for i, p in enumerate(space.parameters)
            for name, matters in (p.active_when or {}).items()
        ]  # (parameter, the one it depends on, levels of that at which it matters)
        self._codes: Codes = np.empty((0, len(space)), np.int64)  # the elite, best first
        self._rank: Floats = np.empty((0, 2))

    def ask(self, n: int) -> Codes:
        """``n`` new designs (k, d) by as many ants; fewer only when the space runs out."""
        parts = [self._codes[:0]]
        for attempt in range(_TRIES if len(self._codes) else 0):
            if (missing := n - sum(map(len, parts))) == 0:
                break
            parts.append(self._unseen.claim(self._ants(2 * missing, attempt), missing))
        parts.append(self._unseen.draw(n - sum(map(len, parts)), self.rng))
        return np.concatenate(parts)

    def tell(self, evaluation: Evaluation) -> None:
        """Let the elite, with the new designs, renew the trails."""
        if len(evaluation) == 0:
            return
        codes = np.concatenate([self._codes, self._unseen.add(evaluation.codes)])
        rank = np.concatenate([self._rank, ranks(evaluation)])
        _, first = np.unique(self.space.keys(codes), return_index=True)
        first.sort()
        order = first[np.lexsort(rank[first].T[::-1])][: self.config.elite]
        self._codes, self._rank = codes[order], rank[order]
        kept = 1.0
        for _ in range(len(evaluation)):  # products are the same on every CPU, powers are not
            kept *= 1.0 - self.config.evaporation
        self.trails = kept * self.trails + (1.0 - kept) * self._laid()

    def _laid(self) -> Floats:
        """What the elite lays (d, levels), rows summing to 1; evenly where a parameter is dead in all of it."""
        n, d = self._codes.shape
        weights = np.arange(n, 0, -1.0)[:, None] * self._active(self._codes)
        laid = np.zeros_like(self.trails)
        for row, weight in zip(self._codes, weights, strict=True):
            laid[np.arange(d), row] += weight
        total = weights.sum(axis=0)[:, None]
        laid = np.where(total > 0, laid / np.maximum(total, 1.0), self._even)
        ends = np.arange(d), self.space.nvec - 1
        aside = np.zeros_like(laid)
        aside[:, 1:] = laid[:, :-1]
        aside[:, :-1] += laid[:, 1:]
        aside[:, 0] += laid[:, 0]  # what would fall off either end stays there
        if aside.shape[1] > 1:
            off = self.space.nvec < aside.shape[1]
            aside[off, self.space.nvec[off]] = 0.0
        aside[ends] += laid[ends]
        mixed = (1.0 - self.config.spread) * laid + self.config.spread * aside / 2
        return np.where(self._ordered[:, None], mixed, laid)

    def _active(self, codes: Codes) -> npt.NDArray[np.bool_]:
        """Which parameters (n, d) of canonical designs matter."""
        active = np.ones(codes.shape, np.bool_)
        for i, j, matters in self._conditions:
            active[:, i] &= matters[codes[:, j]]
        return active

    def _ants(self, n: int, attempt: int) -> Codes:
        """Designs (n, d) drawn from the trails, the more evenly the more attempts have failed."""
        bound = min(1.0, self.config.bound * (1 + attempt))
        odds = (1.0 - bound) * self.trails + bound * self._even
        below = np.cumsum(odds, axis=1)
        draws = self.rng.random((n, len(self.space))) * below[:, -1]
        codes: Codes = np.minimum((draws[:, :, None] >= below).sum(axis=2), self.space.nvec - 1)
        if self.space.allowed:
            for row in np.flatnonzero(~self.space.is_allowed(codes)):
                self._repair(codes[row], odds)
        return codes

    def _repair(self, row: Codes, odds: Floats) -> None:
        """Take the design's levels (d,) one after the other; where the rules forbid one, choose among the others."""
        for i in range(len(row)):
            permitted = self.space.mask(row[:i])
            if not permitted[row[i]]:
                below = np.cumsum(np.where(permitted, odds[i, : len(permitted)], 0.0))
                row[i] = int((self.rng.random() * below[-1] >= below).sum())
