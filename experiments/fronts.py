"""Quality of Pareto fronts against a fixed reference: hypervolume, IGD+, ADRS (moocore does the geometry).

Everything is measured in *costs*: positive, minimised; a maximised metric enters as its inverse. For hypervolume
and IGD+ costs are normalised on a log scale between the ideal (0) and the nadir (1) of the problem's reference
front, the same for every agent and seed; the hypervolume's reference point is 1.1 in every term.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from archgym.errors import UsageError
from archgym.pareto import front

Floats = npt.NDArray[np.float64]

REFERENCE_POINT = 1.1


def costs(metrics: Mapping[str, Any], terms: Sequence[tuple[str, float]]) -> Floats:
    """Costs (n, m) of designs from their metrics: name -> (n,); terms with a negative weight are maximised."""
    columns = [np.asarray(metrics[name], np.float64) for name, _ in terms]
    return np.stack([c if w > 0 else 1.0 / c for c, (_, w) in zip(columns, terms, strict=True)], axis=1)


@dataclass(frozen=True, eq=False)
class ReferenceFront:
    """A problem's best trade-offs: what other fronts are measured against.

    Attributes:
        costs: (k, m) of the non-dominated points, sorted by the first.
        ideal: (m,) best of each term.
        nadir: (m,) worst of each term on the front.
    """

    costs: Floats
    ideal: Floats
    nadir: Floats

    @classmethod
    def of(cls, points: Floats) -> ReferenceFront:
        """The non-dominated ones of points (n, m) in costs.

        Raises:
            UsageError: nothing finite and positive, or a term in which the whole front is one value.
        """
        table = np.asarray(points, np.float64)
        usable = table[(np.isfinite(table) & (table > 0)).all(axis=1)]
        best = usable[front(usable)] if len(usable) else usable
        if len(best) == 0 or (best.min(axis=0) == best.max(axis=0)).any():
            raise UsageError(
                f"reference front: expected points that trade off in every term, got {len(best)} non-dominated; "
                "judge this problem by its best design"
            )
        return cls(best, best.min(axis=0), best.max(axis=0))

    @classmethod
    def of_known(cls, known: Mapping[str, Any], terms: Sequence[tuple[str, float]]) -> ReferenceFront:
        """The front that is stored with a suite problem."""
        metrics = {name: np.array([point[name] for point in known["front"]]) for name, _ in terms}
        return cls.of(costs(metrics, terms))

    def normalised(self, points: Floats) -> Floats:
        """Points (n, m) on the log scale where the ideal is 0 and the nadir 1."""
        low, high = np.log(self.ideal), np.log(self.nadir)
        return np.asarray((np.log(points) - low) / (high - low))

    def hypervolume(self, points: Floats) -> float:
        """Dominated volume of points (n, m), as a share of the reference front's: 1 is the front itself, 0 nothing.

        Rows with NaN (infeasible designs) count for nothing.
        """
        return _volume(self.normalised(_usable(points))) / _volume(self.normalised(self.costs))

    def hypervolumes(self, points: Floats, budgets: Sequence[int]) -> Floats:
        """Hypervolume (len(budgets),) of the first so many of the points (n, m)."""
        return np.array([self.hypervolume(points[:budget]) for budget in budgets])

    def igd_plus(self, points: Floats) -> float:
        """IGD+ (Ishibuchi et al., EMO 2015): mean distance from the reference front to what dominates least badly.

        In normalised log costs; 0 where every reference point is attained, infinite without a feasible point.
        """
        import moocore

        found = self.normalised(_usable(points))
        return float(moocore.igd_plus(found, ref=self.normalised(self.costs))) if len(found) else float("inf")

    def adrs(self, points: Floats) -> float:
        """Average distance from the reference set (Palermo, Silvano, Zaccaria, IEEE TCAD 28(12), 2009).

        The mean over reference points of the smallest, over the points, of the largest relative excess of a cost:
        0.05 means that each reference design is matched to within 5 % in every term, on average.
        """
        found = _usable(points)
        if len(found) == 0:
            return float("inf")
        excess = np.maximum(found[None] / self.costs[:, None] - 1.0, 0.0).max(axis=2)  # (reference, points)
        return float(excess.min(axis=1).mean())


def _usable(points: Floats) -> Floats:
    table = np.asarray(points, np.float64)
    table = table[~np.isnan(table).any(axis=1)]
    return table[front(table)] if len(table) else table


def _volume(points: Floats) -> float:
    import moocore

    inside = points[(points < REFERENCE_POINT).all(axis=1)]
    if len(inside) == 0:
        return 0.0
    return float(moocore.hypervolume(inside, ref=np.full(points.shape[1], REFERENCE_POINT)))
