"""The proxy that needs no choice: cross-validation says which models count, and how much."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any, Self

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import coo_array, hstack, vstack
from scipy.stats import kendalltau

from .folds import MANY
from .gaussian import Gaussian
from .inputs import Floats, Inputs
from .mlp import Mlp
from .nearest import Nearest
from .regressor import Additive, ExtraTrees, HistogramBoosting, LightGbm, RandomForest, Regressor

_NEAR = 0.15  # of the best rank correlation: what ranks worse has no say
_LEAST = 0.1  # weight below which a model is left out: its time is worth more


MODELS: Mapping[str, type[Regressor]] = {
    "additive": Additive,
    "boosting": HistogramBoosting,
    "extra-trees": ExtraTrees,
    "gaussian": Gaussian,
    "lightgbm": LightGbm,
    "mlp": Mlp,
    "nearest": Nearest,
    "random-forest": RandomForest,
}


class Auto(Regressor):
    """A convex combination of the models that rank held-back designs best.

    Every candidate predicts rows that it has not seen (see ``folds``; a network is tried only if they are many). Those
    whose Kendall correlation comes near the best one's are combined with the weights, none negative and 1 in sum, whose
    mean absolute error on the held-back targets is least, and learn again from all rows (stacking: L. Breiman, "Stacked
    Regressions", 1996, who minimised squares; here targets are logarithms, and a few designs that no model sees coming
    would decide a sum of squares).

    Attributes:
        rank_correlation: candidate -> Kendall's tau on held-back rows.
        weights: candidate -> its share, of those that are used.
    """

    rank_correlation: Mapping[str, float]
    weights: Mapping[str, float]

    def _fit(self, x: Inputs, y: Floats) -> None:
        self.cross_fit(x, y)

    def cross_fit(self, x: Inputs, y: Floats) -> Floats:
        candidates = self._candidates(x)
        found = {name: kind(self.space, seed=self.seed).held_back(x, y) for name, kind in candidates.items()}
        seen = np.isfinite(found["additive"])
        self.rank_correlation = {name: _tau(column[seen], y[seen]) for name, column in found.items()}
        best = max(self.rank_correlation.values())
        kept = [name for name, tau in self.rank_correlation.items() if tau >= best - _NEAR]
        shares = _shares(np.stack([found[name][seen] for name in kept], axis=1), y[seen])
        used = {name: float(w) for name, w in zip(kept, shares, strict=True) if w >= _LEAST}
        self.weights = {name: w / sum(used.values()) for name, w in used.items()}
        self._models = {name: candidates[name](self.space, seed=self.seed).fit(x, y) for name in self.weights}
        return _mixed(self.weights, found)

    def _predict(self, x: Inputs) -> Floats:
        return _mixed(self.weights, {name: model.predict(x) for name, model in self._models.items()})

    def state(self) -> dict[str, Any]:
        return {
            "rank_correlation": dict(self.rank_correlation),
            "weights": dict(self.weights),
            "models": {name: model.state() for name, model in self._models.items()},
        }

    def restore(self, state: Mapping[str, Any]) -> Self:
        self.rank_correlation, self.weights = state["rank_correlation"], state["weights"]
        self._models = {
            name: MODELS[name](self.space, seed=self.seed).restore(found) for name, found in state["models"].items()
        }
        return self

    def _candidates(self, x: Inputs) -> dict[str, type[Regressor]]:
        names = ["additive", "extra-trees", "random-forest"]
        names.append("lightgbm" if find_spec("lightgbm") else "boosting")
        names += ["gaussian"] if x.features.shape[1] == 0 else []
        names += ["mlp"] if len(x) >= MANY and find_spec("torch") else []
        return {name: MODELS[name] for name in names}


def _mixed(weights: Mapping[str, float], found: Mapping[str, Floats]) -> Floats:
    """The combination (n,) of predictions (n,)."""
    return np.asarray(sum(weight * found[name] for name, weight in weights.items()))


def _shares(predicted: Floats, y: Floats) -> Floats:
    """Weights (k,) of the columns of predictions (n, k) with the least mean absolute error: a linear programme.

    Variables: the weights, then a bound (n,) of each row's error.
    """
    n, k = predicted.shape
    rows = np.arange(n)
    bounds = coo_array((-np.ones(n), (rows, rows)), shape=(n, n))
    found = linprog(
        np.concatenate([np.zeros(k), np.ones(n)]),
        A_ub=vstack([hstack([predicted, bounds]), hstack([-predicted, bounds])]),
        b_ub=np.concatenate([y, -y]),
        A_eq=np.concatenate([np.ones(k), np.zeros(n)])[None],
        b_eq=[1.0],
    )
    assert found.success, found.message
    return np.asarray(found.x[:k])


def _tau(a: Floats, b: Floats) -> float:
    tau = float(kendalltau(a, b).statistic)
    return tau if np.isfinite(tau) else -1.0
