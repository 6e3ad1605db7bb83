"""Iterated local search: climb over small steps, kick the best design where no step is better, and climb again.

Lourenço, Martin & Stützle, "Iterated Local Search", Handbook of Metaheuristics, 2003. Steps are tried in random order
and the first improvement of a batch is taken; where a batch holds several, their combination and the next step in the
best one's direction are tried first (the pattern move of Hooke & Jeeves, Journal of the ACM 8(2), 1961).
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

from .ranking import ranks
from .unseen import Unseen
from .variation import Variation

_TRIES = 10  # kicks that lead to known designs only, before chance decides

Rank = tuple[float, float]  # (violation, -reward), the smaller the better


class LocalSearch(Agent):
    """Climbs from the best of a few random designs; told violations (grey track), it climbs to feasibility first.

    Every climb that ends no better than the best design makes the next kick stronger by one parameter, until it starts
    anew at a random design. Designs that are known already are walked over without asking for them. Of several values
    (a Pareto objective) it searches the equally weighted product, the reward.
    """

    @dataclass(frozen=True)
    class Config:
        """Hyperparameters.

        Attributes:
            founders: random designs asked first.
            kick: parameters that the first kick changes.
            failures: kicks in a row without a better design, after which the search starts anew.
            far: probability that a kicked ordered parameter goes anywhere instead of to the next level.
        """

        founders: int = 12
        kick: int = 2
        failures: int = 12
        far: float = 0.5

        def __post_init__(self) -> None:
            if min(self.founders, self.kick, self.failures) < 1 or not 0 <= self.far <= 1:
                raise UsageError(
                    "local-search: expected founders, kick and failures of at least 1 and a probability far, got "
                    f"{self.founders}, {self.kick}, {self.failures} and {self.far}"
                )

    search_space: ClassVar[Mapping[str, tuple[Level, ...]]] = {
        "founders": (4, 8, 12, 24),
        "kick": (1, 2, 3),
        "failures": (3, 6, 12, 24),
        "far": (0.0, 0.5, 1.0),
    }
    anytime = True
    config: Config

    def __init__(self, space: DesignSpace, config: Any = None, **study: Any) -> None:
        super().__init__(space, config, **study)
        self._unseen = Unseen(space)
        self._variation = Variation(space)
        self._ordered = np.array([p.ordered for p in space.parameters])
        self._known: dict[Any, Rank] = {}
        self._base: tuple[Codes, Rank] | None = None  # where the climb stands
        self._best: tuple[Codes, Rank] | None = None
        self._steps: Codes = np.empty((0, len(space)), np.int64)  # from there, still to be tried
        self._kicked: set[Any] = set()  # designs asked from which the next climb may start
        self._failed = 0

    def ask(self, n: int) -> Codes:
        """``n`` new designs (k, d): founders, steps, kicks where steps run out; fewer only when the space runs out."""
        founders = min(n, max(self.config.founders - len(self._unseen), 0))  # a warm start takes their place
        parts = [self._unseen.draw(founders, self.rng)]
        while (missing := n - sum(map(len, parts))) and len(self._steps):
            parts.append(self._unseen.claim(self._steps[:missing], missing))
            self._steps = self._steps[missing:]
        for attempt in range(_TRIES if self._best is not None else 0):
            if (missing := n - sum(map(len, parts))) == 0:
                return np.concatenate(parts)
            parts.append(self._unseen.claim(self._kicks(missing, attempt), missing))
            self._kicked.update(self.space.keys(parts[-1]).tolist())
        drawn = self._unseen.draw(n - sum(map(len, parts)), self.rng)
        self._kicked.update(self.space.keys(drawn).tolist())
        return np.concatenate([*parts, drawn])

    def tell(self, evaluation: Evaluation) -> None:
        """Climb on from the best improvement; at the end of a climb, from the best of the kicks."""
        if len(evaluation) == 0:
            return
        codes = self._unseen.add(evaluation.codes)
        keys = self.space.keys(codes).tolist()
        told: list[Rank] = [(violation, energy) for violation, energy in ranks(evaluation).tolist()]
        self._known.update(zip(keys, told, strict=True))
        first = min(range(len(told)), key=told.__getitem__)
        if self._best is None or told[first] < self._best[1]:
            self._best, self._failed = (codes[first], told[first]), 0
        if self._base is None or told[first] < self._base[1]:
            better = [i for i, rank in enumerate(told) if self._base is not None and rank < self._base[1]]
            better.sort(key=told.__getitem__)
            self._climb(codes[first], told[first], self._leaps(codes[better]))
            return
        kicked = [i for i, key in enumerate(keys) if key in self._kicked]
        if len(self._steps) == 0 and kicked:
            self._failed += 1
            start = min(kicked, key=told.__getitem__)
            self._climb(codes[start], told[start], self._steps)

    def _climb(self, code: Codes, rank: Rank, first: Codes) -> None:
        """Stand at a design (d,), walk on over known better ones, and line up the unknown steps from there."""
        self._kicked.clear()
        while True:
            around = self.space.neighbours(code)
            found = [self._known.get(key) for key in self.space.keys(around).tolist()]
            better = [(known, i) for i, known in enumerate(found) if known is not None and known < rank]
            if not better:
                break
            rank, i = min(better)
            code = around[i]
        self._base = code, rank
        unknown = around[[known is None for known in found]]
        self._steps = np.concatenate([first, unknown[self.rng.permutation(len(unknown))]])

    def _leaps(self, better: Codes) -> Codes:
        """Pattern moves (k, d) from improvements (m, d) of the base, best first: all of them at once, and one more."""
        if self._base is None or len(better) == 0:
            return better[:0]
        base = self._base[0]
        together = base.copy()
        for row in better[::-1]:
            together = np.where(row != base, row, together)
        onward = np.where(self._ordered, 2 * better[0] - base, better[0])
        leaps = np.stack([together, np.clip(onward, 0, self.space.nvec - 1)])
        return leaps

    def _kicks(self, n: int, attempt: int) -> Codes:
        """Designs (n, d) some parameters away from the best; random ones after too many failures."""
        assert self._best is not None
        if self._failed >= self.config.failures:
            self._failed = 0
            return self.space.sample(n, self.rng)
        moves = self.config.kick + self._failed + attempt
        start = np.broadcast_to(self._best[0], (n, len(self.space)))
        return self._variation.steps(start, self.rng, moves, self.config.far)
