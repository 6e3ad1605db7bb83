"""Gaussian processes on lattices, against the textbook's formulas written out with dense matrices."""

import numpy as np
import pytest
from scipy.optimize import approx_fprime, check_grad

from archgym.proxies.gaussian import Gaussian
from archgym.proxies.gaussian_process import GaussianProcess, Lattice
from archgym.proxies.inputs import Inputs
from archgym.proxies.latent import LatentLattice
from archgym.proxies.posterior_mean import PosteriorMean
from archgym.space import DesignSpace, Parameter

SPACE = DesignSpace(
    [
        Parameter("size", (1, 2, 4, 16)),
        Parameter.integers("depth", 0, 4),
        Parameter.categorical("kind", ("x", "y", "z")),
        Parameter("alone", (7,)),
    ]
)
LOGS = np.log([0.7, 1.3, 0.9, 1.0, 1.1, 0.6, 0.05])  # lengths, s, c, noise


def matern(r):
    """Rasmussen and Williams, eq. 4.17."""
    return (1 + np.sqrt(5) * r + 5 * r**2 / 3) * np.exp(-np.sqrt(5) * r)


def covariance(a, b, logs=LOGS):
    """The kernel written out for two designs, from the values of their levels."""
    size = np.log([1, 2, 4, 16]) / np.log(16)
    depth = np.arange(5) / 4
    lengths, (s, c) = np.exp(logs[:4]), np.exp(logs[4:6])
    parts = [
        matern(abs(size[a[0]] - size[b[0]]) / lengths[0]),
        matern(abs(depth[a[1]] - depth[b[1]]) / lengths[1]),
        1.0 if a[2] == b[2] else np.exp(-1 / lengths[2]),
        1.0,
    ]
    return s**2 * np.prod(parts) + c**2 * np.mean(parts)


def matrix(a, b, logs=LOGS):
    return np.array([[covariance(x, y, logs) for y in b] for x in a])


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    codes = SPACE.sample(12, rng)
    return codes, codes @ [1.0, -2.0, 0.5, 0.0] + rng.normal(size=12), SPACE.sample(5, rng)


def process(codes, y):
    return GaussianProcess(Lattice.of(SPACE), LOGS.copy()).fit(codes, y, iterations=0)


def test_numeric_levels_count_by_their_logarithm_and_categories_are_equally_far():
    d = Lattice.of(SPACE).distances
    assert d[0, 0, :4].tolist() == pytest.approx([0, 0.25, 0.5, 1])  # 1, 2, 4, 16
    assert d[1, 0, :5].tolist() == pytest.approx([0, 0.25, 0.5, 0.75, 1])  # 0 has no logarithm
    assert d[2, :3, :3].tolist() == (1 - np.eye(3)).tolist()
    assert not d[3].any()


def test_the_posterior_is_the_textbooks(data):
    """mean = k K^-1 z and var = k** - k K^-1 k (eq. 2.25, 2.26), y being standardised."""
    codes, y, fresh = data
    mean, sd = process(codes, y).predict(fresh)
    z, noise = (y - y.mean()) / y.std(), np.exp(2 * LOGS[-1])
    k, full = matrix(fresh, codes), matrix(codes, codes) + noise * np.eye(12)
    assert mean == pytest.approx(y.mean() + y.std() * (k @ np.linalg.solve(full, z)), rel=1e-9)
    variance = np.diag(matrix(fresh, fresh) - k @ np.linalg.solve(full, k.T))
    assert sd == pytest.approx(y.std() * np.sqrt(variance), rel=1e-7)


@pytest.mark.parametrize("levels", [[3], [4, 30, 5], [8] * 11, [150, 2, 9, 9]])
def test_the_mean_is_the_weighted_sum_of_covariances(levels):
    """Whatever groups the parameters fall into: one, an even or an odd number, one parameter above the limit."""
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, levels, (40, len(levels))), rng.integers(0, levels, (101, len(levels)))
    tables, weights = rng.random((len(levels), max(levels), max(levels))), rng.normal(size=101)
    parts = np.stack([t[a[:, k][:, None], b[:, k]] for k, t in enumerate(tables)])
    found = PosteriorMean(b, weights, tables, 0.7, 0.4)
    np.testing.assert_allclose(found(a), (0.7 * parts.prod(axis=0) + 0.4 * parts.mean(axis=0)) @ weights, atol=1e-12)
    for n in (1, 2, 3, 4, 5):  # designs are taken by four
        np.testing.assert_array_equal(found(a[5 : 5 + n]), found(a)[5 : 5 + n])


def test_the_gradient_is_that_of_the_loss(data):
    codes, y, _ = data
    p = process(codes, y)
    z = (y - y.mean()) / y.std()
    start = LOGS + np.random.default_rng(1).normal(scale=0.1, size=7)
    assert check_grad(lambda x: p._loss(x, z)[0], lambda x: p._loss(x, z)[1], start) < 1e-5


def test_the_gradient_is_that_of_the_loss_where_levels_find_their_places(data):
    codes, y, _ = data
    p = GaussianProcess(LatentLattice.of(SPACE)).fit(codes, y, iterations=0)
    assert len(p.parameters) == 3 + 3 * 2 + 7 + 3  # lengths of all but "kind", its points, stretches, s, c, noise
    z = (y - y.mean()) / y.std()
    start = p.parameters + np.random.default_rng(1).normal(scale=0.1, size=19)
    gradient = p._loss(start, z)[1]
    assert approx_fprime(start, lambda x: p._loss(x, z)[0], 1e-6) == pytest.approx(gradient, rel=1e-3, abs=1e-4)


def held_back(lattice, codes, y, n):
    """Mean error on the rest of the rows of a process that has learnt n of them, and the process."""
    order = np.random.default_rng(0).permutation(len(codes))
    seen, fresh = order[:n], order[n:]
    p = GaussianProcess(lattice).fit(codes[seen], y[seen], iterations=100)
    return np.abs(p.mean(codes[fresh]) - y[fresh]).mean(), p


def test_levels_that_behave_alike_come_together():
    """Eight kinds that behave in two ways: the plane shows which, and five rows of each kind are enough. Of equally far
    levels every one has to be learnt by itself."""
    space = DesignSpace([Parameter.integers("depth", 0, 9), Parameter.categorical("kind", tuple("abcdefgh"))])
    codes = np.array([(d, k) for d in range(10) for k in range(8)])
    y = np.where(codes[:, 1] < 4, np.sin(codes[:, 0]), np.cos(1.3 * codes[:, 0]))
    plain, _ = held_back(Lattice.of(space), codes, y, 40)
    latent, p = held_back(LatentLattice.of(space), codes, y, 40)
    assert latent < 0.5 * plain
    points = p.parameters[1 : 1 + 16].reshape(8, 2)
    apart = np.linalg.norm(points[:, None] - points[None], axis=2)
    pairs = np.triu_indices(4, 1)
    within = np.median([apart[:4, :4][pairs], apart[4:, 4:][pairs]])
    assert within < 0.5 * np.median(apart[:4, 4:])  # most of them: one may stay where a search for places ends early


def test_what_lies_between_levels_is_stretched_where_much_happens():
    """One to two buffers are a world, 64 to 128 nothing: lengths that are everywhere the same suit only one of both."""
    space = DesignSpace([Parameter("buffers", (1, 2, 4, 8, 16, 32, 64, 128)), Parameter.integers("depth", 0, 9)])
    codes = np.array([(b, d) for b in range(8) for d in range(10)])
    y = np.exp(-1.5 * codes[:, 0]) * np.cos(codes[:, 1])
    plain, _ = held_back(Lattice.of(space), codes, y, 50)
    stretched, p = held_back(LatentLattice.of(space), codes, y, 50)
    assert stretched < 0.8 * plain
    first, last = p.parameters[2], p.parameters[2 + 6]  # of the seven pieces after two lengths
    assert first > last


def test_equal_designs_are_one_observation():
    """Twice the same row says nothing about the noise at other designs: the model is that of the rows once."""
    rng = np.random.default_rng(0)
    codes = np.unique(SPACE.sample(30, rng), axis=0)
    y = codes @ [1.0, -2.0, 0.5, 0.0]
    twice = np.repeat(np.arange(len(codes)), 2)
    once, again = (Gaussian(SPACE).fit(Inputs.of(codes[r]), y[r]) for r in (np.arange(len(codes)), twice))
    fresh = Inputs.of(SPACE.sample(5, rng))
    np.testing.assert_array_equal(once.predict(fresh), again.predict(fresh))


def test_a_stored_process_needs_no_covariance_matrix_again(data, monkeypatch):
    codes, y, fresh = data
    model = Gaussian(SPACE).fit(Inputs.of(codes), y)
    exact = GaussianProcess(LatentLattice.of(SPACE), model.state()["parameters"]).fit(codes, y, iterations=0)
    np.testing.assert_allclose(model.predict(Inputs.of(fresh)), exact.predict(fresh)[0], rtol=1e-6)
    monkeypatch.setattr("archgym.proxies.gaussian_process._factor", None)
    again = Gaussian(SPACE).restore(model.state())
    np.testing.assert_array_equal(again.predict(Inputs.of(fresh)), model.predict(Inputs.of(fresh)))


def test_the_loss_is_the_negative_log_posterior(data):
    codes, y, _ = data
    p = process(codes, y)
    z = (y - y.mean()) / y.std()
    full = matrix(codes, codes) + np.exp(2 * LOGS[-1]) * np.eye(12)
    prior = 0.5 * np.sum(((LOGS - p._mean) / p._sd) ** 2)
    expected = 0.5 * z @ np.linalg.solve(full, z) + 0.5 * np.linalg.slogdet(full)[1] + prior
    assert p._loss(LOGS, z)[0] == pytest.approx(expected, rel=1e-10)


def test_believing_is_observing_the_mean(data):
    """The joint posterior after `believe(i)` is that of a process which has seen design i at its mean."""
    codes, y, fresh = data
    before = process(codes, y)
    joint = before.joint(fresh)
    mean = joint.mean.copy()
    joint.believe(2)
    k, extended = matrix(fresh, np.vstack([codes, fresh[2:3]])), np.vstack([codes, fresh[2:3]])
    full = matrix(extended, extended) + np.exp(2 * LOGS[-1]) * np.eye(13)
    variance = np.diag(matrix(fresh, fresh) - k @ np.linalg.solve(full, k.T))
    assert joint.sd == pytest.approx(y.std() * np.sqrt(variance), rel=1e-6)
    assert joint.mean.tolist() == mean.tolist()


def test_rounding_does_not_grow_from_design_to_design(data):
    """Where a covariance matrix is nearly singular the projection is off by more than the variance that is left; here
    by 1e-4. Divided by tiny deviations, twenty times in a row, that had overflowed in a search of 1000 samples."""
    codes, y, _ = data
    exact = GaussianProcess(Lattice.of(SPACE), np.append(LOGS[:-1], np.log(1e-6))).fit(codes, y, iterations=0)
    joint = exact.joint(codes)  # of what has been observed: nothing is left to learn
    joint._rest = joint._rest * 1.0001
    before = joint.sd
    for i in np.tile(np.arange(len(codes)), 2):
        joint.believe(i)
    assert np.abs(joint._rest).max() < 10
    assert (joint.sd <= before).all()


def test_hyperparameters_find_the_parameter_that_matters():
    """y depends on depth alone: its length scale becomes the shortest, and predictions are right."""
    codes = SPACE.sample(40, np.random.default_rng(3))
    y = np.sin(2.0 * codes[:, 1])
    p = GaussianProcess(Lattice.of(SPACE)).fit(codes, y, iterations=60)
    assert np.argmin(p.parameters[:3]) == 1
    fresh = SPACE.sample(50, np.random.default_rng(4))
    assert p.predict(fresh)[0] == pytest.approx(np.sin(2.0 * fresh[:, 1]), abs=0.05)


@pytest.mark.parametrize(("codes", "y"), [([[0, 0, 0, 0]], [3.0]), ([[0, 0, 0, 0], [1, 1, 1, 0]], [2.0, 2.0])])
def test_one_row_or_one_value_is_enough(codes, y):
    mean, sd = (
        GaussianProcess(Lattice.of(SPACE))
        .fit(np.array(codes), np.array(y), iterations=10)
        .predict(np.array([[3, 4, 2, 0]]))
    )
    assert mean[0] == pytest.approx(y[0])
    assert sd[0] > 0


def test_equal_rows_with_different_values_do_not_break_the_factor():
    codes = np.zeros((20, 4), np.int64)
    p = GaussianProcess(Lattice.of(SPACE)).fit(codes, np.arange(20.0), iterations=20)
    assert p.predict(codes[:1])[0][0] == pytest.approx(9.5, abs=0.5)
