"""The contract of what predicts one number of designs, and the models that only wrap a library's."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from sklearn.ensemble import ExtraTreesRegressor, HistGradientBoostingRegressor, RandomForestRegressor
from sklearn.linear_model import Ridge
from threadpoolctl import threadpool_limits

from archgym.errors import MissingExtraError
from archgym.space import DesignSpace

from .folds import folds
from .forest import Forest
from .inputs import Encoding, Floats, Inputs, tamed
from .leaf_masks import LatticeForest


class Regressor(ABC):
    """Predicts one number, which is on a scale on which errors add up (a logarithm, for what is positive).

    Args:
        space: of the designs.
        seed: of everything random.
    """

    def __init__(self, space: DesignSpace, *, seed: int = 0) -> None:
        self.space, self.seed = space, seed
        self.encoding = Encoding(space)

    def fit(self, x: Inputs, y: Floats) -> Self:
        """Learn from rows (n, …) and their finite targets (n,), n at least 1.

        On one thread: sums that are split between threads differ in the last bit.
        """
        with threadpool_limits(1):
            self._fit(x, y)
        return self

    def cross_fit(self, x: Inputs, y: Floats) -> Floats:
        """Learn from all rows, and say what each (n,) would have been predicted without its part of them."""
        self.fit(x, y)
        return self.held_back(x, y)

    def held_back(self, x: Inputs, y: Floats) -> Floats:
        """What equal models that have not learnt a part of the rows (see ``folds``) predict of it: (n,), NaN for rows
        of no part."""
        out = np.full(len(x), np.nan)
        for part in folds(x, self.seed):
            out[part] = type(self)(self.space, seed=self.seed).fit(x.take(~part), y[~part]).predict(x.take(part))
        return out

    @abstractmethod
    def _fit(self, x: Inputs, y: Floats) -> None:
        """`fit`."""

    def predict(self, x: Inputs) -> Floats:
        """The expected target (n,) of each row: the same bits in every batch."""
        return self._predict(x) if len(x) else np.empty(0)

    @abstractmethod
    def _predict(self, x: Inputs) -> Floats:
        """`predict` of at least one row."""

    def state(self) -> dict[str, Any]:
        """What it has learnt: numbers, texts and arrays, nothing else."""
        return {key: value for key, value in vars(self).items() if key not in ("space", "seed", "encoding")}

    def restore(self, state: Mapping[str, Any]) -> Self:
        """Take over what an equal model of the same space has learnt."""
        vars(self).update(state)
        return self


class Trees(Regressor):
    """Base of the models whose prediction is a sum over trees."""

    def _fit(self, x: Inputs, y: Floats) -> None:
        self._take(self._grown(self._columns(x), y))

    @abstractmethod
    def _grown(self, columns: Floats, y: Floats) -> Forest:
        """The trees that learnt from columns (n, c) and targets (n,)."""

    def _predict(self, x: Inputs) -> Floats:
        return self._trees.predict(x)

    def _columns(self, x: Inputs) -> Floats:
        return self.encoding.for_trees(x)

    def state(self) -> dict[str, Any]:
        return self._trees.forest.state()

    def restore(self, state: Mapping[str, Any]) -> Self:
        self._take(Forest.restored(state))
        return self

    def _take(self, forest: Forest) -> None:
        self._trees = LatticeForest(forest, self.space, self._columns)


class RandomForest(Trees):
    """A random forest (L. Breiman, 2001), the model of ArchGym's proxies (S. Krishnan et al., ISCA 2023)."""

    trees = 100

    def _grown(self, columns: Floats, y: Floats) -> Forest:
        return Forest.of_ensemble(RandomForestRegressor(self.trees, random_state=self.seed).fit(columns, y))

    def _columns(self, x: Inputs) -> Floats:
        return _single(self.encoding.for_trees(x))


class ExtraTrees(Trees):
    """Extremely randomised trees (P. Geurts, D. Ernst, L. Wehenkel, 2006) that see every level by itself."""

    trees = 100

    def _grown(self, columns: Floats, y: Floats) -> Forest:
        model = ExtraTreesRegressor(self.trees, max_features=1.0, random_state=self.seed)
        return Forest.of_ensemble(model.fit(columns, y))

    def _columns(self, x: Inputs) -> Floats:
        return _single(self.encoding.dense(x))


class HistogramBoosting(Trees):
    """Gradient-boosted trees over binned columns, of scikit-learn."""

    def _grown(self, columns: Floats, y: Floats) -> Forest:
        model = HistGradientBoostingRegressor(
            max_iter=600,
            learning_rate=0.05,
            min_samples_leaf=3 if len(y) < 400 else 10,
            random_state=self.seed,
            early_stopping=False,
        )
        return Forest.of_boosting(model.fit(columns, y))


class LightGbm(Trees):
    """Gradient-boosted trees of LightGBM (extra ``proxy``, to learn; not to predict)."""

    def _grown(self, columns: Floats, y: Floats) -> Forest:
        lightgbm = _lightgbm()
        model = lightgbm.train(
            {
                "objective": "regression",
                "learning_rate": 0.05,
                "num_leaves": 31,
                "min_data_in_leaf": 3 if len(y) < 400 else 10,
                "seed": self.seed,
                "deterministic": True,
                "force_row_wise": True,
                "num_threads": 1,
                "verbosity": -1,
            },
            lightgbm.Dataset(columns, y),
            600,
        )
        return Forest.of_lightgbm(model.model_to_string())


class Additive(Regressor):
    """Main effects alone: one number for each level of each parameter, by ridge regression. A baseline."""

    def _fit(self, x: Inputs, y: Floats) -> None:
        model = Ridge(alpha=1e-2).fit(self.encoding.one_hot(x), y)
        self._intercept, self._effects = float(model.intercept_), np.asarray(model.coef_)

    def _predict(self, x: Inputs) -> Floats:
        first = np.cumsum([0, *self.space.nvec])
        out = np.full(len(x), self._intercept)
        for begin, level in zip(first[:-1], x.codes.T, strict=True):
            out += self._effects[begin + level]
        for effect, column in zip(self._effects[first[-1] :], tamed(x.features).T, strict=True):
            out += effect * column  # one by one: a matrix product may round otherwise in another batch
        return out


def _single(columns: Floats) -> Floats:
    """As scikit-learn's trees see numbers: in single precision."""
    return columns.astype(np.float32).astype(np.float64)


def _lightgbm() -> Any:
    try:
        import lightgbm
    except ImportError:
        raise MissingExtraError("lightgbm", "proxy") from None
    return lightgbm
