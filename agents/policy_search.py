"""Agents that learn from draws of their own policy, under budgets in which no sample should be wasted.

A policy that has learnt something keeps drawing designs that are known already: evaluated again they teach nothing that
was not known, but the policy has to hear how often it draws them. So a known design counts again with its known
outcome and costs no sample; a forbidden one counts as the worst there is. Both are draws of the policy like any other.
What is asked because the policy found nothing new is no draw of it. Where several designs are asked at a time, known
ones may fill a rollout before the new ones are told: those count in the next, drawn by the policy before its update.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from archgym.agent import Agent
from archgym.evaluation import Evaluation
from archgym.space import Codes, DesignSpace

from .dedup import Dedup
from .ranking import violation

_ROUNDS = 4  # of draws in one ask until chance, or the neighbourhood of a known design, takes over
_SHARE, _SMALLEST, _LARGEST, _UNKNOWN = 30, 16, 256, 2000


class Outcome(NamedTuple):
    """What came of a design: its reward, and by `ranking.violation` how far it is from feasible (0 if it is)."""

    reward: float
    violation: float


FORBIDDEN = Outcome(0.0, np.inf)  # of a design that the rules forbid


@dataclass(frozen=True)
class Draw:
    """One design that a policy has drawn.

    Attributes:
        codes: (d,) level indices as drawn.
        memo: what the policy wants to know of it when it learns.
    """

    codes: npt.NDArray[np.int64]
    memo: Any


class PolicySearch(Agent):
    """Asks for what a policy draws, and has it learn what came of every draw.

    Subclasses override `_draws` and `_learn`, some `_learn_unasked` and `_updated`. Of several values (a Pareto
    objective) they see the equally weighted product, the reward.

    Args:
        distinct: False for the plain algorithm, in which known designs are asked again and cost samples.
    """

    def __init__(self, space: DesignSpace, config: Any, distinct: bool, **study: Any) -> None:
        super().__init__(space, config, **study)
        self._distinct = distinct
        self._dedup = Dedup(space, self.rng)
        self._outcomes: dict[Any, Outcome] = {}  # canonical key -> what was told of it
        self._waiting: dict[Any, list[Draw]] = {}  # canonical key -> draws of what is asked and not told yet
        self._n_asked = self._n_told = 0

    @abstractmethod
    def _draws(self, n: int) -> Sequence[Draw]:
        """``n`` designs as the policy draws them now."""

    @abstractmethod
    def _learn(self, draw: Draw, outcome: Outcome) -> None:
        """A draw has its outcome."""

    def _learn_unasked(self, codes: npt.NDArray[np.int64], outcome: Outcome) -> None:
        """A design (d,) was told that is no draw (warm start, chance); it is known from now on."""

    def _updated(self) -> None:
        """All draws of a round, or all that was told, are learnt: the moment for an update."""

    @property
    def progress(self) -> float:
        """The share of the budget that has been spent; 0 without a budget. Rows of a warm start cost none."""
        return min(min(self._n_told, self._n_asked) / self.budget, 1.0) if self.budget else 0.0

    def ask(self, n: int) -> Codes:
        """``n`` designs (k, d), new ones unless told otherwise; fewer only when the space runs out."""
        parts = [np.empty((0, len(self.space)), np.int64)]
        missing = n
        for _ in range(_ROUNDS):
            new, others = self._new(self._draws(missing))
            parts.append(new)
            self._updated()
            missing -= len(new)
            if missing == 0:
                break
        else:
            others = self._dedup.replace(others) if self._distinct else self.space.sample(missing, self.rng)
            for key in self._keys(others):
                self._waiting.setdefault(key, [])
            parts.append(others)
        codes = np.concatenate(parts)
        self._n_asked += len(codes)
        return codes

    def tell(self, evaluation: Evaluation) -> None:
        """Remember the outcomes, and learn those of draws that waited for them."""
        codes = self._dedup.add(evaluation.codes)
        self._n_told += len(evaluation)
        outcomes = zip(evaluation.reward.tolist(), violation(evaluation).tolist(), strict=True)
        for row, key, found in zip(codes, self.space.keys(codes).tolist(), outcomes, strict=True):
            outcome = self._outcomes[key] = Outcome(*found)
            waiting = self._waiting.pop(key, [])
            heard = waiting if self._distinct else waiting[:1]  # in the plain form each of them is told by itself
            if waiting[len(heard) :]:
                self._waiting[key] = waiting[len(heard) :]
            for draw in heard:
                self._learn(draw, outcome)
            if not heard:
                self._learn_unasked(row, outcome)
        self._updated()

    def _new(self, draws: Sequence[Draw]) -> tuple[Codes, Codes]:
        """Those draws that have to be evaluated, canonical, and the others as drawn, which are learnt or wait."""
        rows = []
        codes = np.array([draw.codes for draw in draws])
        canonical, allowed = self.space.canonical(codes), self.space.is_allowed(codes)
        for i, (draw, key) in enumerate(zip(draws, self.space.keys(canonical).tolist(), strict=True)):
            if not allowed[i]:
                self._learn(draw, FORBIDDEN)
            elif self._distinct and key in self._outcomes:
                self._learn(draw, self._outcomes[key])
            else:
                if not (self._distinct and key in self._waiting):
                    rows.append(i)
                self._waiting.setdefault(key, []).append(draw)
        self._dedup.add(canonical[rows])
        return canonical[rows], np.delete(codes, rows, axis=0)

    def _keys(self, codes: Codes) -> list[Any]:
        keys: list[Any] = self.space.keys(self.space.canonical(codes)).tolist()
        return keys


def rollout_size(rollout: int, budget: int | None) -> int:
    """Draws between two updates: ``rollout``, or where that is 0 a thirtieth of the budget, 16 to 256."""
    return rollout or max(_SMALLEST, min((budget or _UNKNOWN) // _SHARE, _LARGEST))
