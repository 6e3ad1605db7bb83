"""Repeated proposals become the nearest unseen design; what is remembered of what was told."""

import numpy as np
import toys

from archgym import rng
from archgym.agents.dedup import Dedup
from archgym.agents.told import Told
from archgym.space import DesignSpace, Parameter


def dedup(space=toys.SPACE, seed=0):
    return Dedup(space, rng.generator(seed, "test"))


def test_new_designs_stay_as_they_are_and_in_order():
    codes = np.array([[1, 2, 0, 0], [0, 0, 1, 2], [3, 4, 1, 1]])
    assert np.array_equal(dedup().replace(codes), codes)


def test_a_proposal_is_made_canonical():
    # mode 0 does not know c: level 2 of c is the same design as level 0.
    assert dedup().replace(np.array([[1, 2, 0, 2]])).tolist() == [[1, 2, 0, 0]]


def test_a_known_design_becomes_a_neighbour():
    row = np.array([[1, 2, 1, 1]])
    near = {tuple(r) for r in toys.SPACE.neighbours(row[0]).tolist()}
    one = dedup()
    out = one.replace(np.repeat(row, 1 + len(near), axis=0))
    assert out[0].tolist() == row[0].tolist()
    assert {tuple(r) for r in out[1:].tolist()} == near  # all of them, before anything farther away


def test_where_all_neighbours_are_known_the_next_is_two_steps_away():
    row = np.array([[1, 2, 1, 1]])
    near = toys.SPACE.neighbours(row[0])
    one = dedup()
    one.add(np.concatenate([row, near]))
    (found,) = one.replace(row)
    two_steps = {tuple(r) for n in near for r in toys.SPACE.neighbours(n).tolist()}
    assert tuple(found.tolist()) in two_steps


def test_a_forbidden_design_becomes_an_allowed_neighbour():
    # a = 8 may not go with mode z; one step away are a = 4 (z), and modes x and y with a = 8.
    (found,) = dedup().replace(np.array([[3, 2, 2, 0]]))
    assert tuple(found.tolist()) in {(2, 2, 2, 0), (3, 2, 0, 0), (3, 2, 1, 0), (3, 1, 0, 0), (3, 3, 0, 0)}
    assert toys.SPACE.is_allowed(found[None]).all()


def test_the_same_proposal_again_and_again_exhausts_the_space():
    # 95 canonical allowed designs: each once, then nothing.
    one = dedup()
    out = one.replace(np.tile([[1, 2, 0, 0]], (120, 1)))
    assert len(out) == len(np.unique(out, axis=0)) == toys.N_DISTINCT
    assert len(one.replace(out[:3])) == 0


def test_far_from_anything_new_the_nearest_of_a_sample_is_taken():
    # All designs with the first 3 of 12 levels of each parameter are known, so neighbours of neighbours are too; the
    # replacement must be nearer than designs of this space usually are (each parameter 5.5 of 11 levels away).
    space = DesignSpace([Parameter.integers(f"p{i}", 0, 11) for i in range(4)])
    one = dedup(space)
    one.add(np.stack(np.meshgrid(*[np.arange(6)] * 4), axis=-1).reshape(-1, 4))
    (found,) = one.replace(np.zeros((1, 4), np.int64))
    assert found.max() >= 6
    assert found.sum() < 4 * 5.5


def test_replacing_is_reproducible():
    row = np.tile([[1, 2, 1, 1]], (20, 1))
    assert np.array_equal(dedup(seed=4).replace(row), dedup(seed=4).replace(row))


def test_fresh_designs_are_new_allowed_distinct_and_not_remembered():
    one = dedup()
    one.add(np.array([[0, 0, 0, 0]]))
    codes = np.array([[1, 2, 0, 2], [0, 0, 0, 1], [3, 0, 2, 0], [1, 2, 0, 0], [2, 2, 1, 1]])
    for _ in range(2):
        assert one.fresh(codes).tolist() == [[1, 2, 0, 0], [2, 2, 1, 1]]


def test_told_keeps_the_first_outcome_of_each_design():
    problem = toys.problem()
    told = Told(problem.space)
    first = problem.evaluate(np.array([[1, 2, 0, 2], [2, 2, 1, 1]]))
    assert len(told.add(first)) == 2
    new = told.add(problem.evaluate(np.array([[1, 2, 0, 0], [0, 1, 1, 0]])))  # the first again, under its other name
    assert new.codes.tolist() == [[0, 1, 1, 0]]
    assert told.rows.codes.tolist() == [[1, 2, 0, 0], [2, 2, 1, 1], [0, 1, 1, 0]]
    assert first.codes.tolist() == [[1, 2, 0, 2], [2, 2, 1, 1]]  # not changed under anybody's hands


def test_a_capped_history_holds_the_best_and_the_latest_in_order():
    problem = toys.problem()
    codes = np.concatenate(list(problem.space.enumerate()))
    evaluation = problem.evaluate(codes)
    told = Told(problem.space)
    told.add(evaluation)
    kept = told.capped(20)
    order = np.lexsort((-evaluation.reward, ~evaluation.feasible))
    rows = problem.space.rank(kept.codes)
    assert len(kept) == 20
    assert rows == sorted(rows)
    assert set(problem.space.rank(codes[order[:10]])) <= set(rows)
    assert len(set(problem.space.rank(codes[-20:])) & set(rows)) >= 10
    assert told.capped(95) is told.rows
