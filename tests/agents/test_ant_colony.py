"""Pheromone by hand: what is laid, where it spreads, and that it never runs out."""

import numpy as np
import pytest
import toys

from archgym.agents.ant_colony import AntColony
from archgym.errors import UsageError
from archgym.evaluator import Evaluator


@pytest.fixture(scope="module")
def hills():
    return toys.problem("toys:Hills", objective="latency")


def told(problem, rows, **config):
    """A colony that was told some designs at once."""
    agent = AntColony(problem.space, AntColony.Config(**config))
    agent.tell(problem.evaluate(np.array(rows)))
    return agent


def test_trails_by_hand():
    # One design (a=level 0 of 4, b=2 of 5, mode y, c=1) renews a quarter of every trail. Ordered parameters put 0.1 of
    # that beside the level on either side; what would fall off an end stays. mode is categorical, and so spreads not.
    agent = told(toys.problem(), [[0, 2, 1, 1]], evaporation=0.25, spread=0.2)
    laid = {
        "a": [0.9, 0.1, 0, 0],
        "b": [0, 0.1, 0.8, 0.1, 0],
        "mode": [0, 1, 0],
        "c": [0.1, 0.8, 0.1],
    }
    for trail, (name, new) in zip(agent.trails, laid.items(), strict=True):
        expected = 0.75 / len(new) + 0.25 * np.array(new)
        assert trail[: len(new)] == pytest.approx(expected, abs=1e-15), name
        assert (trail[len(new) :] == 0).all()


def test_better_designs_lay_more():
    # Toy's edp is 4 macs^2 / (2 b): b=5 is best. Weights 2 and 1 of the two, the third is no longer of the elite.
    agent = told(toys.problem("toys:ToyFree"), [[1, 1, 0, 0], [1, 4, 0, 0], [1, 3, 0, 0]], elite=2, spread=0.0,
                 evaporation=1.0)  # fmt: skip
    assert agent.trails[1] == pytest.approx([0, 0, 0, 1 / 3, 2 / 3])


def test_a_dead_parameter_gets_no_pheromone():
    # With mode x, c means nothing: its first level is only how the design is written.
    agent = told(toys.problem(), [[1, 2, 0, 0], [1, 3, 0, 0]], evaporation=1.0)
    assert agent.trails[3, :3] == pytest.approx([1 / 3] * 3)


def test_the_trails_stay_probabilities_and_every_level_can_be_chosen(hills):
    # After 600 designs the colony agrees on one design, and still explores: its bound guarantees every level of a
    # parameter bound / levels = 0.15 / 6, so all 48 are asked for again in 400 designs (0.975**400 = 4e-5 each not).
    agent = AntColony(hills.space, AntColony.Config(bound=0.15), batch=20)
    evaluator = Evaluator(hills, 600)
    agent.run(evaluator)
    assert agent.trails.sum(axis=1) == pytest.approx(1.0)
    assert (agent.trails.argmax(axis=1) == np.array(toys.Hills.optimum)).all()
    codes = agent.ask(400)
    assert [len(set(column)) for column in codes.T.tolist()] == [6] * 8


@pytest.mark.parametrize("seed", range(3))
def test_it_finds_the_optimum_without_repeating_itself(hills, seed):
    evaluator = Evaluator(hills, 1000)
    AntColony(hills.space, seed=seed, batch=10).run(evaluator)
    assert evaluator.best.metrics["latency"][0] == 1.0
    assert evaluator.n_unique == 1000


def test_ants_that_meet_a_rule_choose_among_what_it_leaves():
    # a=8 may not go with mode z. The elite is at both, apart: a=8 with x, and z with a=4. Nearly all ants of the raw
    # trails (0.85 of half of them) would want one or the other; every one of 30 designs keeps the rule.
    problem = toys.problem()
    agent = told(problem, [[3, 2, 0, 0], [2, 1, 2, 0]], evaporation=1.0, elite=2)
    codes = agent.ask(30)
    assert len(codes) == 30
    assert problem.space.is_allowed(codes).all()


def test_of_infeasible_designs_those_that_exceed_limits_least_lay_pheromone():
    # Areas 16 and 2 under a limit of 1.5; the elite is one. On the scalar track they are alike: the first one stays.
    problem = toys.problem(limits=("area<=1.5",))
    told_both = problem.evaluate(np.array([[2, 3, 0, 0], [0, 1, 0, 0]]))
    for evaluation, levels in ((told_both, [0, 1, 0]), (told_both.scalar(), [2, 3, 0])):
        agent = AntColony(problem.space, AntColony.Config(elite=1))
        agent.tell(evaluation)
        assert agent.trails.argmax(axis=1)[:3].tolist() == levels


@pytest.mark.parametrize("config", [{"elite": 0}, {"evaporation": 0.0}, {"bound": 0.0}, {"spread": 1.1}])
def test_wrong_hyperparameters(config):
    with pytest.raises(UsageError, match="ant-colony: expected"):
        AntColony.Config(**config)
