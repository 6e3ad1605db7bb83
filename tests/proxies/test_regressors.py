"""Regressions on designs: each finds what it can represent, repeats itself, and survives being stored."""

import numpy as np
import pytest
import skops.io

from archgym.proxies.auto import MODELS, Auto
from archgym.proxies.gaussian_process import coordinates
from archgym.proxies.inputs import Encoding, Inputs
from archgym.proxies.mlp import Mlp
from archgym.space import DesignSpace, Parameter

SPACE = DesignSpace(
    [
        Parameter.powers_of_two("rows", 1, 128),
        Parameter.powers_of_two("cols", 1, 128),
        Parameter.categorical("dataflow", ("os", "ws", "is")),
        Parameter.boolean("prefetch"),
        Parameter.integers("depth", 0, 5),
    ]
)
KINDS = {**MODELS, "auto": Auto}
COSTLY = [pytest.param(k, marks=pytest.mark.slow) if k in ("auto", "mlp") else k for k in KINDS]


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr("archgym.proxies.mlp._STEPS", 600)


def designs(n, seed=0):
    """Distinct ones."""
    codes = np.unique(SPACE.sample(3 * n, np.random.default_rng(seed)), axis=0)
    return np.random.default_rng(seed).permutation(codes)[:n]


def inputs(codes, features=None):
    return Inputs.of(codes, features)


def additive(codes):
    """A sum of functions of single parameters."""
    return 0.7 * codes[:, 0] - 0.2 * codes[:, 1] ** 1.5 + np.array([0.0, 1.0, 0.3])[codes[:, 2]] + 0.5 * codes[:, 3]


def interacting(codes):
    """What a systolic array does: the larger of two times, which depends on pairs of parameters."""
    return np.maximum(6.0 - codes[:, 0] - 0.5 * codes[:, 1], codes[:, 4] - codes[:, 0] * (codes[:, 2] == 1)) + additive(
        codes
    )


# Root mean squared error over the standard deviation with 300 rows, which a model has to stay below: the additive model
# is exact on the first function; a nearest neighbour sees neither well; the others have learnt most of both.
BOUNDS = {
    "additive": (0.02, 0.75),
    "auto": (0.02, 0.15),
    "boosting": (0.10, 0.25),
    "extra-trees": (0.22, 0.30),
    "gaussian": (0.02, 0.15),
    "lightgbm": (0.10, 0.25),
    "mlp": (0.10, 0.25),
    "nearest": (0.50, 0.60),
    "random-forest": (0.25, 0.35),
}


@pytest.mark.parametrize("kind", COSTLY)
def test_learning(kind):
    assert set(BOUNDS) == set(KINDS)
    codes = designs(800)
    for function, bound in zip((additive, interacting), BOUNDS[kind], strict=True):
        y = function(codes)
        model = KINDS[kind](SPACE).fit(inputs(codes[:300]), y[:300])
        error = np.sqrt(np.mean((model.predict(inputs(codes[300:])) - y[300:]) ** 2)) / y.std()
        assert error < bound, function


@pytest.mark.parametrize("kind", KINDS)
def test_learning_twice_gives_the_same_bits(kind):
    codes = designs(80)
    y = interacting(codes)
    models = [KINDS[kind](SPACE, seed=3).fit(inputs(codes[:60]), y[:60]) for _ in range(2)]
    one, two = (model.predict(inputs(codes)) for model in models)
    np.testing.assert_array_equal(one, two)
    assert one.shape == (80,)
    assert models[0].predict(inputs(codes[:0])).shape == (0,)


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_learnt_survives_storage_without_code(kind):
    codes = designs(120)
    y = interacting(codes)
    model = KINDS[kind](SPACE).fit(inputs(codes[:60]), y[:60])
    content = skops.io.dumps(model.state())
    assert skops.io.get_untrusted_types(data=content) == []
    again = KINDS[kind](SPACE).restore(skops.io.loads(content))
    np.testing.assert_array_equal(again.predict(inputs(codes)), model.predict(inputs(codes)))


@pytest.mark.parametrize("kind", [k for k in KINDS if k not in ("gaussian", "mlp")])
def test_workloads_are_told_apart_by_their_features(kind):
    codes = designs(400)
    macs = np.random.default_rng(0).choice([1e6, 1e9], size=len(codes))
    y = 0.2 * additive(codes) + np.log(macs)
    x = inputs(codes, macs[:, None])
    model = KINDS[kind](SPACE).fit(x.take(slice(300)), y[:300])
    found = model.predict(x.take(slice(300, None)))
    assert np.abs(found - y[300:]).mean() < 0.5  # the workloads are 6.9 apart


@pytest.mark.parametrize("kind", KINDS)
def test_two_rows_are_enough_to_learn_something(kind):
    codes = designs(2)
    model = KINDS[kind](SPACE).fit(inputs(codes), np.array([1.0, 2.0]))
    found = model.predict(inputs(designs(20)))
    assert np.isfinite(found).all()


def test_auto_takes_the_model_that_fits():
    codes = designs(500)
    straight = Auto(SPACE).fit(inputs(codes[:200]), additive(codes[:200]))
    assert sum(straight.weights[name] for name in ("additive", "gaussian") if name in straight.weights) > 0.9
    bent = Auto(SPACE).fit(inputs(codes[:200]), interacting(codes[:200]))
    assert bent.weights.get("additive", 0.0) < 0.1
    assert sum(bent.weights.values()) == pytest.approx(1)
    assert max(bent.rank_correlation.values()) - min(bent.rank_correlation[name] for name in bent.weights) <= 0.15


def test_auto_tries_a_network_where_there_are_many_rows(monkeypatch):
    monkeypatch.setattr("archgym.proxies.auto.MANY", 100)
    codes = designs(120)
    model = Auto(SPACE).fit(inputs(codes), interacting(codes))
    assert "mlp" in model.rank_correlation
    few = Auto(SPACE).fit(inputs(codes[:90]), interacting(codes[:90]))
    assert "mlp" not in few.rank_correlation


def test_encodings_by_hand():
    encoding = Encoding(SPACE)
    # rows 2 (the second of eight levels), cols 128, dataflow ws, no prefetch, depth 5
    x = inputs(np.array([[1, 7, 1, 0, 5]]), np.array([[np.e - 1]]))
    places = [1 / 7, 1.0, 0.0, 1.0]
    assert encoding.for_trees(x)[0].tolist() == pytest.approx([*places[:2], 0, 1, 0, *places[2:], 1.0])
    assert encoding.tree_weights(1).tolist() == [1, 1, 0.5, 0.5, 0.5, 1, 1, 1]
    assert encoding.one_hot(x).sum() == 5 + 1
    assert encoding.one_hot(x).shape == (1, 8 + 8 + 3 + 2 + 6 + 1)
    dense = encoding.dense(x)[0]
    assert dense[:4].tolist() == pytest.approx([2 * v - 1 for v in (places[0], places[1], places[2], places[3])])
    assert coordinates(SPACE["rows"])[1] == pytest.approx(1 / 7)  # by the logarithm


def test_a_missing_library_is_named_with_its_extra(monkeypatch):
    import sys

    from archgym.errors import MissingExtraError
    from archgym.proxies.regressor import LightGbm

    monkeypatch.setitem(sys.modules, "lightgbm", None)
    with pytest.raises(MissingExtraError, match=r"archgym\[proxy\]"):
        LightGbm(SPACE).fit(inputs(designs(10)), np.arange(10.0))
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtraError, match=r"archgym\[rl\]"):
        Mlp(SPACE).fit(inputs(designs(10)), np.arange(10.0))
