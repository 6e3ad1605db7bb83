"""How far searches are from the optimum, sample by sample and in seconds.

The *gap* of a design is ``ln(f / f_opt)``: 0 at the optimum, 0.69 at twice its objective. Rewards are
``-ln(f / reference)``, so a gap is a difference of rewards. An ``archgym-target`` reward is no logarithm but
target/distance (a product of such factors): there ``f = 1/reward`` is used, so that 0.69 means twice the
distance from the target. Where nothing feasible has been seen the gap is infinite.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from archgym.errors import UsageError

Floats = npt.NDArray[np.float64]

SLACK = 1e-9  # differences of gaps below this are rounding: logs agree to 1e-12 between machines


def gap_curves(rewards: Floats, optimum: float, *, has_targets: bool = False) -> Floats:
    """Anytime curves: the gap of the best feasible sample so far.

    Args:
        rewards: (..., samples) reward of every sample, NaN where infeasible.
        optimum: reward of the optimum.
        has_targets: whether rewards are target/distance.

    Returns:
        (..., samples), never increasing; infinite before the first feasible sample.

    Raises:
        UsageError: a sample is better than the optimum.
    """
    best = np.maximum.accumulate(np.where(np.isnan(rewards), -np.inf, rewards), axis=-1)
    if has_targets:
        with np.errstate(divide="ignore"):
            gaps = np.log(optimum) - np.log(np.maximum(best, 0.0))
    else:
        gaps = optimum - best
    if gaps.size and gaps.min() < -SLACK:
        raise UsageError(f"a sample's gap is {gaps.min():.3g}: better than the optimum of reward {optimum!r}")
    return np.where(gaps < SLACK, 0.0, gaps)


def at_budgets(curves: Floats, budgets: Sequence[int]) -> Floats:
    """The gaps (..., len(budgets)) after so many samples.

    Raises:
        UsageError: a budget below 1 or beyond the curves.
    """
    for budget in budgets:
        if not 1 <= budget <= curves.shape[-1]:
            raise UsageError(
                f"budgets: expected 1 to {curves.shape[-1]} samples (the length of the runs), got {budget}"
            )
    return np.asarray(curves[..., np.asarray(budgets, np.int64) - 1])


def area_under_curves(curves: Floats, cap: float) -> Floats:
    """Mean gap (...,) over the logarithm of the number of samples, from 1 to the budget.

    Every doubling of the budget counts the same. A curve is a step function: the gap after n samples holds
    until n + 1.

    Args:
        curves: (..., samples) gaps.
        cap: larger gaps count as this one; it makes searches that have found nothing yet comparable.
    """
    n = curves.shape[-1]
    if n == 1:
        return np.minimum(curves[..., 0], cap)
    weights = np.diff(np.log(np.arange(1, n + 1))) / np.log(n)
    return np.asarray(np.minimum(curves[..., :-1], cap) @ weights)


def samples_to_gap(curves: Floats, target: float) -> Floats:
    """Samples (...,) until the gap is at most ``target``; infinite where it never is."""
    return _first(curves <= target + SLACK)


def samples_to_feasible(rewards: Floats) -> Floats:
    """Samples (...,) until every constraint and budget is met by one design; infinite where none does."""
    return _first(~np.isnan(rewards))


def _first(reached: npt.NDArray[np.bool_]) -> Floats:
    return np.where(reached.any(axis=-1), reached.argmax(axis=-1) + 1.0, np.inf)


def duplicate_share(samples: npt.ArrayLike, unique: npt.ArrayLike) -> Floats:
    """Share of the samples whose canonical design the same study had evaluated before; NaN without samples."""
    with np.errstate(invalid="ignore"):
        return np.asarray(1.0 - np.asarray(unique, np.float64) / np.asarray(samples, np.float64))


def suggest_seconds(rows: npt.NDArray[np.int64], agent_seconds: Floats, samples: int) -> Floats:
    """Cumulated seconds (samples,) the agent had spent when each sample was handed in.

    Args:
        rows: samples of each ask, in order.
        agent_seconds: of each ask.
        samples: of the study. NaN is returned if not every one of them was timed.
    """
    if int(np.sum(rows)) != samples:
        return np.full(samples, np.nan)
    return np.repeat(np.cumsum(agent_seconds), rows)


def elapsed(suggest: Floats, evaluation_seconds: float) -> Floats:
    """Seconds (..., samples) until each sample is known, if one evaluation cost so much and ran alone.

    ``T(n) = n * evaluation_seconds + suggest(n)``: the same samples judged as if their simulator took a
    millisecond, a second or a minute.
    """
    return np.arange(1, suggest.shape[-1] + 1) * evaluation_seconds + suggest


def on_time_grid(curves: Floats, times: Floats, grid: Floats) -> Floats:
    """Gaps (..., len(grid)) of curves (..., samples) at points of time; infinite before the first sample.

    Args:
        curves: gaps.
        times: (..., samples) seconds when each sample is known, increasing.
        grid: seconds.
    """
    flat, clock = curves.reshape(-1, curves.shape[-1]), times.reshape(-1, times.shape[-1])
    out = np.full((len(flat), len(grid)), np.inf)
    for i in range(len(flat)):
        known = np.searchsorted(clock[i], grid, side="right")
        out[i, known > 0] = flat[i, known[known > 0] - 1]
    return out.reshape(*curves.shape[:-1], len(grid))
