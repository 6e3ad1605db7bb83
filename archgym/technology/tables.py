"""Reading the CSV tables of this package and interpolating in them."""

from __future__ import annotations

import csv
import math
import operator
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files

from archgym.errors import UsageError


@cache
def table(name: str) -> tuple[Mapping[str, str], ...]:
    """The rows of ``name`` (a CSV file of this package); lines that begin with '#' are comments."""
    text = files("archgym.technology").joinpath(name).read_text(encoding="utf-8")
    return tuple(csv.DictReader(line for line in text.splitlines() if not line.startswith("#")))


def optional(text: str) -> float | None:
    """The number in a table field, None where the source gives none."""
    return float(text) if text else None


def geometric(low: float, high: float, share: float) -> float:
    """low^(1-share) high^share, exact at share 0 and never outside [low, high] (rounding included)."""
    value = low * math.pow(high / low, share)
    return min(max(value, min(low, high)), max(low, high))


def log_log(x: float, xs: Sequence[float], ys: Sequence[float]) -> float:
    """Straight line in log(x), log(y) between the two neighbouring points; ``xs`` ascending.

    Exact at the points. Outside the points the end value: never an extrapolation.
    """
    if x <= xs[0]:
        return ys[0]
    for i in range(1, len(xs)):
        if x < xs[i]:
            share = math.log(x / xs[i - 1]) / math.log(xs[i] / xs[i - 1])
            return geometric(ys[i - 1], ys[i], share)
    return ys[-1]


def whole(name: str, value: int, highest: int | None = None) -> int:
    """A whole number from 1 to ``highest``; UsageError with its name if it is none."""
    try:
        number = operator.index(value)
    except TypeError:
        raise UsageError(f"{name} must be a whole number, got {value!r}") from None
    if number < 1 or (highest is not None and number > highest):
        limits = "at least 1" if highest is None else f"1 to {highest}"
        raise UsageError(f"{name} must be {limits}, got {number}")
    return number
