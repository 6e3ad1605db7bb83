"""Priors: what is chosen among other logs, what agents make of it, and that a study stands without those logs."""

import json
import math
import shutil
from typing import Any, ClassVar

import numpy as np
import pytest
import toys
from threadpoolctl import threadpool_limits

import archgym
from archgym import rng
from archgym.agent import Agent
from archgym.agents.prior_mean import PriorMean
from archgym.agents.surrogate import Surrogate
from archgym.errors import LogError, UsageError
from archgym.experiments.cli import main
from archgym.log import PRIOR, SPEC, TRIALS
from archgym.prior import choose_prior, distance
from archgym.spec import StudySpec
from archgym.study import gather_prior, make_agent, prepare, replay, run
from archgym.study import load as read


@pytest.fixture(autouse=True)
def _one_thread():
    """As studies run; small matrices are slower on many."""
    with threadpool_limits(1):
        yield


def log(folder, budget=60, agent="random", seed=0, **options):
    """A study of a toy; ``macs`` is its workload."""
    return run(toys.spec(**options), agent, budget=budget, batch=10, seed=seed, out=folder)


def all_of(problem):
    return problem.evaluate(next(problem.space.enumerate(1000)))


# ---- what a surrogate makes of it ----------------------------------------------------------


def surrogates(prior, problem, told):
    """Fitted to the same rows with and without the prior."""
    with_prior, without = (Surrogate(problem.space, problem.objective) for _ in range(2))
    with_prior.believe(prior, np.arange(len(prior)))
    for surrogate in (with_prior, without):
        surrogate.fit(told, np.arange(len(told)), iterations=8)
    return with_prior, without


def test_two_observations_are_enough_where_a_workload_only_shifts():
    """Latency and energy of the toy are proportional to the MACs: every logarithm is the prior's plus ln(1000/16)."""
    problem = toys.problem("toys:ToyFree", macs=(1000,))
    prior = all_of(toys.problem("toys:ToyFree", macs=(16,)))
    truth = all_of(problem)
    ok = np.flatnonzero(truth.feasible)
    told = truth.take(ok[[0, -1]])
    errors = []
    for surrogate in surrogates(prior, problem, told):
        mean, _ = surrogate.belief(truth.codes[ok]).reward()
        errors.append(np.abs(mean - surrogate.rewards(truth)[ok]).max())
    assert errors[0] < 0.03 < 0.5 < errors[1]  # the rest is what the prior's own model misses of its own rows


def explained(prior, codes, y, n):
    """Slope after the first ``n`` observations."""
    prior.explain(codes[:n], np.arange(n), y[:n])
    return prior.slope


def test_a_prior_that_observations_contradict_fades_out():
    """Sixty latencies of other designs, at random, explain nothing; the right ones, and a constant, everything."""
    problem = toys.problem("toys:ToyFree")
    truth = all_of(problem)
    truth = truth.take(rng.generator(0, "order").permutation(np.flatnonzero(truth.feasible)))
    y = np.log(truth.metrics["latency"])
    lattice = Surrogate(problem.space, problem.objective).lattice
    mixed = rng.generator(1, "mixed").permutation(y)
    unrelated, related = (PriorMean(lattice, truth.codes, column) for column in (mixed, y))
    assert explained(related, truth.codes, y + 4.2, 2) > 0.9
    assert explained(related, truth.codes, y + 4.2, 60) == pytest.approx(1.0, abs=0.01)
    assert explained(unrelated, truth.codes, y, 1) > 0.5  # nothing is known of it yet
    assert abs(explained(unrelated, truth.codes, y, 60)) < 0.15
    # Believed no longer: what is left over is as wide as the observations themselves.
    assert unrelated.rest == pytest.approx(y[:60].std(), rel=0.1)


def test_a_slope_is_found_where_the_workload_also_bends():
    """y = 0.7 m0 + noise of a tenth of its spread: 0.7 within four standard errors, 0.1/sqrt(200), and shrunk to 1."""
    space = toys.HILLS
    codes = space.sample(200, rng.generator(1, "slope"))
    total = codes.sum(axis=1).astype(float)
    prior = PriorMean(Surrogate(space, None).lattice, codes, total)
    m = prior.mean(codes)
    y = 0.7 * m + 0.1 * m.std() * rng.generator(2, "slope").standard_normal(200)
    left = prior.explain(codes, np.arange(200), y)
    assert prior.slope == pytest.approx(0.7, abs=0.03)
    assert left == pytest.approx(y - prior.slope * m, abs=1e-9)
    assert prior.rest == pytest.approx(0.1 * m.std(), rel=0.2)


def test_what_was_told_before_is_not_predicted_again(monkeypatch):
    space = toys.HILLS
    codes = space.sample(40, rng.generator(1, "rows"))
    prior = PriorMean(Surrogate(space, None).lattice, codes, codes.sum(axis=1).astype(float))
    sizes, mean = [], prior._process.mean
    monkeypatch.setattr(prior._process, "mean", lambda part: sizes.append(len(part)) or mean(part))
    for n in (10, 15, 40):
        prior.explain(codes[:n], np.arange(n), codes[:n].sum(axis=1).astype(float))
    assert sizes == [10, 5, 25]


def test_a_limit_that_only_the_prior_has_broken_is_modelled_from_the_start():
    problem = toys.problem("toys:ToyFree", limits=("area<=16",))
    prior = all_of(problem)
    inside = prior.take(np.flatnonzero(prior.feasible)[:5])
    with_prior, without = surrogates(prior, problem, inside)
    outside = prior.codes[prior.metrics["area"] > 30]
    assert with_prior.belief(outside).log_feasible(len(outside)).max() < math.log(0.05)
    assert without.belief(outside).log_feasible(len(outside)).max() == 0.0


# ---- what an agent makes of it -------------------------------------------------------------


@pytest.mark.parametrize("track", ["grey", "scalar"])
@pytest.mark.parametrize("name", ["bayesian", "auto"])
def test_what_is_best_in_the_prior_comes_first(name, track, tmp_path):
    """The toy's best design is the same for every number of MACs, and the log holds it."""
    source = log(tmp_path / "a", macs=(1000,), agent="genetic")
    problem = toys.problem(macs=(16,))
    best = all_of(problem).reward.max()
    found = run(problem.spec, name, budget=5, batch=5, track=track, prior=[tmp_path / "a"])
    assert source.best["reward"] == pytest.approx(best)
    assert found.best["reward"] == pytest.approx(best)


class Recorder(Agent):
    """Random search that keeps what it was given."""

    uses_prior = True
    made: ClassVar[list[Any]] = []

    def __init__(self, space, config=None, **study):
        super().__init__(space, config, **study)
        self.told = []
        Recorder.made.append(self)

    def ask(self, n):
        return self.space.canonical(self.space.sample(n, self.rng))

    def tell(self, evaluation):
        self.told.append(evaluation)


RECORDER = f"{__name__}:Recorder"


@pytest.mark.parametrize("track", ["grey", "scalar"])
def test_agents_are_shown_of_a_prior_what_their_track_shows(track, tmp_path):
    log(tmp_path / "near", macs=(20,))
    log(tmp_path / "same", macs=(16,), seed=1)
    run(toys.spec(), RECORDER, budget=3, batch=3, track=track, prior=[tmp_path / "near", tmp_path / "same"])
    agent = Recorder.made.pop()
    assert (len(agent.prior), len(agent.told[0]), len(agent.told[1])) == (60, 60, 3)
    names = () if track == "scalar" else tuple(m.name for m in toys.METRICS)
    for rows in (agent.prior, agent.told[0]):
        assert rows.metric_names == names
        assert rows.violations.shape[1] == rows.values.shape[1] == (track == "grey")
        assert np.isfinite(rows.reward).all()


def test_designs_that_were_told_before_are_no_founders():
    """The best of the prior is known already: what should be nearly as good comes first."""
    problem = toys.problem()
    prior = all_of(toys.problem(macs=(20,)))
    agent = make_agent(StudySpec(problem.spec, "bayesian"), problem, prior)
    best = prior.take(np.argsort(-prior.reward, kind="stable")[:3])
    agent.tell(problem.evaluate(best.codes))
    keys = problem.space.keys
    promised = agent._learn(prior)
    assert len(promised) > 0
    assert not set(keys(promised).tolist()) & set(keys(best.codes).tolist())
    everything = make_agent(StudySpec(problem.spec, "bayesian"), problem, prior)
    everything.tell(all_of(problem))
    assert len(everything._learn(prior)) == 0


def test_auto_passes_it_to_bayesian_alone():
    problem = toys.problem("toys:Hills")
    rows = problem.evaluate(problem.space.sample(20, rng.generator(0, "rows")))
    agent = make_agent(StudySpec(problem.spec, "auto"), problem, rows)
    given = {type(m.agent).__name__: m.agent.prior for m in agent._members}
    assert given.pop("Bayesian") is rows
    assert set(given.values()) == {None}
    assert len(given) == 3


# ---- which logs are used, and how ----------------------------------------------------------


def test_the_nearest_workload_is_the_prior_and_the_earlier_of_two_equals(tmp_path):
    """Of 2, 20 and 900 MACs the second is nearest to 16 by every feature, all of which grow with the MACs."""
    sources = [log(tmp_path / str(m), macs=(m,)) for m in (900, 20, 2)]
    problem = toys.problem(macs=(16,))
    apart = [distance(s.problem, problem) for s in sources]
    assert apart[1] < apart[2] < apart[0]
    chosen = json.loads(choose_prior(sources, problem).text)["sources"]
    assert [(s["label"], s["rows"], s["use"]) for s in chosen] == [("toys:Toy/w20/edp", 60, "believed")]
    # Lower fidelity of the same workload: distance 0; two of them are equally near.
    low = [log(tmp_path / f"low{k}", budget=10 * k, sim={"scale": 1.0 + k}) for k in (2, 1)]
    assert [distance(s.problem, problem) for s in low] == [0.0, 0.0]
    assert len(choose_prior([*sources, *low], problem).believed) == 20


def test_log1p_of_a_feature_is_what_is_compared():
    """A network of one layer has log10(MACs) among its features; here all logarithms are those of one number."""
    a, b = (toys.problem(macs=(m,)) for m in (10, 1000))
    one, other = (p.workloads[0].features() for p in (a, b))
    by_hand = [abs(math.copysign(math.log1p(abs(one[k])), one[k]) - math.copysign(math.log1p(abs(other[k])), other[k]))
               for k in one]  # fmt: skip
    assert distance(a, b) == pytest.approx(sum(by_hand) / len(by_hand))
    assert one["log10_macs"] == 1.0
    assert math.log(4.0) - math.log(2.0) in by_hand  # log1p(3) - log1p(1)


def test_rows_of_the_very_problem_are_told_under_the_objective_at_hand(tmp_path):
    source = log(tmp_path / "latency", objective="latency", limits=("area<=30",))
    problem = toys.problem(objective="edp", limits=("area<=16",))
    found = choose_prior([source], problem)
    truth = problem.evaluate(source.samples.codes)
    assert found.believed is None
    for name in ("metric_values", "reward", "values", "violations", "feasible", "reason"):
        assert getattr(found.told, name).tobytes() == getattr(truth, name).tobytes(), name
    assert len(set(truth.feasible)) == len(set((truth.violations > 0)[:, 0])) == 2  # of both kinds


def test_a_warm_start_costs_no_budget_and_is_not_asked_again(tmp_path):
    source = log(tmp_path / "a", budget=40)
    found = run(toys.spec(), "genetic", budget=20, batch=10, prior=[tmp_path / "a"])
    keys = found.problem.space.keys
    canonical = found.problem.space.canonical
    assert len(found.samples) == 20
    old, new = (set(keys(canonical(s.samples.codes)).tolist()) for s in (source, found))
    assert not old & new


def test_a_prior_of_another_simulator_counts_where_the_space_is_the_same(tmp_path):
    """Its constraint has a name that the problem's has too; what it cannot tell is NaN, and impossible stays so."""
    source = log(tmp_path / "a", simulator="toys:ToyFree")
    rows = choose_prior([source], toys.problem()).believed
    assert rows.violations.shape == (60, 1)
    assert np.isnan(rows.violations).all()
    assert rows.feasible.tolist() == source.samples.feasible.tolist()
    assert 0 < rows.feasible.sum() < 60


# ---- the study stands by itself ------------------------------------------------------------


@pytest.mark.parametrize("kind", ["told", "believed"])
def test_a_killed_study_goes_on_without_the_other_logs(kind, tmp_path):
    log(tmp_path / "old", macs=(16 if kind == "told" else 20,))
    options = {"budget": 12, "batch": 4, "prior": [tmp_path / "old"]}
    run(toys.spec(), "bayesian", out=tmp_path / "whole", **options)
    shutil.copytree(tmp_path / "whole", tmp_path / "killed")
    shutil.rmtree(tmp_path / "old")
    rows = (tmp_path / "whole" / TRIALS).read_bytes().splitlines(keepends=True)
    (tmp_path / "killed" / TRIALS).write_bytes(b"".join(rows[:6]) + rows[6][:9])
    run(toys.spec(), "bayesian", out=tmp_path / "killed", **options)
    for name in (SPEC, PRIOR, TRIALS):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert replay(tmp_path / "whole", agent=True) == 12
    whole = read(tmp_path / "whole")
    assert len(run(whole.spec, out=tmp_path / "whole").samples) == 12  # the spec alone finds it too


def test_the_agent_of_a_study_without_its_prior_would_ask_for_other_designs(tmp_path):
    log(tmp_path / "old", macs=(20,))
    run(toys.spec(), "bayesian", budget=8, batch=4, out=tmp_path / "new", prior=[tmp_path / "old"])
    (tmp_path / "new" / PRIOR).write_bytes(b"{}")
    with pytest.raises(LogError, match=r"prior\.json was altered: the study began with \w{8}"):
        replay(tmp_path / "new", agent=True)
    (tmp_path / "new" / PRIOR).unlink()
    with pytest.raises(UsageError, match="holds it; give its logs"):
        replay(tmp_path / "new", agent=True)
    assert replay(tmp_path / "new") == 8


def test_a_study_goes_on_as_another_with_what_it_knew(tmp_path):
    log(tmp_path / "old", macs=(20,))
    run(toys.spec(), "bayesian", budget=8, batch=4, out=tmp_path / "new", prior=[tmp_path / "old"])
    rows = (tmp_path / "new" / TRIALS).read_bytes().splitlines(keepends=True)
    (tmp_path / "new" / TRIALS).write_bytes(b"".join(rows[:4]))
    went_on = archgym.continue_study(tmp_path / "new", tmp_path / "newer")
    assert len(went_on.samples) == 4
    assert (tmp_path / "newer" / PRIOR).read_bytes() == (tmp_path / "new" / PRIOR).read_bytes()


def test_a_folder_keeps_to_the_prior_it_began_with(tmp_path):
    for m in (20, 900):
        log(tmp_path / str(m), macs=(m,))
    run(toys.spec(), "bayesian", budget=4, batch=4, out=tmp_path / "new", prior=[tmp_path / "20"])
    for other, text in (([tmp_path / "900"], r"prior \w{8}; this one is .*, prior \w{8}\)"), ([], "prior none")):
        with pytest.raises(LogError, match=f"holds another study .*{text}"):
            run(toys.spec(), "bayesian", budget=4, batch=4, out=tmp_path / "new", prior=other)


def test_a_study_killed_before_its_header_can_begin_again(tmp_path):
    log(tmp_path / "old", macs=(20,))
    folder = tmp_path / "new"
    run(toys.spec(), "bayesian", budget=4, batch=4, out=folder, prior=[tmp_path / "old"])
    for name in (SPEC, TRIALS, "timing.jsonl"):
        (folder / name).unlink()
    (folder / "prior.part").write_bytes(b"half")
    again = run(toys.spec(), "bayesian", budget=4, batch=4, out=folder, prior=[tmp_path / "old"])
    assert len(again.samples) == 4


def test_only_a_prior_changes_what_a_study_is():
    """A spec without one is written as before there were any."""
    problem = toys.problem()
    plain = StudySpec(problem.spec, "bayesian", {"initial": 5})
    having = StudySpec(problem.spec, "bayesian", {"initial": 5}, prior="f" * 64)
    assert "prior" not in json.dumps(plain.header(problem))
    assert plain.hash(problem) != having.hash(problem)
    assert StudySpec.from_dict(having.to_dict()) == having
    assert (plain.agent_label, having.agent_label) == ("bayesian (initial=5)", "bayesian (initial=5, prior)")


# ---- what is refused -----------------------------------------------------------------------


def refused(prior, text, problem=None, agent="bayesian", out=None):
    spec, ready = prepare(StudySpec(problem or toys.spec(), agent))
    with pytest.raises(UsageError, match=text):
        gather_prior(spec, ready, prior, out)


def test_another_space_is_named(tmp_path):
    log(tmp_path / "a", space={"b": (1, 2, 3)})
    refused([tmp_path / "a"], r"expected the design space of toys:Toy/w16/edp \(180 designs\), got .* 108; .* in b")


def test_an_empty_log_is_refused(tmp_path):
    log(tmp_path / "a")
    (tmp_path / "a" / TRIALS).write_bytes(b"")
    refused([tmp_path / "a"], "expected a log with rows, got an empty one")


def test_a_missing_metric_is_named(tmp_path):
    """Metrics of single workloads exist where there are several."""
    log(tmp_path / "a", macs=(16,))
    problem = toys.spec(macs=(16, 20), limits=("latency@w20<=9",))
    refused([tmp_path / "a"], r"got none of latency@w20; it holds latency, energy", problem)


def test_an_agent_without_use_for_a_prior_is_told_true_numbers_only(tmp_path):
    log(tmp_path / "same")
    log(tmp_path / "other", macs=(20,))
    refused(
        [tmp_path / "same", tmp_path / "other"], "agent random expected logs of toys:Toy/w16/edp itself", None, "random"
    )
    spec, ready = prepare(StudySpec(toys.spec(), "random"))
    assert len(gather_prior(spec, ready, [tmp_path / "same"])[1].told) == 60


def test_a_folder_that_is_no_study_is_refused(tmp_path):
    spec, ready = prepare(StudySpec(toys.spec(), "bayesian"))
    with pytest.raises(LogError, match="is no study folder"):
        gather_prior(spec, ready, [tmp_path], tmp_path / "out")


def call(*arguments, status=0):
    with pytest.raises(SystemExit) as caught:
        main(list(arguments))
    assert caught.value.code == status


def test_the_command_line(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    small = ("--budget", "12", "--batch", "4", "--set", "space.rows=8,16,32,64")
    command = ("run", "systolic/resnet18/edp", "--agent", "auto", "--prior", "old", *small)
    run("systolic/alexnet/edp", "random", budget=12, out="old", space={"rows": "8,16,32,64"})
    call(*command, "--out", "new")
    first = (tmp_path / "new" / TRIALS).read_bytes()
    shutil.rmtree(tmp_path / "old")
    call(*command, "--out", "new")
    assert (tmp_path / "new" / TRIALS).read_bytes() == first
    call("replay", "new", "--agent")
    assert "12 rows agree, and the agent asks for them again" in capsys.readouterr().out
    call(*command, "--out", "newer", status=2)
    assert "old is no study folder" in capsys.readouterr().err
