"""``dedup(AGENT)``: no sample of the budget goes into a design that is known already."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from archgym import rng
from archgym.errors import UsageError
from archgym.evaluation import Evaluation
from archgym.space import Codes, DesignSpace
from archgym.wrapper import Wrapper

from .dedup import Dedup


class DedupWrapper(Wrapper):
    """For agents that propose known designs again: these are answered from memory, then replaced by their neighbours.

    A known design costs no sample: the agent is told the outcome that is remembered, and asked for another in its
    place. What is known even then, or forbidden by the rules, becomes the nearest unseen neighbour (`Dedup`), and the
    agent is told of that one. New designs are evaluated as they were proposed. It ends when the space runs out.
    """

    key = "dedup"

    @dataclass(frozen=True)
    class Own:
        """Hyperparameters.

        Attributes:
            again: how often in one ask the agent may propose something else for what is known.
        """

        again: int = 5

        def __post_init__(self) -> None:
            if self.again < 0:
                raise UsageError(f"dedup: expected again from 0, got {self.again}")

    def __init__(self, space: DesignSpace, config: Any = None, **study: Any) -> None:
        super().__init__(space, config, **study)
        self._dedup = Dedup(space, rng.generator(self.seed, "agent", self.key))  # the inner agent's stream is its own
        self._memory: dict[Any, tuple[Evaluation, int]] = {}  # canonical key -> where its outcome stands

    def ask(self, n: int) -> Codes:
        """As many new designs (k, d) as the inner agent proposes; fewer only when the space runs out."""
        new, known = self._divide(self.inner.ask(n))
        for _ in range(self.own.again):
            if not (told := self._recall(known)):
                break  # asked again without news it would propose the same
            self.inner.tell(Evaluation.concatenate(told))
            more, known_again = self._divide(self.inner.ask(len(known))[: len(known)])
            if (answers := len(more) + len(known_again)) == 0:
                break
            new, known = np.concatenate([new, more]), np.concatenate([known_again, known[answers:]])
        return np.concatenate([new, self._dedup.replace(known)])

    def tell(self, evaluation: Evaluation) -> None:
        """Remember the outcomes, and tell the inner agent."""
        for i, key in enumerate(self.space.keys(self._dedup.add(evaluation.codes)).tolist()):
            self._memory.setdefault(key, (evaluation, i))
        self.inner.tell(evaluation)

    def _divide(self, codes: Codes) -> tuple[Codes, Codes]:
        """New and allowed designs, now taken, and the others; both as proposed and in order."""
        taken = set(self.space.keys(self._dedup.claim(codes, len(codes))).tolist())
        is_new: npt.NDArray[np.bool_] = np.zeros(len(codes), np.bool_)
        for i, key in enumerate(self.space.keys(self.space.canonical(codes)).tolist()):
            if key in taken:
                taken.remove(key)
                is_new[i] = True
        return codes[is_new], codes[~is_new]

    def _recall(self, codes: Codes) -> list[Evaluation]:
        """The outcomes of those designs that have one, under the codes by which the agent knows them."""
        told = []
        for row, key in zip(codes, self.space.keys(self.space.canonical(codes)).tolist(), strict=True):
            if key in self._memory:
                evaluation, i = self._memory[key]
                one = evaluation.take(slice(i, i + 1))
                told.append(replace(one, codes=row[None], cached=np.ones(1, np.bool_)))
        return told
