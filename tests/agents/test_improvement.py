"""Expected improvement on a log scale, against integrals and hand-made cases."""

import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from archgym.agents.improvement import Chebyshev, log_expected_improvement


@pytest.mark.parametrize("z", [-6.0, -3.0, -1.0001, -0.9999, 0.0, 2.0, 5.0])
def test_it_is_the_integral(z):
    """E max(0, x - best) for x of N(best + z sd, sd^2), sd = 2."""
    expected = quad(lambda x: max(0.0, x) * norm.pdf(x, 2 * z, 2), 0, 40, points=[0.5, 5], epsabs=0, epsrel=1e-11)[0]
    found = log_expected_improvement(np.array([1 + 2 * z]), np.array([2.0]), 1.0)
    assert found[0] == pytest.approx(math.log(expected), rel=1e-8)


def test_at_the_best_it_is_sd_over_root_two_pi():
    assert log_expected_improvement(np.zeros(1), np.full(1, 3.0), 0.0)[0] == pytest.approx(
        math.log(3 / math.sqrt(2 * math.pi))
    )


def test_far_below_it_still_tells_better_from_worse():
    """log EI goes to -z^2/2 - log(sqrt(2 pi) z^2) (the next term of Mills' ratio is 3/z^2 smaller)."""
    z = -np.array([30.0, 100.0, 900.0, 1100.0, 5000.0])
    found = log_expected_improvement(z, np.ones(5), 0.0)
    assert (np.diff(found) < 0).all()
    assert found == pytest.approx(-(z**2) / 2 - np.log(np.sqrt(2 * np.pi) * z**2), rel=1e-5)


def test_a_direction_scalarises():
    c = Chebyshev(np.array([0.25, 0.75]), np.array([1.0, 0.0]), np.array([2.0, 1.0]))
    # (0.25 * (3 - 1)/2, 0.75 * 0.2) = (0.25, 0.15): the largest, and a twentieth of the sum
    assert c.values(np.array([[3.0, 0.2]])).tolist() == pytest.approx([0.25 + 0.05 * 0.4])


def test_the_improvement_in_a_direction_is_the_mean_over_draws():
    rng = np.random.default_rng(0)
    c = Chebyshev(np.array([0.5, 0.5]), np.zeros(2), np.ones(2), best=1.0)
    draws = rng.standard_normal((2000, 2))
    mean, sd = np.array([[0.0, 0.0]]), np.array([[0.3, 0.4]])
    expected = np.maximum(0, 1.0 - c.values(mean[0] + sd[0] * draws)).mean() / 0.02  # in units of its smoothing
    assert math.exp(c.log_improvement(mean, sd, draws)[0]) == pytest.approx(expected, rel=1e-3)


def test_a_hopeless_design_still_has_a_slope():
    c = Chebyshev(np.array([0.5, 0.5]), np.zeros(2), np.ones(2), best=0.0)
    means = np.array([[5.0, 5.0], [6.0, 6.0], [50.0, 50.0]])
    found = c.log_improvement(means, np.full((3, 2), 1e-3), np.random.default_rng(0).standard_normal((16, 2)))
    assert np.isfinite(found).all()
    assert (np.diff(found) < 0).all()
