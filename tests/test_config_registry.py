"""Configs from text and JSON, registries of names, and Pareto fronts: the small parts everything else stands on."""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from archgym.config import configure, flat, to_json
from archgym.errors import (
    ArchGymError,
    BudgetExhausted,
    MissingExtraError,
    ReplayMismatch,
    UnknownNameError,
    UsageError,
)
from archgym.pareto import front
from archgym.registry import AGENTS, SIMULATORS, Registry, import_target


@dataclass(frozen=True)
class Inner:
    width: int = 1


@dataclass(frozen=True)
class Config:
    count: int = 1
    rate: float = 0.5
    on: bool = False
    name: str = "x"
    limit: int | None = None
    either: int | float = 1
    mode: Literal["fast", "slow"] = "fast"
    sizes: tuple[int, ...] = (1, 2)
    inner: Inner = field(default_factory=Inner)


# ---- configs -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("count", "7", 7),
        ("count", 7.0, 7),
        ("rate", "1e-3", 0.001),
        ("rate", 2, 2.0),
        ("on", "yes", True),
        ("on", "0", False),
        ("limit", "none", None),
        ("limit", "5", 5),
        ("limit", None, None),
        ("either", "5", 5),  # the first type that fits
        ("either", "5.5", 5.5),
        ("mode", "slow", "slow"),
        ("sizes", "4,5,6", (4, 5, 6)),
        ("sizes", [4, 5], (4, 5)),
        ("inner", {"width": "3"}, Inner(3)),
        ("inner", Inner(4), Inner(4)),
    ],
)
def test_values_are_converted_to_the_type_of_their_field(key, value, expected):
    config = configure(Config, {key: value}, "test")
    assert getattr(config, key) == expected
    assert type(getattr(config, key)) is type(expected)
    assert configure(Config, to_json(config), "test") == config  # JSON and back


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("cuont", 1, "unknown option of test 'cuont'; did you mean count"),
        ("count", "many", "test: count: expected int, got 'many'"),
        ("count", 1.5, "expected int, got 1.5"),
        ("count", True, "expected int, got True"),
        ("count", float("inf"), "expected int, got inf"),
        ("count", None, "expected int, got None"),
        ("rate", "fast", "expected float, got 'fast'"),
        ("on", "maybe", "expected true or false, got 'maybe'"),
        ("on", 1, "expected bool, got 1"),
        ("name", 3, "expected str, got 3"),
        ("limit", "five", "expected int, got 'five'"),
        ("either", None, "none is not allowed here"),
        ("mode", "fats", "unknown value of test: mode 'fats'; did you mean fast"),
        ("sizes", "1,x", "expected int, got 'x'"),
        ("sizes", 5, "sizes"),
        ("inner", {"widht": 3}, "did you mean width"),
        ("inner", 5, "inner"),
    ],
)
def test_wrong_values_are_usage_errors(key, value, message):
    with pytest.raises(UsageError, match=message):
        configure(Config, {key: value}, "test")


def test_a_dot_reaches_into_an_option_that_has_options():
    assert configure(Config, {"inner.width": "3", "count": 2}, "test") == Config(count=2, inner=Inner(3))
    assert flat({"inner": {"width": 3}, "count": 2}) == {"inner.width": 3, "count": 2}
    assert flat({"inner": Inner(3), "sizes": (1, 2)}) == {"inner.width": 3, "sizes": (1, 2)}
    assert flat({"inner.width": 3}) == {"inner.width": 3}
    with pytest.raises(UnknownNameError, match="unknown option of test: inner 'widht'; did you mean width"):
        configure(Config, {"inner.widht": 3}, "test")
    with pytest.raises(UnknownNameError, match="unknown option of test 'iner'; did you mean inner"):
        configure(Config, {"iner.width": 3}, "test")
    with pytest.raises(UsageError, match="test: count: expected int"):
        configure(Config, {"count.width": 3}, "test")
    for both in (("inner", "inner.width"), ("inner.width", "inner")):
        with pytest.raises(UsageError, match="test: 'inner' is given as a whole and in parts"):
            configure(Config, dict.fromkeys(both, "3"), "test")


# ---- registries ----------------------------------------------------------------------------


def make():
    return Registry("thing", "archgym.tests.things", {"config": "archgym.config:configure", "gone": "archgym.none:X"})


def test_names_are_sorted_and_loaded_on_demand():
    things = make()
    assert things.names() == ("config", "gone")  # listing imports nothing, not even what does not exist
    assert things.load("config") is configure
    assert things.load("archgym.config:to_json") is to_json
    with pytest.raises(UsageError, match=r"there is no module 'archgym\.none'"):
        things.load("gone")


def test_registering():
    things = make()
    things.register("inner", Inner)
    things.register("inner", Inner)  # the same again is fine
    things.register("late", "archgym.config:to_json")
    assert things.load("inner") is Inner
    assert things.load("late") is to_json
    assert things.names() == ("config", "gone", "inner", "late")
    with pytest.raises(UsageError, match="thing 'inner' is already registered as"):
        things.register("inner", Config)
    for name in ("a:b", "a/b", "a(b)", "a,b"):
        with pytest.raises(UsageError, match="may not contain"):
            things.register(name, Inner)


def test_unknown_names_suggest_the_nearest():
    with pytest.raises(UnknownNameError, match="unknown thing 'confg'; did you mean config"):
        make().load("confg")
    with pytest.raises(UnknownNameError, match="unknown thing 'zzz'; known: config, gone"):
        make().load("zzz")


@pytest.mark.parametrize("registry", [AGENTS, SIMULATORS], ids=["agents", "simulators"])
def test_every_registered_name_loads(registry):
    assert all(isinstance(registry.load(name), type) for name in registry.names())


def test_a_broken_module_is_not_reported_as_a_missing_attribute(tmp_path, monkeypatch):
    # The module fails by itself while it is imported; hiding its own error would send its author the wrong way.
    (tmp_path / "broken_component.py").write_text("import math\nmath.no_such_function()\n\nclass Thing: ...\n")
    (tmp_path / "needs_missing.py").write_text("import no_such_library\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(AttributeError, match="no_such_function"):
        import_target("broken_component:Thing")
    with pytest.raises(ModuleNotFoundError, match="no_such_library"):
        import_target("needs_missing:Thing")


def test_one_root_for_all_errors():
    # Callers catch ArchGymError, or the standard type that fits.
    assert issubclass(UsageError, ArchGymError)
    assert issubclass(UsageError, ValueError)
    assert issubclass(MissingExtraError, ArchGymError)
    assert issubclass(MissingExtraError, ImportError)
    assert "pip install 'archgym[rl]'" in str(MissingExtraError("torch", "rl"))
    assert BudgetExhausted("x", 3).partial == 3
    assert ReplayMismatch("x", 7).trial == 7


# ---- Pareto fronts -------------------------------------------------------------------------


def brute_force_front(values):
    """Distinct non-dominated finite points, first occurrence each, sorted."""
    rows = [tuple(row) for row in values.tolist()]
    usable = [i for i, row in enumerate(rows) if np.isfinite(row).all()]
    kept = []
    for i in usable:
        dominated = any(
            all(a <= b for a, b in zip(rows[j], rows[i], strict=True)) and rows[j] != rows[i] for j in usable
        )
        if not dominated and rows[i] not in (rows[k] for k in kept):
            kept.append(i)
    return sorted(kept, key=lambda i: rows[i])


ENTRY = st.sampled_from([0.0, 1.0, 2.0, 3.0, -1.0, np.nan, np.inf, -np.inf])


SHAPES = st.tuples(st.integers(0, 12), st.integers(1, 4))


@settings(max_examples=200, deadline=None, derandomize=True)
@given(SHAPES.flatmap(lambda shape: arrays(np.float64, shape, elements=ENTRY)))
def test_front_matches_brute_force(values):
    # Few distinct numbers, so that ties, duplicates and broken rows are common.
    assert front(values).tolist() == brute_force_front(values)


def test_front_by_hand():
    # (1, 4), (2, 2), (4, 1) trade off; (3, 3) is worse than (2, 2); the second (2, 2) is a duplicate; NaN never counts.
    values = np.array([[4.0, 1.0], [3.0, 3.0], [2.0, 2.0], [2.0, 2.0], [1.0, 4.0], [0.0, np.nan]])
    assert front(values).tolist() == [4, 2, 0]
