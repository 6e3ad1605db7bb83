"""Which of two designs is better, where not all of them are feasible: feasible ones first, then by their violations.

Feasible before infeasible, and of two infeasible designs the one that breaks its limits less: the rules of Deb,
Computer Methods in Applied Mechanics and Engineering 186, 2000. They need no penalty weights.
"""

from __future__ import annotations

import numpy as np

from archgym.evaluation import Evaluation, Floats

_UNBOUNDED = 1e9  # what an infinite violation counts as, so that sums stay finite


def violation(evaluation: Evaluation) -> Floats:
    """How far (n,) designs are from feasible: 0 if they are, else 1 plus the sum of what they exceed limits by.

    The reward of an infeasible design says nothing. On the scalar track, where violations are not told, all
    infeasible designs are alike; a violation that the simulator could not tell (NaN) counts as 1.
    """
    out = np.where(evaluation.feasible, 0.0, 1.0)
    if evaluation.violations.shape[1] and not evaluation.feasible.all():
        excess = np.nan_to_num(evaluation.violations, nan=1.0, posinf=_UNBOUNDED)
        out += np.where(evaluation.feasible, 0.0, np.maximum(excess, 0.0).sum(axis=1))
    return out


def ranks(evaluation: Evaluation) -> Floats:
    """(n, 2): violation and negated reward; the lexicographically smallest row is the best design."""
    return np.stack([violation(evaluation), -evaluation.reward], axis=1)


def places(reward: Floats, violations: Floats) -> Floats:
    """Places (n,) of designs from 0 for the best to n - 1; those that are equally good share the mean of theirs.

    Args:
        reward: (n,); of infeasible designs it says nothing.
        violations: (n,) by `violation`; 0 is feasible, infinity comes last.
    """
    rank = np.stack([violations, np.where(violations == 0, -reward, 0.0)], axis=1)
    _, group, size = np.unique(rank, axis=0, return_inverse=True, return_counts=True)  # sorted, the best first
    shared: Floats = (np.cumsum(size) - (size + 1) / 2)[group]
    return shared


def utilities(places: Floats) -> Floats:
    """What places (n,) are worth to a learner: logarithmic in the better half and 0 in the other.

    As CMA-ES and natural evolution strategies weigh ranks (Wierstra et al., "Natural Evolution Strategies", JMLR 15,
    2014, section 3.1).
    """
    out: Floats = np.maximum(0.0, np.log(len(places) / 2 + 1) - np.log(places + 1))
    return out
