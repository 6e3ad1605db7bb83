"""Small steps on a lattice of designs: one parameter, or two at once."""

from __future__ import annotations

import numpy as np

from archgym.space import Codes, DesignSpace


class Neighbourhood:
    """The steps that a space allows from any design.

    Args:
        space: of the designs.
    """

    def __init__(self, space: DesignSpace) -> None:
        self._space = space
        which: list[int] = []
        offset: list[int] = []
        for i, p in enumerate(space.parameters):
            n = len(p.levels)
            jumps = [2**k for k in range(n.bit_length()) if 2**k < n] if p.ordered else range(1, n)
            for jump in jumps:
                which += [i, i] if p.ordered else [i]
                offset += [jump, -jump] if p.ordered else [jump]
        self._which, self._offset = np.array(which, np.int64), np.array(offset, np.int64)
        one, other = np.triu_indices(len(space), 1)
        pairs = np.zeros((4, len(one), len(space)), np.int64)
        for k, (a, b) in enumerate(((1, 1), (1, -1), (-1, 1), (-1, -1))):
            pairs[k, np.arange(len(one)), one] = a
            pairs[k, np.arange(len(one)), other] = b
        self._pairs = pairs.reshape(-1, len(space))

    def steps(self, codes: Codes) -> Codes:
        """All designs that differ from one of ``codes`` (n, d) in one parameter.

        An ordered one moves by 1, 2, 4, … levels either way, a categorical one to any other level. Raw: neither
        canonical nor distinct nor checked against the rules.
        """
        out = np.repeat(codes, len(self._which), axis=0)
        rows, which = np.arange(len(out)), np.tile(self._which, len(codes))
        levels = out[rows, which] + np.tile(self._offset, len(codes))
        sizes = self._space.nvec[which]
        ordered = np.array([p.ordered for p in self._space.parameters], np.bool_)[which]
        inside = ~ordered | ((levels >= 0) & (levels < sizes))
        out[rows, which] = np.where(ordered, levels, levels % np.maximum(sizes, 1))
        return out[inside]

    def exchanges(self, codes: Codes) -> Codes:
        """All designs in which two parameters of one of ``codes`` (n, d) have moved by one level each.

        What leads from a wide array to a tall one, past designs that are over a limit or far worse.
        """
        out = (codes[:, None] + self._pairs).reshape(-1, len(self._space))
        return out[((out >= 0) & (out < self._space.nvec)).all(axis=1)]
