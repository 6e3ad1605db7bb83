"""New designs from known ones: crossover of two, mutation of one, single steps; for any population of codes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from archgym.space import Codes, DesignSpace


class Variation:
    """Operators on level indices that know which parameters are ordered. Results may be disallowed or known.

    Args:
        space: whose parameters are varied.
    """

    def __init__(self, space: DesignSpace) -> None:
        self._nvec = space.nvec
        self._last = space.nvec - 1
        self._others = np.maximum(self._last, 1)  # levels to jump to; 1 where there is none, which leads back
        self._ordered = np.array([p.ordered for p in space.parameters])
        self._free = np.flatnonzero(self._nvec > 1)

    def children(
        self,
        mother: Codes,
        father: Codes,
        rng: np.random.Generator,
        *,
        crossover: float,
        mutation: float,
        step: float,
    ) -> Codes:
        """Children (n, d) of pairs of designs (n, d): uniform crossover, then mutation.

        Args:
            mother: gives what the father does not.
            father: gives half of the parameters, to a child that has two parents.
            rng: where chance comes from.
            crossover: probability that a child has two parents; one with a single parent is always mutated.
            mutation: expected number of mutated parameters.
            step: probability that a mutated ordered parameter moves by one level instead of jumping anywhere.
        """
        n, d = mother.shape
        mixed = (rng.random((n, 1)) < crossover) & (rng.random((n, d)) < 0.5)
        child = np.where(mixed, father, mother)
        mutated = rng.random((n, d)) < mutation / d
        mutated[np.arange(n), rng.integers(0, d, size=n)] |= ~mixed.any(axis=1)  # a clone is never useful
        jump = child + rng.integers(0, self._others, size=(n, d))
        jump += 1
        jump -= self._nvec * (jump >= self._nvec)
        up = rng.random((n, d)) >= 0.5
        small = self._ordered & (rng.random((n, d)) < step)
        return np.where(mutated, np.where(small, self._beside(child, up), jump), child)

    def steps(self, codes: Codes, rng: np.random.Generator, moves: int = 1, far: float = 0.0) -> Codes:
        """The designs (n, d), each with ``moves`` of its parameters moved (all of them, if there are fewer).

        An ordered parameter moves by one level, with probability ``far`` anywhere; a categorical one always anywhere.
        """
        n, d = codes.shape
        if len(self._free) == 0:
            return codes
        chosen = np.zeros((n, d), np.bool_)
        if moves == 1:
            chosen[np.arange(n), self._free[rng.integers(0, len(self._free), size=n)]] = True
        else:
            order = rng.random((n, len(self._free))).argsort(axis=1, kind="stable")[:, :moves]
            chosen[np.arange(n)[:, None], self._free[order]] = True
        jump = codes + 1 + (rng.random((n, d)) * self._others).astype(np.int64)
        jump -= self._nvec * (jump >= self._nvec)
        up = rng.random((n, d)) >= 0.5
        small = self._ordered if far == 0.0 else self._ordered & (rng.random((n, d)) >= far)
        return np.where(chosen, np.where(small, self._beside(codes, up), jump), codes)

    def _beside(self, codes: Codes, up: npt.NDArray[np.bool_]) -> Codes:
        """One level up or down, reflected at the ends; a single level stays."""
        moved = codes + np.where(up, 1, -1)
        moved += 2 * (moved < 0)
        moved -= 2 * (moved > self._last)
        return np.maximum(moved, 0)
