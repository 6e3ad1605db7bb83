"""REINFORCE: one step by hand, what its gradient is the gradient of, and that it learns."""

import numpy as np
import pytest
import toys

from archgym.agents.reinforce import Reinforce
from archgym.evaluator import Evaluator
from archgym.space import DesignSpace, Parameter

SPACE = DesignSpace([Parameter.integers("a", 0, 2), Parameter.boolean("b")])


def make(**config):
    return Reinforce(SPACE, Reinforce.Config(**config), budget=100)


def test_a_step_by_hand():
    # Of four draws the best (elite 1/4) has the advantage 1 - 1/4, the others -1/4. From even logits with hardly any
    # exploration the gradient of log p(level drawn) is 1 there minus p everywhere. The advantages sum to 0, so what
    # remains is the advantage at the levels drawn: for a 3/4, -1/4 and -1/4 - 1/4, for b 1/2 and -1/2.
    agent = make(elite=0.25, learning_rate=2.0, decay=0.0, explore=1e-12)
    agent._improve(np.array([[0, 0], [1, 0], [2, 1], [2, 1]]), np.empty((4, 0)), np.array([0.0, 1.0, 2.5, 2.5]))
    assert agent.logits[0] == pytest.approx([1.5, -0.5, -1.0])
    assert agent.logits[1] == pytest.approx([1.0, -1.0, -np.inf])


def test_equally_good_designs_share_what_their_places_are_worth():
    # All alike, whatever came first: no step. Elite of two, the second place shared by three: 1/2, then 1/6 each.
    agent = make(elite=0.5, learning_rate=1.0, decay=0.0, explore=1e-12)
    codes = np.array([[0, 0], [1, 0], [2, 1], [2, 1]])
    agent._improve(codes, np.empty((4, 0)), np.full(4, 1.5))
    assert agent.logits[0] == pytest.approx(np.zeros(3), abs=1e-12)
    agent._improve(codes, np.empty((4, 0)), np.array([0.0, 2.0, 2.0, 2.0]))
    # Advantages 1/2 - 1/4 and three times 1/6 - 1/4, at the levels drawn.
    assert agent.logits[0] == pytest.approx([1 / 4, -1 / 12, -1 / 6])


def test_a_step_follows_the_gradient_of_what_is_drawn():
    # Numerically, from uneven logits and with exploration: the step is the gradient of sum of advantage * log odds.
    agent = make(elite=0.5, learning_rate=1.0, decay=0.0, explore=0.3)
    agent.logits = np.array([[0.5, -1.0, 0.2], [1.0, -0.4, -np.inf]])
    codes = np.array([[0, 0], [1, 1], [2, 0], [0, 1]])
    advantage = np.array([0.25, 0.25, -0.25, -0.25])

    def value(logits):
        agent.logits = logits
        return float(np.log(agent._odds(agent._softmax())[[0, 1], codes]).sum(axis=1) @ advantage)

    start, h = agent.logits.copy(), 1e-6
    expected = np.zeros_like(start)
    for i, j in ((0, 0), (0, 1), (0, 2), (1, 0), (1, 1)):
        up, down = start.copy(), start.copy()
        up[i, j] += h
        down[i, j] -= h
        expected[i, j] = (value(up) - value(down)) / (2 * h)
    agent.logits = start.copy()
    agent._improve(codes, np.empty((4, 0)), np.arange(4.0))
    exists = np.isfinite(start)
    assert agent.logits[exists] - start[exists] == pytest.approx(expected[exists], abs=1e-8)


def test_every_level_keeps_its_share_of_exploration():
    agent = make(explore=0.3)
    agent.logits = np.array([[0.0, 500.0, -500.0], [900.0, 0.0, -np.inf]])
    odds = agent._odds(agent._softmax())
    assert odds == pytest.approx(np.array([[0.1, 0.8, 0.1], [0.85, 0.15, 0.0]]))
    codes, _ = agent._draw(1000)
    assert codes.max(axis=0).tolist() == [2, 1]


def test_the_learning_rate_falls_with_the_budget():
    # Half of a budget of 4 spent, decay 0.8: a step of 1 - 0.4.
    agent = Reinforce(SPACE, Reinforce.Config(elite=0.25, learning_rate=1.0, decay=0.8, explore=1e-12), budget=4)
    agent._n_asked = agent._n_told = 2
    agent._improve(np.array([[0, 0], [1, 0], [2, 0], [2, 0]]), np.empty((4, 0)), np.arange(4.0))
    assert agent.logits[0] == pytest.approx(0.6 * np.array([0.75, -0.25, -0.5]))


@pytest.mark.parametrize("seed", range(3))
def test_it_finds_the_bottom_of_a_valley(seed):
    # 1.7 million designs; of 800 random ones the best is about 9 above the optimum's latency of 1.
    problem = toys.problem("toys:Hills", objective="latency")
    evaluator = Evaluator(problem, 800, track="scalar", seed=seed)
    Reinforce(problem.space, seed=seed, budget=800, batch=10).run(evaluator)
    assert evaluator.history().reward.max() >= -np.log(3.0) + problem.evaluate(np.array([toys.Hills.optimum])).reward[0]
