"""Regression trees as arrays, and the kernel that descends them.

A library's prediction spends most of its time around the trees, and sums in an order that may depend on the batch. Here
a row's result is the same bits in every batch, and needs nothing of the library that grew the trees.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from archgym.kernel import kernel

Floats = npt.NDArray[np.float64]

_BLOCK = 1024  # rows that descend one tree before the next tree's turn
NODE = np.dtype([("number", "f8"), ("feature", "i4"), ("left", "i4"), ("right", "i4")], align=True)


@dataclass(frozen=True, eq=False)
class Forest:
    """A weighted sum of trees.

    Attributes:
        nodes: (nodes,) of type NODE. A row goes to the node ``left`` if its column ``feature`` is at most ``number``,
            else to ``right``; where ``feature`` is -1 the node is a leaf, worth ``number``.
        roots: (trees,) int64.
        offset, scale: the prediction is offset + scale * (sum over trees).
    """

    nodes: npt.NDArray[Any]
    roots: npt.NDArray[np.int64]
    offset: float = 0.0
    scale: float = 1.0

    @classmethod
    def join(cls, trees: Sequence[npt.NDArray[Any]], offset: float = 0.0, scale: float = 1.0) -> Forest:
        """A forest of trees, each an array of type NODE that begins with its root and counts from there."""
        roots = np.cumsum([0, *(len(tree) for tree in trees[:-1])])
        nodes = np.concatenate(trees)
        shift = np.repeat(roots, [len(tree) for tree in trees])
        nodes["left"] += shift.astype(np.int32)
        nodes["right"] += shift.astype(np.int32)
        return cls(nodes, roots, offset, scale)

    @classmethod
    def of_ensemble(cls, model: Any) -> Forest:
        """What a fitted random forest or extra trees of scikit-learn predict: the mean of the trees."""
        trees = [
            _tree(t.feature, t.children_left, t.children_right, t.threshold, t.value[:, 0, 0], t.children_left < 0)
            for t in (estimator.tree_ for estimator in model.estimators_)
        ]
        return cls.join(trees, scale=1.0 / len(trees))

    @classmethod
    def of_boosting(cls, model: Any) -> Forest:
        """The raw prediction of fitted histogram boosting of scikit-learn: of one number, or of two classes."""
        trees = [
            _tree(n["feature_idx"], n["left"], n["right"], n["num_threshold"], n["value"], n["is_leaf"] > 0)
            for n in (predictor.nodes for (predictor,) in model._predictors)
        ]
        return cls.join(trees, offset=float(np.ravel(model._baseline_prediction)[0]))

    @classmethod
    def of_lightgbm(cls, text: str) -> Forest:
        """What a model of LightGBM predicts, from its text."""
        return cls.join([_tree_of_lightgbm(block) for block in text.split("\nTree=")[1:]])

    def predict(self, x: npt.NDArray[np.float64]) -> Floats:
        """The prediction (n,) of rows (n, columns)."""
        return np.asarray(self.offset + self.scale * _sums(np.ascontiguousarray(x), self.nodes, self.roots, _BLOCK))

    def state(self) -> dict[str, Any]:
        """The arguments that make an equal one."""
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}

    @classmethod
    def restored(cls, state: Mapping[str, Any]) -> Forest:
        """The forest that ``state`` described."""
        return cls(**state)


def _tree(feature: Any, left: Any, right: Any, threshold: Any, value: Any, leaf: Any) -> npt.NDArray[Any]:
    """Nodes (n,) of type NODE from columns (n,)."""
    nodes = np.empty(len(leaf), NODE)
    nodes["number"] = np.where(leaf, value, threshold)
    nodes["feature"] = np.where(leaf, -1, feature)
    nodes["left"], nodes["right"] = np.where(leaf, 0, left), np.where(leaf, 0, right)
    return nodes


def _tree_of_lightgbm(text: str) -> npt.NDArray[Any]:
    """One tree; there inner nodes and leaves are counted apart, and ~k stands for leaf k."""
    lines = (line.partition("=") for line in text.splitlines())
    fields = {name: value.split() for name, equals, value in lines if equals}
    value = np.array(fields["leaf_value"], np.float64)
    inner = len(value) - 1
    leaf = np.arange(inner + len(value)) >= inner

    def column(name: str, kind: type[Any]) -> npt.NDArray[Any]:
        return np.concatenate([np.array(fields.get(name, ()), kind), np.zeros(len(value), kind)])

    left, right = (np.where(c < 0, inner + ~c, c) for c in (column("left_child", int), column("right_child", int)))
    values = np.concatenate([np.zeros(inner), value])
    return _tree(column("split_feature", int), left, right, column("threshold", float), values, leaf)


@kernel
def _sums(x: Any, nodes: Any, roots: Any, block: int) -> Any:
    """Sum over the trees (n,) of the leaves that rows (n, columns) come to.

    A block of rows takes one step together, so that the look-ups of one do not wait for those of another.
    """
    n = x.shape[0]
    out = np.zeros(n)
    at, moving = np.empty(block, np.int64), np.empty(block, np.int64)
    for start in range(0, n, block):
        m = min(block, n - start)
        for root in roots:
            for i in range(m):
                at[i], moving[i] = root, i
            left = m
            while left > 0:
                still = 0
                for k in range(left):
                    i = moving[k]
                    node = nodes[at[i]]
                    if node.feature < 0:
                        out[start + i] += node.number
                    else:
                        at[i] = node.left if x[start + i, node.feature] <= node.number else node.right
                        moving[still] = i
                        still += 1
                left = still
    return out
