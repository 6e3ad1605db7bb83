"""Agents that make small steps make those, too, that a space declares."""

import numpy as np
import pytest
import toys

from archgym import rng
from archgym.agents.annealing import Annealing
from archgym.agents.local_search import LocalSearch
from archgym.metrics import Metric
from archgym.simulator import Simulator
from archgym.space import DesignSpace, Parameter


def exchange(code):
    """One level of a for one of b."""
    moved = code + np.array([[1, -1], [-1, 1]])
    return moved[((moved >= 0) & (moved <= 7)).all(axis=1)]


PLAIN = [Parameter.integers("a", 0, 7), Parameter.integers("b", 0, 7)]
START, OPTIMUM = (0, 7), (7, 0)


class Ridge(Simulator):
    """Where a + b is 7, latency falls with a, from 8 to 1; everything else costs 100 more for each level beside it."""

    metrics = (Metric("latency", "s"), Metric("energy", "J"))
    accepts = ("network",)
    space = DesignSpace(PLAIN)

    def design_space(self, workload):
        return self.space

    def baseline(self, workload):
        return dict(zip("ab", START, strict=True))

    def _simulate(self, designs, workload, seeds):
        beside = np.abs(designs["a"] + designs["b"] - 7.0)
        latency = 8.0 - designs["a"] + 100.0 * beside
        return {"latency": latency, "energy": np.ones(len(latency))}


class RidgeWithMoves(Ridge):
    space = DesignSpace(PLAIN, moves=exchange)


@pytest.fixture(params=["Ridge", "RidgeWithMoves"])
def ridge(request):
    return toys.problem(f"{__name__}:{request.param}", objective="latency")


def climb(problem, samples):
    """Where local search stands after so many steps from the start; kicks and random designs count as its end."""
    agent = LocalSearch(problem.space, LocalSearch.Config(founders=1))
    agent.ask(1)
    told = problem.evaluate(np.array([START]))
    agent.tell(told)
    here, best = np.array(START), told.reward[0]
    for _ in range(samples):
        step = agent.ask(1)
        evaluation = problem.evaluate(step)
        if not (problem.space.neighbours(here) == step[0]).all(axis=1).any():
            break
        agent.tell(evaluation)
        if evaluation.reward[0] > best:
            here, best = step[0], evaluation.reward[0]
    return tuple(here.tolist())


def test_local_search_climbs_a_ridge_that_no_single_step_follows(ridge):
    # At most 4 single steps and 2 moves from each of the 7 designs on the way.
    assert climb(ridge, 42) == (START if ridge.space.moves is None else OPTIMUM)


def test_annealing_proposes_declared_moves_where_there_are_some():
    """From the middle of the ridge: two parameters and two moves, so that each move has probability 1/4, each of the
    four steps 1/8. In 20 studies with fixed seeds all of them are proposed, and nothing else."""
    proposed = {}
    for name in ("Ridge", "RidgeWithMoves"):
        problem = toys.problem(f"{__name__}:{name}", objective="latency")
        proposed[name] = set()
        for seed in range(20):
            agent = Annealing(problem.space, Annealing.Config(founders=0, far=0.0), seed=seed, budget=100)
            agent.ask(1)
            agent.tell(problem.evaluate(np.array([[3, 4]])))
            proposed[name].add(tuple(agent.ask(1)[0].tolist()))
    steps = {(2, 4), (4, 4), (3, 3), (3, 5)}
    assert proposed["Ridge"] == steps
    assert proposed["RidgeWithMoves"] == steps | {(2, 5), (4, 3)}


def test_annealing_follows_the_ridge():
    # Cold: only what is better is accepted, so that beside chance designs (one in eight is on the ridge) single steps
    # never get anywhere. 64 designs in all; 20 samples find the best one in most of the searches that know the moves.
    found = {}
    for name in ("Ridge", "RidgeWithMoves"):
        problem = toys.problem(f"{__name__}:{name}", objective="latency")
        found[name] = 0
        for seed in range(20):
            agent = Annealing(problem.space, Annealing.Config(heat=1e-6, patience=10.0), seed=seed, budget=24)
            agent.tell(problem.evaluate(np.array([START])))
            best = 0.0
            for _ in range(24):
                told = problem.evaluate(agent.ask(1))
                agent.tell(told)
                best = max(best, told.reward[0])
            found[name] += best == problem.evaluate(np.array([OPTIMUM])).reward[0]
    assert found["RidgeWithMoves"] > 2 * found["Ridge"]


def test_a_space_that_declares_nothing_is_searched_as_ever():
    # What is not declared may not shift what chance decides: the same draws as of single steps alone.
    space = DesignSpace(PLAIN)
    assert space.moves is None
    codes = space.sample(5, rng.generator(0, "test"))
    agent = Annealing(space)
    before = agent.rng.bit_generator.state
    agent._steps(codes[:1].repeat(8, axis=0), 1)
    after = agent.rng.bit_generator.state
    agent.rng.bit_generator.state = before
    agent._variation.steps(codes[:1].repeat(8, axis=0), agent.rng, 1, agent.config.far)
    assert agent.rng.bit_generator.state == after
