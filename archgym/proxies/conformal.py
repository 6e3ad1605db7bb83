"""Intervals that hold with a declared probability: conformal prediction.

The error of held-back rows bounds the error of new rows of the same kind: with n of them, the ceil((n + 1) 0.9)-th
smallest absolute residual covers a new row with probability 0.9 or a little more (V. Vovk, A. Gammerman, G. Shafer,
"Algorithmic Learning in a Random World", 2005). A search asks for the best designs, where a model errs otherwise than
on average: rows whose prediction is among the best twentieth are calibrated by themselves, by the same rule (Mondrian).

Of few rows none is wasted on that: each is predicted by a model that has learnt four fifths of the others (V. Vovk,
"Cross-conformal Predictors", Annals of Mathematics and Artificial Intelligence 74, 2015). The probability is then no
theorem, as errors share models: it was 88 to 96 % on memory controllers after 1,560 rows (``results/reference/proxy``).
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from .inputs import Floats

LEVEL = 0.9
ELITE = 0.05  # share of the predictions that a search would go to
_ENOUGH = 20  # held-back rows of the elite from which it has an interval of its own


@dataclass(frozen=True, eq=False)
class Conformal:
    """What held-back rows tell.

    Attributes:
        width: half of the interval of ordinary predictions; infinite where too few rows were held back.
        elite: half of that of elite predictions.
        threshold: prediction up to which (from which, if ``maximise``) a row is elite; NaN for nowhere.
        maximise: whether the best are the largest.
        rows: how many were held back.
        elite_rows: how many of them were elite.
    """

    width: float
    elite: float
    threshold: float
    maximise: bool = False
    rows: int = 0
    elite_rows: int = 0

    @classmethod
    def of_residuals(cls, predicted: Floats, actual: Floats, *, maximise: bool) -> Conformal:
        """Calibrated on held-back rows (n,), on the scale on which errors add up."""
        errors, n = np.abs(actual - predicted), len(actual)
        if n == 0:
            return cls(math.inf, math.inf, math.nan, maximise)
        threshold = float(np.quantile(predicted, 1.0 - ELITE if maximise else ELITE))
        elite = predicted >= threshold if maximise else predicted <= threshold
        if elite.sum() < _ENOUGH or elite.all():
            width = bound(errors, LEVEL)
            return cls(width, width, math.nan, maximise, n, 0)
        widths = (bound(errors[~elite], LEVEL), bound(errors[elite], LEVEL))
        return cls(*widths, threshold, maximise, n, int(elite.sum()))

    def widths(self, predicted: Floats) -> Floats:
        """Half of the interval (n,) of each prediction."""
        elite = predicted >= self.threshold if self.maximise else predicted <= self.threshold
        return np.where(elite, self.elite, self.width)

    def state(self) -> dict[str, Any]:
        """The arguments that make an equal one."""
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}


def bound(errors: Floats, level: float) -> float:
    """The smallest number that bounds a new error with this probability; infinite if so few rows cannot tell."""
    k = math.ceil((len(errors) + 1) * level)
    return float(np.sort(errors)[k - 1]) if k <= len(errors) else math.inf
