"""The contract of every registered agent, and what each of the built-in ones promises by itself."""

import dataclasses

import numpy as np
import pytest
import toys
from small_models import MODELS, POLICIES

from archgym import rng
from archgym.agent import Agent
from archgym.agents.grid import Grid
from archgym.errors import BudgetExhausted
from archgym.evaluator import Evaluator
from archgym.log import read_trials
from archgym.registry import AGENTS
from archgym.space import DesignSpace, Parameter
from archgym.spec import StudySpec
from archgym.study import make_agent, replay, run
from archgym.testing import check_agent

SMALL = MODELS | POLICIES
COSTLY = tuple(name for name in SMALL if name != "bayesian")  # libraries' models: seconds a test


def each(names):
    """As parameters of a test, the costly ones marked slow."""
    return [pytest.param(name, marks=pytest.mark.slow) if name in COSTLY else name for name in names]


ALL = each(AGENTS.names())
# Each asks for every canonical design at most once, and knows what it was told; all but two depend on the seed.
WITHOUT_REPETITION = tuple(name for name in AGENTS.names() if name not in COSTLY)
SEEDED = each(name for name in AGENTS.names() if name not in ("exhaustive", "grid"))


def track_of(name):
    return AGENTS.load(name).needs


def make(name, problem, budget=None, batch=1, seed=0, **config):
    """The agent as a study makes it, with a small model."""
    config = {**SMALL.get(name, {}), **config}
    return make_agent(StudySpec(problem.spec, name, config, budget, batch, track_of(name), seed), problem)


@pytest.mark.parametrize("name", AGENTS.names())
def test_the_search_space_is_of_configurations(name):
    """Defaults are among the candidates, and each candidate is allowed beside the other defaults."""
    cls = AGENTS.load(name)
    defaults = cls.Config()
    for key, values in cls.search_space.items():
        assert getattr(defaults, key) in values
        for value in values:
            dataclasses.replace(defaults, **{key: value})


def search(name, problem, budget, batch=8, seed=0):
    """Run an agent under a real evaluator; asking for more than the budget is an error of the agent."""
    agent = make(name, problem, budget, batch, seed)
    evaluator = Evaluator(problem, budget, track=track_of(name), seed=seed)
    agent.run(evaluator)
    assert evaluator.n_samples <= budget
    return evaluator.history(), evaluator


def canonical_rows(problem, codes):
    return [tuple(row) for row in problem.space.canonical(codes).tolist()]


def all_designs(problem):
    return np.concatenate(list(problem.space.enumerate()))


@pytest.fixture(scope="module")
def toy():
    return toys.problem(limits=("area<=16",))


@pytest.fixture(scope="module")
def hills():
    return toys.problem("toys:Hills", objective="latency")


# ---- every agent ---------------------------------------------------------------------------


def test_who_pays_no_heed_to_the_budget():
    """A grid spreads its levels over the budget, annealing cools with it, two libraries' populations and the policies'
    rollouts follow it, a portfolio enumerates what fits into it, and a language model is told; what the others declare
    is checked in test_conformance."""
    planning = [name for name in AGENTS.names() if not AGENTS.load(name).anytime]
    policies = {"ippo", "joint-ppo", "mappo", "maskable-ppo", "ppo", "reinforce", "sac"}
    assert set(planning) == {"annealing", "auto", "cmaes", "grid", "llm", "pymoo-nsga2"} | policies


def test_the_conformance_check_finds_out_who_plans_with_the_budget():
    class Claims(Grid):
        anytime = True

    with pytest.raises(AssertionError, match="declared anytime"):
        check_agent(Claims)


def test_the_built_in_agents_are_registered():
    assert {"random", "genetic", "bayesian", "nsga2", "optuna-tpe", "skopt-gp"} <= set(AGENTS.names())
    assert all(issubclass(AGENTS.load(name), Agent) for name in AGENTS.names())


@pytest.mark.parametrize("batch", [1, 7, 64])
@pytest.mark.parametrize("name", ALL)
def test_the_budget_is_kept_exactly(hills, name, batch):
    # 65 is no multiple of 7 or 64. Only grid may stop early: the largest grid of 65 points or fewer.
    samples, evaluator = search(name, hills, 65, batch)
    if name == "grid":
        assert len(samples) == 64  # 2 ** 6 * 1 * 1: a third level anywhere would make 96
    else:
        assert len(samples) == 65
        assert evaluator.n_asks == -(-65 // batch)


@pytest.mark.parametrize("name", ALL)
def test_asked_designs_are_allowed_and_in_the_space(toy, name):
    samples, _ = search(name, toy, 60)
    toy.space.check(samples.codes)
    assert toy.space.is_allowed(samples.codes).all()


@pytest.mark.parametrize("name", ALL)
def test_ask_gives_at_most_n_rows_and_works_without_being_told(toy, name):
    # Two asks in a row without a tell are legal, whatever their sizes.
    agent = make(name, toy, 100, 8)
    for n in (1, 8, 3):
        codes = agent.ask(n)
        assert codes.dtype == np.int64
        assert codes.shape[1] == len(toy.space)
        assert 1 <= len(codes) <= n


@pytest.mark.parametrize("batch", [1, 7])
@pytest.mark.parametrize("name", ALL)
def test_same_seed_same_designs(toy, name, batch):
    first, second = (search(name, toy, 50, batch, seed=3)[0].codes for _ in range(2))
    assert np.array_equal(first, second)


@pytest.mark.parametrize("name", SEEDED)
def test_another_seed_other_designs(hills, name):
    first, second = (search(name, hills, 30, seed=seed)[0].codes for seed in (0, 1))
    assert not np.array_equal(first, second)


@pytest.mark.parametrize("name", ALL)
def test_two_agents_in_one_process_do_not_disturb_each_other(hills, name):
    # Interleaved with a twin of another seed, an agent asks the same as alone: it shares no random stream.
    alone = search(name, hills, 40, 4, seed=1)[0].codes
    one, other = make(name, hills, 40, 4, seed=1), make(name, hills, 40, 4, seed=2)
    asked = []
    for _ in range(10):
        for agent in (one, other):
            codes = agent.ask(4)
            told = hills.evaluate(codes)
            agent.tell(told if track_of(name) == "grey" else told.scalar())
            if agent is one:
                asked.append(codes)
    assert np.array_equal(np.concatenate(asked)[: len(alone)], alone)


@pytest.mark.parametrize("track", ["grey", "scalar"])
@pytest.mark.parametrize("name", ALL)
def test_the_log_of_every_agent_replays(tmp_path, name, track):
    if track == "scalar" and track_of(name) == "grey":
        track = "grey"
    spec = toys.spec(macs=(16, 49), limits=("area<=16",))
    run(spec, name, budget=40, batch=7, seed=5, track=track, config=SMALL.get(name, {}), out=tmp_path / "s")
    n = len(read_trials(tmp_path / "s"))
    assert 1 <= n <= 40
    assert replay(tmp_path / "s", agent=True) == n


@pytest.mark.parametrize("name", ALL)
def test_one_level_parameters(name):
    # Nothing to choose for a, mode and c; and in the second problem nothing at all: exactly one design.
    fixed = {"a": (2,), "mode": ("x",), "c": (0,)}
    samples, _ = search(name, toys.problem(space=fixed), 30)
    assert {row[1] for row in samples.codes.tolist()} == {0, 1, 2, 3, 4}
    single = toys.problem(space={**fixed, "b": (3,)})
    samples, _ = search(name, single, 5)
    assert set(canonical_rows(single, samples.codes)) == {(0, 0, 0, 0)}


@pytest.mark.parametrize(
    "options",
    [{"limits": ("area<=0.5",)}, {"space": {"a": (8,), "b": (5,)}}],
    ids=["beyond a limit", "impossible"],
)
@pytest.mark.parametrize("name", ALL)
def test_a_problem_without_any_feasible_design(name, options):
    # The same number of samples as anywhere: no agent may loop, stop or divide by zero.
    problem = toys.problem(**options)
    distinct = len(all_designs(problem))
    samples, _ = search(name, problem, 40)
    assert not samples.feasible.any()
    if name in WITHOUT_REPETITION and name != "grid":
        assert len(samples) == min(40, distinct)
    assert len(samples) >= 1


@pytest.mark.parametrize("name", ALL)
def test_several_values(name):
    problem = toys.problem(objective="pareto:latency,energy,speed", limits=("area<=16", "area>=2"))
    agent = make(name, problem, 40, 8)
    if track_of(name) == "grey" or agent.n_values == 3:
        assert (agent.n_values, agent.n_constraints) == (3, 3)
    samples, evaluator = search(name, problem, 40)
    assert samples.values.shape == (len(samples), 3)
    assert len(evaluator.front()) >= 1


@pytest.mark.parametrize("told_first", [True, False], ids=["before asking", "after asking"])
@pytest.mark.parametrize("name", ALL)
def test_rows_it_never_asked_for(toy, name, told_first):
    # A warm start: raw designs (dead knobs anywhere), repeated ones, in any order, more than a population.
    strangers = toy.space.sample(60, rng.generator(1, "strangers"))
    strangers = np.concatenate([strangers, strangers[:20]])
    told = toy.evaluate(strangers)
    told = told if track_of(name) == "grey" else told.scalar()
    agent = make(name, toy, 200, 8)
    if not told_first:
        agent.ask(8)
    agent.tell(told)
    agent.tell(told.take(slice(0, 0)))  # nothing at all is legal too
    codes = agent.ask(8)
    assert len(toy.space.check(codes)) <= 8
    if name != "exhaustive":  # these know what was told and do not ask for it again
        assert not set(canonical_rows(toy, codes)) & set(canonical_rows(toy, strangers))


@pytest.mark.parametrize("name", ALL)
def test_a_warm_start_does_not_change_what_was_told(toy, name):
    told = toy.evaluate(toy.space.sample(30, rng.generator(2, "strangers")))
    before = [np.copy(column) for column in (told.codes, told.reward, told.violations, told.feasible)]
    agent = make(name, toy, 100, 8)
    agent.tell(told)
    agent.ask(8)
    after = (told.codes, told.reward, told.violations, told.feasible)
    assert all(a.tobytes() == b.tobytes() for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize("batch", [1, 8, 64])
@pytest.mark.parametrize("name", WITHOUT_REPETITION)
def test_a_small_space_is_exhausted_without_repetition(name, batch):
    # 95 canonical allowed designs (see toys); a budget of 300 covers them, then there is nothing left to ask.
    problem = toys.problem()
    samples, _ = search(name, problem, 300, batch)
    rows = canonical_rows(problem, samples.codes)
    assert len(rows) == len(set(rows)) == toys.N_DISTINCT
    assert set(rows) == set(canonical_rows(problem, all_designs(problem)))


@pytest.mark.parametrize("name", WITHOUT_REPETITION)
def test_designs_that_the_simulator_merges_are_asked_once(name):
    problem = toys.problem("toys:ToyMerge")
    samples, evaluator = search(name, problem, 300)
    assert evaluator.n_unique == evaluator.n_samples == len(all_designs(problem))


@pytest.mark.parametrize("name", ALL)
def test_more_than_64_parameters(name):
    # 2 ** 70 designs; NumPy arrays have at most 64 dimensions.
    space = DesignSpace([Parameter.boolean(f"p{i}") for i in range(70)])
    codes = AGENTS.load(name)(space, budget=20, batch=5).ask(5)
    assert len(space.check(codes)) >= 1


@pytest.mark.parametrize("name", ALL)
def test_a_large_space_without_a_budget(name):
    # 10 ** 20 designs and budget None, which the contract allows: the first designs come at once.
    space = DesignSpace([Parameter.integers(f"p{i}", 0, 9) for i in range(20)])
    codes = AGENTS.load(name)(space).ask(3)
    assert len(space.check(codes)) >= 1


def test_the_default_loop_never_asks_for_more_than_is_left(toy):
    # budget 10, batch 4: 4 + 4 + 2.
    asked = []

    class Noting(AGENTS.load("random")):
        def ask(self, n):
            asked.append(n)
            return super().ask(n)

    evaluator = Evaluator(toy, 10)
    Noting(toy.space, batch=4).run(evaluator)
    assert asked == [4, 4, 2]
    with pytest.raises(BudgetExhausted):
        evaluator(toy.space.sample(1, rng.generator(0, "test")))


# ---- exhaustive ----------------------------------------------------------------------------


@pytest.mark.parametrize("chunk", [1, 7, 65536])
def test_exhaustive_asks_in_lexicographic_order_whatever_the_chunk(toy, chunk):
    agent = make("exhaustive", toy, 200, 9, chunk=chunk)
    parts = []
    while len(codes := agent.ask(9)):
        parts.append(codes)
    assert np.array_equal(np.concatenate(parts), all_designs(toy))
    assert len(agent.ask(9)) == 0


# ---- grid ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("levels", "budget", "expected"),
    [
        (10, 4, [0, 3, 6, 9]),
        (10, 2, [0, 9]),
        (10, 3, [0, 5, 9]),  # 4.5 is rounded up
        (5, 1, [2]),  # one level: the middle
        (4, 1, [1]),
        (5, 5, [0, 1, 2, 3, 4]),
        (5, 50, [0, 1, 2, 3, 4]),
    ],
)
def test_grid_levels_of_one_parameter(levels, budget, expected):
    space = DesignSpace([Parameter.integers("a", 0, levels - 1)])
    agent = AGENTS.load("grid")(space, budget=budget)
    assert agent.ask(100).ravel().tolist() == expected
    assert len(agent.ask(1)) == 0


def test_grid_by_hand():
    # Levels 4, 5, 3, 3 and 20 samples: the coarsest grows first (b, a, mode, c): 2 each, 16 points; 24 would not fit.
    # End to end: a 0 3, b 0 4, mode 0 2, c 0 2. Only mode 1 knows c, so c collapses: 8 points; level 3 of a
    # with level 2 of mode is forbidden: 6 remain.
    agent = make("grid", toys.problem(), 20)
    assert sorted(tuple(row) for row in agent.ask(100).tolist()) == [
        (0, 0, 0, 0),
        (0, 0, 2, 0),
        (0, 4, 0, 0),
        (0, 4, 2, 0),
        (3, 0, 0, 0),
        (3, 4, 0, 0),
    ]


def test_grid_grows_the_parameter_with_the_smallest_share_of_its_levels():
    # Levels 2 and 8, 4 samples: shares 1/2 and 1/8, so b grows to 2, 3, 4 levels; a second level of a would make 8.
    # Four of eight levels end to end are 0, 7/3, 14/3, 7, rounded: 0 2 5 7; one of two is the lower middle.
    space = DesignSpace([Parameter("a", (0, 1)), Parameter.integers("b", 0, 7)])
    codes = AGENTS.load("grid")(space, budget=4).ask(10)
    assert codes.tolist() == [[0, 0], [0, 2], [0, 5], [0, 7]]


@pytest.mark.parametrize("budget", [1, 2, 10, 59, 60, 100, 1000])
def test_grid_fits_its_budget(budget):
    # A full factorial: the distinct levels per parameter multiply to the number of points, at most the budget.
    space = DesignSpace([Parameter.integers("a", 0, 3), Parameter.integers("b", 0, 4), Parameter.integers("c", 0, 5)])
    codes = AGENTS.load("grid")(space, budget=budget).ask(10_000)
    per_parameter = [len(set(column)) for column in codes.T.tolist()]
    assert len(codes) == np.prod(per_parameter) <= budget
    for i, k in enumerate(per_parameter):  # one more level anywhere would not fit
        assert k == space.nvec[i] or len(codes) // k * (k + 1) > budget


# ---- random --------------------------------------------------------------------------------


def test_random_may_repeat_if_told_so():
    # 95 designs, 300 draws with repetition: all 300 are used.
    problem = toys.problem()
    result = run(problem.spec, "random", budget=300, batch=50, config={"distinct": False})
    assert len(result.samples) == 300
    assert result.samples.cached.any()


def test_random_is_uniform_over_canonical_designs_it_has_not_seen(toy):
    # Without repetition every design comes exactly once, so after 95 draws the histogram is flat by construction;
    # the order must not be the lexicographic one.
    samples, _ = search("random", toys.problem(), 95, 95)
    ranks = toy.space.rank(samples.codes)
    assert sorted(ranks) != ranks


# ---- genetic -------------------------------------------------------------------------------


@pytest.mark.parametrize("batch", [1, 10, 50])
def test_genetic_never_repeats(hills, batch):
    samples, evaluator = search("genetic", hills, 400, batch, seed=2)
    assert evaluator.n_unique == evaluator.n_samples == 400


@pytest.mark.parametrize("seed", range(5))
def test_genetic_beats_random(hills, seed):
    # 400 of 1.7 million designs on a smooth valley: selection must find a better one than luck, for every seed.
    best = {name: search(name, hills, 400, 10, seed)[1].best.metrics["latency"][0] for name in ("genetic", "random")}
    assert best["genetic"] < best["random"]


def test_genetic_finds_the_optimum_of_the_valley(hills):
    # latency 1 is the minimum, at Hills.optimum.
    samples, evaluator = search("genetic", hills, 1500, 10, seed=0)
    assert evaluator.best.metrics["latency"][0] == 1.0
    assert tuple(evaluator.best.codes[0].tolist()) == toys.Hills.optimum


def test_genetic_follows_graded_violations_only_on_the_grey_track():
    # Only a=1, b=1, mode x keeps area <= 1.5. Told violations, the search walks towards small areas (violation <= 3
    # is area <= 6); with the constant floor all infeasible designs look alike. 40 samples of 95 designs.
    found = {}
    for track in ("grey", "scalar"):
        result = run(toys.spec(limits=("area<=1.5",)), "genetic", budget=40, batch=4, seed=1, track=track,
                     config={"population": 8})  # fmt: skip
        found[track] = int(np.sum(result.samples.violations[20:, 1] <= 3))
    assert found["grey"] > found["scalar"]


def test_genetic_uses_a_warm_start(hills):
    # Told the neighbourhood of the optimum, the first children already beat everything random founders have.
    optimum = np.array(toys.Hills.optimum)
    near = optimum + np.eye(8, dtype=np.int64) * np.where(optimum < 5, 1, -1)
    agent = make("genetic", hills, 100, 8, population=8)
    agent.tell(hills.evaluate(near))  # latency 2 each
    agent.tell(hills.evaluate(agent.ask(8)))  # the founders
    children = hills.evaluate(np.concatenate([agent.ask(8) for _ in range(4)]))
    founders = hills.evaluate(hills.space.sample(200, rng.generator(0, "test")))
    assert children.metrics["latency"].mean() < founders.metrics["latency"].mean()
