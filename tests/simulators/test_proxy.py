"""A learnt model as a simulator: the contract, what it refuses, and what its recommendations are worth."""

import shutil

import gymnasium as gym
import numpy as np
import pytest

import archgym
from archgym.dataset.build import build
from archgym.dataset.collect import collect
from archgym.dataset.learning import fit_proxy
from archgym.dataset.relearning import learnt_lessons, relearn
from archgym.errors import UsageError
from archgym.problem import Problem, ProblemSpec
from archgym.proxied import proxied
from archgym.proxies.model import ProxyModel, Table
from archgym.proxies.store import load_proxy, save_proxy
from archgym.suite.problems import parse_problem
from archgym.testing import check_env, check_proxy
from archgym.verification import verify
from archgym.workload import load_workload

ROWS = (8, 16, 32, 64, 128)
SPACE = {"rows": ROWS, "cols": ROWS, "memory": ("DDR4-2400 x64", "HBM2 1 stack")}
SPEC = ProblemSpec("systolic", ("alexnet",), "edp", space=SPACE)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A proxy of latency and energy, learnt from 1,000 random designs of a part of the space."""
    place = tmp_path_factory.mktemp("proxy")
    data = collect(Problem(SPEC), place / "data", n=1000, mix="random", batch=50)
    save_proxy(place / "model", *fit_proxy(data, kind="lightgbm"))
    return place / "model"


@pytest.fixture(scope="module")
def pair(folder):
    """The problem, and the same through the proxy."""
    return Problem(SPEC), Problem(proxied(SPEC, folder))


def test_the_contract(folder):
    check_proxy(str(folder), load_workload("alexnet"))


def test_the_same_problem_but_for_the_numbers(pair):
    real, proxy = pair
    assert proxy.space.fingerprint == real.space.fingerprint
    assert proxy.constraint_names == real.constraint_names
    assert proxy.metric_names == ("latency", "energy")
    assert proxy.objective == real.objective  # measured against the same, true baseline
    assert proxy.fingerprint != real.fingerprint
    codes = real.space.sample(500, np.random.default_rng(1))
    np.testing.assert_array_equal(proxy.space.canonical(codes), real.space.canonical(codes))
    truth, found = real.evaluate(codes), proxy.evaluate(codes)
    assert (truth.feasible == found.feasible).mean() > 0.95
    both = truth.feasible & found.feasible
    for name in proxy.metric_names:
        assert np.abs(found.metrics[name] / truth.metrics[name] - 1)[both].mean() < 0.2
    assert not (found.violations[found.feasible] > 0).any()
    wrong = np.flatnonzero(~found.feasible)
    assert set(proxy.reasons(found.take(wrong))) == {"expected to be impossible"}


def test_designs_that_are_asked_for_stay_as_they_are(folder):
    """A simulator that merges nothing returns the very array that it is given."""
    problem = Problem(proxied(SPEC, folder))
    codes = problem.simulator.design_space(problem.workloads[0]).sample(50, np.random.default_rng(0))
    before = codes.copy()
    problem.simulator.canonical(codes, problem.workloads[0])
    problem.simulator.original.canonical = lambda codes, workload: codes
    problem.simulator.canonical(codes, problem.workloads[0])
    np.testing.assert_array_equal(codes, before)


def test_what_it_remarks(pair):
    real, proxy = pair
    codes = real.space.sample(400, np.random.default_rng(2))
    remarks, truth = proxy.remarks(codes), real.evaluate(codes)
    inside = (remarks["low.latency"] <= truth.metrics["latency"]) & (
        truth.metrics["latency"] <= remarks["high.latency"]
    )
    assert inside[truth.feasible].mean() > 0.8
    assert (remarks["std.latency"] > 0).all()
    assert remarks["p_feasible"][truth.feasible].mean() > 0.9
    assert remarks["ood"].mean() < 0.05
    baseline = proxy.remarks(proxy.space.encode([proxy.baseline]))
    assert (baseline["std.latency"][0], baseline["p_feasible"][0], baseline["ood"][0]) == (0.0, 1.0, False)
    assert real.remarks(codes) == {}


def test_a_pessimist_expects_worse(folder, pair):
    _, proxy = pair
    cautious = Problem(proxied(SPEC, folder, pessimistic=True))
    codes = proxy.space.sample(300, np.random.default_rng(3))
    usual, worse = proxy.evaluate(codes), cautious.evaluate(codes)
    assert not (worse.feasible & ~usual.feasible).any()
    both = worse.feasible
    assert (worse.metrics["latency"][both] >= usual.metrics["latency"][both]).all()
    far = proxy.remarks(codes)["ood"]
    assert not worse.feasible[far].any()


def test_environments_say_that_they_predict(folder):
    options = {"workload": "alexnet", "space": SPACE, "proxy": str(folder)}
    env = gym.make("archgym/Systolic-v0", **options)
    env.reset(seed=0)
    env.action_space.seed(0)
    info = env.step(env.action_space.sample())[4]
    assert info["fidelity"] == "proxy"
    assert {"p_feasible", "ood", "std.latency", "std.energy", "metric.latency"} < set(info)
    check_env("archgym/Systolic-v0", **options)
    assert "fidelity" not in gym.make("archgym/Systolic-v0").unwrapped.step(env.action_space.sample())[4]


def test_a_study_on_the_proxy_replays(folder, tmp_path):
    summary = archgym.run(proxied(SPEC, folder), "genetic", budget=100, out=tmp_path / "study")
    assert summary.best is not None
    assert archgym.replay(tmp_path / "study", agent=True) == 100


def test_designs_that_it_has_not_learnt_are_outside(folder):
    whole = Problem(ProblemSpec("proxy", ("alexnet",), "edp", sim={"model": str(folder)}))
    codes = whole.space.sample(200, np.random.default_rng(0))
    found = whole.evaluate(codes)
    kept = np.isin(whole.space.decode(codes)["rows"], ROWS) & np.isin(whole.space.decode(codes)["cols"], ROWS)
    kept &= np.isin(whole.space.decode(codes)["memory"], SPACE["memory"])
    assert set(np.array(whole.reasons(found))[~kept]) == {"outside what the proxy has learnt"}
    assert "outside what the proxy has learnt" not in set(np.array(whole.reasons(found))[kept])


def test_what_is_refused(folder, tmp_path):
    with pytest.raises(UsageError, match="learnt workload alexnet, not 'vgg16'"):
        Problem(proxied(ProblemSpec("systolic", ("vgg16",), "edp", space=SPACE), folder))
    with pytest.raises(UsageError, match="proxy of simulator dram, got one of systolic"):
        proxied(ProblemSpec("dram", ("stream",), "edp"), folder)
    with pytest.raises(UsageError, match=r"proxy of sim\.bits=16, got one of sim\.bits=8"):
        proxied(ProblemSpec("systolic", ("alexnet",), "edp", sim={"bits": 16}, space=SPACE), folder)
    with pytest.raises(UsageError, match="knows 5 levels of rows, the problem has others too"):
        proxied(ProblemSpec("systolic", ("alexnet",), "edp"), folder)
    with pytest.raises(UsageError, match="has not learnt it; it has learnt latency, energy"):
        Problem(proxied(ProblemSpec("systolic", ("alexnet",), "edp", space=SPACE, limits=("area<=20",)), folder))
    with pytest.raises(UsageError, match=r"needs sim\.model=DIR"):
        Problem("proxy/alexnet/edp")
    with pytest.raises(UsageError, match="found none; archgym proxy fit makes one"):
        proxied(SPEC, tmp_path / "nowhere")
    changed = tmp_path / "changed"
    shutil.copytree(folder, changed)
    header = (changed / "proxy.json").read_text()
    version = Problem(SPEC).simulator.version
    (changed / "proxy.json").write_text(header.replace(f'"version": "{version}"', '"version": "0"'))
    with pytest.raises(UsageError, match=f"version 0, this is version {version}: fit it again"):
        Problem(proxied(SPEC, changed))


def test_data_of_several_workloads_at_once_stands_for_no_simulator(tmp_path):
    spec = ProblemSpec("systolic", ("alexnet", "vgg16"), "edp", space=SPACE)
    data = collect(Problem(spec), tmp_path / "data", n=100, mix="random", batch=50)
    model, about = fit_proxy(data, kind="additive")
    save_proxy(tmp_path / "model", model, about)
    with pytest.raises(UsageError, match="learnt from several workloads as one"):
        Problem(proxied(spec, tmp_path / "model"))


def test_one_model_of_several_workloads_tells_them_apart(tmp_path):
    names = ("alexnet", "vgg16", "resnet18")
    for name in names:
        archgym.run(ProblemSpec("systolic", (name,), "edp", space=SPACE), "random", budget=300, out=tmp_path / name)
    model, about = fit_proxy(build([tmp_path / name for name in names], tmp_path / "data"), kind="lightgbm")
    save_proxy(tmp_path / "model", model, about)
    for name in names:
        spec = ProblemSpec("systolic", (name,), "edp", space=SPACE)
        real, proxy = Problem(spec), Problem(proxied(spec, tmp_path / "model"))
        assert proxy.baseline_metrics["latency"] == real.baseline_metrics["latency"]
        codes = real.space.sample(200, np.random.default_rng(5))
        ratio = proxy.evaluate(codes).metrics["latency"] / real.evaluate(codes).metrics["latency"]
        assert np.nanmedian(np.abs(np.log(ratio))) < 0.2  # the workloads are a factor of 3 to 30 apart
    other = Problem(proxied(ProblemSpec("systolic", ("googlenet",), "edp", space=SPACE), tmp_path / "model"))
    assert np.isfinite(other.evaluate(codes).metrics["latency"]).any()  # a guess by its features


# ---- verification ----------------------------------------------------------------------------


def test_recommendations_are_simulated(folder):
    found = verify(folder, top=10, random=50, samples=1000)
    real = Problem(SPEC)
    assert found.problem.fingerprint == real.fingerprint
    np.testing.assert_array_equal(found.true.reward, real.evaluate(found.true.codes).reward)
    assert (len(found.true), found.top) == (60, 10)
    assert np.unique(real.space.keys(found.true.codes[:10])).size == 10
    # The reference is the best of the designs that were simulated, hence regret cannot be negative.
    assert not found.exact
    assert 0.0 <= found.verified_regret <= found.regret
    assert found.optimum == found.true.reward.max()
    assert found.true.reward[:10].mean() > np.quantile(found.true.reward[10:], 0.9)
    assert found.scores["random"]["latency"]["mape"] < 0.3


def test_rounds_learn_what_was_simulated(tmp_path):
    """The second round knows the designs of the first, looks elsewhere, and all count for its regret."""
    data = collect(Problem(SPEC), tmp_path / "data", n=200, mix="random", batch=50)
    save_proxy(tmp_path / "model", *fit_proxy(data, kind="additive"))
    before = (tmp_path / "model" / "models.skops").read_bytes()
    steps = []
    found = verify(
        tmp_path / "model",
        top=6,
        random=10,
        samples=200,
        rounds=2,
        dataset=data,
        on_step=lambda done, n: steps.append((done, n)),
    )
    assert found.rounds == (6, 12)
    assert (len(found.true), len(found.predicted)) == (22, 22)
    np.testing.assert_array_equal(found.true.codes, found.predicted.codes)
    assert np.unique(Problem(SPEC).space.keys(found.true.codes[:12])).size == 12
    assert found.regret_by_round[1] <= found.regret_by_round[0] <= found.regret
    assert found.verified_regret == found.regret_by_round[1]
    assert steps == sorted(steps)
    assert {n for _, n in steps} == {400}
    assert steps[-1] == (400, 400)
    assert (tmp_path / "model" / "models.skops").read_bytes() == before  # what was there stays
    once = verify(tmp_path / "model", top=6, random=10, samples=200)
    np.testing.assert_array_equal(once.true.codes[:6], found.true.codes[:6])
    with pytest.raises(UsageError, match="expected the data set"):
        verify(tmp_path / "model", rounds=2)
    other = collect(Problem(ProblemSpec("systolic", ("vgg16",), "edp", space=SPACE)), tmp_path / "other", n=50)
    begun = []
    with pytest.raises(UsageError, match="expected the rows that"):
        verify(tmp_path / "model", rounds=2, dataset=other, on_step=lambda *at: begun.append(at))
    assert not begun  # before any search


@pytest.mark.parametrize("limits", [(), ("area<=20",)])
def test_a_relearnt_proxy_has_learnt_the_new_designs(tmp_path, limits):
    problem = Problem(ProblemSpec("systolic", ("alexnet",), "edp", space=SPACE, limits=limits))
    data = collect(problem, tmp_path / "data", n=100, mix="random", batch=50)
    save_proxy(tmp_path / "model", *fit_proxy(data, kind="nearest"))
    fresh = problem.evaluate(problem.space.sample(60, np.random.default_rng(1)))
    known = learnt_lessons(tmp_path / "model", data, problem)
    relearn(tmp_path / "model", known, problem, fresh, tmp_path / "again")
    model, about = load_proxy(tmp_path / "again")
    there = np.isfinite(fresh.metrics["latency"])
    codes = problem.space.canonical(fresh.codes)
    assert model.knows(codes).all()  # also the impossible ones
    found = model.predict(codes[there])
    for name in model.metric_names:  # the nearest known design is the design itself
        np.testing.assert_allclose(found.metrics[name], fresh.metrics[name][there], rtol=1e-12)
    assert about["sources"] == load_proxy(tmp_path / "model")[1]["sources"]
    assert about["rows"]["train"] > 100  # all rows and the new designs; nothing is left to score it on
    assert about["scores"] == {}
    assert verify(tmp_path / "again", top=3, random=0, samples=100).rounds == (3,)


@pytest.mark.slow
def test_a_headline_problem_is_solved_through_its_proxy(tmp_path):
    """Among a million designs, from 3,000 samples of three agents: what the proxy recommends is within 1 %."""
    spec = parse_problem("systolic-resnet50-edp-1m")
    data = collect(Problem(spec), tmp_path / "data", n=3000, batch=50)
    save_proxy(tmp_path / "model", *fit_proxy(data))
    found = verify(tmp_path / "model")
    assert found.exact
    assert found.verified_regret <= 0.01


def test_a_model_that_has_seen_nothing_possible_says_so(folder, tmp_path):
    """All designs impossible, no metric known: whatever it is asked is impossible, but the baseline, which is true."""
    _, about = load_proxy(folder)
    codes = Problem(SPEC).space.sample(40, np.random.default_rng(0))
    nothing = {"latency": np.full(40, np.nan), "energy": np.full(40, np.nan)}
    model = ProxyModel(Problem(SPEC).space, "additive").fit(Table(codes, nothing, np.zeros(40, np.bool_)))
    save_proxy(tmp_path / "model", model, about)
    problem = Problem(proxied(SPEC, tmp_path / "model"))
    found = problem.evaluate(codes)
    assert not found.feasible.any()
    assert set(problem.reasons(found)) == {"expected to be impossible"}
    assert problem.evaluate(problem.space.encode([problem.baseline])).feasible.all()
    assert verify(tmp_path / "model", SPEC, samples=100, random=10).regret == np.inf
