"""What the log of a similar problem says about a number beforehand, and how far observations bear it out.

A workload, or a model of lower fidelity, shifts the logarithm of a metric more than it bends it, so that

    y(x) = alpha + beta * m0(x) + what a Gaussian process learns

with m0 the mean of a process fitted to the other log (M. Kennedy, A. O'Hagan, "Predicting the Output from a Complex
Computer Code when Fast Approximations Are Available", Biometrika 87(1), 2000, eq. 1). The slope beta starts at 1 and
goes to 0 where observations contradict: it is the posterior mean of a regression, times the probability that the two
numbers are related at all rather than not.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from archgym.proxies.gaussian_process import GaussianProcess, Lattice, Posterior
from archgym.space import Codes

Floats = npt.NDArray[np.float64]

_STEPS = 20  # of the search for hyperparameters
_SLOPE_SD = 0.3  # of the slope around 1, before anything has been observed
_RESIDUAL = 0.3  # what m0 leaves unexplained at first, as a share of its own spread
_WORTH = 2.0  # observations that this first guess counts for
_ODDS = 4.0  # that the problems are related at all, before anything has been observed
_ROUNDS = 10  # slope and unexplained rest, in turn; they settle within a few


class PriorMean:
    """m0 of one number, and its slope.

    Args:
        lattice: of the space.
        codes: (n, d) designs in the other log.
        y: (n,) the number there, finite and not constant.

    Attributes:
        slope: beta.
        rest: standard deviation of what is left of the observations.
    """

    def __init__(self, lattice: Lattice, codes: Codes, y: Floats) -> None:
        self._process = GaussianProcess(lattice).fit(codes, y, iterations=_STEPS)
        self._told = np.empty(0)
        self._spread = float(y.std())
        self.slope, self.rest = 1.0, _RESIDUAL * self._spread

    def joint(self, codes: Codes) -> Posterior:
        """What the other log alone lets expect of designs (n, d)."""
        return self._process.joint(codes)

    def mean(self, codes: Codes) -> Floats:
        """beta * m0 (n,) of designs (n, d)."""
        return self.slope * self._process.mean(codes)

    def explain(self, told: Codes, rows: npt.NDArray[np.int64], y: Floats) -> Floats:
        """Find the slope, and return what it leaves over.

        Args:
            told: (n, d) every design observed so far; the beginning of those at the next call.
            rows: (k,) which of them to learn from.
            y: (k,) the number observed there, finite.

        Returns:
            (k,): y - beta * m0.
        """
        self._told = np.concatenate([self._told, self._process.mean(told[len(self._told) :])])
        guess = self._told[rows]
        m, z = guess - guess.mean(), y - y.mean()
        slope, total = 1.0, 0.0
        for _ in range(_ROUNDS):
            left = z - slope * m
            total = float(left @ left)
            shrinkage = _variance(self._spread * _RESIDUAL, total, len(y)) / _SLOPE_SD**2
            slope = (float(m @ z) + shrinkage) / (float(m @ m) + shrinkage)  # posterior mean under N(1, 0.3^2)
        alone = float(z @ z)
        against = _surprise(self._spread * _RESIDUAL, total, len(y)) - _surprise(self._spread, alone, len(y))
        related = 1.0 / (1.0 + math.exp(min(against, 700.0)) / _ODDS)
        self.slope = related * slope
        self.rest = math.sqrt(
            related * _variance(self._spread * _RESIDUAL, total, len(y))
            + (1.0 - related) * _variance(self._spread, alone, len(y))
        )
        return y - self.slope * guess


def _variance(first: float, total: float, n: int) -> float:
    """Of n numbers with this sum of squares about their mean, and a first guess at their standard deviation."""
    return (_WORTH * first**2 + total) / (_WORTH + n - 1)


def _surprise(first: float, total: float, n: int) -> float:
    """Negative logarithm of their density, but for constants: normal, the variance integrated out (Student's t)."""
    before = _WORTH * first**2
    return 0.5 * (_WORTH + n - 1) * math.log(before + total) - 0.5 * _WORTH * math.log(before)
