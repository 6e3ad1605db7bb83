"""Operators on codes, and the order of designs that are not all feasible, against hand-made cases."""

import numpy as np
import pytest
import toys

from archgym import rng
from archgym.agents.ranking import ranks, violation
from archgym.agents.variation import Variation
from archgym.evaluation import Evaluation
from archgym.space import DesignSpace, Parameter

# ordered, ordered with one level, categorical, boolean (ordered)
SPACE = DesignSpace(
    [Parameter.integers("a", 0, 5), Parameter("b", (7,)), Parameter.categorical("c", "wxyz"), Parameter.boolean("e")]
)
N = 400


def designs(n=N, seed=0):
    return SPACE.sample(n, rng.generator(seed, "test"))


def children(mother, father, **options):
    options = {"crossover": 1.0, "mutation": 1e-12, "step": 1.0, **options}
    return Variation(SPACE).children(mother, father, rng.generator(1, "test"), **options)


def test_without_mutation_a_child_has_each_level_from_one_of_its_parents():
    mother, father = designs(seed=1), designs(seed=2)
    child = children(mother, father)
    assert ((child == mother) | (child == father)).mean() > 0.99  # those that took nothing of the father are mutated
    differs = mother[:, 0] != father[:, 0]
    assert 0.4 < (child == father)[differs, 0].mean() < 0.6  # a fair coin for each parameter, 0.5 +- 0.06 at N


def test_a_child_of_one_parent_is_mutated_in_one_parameter():
    # The one that is drawn may have a single level (b): then the child is its mother. Else exactly one differs.
    mother = designs()
    changed = (children(mother, mother, crossover=0.0) != mother).sum(axis=1)
    assert set(changed.tolist()) == {0, 1}
    assert 0.17 < (changed == 0).mean() < 0.33  # b is one of four parameters


def test_a_small_mutation_moves_an_ordered_parameter_by_one_level():
    mother = designs()
    child = children(mother, mother, crossover=0.0, mutation=4.0, step=1.0)
    assert (np.abs(child[:, 0] - mother[:, 0]) == 1).all()  # also at both ends, where it is reflected
    assert (child[:, 1] == 0).all()
    assert (child[:, 2] != mother[:, 2]).all()  # a categorical one jumps to any other level
    assert set((child[:, 2] - mother[:, 2]).tolist()) == {-3, -2, -1, 1, 2, 3}
    assert (child[:, 3] == 1 - mother[:, 3]).all()


def test_a_large_mutation_goes_to_any_other_level():
    mother = np.zeros((N, 4), np.int64)
    child = children(mother, mother, crossover=0.0, mutation=4.0, step=0.0)
    counts = np.bincount(child[:, 0], minlength=6)
    assert counts[0] == 0
    assert (counts[1:] > N / 5 / 2).all()  # five levels, 80 each expected; fewer than 40 is five standard deviations


@pytest.mark.parametrize("moves", [1, 2, 3, 9])
def test_steps_move_so_many_parameters(moves):
    codes = designs()
    moved = Variation(SPACE).steps(codes, rng.generator(3, "test"), moves)
    assert ((moved != codes).sum(axis=1) == min(moves, 3)).all()  # b cannot move
    assert (np.abs(moved - codes)[:, [0, 3]] <= 1).all()


def test_far_steps_go_anywhere():
    codes = np.zeros((N, 4), np.int64)
    moved = Variation(SPACE).steps(codes, rng.generator(3, "test"), 3, far=1.0)
    assert set(moved[:, 0].tolist()) == {1, 2, 3, 4, 5}


def test_a_space_of_one_design_has_no_steps():
    space = DesignSpace([Parameter("a", (1,)), Parameter("b", ("x",))])
    codes = np.zeros((3, 2), np.int64)
    assert np.array_equal(Variation(space).steps(codes, rng.generator(0, "test"), 2), codes)
    child = Variation(space).children(codes, codes, rng.generator(0, "test"), crossover=0.5, mutation=1.0, step=0.5)
    assert np.array_equal(child, codes)


def evaluation(violations, feasible, reward):
    n = len(reward)
    nothing = np.zeros(n, np.int64)
    return Evaluation(
        np.zeros((n, 1), np.int64), (), np.empty((n, 0)), np.array(reward), np.empty((n, 0)),
        np.array(violations, np.float64).reshape(n, -1), np.array(feasible), nothing, nothing.astype(bool),
    )  # fmt: skip


def test_violation_by_hand():
    # 1 + what is exceeded; satisfied limits (<= 0) earn nothing, unknown counts 1, infinite 1e9.
    told = evaluation(
        [[-1, -2], [0.5, -3], [0.25, 0.5], [np.nan, 0.5], [np.inf, 0]], [True, False, False, False, False], [0.0] * 5
    )
    assert violation(told).tolist() == [0.0, 1.5, 1.75, 2.5, 1.0 + 1e9]
    assert violation(told.scalar()).tolist() == [0.0, 1.0, 1.0, 1.0, 1.0]


def test_ranks_put_feasible_designs_first_then_small_violations():
    told = evaluation([[-1], [0.5], [0.25], [-1]], [True, False, False, True], [1.0, -20.0, -20.0, 3.0])
    assert np.lexsort(ranks(told).T[::-1]).tolist() == [3, 0, 2, 1]


def test_ranks_of_a_real_problem_agree_with_its_feasibility():
    problem = toys.problem(limits=("area<=3",))
    told = problem.evaluate(np.concatenate(list(problem.space.enumerate())))
    first = np.lexsort(ranks(told).T[::-1])[: told.feasible.sum()]
    assert told.feasible[first].all()
    assert (np.diff(told.reward[first]) <= 0).all()
