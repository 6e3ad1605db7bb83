"""Which draws of a policy cost samples, which join its rollout, and in which place: by hand."""

import numpy as np
import pytest
import toys

from archgym.agents.on_policy import OnPolicy


class Scripted(OnPolicy):
    """Draws designs from a list, numbered; notes what it should learn from."""

    def __init__(self, script, problem, rollout=100, distinct=True, **study):
        super().__init__(problem.space, None, rollout, distinct, **study)
        self.script, self.drawn, self.learnt = script, 0, []

    def _draw(self, n):
        codes = np.array([self.script[(self.drawn + i) % len(self.script)] for i in range(n)])
        self.drawn += n
        return codes, np.arange(self.drawn - n, self.drawn, dtype=float)[:, None]

    def _improve(self, codes, drawn, places):
        self.learnt.append((codes.tolist(), drawn[:, 0].tolist(), places.tolist()))


# Levels of a, b, mode and c; c means nothing in mode x, and a=8 may not go with mode z.
ONE, SAME, TWO, THREE, FORBIDDEN = [1, 0, 0, 0], [1, 0, 0, 2], [1, 2, 0, 0], [1, 4, 0, 0], [3, 0, 2, 0]


@pytest.fixture(scope="module")
def toy():
    return toys.problem("toys:ToyFree")


def test_known_and_forbidden_draws_are_learnt_from_but_not_asked(toy):
    # SAME is ONE with a dead knob elsewhere: drawn while ONE is out, it waits for its value.
    agent = Scripted([ONE, SAME, TWO, FORBIDDEN, ONE, THREE], toy, rollout=6)
    first = agent.ask(2)
    assert first.tolist() == [ONE, TWO]
    assert agent.learnt == []
    agent.tell(toy.evaluate(first))  # ONE, SAME and TWO have their values, FORBIDDEN had none to wait for: 4 of 6
    assert agent.learnt == []
    assert agent.ask(1).tolist() == [THREE]  # ONE is known and joins: 5 of 6
    agent.tell(toy.evaluate(np.array([THREE])))
    ((codes, drawn, places),) = agent.learnt
    assert sorted(zip(drawn, codes, strict=True)) == list(enumerate([ONE, SAME, TWO, FORBIDDEN, ONE, THREE]))
    # Rewards ln(b/2) with b = 5 of THREE, 3 of TWO, 1 of ONE, drawn three times: places 2, 3 and 4 in the mean.
    assert dict(zip(drawn, places, strict=True)) == {5: 0.0, 2: 1.0, 0: 3.0, 1: 3.0, 4: 3.0, 3: 5.0}


def test_where_only_known_designs_are_drawn_chance_decides_and_is_not_learnt_from(toy):
    agent = Scripted([ONE], toy, rollout=3)
    agent.tell(toy.evaluate(np.array([ONE])))
    asked = agent.ask(2)
    assert len(asked) == 2
    assert ONE not in asked.tolist()
    n = sum(len(codes) for codes, _, _ in agent.learnt)
    agent.tell(toy.evaluate(asked))
    assert agent.drawn == 8  # four rounds of two
    assert n == sum(len(codes) for codes, _, _ in agent.learnt) == 8
    assert all(codes == [ONE] * len(codes) for codes, _, _ in agent.learnt)


def test_a_known_draw_becomes_its_neighbour_and_a_new_one_does_not(toy):
    agent = Scripted([ONE, ONE, ONE, ONE, THREE, ONE], toy)
    agent.tell(toy.evaluate(np.array([ONE])))
    asked = agent.ask(2)  # rounds: ONE ONE, ONE ONE, THREE ONE, ONE: the last is known, THREE is not
    assert asked[0].tolist() == THREE
    assert abs(asked[1] - np.array(ONE)).sum() == 1


def test_a_warm_start_spends_no_budget(toy):
    agent = Scripted([ONE, TWO], toy, budget=4)
    agent.tell(toy.evaluate(np.array([THREE])))
    assert agent.progress == 0
    agent.tell(toy.evaluate(agent.ask(2)))
    assert agent.progress == 0.5


def test_the_plain_form_spends_samples_on_what_it_knows(toy):
    # Three draws of one design are three samples, and learnt from one by one as they are told.
    agent = Scripted([ONE], toy, rollout=2, distinct=False)
    asked = agent.ask(3)
    assert asked.tolist() == [ONE] * 3
    for learnt in (0, 1, 1):
        agent.tell(toy.evaluate(asked[:1]))
        assert len(agent.learnt) == learnt
    assert agent.learnt[0][1] == [0, 1]
    assert agent.ask(1).tolist() == [ONE]


def test_the_plain_form_does_not_ask_for_forbidden_designs_either(toy):
    agent = Scripted([FORBIDDEN], toy, rollout=100, distinct=False)
    asked = agent.ask(5)
    assert len(asked) == 5
    assert toy.space.is_allowed(asked).all()


def test_strangers_are_known_but_no_draws(toy):
    agent = Scripted([THREE, ONE], toy, rollout=2)
    agent.tell(toy.evaluate(np.array([ONE, THREE])))
    assert agent.learnt == []
    agent.ask(1)
    assert agent.learnt[0] == ([THREE, ONE], [0.0, 1.0], [0.0, 1.0])


@pytest.mark.parametrize("track", ["grey", "scalar"])
def test_infeasible_designs_come_last_and_only_told_violations_order_them(track):
    # Limit area <= 2 with areas 2 (feasible), 10 and 4; in the same rollout a forbidden one.
    toy = toys.problem(limits=("area<=2",))
    rows = [[1, 0, 0, 0], [1, 4, 0, 0], [1, 1, 0, 0], FORBIDDEN]
    agent = Scripted(rows, toy, rollout=4)
    told = toy.evaluate(np.array(rows[:3]))
    agent.tell(told if track == "grey" else told.scalar())
    agent.ask(4)
    assert agent.learnt[0][2] == ([0.0, 2.0, 1.0, 3.0] if track == "grey" else [0.0, 1.5, 1.5, 3.0])


@pytest.mark.parametrize(("budget", "size"), [(100, 16), (1000, 33), (100_000, 256), (None, 66)])
def test_the_rollout_is_a_thirtieth_of_the_budget(toy, budget, size):
    assert Scripted([ONE], toy, rollout=0, budget=budget)._size == size
