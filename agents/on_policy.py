"""Policies that learn from the order within a rollout of their draws.

Rewards of design problems differ in spread by orders of magnitude, and infeasible designs have none; which of two
designs is better is always known.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np

from archgym.evaluation import Floats
from archgym.space import Codes, DesignSpace

from .policy_search import Draw, Outcome, PolicySearch, rollout_size
from .ranking import places


class OnPolicy(PolicySearch):
    """Hands a policy every full rollout of its own draws.

    Subclasses override `_draw` and `_improve`. Rows it never asked for (a warm start) are known designs from then on,
    and count once the policy draws them. Told violations (grey track), infeasible designs rank by them.

    Args:
        rollout: draws between two updates; 0 for a thirtieth of the budget, 16 to 256.
        distinct: False for the plain algorithm, in which known designs are asked again and cost samples.
    """

    def __init__(self, space: DesignSpace, config: Any, rollout: int, distinct: bool, **study: Any) -> None:
        super().__init__(space, config, distinct, **study)
        self._size = rollout_size(rollout, self.budget)
        self._rollout: list[tuple[Draw, Outcome]] = []

    @abstractmethod
    def _draw(self, n: int) -> tuple[Codes, Floats]:
        """``n`` designs (n, d) of the policy, and whatever (n, k) it wants to know of each when it learns."""

    @abstractmethod
    def _improve(self, codes: Codes, drawn: Floats, places: Floats) -> None:
        """Learn from a rollout.

        Args:
            codes: (m, d) as drawn.
            drawn: (m, k) what `_draw` said of them.
            places: (m,) from 0 for the best to m - 1; those that are equally good share the mean of theirs.
        """

    def _draws(self, n: int) -> Sequence[Draw]:
        return [Draw(codes, memo) for codes, memo in zip(*self._draw(n), strict=True)]

    def _learn(self, draw: Draw, outcome: Outcome) -> None:
        self._rollout.append((draw, outcome))

    def _updated(self) -> None:
        if len(self._rollout) < self._size:
            return
        draws, outcomes = zip(*self._rollout, strict=True)
        self._rollout = []
        reward, violation = np.array(outcomes).T
        self._improve(np.array([d.codes for d in draws]), np.array([d.memo for d in draws]), places(reward, violation))
