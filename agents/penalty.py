"""What optimisers that minimise plain numbers are told of infeasible designs.

An infeasible design has no reward: the objective's floor only marks it, and as a number it would bend every model.
Two ways out. An optimiser without constraints gets a penalty just beyond the worst feasible design (`penalised`); one
with constraints gets them as columns (`constraint_columns`), and the objective wherever a number exists (`costs`).
"""

from __future__ import annotations

import numpy as np

from archgym.evaluation import Evaluation, Floats
from archgym.objective import Objective

from .ranking import violation

_SHARE = 0.1  # of the feasible range, put between the worst feasible design and the best infeasible one


def penalised(evaluation: Evaluation) -> Floats:
    """The cost -reward (n,), minimised, with infeasible rows beyond the worst feasible one by 0.1 of the range.

    On the grey track that distance is graded, up to twice, by `ranking.violation`. Where nothing is feasible, the range
    is 1 and the worst is 0. It is relative to the rows given: give all of them.
    """
    out = -evaluation.reward
    known = out[evaluation.feasible]
    worst, spread = (float(known.max()), float(np.ptp(known))) if len(known) else (0.0, 1.0)
    beyond = violation(evaluation)
    graded = worst + _SHARE * (spread or 1.0) * (1.0 + (beyond - 1.0) / np.maximum(beyond, 1.0))
    return np.where(evaluation.feasible, out, graded)


def costs(evaluation: Evaluation, objective: Objective | None) -> Floats:
    """The minimised numbers (n, m) for an optimiser that also gets `constraint_columns`.

    Args:
        evaluation: all rows.
        objective: on the grey track; then a possible design beyond a limit has its true cost.

    Returns:
        One column, -reward, or the signed logarithms of ``values`` if there are several. Rows without a number (on the
        scalar track all infeasible ones) stand 0.1 of the range beyond the worst known one.
    """
    if objective is None:
        table = np.where(evaluation.feasible, -evaluation.reward, np.nan)[:, None]
    elif evaluation.values.shape[1] > 1:
        size = np.maximum(np.abs(evaluation.values), 1e-300)
        table = np.sign(evaluation.values) * np.log(size)
    else:
        possible = ~np.isnan(evaluation.values).any(axis=1)
        table = np.where(possible, -objective.reward(evaluation.metrics), np.nan)[:, None]
    for column in table.T:  # views: filled in place
        known = column[~np.isnan(column)]
        worst, spread = (float(known.max()), float(np.ptp(known))) if len(known) else (0.0, 1.0)
        column[np.isnan(column)] = worst + _SHARE * (spread or 1.0)
    return table


def constraint_columns(evaluation: Evaluation) -> Floats:
    """Constraints (n, c + 1), satisfied where <= 0: the violations, then whether the design is infeasible at all.

    Violations are compressed, sign(v) ln(1 + |v|), since a design may miss a budget by orders of magnitude; unknown
    ones get the mean of the known. The last column, 1 or -1, says what no violation does: on the scalar track
    everything, on the grey one that the simulator calls a design impossible for another reason.
    """
    table = np.sign(evaluation.violations) * np.log1p(np.abs(evaluation.violations))
    table = np.nan_to_num(table, nan=np.nan, posinf=50.0, neginf=-50.0)
    for column in table.T:
        unknown = np.isnan(column)
        column[unknown] = column[~unknown].mean() if not unknown.all() else 0.0
    unexplained = ~evaluation.feasible & ~(evaluation.violations > 0).any(axis=1)
    return np.concatenate([table, np.where(unexplained, 1.0, -1.0)[:, None]], axis=1)
