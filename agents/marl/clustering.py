"""Which parameters belong to one agent, read off logged designs: those whose levels go together in the good ones.

Agents of a team draw their parameters independently, so parameters that only work in certain combinations should share
an agent: clustering the agents by the correlation of their parameters follows arXiv 2507.16249. Here the correlation is
Cramér's V with Bergsma's correction for bias (Journal of the Korean Statistical Society 42(3), 2013), which assumes no
order of levels, among the best designs only, where selection has left its mark. Designs drawn at random serve best: in
the log of a search, levels also go together because it happened to try them together.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

from archgym.errors import UsageError
from archgym.evaluation import Floats
from archgym.space import Codes, DesignSpace

_FEWEST = 20  # designs; fewer than that say nothing about pairs of parameters


def correlated_groups(
    space: DesignSpace,
    codes: Codes,
    rewards: Floats,
    *,
    best: float = 0.2,
    threshold: float = 0.3,
    n_groups: int | None = None,
) -> tuple[tuple[str, ...], ...]:
    """Groups of parameters whose levels are associated among the best designs, by average linkage.

    Args:
        space: the parameters.
        codes: (n, d) logged designs; each counts once.
        rewards: (n,); -inf, or the objective's floor, where infeasible.
        best: share of the distinct designs that is looked at.
        threshold: least mean association, 0 to 1, of what is joined, where ``n_groups`` is not given. Below about 0.2
            it also joins parameters whose effects merely add up, as choosing the best makes them go together a little.
        n_groups: how many groups at most.

    Returns:
        Names of the parameters of each group, ordered by their first parameters; `archgym.grouping.groups_text` makes
        the text of them that agents take. Deterministic.

    Raises:
        UsageError: too few designs, or settings out of range.
    """
    if (
        len(rewards) != len(codes)
        or not (0 < best <= 1 and 0 < threshold <= 1)
        or (n_groups is not None and n_groups < 1)
    ):
        raise UsageError(
            "correlated_groups: expected as many rewards as designs, best and threshold in (0, 1] and n_groups of at "
            f"least 1, got {len(rewards)} and {len(codes)}, {best}, {threshold} and {n_groups}"
        )
    codes = space.canonical(space.check(codes))
    _, first = np.unique(space.keys(codes), return_index=True)
    order = first[np.argsort(-rewards[first], kind="stable")][: math.ceil(best * len(first))]
    if len(order) < _FEWEST:
        raise UsageError(f"correlated_groups: expected {_FEWEST} distinct designs among the best, got {len(order)}")
    names = space.names
    if len(names) == 1:
        return ((names[0],),)
    tree = linkage(squareform(1.0 - association(codes[order], space.nvec)), method="average")
    labels = fcluster(tree, 1.0 - threshold, "distance") if n_groups is None else fcluster(tree, n_groups, "maxclust")
    groups = {label: tuple(name for name, own in zip(names, labels, strict=True) if own == label) for label in labels}
    return tuple(groups.values())


def association(codes: Codes, nvec: npt.NDArray[np.int64]) -> Floats:
    """Cramér's V, corrected for bias, of each pair of columns (d, d); 1 on the diagonal, 0 where a column is constant.

    Args:
        codes: (n, d) level indices.
        nvec: (d,) numbers of levels.
    """
    d = codes.shape[1]
    out = np.eye(d)
    for i in range(d):
        for j in range(i):
            table = np.zeros((int(nvec[i]), int(nvec[j])))
            np.add.at(table, (codes[:, i], codes[:, j]), 1.0)
            out[i, j] = out[j, i] = _cramers_v(table)
    return out


def _cramers_v(table: Floats) -> float:
    """Of a contingency table."""
    table = table[np.ix_(table.any(axis=1), table.any(axis=0))]
    n, (rows, columns) = float(table.sum()), table.shape
    if min(rows, columns) < 2:
        return 0.0
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / n
    phi = float(((table - expected) ** 2 / expected).sum()) / n
    phi = max(0.0, phi - (rows - 1) * (columns - 1) / (n - 1))
    levels = min(rows - (rows - 1) ** 2 / (n - 1), columns - (columns - 1) ** 2 / (n - 1))
    return min(1.0, math.sqrt(phi / (levels - 1))) if levels > 1 else 0.0
