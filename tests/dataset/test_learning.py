"""From data sets to proxies: what may be learnt together, what the scores are of, and the published protocol."""

import numpy as np
import pytest
import toys

import archgym
from archgym.dataset.build import build
from archgym.dataset.collect import collect
from archgym.dataset.learning import fit_proxy, lessons, score
from archgym.dataset.splits import leak_free
from archgym.errors import UnknownNameError, UsageError
from archgym.problem import Problem, ProblemSpec
from archgym.proxies.auto import Auto
from archgym.proxies.inputs import Inputs
from archgym.proxies.model import ProxyModel
from archgym.suite.problems import parse_problem


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "set"
    return collect(Problem("systolic/alexnet/edp"), folder, n=1500, mix="random:0.7,genetic:0.3", batch=50)


def test_what_is_learnt_by_default_is_what_the_objective_needs(dataset):
    known = lessons(dataset)
    assert known.metrics == ("latency", "energy")
    assert known.slacks == dataset.source.constraints
    assert known.features.shape == (len(known), 0)  # one workload
    assert not known.frame.duplicated(["source", "design"]).any()
    problem = Problem(dataset.source.problem)
    np.testing.assert_array_equal(problem.space.canonical(known.codes), known.codes)
    np.testing.assert_array_equal(
        problem.evaluate(known.codes).metrics["energy"], known.frame["metric.energy"].to_numpy()
    )
    assert lessons(dataset, ["energy_*"]).metrics == tuple(n for n in problem.metric_names if n.startswith("energy_"))
    with pytest.raises(UnknownNameError, match="energy"):
        lessons(dataset, ["enrgy"])


def test_scores_are_of_rows_that_nothing_was_learnt_from(dataset):
    model, about = fit_proxy(dataset, kind="lightgbm", seed=1)
    known = lessons(dataset)
    split = leak_free(known.frame, 0.2, seed=1)
    assert about["test_designs"] == split.digest
    assert about["rows"] == {"train": len(split.train), "test": len(split.test)}
    assert not model.knows(known.codes[split.test]).any()
    assert model.knows(known.codes[split.train]).all()
    predicted = model.predict(known.codes[split.test])
    truth = known.frame["metric.latency"].to_numpy()[split.test]
    valid = np.isfinite(truth)
    error = np.abs(predicted.metrics["latency"] / truth - 1)[valid].mean()
    assert about["scores"]["latency"]["mape"] == pytest.approx(error)
    assert error < 0.3
    assert ((predicted.p_valid > 0.5) == valid).mean() > 0.9
    assert score(model, known, split.test) == about["scores"]


def test_one_model_for_several_workloads(tmp_path):
    for name in ("alexnet", "vgg16", "resnet18", "mobilenet_v1"):
        archgym.run(f"systolic/{name}/edp", "random", budget=300, out=tmp_path / "runs" / name)
    dataset = build([tmp_path / "runs"], tmp_path / "set")
    known = lessons(dataset)
    assert known.features.shape[1] == len(known.feature_names) > 3
    model, about = fit_proxy(dataset, kind="lightgbm")
    assert about["scores"]["latency"]["mape"] < 0.6  # some 960 rows; times span four orders of magnitude
    assert len(about["sources"]) == 4
    # the same designs are predicted by workload: VGG-16 takes longer than AlexNet
    codes = known.codes[:50]
    by_name = {s.workload: s for s in dataset.sources.values()}
    times = {}
    for name in ("alexnet", "vgg16"):
        row = [by_name[name].features[n] for n in known.feature_names]
        times[name] = model.predict(codes, np.tile(row, (50, 1))).metrics["latency"]
    assert np.median(times["vgg16"] / times["alexnet"]) > 3


def test_what_cannot_be_learnt_together(tmp_path, dataset):
    for i, options in enumerate(({}, {"sim": {"scale": 2.0}}, {"space": {"a": (2, 4)}})):
        archgym.run(toys.spec(**options), "random", budget=30, out=tmp_path / "runs" / str(i))
    mixed = build([tmp_path / "runs"], tmp_path / "set")
    with pytest.raises(UsageError, match="one simulator, configuration and design space"):
        lessons(mixed)
    one = next(iter(mixed.sources))
    assert len(lessons(mixed.where(source=one))) > 0
    with pytest.raises(UsageError, match="expected rows to learn from"):
        lessons(mixed.where(source="none such"))
    with pytest.raises(UsageError, match="got none"):
        lessons(mixed.where(source=one, agent="genetic"))
    model, _ = fit_proxy(mixed.where(source=one), kind="additive")
    with pytest.raises(UsageError, match="designs of its own space"):
        score(model, lessons(dataset))


# ---- the published protocol ------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(("trace", "most"), [("random", 0.005), ("cloud-1", 0.012)])
def test_the_predecessors_protocol(trace, most):
    """Plain random splits of the memory controllers of its reinforcement learning: 1,560 rows learnt, 4,000 tested.

    ArchGym quotes an RMSE of 0.61 % without its denominator; ours is relative to the mean time. A handful of designs
    that no learnt row resembles decide it, so that five splits lie between 0.34 and 0.59 % on `random` (mean 0.45 %)
    and between 0.36 and 1.46 % on `cloud-1` (0.72 %); what counts is their mean.
    """
    problem = Problem(ProblemSpec("tabular", (trace,), "latency", sim={"table": f"dram-rl-{trace}"}))
    squares, relative = [], []
    for seed in range(5):
        codes = problem.space.canonical(problem.space.sample(5560, np.random.default_rng(seed)))
        y = np.log(problem.evaluate(codes).metrics["latency"])
        x = Inputs.of(codes)
        model = Auto(problem.space).fit(x.take(slice(1560)), y[:1560])
        truth, found = np.exp(y[1560:]), np.exp(model.predict(x.take(slice(1560, None))))
        squares.append(np.sqrt(np.mean((found - truth) ** 2)) / truth.mean())
        relative.append(np.abs(found / truth - 1).mean())
    assert np.mean(squares) < most, squares
    assert np.mean(relative) < 0.002, relative


@pytest.mark.slow
def test_a_hundred_possible_designs():
    """Times of a million systolic arrays after 100 designs that exist: over ten draws the mean relative error is 21 to
    28 %, 24 % in the median (with every level of a categorical parameter equally far from the others 27 %)."""
    problem = Problem(parse_problem("systolic-resnet50-edp-1m"))
    errors = []
    for seed in range(5):
        codes = problem.space.canonical(problem.space.sample(4000, np.random.default_rng(seed)))
        times = problem.evaluate(codes).metrics["latency"]
        codes, y = codes[np.isfinite(times)], np.log(times[np.isfinite(times)])
        x = Inputs.of(codes)
        found = Auto(problem.space).fit(x.take(slice(100)), y[:100]).predict(x.take(slice(100, None)))
        errors.append(np.abs(np.exp(found - y[100:]) - 1).mean())
    assert np.median(errors) < 0.26


@pytest.mark.slow
def test_on_outcomes_that_it_has_not_seen_auto_beats_the_baselines(tmp_path):
    """Leak-free, on one trace of the predecessor: no tested outcome was learnt under any design."""
    problem = Problem(ProblemSpec("tabular", ("random",), "edp", sim={"table": "dram-rl-random"}))
    known = lessons(collect(problem, tmp_path / "set", n=2000, mix="random", batch=100))
    split = leak_free(known.frame, 0.25)
    errors = {}
    for kind in ("auto", "random-forest", "additive", "nearest"):
        model = ProxyModel(known.space, kind).fit(known.table(split.train))
        errors[kind] = {name: found["mape"] for name, found in score(model, known, split.test).items()}
    for name in known.metrics:
        assert errors["auto"][name] <= 1.02 * min(errors[kind][name] for kind in errors)
        assert errors["auto"][name] < 0.02
