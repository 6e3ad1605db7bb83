"""Agents that learn from samples of their own policy, under budgets in which no sample should be wasted.

A policy that has learnt something keeps drawing designs that are known already: evaluated again they teach nothing that
was not known, but the policy has to hear how often it draws them. So a known design joins the rollout with its known
value and costs no sample; a forbidden one joins as the worst there is. What is asked because the policy found nothing
new is no draw of it, and never joins. Only the order within a rollout counts: rewards of design problems differ in
spread by orders of magnitude, and infeasible designs have none.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np

from archgym.agent import Agent
from archgym.evaluation import Evaluation, Floats
from archgym.space import Codes, DesignSpace

from .dedup import Dedup
from .ranking import ranks

_TRIES = 4  # rounds of draws until chance, or the neighbourhood of a known design, takes over
_FORBIDDEN = (np.inf, 0.0)  # rank of a design that the rules forbid
_SHARE, _SMALLEST, _LARGEST = 30, 16, 256  # a rollout is a thirtieth of the budget, within these bounds


class OnPolicy(Agent):
    """Hands a policy every full rollout of its own draws.

    Subclasses override `_draw` and `_learn`. Rows it never asked for (a warm start) are known designs from then on, and
    count once the policy draws them. Of several values (a Pareto objective) it sees the equally weighted product, the
    reward. Told violations (grey track), infeasible designs rank by them.

    Args:
        rollout: draws between two updates; 0 for a thirtieth of the budget, 16 to 256.
        distinct: False for the plain algorithm, in which known designs are asked again and cost samples.
    """

    def __init__(self, space: DesignSpace, config: Any, rollout: int, distinct: bool, **study: Any) -> None:
        super().__init__(space, config, **study)
        self._distinct = distinct
        automatic = max(_SMALLEST, min((self.budget or 2000) // _SHARE, _LARGEST))
        self._size = rollout or automatic
        self._dedup = Dedup(space, self.rng)
        self._known: dict[Any, tuple[float, float]] = {}  # canonical key -> rank, as in `ranking`
        self._waiting: dict[Any, list[tuple[Codes, Floats]]] = {}  # canonical key -> draws asked but not told
        self._rollout: list[tuple[Codes, Floats, Any]] = []  # (codes, what `_draw` said, canonical key or None)
        self._told = 0

    @abstractmethod
    def _draw(self, n: int) -> tuple[Codes, Floats]:
        """``n`` designs (n, d) of the policy, and whatever (n, k) it wants to know of each when it learns."""

    @abstractmethod
    def _learn(self, codes: Codes, drawn: Floats, places: Floats) -> None:
        """Learn from a rollout.

        Args:
            codes: (m, d) as drawn.
            drawn: (m, k) what `_draw` said of them.
            places: (m,) from 0 for the best to m - 1; those that are equally good share the mean of theirs.
        """

    @property
    def progress(self) -> float:
        """The share of the budget that has been spent; 0 without a budget."""
        return min(self._told / self.budget, 1.0) if self.budget else 0.0

    def ask(self, n: int) -> Codes:
        """``n`` designs (k, d), new ones unless told otherwise; fewer only when the space runs out."""
        parts = [np.empty((0, len(self.space)), np.int64)]
        missing = n
        for _ in range(_TRIES):
            codes, drawn = self._draw(missing)
            parts.append(self._new(codes, drawn))
            missing -= len(parts[-1])
            if missing == 0:
                break
        else:
            others = self._dedup.replace(codes[:missing]) if self._distinct else self.space.sample(missing, self.rng)
            self._waiting.update((key, []) for key in self._keys(others))
            parts.append(others)
        return np.concatenate(parts)

    def tell(self, evaluation: Evaluation) -> None:
        """Remember the values; draws that waited for them join the rollout."""
        self._dedup.add(evaluation.codes)
        self._told += len(evaluation)
        for key, (worse, cost) in zip(self._keys(evaluation.codes), ranks(evaluation).tolist(), strict=True):
            self._known[key] = worse, cost if worse == 0 else 0.0  # the reward of an infeasible design says nothing
            waiting = self._waiting.pop(key, [])
            if not self._distinct and len(waiting) > 1:  # each of them is told by itself
                self._waiting[key] = waiting[1:]
            self._rollout += [(*draw, key) for draw in (waiting if self._distinct else waiting[:1])]
        self._update()

    def _new(self, codes: Codes, drawn: Floats) -> Codes:
        """Those draws that have to be evaluated, canonical; the others join the rollout or wait."""
        rows = []
        canonical = self.space.canonical(codes)
        allowed = self.space.is_allowed(codes)
        for i, key in enumerate(self._keys(codes)):
            draw = codes[i], drawn[i]
            if not allowed[i]:
                self._rollout.append((*draw, None))
            elif self._distinct and key in self._known:
                self._rollout.append((*draw, key))
            else:
                if not (self._distinct and key in self._waiting):
                    rows.append(i)
                self._waiting.setdefault(key, []).append(draw)
        self._dedup.add(canonical[rows])
        self._update()
        return canonical[rows]

    def _update(self) -> None:
        if len(self._rollout) < self._size:
            return
        codes, drawn, keys = zip(*self._rollout, strict=True)
        self._rollout = []
        rank = np.array([_FORBIDDEN if key is None else self._known[key] for key in keys])
        _, group, size = np.unique(rank, axis=0, return_inverse=True, return_counts=True)  # sorted, the best first
        self._learn(np.array(codes), np.array(drawn), (np.cumsum(size) - (size + 1) / 2)[group])

    def _keys(self, codes: Codes) -> list[Any]:
        keys: list[Any] = self.space.keys(self.space.canonical(codes)).tolist()
        return keys
