"""The suite: enumeration is exact, its committed results are current, and the agents find the optimum."""

import hashlib
import json
import math
from importlib import resources

import numpy as np
import pytest

import archgym
from archgym.errors import UnknownNameError, UsageError
from archgym.executor import Threads
from archgym.problem import Problem, ProblemSpec
from archgym.suite.build import build
from archgym.suite.entry import TIERS, SuiteProblem, earned_tier
from archgym.suite.facts import FRONT, facts, to_text
from archgym.suite.problems import PROBLEMS, SUITE, VERSION, known, parse_problem, stored_facts, tier

# Over names, specs, tiers and searches of a version. Whoever changes one of these raises VERSION, adds its digest, and
# runs everything again that is quoted.
DIGESTS = {1: "4a54379e4f10e86fa08f2ed1b82f26f01be96370d02e07b609c4b6c9d5f393c9"}

BUILT = [name for name, entry in SUITE.items() if entry.tier != "unrated"]
EXACT = [name for name in BUILT if SUITE[name].search is None]

SMALL = ProblemSpec(
    "systolic",
    ("alexnet",),
    "edp",
    space={
        "rows": (8, 32, 512),
        "cols": (8, 64),
        "ifmap_sram": (2, 64),
        "filter_sram": (2, 64),
        "memory": ("HBM2 1 stack",),
    },
)


def test_build_equals_brute_force():
    """All designs of a small space scored one by one in plain Python: same optimum, shares and front."""
    problem = Problem(SMALL)
    result = build(problem)
    rows = []
    for codes in problem.space.enumerate(1):
        e = problem.evaluate(codes)
        if e.feasible[0]:
            rows.append((float(e.reward[0]), float(e.metrics["energy"][0]), float(e.metrics["latency"][0])))
    best = max(r for r, _, _ in rows)
    assert result["designs"] == problem.space.size == 3 * 2 * 3 * 2 * 2 * 15
    assert 0 < result["feasible"] == len(rows) < result["distinct"]
    assert result["optimum"]["reward"] == best
    assert result["within_5_percent"] == sum(r >= best - math.log(1.05) for r, _, _ in rows) / len(rows)
    dominated = {p for p in set(rows) for q in rows if q[1] <= p[1] and q[2] <= p[2] and q[1:] != p[1:]}
    assert {(p["energy"], p["latency"]) for p in result["front"]} == {p[1:] for p in set(rows) - dominated}


def test_build_does_not_depend_on_the_executor():
    problem = Problem(SMALL)
    workers = Threads(2)
    assert build(problem, executor=workers) == build(problem)
    workers.close()


def test_build_refuses_what_has_no_exact_optimum():
    with pytest.raises(UsageError, match="none of its"):
        build(Problem(ProblemSpec("systolic", ("alexnet",), "edp", space=SMALL.space, limits=("area<=1e-9",))))


def test_a_change_of_the_lists_raises_the_version():
    content = [
        (e.name, e.spec.to_dict(), e.tier, e.satisfice, None if e.search is None else e.search.text)
        for e in SUITE.values()
    ]
    assert hashlib.sha256(json.dumps(content).encode()).hexdigest() == DIGESTS[VERSION]


@pytest.mark.parametrize("name", BUILT)
def test_committed_facts_belong_to_the_code(name):
    """The fingerprint covers simulator version, config, workload content and space: a change demands a rebuild."""
    found, problem = stored_facts(name), Problem(PROBLEMS[name])
    assert found["suite"] == VERSION
    assert found["optimum_kind"] == SUITE[name].optimum
    assert found["fingerprint"] == problem.fingerprint
    assert found["designs"] == problem.space.size
    evaluation = problem.evaluate(np.array([found["optimum"]["codes"]]))
    assert evaluation.feasible[0]
    assert float(evaluation.reward[0]) == pytest.approx(found["optimum"]["reward"], rel=1e-12)
    codes = np.array([point["codes"] for point in found["front"]])
    again = problem.evaluate(codes)  # every committed point of the front is reproduced
    assert again.feasible.all()
    for term in problem.objective.terms:
        stored = [point[term.metric] for point in found["front"]]
        assert again.metrics[term.metric] == pytest.approx(np.array(stored), rel=1e-12)
        corners = {found["ideal"][term.metric], found["nadir"][term.metric]}
        assert corners >= {min(stored), max(stored)} or found["front_size"] > FRONT


@pytest.mark.parametrize("name", BUILT)
def test_facts_are_consistent(name):
    found = stored_facts(name)
    gaps = [math.inf if gap is None else gap for gap in found["random_gaps"].values()]
    success = list(found["random_success"].values())
    assert list(found["random_gaps"]) == list(found["random_success"]) == ["50", "200", "1000"]
    assert gaps == sorted(gaps, reverse=True)  # more samples are never worse
    assert success == sorted(success)
    assert min(gaps) >= 0
    assert 0 <= found["within_1_percent"] <= found["within_5_percent"] <= 1
    assert found["within_1_percent"] <= found["within_1_percent_upper"]
    assert len(found["front"]) == min(found["front_size"], FRONT)
    if SUITE[name].search is None:
        assert found["feasible_share"] == found["feasible"] / found["distinct"]
        assert found["distinct"] <= found["designs"]
        assert found["optimum"]["ties"] <= found["within_1_percent"] * found["feasible"] + 0.5
    else:
        assert found["sampled"] >= 1000
        assert found["method"] == SUITE[name].search.text


def test_facts_are_small_and_belong_to_problems():
    files = [f for f in resources.files("archgym.suite").iterdir() if f.name.endswith(".json")]
    assert {f.name.removesuffix(".json") for f in files} == set(BUILT)
    assert max(len(f.read_bytes()) for f in files) < 200_000


@pytest.mark.parametrize("name", SUITE)
def test_each_tier_follows_from_the_facts(name):
    assert tier(name) in TIERS
    assert tier(name) == earned_tier(SUITE[name], stored_facts(name))


def test_the_suite_is_what_claims_need():
    """At least 8 headline problems with an exact optimum: 2 systolic, 2 DRAM, a mapping, and a set of workloads."""
    assert len(SUITE) >= 20
    exact = [name for name in EXACT if tier(name) == "headline" and not SUITE[name].satisfice]
    count = {kind: sum(name.startswith(kind) for name in exact) for kind in ("systolic", "dram", "mapping")}
    assert len(exact) >= 8
    assert count["systolic"] >= 2
    assert count["dram"] >= 2
    assert count["mapping"] >= 1
    assert any(len(PROBLEMS[name].workloads) == 3 for name in exact)
    assert sum(entry.satisfice for entry in SUITE.values()) >= 2
    sizes = [Problem(PROBLEMS[name]).space.size for name in BUILT]
    assert min(sizes) < 1e4 < 1e15 < max(sizes)
    assert all(tier(name) == "tuning" for name in SUITE if name.startswith(("synthetic", "boom")))
    assert "dummy data, not evidence about BOOM" in SUITE["boom-iccad22-pareto"].note


def test_known_is_for_exact_optima_only():
    assert known("systolic-resnet50-edp-1m")["optimum_kind"] == "exact"
    assert known("mapping-eyeriss-conv2-edp-14p") is None
    assert stored_facts("mapping-eyeriss-conv2-edp-14p")["optimum_kind"] == "best known"
    with pytest.raises(UnknownNameError, match="systolic-resnet50-edp-1m"):
        tier("systolic-resnet50-edp")


def entry_with(**numbers):
    found = {"random_gaps": {"200": 0.2}, "within_1_percent_upper": 1e-4}
    found |= {"random_success": {"200": 0.3}, "feasible_share_upper": 1e-4}
    return {**found, **numbers}


@pytest.mark.parametrize(
    ("numbers", "satisfice", "expected"),
    [
        ({}, False, "headline"),
        ({"random_gaps": {"200": 0.05}}, False, "easy"),  # has to exceed it
        ({"random_gaps": {"200": None}}, False, "headline"),  # most searches find nothing feasible
        ({"within_1_percent_upper": 1e-3}, False, "easy"),
        ({}, True, "headline"),
        ({"random_success": {"200": 0.51}}, True, "easy"),
        ({"feasible_share_upper": 1e-3}, True, "easy"),
        ({"random_gaps": {"200": 0.0}, "within_1_percent_upper": 1.0}, True, "headline"),  # not what counts there
    ],
)
def test_the_rule_of_tiers(numbers, satisfice, expected):
    entry = SuiteProblem("name", SMALL, "easy", satisfice=satisfice)
    assert earned_tier(entry, entry_with(**numbers)) == expected
    assert earned_tier(entry, None) == "unrated"
    assert earned_tier(SuiteProblem("name", SMALL, "tuning"), entry_with(**numbers)) == "tuning"


def test_facts_of_a_small_problem_equal_plain_counting():
    """Satisficing by hand: the share of designs that meet every budget, and what a random search makes of it."""
    limited = ProblemSpec("systolic", ("alexnet",), "edp", space=SMALL.space, limits=("area<=1", "power<=3"))
    found, problem = facts(SuiteProblem("name", limited, "easy", satisfice=True), VERSION), Problem(limited)
    codes = np.concatenate(list(problem.space.enumerate()))
    e = problem.evaluate(codes)
    meets = (e.metrics["area"] <= 1) & (e.metrics["power"] <= 3)
    assert 0 < found["feasible"] == int(meets.sum()) < int((~np.isnan(e.metrics["area"])).sum())
    misses = [math.comb(len(codes) - int(meets.sum()), n) / math.comb(len(codes), n) for n in (50, 200, 1000)]
    shares = list(found["random_success"].values())
    assert shares == pytest.approx([1 - miss for miss in misses], abs=0.05)  # 1001 searches: 0.016 standard error
    value = e.metrics["energy"] * e.metrics["latency"]
    assert found["optimum"]["value"] == value[meets].min()
    assert found["ideal"]["energy"] == e.metrics["energy"][meets].min()
    assert json.loads(to_text(found)) == json.loads(json.dumps(found))


@pytest.mark.slow
@pytest.mark.parametrize("name", EXACT)
def test_committed_optima_by_a_loop_of_our_own(name):
    """Every raw design through ``Simulator.simulate`` itself, without the suite's enumeration, problem or objective."""
    problem, found = Problem(PROBLEMS[name]), stored_facts(name)
    if problem.space.size > 4e6:
        pytest.skip("the whole systolic space: archgym suite build systolic-resnet50-edp-22m")
    terms, limits = problem.objective.terms, problem.objective.limits
    best, near, feasible = math.inf, [], 0
    for start in range(0, problem.space.size, 50_000):
        codes = problem.space.unrank(np.arange(start, min(start + 50_000, problem.space.size)))
        full = np.empty_like(codes)
        for i, (p, q) in enumerate(zip(problem.space.parameters, problem.full_space.parameters, strict=True)):
            full[:, i] = np.array([q.levels.index(level) for level in p.levels])[codes[:, i]]
        parts = [problem.simulator.simulate(full, w) for w in problem.workloads]
        ok = problem.space.is_allowed(codes)
        for part in parts:
            ok &= part["reason"] == 0
            for constraint in problem.simulator.constraints:
                ok &= part[constraint.name] <= 0
        metric = {
            name: np.exp(np.mean([np.log(part[name][ok]) for part in parts], axis=0))
            if len(parts) > 1
            else parts[0][name][ok]
            for name in {t.metric for t in terms} | {limit.metric for limit in limits}
        }
        value = np.prod([metric[t.metric].astype(float) ** t.weight for t in terms], axis=0)
        for limit in limits:
            assert limit.op == "<="
            value = np.where(metric[limit.metric] <= limit.value, value, np.inf)
        own = (problem.space.canonical(codes[ok]) == codes[ok]).all(axis=1)
        feasible += int(np.isfinite(value[own]).sum())
        best = min(best, float(value.min(initial=math.inf)))
        near.append(value[own & (value <= 1.05 * (best + 1e-12))])
    assert best == pytest.approx(found["optimum"]["value"], rel=1e-9)
    assert feasible == found["feasible"]
    near = np.concatenate(near)
    for percent, margin in (("1", 1.01), ("5", 1.05)):
        low, high = (int((near <= best * margin * (1 + off)).sum()) / feasible for off in (-1e-9, 1e-9))
        stored = found[f"within_{percent}_percent"]
        assert low <= stored * (1 + 1e-12)
        assert stored <= high * (1 + 1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("name", EXACT)
def test_committed_facts_are_computed_again(name):
    """Random search's gaps and the front as well. Larger ones: ``archgym suite build NAME``, minutes each."""
    if Problem(PROBLEMS[name]).space.size > 5e5:
        pytest.skip(f"archgym suite build {name}")
    assert json.loads(json.dumps(facts(SUITE[name], VERSION))) == stored_facts(name)


def test_genetic_comes_within_five_percent_in_eight_of_ten_seeds():
    """On the 1e6-design restriction at 1000 samples, against the enumerated optimum."""
    name = "systolic-resnet50-edp-1m"
    top = known(name)["optimum"]["reward"]
    gaps = [top - archgym.run(name, agent="genetic", budget=1000, seed=seed).best["reward"] for seed in range(10)]
    assert sum(gap <= math.log(1.05) for gap in gaps) >= 8, gaps
    assert min(gaps) >= -1e-12, "better than the exact optimum"


@pytest.mark.slow
def test_the_exhaustive_agent_finds_the_enumerated_optimum_as_a_study(tmp_path):
    name = "systolic-mobilenet_v2-edp-100k"
    study = archgym.run(name, agent="exhaustive", budget=200_000, batch=1000, out=tmp_path / "study")
    found = known(name)
    assert len(study.samples) == found["distinct"] == 108_000  # it stops when every design has been seen
    assert study.n_unique == 108_000
    assert study.best["reward"] == found["optimum"]["reward"]
    assert int(study.samples.feasible.sum()) == found["feasible"]
    assert archgym.replay(tmp_path / "study") == 108_000


def test_names_are_parsed_and_suggested():
    assert parse_problem("systolic-resnet50-edp-1m") is PROBLEMS["systolic-resnet50-edp-1m"]
    assert parse_problem("systolic/alexnet/edp").workloads == ("alexnet",)
    assert parse_problem("systolic-resnet50-edp-1m~4").variant == 4
    with pytest.raises(UnknownNameError, match="systolic-resnet50-edp-1m"):
        parse_problem("systolic-resnet50-edp")
    with pytest.raises(UsageError, match="frozen"):
        parse_problem("systolic-resnet50-edp-1m~4", limits=("area<=3",))
