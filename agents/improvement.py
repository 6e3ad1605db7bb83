"""How promising a predicted design is: expected improvement, on a log scale.

Logarithms keep apart what underflows to zero otherwise (S. Ament et al., "Unexpected Improvements to Expected
Improvement for Bayesian Optimization", NeurIPS 2023).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import erfcx, log_ndtr, logsumexp

Floats = npt.NDArray[np.float64]

_SMOOTH = 0.02  # of the front's width: improvements below it still tell better from worse
_SUM = 0.05  # share of the sum in the Chebyshev scalarisation: no weakly dominated designs
_FAR = -1e4


def log_expected_improvement(mean: Floats, sd: Floats, best: float) -> Floats:
    """Logarithm (n,) of the expected improvement of N(mean, sd^2) over ``best``, maximised.

    ``sd * (phi(z) + z Phi(z))`` with ``z = (mean - best)/sd`` (J. Mockus 1975; D. Jones et al. 1998, eq. 15).
    """
    z = (mean - best) / sd
    high = np.maximum(z, -1.0)
    density = np.exp(-0.5 * high * high) / math.sqrt(2.0 * math.pi)
    direct = np.log(density + high * np.exp(log_ndtr(high)))
    low = np.minimum(np.maximum(z, _FAR), -1.0)
    # phi(z) + z Phi(z) = phi(z) (1 - |z| R(|z|)) with Mills' ratio R; its expansion where the difference cancels.
    mills = math.sqrt(math.pi / 2.0) * erfcx(-low / math.sqrt(2.0))
    rest = np.where(low > -1e3, np.log1p(low * np.minimum(mills, -1.0 / low * (1 - 1e-12))), -2.0 * np.log(-low))
    tail = -0.5 * low * low - 0.5 * math.log(2.0 * math.pi) + rest
    return np.asarray(np.where(z > -1.0, direct, tail) + np.log(sd))


@dataclass(frozen=True, eq=False)
class Chebyshev:
    """One direction of a trade-off: the weighted largest of normalised costs, minimised.

    J. Knowles, "ParEGO", IEEE Transactions on Evolutionary Computation 10(1), 2006, with the costs predicted one by
    one instead of their scalarisation.

    Attributes:
        weights: (m,) non-negative, sum 1.
        ideal, width: (m,) of the costs seen so far: where they begin, and how far they reach.
        best: smallest value seen.
    """

    weights: Floats
    ideal: Floats
    width: Floats
    best: float = math.inf

    def values(self, costs: Floats) -> Floats:
        """Scalarised costs (…,) of costs (…, m)."""
        scaled = self.weights * (costs - self.ideal) / self.width
        return np.asarray(scaled.max(axis=-1) + _SUM * scaled.sum(axis=-1))

    def log_improvement(self, mean: Floats, sd: Floats, draws: Floats) -> Floats:
        """Logarithm (n,) of the expected improvement, over standard normal ``draws`` (k, m); mean, sd: (n, m)."""
        values = self.values(mean[:, None] + sd[:, None] * draws)
        gain = (self.best - values) / _SMOOTH
        soft = np.where(gain > 30.0, np.log(np.maximum(gain, 1.0)), _log_softplus(np.minimum(gain, 30.0)))
        return np.asarray(logsumexp(soft, axis=1) - math.log(len(draws)))


def _log_softplus(x: Floats) -> Floats:
    """log log(1 + exp(x)); x itself far below zero."""
    return np.where(x < -30.0, x, np.log(np.log1p(np.exp(np.maximum(x, -30.0)))))
