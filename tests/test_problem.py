"""Problems over toy simulators: specs, restriction, aggregation, feasibility, fingerprints, the simulator contract.

Numbers follow from ``toys.numbers``: latency = macs (1 + c/4 in mode y) / (a b), energy = macs a (1 + mode),
area = a b + 2 mode, speed = a b; the baseline is a=2, b=2, mode=x.
"""

import itertools
import json
import math
from dataclasses import dataclass

import numpy as np
import pytest
import toys
from hypothesis import given, settings
from hypothesis import strategies as st

from archgym import config as configs
from archgym.errors import ArchGymError, UnknownNameError, UsageError
from archgym.metrics import Constraint, Metric
from archgym.problem import Problem, ProblemSpec
from archgym.simulator import Simulator
from archgym.space import DesignSpace, Parameter


def design(p, **levels):
    """The codes (1, d) of the baseline with some levels changed."""
    return p.space.encode([{**p.baseline, **levels}])


def everything(space):
    return np.array(list(itertools.product(*(range(int(n)) for n in space.nvec))), np.int64)


def same_bits(a, b):
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


# ---- toys with one special property each -------------------------------------------------


class ToyChip(toys.Toy):
    """The same limit, but per design: room.limit = 2 a, so slack/limit = (a b - 32)/(2 a)."""

    constraints = (Constraint("room", "lanes"),)

    def _simulate(self, designs, workload, seeds):
        out = super()._simulate(designs, workload, seeds)
        return {**out, "room.limit": 2.0 * designs["a"]}


class ToyZeroLimit(toys.Toy):
    """Counts deadlocks, of which none is allowed: the limit is 0."""

    constraints = (Constraint("room", "deadlocks", limit=0.0),)

    def _simulate(self, designs, workload, seeds):
        out = super()._simulate(designs, workload, seeds)
        return {**out, "room": 1.0 * (designs["b"] == 5)}


class ToySilent(toys.Toy):
    """Forgets to say that b = 5 is impossible: latency is NaN, without reason or slack."""

    def _simulate(self, designs, workload, seeds):
        out = super()._simulate(designs, workload, seeds)
        return {**out, "latency": np.where(designs["b"] == 5, np.nan, out["latency"]), "reason": 0 * designs["b"]}


class ToyBadBaseline(toys.Toy):
    def baseline(self, workload):
        return {"a": 8, "b": 5, "mode": "x", "c": 0}  # 40 lanes, 32 exist


class ToyThinBaseline(toys.Toy):
    def baseline(self, workload):
        return {"a": 1, "b": 5, "mode": "x", "c": 0}  # "too thin"


class ToyPerWorkload(toys.Toy):
    """Its space depends on the workload: b counts 1..5 for small ones, 11..15 for large ones."""

    def design_space(self, workload):
        low = 1 if workload.macs < 100 else 11
        return DesignSpace([toys.A, Parameter.integers("b", low, low + 4), toys.MODE, toys.C])


class ToyForgetful(toys.ToyOne):
    """Names a reason only where there is one, like the docstring of ``reasons`` invites to."""

    def _simulate_one(self, design, workload, seed):
        out = dict(super()._simulate_one(design, workload, seed))
        if out["reason"] == 0:
            del out["reason"]
        return out


class ToyMergeSmall(toys.ToyMerge):
    """Proved for small workloads only: large ones merge nothing."""

    def canonical(self, codes, workload):
        return super().canonical(codes, workload) if workload.macs < 32 else codes


class ToyModes(toys.Toy):
    """Mode y with c = 0 behaves like mode x: energy and area do not see y, latency sees c only. x represents."""

    def design_space(self, workload):
        return toys.FREE

    def canonical(self, codes, workload):
        out = codes.copy()
        out[(codes[:, 2] == 1) & (codes[:, 3] == 0), 2] = 0
        return out

    def _simulate(self, designs, workload, seeds):
        out = super()._simulate(designs, workload, seeds)
        hidden = super()._simulate(
            {**designs, "mode": np.where(designs["mode"] == 1, 0, designs["mode"])}, workload, seeds
        )
        return {**out, "energy": hidden["energy"], "area": hidden["area"]}


@dataclass(frozen=True)
class OtherWorkload:
    kind = "trace"
    name = "t"
    fingerprint = "0" * 64


# ---- specs -------------------------------------------------------------------------------

SPECS = [
    toys.spec(),
    toys.spec(macs=(16, 64), aggregate="weighted", weights=(1.0, 3.0)),
    toys.spec(sim={"scale": 2.0, "tag": "other"}, space={"a": (4, 1), "mode": ("y", "x")}, limits=("area<=20",)),
    ProblemSpec("systolic", ("resnet18", "alexnet"), "pareto:latency,energy", aggregate="worst"),
]


@pytest.mark.parametrize("spec", SPECS, ids=lambda s: s.label)
def test_spec_json_round_trip(spec):
    again = ProblemSpec.from_dict(json.loads(json.dumps(spec.to_dict())))
    assert again == spec
    assert Problem(again).fingerprint == Problem(spec).fingerprint
    assert again.to_dict() == spec.to_dict()


def test_one_level_may_be_given_as_plain_text():
    # restrict() reads a bare text as one level; the spec must survive JSON with the same meaning.
    spec = toys.spec(space={"mode": "y"})
    p, again = Problem(spec), Problem(ProblemSpec.from_dict(json.loads(json.dumps(spec.to_dict()))))
    assert p.space["mode"].levels == again.space["mode"].levels == ("y",)
    assert p.fingerprint == again.fingerprint


def test_spec_parses_from_text():
    spec = ProblemSpec.parse("systolic/resnet50+bert-base/edp", limits=("area<=20",))
    assert spec == ProblemSpec("systolic", ("resnet50", "bert-base"), "edp", limits=("area<=20",))
    assert spec.label == "systolic/resnet50+bert-base/edp"


@pytest.mark.parametrize("text", ["systolic", "systolic/edp", "/resnet50/edp", "systolic//edp", "systolic/resnet50/"])
def test_malformed_problem_text(text):
    with pytest.raises(UsageError, match="expected simulator/workload/objective, such as systolic/resnet50/edp"):
        ProblemSpec.parse(text)


def test_a_workload_file_becomes_content(tmp_path):
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(toys.network(16).to_dict()))
    spec = ProblemSpec.parse("toys:Toy/edp", workload=str(path))
    assert spec.workloads == (toys.network(16).to_dict(),)
    path.unlink()  # the spec means the same without the file
    assert Problem(spec).fingerprint == toys.problem().fingerprint


# ---- restriction and lift ----------------------------------------------------------------


def test_restriction_lifts_to_the_same_designs():
    # Whatever the restricted space calls 0, 1, ..., decoding both sides gives the same level values.
    p = toys.problem(space={"a": (8, 2), "mode": ("z", "y"), "c": (2, 0)})
    codes = everything(p.space)
    mine, full = p.space.decode(codes), p.full_space.decode(p.lift(codes))
    assert p.space.size == 2 * 5 * 2 * 2
    assert all((mine[name] == full[name]).all() for name in p.space.names)


def test_restricted_designs_have_the_same_metrics():
    full, small = toys.problem(), toys.problem(space={"a": (8, 2), "mode": ("z", "x")})
    codes = everything(small.space)
    ours, theirs = small.evaluate(codes), full.evaluate(small.lift(codes))
    for name in full.metric_names:
        assert same_bits(ours.metrics[name], theirs.metrics[name])
    assert same_bits(ours.reward, theirs.reward)


def test_the_baseline_may_lie_outside_the_restriction():
    # Rewards stay measured against the simulator's baseline: latency 16/4 = 4, energy 32.
    p = toys.problem(space={"a": (4,)})
    assert p.baseline_metrics["latency"] == 4.0
    assert p.baseline_metrics["energy"] == 32.0
    # a=4, b=2, mode=x: latency 2, energy 64: EDP 128 as before, reward 0 (two logarithms that cancel).
    (reward,) = p.evaluate(p.space.encode([{"a": 4, "b": 2, "mode": "x", "c": 0}])).reward
    assert reward == pytest.approx(0.0, abs=1e-15)


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({"aa": (1,)}, "unknown parameter 'aa'; did you mean a"),
        ({"a": (3,)}, "parameter 'a' has no level 3; nearest is"),
        ({"a": ()}, "at least one level"),
        ({"a": (8,), "mode": ("z",)}, "allow no design"),
    ],
)
def test_wrong_restrictions(space, message):
    with pytest.raises(UsageError, match=message):
        toys.problem(space=space)


# ---- canonical designs of a simulator -----------------------------------------------------


def test_a_simulator_may_merge_designs():
    # 8 x 1, 4 x 2, 2 x 4 are all 8 lanes; the smallest a that has a level for b represents: 2 x 4.
    p = toys.problem("toys:ToyMerge")
    codes = np.concatenate([design(p, a=8, b=1), design(p, a=4, b=2), design(p, a=2, b=4)])
    assert p.space.decode(p.space.canonical(codes))["a"].tolist() == [2, 2, 2]
    assert p.space.decode(p.space.canonical(codes))["b"].tolist() == [4, 4, 4]


@st.composite
def kept_levels(draw):
    """A restriction of the toy space, levels in any order."""
    out = {}
    for p in toys.FREE.parameters:
        if draw(st.booleans()):
            out[p.name] = tuple(draw(st.lists(st.sampled_from(p.levels), unique=True, min_size=1)))
    return out


@settings(max_examples=60, deadline=None, derandomize=True)
@given(kept_levels(), st.sampled_from([(16,), (16, 64)]), st.sampled_from(["toys:ToyMerge", f"{__name__}:ToyModes"]))
def test_merging_respects_every_restriction(keep, macs, simulator):
    # Canonical designs stay inside the restriction (check), are stable, and are the same design to the simulator.
    p = toys.problem(simulator, macs=macs, space=keep)
    codes = everything(p.space)
    canonical = p.space.check(p.space.canonical(codes))
    assert np.array_equal(p.space.canonical(canonical), canonical)
    before, after = p.simulate(codes), p.simulate(canonical)
    assert all(same_bits(before[name], after[name]) for name in before)
    # Enumeration lists the fixed points of canonical, each once.
    listed = np.concatenate(list(p.space.enumerate()))
    assert len(np.unique(p.space.keys(listed))) == len(listed) == len(np.unique(p.space.keys(canonical)))


def test_what_a_simulator_merges_passes_through_the_space_again():
    # With c restricted to (2, 0): (y, c=0) becomes mode x, in which c is dead, so c goes to its first level, 2.
    p = toys.problem(f"{__name__}:ToyModes", space={"c": (2, 0)})
    (row,) = p.space.decode(p.space.canonical(design(p, mode="y", c=0)))["c"]
    assert row == 2
    assert p.space.canonical(design(p, mode="y", c=2)).tolist() == design(p, mode="y", c=2).tolist()


def test_only_what_every_workload_merges_is_merged():
    # 8 x 1 and 4 x 2 are one design for 16 MACs, two for 64: together they must stay two.
    name = f"{__name__}:ToyMergeSmall"
    alone, both = toys.problem(name), toys.problem(name, macs=(16, 64))
    pair = np.concatenate([design(alone, a=8, b=1), design(alone, a=4, b=2)])
    assert len(np.unique(alone.space.canonical(pair), axis=0)) == 1
    assert both.space.canonical(pair).tolist() == pair.tolist()


# ---- several workloads -------------------------------------------------------------------


def test_metrics_of_each_workload_are_kept():
    p = toys.problem(macs=(16, 64))
    names = [m.name for m in toys.METRICS]
    assert p.metric_names == (*names, *(f"{n}@w16" for n in names), *(f"{n}@w64" for n in names))
    assert p.constraint_names == ("room@w16", "room@w64")
    assert p.cost_seconds == 2 * p.simulator.cost_seconds
    metrics = p.evaluate(design(p)).metrics
    assert (metrics["latency@w16"][0], metrics["latency@w64"][0]) == (4.0, 16.0)
    assert p.metrics["latency@w64"].unit == "s"


# The baseline: latency 4 and 16, energy 32 and 128; area 4 and speed 4 on both; spare 28 on both.
@pytest.mark.parametrize(
    ("aggregate", "weights", "latency", "energy"),
    [
        ("geomean", (), 8.0, 64.0),  # sqrt(4 * 16), sqrt(32 * 128)
        ("sum", (), 20.0, 160.0),  # both are additive
        ("worst", (), 16.0, 128.0),
        ("weighted", (1.0, 3.0), 13.0, 104.0),  # (4 + 3 * 16)/4, (32 + 3 * 128)/4
    ],
)
def test_aggregation_by_hand(aggregate, weights, latency, energy):
    p = toys.problem(macs=(16, 64), aggregate=aggregate, weights=weights)
    metrics = p.evaluate(design(p)).metrics
    assert metrics["latency"][0] == pytest.approx(latency, rel=1e-15)
    assert metrics["energy"][0] == pytest.approx(energy, rel=1e-15)
    # What is the same everywhere and does not add up is exactly that value: an area never doubles.
    assert (metrics["area"][0], metrics["speed"][0], metrics["spare"][0]) == (4.0, 4.0, 28.0)
    assert p.evaluate(design(p)).reward[0] == 0.0


class ToyVaried(toys.Toy):
    """speed = macs (maximised) and spare = macs - 16 (not positive) differ between workloads."""

    def _simulate(self, designs, workload, seeds):
        out = super()._simulate(designs, workload, seeds)
        full = np.full(len(out["room"]), float(workload.macs))
        return {**out, "speed": full, "spare": full - 16.0}


@pytest.mark.parametrize(
    ("aggregate", "weights", "speed", "spare"),
    [
        ("geomean", (), 32.0, 24.0),  # sqrt(16 * 64); zero has no geometric mean: (0 + 48)/2
        ("sum", (), 40.0, 24.0),  # a rate does not add up, it is averaged: (16 + 64)/2
        ("worst", (), 16.0, 48.0),  # the worst of a maximised metric is the smallest, of a minimised the largest
        ("weighted", (1.0, 3.0), 52.0, 36.0),  # (16 + 3 * 64)/4, 3 * 48/4
    ],
)
def test_aggregation_of_maximised_and_of_signed_metrics(aggregate, weights, speed, spare):
    p = toys.problem(f"{__name__}:ToyVaried", macs=(16, 64), aggregate=aggregate, weights=weights)
    metrics = p.evaluate(design(p)).metrics
    assert metrics["speed"][0] == pytest.approx(speed, rel=1e-15)
    assert metrics["spare"][0] == pytest.approx(spare, rel=1e-15)


def test_a_design_is_infeasible_where_any_workload_finds_it_so():
    p = toys.problem(macs=(16, 64))
    bad = p.evaluate(design(p, a=8, b=5))
    assert not bad.feasible[0]
    assert np.isnan(bad.metric_values).all()
    assert bad.violations[0].tolist() == [0.25, 0.25]  # (40 - 32)/32 on both


def test_a_metric_of_one_workload_can_be_limited():
    # latency@w64 of the baseline is 16: against 8 that is a violation of 1.0, against 32 one of -0.5.
    p = toys.problem(macs=(16, 64), limits=("latency@w64<=8", "latency@w64<=32"))
    assert p.evaluate(design(p)).violations[0, 2:].tolist() == [1.0, -0.5]
    with pytest.raises(UnknownNameError, match=r"latency@w65.*did you mean.*latency@w64"):
        toys.problem(macs=(16, 64), limits=("latency@w65<=8",))


def test_wrong_workloads_and_aggregates():
    with pytest.raises(UnknownNameError, match="unknown aggregate 'geomaen'; did you mean geomean"):
        toys.problem(aggregate="geomaen")
    with pytest.raises(UsageError, match="expected 2 positive weights"):
        toys.problem(macs=(16, 64), aggregate="weighted", weights=(1.0,))
    with pytest.raises(UsageError, match="expected 2 positive weights"):
        toys.problem(macs=(16, 64), aggregate="weighted", weights=(1.0, 0.0))
    with pytest.raises(UsageError, match="workloads repeat: w16, w16"):
        toys.problem(macs=(16, 16))
    with pytest.raises(UsageError, match="at least one workload"):
        toys.problem(macs=())


def test_workloads_must_share_one_design_space():
    # Codes have one meaning. Here level 0 of b would be 1 lane for w16 and 11 lanes for w164.
    with pytest.raises(UsageError):
        toys.problem(f"{__name__}:ToyPerWorkload", macs=(16, 164))


# ---- feasibility -------------------------------------------------------------------------


def test_physically_impossible_rows_have_no_metrics_and_the_floor():
    # 8 x 5 = 40 lanes of 32: slack 8, relative 8/32 = 0.25. The other row is the baseline.
    p = toys.problem()
    result = p.evaluate(np.concatenate([design(p, a=8, b=5), design(p)]))
    assert result.feasible.tolist() == [False, True]
    assert np.isnan(result.metric_values[0]).all()
    assert np.isnan(result.values[0]).all()
    assert result.reward.tolist() == [-20.0, 0.0]
    assert result.violations[:, 0].tolist() == [0.25, (4 - 32) / 32]
    assert (p.explain(result, 0), p.explain(result, 1)) == ("violates room", "")


def test_a_reason_alone_makes_a_row_impossible():
    p = toys.problem()
    result = p.evaluate(design(p, a=1, b=5))
    assert (result.feasible[0], result.reason[0], result.reward[0]) == (False, 1, -20.0)
    assert np.isnan(result.metric_values).all()
    assert p.explain(result, 0) == "too thin"


def test_a_row_beyond_a_limit_keeps_its_metrics():
    # Physics allows it, the budget does not: numbers stay, the reward is the floor. area 8 of 5: (8 - 5)/5.
    p = toys.problem(limits=("area<=5", "speed>=2"))
    result = p.evaluate(np.concatenate([design(p, b=4), design(p)]))
    assert result.feasible.tolist() == [False, True]
    assert result.reward.tolist() == [-20.0, 0.0]
    assert result.metrics["area"].tolist() == [8.0, 4.0]
    assert result.values[0, 0] == 2.0 * 32.0  # latency 16/8, energy 16 * 2
    assert result.violations[0, 1:].tolist() == [3 / 5, (2 - 8) / 2]
    assert p.constraint_names == ("room", "area<=5.0", "speed>=2.0")
    assert p.explain(result, 0) == "violates area<=5.0"


def test_limits_that_differ_between_designs():
    # room.limit = 2 a: the baseline has (4 - 32)/4 = -7, 8 x 5 has (40 - 32)/16 = 0.5.
    p = toys.problem(f"{__name__}:ToyChip")
    result = p.evaluate(np.concatenate([design(p), design(p, a=8, b=5)]))
    assert result.violations[:, 0].tolist() == [-7.0, 0.5]
    assert result.feasible.tolist() == [True, False]


def test_a_constraint_with_limit_zero_is_refused_or_works():
    # "No deadlock" has the limit 0, and (value - limit)/|limit| would be 0/0 for a design without any.
    try:
        p = toys.problem(f"{__name__}:ToyZeroLimit")
    except ArchGymError:
        return
    result = p.evaluate(np.concatenate([design(p), design(p, b=5)]))
    assert result.feasible.tolist() == [True, False]
    assert np.isfinite(result.violations).all()


def test_a_row_without_a_number_for_the_objective_is_never_feasible():
    # With the floor as reward and feasible=True it could be reported as the best design found.
    p = toys.problem(f"{__name__}:ToySilent")
    result = p.evaluate(design(p, b=5))
    assert result.reward[0] == p.objective.floor
    assert not result.feasible[0]


def test_a_statically_forbidden_design_is_never_feasible():
    # a=8 with mode z is known to be impossible without simulating. Environments offer every MultiDiscrete action,
    # so such rows do arrive; none of them may end up as the best design found.
    p = toys.problem()
    codes = design(p, a=8, b=4, mode="z")
    assert not p.space.is_allowed(codes)[0]
    result = p.evaluate(codes)
    assert not result.feasible[0]
    assert result.reward[0] == p.objective.floor


@pytest.mark.parametrize(("name", "why"), [("ToyBadBaseline", "room"), ("ToyThinBaseline", "too thin")])
def test_an_infeasible_baseline_is_refused(name, why):
    with pytest.raises(UsageError, match=f"baseline design .* is infeasible here .{why}"):
        toys.problem(f"{__name__}:{name}")


def test_pareto_values_of_impossible_rows_are_nan():
    p = toys.problem(objective="pareto:latency,speed")
    result = p.evaluate(np.concatenate([design(p), design(p, a=8, b=5)]))
    assert result.values[0].tolist() == [4.0, -4.0]
    assert np.isnan(result.values[1]).all()


def test_scalar_view_hides_everything_but_reward_and_feasibility():
    p = toys.problem(limits=("area<=5",))
    result = p.evaluate(np.concatenate([design(p), design(p, a=1, b=5)])).scalar()
    assert result.metric_names == ()
    assert result.metric_values.shape == result.values.shape == result.violations.shape == (2, 0)
    assert result.reason.tolist() == [0, 0]
    assert result.reward.tolist() == [0.0, -20.0]
    assert result.feasible.tolist() == [True, False]


def test_zero_rows():
    p = toys.problem(macs=(16, 64), limits=("area<=5",))
    result = p.evaluate(np.empty((0, 4), np.int64))
    assert len(result) == 0
    assert result.violations.shape == (0, 3)


def test_codes_outside_the_space_are_refused():
    with pytest.raises(UsageError, match=r"level index 4 of 'a' is outside 0..3"):
        toys.problem().evaluate(np.array([[4, 0, 0, 0]]))


# ---- fingerprint -------------------------------------------------------------------------


def fingerprint(*args, **kwargs):
    return toys.problem(*args, **kwargs).fingerprint


def test_fingerprint_ignores_names_and_paths(tmp_path):
    path = tmp_path / "x.json"
    path.write_text(json.dumps({**toys.network(16, "another").to_dict(), "source": "elsewhere"}))
    assert Problem(ProblemSpec.parse("toys:Toy/edp", workload=str(path))).fingerprint == fingerprint()
    renamed = ProblemSpec("toys:Toy", (toys.network(16, "renamed").to_dict(),), "edp")
    assert Problem(renamed).fingerprint == fingerprint()


def test_fingerprint_depends_on_everything_that_changes_a_number():
    variants = [
        fingerprint(),
        fingerprint("toys:ToyNewer"),  # the simulator's version
        fingerprint(macs=(17,)),  # the workload's content
        fingerprint(macs=(16, 64)),
        fingerprint(macs=(64, 16)),
        fingerprint(macs=(16, 64), aggregate="sum"),
        fingerprint(macs=(16, 64), aggregate="weighted", weights=(1, 1)),
        fingerprint(macs=(16, 64), aggregate="weighted", weights=(1, 2)),
        fingerprint(objective="ed2p"),
        fingerprint(limits=("area<=20",)),
        fingerprint(limits=("area<=21",)),
        fingerprint(sim={"scale": 2.0}),
        fingerprint(space={"a": (1, 2)}),
        fingerprint(space={"a": (2, 1)}),  # codes mean something else
    ]
    assert len(set(variants)) == len(variants)


def test_fingerprint_does_not_depend_on_how_options_are_written():
    # A default written out, text instead of numbers, weights that are multiples: the same problem.
    assert fingerprint(sim={"scale": "1"}) == fingerprint(sim={"scale": 1.0}) == fingerprint()
    assert fingerprint(space={"a": ("1", "2")}) == fingerprint(space={"a": (1, 2)})
    assert fingerprint(limits=("area <= 2e1",)) == fingerprint(limits=("area<=20",))
    weighted = {"macs": (16, 64), "aggregate": "weighted"}
    assert fingerprint(**weighted, weights=(1, 3)) == fingerprint(**weighted, weights=(2, 6))


def test_aggregation_does_not_matter_for_one_workload():
    assert fingerprint(aggregate="sum") == fingerprint()


# ---- options -----------------------------------------------------------------------------


def test_options_are_converted_from_text():
    # Doubled energy scale: the baseline's energy is 64 instead of 32.
    p = toys.problem(sim={"scale": "2", "gain": "3", "tag": "t"})
    assert p.simulator.config == toys.ToyConfig(2.0, 3, "t")
    assert p.baseline_metrics["energy"] == 64.0
    assert configs.configure(toys.ToyConfig, configs.to_json(p.simulator.config), "") == p.simulator.config


@pytest.mark.parametrize(
    ("sim", "message"),
    [
        ({"scael": 1.0}, "unknown option of simulator toys:Toy 'scael'; did you mean scale"),
        ({"scale": "fast"}, "scale: expected float, got 'fast'"),
        ({"gain": 1.5}, "gain: expected int, got 1.5"),
        ({"gain": "1.5"}, "gain: expected int, got '1.5'"),
        ({"gain": float("inf")}, "gain: expected int"),
        ({"tag": 3}, "tag: expected str, got 3"),
    ],
)
def test_wrong_options_are_named(sim, message):
    with pytest.raises(UsageError, match=message):
        toys.problem(sim=sim)


@pytest.mark.parametrize(
    ("simulator", "message"),
    [
        ("sistolic", "unknown simulator 'sistolic'; did you mean systolic"),
        ("toys:Tyo", "module 'toys' has no 'Tyo'"),
        ("toyz:Toy", "there is no module 'toyz'"),
        ("toys:network", "is not a Simulator class"),
    ],
)
def test_wrong_simulators(simulator, message):
    with pytest.raises(UsageError, match=message):
        toys.problem(simulator)


def test_wrong_workload_name_suggests_the_nearest():
    with pytest.raises(UnknownNameError, match="unknown workload 'resnet5'; did you mean resnet50"):
        Problem(ProblemSpec("systolic", ("resnet5",)))


# ---- the simulator contract --------------------------------------------------------------


def test_one_by_one_equals_vectorised():
    # The same arithmetic in both forms; every metric, slack and reason of every design, bit for bit.
    batched, single = toys.problem("toys:Toy"), toys.problem("toys:ToyOne")
    codes = everything(batched.space)
    a, b = batched.simulate(codes), single.simulate(codes)
    assert list(a) == list(b) == [*(m.name for m in toys.METRICS), "room", "reason"]
    assert a["reason"].dtype == b["reason"].dtype == np.int64
    for name in a:
        assert np.array_equal(a[name], b[name])
    x, y = batched.evaluate(codes), single.evaluate(codes)
    assert same_bits(x.metric_values, y.metric_values)
    assert same_bits(x.reward, y.reward)


def test_rows_are_independent():
    p = toys.problem(macs=(16, 64))
    codes = everything(p.space)
    whole = p.simulate(codes)
    for i in range(0, len(codes), 17):
        row = p.simulate(codes[i : i + 1])
        assert all(same_bits(row[name], whole[name][i : i + 1]) for name in whole)


def test_a_reason_may_be_given_only_where_there_is_one():
    # reasons: "code 0 means no reason given". A mixed batch must work like rows one by one.
    p = toys.problem(f"{__name__}:ToyForgetful")
    codes = np.concatenate([design(p), design(p, a=1, b=5), design(p, b=3)])
    assert p.simulate(codes)["reason"].tolist() == [0, 1, 0]


@pytest.mark.parametrize("names", [(), ("_simulate", "_simulate_one")], ids=["none", "both"])
def test_exactly_one_form_must_be_overridden(names):
    members = {
        "design_space": lambda self, workload: toys.SPACE,
        "baseline": lambda self, workload: {},
        **dict.fromkeys(names, lambda self, *rest: {}),
    }
    with pytest.raises(TypeError, match="Broken: override exactly one of _simulate and _simulate_one"):
        type("Broken", (Simulator,), members)


def test_an_abstract_base_may_leave_the_form_open():
    type("Base", (Simulator,), {"design_space": lambda self, workload: toys.SPACE})  # baseline stays abstract


def test_workloads_of_another_kind_are_refused():
    with pytest.raises(UsageError, match="Toy runs workloads of kind network, 't' is a trace"):
        toys.Toy().simulate(np.zeros((1, 4), np.int64), OtherWorkload())


@pytest.mark.parametrize("broken", ["missing", "short"])
def test_a_simulator_that_breaks_its_promise_is_named(broken):
    class Bad(toys.Toy):
        def _simulate(self, designs, workload, seeds):
            out = dict(super()._simulate(designs, workload, seeds))
            if broken == "missing":
                del out["energy"]
            else:
                out["energy"] = out["energy"][:-1]
            return out

    with pytest.raises(AssertionError, match=r"Bad.*energy"):
        Bad().simulate(np.zeros((2, 4), np.int64), toys.network(16))


def test_metric_declarations():
    m = Metric("x", "s", "doc")
    assert (m.positive, m.maximise, m.additive) == (True, False, False)


def test_geometric_mean_of_equal_workloads_is_exact():
    # exp(ln(x)) may differ from x in the last bit; equal columns must not.
    p = toys.problem(macs=(16, 64))
    assert p.evaluate(design(p, a=1, b=3)).metrics["area"][0] == 3.0
    assert math.exp(math.log(3.0)) != 3.0


def test_a_problem_and_its_limits_may_be_given_as_text():
    p = Problem("systolic/alexnet/edp")
    assert repr(p) == "Problem(systolic/alexnet/edp; 2.19e+07 designs)"  # 19 * 19 * 3 * 15**3 * 6 = 21,931,... designs
    assert ProblemSpec.parse("systolic/alexnet/edp", limits="area<=20").limits == ("area<=20",)
    with pytest.raises(UnknownNameError, match="limits"):
        ProblemSpec.parse("systolic/alexnet/edp", limit=("area<=20",))
