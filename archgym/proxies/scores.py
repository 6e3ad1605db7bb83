"""How well predictions meet what was simulated.

An error "of 1 %" says nothing without its denominator: RMSE is given relative to the mean and to the range.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy.stats import beta, kendalltau

from .conformal import ELITE
from .inputs import Floats

_TOP = 0.01


def scores(truth: Floats, predicted: Floats, low: Floats, high: Floats, *, maximise: bool = False) -> dict[str, float]:
    """Scores of one metric over rows (n,), n at least 1; NaN where one does not exist.

    Returns:
        ``rmse_over_mean`` and ``rmse_over_range`` of the truth; ``mape`` (mean absolute error relative to the truth);
        ``kendall_tau``; ``top_recall``: share of the best 1 % of the truth among the best 1 % of the predictions;
        ``coverage_90``: share of the truth within the 90 % interval, with ``coverage_90.low`` and ``.high``, its own
        95 % interval (Clopper and Pearson); the same for the best 5 % by prediction (``elite_coverage_90``), and
        ``elite_mape``.
    """
    n = len(truth)
    rmse = math.sqrt(float(np.mean((predicted - truth) ** 2)))
    relative = np.abs(predicted - truth) / np.where(truth == 0, np.nan, np.abs(truth))
    inside = (low <= truth) & (truth <= high)
    rank, best = (-predicted, -truth) if maximise else (predicted, truth)
    elite = np.argsort(rank, kind="stable")[: max(1, round(ELITE * n))]
    top = max(1, round(_TOP * n))
    found = np.isin(np.argsort(rank, kind="stable")[:top], np.flatnonzero(best <= np.partition(best, top - 1)[top - 1]))
    return {
        "rows": n,
        "rmse_over_mean": _ratio(rmse, abs(float(truth.mean()))),
        "rmse_over_range": _ratio(rmse, float(np.ptp(truth))),
        "mape": float(np.mean(relative)),
        "kendall_tau": float(kendalltau(truth, predicted).statistic) if np.ptp(truth) > 0 else math.nan,
        "top_recall": float(found.mean()),
        "elite_mape": float(np.mean(relative[elite])),
        **_coverage("coverage_90", inside),
        **_coverage("elite_coverage_90", inside[elite]),
    }


def _ratio(a: float, b: float) -> float:
    return a / b if b > 0 else math.nan


def _coverage(name: str, inside: npt.NDArray[np.bool_]) -> dict[str, float]:
    n, k = len(inside), int(inside.sum())
    low = float(beta.ppf(0.025, k, n - k + 1)) if k else 0.0
    high = float(beta.ppf(0.975, k + 1, n - k)) if k < n else 1.0
    return {name: k / n, f"{name}.low": low, f"{name}.high": high}
