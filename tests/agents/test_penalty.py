"""Numbers told to optimisers about infeasible designs, by hand."""

import math

import numpy as np
import pytest
import toys

from archgym.agents.penalty import constraint_columns, costs, penalised
from archgym.agents.ranking import violation
from archgym.evaluation import Evaluation


def evaluation(reward, feasible, violations=None, values=None):
    n = len(reward)
    violations = np.empty((n, 0)) if violations is None else np.array(violations, float)
    values = np.empty((n, 0)) if values is None else np.array(values, float)
    zero = np.zeros(n, np.int64)
    return Evaluation(zero[:, None], (), np.empty((n, 0)), np.array(reward, float), values, violations,
                      np.array(feasible), zero, np.zeros(n, bool))  # fmt: skip


NAN, INF = math.nan, math.inf


def test_violation_is_one_plus_what_is_violated():
    told = evaluation([1, -20, -20, -20], [True, False, False, False], [[-1, -1], [2, 3], [-1, NAN], [-1, -1]])
    # feasible: 0; both violated: 1 + 2 + 3; unknown counts as 1; infeasible for a reason that no violation shows: 1.
    assert violation(told).tolist() == [0, 6, 2, 1]


def test_penalty_stands_a_tenth_of_the_range_beyond_the_worst():
    # Feasible costs are -3 and 1, range 4: infeasible ones cost 1 + 0.4 on the scalar track.
    told = evaluation([3, -1, -20], [True, True, False])
    assert penalised(told) == pytest.approx([-3, 1, 1.4])


def test_penalty_is_graded_where_violations_are_known_and_at_most_doubled():
    # excess 2 -> 1 + 1/2; excess 1 + 1e9 -> almost 2; worst 1, range 4.
    told = evaluation([3, -1, -20, -20], [True, True, False, False], [[-1], [-1], [1], [INF]])
    assert penalised(told) == pytest.approx([-3, 1, 1 + 0.4 * 1.5, 1.8])


def test_penalty_without_any_feasible_design():
    # Worst 0 and range 1 by convention; the floor never shows.
    assert penalised(evaluation([-20, -20], [False, False])).tolist() == [0.1, 0.1]
    # One feasible design has no range either.
    assert penalised(evaluation([2, -20], [True, False])) == pytest.approx([-2, -1.9])


def test_costs_know_the_true_value_beyond_a_limit_on_the_grey_track():
    # Baseline: latency 4, energy 32, area 4. (2, 2, x) is the baseline: reward 0. (4, 4, x): latency 1, energy 64,
    # EDP halves: ln 2 = 0.69, but area 16 > 10. (1, 5, x) is impossible: 0.1 of the range 0.69 beyond the worst, 0.
    problem = toys.problem(limits=("area<=10",))
    told = problem.evaluate(np.array([[1, 1, 0, 0], [2, 3, 0, 0], [0, 4, 0, 0]]))
    assert told.feasible.tolist() == [True, False, False]
    assert costs(told, problem.objective)[:, 0] == pytest.approx([0, -math.log(2), 0.1 * math.log(2)])
    # The scalar track tells feasibility only: one known cost, 0, range 1 by convention.
    assert costs(told.scalar(), None)[:, 0] == pytest.approx([0, 0.1, 0.1])


def test_costs_of_several_values_are_signed_logarithms():
    # A maximised metric comes negated: speed 4 is -4, its cost -ln 4, lower than that of speed 2.
    problem = toys.problem(objective="pareto:latency,speed")
    told = problem.evaluate(np.array([[1, 1, 0, 0], [1, 0, 0, 0], [0, 4, 0, 0]]))
    table = costs(told, problem.objective)
    assert table[:2] == pytest.approx(np.log([[4, 1 / 4], [8, 1 / 2]]))
    assert (table[2] > table[:2].max(axis=0)).all()  # impossible: worse than the worst in each


def test_constraint_columns_compress_and_complete_violations():
    told = evaluation([1, -20, -20], [True, False, False], [[-1, -2], [math.e - 1, NAN], [-1, 0]])
    table = constraint_columns(told)
    assert table[:, 0] == pytest.approx([-math.log(2), 1, -math.log(2)])
    assert table[:, 1] == pytest.approx([-math.log(3), -math.log(3) / 2, 0])  # unknown: the mean of the known
    assert table[:, 2].tolist() == [-1, -1, 1]  # the second's violation explains it, the third's nothing


def test_on_the_scalar_track_feasibility_is_the_only_constraint():
    assert constraint_columns(evaluation([1, -20], [True, False])).tolist() == [[-1], [1]]
