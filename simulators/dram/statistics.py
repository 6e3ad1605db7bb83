"""Latency statistics of a run, compiled: means, percentiles by nearest rank, sums per source."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from archgym.kernel import kernel

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

QUANTILES = np.array([0.5, 0.95, 0.99])
STATISTICS = ("mean", "p50", "p95", "p99", "max")


@kernel
def request_times(of_request: Ints, sent: Ints, accepted: Ints, finished: Ints) -> Ints:
    """Times of whole requests from those of their bursts, (m, 3): first sent, last accepted, last finished.

    Args:
        of_request: (n,) request of each burst, non-decreasing from 0.
        sent, accepted, finished: (n,) cycles.
    """
    m = of_request[-1] + 1 if len(of_request) else 0
    out = np.full((m, 3), -1, np.int64)
    for i in range(len(of_request)):
        r = of_request[i]
        if out[r, 0] < 0:
            out[r, 0] = sent[i]
        out[r, 1] = max(out[r, 1], accepted[i])
        out[r, 2] = max(out[r, 2], finished[i])
    return out


@kernel
def summary(latency: Ints, quantiles: Floats) -> Floats:
    """(2 + q,): mean, the quantiles by nearest rank (the ceil(q n)-th smallest), maximum; nan without values."""
    n = len(latency)
    out = np.full(2 + len(quantiles), np.nan)
    if n == 0:
        return out
    total = 0
    for value in latency:
        total += value
    out[0] = total / n
    rest, below = latency, 0
    for i in range(len(quantiles)):  # ascending: each partition leaves the larger part to the next
        rank = max(0, int(np.ceil(quantiles[i] * n - 1e-9)) - 1)
        rest = np.partition(rest, rank - below)
        out[1 + i] = rest[rank - below]
        rest = rest[rank - below :]
        below = rank
    out[-1] = rest.max()
    return out
