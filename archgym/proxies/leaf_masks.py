"""Trees over the levels of a space as bit masks: no node is visited to predict a design.

A level of a parameter rules out those leaves of a tree that lie on the other side of a condition on the parameter. The
leaf of a design is the one that none of its levels rules out, so the masks of its levels, combined bit by bit, have one
bit left (after C. Lucchese et al., "QuickScorer: a Fast Algorithm to Rank Documents with Additive Ensembles of
Regression Trees", SIGIR 2015, who combine the masks of the conditions that fail; here those of a level are known
beforehand).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from archgym.kernel import inlined, kernel
from archgym.space import Codes, DesignSpace

from .forest import Forest
from .inputs import Floats, Inputs
from .joint import Joint

_MOST = 32  # combinations of levels that have a mask of their own
_BITS = 64
_BYTES = 4_000_000  # of masks, above which they do not stay in a cache and visiting nodes is as fast
_DE_BRUIJN = 0x03F79D71B4CB0A89  # times a power of two, the upper six bits tell which
_WHICH = np.argsort([((_DE_BRUIJN << i) & (2**_BITS - 1)) >> (_BITS - 6) for i in range(_BITS)])


class LatticeForest:
    """A forest whose columns follow from designs: predicts by masks where that pays, else by visiting nodes.

    Args:
        forest: over the columns.
        space: of the designs.
        columns: of rows (n,): (n, c), each from one parameter or one feature.
    """

    def __init__(self, forest: Forest, space: DesignSpace, columns: Callable[[Inputs], Floats]) -> None:
        self.forest = forest
        self._space, self._columns = space, columns

    def predict(self, x: Inputs) -> Floats:
        """The prediction (n,) of rows: the same bits in every batch, and with masks as without."""
        if x.features.shape[1] > 0 or self._masks is None:
            return self.forest.predict(self._columns(x))
        return self._masks.predict(x.codes)

    @cached_property
    def _masks(self) -> LeafMasks | None:
        levels = self._space.nvec.tolist()
        if LeafMasks.size(self.forest, levels) > _BYTES:
            return None
        return LeafMasks(self.forest, levels, lambda codes: self._columns(Inputs.of(codes)))


class LeafMasks:
    """What every level leaves over of every tree.

    Args:
        forest: over columns that follow from the design, each from one parameter.
        levels: (d,) of each parameter.
        columns: of designs (n, d): (n, c).
    """

    def __init__(self, forest: Forest, levels: Sequence[int], columns: Callable[[Codes], Floats]) -> None:
        self._forest = forest
        first = np.cumsum([0, *levels])
        single = np.zeros((first[-1], len(levels)), np.int64)  # every level of every parameter, the others at 0
        for k, n in enumerate(levels):
            single[first[k] : first[k + 1], k] = np.arange(n)
        values = columns(single)
        owner = np.zeros(values.shape[1], np.int64)
        for k in range(len(levels)):
            owner[np.ptp(values[first[k] : first[k + 1]], axis=0) > 0] = k
        leaves = _leaves(forest)
        words = _words(leaves)
        out = np.zeros((first[-1], len(leaves), words), np.uint64)
        self._worths = np.zeros((len(leaves), int(leaves.max())))
        _rule_out(forest.nodes, forest.roots, owner, values, first, out, self._worths)
        spare = np.arange(words * _BITS) >= leaves[:, None]  # bits that stand for no leaf
        none = np.packbits(spare, axis=1, bitorder="little").view(np.uint64).reshape(1, -1)
        self._joint = Joint.of(levels, _MOST)
        parts = []
        for q in range(len(self._joint)):
            part = none
            for k in range(self._joint.first[q], self._joint.first[q + 1]):
                part = (out[first[k] : first[k + 1]].reshape(levels[k], 1, -1) | part).reshape(-1, none.shape[1])
            parts.append(~part)
        masks = np.concatenate(parts)
        # Half a word is enough for most boosted trees, and what is read counts.
        self._masks = masks.astype(np.uint32) if leaves.max() <= _BITS // 2 else masks
        self._begin = np.cumsum([0, *self._joint.sizes[:-1]])

    @staticmethod
    def size(forest: Forest, levels: Sequence[int]) -> int:
        """Bytes that its masks take."""
        leaves = _leaves(forest)
        return int(Joint.of(levels, _MOST).sizes.sum()) * len(leaves) * _words(leaves) * _BITS // 8

    def predict(self, codes: Codes) -> Floats:
        """The same bits (n,) as the forest's prediction of the columns of designs (n, d)."""
        rows = self._joint.places(codes).T + self._begin
        return np.asarray(self._forest.offset + self._forest.scale * _sums(rows, self._masks, self._worths, _WHICH))


def _leaves(forest: Forest) -> npt.NDArray[np.int64]:
    """Leaves (trees,) of each tree."""
    return np.asarray(np.add.reduceat(forest.nodes["feature"] < 0, forest.roots, dtype=np.int64))


def _words(leaves: npt.NDArray[np.int64]) -> int:
    """Words that a tree's mask takes."""
    return -(-int(leaves.max()) // _BITS)


@kernel
def _rule_out(nodes: Any, roots: Any, owner: Any, values: Any, first: Any, masks: Any, worths: Any) -> None:
    """Set the bits of the leaves that a level rules out: masks (levels, trees, words); and fill what leaves are worth
    (trees, leaves), counted from left to right."""
    one, low = np.uint64(1), np.uint64(63)
    order, stack = np.empty(len(nodes), np.int64), np.empty(len(nodes), np.int64)
    size, begin = np.zeros(len(nodes), np.int64), np.zeros(len(nodes), np.int64)
    for t in range(len(roots)):
        n, top, stack[0] = 0, 1, roots[t]
        while top > 0:  # parents before their children
            top -= 1
            at = stack[top]
            order[n] = at
            n += 1
            if nodes[at].feature >= 0:
                stack[top], stack[top + 1] = nodes[at].left, nodes[at].right
                top += 2
        for i in range(n - 1, -1, -1):
            at = order[i]
            size[at] = 1 if nodes[at].feature < 0 else size[nodes[at].left] + size[nodes[at].right]
        begin[roots[t]] = 0
        for i in range(n):
            at = order[i]
            if nodes[at].feature < 0:
                worths[t, begin[at]] = nodes[at].number
                continue
            left, right = nodes[at].left, nodes[at].right
            begin[left], begin[right] = begin[at], begin[at] + size[left]
            k = owner[nodes[at].feature]
            for level in range(first[k], first[k + 1]):
                out = right if values[level, nodes[at].feature] <= nodes[at].number else left
                for leaf in range(begin[out], begin[out] + size[out]):
                    masks[level, t, leaf >> 6] |= one << (np.uint64(leaf) & low)


@inlined
def _left_over(rows: Any, masks: Any, left: Any) -> None:
    """Fill left (m,) with what all of the masks leave over."""
    groups, m = len(rows), len(left)
    left[:] = masks[rows[0]]
    for q in range(1, groups - 1, 2):  # two at a time: fewer passes
        a, b = masks[rows[q]], masks[rows[q + 1]]
        for j in range(m):
            left[j] &= a[j] & b[j]
    if groups % 2 == 0:
        a = masks[rows[groups - 1]]
        for j in range(m):
            left[j] &= a[j]


@inlined
def _leaf(left: Any, t: int, words: int, which: Any) -> Any:
    """Number of the one leaf that is left over of tree t."""
    bit, at = np.uint64(0), 0
    for w in range(words):
        word = np.uint64(left[t * words + w])
        bit |= word
        at += w if word != 0 else 0
    return at * _BITS + which[(bit * np.uint64(_DE_BRUIJN)) >> np.uint64(_BITS - 6)]


@kernel
def _sums(rows: Any, masks: Any, worths: Any, which: Any) -> Any:
    """Sum over the trees (n,) of what the leaves are worth that the masks ``rows`` (n, groups) leave over."""
    n, trees, m = len(rows), len(worths), masks.shape[1]
    words = m // trees
    out, left, left2 = np.zeros(n), np.empty(m, masks.dtype), np.empty(m, masks.dtype)
    for i in range(0, n, 2):  # two designs, whose sums do not wait for each other
        last = min(i + 1, n - 1)
        _left_over(rows[i], masks, left)
        _left_over(rows[last], masks, left2)
        a, b = 0.0, 0.0
        if words == 1:  # compiled without the loop over words
            for t in range(trees):
                a += worths[t, _leaf(left, t, 1, which)]
                b += worths[t, _leaf(left2, t, 1, which)]
        else:
            for t in range(trees):
                a += worths[t, _leaf(left, t, words, which)]
                b += worths[t, _leaf(left2, t, words, which)]
        out[i], out[last] = a, b
    return out
