"""Proxy models: intervals that hold, designs that are far or impossible, degenerate data, and storage."""

import hashlib
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kendalltau

from archgym.errors import LogError, MissingExtraError, UnknownNameError, UsageError
from archgym.proxies.conformal import Conformal, bound
from archgym.proxies.folds import folds
from archgym.proxies.inputs import Encoding, Inputs
from archgym.proxies.model import ProxyModel, Table
from archgym.proxies.reach import Reach
from archgym.proxies.scores import scores
from archgym.proxies.store import FORMAT, load_proxy, save_proxy
from archgym.space import DesignSpace, Parameter

SPACE = DesignSpace(
    [
        Parameter.powers_of_two("rows", 1, 128),
        Parameter.powers_of_two("cols", 1, 128),
        Parameter.categorical("dataflow", ("os", "ws", "is")),
        Parameter.integers("depth", 0, 9),
    ]
)


def table(n, seed=0, noise=0.0):
    """Latency is a product of powers; designs with rows * cols > 2 ** 12 are impossible; a slack says how far."""
    rng = np.random.default_rng(seed)
    codes = SPACE.sample(n, rng)
    latency = np.exp(-0.5 * codes[:, 0] - 0.3 * codes[:, 1] + 0.2 * (codes[:, 2] == 1) * codes[:, 3])
    latency *= np.exp(noise * rng.standard_normal(n))
    slack = (codes[:, 0] + codes[:, 1] - 12) / 12
    valid = slack <= 0
    metrics = {
        "latency": np.where(valid, latency, np.nan),
        "balance": np.where(valid, codes[:, 3] - 4.5, np.nan),  # no logarithm: it has both signs
        "energy": np.where(valid, 2.0, np.nan),  # constant
    }
    return Table(codes, metrics, valid, {"room": slack}, np.empty((n, 0)))


@pytest.fixture(scope="module")
def model():
    return ProxyModel(SPACE, "lightgbm").fit(table(2000))


def test_everything_is_predicted(model):
    fresh = table(500, seed=1)
    found = model.predict(fresh.codes)
    valid = fresh.valid
    error = np.abs(found.metrics["latency"] / fresh.metrics["latency"] - 1)[valid]
    assert error.mean() < 0.03
    assert np.abs(found.metrics["balance"] - fresh.metrics["balance"])[valid].mean() < 0.1
    np.testing.assert_allclose(found.metrics["energy"], 2.0, rtol=1e-12)  # constant, and known to be
    np.testing.assert_allclose(found.low["energy"], found.high["energy"], rtol=1e-12)
    assert ((found.p_valid > 0.5) == valid).mean() > 0.98
    assert np.abs(found.slacks["room"] - fresh.slacks["room"]).mean() < 0.01
    for name in model.metric_names:
        assert (found.low[name] <= found.metrics[name]).all()
        assert (found.metrics[name] <= found.high[name]).all()
    assert model.predict(fresh.codes[:0]).p_valid.shape == (0,)


@pytest.mark.parametrize("noise", [0.05, 0.5])
def test_nine_of_ten_lie_in_their_interval(noise):
    # 2,400 valid rows to calibrate with and 7,000 to test: the coverage is 0.90 +- 0.013 (two standard deviations,
    # of the Beta distribution that calibration has, and of the binomial one of the test).
    model = ProxyModel(SPACE, "additive").fit(table(14000, noise=noise))
    fresh = table(8000, seed=1, noise=noise)
    found = model.predict(fresh.codes)
    inside = (found.low["latency"] <= fresh.metrics["latency"]) & (fresh.metrics["latency"] <= found.high["latency"])
    assert 0.88 < inside[fresh.valid].mean() < 0.92
    order = np.argsort(found.metrics["latency"][fresh.valid])
    elite = inside[fresh.valid][order[: len(order) // 20]]  # the additive model errs otherwise there
    assert elite.mean() > 0.85


def test_the_elite_has_a_width_of_its_own():
    # Errors are 1 where the prediction is among the smallest twentieth and 0.1 elsewhere.
    predicted = np.arange(1000.0)
    actual = predicted + np.where(predicted < 50, 1.0, 0.1)
    low = Conformal.of_residuals(predicted, actual, maximise=False)
    assert low.widths(np.array([10.0, 500.0])).tolist() == pytest.approx([1.0, 0.1])
    assert (low.rows, low.elite_rows) == (1000, 50)
    high = Conformal.of_residuals(-predicted, -actual, maximise=True)
    assert high.widths(np.array([-10.0, -500.0])).tolist() == pytest.approx([1.0, 0.1])
    few = Conformal.of_residuals(predicted[:100], actual[:100], maximise=False)  # 5 elite rows say nothing
    assert few.elite_rows == 0
    assert few.widths(np.array([0.0, 99.0])).tolist() == pytest.approx([1.0, 1.0])
    none = Conformal.of_residuals(np.empty(0), np.empty(0), maximise=False)
    assert np.isinf(none.widths(np.array([0.0]))).all()


@given(st.lists(st.floats(0, 100), min_size=1, max_size=60), st.floats(0.05, 0.95))
def test_the_bound_is_the_order_statistic_of_the_theorem(errors, level):
    # Smallest e such that at least (n + 1) level of n + 1 exchangeable errors are <= e, if the new one is the largest.
    found = bound(np.array(errors), level)
    below = sum(e <= found for e in errors)
    assert below >= (len(errors) + 1) * level - 1e-9 or np.isinf(found)
    if np.isfinite(found):
        assert sum(e < found for e in errors) < (len(errors) + 1) * level
    else:
        assert len(errors) < (len(errors) + 1) * level


def test_far_designs_are_flagged():
    codes = SPACE.sample(3000, np.random.default_rng(0))  # of which 99 % need at least 99 held-back ones
    near = codes[(codes[:, 0] < 4) & (codes[:, 1] < 4)]
    known = Table(near, {"latency": 1.0 + near.sum(axis=1)}, np.ones(len(near), np.bool_))
    model = ProxyModel(SPACE, "nearest").fit(known)
    assert model.ood(near).mean() < 0.05
    far = np.array([[7, 7, 0, 0], [7, 7, 2, 9]])
    assert model.ood(far).all()
    assert not model.knows(far).any()
    assert model.knows(near).all()


def test_distances_add_up_over_the_parameters():
    def at(*rows):
        return Inputs.of(np.array(rows, np.int64).reshape(-1, 4))

    reach = Reach(Encoding(SPACE)).fit(at([0, 0, 0, 0]), np.array([True]), np.empty((0, 1), np.bool_))
    # one of seven steps in rows; another dataflow is a whole; 9 of 9 steps in depth
    assert reach.distances(at([1, 0, 0, 0], [0, 0, 2, 0], [7, 7, 1, 9])).tolist() == pytest.approx([1 / 7, 1, 4])
    assert not reach.beyond(at([7, 7, 1, 9])).any()  # nothing was held back: nothing counts as far


def test_degenerate_data():
    data = table(200)
    with pytest.raises(UsageError, match="expected rows with metrics"):
        ProxyModel(SPACE).fit(Table(data.codes[:0], {"latency": np.empty(0)}, np.empty(0, np.bool_)))
    with pytest.raises(UsageError, match="0 metrics"):
        ProxyModel(SPACE).fit(Table(data.codes, {}, data.valid))
    with pytest.raises(UnknownNameError, match="random-forest"):
        ProxyModel(SPACE, "randomforest")
    # nothing is possible: a model that says so
    hopeless = Table(data.codes, {"latency": np.full(200, np.nan)}, np.zeros(200, np.bool_))
    found = ProxyModel(SPACE).fit(hopeless).predict(data.codes)
    assert np.isnan(found.metrics["latency"]).all()
    assert (found.p_valid == 0).all()
    # one row: its value, and no idea how far off it may be
    one = Table(data.codes[:1], {"latency": np.array([3.0])}, np.ones(1, np.bool_))
    found = ProxyModel(SPACE).fit(one).predict(data.codes[:3])
    assert found.metrics["latency"].tolist() == pytest.approx([3.0] * 3)
    assert np.isinf(found.high["latency"]).all()


@pytest.mark.parametrize("n", [400, 4000])
def test_groups_stay_whole(n):
    groups = np.arange(n) // 40
    parts = folds(Inputs.of(SPACE.sample(n, np.random.default_rng(0)), groups=groups), 0)
    assert all(len(set(part[groups == g])) == 1 for part in parts for g in range(n // 40))
    assert (parts.sum(axis=0) <= 1).all()
    if n < 3000:  # every row is predicted once, by a model that has not seen its group
        assert parts.sum(axis=1).tolist() == [80] * 5
    else:
        assert n // 5 - 40 <= parts.sum() <= n // 5


def test_equal_designs_are_a_group_unless_told_otherwise():
    codes = np.repeat(SPACE.sample(20, np.random.default_rng(0)), 3, axis=0)
    for part in folds(Inputs.of(codes), 0):
        assert len(set(part.reshape(20, 3).sum(axis=1)) - {0, 3}) == 0
    same = folds(Inputs.of(np.repeat(codes[:1], 10, axis=0)), 0)  # a single group: the rows are divided
    assert same.sum(axis=1).tolist() == [2] * 5


def test_of_many_rows_a_fifth_is_held_back_and_of_few_none():
    many, few = table(4000), table(1000)
    split, cross = (ProxyModel(SPACE, "additive").fit(t) for t in (many, few))
    distinct = np.unique(many.codes, axis=0)
    assert 0.75 < split.knows(distinct).mean() < 0.9  # some designs are there twice
    assert cross.knows(few.codes).all()
    intervals = [m.state()["outputs"]["latency"]["interval"]["rows"] for m in (split, cross)]
    assert intervals[0] < 0.2 * len(many.codes)
    assert intervals[1] == few.valid.sum()


def test_cross_conformal_intervals_hold_as_often():
    """Fifty models of 100 rows each, 300 fresh rows: nine of ten lie inside; a little more, as each model has learnt
    more rows than those that were judged."""
    shares = []
    for seed in range(50):
        model = ProxyModel(SPACE, "additive", seed=seed).fit(table(100, seed=seed, noise=0.3))
        fresh = table(300, seed=1000 + seed, noise=0.3)
        found = model.predict(fresh.codes)
        truth = fresh.metrics["latency"]
        shares.append(((found.low["latency"] <= truth) & (truth <= found.high["latency"]))[fresh.valid].mean())
    assert 0.88 < np.mean(shares) < 0.94


# ---- scores ---------------------------------------------------------------------------------


def test_scores_by_hand():
    truth, predicted = np.array([1.0, 2.0, 4.0, 5.0]), np.array([1.0, 3.0, 4.0, 4.0])
    found = scores(truth, predicted, predicted - 0.5, predicted + 0.5)
    rmse = np.sqrt(2 / 4)
    assert found["rmse_over_mean"] == pytest.approx(rmse / 3)
    assert found["rmse_over_range"] == pytest.approx(rmse / 4)
    assert found["mape"] == pytest.approx((0.5 + 0.2) / 4)
    assert found["kendall_tau"] == pytest.approx(kendalltau(truth, predicted)[0])
    assert found["top_recall"] == 1.0
    assert found["elite_mape"] == 0.0  # the one row that is predicted best
    assert found["coverage_90"] == 0.5
    assert found["coverage_90.low"] == pytest.approx(0.0676, abs=1e-4)  # Clopper and Pearson, 2 of 4
    assert found["coverage_90.high"] == pytest.approx(0.9324, abs=1e-4)
    assert found["elite_coverage_90.high"] == 1.0
    worst = scores(truth, -predicted, -predicted, -predicted, maximise=False)
    assert worst["top_recall"] == 0.0
    best = scores(truth, predicted, predicted, predicted, maximise=True)
    assert best["top_recall"] == 0.0  # 4 and 4 tie for the largest prediction; the largest of the truth comes second
    same = scores(np.ones(3), np.ones(3), np.ones(3), np.ones(3))
    assert np.isnan(same["kendall_tau"])
    assert np.isnan(same["rmse_over_range"])
    assert np.isnan(scores(np.zeros(2), np.ones(2), np.ones(2), np.ones(2))["mape"])


# ---- storage --------------------------------------------------------------------------------


@pytest.fixture
def stored(model, tmp_path):
    save_proxy(tmp_path / "proxy", model, {"note": "from a test"})
    return tmp_path / "proxy"


def test_a_stored_model_predicts_the_same_bits(model, stored):
    again, about = load_proxy(stored)
    assert about == {
        "note": "from a test",
        "sha256": hashlib.sha256((stored / "models.skops").read_bytes()).hexdigest(),
    }
    codes = table(300, seed=2).codes
    one, two = model.predict(codes), again.predict(codes)
    for part in ("metrics", "low", "high", "slacks"):
        for name, column in getattr(one, part).items():
            np.testing.assert_array_equal(getattr(two, part)[name], column)
    np.testing.assert_array_equal(two.p_valid, one.p_valid)
    np.testing.assert_array_equal(again.ood(codes), model.ood(codes))
    assert again.kind == "lightgbm"


def test_what_is_no_proxy_is_refused(model, stored, tmp_path, monkeypatch):
    with pytest.raises(UsageError, match=r"proxy\.json and models\.skops"):
        load_proxy(tmp_path / "nowhere")
    content = (stored / "models.skops").read_bytes()
    (stored / "models.skops").write_bytes(content[:-100])  # truncated
    with pytest.raises(UsageError, match="damaged or was altered"):
        load_proxy(stored)
    (stored / "models.skops").write_bytes(content)
    header = json.loads((stored / "proxy.json").read_text())
    for change, why in (
        ({"format": 9}, f"expected format {FORMAT}, got 9"),
        ({"sha256": "0"}, "damaged or was altered"),
    ):
        (stored / "proxy.json").write_text(json.dumps({**header, **change}))
        with pytest.raises(UsageError, match=why):
            load_proxy(stored)
    for text in ("{", "[]", "{}"):
        (stored / "proxy.json").write_text(text)
        with pytest.raises(UsageError, match="damaged"):
            load_proxy(stored)
    (tmp_path / "file").write_text("")
    with pytest.raises(LogError, match="cannot write"):
        save_proxy(tmp_path / "file", model, {})
    import sys

    monkeypatch.setitem(sys.modules, "skops", None)
    monkeypatch.setitem(sys.modules, "skops.io", None)
    with pytest.raises(MissingExtraError, match=r"archgym\[proxy\]"):
        save_proxy(tmp_path / "other", model, {})


def test_no_code_comes_in_with_a_model(stored):
    # A file that names a function to be called is not loaded, whoever has written a matching header.
    import hashlib
    import os

    import skops.io

    content = skops.io.dumps({"metrics": os.system})
    header = json.loads((stored / "proxy.json").read_text())
    (stored / "models.skops").write_bytes(content)
    header["sha256"] = hashlib.sha256(content).hexdigest()
    (stored / "proxy.json").write_text(json.dumps(header))
    with pytest.raises(UsageError, match="types that no proxy has"):
        load_proxy(stored)
