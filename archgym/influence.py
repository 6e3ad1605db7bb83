"""Which knobs matter on a given problem: the share of designs whose metrics change with each parameter.

A knob that never mattered may be dead on this workload only; nothing follows for others, so it is reported here
and never merged.
"""

from __future__ import annotations

import numpy as np

from archgym import rng
from archgym.problem import Problem

SECONDS = 5.0  # declared cost that a report may have
FEWEST, MOST = 8, 200


def affordable(problem: Problem, seconds: float = SECONDS) -> int:
    """How many designs to look at so that the declared cost stays below ``seconds``; at least FEWEST."""
    each = problem.cost_seconds * (1 + len(problem.space.parameters))
    return int(min(MOST, max(FEWEST, seconds / each)))


def influence(problem: Problem, n: int, seed: int = 0) -> dict[str, float]:
    """Parameter -> share of ``n`` random designs in which another level of it changes any metric or feasibility.

    Args:
        problem: deterministic.
        n: random designs; each is compared with one change of every parameter that has other levels.
        seed: of the designs and of the changes.
    """
    space = problem.space
    draw = rng.generator(seed, "influence")
    base = space.sample(n, draw)
    before = _outcomes(problem, base)
    out = {}
    for i, parameter in enumerate(space.parameters):
        levels = len(parameter.levels)
        if levels == 1:
            out[parameter.name] = 0.0
            continue
        changed = base.copy()
        changed[:, i] = (changed[:, i] + draw.integers(1, levels, n)) % levels
        differs = np.zeros(n, bool)
        # a merged design is the same design: simulate what is left
        rows = np.flatnonzero((space.canonical(changed) != space.canonical(base)).any(axis=1))
        if len(rows):
            after = _outcomes(problem, changed[rows])
            differs[rows] = (after != before[rows]).any(axis=1)
        out[parameter.name] = float(differs.mean())
    return out


def _outcomes(problem: Problem, codes: np.ndarray) -> np.ndarray:
    """Metrics and reason of each design (n, m), comparable by ==."""
    columns = problem.simulate(codes)
    possible = (columns["reason"] == 0)[:, None]
    table = np.stack([np.asarray(columns[name], np.float64) for name in problem.metric_names], axis=1)
    return np.where(possible & ~np.isnan(table), table, -1.0)
