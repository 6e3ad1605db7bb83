"""Annealing: hot at the beginning, greedy at the end, and never lost."""

import numpy as np
import pytest
import toys

from archgym import rng
from archgym.agents.annealing import Annealing
from archgym.errors import UsageError
from archgym.evaluator import Evaluator
from archgym.study import run


@pytest.fixture(scope="module")
def hills():
    return toys.problem("toys:Hills", objective="latency")


def search(problem, budget, batch=8, seed=0, samples=None, **config):
    """A study of ``samples`` designs by an agent that was told ``budget``."""
    agent = Annealing(problem.space, Annealing.Config(**config), seed=seed, budget=budget, batch=batch)
    evaluator = Evaluator(problem, samples or budget)
    agent.run(evaluator)
    return evaluator


@pytest.mark.parametrize(("batch", "seed", "budget"), [(1, 0, 400), (10, 0, 800), (10, 1, 800), (50, 0, 800)])
def test_it_finds_the_optimum_of_the_valley(hills, batch, seed, budget):
    # One valley, 1.7 million designs: latency 1 is its bottom.
    evaluator = search(hills, budget, batch, seed)
    assert evaluator.best.metrics["latency"][0] == 1.0
    assert evaluator.n_unique == evaluator.n_samples == budget


def test_heat_lets_it_wander():
    # The same study hot and cold, both without cooling: a cold chain stays near the best design (each proposal is one
    # step from it), a hot one accepts nearly everything and drifts to where most designs are.
    problem = toys.problem("toys:Hills", objective="latency")
    late = {}
    for heat in (1e-6, 1e3):
        evaluator = search(problem, 600, heat=heat, cooling=1.0, patience=10.0, far=0.0)
        late[heat] = np.median(evaluator.history().metrics["latency"][300:])
    # a random design is 1 + 8 * 35/6 = 48 away (each coordinate about 5.8 on average); steps from the bottom cost 1
    assert late[1e-6] < 10
    assert late[1e3] > 25


def test_the_temperature_follows_the_budget(hills):
    # Three quarters into a budget of 400 the chains are cold; into one of 4000 they accept nearly everything.
    hot = {"heat": 100.0, "cooling": 1e-6, "founders": 0.05, "patience": 10.0, "far": 0.0}
    tail = {b: np.median(search(hills, b, samples=400, **hot).history().metrics["latency"][300:]) for b in (400, 4000)}
    assert tail[400] < tail[4000] / 2


def test_without_a_budget_it_cools_and_is_heated_again(hills):
    # 500 samples are the first cycle, the next is twice as long: just before 500 it is cold, after 500 hot.
    hot = {"heat": 100.0, "cooling": 1e-6, "patience": 10.0, "far": 0.0}
    latency = search(hills, None, samples=700, **hot).history().metrics["latency"]
    assert np.median(latency[400:500]) < np.median(latency[560:700]) / 2


def test_the_spread_of_the_founders_sets_the_scale(hills):
    # With ED2P instead of the delay alone every difference of rewards triples (energy is constant here: doubles); the
    # temperature follows, so the same designs are asked for.
    plain = search(hills, 300).history().codes
    steep = search(toys.problem("toys:Hills", objective="ed2p"), 300).history().codes
    assert np.array_equal(plain, steep)


def test_violations_lead_to_feasible_designs_on_the_grey_track():
    # Only a=1, b=1, mode x keeps area <= 1.5; a violation of at most 3 is an area of at most 6, which 32 of 95 designs
    # have. Of the 30 designs after the founders and the first steps, about half have when violations are told.
    found = {"grey": 0, "scalar": 0}
    for track in found:
        for seed in range(5):
            result = run(toys.spec(limits=("area<=1.5",)), "annealing", budget=40, batch=4, seed=seed, track=track)
            found[track] += int(np.sum(result.samples.violations[10:, 1] <= 3))
    assert found["grey"] > 1.2 * found["scalar"]


def test_it_goes_on_from_the_best_design_it_was_told(hills):
    # Told the optimum before it starts, its chains stand there once its own founders are out; all steps from there.
    agent = Annealing(hills.space, Annealing.Config(far=0.0, heat=1e-6), budget=200, batch=4)
    agent.tell(hills.evaluate(np.array([toys.Hills.optimum])))
    agent.tell(hills.evaluate(hills.space.sample(30, rng.generator(0, "test"))))
    codes = agent.ask(8)
    distance = np.abs(codes - np.array(toys.Hills.optimum)).sum(axis=1)
    assert (distance == 1).any()


@pytest.mark.parametrize(
    "config",
    [
        {"chains": 0},
        {"heat": 0.0},
        {"cooling": 0.0},
        {"cooling": 1.1},
        {"founders": 1.0},
        {"patience": 0.0},
        {"far": 2.0},
    ],
)
def test_wrong_hyperparameters(config):
    with pytest.raises(UsageError, match="annealing: expected"):
        Annealing.Config(**config)
