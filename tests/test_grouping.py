"""Groups of parameters: every form of naming them, and what is refused."""

import pytest
import toys

from archgym.errors import UnknownNameError, UsageError
from archgym.grouping import parameter_groups

# Parameters a and b are declared as "array"; mode and c stand alone.


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        ("parameter", {"a": ("a",), "b": ("b",), "mode": ("mode",), "c": ("c",)}),
        ("declared", {"array": ("a", "b"), "mode": ("mode",), "c": ("c",)}),
        ("a+mode, c", {"a+mode": ("a", "mode"), "c": ("c",), "b": ("b",)}),
        ([("mode", "c")], {"mode+c": ("mode", "c"), "a": ("a",), "b": ("b",)}),
        ({"core": ["b", "a"]}, {"core": ("b", "a"), "mode": ("mode",), "c": ("c",)}),
    ],
    ids=["parameter", "declared", "text", "sequence", "mapping"],
)
def test_every_form(groups, expected):
    assert parameter_groups(toys.SPACE, groups) == expected


@pytest.mark.parametrize(
    ("groups", "error", "message"),
    [
        ("a+moda", UnknownNameError, "did you mean mode"),
        ("declard", UnknownNameError, "did you mean declared"),
        ("a+b,b", UsageError, "'b' is named twice"),
        ({"none": []}, UsageError, "'none' is empty"),
    ],
    ids=["unknown", "misspelt form", "twice", "empty"],
)
def test_wrong_groups(groups, error, message):
    with pytest.raises(error, match=message):
        parameter_groups(toys.SPACE, groups)
