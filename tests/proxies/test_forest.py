"""Trees as arrays predict what the libraries that grew them predict, row by row."""

import lightgbm
import numpy as np
import pytest
from sklearn.ensemble import (
    ExtraTreesRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestRegressor,
)

from archgym.proxies.forest import Forest

RANDOM = np.random.default_rng(0)
X = RANDOM.integers(0, 8, (300, 6)) / 7.0
Y = np.sin(5.0 * X[:, 0]) + X[:, 1] * X[:, 2]
NEW = (RANDOM.integers(0, 8, (3000, 6)) / 7.0).astype(np.float32).astype(np.float64)  # as scikit-learn's trees see them


def boosted():
    options = {"min_data_in_leaf": 5, "verbosity": -1, "num_threads": 1}
    return lightgbm.train(options, lightgbm.Dataset(X, Y), 40)


@pytest.mark.parametrize("kind", [RandomForestRegressor, ExtraTreesRegressor])
def test_an_ensemble_is_the_mean_of_its_trees(kind):
    model = kind(20, random_state=0).fit(X, Y)
    np.testing.assert_allclose(Forest.of_ensemble(model).predict(NEW), model.predict(NEW), rtol=1e-12)


def test_boosting_is_the_sum_of_its_trees():
    model = HistGradientBoostingRegressor(max_iter=40, early_stopping=False).fit(X, Y)
    np.testing.assert_allclose(Forest.of_boosting(model).predict(NEW), model.predict(NEW), rtol=1e-11)
    classes = HistGradientBoostingClassifier(max_iter=40, early_stopping=False).fit(X, Y > 0.5)
    share = 1.0 / (1.0 + np.exp(-Forest.of_boosting(classes).predict(NEW)))
    np.testing.assert_allclose(share, classes.predict_proba(NEW)[:, 1], rtol=1e-11)


def test_lightgbm_is_read_from_its_text():
    model = boosted()
    np.testing.assert_array_equal(Forest.of_lightgbm(model.model_to_string()).predict(NEW), model.predict(NEW))


def test_a_tree_that_is_one_leaf():
    options = {"min_data_in_leaf": 1000, "verbosity": -1, "num_threads": 1}  # more than there are rows
    model = lightgbm.train(options, lightgbm.Dataset(X, Y), 3)
    np.testing.assert_allclose(Forest.of_lightgbm(model.model_to_string()).predict(NEW), Y.mean(), rtol=1e-6)


def test_a_row_is_the_same_bits_in_every_batch():
    """3,000 rows are three blocks."""
    forest = Forest.of_lightgbm(boosted().model_to_string())
    whole = forest.predict(NEW)
    for i in (0, 1023, 1024, 2999):
        assert forest.predict(NEW[i : i + 1])[0] == whole[i]
    assert forest.predict(NEW[:0]).shape == (0,)
    again = Forest.restored(forest.state())
    np.testing.assert_array_equal(again.predict(NEW), whole)
