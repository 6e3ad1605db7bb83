"""Agents around agents: how they are named, and what each does for inner agents whose behaviour is known by hand."""

import json
import re
from dataclasses import dataclass

import numpy as np
import pytest
import toys

from archgym import rng
from archgym.agent import Agent
from archgym.agents.penalty_wrapper import PenaltyWrapper
from archgym.agents.random_search import RandomSearch
from archgym.errors import UnknownNameError, UsageError
from archgym.evaluation import Evaluation
from archgym.evaluator import Evaluator
from archgym.experiments.cli import main
from archgym.experiments.planned_runs import words
from archgym.pareto import front
from archgym.problem import Problem, ProblemSpec
from archgym.processes import check_importable
from archgym.registry import AGENTS, WRAPPERS
from archgym.spec import StudySpec
from archgym.study import load, make_agent, replay, run
from archgym.testing import check_agent
from archgym.wrapper import Wrapper


class Stubborn(Agent):
    """Always proposes the same design, twice if it may, in a form that is not canonical: mode x does not know c."""

    anytime = True
    same = (1, 1, 0, 2)

    def __init__(self, space, config=None, **study):
        super().__init__(space, config, **study)
        self.told = []

    def ask(self, n):
        return np.tile(self.same, (min(n, 2), 1))

    def tell(self, evaluation):
        self.told.append(evaluation)


class Counter(Stubborn):
    """The raw designs in lexicographic order: c = 1 and c = 2 repeat c = 0 wherever mode is not y."""

    def __init__(self, space, config=None, **study):
        super().__init__(space, config, **study)
        self.next = 0

    def ask(self, n):
        self.next += n
        return self.space.unrank(range(self.next - n, self.next))


class Greedy(Stubborn):
    """Believes any number: goes on from the best reward it was told, to the next level of a, and back at the end."""

    def ask(self, n):
        codes = np.concatenate([evaluation.codes for evaluation in self.told]) if self.told else np.zeros((1, 4), int)
        rewards = np.concatenate([e.reward for e in self.told]) if self.told else np.zeros(1)
        best = codes[np.argmax(rewards)].copy()
        best[0] = (best[0] + 1) % 4
        return best[None]


@dataclass(frozen=True)
class _Dedup:
    dedup: int = 0


class Taken(Stubborn):
    """Has a hyperparameter called like a wrapper."""

    Config = _Dedup


class Driving(Stubborn):
    """Runs a loop of its own."""

    def run(self, evaluator):
        evaluator(self.ask(1))


class NeedsMetrics(Stubborn):
    needs = "grey"


def here(cls):
    return f"{__name__}:{cls.__name__}"


def make(name, problem=None, budget=None, batch=1, track="grey", **config):
    problem = toys.problem() if problem is None else problem
    return make_agent(StudySpec(problem.spec, name, config, budget, batch, track, 0), problem)


def search(agent, problem, budget, batch):
    agent.batch = batch
    evaluator = Evaluator(problem, budget)
    agent.run(evaluator)
    return evaluator.history()


# ---- names ---------------------------------------------------------------------------------


def test_a_wrapped_agent_is_what_its_inner_agent_is():
    cls = AGENTS.load("dedup(penalty(random-walk))")
    inner = AGENTS.load("random-walk")
    assert (cls.needs, cls.anytime, cls.search_space) == ("scalar", True, inner.search_space)
    assert AGENTS.load("dedup(annealing)").anytime is False
    assert AGENTS.load(f"dedup({here(NeedsMetrics)})").needs == "grey"
    assert AGENTS.load("dedup(bayesian)").uses_prior
    assert not AGENTS.load("dedup(genetic)").uses_prior
    agent = make("dedup(penalty(random-walk))", moves=2)
    assert type(agent.inner.inner) is inner
    assert agent.inner.inner.config.moves == 2


def test_a_name_always_means_the_same_class():
    # What is compared by class, as resumed studies are by their agent, may not depend on who asked first.
    assert AGENTS.load("dedup(random)") is AGENTS.load("dedup(random)")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("dedup", "'dedup' is no agent but wraps one; expected dedup(AGENT)"),
        ("dedup(randm)", "unknown agent 'randm'; did you mean random"),
        ("dedupe(random)", "unknown wrapper 'dedupe'; did you mean dedup?"),
        ("dedup(random", "agent 'dedup(random': expected NAME or WRAPPER(AGENT)"),
        ("dedup()", "agent 'dedup()': expected NAME or WRAPPER(AGENT)"),
        ("(random)", "agent '(random)': expected NAME or WRAPPER(AGENT)"),
        ("dedup(toys:SPACE)", "dedup: expected an Agent class to wrap"),
        ("toys:SPACE(random)", "'toys:SPACE' is not a Wrapper class"),
        (f"dedup({here(Taken)})", "dedup: the agent inside has a hyperparameter 'dedup' of its own"),
        (f"dedup({here(Driving)})", "dedup: Driving runs a loop of its own"),
        (f"penalty({here(NeedsMetrics)})", "penalty: NeedsMetrics needs the metrics and violations that penalty hides"),
    ],
)
def test_what_cannot_be_wrapped_is_refused(name, message):
    with pytest.raises(UsageError, match=re.escape(message)):
        AGENTS.load(name)


def test_hyperparameters_go_where_they_belong():
    agent = make("dedup(penalty(genetic))", population="8", **{"dedup.again": "2"})
    assert (agent.own.again, agent.inner.inner.config.population) == (2, 8)
    with pytest.raises(UnknownNameError, match=re.escape("agent dedup(genetic): dedup 'agin'; did you mean again?")):
        make("dedup(genetic)", **{"dedup.agin": 1})
    with pytest.raises(UnknownNameError, match=re.escape("option of agent dedup(genetic) 'populatio'")):
        make("dedup(genetic)", populatio=8)
    with pytest.raises(UsageError, match="dedup: expected again from 0, got -1"):
        make("dedup(random)", **{"dedup.again": -1})


def test_one_study_has_one_spelling_of_its_hyperparameters(tmp_path):
    """A TOML plan reads dedup.again as a table in a table; the study must be that of the command line."""
    spec = toys.spec()
    one, other = (
        run(spec, f"dedup({here(Stubborn)})", budget=5, config=config, out=tmp_path / str(i))
        for i, config in enumerate(({"dedup.again": "2"}, {"dedup": {"again": 2}}))
    )
    assert one.spec == other.spec
    assert one.spec.config == {"dedup.again": 2}
    assert load(tmp_path / "0").spec == one.spec
    assert replay(tmp_path / "1", agent=True) == 5


def test_other_distributions_and_users_add_wrappers(monkeypatch):
    class Backwards(Wrapper):
        key = "backwards"

        def ask(self, n):
            return super().ask(n)[::-1]

    for table in ("_targets", "_loaded", "added"):
        monkeypatch.setattr(WRAPPERS, table, dict(getattr(WRAPPERS, table)))
    WRAPPERS.register("backwards", Backwards)
    plain, turned = make("random").ask(5), make("backwards(random)").ask(5)
    assert np.array_equal(turned, plain[::-1])


def test_everything_that_takes_an_agent_takes_a_wrapped_one(tmp_path, capsys):
    """A plan, a sweep, a comparison's list of agents, the listings; folders have names for every file system."""

    def command(*arguments):
        with pytest.raises(SystemExit) as done:
            main(arguments)
        assert done.value.code == 0
        return capsys.readouterr().out

    wrapped = ["dedup(random)", "penalty(dedup(archgym.agents.sobol:Sobol))"]
    (tmp_path / "plan.toml").write_text(
        'problems = ["systolic-alexnet-edp-1k"]\nbudgets = 6\nseeds = 1\n'
        f'agents = ["mine", "{wrapped[1]}"]\n'
        f'[agent.mine]\nagent = "{wrapped[0]}"\nconfig = {{ dedup.again = 2 }}'
    )
    done = command("sweep", str(tmp_path / "plan.toml"), "--out", str(tmp_path / "out"), "--json")
    assert json.loads(done)["done"] == 2
    folders = sorted(path.name for path in (tmp_path / "out").iterdir() if path.is_dir())
    assert [re.fullmatch(r"([\w.+-]+)-s0-[0-9a-f]{16}", name)[1] for name in folders] == [
        "dedup_random",
        "penalty_dedup_Sobol",
    ]
    assert words("--agents", ",".join(wrapped)) == wrapped
    assert "dedup(AGENT), penalty(AGENT)" in command("list", "agents")
    assert json.loads(command("show", "dedup(random)", "--json"))["config"] == {"distinct": True, "dedup.again": 5}


def test_worker_processes_refuse_what_only_this_process_has():
    check_importable(AGENTS, f"dedup({here(Stubborn)})")
    with pytest.raises(UsageError, match="worker processes cannot import it"):
        check_importable(AGENTS, "dedup(__main__:Mine)")


# ---- dedup ---------------------------------------------------------------------------------


def test_dedup_changes_nothing_about_an_agent_that_never_repeats():
    # The inner agent has the study's seed, hence its designs; what dedup draws comes from a stream of its own.
    problem = toys.problem()
    wrapped, plain = (search(make(name, problem), problem, 60, 7) for name in ("dedup(random)", "random"))
    assert np.array_equal(wrapped.codes, plain.codes)


def test_dedup_evaluates_new_designs_as_they_were_proposed():
    assert make(f"dedup({here(Stubborn)})").ask(1).tolist() == [[1, 1, 0, 2]]


def test_a_repeated_design_costs_no_sample_and_is_answered_from_memory():
    problem = toys.problem()
    agent = make(f"dedup({here(Stubborn)})", problem)
    first = problem.evaluate(agent.ask(1))
    agent.tell(first)
    told = agent.inner.told
    found = agent.ask(1)
    assert len(told) == 1 + agent.own.again
    for again in told[1:]:  # the same outcome, under the codes that the agent knows, and marked as known
        assert (again.codes.tolist(), again.cached.tolist()) == ([[1, 1, 0, 2]], [True])
        assert (again.reward[0], again.metric_values.tolist()) == (first.reward[0], first.metric_values.tolist())
    # In the end it is a neighbour of (1, 1, 0, 0): one level of a or b, or another mode.
    near = {(0, 1, 0, 0), (2, 1, 0, 0), (1, 0, 0, 0), (1, 2, 0, 0), (1, 1, 1, 0), (1, 1, 2, 0)}
    assert tuple(found[0].tolist()) in near


def test_without_asking_again_a_repeated_design_becomes_a_neighbour_at_once():
    problem = toys.problem()
    agent = make(f"dedup({here(Stubborn)})", problem, **{"dedup.again": 0})
    agent.tell(problem.evaluate(agent.ask(1)))
    agent.ask(1)
    assert len(agent.inner.told) == 1


def test_no_sample_is_a_duplicate_while_there_are_new_designs():
    problem = toys.problem()
    for batch in (1, 7):
        history = search(make(f"dedup({here(Stubborn)})", problem), problem, 200, batch)
        assert len(history) == toys.N_DISTINCT  # all of the space, then nothing
        assert not history.cached.any()
        assert problem.space.is_allowed(history.codes).all()


def test_asked_again_an_agent_proposes_what_it_would_have_proposed_next():
    """Of 12 raw designs in a row (modes x, x, x, y, y, y, z, z, z of one b, then x of the next) those that repeat cost
    nothing: the first nine samples are the canonical designs in that very order, none of them a neighbour by chance."""
    problem = toys.problem()
    history = search(make(f"dedup({here(Counter)})", problem, **{"dedup.again": 9}), problem, 9, 1)
    expected = [[0, b, mode, c] for b in (0, 1) for mode, c in ((0, 0), (1, 0), (1, 1), (1, 2), (2, 0))]
    assert history.codes.tolist() == expected[:9]


def test_what_it_is_told_before_it_asks_is_known_too():
    problem = toys.problem()
    agent = make(f"dedup({here(Stubborn)})", problem, **{"dedup.again": 1})
    agent.tell(problem.evaluate(np.array([[1, 1, 0, 0]])))
    assert agent.ask(1).tolist() != [[1, 1, 0, 2]]
    assert agent.inner.told[-1].codes.tolist() == [[1, 1, 0, 2]]


def test_a_forbidden_proposal_becomes_an_allowed_one():
    problem = toys.problem()
    agent = make(f"dedup({here(Stubborn)})", problem)
    agent.inner.same = (3, 2, 2, 0)  # a = 8 with mode z
    found = agent.ask(2)
    assert len(found) == 2
    assert problem.space.is_allowed(found).all()


# ---- penalty -------------------------------------------------------------------------------


def outcome(reward, feasible, violations):
    n = len(reward)
    zero = np.zeros(n, np.int64)
    violations = np.array(violations, float).reshape(n, -1)
    return Evaluation(np.zeros((n, 4), np.int64), ("m",), np.ones((n, 1)), np.array(reward, float), np.ones((n, 1)),
                      violations, np.array(feasible), zero, np.zeros(n, bool))  # fmt: skip


def penalised():
    return PenaltyWrapper.around(Stubborn)(toys.SPACE)


def test_infeasible_designs_look_just_worse_than_the_worst_feasible_one():
    agent = penalised()
    agent.tell(outcome([3, -1, -20, -20], [True, True, False, False], [-1, -1, 1, 3]))
    (told,) = agent.inner.told
    # Range 4, so that the penalty starts at 0.4; excess e means violation 1 + e and 0.4 (1 + e / (1 + e)).
    assert told.reward == pytest.approx([3, -1, -1 - 0.4 * 1.5, -1 - 0.4 * 1.75])


def test_the_penalty_is_relative_to_all_samples_so_far():
    agent = penalised()
    agent.tell(outcome([3, -1], [True, True], [-1, -1]))
    agent.tell(outcome([1, 0], [True, True], [-1, -1]))  # neither the best nor the worst
    agent.tell(outcome([-20], [False], [1]))
    assert agent.inner.told[-1].reward == pytest.approx([-1 - 0.4 * 1.5])


def test_before_anything_is_feasible_everything_is_beyond_the_floor_but_graded():
    agent = penalised()
    agent.tell(outcome([-20, -20], [False, False], [1, 3]))
    assert agent.inner.told[-1].reward == pytest.approx([-20 - 0.15, -20 - 0.175])


def test_what_the_inner_agent_sees_has_no_contradictions():
    """All feasible; no metric, value, violation or limit from which something else would follow."""
    problem = toys.problem(objective="pareto:latency,energy", limits=("area<=16",))
    agent = make(f"penalty({here(Stubborn)})", problem)
    assert (agent.n_values, agent.inner.n_values, agent.inner.n_constraints, agent.inner.objective) == (2, 1, 0, None)
    codes = problem.space.sample(30, rng.generator(0, "test"))
    evaluation = problem.evaluate(codes)
    assert 0 < evaluation.feasible.sum() < 30
    agent.tell(evaluation)
    (told,) = agent.inner.told
    assert told.feasible.all()
    assert (told.metrics, told.values.shape, told.violations.shape) == ({}, (30, 0), (30, 0))
    assert told.reward[evaluation.feasible].tolist() == evaluation.reward[evaluation.feasible].tolist()
    assert np.array_equal(told.codes, codes)


def test_a_prior_is_shown_without_constraints_too():
    prior = outcome([3, -1, -20], [True, True, False], [-1, -1, 1])
    seen = PenaltyWrapper.around(Stubborn)(toys.SPACE, prior=prior).inner.prior
    assert seen.feasible.all()
    assert (seen.metrics, seen.violations.shape) == ({}, (3, 0))
    assert seen.reward == pytest.approx([3, -1, -1 - 0.4 * 1.5])


def test_an_agent_that_climbs_the_reward_is_not_misled():
    """Latency 16 / (a b) falls with a, but area a b <= 3 allows a = 1 and 2 only (b = 1). With reward 5 for infeasible
    designs the climber would stay beyond the limit; told the penalty it comes back to a = 2 after every attempt."""
    problem = toys.problem(objective="latency", limits=("area<=3",))
    agent = make(f"penalty({here(Greedy)})", problem)
    start = problem.evaluate(np.array([[0, 0, 0, 0]]))
    misleading = Evaluation.concatenate([start, problem.evaluate(np.array([[2, 0, 0, 0], [3, 0, 0, 0]]))])
    misleading.reward[1:] = 5.0
    agent.tell(misleading)
    assert agent.ask(1).tolist() == [[1, 0, 0, 0]]  # from a = 1 to a = 2; bare, it would go on from a = 4
    bare = Greedy(problem.space)
    bare.tell(misleading)
    assert bare.ask(1).tolist() == [[3, 0, 0, 0]]


# ---- surrogate -----------------------------------------------------------------------------


class Shuffled(Stubborn):
    """All designs in a random order; told nothing that it could use."""

    def ask(self, n):
        if not hasattr(self, "order"):
            self.order = list(np.random.default_rng(0).permutation(toys.SPACE.size))
        taken, self.order = self.order[:n], self.order[n:]
        return toys.SPACE.unrank(taken)


def test_a_model_picks_the_best_of_many_proposals():
    """Latency is 16 / (a b): a sum of logarithms, of which thirty designs tell enough. From 100 proposals, which are
    more than half of the space, it picks designs among the fastest; the agent itself would go on at random."""
    problem = toys.problem(objective="latency")
    agent = make(f"surrogate({here(Shuffled)})", problem, **{"surrogate.random": 0, "surrogate.optimism": 0.0})
    agent.tell(problem.evaluate(agent.ask(30)))
    chosen = problem.evaluate(agent.ask(10))
    everything = problem.evaluate(np.concatenate(list(problem.space.enumerate())))
    good = np.quantile(everything.reward[everything.feasible], 0.75)
    assert (chosen.reward[chosen.feasible] >= good).sum() >= 7
    assert len(np.unique(chosen.codes, axis=0)) == 10


def test_only_samples_are_told_and_the_others_wait():
    problem = toys.problem(objective="latency")
    agent = make(f"surrogate({here(Shuffled)})", problem, **{"surrogate.random": 0})
    for _ in range(4):
        agent.tell(problem.evaluate(agent.ask(5)))
    assert [len(told) for told in agent.inner.told] == [5, 5, 5, 5]
    assert len(agent.inner.order) == toys.SPACE.size - 5 - 5 - 50 - 50  # two asks before there is a model
    history = np.concatenate([told.codes for told in agent.inner.told])
    keys = problem.space.keys(problem.space.canonical(history))
    assert len(np.unique(keys[10:])) == 10  # the model picks nothing twice
    agent.inner.order = []
    assert len(agent.ask(5)) == 5  # from those that wait


def test_a_model_that_ranks_by_chance_has_no_say():
    """Rewards that have nothing to do with the design: after twenty picks the ranks agree by chance alone."""
    problem, random = toys.problem(objective="latency"), np.random.default_rng(0)
    agent = make(f"surrogate({here(Shuffled)})", problem, track="scalar", **{"surrogate.proposals": 3})
    plain = []
    for _ in range(40):
        before = len(agent.inner.order) if hasattr(agent.inner, "order") else toys.SPACE.size
        codes = agent.ask(1)
        plain.append(before - len(agent.inner.order) == 1)
        told = problem.evaluate(codes).scalar()
        told.reward[:] = random.normal(size=1)
        told.feasible[:] = True
        agent.tell(told)
        if not agent.inner.order:
            break
    assert all(plain[:10])  # no model yet
    assert not any(plain[10:30])  # no record yet
    assert sum(plain[30:]) >= 5


def test_a_trade_off_is_searched_in_many_directions():
    problem = Problem(ProblemSpec("systolic", ("alexnet",), "pareto:latency,area"))
    found = {name: search(make(name, problem, 80, 4), problem, 80, 4) for name in ("genetic", "surrogate(genetic)")}
    sizes = {name: len(front(np.where(h.feasible[:, None], h.values, np.nan))) for name, h in found.items()}
    assert sizes["surrogate(genetic)"] > sizes["genetic"]


def test_wrong_hyperparameters_of_surrogate():
    for name, value in (("proposals", 0), ("initial", 0), ("optimism", -1.0), ("trust", 2.0), ("rows", 5)):
        with pytest.raises(UsageError, match="surrogate: expected proposals and initial from 1"):
            make("surrogate(genetic)", **{f"surrogate.{name}": value})


# ---- the contract --------------------------------------------------------------------------


@pytest.mark.parametrize("inner", ["random-walk", "annealing", "cmaes"])
@pytest.mark.parametrize("wrapper", ["dedup", "penalty", "surrogate"])
def test_wrapped_agents_keep_the_contract(wrapper, inner):
    check_agent(f"{wrapper}({inner})")


@pytest.mark.parametrize("name", ["dedup(penalty(random-walk))", "penalty(dedup(annealing))"])
def test_wrapped_agents_run_and_replay_on_the_grey_track(name, tmp_path):
    study = run(toys.spec(limits=("area<=16",)), name, budget=40, batch=7, out=tmp_path / "study")
    assert len(study.samples) == 40
    assert study.n_unique == 40
    assert replay(tmp_path / "study", agent=True) == 40


def test_wrapped_random_search_knows_every_design_of_a_small_space():
    # distinct=False draws with repetition; wrapped it is random search without.
    problem = toys.problem()
    config = {"distinct": False}
    history = search(make("dedup(random)", problem, **config), problem, 95, 5)
    assert type(make("dedup(random)", problem, **config).inner) is RandomSearch
    assert not history.cached.any()
