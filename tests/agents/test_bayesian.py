"""What Bayesian optimisation promises beyond the contract of all agents."""

import math

import numpy as np
import pytest
import toys

import archgym
from archgym import rng
from archgym.agents.bayesian import Bayesian
from archgym.agents.surrogate import Surrogate
from archgym.errors import UsageError
from archgym.evaluator import Evaluator
from archgym.spec import StudySpec
from archgym.study import make_agent
from archgym.suite.problems import known


def made(problem, *, track="grey", batch=1, seed=0, **config):
    return make_agent(StudySpec(problem.spec, "bayesian", config, 100, batch, track, seed), problem)


def seen_by(problem, n=40, seed=0):
    return problem.evaluate(problem.space.canonical(problem.space.sample(n, rng.generator(seed, "seen"))))


# ---- what is modelled ----------------------------------------------------------------------


def test_the_composed_reward_is_the_reward():
    """ED2P = energy x latency^2: -(log E + 2 log L) differs from the reward by the baseline's constant."""
    problem = toys.problem(objective="ed2p")
    seen = seen_by(problem)
    surrogate = Surrogate(problem.space, problem.objective)
    assert surrogate.weights == {"energy": -1.0, "latency": -2.0}
    ok = seen.feasible
    apart = (surrogate.rewards(seen) - seen.reward)[ok]
    assert ok.sum() > 5
    assert np.ptp(apart) < 1e-9
    assert (surrogate.rewards(seen)[~ok] == -math.inf).all()


def test_conditions_are_modelled_once_they_have_been_broken():
    problem = toys.problem(limits=("area<=16", "energy<=1e9"))
    seen = seen_by(problem)
    targets = {t.name: t for t in Surrogate(problem.space, problem.objective).targets(seen)}
    assert targets["area"].bound == pytest.approx(math.log(16))
    assert targets["energy"].bound == pytest.approx(math.log(1e9))  # part of the objective: one model for both
    broken = problem.evaluate(seen.codes[seen.feasible])
    assert "area" not in {t.name for t in Surrogate(problem.space, problem.objective).targets(broken)}


def test_a_limit_from_below_turns_round():
    problem = toys.problem(limits=("speed>=3",))
    targets = {t.name: t for t in Surrogate(problem.space, problem.objective).targets(seen_by(problem))}
    assert targets["-speed"].bound == pytest.approx(-math.log(3))


def test_the_scalar_track_has_reward_and_feasibility_alone():
    problem = toys.problem(limits=("area<=16",))
    seen = seen_by(problem).scalar()
    surrogate = Surrogate(problem.space, None)
    targets = {t.name: t for t in surrogate.targets(seen)}
    assert set(targets) == {"reward", "impossible"}
    assert np.isnan(targets["reward"].y[~seen.feasible]).all()  # the floor is no number to learn from
    assert (targets["impossible"].y > 0).tolist() == (~seen.feasible).tolist()


def test_archgym_targets_are_modelled_as_they_are():
    problem = toys.problem(objective="archgym-target:latency=1")
    assert Surrogate(problem.space, problem.objective).weights == {"reward": 1.0}


# ---- what is asked -------------------------------------------------------------------------


@pytest.mark.parametrize("track", ["grey", "scalar"])
@pytest.mark.parametrize("batch", [1, 7])
def test_it_solves_a_toy_in_far_fewer_samples_than_it_has_designs(track, batch):
    """Of 95 designs random search needs 48 in the mean to meet the best one."""
    problem = toys.problem(limits=("area<=16",))
    everything = np.concatenate(list(problem.space.enumerate()))
    outcome = problem.evaluate(everything)
    top = outcome.reward[outcome.feasible].max()
    for seed in range(3):
        evaluator = Evaluator(problem, 30, track=track, seed=seed)
        made(problem, track=track, batch=batch, seed=seed).run(evaluator)
        assert evaluator.best.reward[0] == top
        assert evaluator.n_unique == 30


def test_it_solves_a_problem_of_the_suite():
    name = "systolic-alexnet-edp-1k"
    for seed in range(2):
        best = archgym.run(name, "bayesian", budget=60, batch=5, seed=seed).best["reward"]
        assert known(name)["optimum"]["reward"] - best < 0.01


def test_founders_come_first_and_a_warm_start_takes_their_place():
    problem = toys.problem()
    agent = made(problem)
    assert agent.ask(10).tolist() == [row.tolist() for row in agent._founders]
    warm = made(problem)
    warm.tell(seen_by(problem, 30))
    proposed = warm.ask(3)
    assert not any(row.tolist() in warm._founders.tolist() for row in proposed) or warm._fitted > 0
    assert warm._fitted > 0


def test_with_a_trade_off_it_covers_the_front():
    """Hypervolume of the toy's front in latency and area, by 30 of its 95 designs, against random search's."""
    from archgym.experiments.fronts import ReferenceFront, costs

    problem = toys.problem(objective="pareto:latency,area")
    terms = [(t.metric, t.weight) for t in problem.objective.terms]
    outcome = problem.evaluate(np.concatenate(list(problem.space.enumerate())))

    def points(samples):
        table = costs(samples.metrics, terms)
        table[~samples.feasible] = np.nan
        return table

    reference = ReferenceFront.of(points(outcome))
    shares = {"bayesian": [], "random": []}
    for agent, found in shares.items():
        for seed in range(3):
            spec = StudySpec(problem.spec, agent, {}, 30, 5, "grey", seed)
            evaluator = Evaluator(problem, 30, seed=seed)
            make_agent(spec, problem).run(evaluator)
            found.append(reference.hypervolume(points(evaluator.history())))
    assert min(shares["bayesian"]) > 0.9
    assert np.mean(shares["bayesian"]) > np.mean(shares["random"])


def test_models_hold_a_bounded_number_of_rows():
    problem = toys.problem()
    agent = made(problem, rows=20)
    agent.tell(seen_by(problem, 80))
    order = np.arange(len(agent._told.rows))[::-1]
    rows = agent._rows(order)
    assert len(rows) <= 20
    assert set(order[:10]) <= set(rows)  # the best
    assert len(agent._told.rows) - 11 in rows  # and the latest of the others


def test_with_many_observations_designs_are_chosen_ahead():
    """After 20 rows six designs are chosen at a time: one ask in six looks at the models."""
    problem = toys.problem()
    agent, evaluator = made(problem, rows=20, ahead=6), Evaluator(problem, 40)
    chosen = []
    propose = agent._propose
    agent._propose = lambda seen, n: chosen.append((len(seen), n)) or propose(seen, n)
    agent.run(evaluator)
    assert chosen[-5:] == [(20, 1), (21, 6), (27, 6), (33, 6), (39, 6)]
    assert evaluator.history().cached.sum() == 0


def test_slacks_are_modelled_as_the_logarithm_of_need_over_capacity():
    """Twice a capacity is as far above the border as half of it is below; what needs nothing stays finite."""
    problem = toys.problem()
    seen = seen_by(problem)
    seen.violations[:4, 0] = 1.0, -0.5, 0.0, -1.0
    [slack] = [t for t in Surrogate(problem.space, problem.objective).targets(seen) if t.name == "slack 0"]
    assert slack.y[:4] == pytest.approx([math.log(2), -math.log(2), 0.0, math.log(1e-3)])
    assert slack.bound == 0


def test_a_design_that_is_told_again_counts_once():
    problem = toys.problem()
    agent = made(problem)
    seen = seen_by(problem, 20)
    agent.tell(seen)
    before = len(agent._told.rows)
    agent.tell(seen)
    assert len(agent._told.rows) == before < 20


@pytest.mark.parametrize("wrong", [{"initial": 0}, {"rows": 5}, {"rounds": -1}])
def test_wrong_hyperparameters_are_refused(wrong):
    with pytest.raises(UsageError, match="bayesian: expected"):
        Bayesian.Config(**wrong)
