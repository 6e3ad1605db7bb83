"""Variants: other codes, same designs, same numbers."""

import json

import numpy as np
import pytest

import archgym
from archgym import rng
from archgym.errors import UsageError
from archgym.problem import Problem, ProblemSpec
from archgym.space import DesignSpace, Parameter, Rule
from archgym.suite.build import build
from archgym.suite.problems import PROBLEMS
from archgym.variant import disguised, split_variant

SPECS = {
    "systolic": ProblemSpec("systolic", ("alexnet",), "edp"),
    "merged by a table": PROBLEMS["dram-rl-gen-mixed-p99"],
    "dead knobs": ProblemSpec("dram", ("chstone-mips",), "edp", sim={"standard": "DDR4-2400"}),
    "rules": PROBLEMS["boom-iccad22-pareto"],
    "merged mappings": PROBLEMS["mapping-nvdla-fc-edp-3m"],
    "restricted": PROBLEMS["mapping-shidiannao-pointwise-edp-3m"],
}


def pair(name, variant):
    spec = SPECS[name]
    return Problem(spec), Problem(ProblemSpec.from_dict({**spec.to_dict(), "variant": variant}))


def as_variant(plain, other, codes):
    """The same designs in the other's codes, by the values of their levels."""
    return other.space.encode([plain.space.design(row) for row in codes])


@pytest.mark.parametrize("variant", [1, 2])
@pytest.mark.parametrize("name", SPECS)
def test_a_variant_is_a_bijection_that_keeps_everything(name, variant):
    plain, other = pair(name, variant)
    n = 8 if name == "dead knobs" else 300
    codes = plain.space.sample(n, rng.generator(0, "variant test"))
    mapped = as_variant(plain, other, codes)
    assert not (mapped == codes).all()
    assert other.space.size == plain.space.size
    assert [set(p.levels) for p in other.space.parameters] == [set(p.levels) for p in plain.space.parameters]
    assert (as_variant(other, plain, mapped) == codes).all()
    assert (other.space.is_allowed(mapped) == plain.space.is_allowed(codes)).all()
    a, b = plain.evaluate(codes), other.evaluate(mapped)
    assert a.metric_values.tobytes() == b.metric_values.tobytes()
    assert (a.reward == b.reward).all()
    assert (a.feasible == b.feasible).all()
    # Canonical forms: idempotent, of the same classes, with the same numbers.
    canonical = other.space.canonical(mapped)
    assert (other.space.canonical(canonical) == canonical).all()
    groups = plain.space.keys(plain.space.canonical(codes))
    assert len(np.unique(groups)) == len(np.unique(other.space.keys(canonical)))
    if name != "dead knobs":
        assert other.evaluate(canonical).metric_values.tobytes() == b.metric_values.tobytes()


@pytest.mark.parametrize("name", ["merged by a table", "rules"])
def test_a_variant_has_the_same_classes_and_optimum(name):
    plain, other = pair(name, 5)
    a, b = build(plain), build(other)
    for key in ("designs", "distinct", "feasible", "median_gap", "within_1_percent", "within_5_percent"):
        assert a[key] == b[key]
    assert a["optimum"]["reward"] == b["optimum"]["reward"]
    assert a["optimum"]["ties"] == b["optimum"]["ties"]
    assert a["fingerprint"] != b["fingerprint"]


def test_a_dead_parameter_that_others_depend_on_keeps_its_first_level():
    """With mode off, kind is dead and counts as "a", at which depth is dead: also in a variant."""
    space = DesignSpace(
        [
            Parameter("mode", ("off", "on"), ordered=False),
            Parameter("kind", ("a", "b", "c"), ordered=False, active_when={"mode": "on"}),
            Parameter("depth", (1, 2, 3), active_when={"kind": ("b", "c")}),
        ],
        [Rule(("kind", "depth"), np.array([[True, True, True], [True, False, True], [True, True, True]]))],
    )
    for variant in range(1, 20):
        other = space.restrict(disguised(space, variant))
        assert other["kind"].levels[0] == "a"
        codes = space.unrank(range(space.size))
        mapped = other.encode([space.design(row) for row in codes])
        classes = np.unique(space.canonical(codes), axis=0, return_inverse=True)[1]
        others = np.unique(other.canonical(mapped), axis=0, return_inverse=True)[1]
        # off; on with a; on with b or c at three depths each
        assert len({*zip(classes.tolist(), others.tolist(), strict=True)}) == len(set(classes.tolist())) == 8
        assert (space.is_allowed(codes) == other.is_allowed(mapped)).all()
    shown = {disguised(space, variant)["mode"] for variant in range(1, 20)}
    assert shown == {("off", "on"), ("on", "off")}


def test_ordered_levels_stay_ordered():
    space = Problem(SPECS["systolic"]).space
    orders = {disguised(space, variant)["rows"] for variant in range(1, 20)}
    assert orders == {space["rows"].levels, space["rows"].levels[::-1]}


def test_a_variant_in_text_and_json():
    spec = ProblemSpec.parse("systolic/alexnet/edp~3")
    assert (spec.variant, spec.objective, spec.label) == (3, "edp", "systolic/alexnet/edp~3")
    assert ProblemSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec
    assert ProblemSpec.parse(spec.label) == spec
    assert "variant" not in ProblemSpec.parse("systolic/alexnet/edp").to_dict()  # hashes of older studies stay
    assert Problem(spec).spec.variant == 3
    assert split_variant("a~1~2") == ("a~1", 2)
    assert split_variant("a~") == ("a~", 0)
    for wrong in (-1, True, 1.0):
        with pytest.raises(UsageError, match="variant"):
            ProblemSpec("systolic", ("alexnet",), variant=wrong)


def test_a_study_of_a_variant_replays(tmp_path):
    study = archgym.run("dram-rl-gen-mixed-p99~7", "genetic", budget=60, out=tmp_path / "study")
    assert study.problem.spec.label.endswith("~7")
    assert archgym.replay(tmp_path / "study") == 60
