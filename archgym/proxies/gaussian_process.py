"""Gaussian processes on a lattice of designs: additive plus product kernels from tables over the levels.

A parameter has few levels, so its correlations are a small table ``T_i``, and the covariance of two designs is made
of d look-ups without an exponential per pair:

    k(a, b) = s^2 * prod_i T_i[a_i, b_i] + c^2 * mean_i T_i[a_i, b_i]

The product is an ordinary kernel with one length scale a parameter (automatic relevance determination); the mean is
an additive model, whose main effects reach designs far from all data (D. Duvenaud, H. Nickisch, C. E. Rasmussen,
"Additive Gaussian Processes", NIPS 2011). ``T_i`` is Matern 5/2 over an ordered parameter's levels (C. E. Rasmussen,
C. K. I. Williams, "Gaussian Processes for Machine Learning", 2006, eq. 4.17) and one number between any two levels
of a categorical one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.linalg.blas import dtrmm
from scipy.linalg.lapack import dpotrf, dpotri, dtrtri
from scipy.optimize import minimize

from archgym.kernel import inlined, kernel
from archgym.space import Codes, DesignSpace, Parameter

from .posterior_mean import PosteriorMean

Floats = npt.NDArray[np.float64]

_ROOT5 = math.sqrt(5.0)
# Log-normal priors: mean and standard deviation of the logarithm.
_LENGTH_SD = 0.8
_SIGNAL = (0.0, 1.0)
_ADDITIVE = (math.log(0.5), 1.0)
_NOISE = (math.log(1e-3), 1.5)
_NOISE_BOUNDS = (math.log(1e-6), math.log(0.3))


@dataclass(frozen=True, eq=False)
class Lattice:
    """How far apart the levels of each parameter are.

    Attributes:
        distances: (d, L, L) distance of two levels: 0 to 1 from end to end of an ordered parameter, 1 between any
            two of a categorical one; padded with 0 where a parameter has fewer levels.
        categorical: (d,) bool.
    """

    distances: Floats
    categorical: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, space: DesignSpace) -> Lattice:
        """The lattice of a space: numeric levels that are all positive count by their logarithm."""
        most = max((len(p.levels) for p in space.parameters), default=1)
        distances = np.zeros((len(space), most, most))
        for i, p in enumerate(space.parameters):
            n = len(p.levels)
            place = coordinates(p)
            apart = np.abs(place[:, None] - place[None]) if p.ordered else 1.0 - np.eye(n)
            distances[i, :n, :n] = apart
        return cls(distances, np.array([not p.ordered for p in space.parameters], np.bool_))

    def __len__(self) -> int:
        return len(self.distances)

    @property
    def prior(self) -> tuple[Floats, Floats]:
        """Mean and standard deviation of the hyperparameters (h,): here of the logarithms of length scales.

        They grow with the square root of the dimension, so that correlations do not vanish (C. Hvarfner, E. O.
        Hellsten, L. Nardi, "Vanilla Bayesian Optimization Performs Great in High Dimensions", ICML 2024).
        """
        d = len(self)
        return np.full(d, 0.5 * math.log(d) - 0.7), np.full(d, _LENGTH_SD)

    @property
    def start(self) -> Floats:
        """Hyperparameters (h,) to begin a search from."""
        return self.prior[0]

    def tables(self, log_lengths: Floats) -> tuple[Floats, Floats]:
        """Correlations (d, L, L), and their derivatives (h, L, L) in the hyperparameters (h,)."""
        r = self.distances / np.exp(log_lengths)[:, None, None]
        decay = np.exp(-_ROOT5 * r)
        matern = (1.0 + _ROOT5 * r + 5.0 / 3.0 * r * r) * decay
        slope = 5.0 / 3.0 * r * r * (1.0 + _ROOT5 * r) * decay
        flat = np.exp(-r)  # between two levels of a categorical parameter
        which = self.categorical[:, None, None]
        return np.where(which, flat, matern), np.where(which, r * flat, slope)

    def gradient(self, codes: Codes, tables: Floats, slopes: Floats, product: float, additive: float, w: Floats) -> Any:
        """Derivatives (h + 2,) in the hyperparameters, log s and log c of the covariances of designs (n, d), summed
        over all pairs with symmetric weights (n, n); tables and slopes as ``tables`` gave them."""
        return _gradients(codes, tables, slopes, product, additive, w)


def coordinates(p: Parameter) -> Floats:
    """Places (n,) of the levels between 0 and 1."""
    levels = np.arange(len(p.levels), dtype=np.float64)
    if p.ordered and p.numeric and not isinstance(p.levels[0], bool):
        values = np.array(p.levels, np.float64)
        if (values > 0).all():
            levels = np.log(values)
    width = float(np.ptp(levels))
    return (levels - levels.min()) / width if width > 0 else np.zeros(len(levels))


@inlined
def correlate(tables: Any, a: Any, i: int, columns: Any, m: int, whole: Any, total: Any) -> None:
    """Fill product and sum over the parameters of the correlations of design a[i] and the first m of the others.

    ``columns`` (d, n) holds the others' codes parameter by parameter: one row of a table serves them all.
    """
    whole[:m] = 1.0
    total[:m] = 0.0
    for k in range(a.shape[1]):
        row, levels = tables[k, a[i, k]], columns[k]
        for j in range(m):
            t = row[levels[j]]
            whole[j] *= t
            total[j] += t


@kernel
def _covariances(a: Any, b: Any, tables: Any, product: float, additive: float) -> Any:
    """Covariances (len(a), len(b)) of designs given as codes."""
    n, m = a.shape[0], b.shape[0]
    out, total, columns = np.empty((n, m)), np.empty(m), np.ascontiguousarray(b.T)
    share = additive / a.shape[1]
    for i in range(n):
        whole = out[i]
        correlate(tables, a, i, columns, m, whole, total)
        for j in range(m):
            whole[j] = product * whole[j] + share * total[j]
    return out


@kernel
def _covariance(a: Any, tables: Any, product: float, additive: float, noise: float) -> Any:
    """Covariance matrix (n, n) of designs given as codes, with noise on its diagonal; its lower half."""
    n = a.shape[0]
    out, total, columns = np.zeros((n, n)), np.empty(n), np.ascontiguousarray(a.T)
    share = additive / a.shape[1]
    for i in range(n):
        whole = out[i]
        correlate(tables, a, i, columns, i, whole, total)
        for j in range(i):
            whole[j] = product * whole[j] + share * total[j]
        whole[i] = product + additive + noise
    return out


@kernel
def _gradients(a: Any, tables: Any, slopes: Any, product: float, additive: float, weights: Any) -> Any:
    """Sums over all pairs of weights (n, n) times derivatives of the covariance: d of the tables, log s, log c."""
    n, d = a.shape
    out, whole, total, columns = np.zeros(d + 2), np.empty(n), np.empty(n), np.ascontiguousarray(a.T)
    share = additive / d
    for i in range(n):
        m = i + 1
        correlate(tables, a, i, columns, m, whole, total)
        for k in range(d):
            row, slope, levels = tables[k, a[i, k]], slopes[k, a[i, k]], columns[k]
            part = 0.0
            for j in range(i):  # a design has no distance from itself
                at = levels[j]
                part += weights[i, j] * slope[at] * (product * whole[j] / max(row[at], 1e-300) + share)
            out[k] += 2.0 * part
        for j in range(m):
            w = weights[i, j] if i == j else 2.0 * weights[i, j]
            out[d] += 2.0 * w * product * whole[j]
            out[d + 1] += 2.0 * w * share * total[j]
    return out


class GaussianProcess:
    """Regression of one number on designs, hyperparameters at their maximum a posteriori.

    Args:
        lattice: of the space.
        start: hyperparameters (h + 3,) to begin the search from: the lattice's, then the logarithms of s, c and the
            noise's deviation; None for the prior's.
        noise: mean and standard deviation of the prior of the noise's logarithm.

    Attributes:
        parameters: hyperparameters (h + 3,) in use.
    """

    def __init__(self, lattice: Lattice, start: Floats | None = None, *, noise: tuple[float, float] = _NOISE) -> None:
        self._lattice = lattice
        self._mean_of: PosteriorMean | None = None  # made when it is asked for
        common = np.array([_SIGNAL, _ADDITIVE, noise]).T
        self._mean, self._sd = (np.concatenate(parts) for parts in zip(lattice.prior, common, strict=True))
        self.parameters: Floats = np.append(lattice.start, common[0]) if start is None else start

    def fit(self, codes: Codes, y: Floats, *, iterations: int, scale: float | None = None) -> GaussianProcess:
        """Take in observations.

        Args:
            codes: (n, d), n at least 1.
            y: (n,) finite numbers of any scale.
            iterations: steps of the search for hyperparameters; 0 keeps them.
            scale: how far numbers usually lie from their mean; None for the standard deviation of ``y``.
        """
        self._codes = np.ascontiguousarray(codes, np.int64)
        self._centre = float(y.mean())
        self._scale = scale or float(y.std()) or 1.0
        z = (y - self._centre) / self._scale
        if iterations > 0 and len(y) > 1:
            low, high = self._mean - 4 * self._sd, self._mean + 4 * self._sd
            low[-1], high[-1] = _NOISE_BOUNDS
            found = minimize(
                self._loss,
                np.clip(self.parameters, low, high),
                args=(z,),
                jac=True,
                method="L-BFGS-B",
                bounds=list(zip(low, high, strict=True)),
                options={"maxiter": iterations, "maxfun": 2 * iterations + 5},
            )
            self.parameters = np.asarray(found.x, np.float64)
        self._condition(z)
        return self

    def mean(self, codes: Codes) -> Floats:
        """Mean (n,), in the units of y: the same bits in every batch, and nothing that grows with the square of n."""
        if self._mean_of is None:
            self._mean_of = restored_mean(self._lattice, self.state())
        return self._mean_of(codes)

    def state(self) -> dict[str, Any]:
        """All that the mean needs, of which `restored_mean` makes it again without the cube of n."""
        return {
            "codes": self._codes,
            "weights": self._inverse.T @ self._weights,
            "parameters": self.parameters,
            "centre": self._centre,
            "scale": self._scale,
        }

    def predict(self, codes: Codes) -> tuple[Floats, Floats]:
        """Mean and standard deviation (n,), in the units of y."""
        rest = self._project(codes)
        mean = self._centre + self._scale * (rest @ self._weights)
        variance = self._prior - np.einsum("ij,ij->i", rest, rest)
        return mean, self._scale * np.sqrt(np.maximum(variance, 1e-12))

    def joint(self, codes: Codes) -> Posterior:
        """The posterior of designs (n, d) together, for batches."""
        rest = self._project(codes)
        variance = np.maximum(self._prior - np.einsum("ij,ij->i", rest, rest), 1e-12)
        return Posterior(self, codes, rest, self._centre + self._scale * (rest @ self._weights), variance)

    def _project(self, codes: Codes) -> Floats:
        """Rows (n, m): covariances with the data, times the inverse of the factor."""
        return np.asarray(dtrmm(1.0, self._inverse, self._cross(codes), side=1, lower=1, trans_a=1))

    def _cross(self, codes: Codes) -> Floats:
        product, additive = np.exp(2.0 * self.parameters[-3:-1])
        codes = np.ascontiguousarray(codes, np.int64)
        return np.asarray(_covariances(codes, self._codes, self._tables, product, additive))

    def _condition(self, z: Floats) -> None:
        self._tables, _ = self._lattice.tables(self.parameters[:-3])
        product, additive, noise = (float(v) for v in np.exp(2.0 * self.parameters[-3:]))
        self._prior = product + additive
        factor = _factor(_covariance(self._codes, self._tables, product, additive, noise))
        self._inverse, info = dtrtri(factor, lower=1)
        assert info == 0
        self._weights = self._inverse @ z
        self._mean_of = None

    def _loss(self, p: Floats, z: Floats) -> tuple[float, Floats]:
        """Negative log posterior of the hyperparameters and its gradient (Rasmussen and Williams, eq. 5.9)."""
        tables, slopes = self._lattice.tables(p[:-3])
        product, additive, noise = (float(v) for v in np.exp(2.0 * p[-3:]))
        factor = _factor(_covariance(self._codes, tables, product, additive, noise))
        half, info = dpotri(factor, lower=1)
        assert info == 0
        half = np.ascontiguousarray(half)  # zero above the diagonal
        precision = half + half.T
        precision.flat[:: len(z) + 1] = np.diag(half)
        alpha = precision @ z
        weights = 0.5 * (precision - np.outer(alpha, alpha))
        gradient = np.empty(len(p))
        gradient[:-1] = self._lattice.gradient(self._codes, tables, slopes, product, additive, weights)
        gradient[-1] = 2.0 * noise * float(np.trace(weights))
        away = (p - self._mean) / self._sd
        loss = 0.5 * float(z @ alpha) + float(np.log(np.diag(factor)).sum()) + 0.5 * float(away @ away)
        return loss, gradient + away / self._sd


class Posterior:
    """Joint belief about some designs, updated as if one after the other had turned out as expected.

    Attributes:
        mean: (n,), in the units of y.
    """

    def __init__(self, process: GaussianProcess, codes: Codes, rest: Floats, mean: Floats, variance: Floats) -> None:
        self.mean = mean
        self._process, self._codes, self._rest, self._variance = process, codes, rest, variance

    @property
    def sd(self) -> Floats:
        """Standard deviation (n,)."""
        return self._process._scale * np.sqrt(self._variance)

    def believe(self, i: int) -> None:
        """Suppose that design i was observed at its mean: means stay, variances around it shrink.

        The "kriging believer" of D. Ginsbourger, R. Le Riche, L. Carraro, 2010, as one more row of the factor.
        """
        p = self._process
        product, additive = np.exp(2.0 * p.parameters[-3:-1])
        codes = np.ascontiguousarray(self._codes, np.int64)
        prior = _covariances(codes, codes[i : i + 1], p._tables, product, additive)[:, 0]
        noise = math.exp(2.0 * p.parameters[-1])
        row = (prior - self._rest @ self._rest[i]) / math.sqrt(self._variance[i] + noise)
        # No covariance exceeds the product of the deviations; what rounding adds to tiny ones would grow with each row.
        most = np.sqrt(self._variance)
        row = np.clip(row, -most, most)
        self._rest = np.column_stack([self._rest, row])
        self._variance = np.maximum(self._variance - row * row, 1e-12)


def restored_mean(lattice: Lattice, state: Mapping[str, Any]) -> PosteriorMean:
    """The mean of a process on the lattice that was in this state."""
    parameters = np.asarray(state["parameters"])
    tables, _ = lattice.tables(parameters[:-3])
    product, additive = np.exp(2.0 * parameters[-3:-1])
    centre, scale = state["centre"], state["scale"]
    return PosteriorMean(state["codes"], state["weights"], tables, product, additive, centre=centre, scale=scale)


def _factor(matrix: Floats) -> Floats:
    """Lower Cholesky factor (n, n) of a covariance matrix, with as much jitter as it takes."""
    jitter = 1e-8 * float(matrix[0, 0])
    for _ in range(9):
        factor, info = dpotrf(matrix, lower=1, clean=1)
        if info == 0:
            return np.asarray(factor)
        matrix = matrix + jitter * np.eye(len(matrix))
        jitter *= 10.0
    raise AssertionError("a covariance matrix that no jitter makes positive definite")
