"""The portfolio: who is asked, who is credited, and that nobody misses a sample."""

import numpy as np
import pytest
import toys

from archgym.agents.exhaustive import Exhaustive
from archgym.agents.portfolio import ASK_SECONDS, Auto
from archgym.errors import UsageError
from archgym.evaluator import Evaluator
from archgym.spec import StudySpec
from archgym.study import make_agent


def made(problem, *, budget=60, batch=4, seed=0, track="grey", **config):
    return make_agent(StudySpec(problem.spec, "auto", config, budget, batch, track, seed), problem)


def names(agent):
    return [type(m.agent).__name__ for m in agent._members]


def test_a_space_that_fits_into_the_budget_is_enumerated():
    problem = toys.problem()
    agent = made(problem, budget=toys.N_DISTINCT)
    assert names(agent) == ["Exhaustive"]
    evaluator = Evaluator(problem, toys.N_DISTINCT)
    agent.run(evaluator)
    assert evaluator.n_unique == toys.N_DISTINCT
    assert isinstance(made(problem, budget=10**6)._members[0].agent, Exhaustive)
    assert names(made(problem, budget=toys.N_DISTINCT - 1))[0] == "Bayesian"  # one short
    assert names(made(problem, budget=None)) == ["Bayesian", "Genetic", "AntColony", "LocalSearch"]


def asked_by(agent, problem, asks, n=4):
    """Who made each ask."""
    out = []
    for _ in range(asks):
        before = [m.last for m in agent._members]
        agent.tell(problem.evaluate(agent.ask(n)))
        out += [name for name, m, last in zip(names(agent), agent._members, before, strict=True) if m.last != last]
    return out


def test_models_lead_then_everybody_has_a_turn():
    problem = toys.problem()
    found = asked_by(made(problem, lead=12), problem, 7)
    assert found[:3] == ["Bayesian"] * 3  # 12 samples
    assert found[3:6] == ["Genetic", "AntColony", "LocalSearch"]


def test_the_next_ask_goes_to_the_best_rate_and_every_so_often_to_who_waited_longest():
    problem = toys.problem("toys:Hills", objective="latency")
    agent = made(problem, lead=0, rotate=4)
    asked_by(agent, problem, 4)
    for gain, member in zip((0.0, 0.2, 0.5, 0.1), agent._members, strict=True):
        member.gains.clear()
        member.gains.append((gain, 1.0))
    agent._asks = 5
    assert type(agent._whose_turn().agent).__name__ == "AntColony"
    agent._members[1].gains[0] = (0.2, 0.1)  # the same gain in a tenth of the time: 2 a second
    assert type(agent._whose_turn().agent).__name__ == "Genetic"
    agent._asks = 8
    assert agent._whose_turn() is min(agent._members, key=lambda m: m.last)


def test_a_second_of_simulation_outweighs_a_model_and_a_microsecond_does_not():
    problem = toys.problem()
    cheap, dear = (Auto(problem.space, budget=50, cost_seconds=c, objective=problem.objective) for c in (1e-6, 1.0))
    assert cheap._members[0].cost / cheap._members[1].cost == pytest.approx(
        (1e-6 + ASK_SECONDS["bayesian"]) / (1e-6 + ASK_SECONDS["genetic"])
    )
    assert dear._members[0].cost / dear._members[1].cost == pytest.approx(1.02, abs=1e-3)


def test_gains_by_hand():
    """Rewards -1, then 2 and 0, then 1: the first feasible design counts 1, then 3, then nothing."""
    problem = toys.problem("toys:Hills", objective="latency")
    agent = made(problem, lead=100)
    everything = problem.evaluate(problem.space.sample(50, np.random.default_rng(0)))
    order = np.argsort(everything.reward)
    worst, best = everything.take(order[:1]), everything.take(order[-1:])
    assert agent._gain(worst) == 1.0
    agent._note(worst)
    assert agent._gain(best) == pytest.approx(float(best.reward[0] - worst.reward[0]))
    agent._note(best)
    assert agent._gain(worst) == 0.0


def test_a_trade_off_counts_what_joins_the_front():
    problem = toys.problem(objective="pareto:latency,area")
    agent = made(problem)
    assert names(agent) == ["Bayesian", "Nsga2"]
    seen = problem.evaluate(problem.space.canonical(problem.space.sample(60, np.random.default_rng(1))))
    seen = seen.take(np.flatnonzero(seen.feasible))
    assert agent._gain(seen) == len(np.unique(_front_rows(seen), axis=0))
    agent._note(seen)
    assert agent._gain(seen) == 0.0  # the same again joins nothing


def _front_rows(seen):
    worse = (seen.values[:, None] >= seen.values[None]).all(axis=2) & (seen.values[:, None] > seen.values[None]).any(
        axis=2
    )
    return seen.values[~worse.any(axis=1)]


def test_everybody_is_told_everything():
    problem = toys.problem("toys:Hills", objective="latency")
    agent = made(problem, lead=8)
    asked_by(agent, problem, 6)
    assert {len(m.agent._unseen) for m in agent._members} == {24}


def test_it_never_repeats_a_design_and_finds_the_best_one():
    problem = toys.problem(limits=("area<=16",))
    outcome = problem.evaluate(np.concatenate(list(problem.space.enumerate())))
    for track in ("grey", "scalar"):
        evaluator = Evaluator(problem, 60, track=track)
        made(problem, lead=16, track=track).run(evaluator)
        assert evaluator.n_unique == 60
        assert evaluator.best.reward[0] == outcome.reward[outcome.feasible].max()


@pytest.mark.parametrize("name", ["genetic", "nsga2", "local-search"])
def test_members_take_a_warm_start_for_their_founders(name):
    """Told as many designs as it would have drawn at first, an agent goes on from them: nothing is drawn by chance."""
    problem = toys.problem("toys:Hills", objective="latency")
    agent = make_agent(StudySpec(problem.spec, name, {}, 200, 4, "grey", 0), problem)
    agent.tell(problem.evaluate(problem.space.sample(80, np.random.default_rng(0))))
    drawn = []
    draw = agent._unseen.draw
    agent._unseen.draw = lambda n, rng: drawn.append(n) or draw(n, rng)
    assert len(agent.ask(4)) == 4
    assert sum(drawn) == 0


@pytest.mark.parametrize("wrong", [{"lead": -1}, {"window": 0}, {"rotate": 0}])
def test_wrong_hyperparameters_are_refused(wrong):
    with pytest.raises(UsageError, match="auto: expected"):
        Auto.Config(**wrong)
