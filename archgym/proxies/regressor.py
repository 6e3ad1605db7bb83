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

from .inputs import Encoding, Floats, Inputs


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

    @abstractmethod
    def _fit(self, x: Inputs, y: Floats) -> None:
        """`fit`."""

    def predict(self, x: Inputs) -> Floats:
        """The expected target (n,) of each row."""
        return self._predict(x) if len(x) else np.empty(0)

    @abstractmethod
    def _predict(self, x: Inputs) -> Floats:
        """`predict` of at least one row."""

    def state(self) -> dict[str, Any]:
        """What it has learnt: numbers, texts, arrays and estimators of scikit-learn, nothing else."""
        return {key: value for key, value in vars(self).items() if key not in ("space", "seed", "encoding")}

    def restore(self, state: Mapping[str, Any]) -> Self:
        """Take over what an equal model of the same space has learnt."""
        vars(self).update(state)
        return self


class RandomForest(Regressor):
    """A random forest (L. Breiman, 2001), the model of ArchGym's proxies (S. Krishnan et al., ISCA 2023)."""

    trees = 100

    def _fit(self, x: Inputs, y: Floats) -> None:
        self._model = RandomForestRegressor(self.trees, random_state=self.seed).fit(self.encoding.for_trees(x), y)

    def _predict(self, x: Inputs) -> Floats:
        return np.asarray(self._model.predict(self.encoding.for_trees(x)))


class ExtraTrees(Regressor):
    """Extremely randomised trees (P. Geurts, D. Ernst, L. Wehenkel, 2006) that see every level by itself."""

    trees = 200

    def _fit(self, x: Inputs, y: Floats) -> None:
        model = ExtraTreesRegressor(self.trees, max_features=1.0, random_state=self.seed)
        self._model = model.fit(self.encoding.dense(x), y)

    def _predict(self, x: Inputs) -> Floats:
        return np.asarray(self._model.predict(self.encoding.dense(x)))


class HistogramBoosting(Regressor):
    """Gradient-boosted trees over binned columns, of scikit-learn."""

    def _fit(self, x: Inputs, y: Floats) -> None:
        small = len(x) < 400
        self._model = HistGradientBoostingRegressor(
            max_iter=600,
            learning_rate=0.05,
            min_samples_leaf=3 if small else 10,
            random_state=self.seed,
            early_stopping=False,
        ).fit(self.encoding.for_trees(x), y)

    def _predict(self, x: Inputs) -> Floats:
        return np.asarray(self._model.predict(self.encoding.for_trees(x)))


class LightGbm(Regressor):
    """Gradient-boosted trees of LightGBM (extra ``proxy``)."""

    def _fit(self, x: Inputs, y: Floats) -> None:
        lightgbm = _lightgbm()
        self._model: Any = lightgbm.train(
            {
                "objective": "regression",
                "learning_rate": 0.05,
                "num_leaves": 31,
                "min_data_in_leaf": 3 if len(x) < 400 else 10,
                "seed": self.seed,
                "deterministic": True,
                "force_row_wise": True,
                "num_threads": 1,
                "verbosity": -1,
            },
            lightgbm.Dataset(self.encoding.for_trees(x), y),
            600,
        )

    def _predict(self, x: Inputs) -> Floats:
        return np.asarray(self._model.predict(self.encoding.for_trees(x), num_threads=1))

    def state(self) -> dict[str, Any]:
        return {"text": self._model.model_to_string()}

    def restore(self, state: Mapping[str, Any]) -> Self:
        self._model = _lightgbm().Booster(model_str=state["text"])
        return self


class Additive(Regressor):
    """Main effects alone: one number for each level of each parameter, by ridge regression. A baseline."""

    def _fit(self, x: Inputs, y: Floats) -> None:
        self._model = Ridge(alpha=1e-2).fit(self.encoding.one_hot(x), y)

    def _predict(self, x: Inputs) -> Floats:
        return np.asarray(self._model.predict(self.encoding.one_hot(x)))


def _lightgbm() -> Any:
    try:
        import lightgbm
    except ImportError:
        raise MissingExtraError("lightgbm", "proxy") from None
    return lightgbm
