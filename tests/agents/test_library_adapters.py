"""Adapters to libraries: what they promise beside the contract of every agent.

Model-based ones are run with few founders and small models, so that every path is taken in little time.
"""

import logging
import subprocess
import sys
import warnings

import numpy as np
import pytest
import small_models
import toys

from archgym import rng
from archgym.errors import MissingExtraError, UsageError
from archgym.evaluator import Evaluator
from archgym.registry import AGENTS
from archgym.space import DesignSpace, Parameter
from archgym.spec import StudySpec
from archgym.study import make_agent, run

MODELS = {name: config for name, config in small_models.MODELS.items() if name not in ("auto", "bayesian")}
SMALL = {**MODELS, **small_models.POLICIES, "cmaes": {}, "pymoo-nsga2": {}}
ALL = tuple(SMALL)
LIBRARIES = {
    "botorch": "botorch",
    "botorch-turbo": "botorch",
    "cmaes": "cmaes",
    "maskable-ppo": "sb3_contrib",
    "optuna-gp": "optuna",
    "optuna-tpe": "optuna",
    "ppo": "stable_baselines3",
    "pymoo-nsga2": "pymoo",
    "sac": "stable_baselines3",
    "skopt-et": "skopt",
    "skopt-gp": "skopt",
}


def make(name, problem, budget=30, batch=5, seed=0, track="grey"):
    return make_agent(StudySpec(problem.spec, name, SMALL[name], budget, batch, track, seed), problem)


def search(name, problem, budget=30, batch=5, seed=0, track="grey"):
    evaluator = Evaluator(problem, budget, track=track, seed=seed)
    make(name, problem, budget, batch, seed, track).run(evaluator)
    return evaluator


@pytest.fixture(scope="module")
def hills():
    return toys.problem("toys:Hills", objective="latency")


@pytest.mark.parametrize("name", ALL)
def test_a_small_space_is_exhausted_without_repetition(name):
    # Two levels of a, five of b and mode x or y, which goes with any a: 20 designs, then nothing is left.
    problem = toys.problem(space={"c": (0,), "a": (4, 8), "mode": ("x", "y")}, limits=("area<=16",))
    evaluator = search(name, problem, budget=30, batch=8)
    assert evaluator.n_unique == evaluator.n_samples == 20


@pytest.mark.parametrize("name", ALL)
def test_same_seed_same_designs_on_both_tracks(name):
    problem = toys.problem(limits=("area<=16",))
    for track in ("grey",) if AGENTS.load(name).needs == "grey" else ("grey", "scalar"):
        first, second = (search(name, problem, 15, 5, seed=3, track=track).history().codes for _ in range(2))
        assert np.array_equal(first, second)


@pytest.mark.parametrize("name", ALL)
def test_nothing_feasible_and_several_values(name):
    # Impossible designs only (they have no metrics at all), designs beyond a limit only, and a Pareto objective.
    for options in (
        {"space": {"a": (8,), "b": (5,), "mode": ("x", "y")}},
        {"limits": ("area<=0.5",)},
        {"objective": "pareto:latency,energy,speed"},
    ):
        problem = toys.problem(**options)
        distinct = sum(map(len, problem.space.enumerate()))
        assert search(name, problem, 15, 5).n_samples == min(15, distinct)


@pytest.mark.parametrize("name", ["botorch", "botorch-turbo", "cmaes", "optuna-gp", "optuna-tpe", "pymoo-nsga2"])
def test_learning_beats_luck(name, hills):
    # One smooth valley, 1.7 million designs: after 30 samples with a model at work, or 120 with a population, the best
    # is better than the median best of 120 random ones, 20 seeds of which are drawn here.
    random = np.random.default_rng(0).integers(0, 6, (20, 120, 8))
    luck = np.median((1 + ((random - toys.Hills.optimum) ** 2).sum(axis=2)).min(axis=1))
    budget = 30 if name in MODELS and name != "optuna-tpe" else 120
    assert search(name, hills, budget, 10, seed=1).best.metrics["latency"][0] < luck


@pytest.mark.parametrize("name", ALL)
def test_what_was_told_is_not_asked_again_and_counts(name, hills):
    # Told the 8 or more designs around the optimum and it itself, nothing is repeated.
    agent = make(name, hills, 100, 4)
    optimum = np.array(toys.Hills.optimum)
    near = np.concatenate([optimum[None], hills.space.neighbours(optimum)])
    agent.tell(hills.evaluate(near))
    asked = agent.ask(4)
    assert not {tuple(r) for r in asked.tolist()} & {tuple(r) for r in near.tolist()}


@pytest.mark.parametrize("name", MODELS)
def test_models_learn_from_rows_they_never_asked_for(name):
    # Two of eight parameters vary, 36 designs: latency = 1 + (p0 - 4)^2 + (p1 - 1)^2. Told 20 random ones, the model
    # asks for a better one than the median of the 16 others.
    space = {f"p{i}": (toys.Hills.optimum[i],) for i in range(2, 8)}
    problem = toys.problem("toys:Hills", objective="latency", space=space)
    designs = np.concatenate(list(problem.space.enumerate()))
    designs = rng.generator(0, "test").permutation(designs)
    agent = make(name, problem, 100, 4)
    agent.tell(problem.evaluate(designs[:20]))
    asked = problem.evaluate(agent.ask(1)).reward[0]
    assert asked > np.median(problem.evaluate(designs[20:]).reward)


@pytest.mark.parametrize("name", ALL)
def test_a_missing_library_is_named_with_its_extra(name, hills, monkeypatch):
    monkeypatch.setitem(sys.modules, LIBRARIES[name], None)  # as if it were not installed
    extra = "rl" if name in small_models.POLICIES else "search"
    with pytest.raises(MissingExtraError, match=rf"{LIBRARIES[name]} is not installed.*archgym\[{extra}\]"):
        make(name, hills)


@pytest.mark.parametrize("name", ALL)
def test_libraries_are_quiet_and_leave_no_trace(name, hills, capfd, recwarn):
    # Streams, verbosity, number of threads and default type are global in these libraries; the user's stay.
    import optuna
    import torch

    before = (torch.get_rng_state(), np.random.get_state()[1].copy())  # noqa: NPY002 - the one at stake
    settings = (torch.get_num_threads(), torch.get_default_dtype(), optuna.logging.get_verbosity(),
                logging.getLogger().level, warnings.filters[:])  # fmt: skip
    search(name, hills, 12, 4)
    assert torch.equal(before[0], torch.get_rng_state())
    assert np.array_equal(before[1], np.random.get_state()[1])  # noqa: NPY002
    assert settings == (torch.get_num_threads(), torch.get_default_dtype(), optuna.logging.get_verbosity(),
                        logging.getLogger().level, warnings.filters[:])  # fmt: skip
    assert capfd.readouterr() == ("", "")
    assert not recwarn


def test_adapters_load_their_library_when_they_are_made():
    script = f"""
import sys
from archgym.registry import AGENTS
for name in {ALL}:
    AGENTS.load(name)
heavy = ("torch", "stable_baselines3", "sb3_contrib", "optuna", "skopt", "cmaes", "pymoo", "botorch", "sklearn")
print([m for m in heavy if m in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("skopt-gp", {"acquisition": "magic"}),
        ("skopt-et", {"history": 3}),
        ("cmaes", {"population": 1}),
        ("cmaes", {"sigma": 0.0}),
        ("optuna-tpe", {"candidates": 0}),
        ("optuna-gp", {"founders": 0}),
        ("pymoo-nsga2", {"crossover": 1.5}),
        ("botorch", {"samples": 0}),
        ("ppo", {"learning_rate": 0.0}),
        ("ppo", {"rollout": 1}),
        ("maskable-ppo", {"entropy": -0.1}),
        ("sac", {"spread": 0.7}),
    ],
)
def test_wrong_hyperparameters_are_refused(name, config):
    with pytest.raises(UsageError, match="got"):
        AGENTS.load(name).Config(**config)


# ---- one by one ----------------------------------------------------------------------------


def test_botorch_needs_the_grey_track():
    with pytest.raises(UsageError, match="grey"):
        run(toys.spec(), "botorch", budget=5, track="scalar")


def test_population_of_cmaes_and_nsga2_follows_the_budget():
    # 4 + 3 ln 8 = 10.2 for eight parameters, at most a tenth of the budget and at least 4; NSGA-II: a twentieth of it,
    # 10 to 40.
    space = DesignSpace([Parameter.integers(f"p{i}", 0, 5) for i in range(8)])
    cmaes, nsga2 = AGENTS.load("cmaes"), AGENTS.load("pymoo-nsga2")
    assert [cmaes(space, budget=b)._population for b in (20, 60, 1000, None)] == [4, 6, 10, 10]
    assert [nsga2(space, budget=b)._population for b in (20, 400, 1000, None)] == [10, 20, 40, 40]


def test_cmaes_starts_again_when_it_has_converged():
    # Two ordered parameters of five levels: 25 designs; 20 of them asked, so the distribution has nothing new for long
    # stretches; still every ask is answered with new designs.
    space = DesignSpace([Parameter.integers("a", 0, 4), Parameter.integers("b", 0, 4)])
    agent = AGENTS.load("cmaes")(space, budget=25)
    asked = np.concatenate([agent.ask(1) for _ in range(25)])
    assert len(np.unique(asked, axis=0)) == 25
    assert len(agent.ask(1)) == 0


def test_cmaes_starts_again_when_its_covariance_breaks_down(hills):
    # As in the study cmaes, seed 2, of systolic-resnet50-edp-1m (scalar track, batch 5): the covariance is no longer
    # finite and numpy raises LinAlgError within the library.
    agent = make("cmaes", hills, 60, 5)
    evaluator = Evaluator(hills, 60)
    agent.tell(evaluator(agent.ask(5)))
    broken = agent._optimizer
    broken._C = np.full_like(broken._C, np.nan)
    agent.run(evaluator)
    assert evaluator.left == 0
    assert agent._optimizer is not broken


def test_optuna_is_told_slacks_and_limits_only_on_the_grey_track():
    # room: a * b <= 32 lanes; area <= 10; plus feasibility. Only what was ever violated is told.
    problem = toys.problem(limits=("area<=10",))
    codes = np.array([[1, 1, 0, 0], [2, 3, 0, 0], [3, 4, 0, 0]])  # fine, beyond the limit, does not fit
    grey, scalar = make("optuna-tpe", problem), make("optuna-tpe", problem, track="scalar")
    told = problem.evaluate(codes)
    by_limit = [o["constraints"] for o in grey._outcomes(told)]
    assert [len(c) for c in by_limit] == [2, 2, 2]
    assert [all(v <= 0 for v in c.values()) for c in by_limit] == [True, False, False]
    assert [list(o["constraints"].values()) for o in scalar._outcomes(told.scalar())] == [[-1], [1], [1]]


def test_turbo_shrinks_on_failure_and_grows_on_success(hills):
    # Eight parameters: eight samples in a row without improvement halve the side, three improving asks double it.
    agent = make("botorch-turbo", hills, 100, 4)
    agent.tell(hills.evaluate(np.array([[i, 5, 0, 5, 0, 5, j, 5] for i in range(5) for j in (0, 1)])))  # founders
    assert agent._side == 0.8
    optimum = np.array(toys.Hills.optimum)
    for step in (1, 2, 3):  # nearer and nearer to 4
        agent.tell(hills.evaluate(np.concatenate([[step], optimum[1:]])[None]))
    assert agent._side == 1.6
    side = agent._side
    agent.tell(hills.evaluate(np.array([[5, 5, 5, 5, 5, 5, 5, i] for i in range(5)])))
    assert agent._side == side
    agent.tell(hills.evaluate(np.array([[5, 5, 5, 5, 5, 5, 4, i] for i in range(5)])))
    assert agent._side == side / 2


def test_the_objective_is_put_together_after_prediction():
    # The models know metrics, not rewards. Latency falls with b and area grows; told the three middle levels of b, all
    # that varies, the agent asks for the largest where latency counts and for the smallest where area does.
    for objective, level in (("latency", 4), ("area", 0)):
        problem = toys.problem(objective=objective, space={"a": (2,), "c": (0,), "mode": ("x",)})
        config = {**SMALL["botorch"], "founders": 3, "samples": 128, "iterations": 60}
        agent = make_agent(StudySpec(problem.spec, "botorch", config, 40, 1, "grey", 0), problem)
        agent.tell(problem.evaluate(np.array([[0, b, 0, 0] for b in (1, 2, 3)])))
        assert agent.ask(1)[0, 1] == level
