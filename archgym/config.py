"""Frozen dataclass configs: built from text or JSON, written back losslessly.

A component's ``Config`` is at once its defaults, its command-line flags, its sweep axes and
its entry in the log header; this file is the one place that converts between these forms.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from archgym.errors import UnknownNameError, UsageError

C = TypeVar("C")


def configure(cls: type[C], overrides: Mapping[str, Any], where: str) -> C:
    """An instance of the frozen dataclass ``cls`` with some fields replaced.

    Args:
        cls: a dataclass whose fields are int, float, bool, str, None-able, tuples or dataclasses of these.
        overrides: field -> value; text is converted to the field's type. ``outer.inner`` is a field of a field.
        where: what is configured, for messages ("agent genetic").

    Raises:
        UnknownNameError: a key is no field.
        UsageError: a value does not fit its field.
    """
    if not isinstance(overrides, Mapping):
        raise UsageError(f"{where}: expected a table of options, got {overrides!r}")
    overrides = _nested(overrides, where)
    fields = {f.name: f for f in dataclasses.fields(typing.cast(Any, cls))}
    hints = _hints(typing.cast(Any, cls))
    for key in overrides:
        if key not in fields:
            raise UnknownNameError(f"option of {where}", key, fields)
    return cls(**{key: _convert(value, hints[key], f"{where}: {key}") for key, value in overrides.items()})


def _nested(options: Mapping[str, Any], where: str) -> dict[str, Any]:
    """``{"a.b": 1}`` as ``{"a": {"b": 1}}``; what has no dot stays as it is."""
    out: dict[str, Any] = {}
    for key, value in options.items():
        outer, dot, inner = key.partition(".")
        if outer in out and not (dot and isinstance(out[outer], Mapping)):
            raise UsageError(f"{where}: '{outer}' is given as a whole and in parts")
        out[outer] = {**out.get(outer, {}), inner: value} if dot else value
    return out


def flat(options: Mapping[str, Any]) -> dict[str, Any]:
    """``{"a": {"b": 1}}`` as ``{"a.b": 1}``: one spelling of the options of a config in a config."""
    out: dict[str, Any] = {}
    for key, value in options.items():
        inside = dataclasses.asdict(value) if dataclasses.is_dataclass(value) else value  # type: ignore[arg-type]
        if isinstance(inside, Mapping):
            out |= {f"{key}.{inner}": each for inner, each in flat(inside).items()}
        else:
            out[key] = value
    return out


@functools.cache  # every study of a sweep comes through here
def _hints(cls: type[Any]) -> dict[str, Any]:
    return typing.get_type_hints(cls)


def to_json(config: Any) -> dict[str, Any]:
    """A config as plain JSON data: ``configure(type(config), to_json(config), …) == config``."""
    return typing.cast(dict[str, Any], json.loads(json.dumps(dataclasses.asdict(config))))


def _convert(value: Any, hint: Any, where: str) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if value is None or (isinstance(value, str) and value.lower() == "none"):
            return _none(arguments, where)
        return _first_that_fits(value, [a for a in arguments if a is not type(None)], where)
    if origin is typing.Literal:
        if value not in arguments:
            raise UnknownNameError(f"value of {where}", str(value), map(str, arguments))
        return value
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return value if isinstance(value, hint) else configure(hint, value, where)
    if origin is tuple:
        items = value.split(",") if isinstance(value, str) else value
        if not isinstance(items, Sequence):
            raise UsageError(f"{where}: expected a list, got {value!r}")
        return tuple(_convert(item, arguments[0], where) for item in items)
    return _scalar(value, hint, where)


def _none(arguments: tuple[Any, ...], where: str) -> None:
    if type(None) not in arguments:
        raise UsageError(f"{where}: none is not allowed here")


def _first_that_fits(value: Any, hints: list[Any], where: str) -> Any:
    for hint in hints[:-1]:
        try:
            return _convert(value, hint, where)
        except UsageError:
            continue
    return _convert(value, hints[-1], where)


def _scalar(value: Any, hint: Any, where: str) -> Any:
    name = getattr(hint, "__name__", str(hint))
    if hint is bool and isinstance(value, str):
        if value.lower() not in ("true", "false", "1", "0", "yes", "no", "on", "off"):
            raise UsageError(f"{where}: expected true or false, got '{value}'")
        return value.lower() in ("true", "1", "yes", "on")
    if hint in (int, float):
        if isinstance(value, bool):
            raise UsageError(f"{where}: expected {name}, got {value}")
        try:
            number = hint(value)
        except (TypeError, ValueError, OverflowError):
            raise UsageError(f"{where}: expected {name}, got {value!r}") from None
        if not isinstance(value, str) and number != value:
            raise UsageError(f"{where}: expected {name}, got {value}")
        return number
    if isinstance(hint, type) and not isinstance(value, hint):
        raise UsageError(f"{where}: expected {name}, got {value!r}")
    return value
