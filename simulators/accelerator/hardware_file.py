"""Hardware descriptions as TOML and JSON: the shipped templates, reading with the path of what is wrong, writing.

A file holds the fields of `Hardware` under their names, levels from the multipliers outwards, and leaves
out what has its default. What is written differently from the code:

- bounds (``temporal_max``, ``x_max``, ``x_min``, ...) are tables by dimension: ``{ K = 16, S = "whole", others = 1 }``;
  a number, "free" or "whole"; ``others`` is what the dimensions not named get ("free", for minima 1);
- ``share`` and ``word_bits`` are tables by tensor: ``{ W = "multicast", I = "forward", O = "reduction" }``;
- bandwidths may be "unlimited", and ``write_bandwidth`` "shared".
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

from archgym.errors import UnknownNameError, UsageError

from .hardware import Hardware
from .levels import ANY, FREE, NONE, SHARED, WHOLE, Bounds, FanOut, Mac, MemoryLevel, Store
from .shapes import DIMS, TENSORS

T = TypeVar("T")
Reader = Callable[[Any, str], Any]

_WORDS = {"free": FREE, "whole": WHOLE}
_SPELLED = {FREE: "free", WHOLE: "whole"}


def template_names() -> tuple[str, ...]:
    """The shipped descriptions, for `load_hardware`."""
    folder = files("archgym.simulators.accelerator").joinpath("templates")
    return tuple(sorted(item.name[:-5] for item in folder.iterdir() if item.name.endswith(".toml")))


def load_hardware(source: str | os.PathLike[str]) -> Hardware:
    """A shipped template by its name, or a .toml or .json file.

    Raises:
        UnknownNameError: no template of that name. UsageError: the file cannot be read or says something
            wrong; the message names the file and the path of the field, or line and column.
    """
    name = os.fspath(source)
    if isinstance(source, str) and Path(name).suffix == "" and os.sep not in name:
        if name not in template_names():
            raise UnknownNameError("hardware template", name, template_names())
        text = files("archgym.simulators.accelerator").joinpath("templates", f"{name}.toml").read_text("utf-8")
        return hardware_from_dict(tomllib.loads(text), name)
    return hardware_from_dict(_parse(name), name)


def save_hardware(hardware: Hardware, path: str | os.PathLike[str]) -> None:
    """Write ``hardware`` so that `load_hardware` gives an equal one; the suffix, .toml or .json, decides the format.

    Raises:
        UsageError: another suffix, or the file cannot be written.
    """
    data = hardware_to_dict(hardware)
    if _suffix(path) == ".json":
        text = json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    else:
        text = _toml(data)
    try:
        Path(path).write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise UsageError(f"{os.fspath(path)}: expected a place to write to, got: {error.strerror}") from None


def hardware_from_dict(data: Any, where: str = "") -> Hardware:
    """The hardware described by plain data, as JSON or TOML give it; the inverse of `hardware_to_dict`.

    Raises:
        UsageError: the message starts with ``where``, if given, and the path of the field.
    """
    try:
        return _build(Hardware, data, "", {"levels": _list_of(_level), "mac": _mac, "word_bits": _word_bits})
    except UsageError as error:
        if not where:
            raise
        raise UsageError(f"{where}: {error}") from None


def hardware_to_dict(hardware: Hardware) -> dict[str, Any]:
    """``hardware`` as plain data for JSON and TOML; fields that have their defaults are left out."""
    data = _fields(hardware, {"word_bits": lambda bits: dict(zip(TENSORS, bits, strict=True)), "mac": _fields})
    data["levels"] = [_level_data(level) for level in hardware.levels]
    return data


def _level_data(level: MemoryLevel) -> dict[str, Any]:
    data = _fields(level, {"temporal_max": _bounds_data, "fanout": _fanout_data})
    if not data.get("fanout", True):
        del data["fanout"]
    data["stores"] = [_fields(s, {"read_bandwidth": _rate, "write_bandwidth": _rate}) for s in level.stores]
    return data


def _fanout_data(fanout: FanOut) -> dict[str, Any]:
    return _fields(
        fanout,
        {"share": lambda share: dict(zip(TENSORS, share, strict=True))}
        | dict.fromkeys(("x_max", "y_max", "x_min", "y_min"), _bounds_data),
    )


def _fields(part: Any, spelled: Mapping[str, Callable[[Any], Any]] | None = None) -> dict[str, Any]:
    """The fields of a dataclass that differ from their defaults; some in their own spelling."""
    out = {}
    for field in dataclasses.fields(part):
        value = getattr(part, field.name)
        default = field.default
        if field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        if default is dataclasses.MISSING or value != default:
            out[field.name] = (spelled or {}).get(field.name, lambda v: v)(value)
    return out


def _rate(value: float) -> float | str:
    return {math.inf: "unlimited", SHARED: "shared"}.get(value, value)


def _bounds_data(values: Bounds) -> dict[str, int | str]:
    (others, _), *_ = Counter(values).most_common()
    named = {dim: _SPELLED.get(value, value) for dim, value in zip(DIMS, values, strict=True) if value != others}
    return named | {"others": _SPELLED.get(others, others)}


def _build(cls: type[T], data: Any, path: str, readers: Mapping[str, Reader]) -> T:
    """An instance of the dataclass ``cls`` from a table; whatever is wrong is named with its path."""
    fields = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    _check_table(data, path, fields)
    for name, field in fields.items():
        needed = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if needed and name not in data:
            raise UsageError(f"{_join(path, name)}: expected this field, got none")
    values = {name: readers[name](data[name], _join(path, name)) if name in readers else data[name] for name in data}
    try:
        return cls(**values)
    except UsageError as error:
        raise UsageError(_join(path, str(error))) from None


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _check_table(data: Any, path: str, known: Iterable[str]) -> None:
    prefix = f"{path}: " if path else ""
    if not isinstance(data, Mapping):
        raise UsageError(f"{prefix}expected a table of fields, got {data!r}")
    for name in data:
        if name not in known:
            raise UsageError(f"{prefix}{UnknownNameError('field', name, known)}")


def _level(data: Any, path: str) -> MemoryLevel:
    readers: dict[str, Reader] = {"stores": _list_of(_store), "fanout": _fanout, "temporal_max": _bounds(ANY)}
    return _build(MemoryLevel, data, path, readers)


def _fanout(data: Any, path: str) -> FanOut:
    axes: dict[str, Reader] = {f"{axis}_max": _bounds(ANY) for axis in "xy"}
    axes |= {f"{axis}_min": _bounds(NONE) for axis in "xy"}
    return _build(FanOut, data, path, axes | {"share": _share})


def _store(data: Any, path: str) -> Store:
    return _build(Store, data, path, {"read_bandwidth": _bandwidth(), "write_bandwidth": _bandwidth("shared")})


def _mac(data: Any, path: str) -> Mac:
    return _build(Mac, data, path, {})


def _list_of(reader: Reader) -> Reader:
    def read(data: Any, path: str) -> tuple[Any, ...]:
        if not isinstance(data, list):
            raise UsageError(f"{path}: expected a list of tables, got {data!r}")
        return tuple(reader(item, f"{path}[{i}]") for i, item in enumerate(data))

    return read


def _word_bits(data: Any, path: str) -> tuple[Any, ...]:
    _check_table(data, path, TENSORS)
    for tensor in TENSORS:
        bits = data.get(tensor)
        if type(bits) is not int or bits < 1:
            raise UsageError(f"{path}.{tensor}: expected an integer >= 1, got {'none' if bits is None else repr(bits)}")
    return tuple(data[tensor] for tensor in TENSORS)


def _share(data: Any, path: str) -> tuple[Any, ...]:
    _check_table(data, path, TENSORS)
    return tuple(data.get(tensor, default) for tensor, default in zip(TENSORS, FanOut().share, strict=True))


def _bounds(default: Bounds) -> Reader:
    def read(data: Any, path: str) -> Bounds:
        _check_table(data, path, (*DIMS, "others"))
        values = {name: _bound(value, f"{path}.{name}", least=default is NONE) for name, value in data.items()}
        others = values.get("others", default[0])
        return tuple(values.get(dim, others) for dim in DIMS)

    return read


def _bound(value: Any, path: str, least: bool) -> int:
    if isinstance(value, str) and value in _WORDS and not least:
        return _WORDS[value]
    if type(value) is not int or not 1 <= value <= FREE:
        words = "" if least else ', "free" or "whole"'
        raise UsageError(f"{path}: expected an integer >= 1{words}, got {value!r}")
    return value


def _bandwidth(*words: str) -> Reader:
    known = {"unlimited": math.inf} | dict.fromkeys(words, SHARED)

    def read(value: Any, path: str) -> Any:
        if isinstance(value, str) and value in known:
            return known[value]
        if isinstance(value, str) or value == SHARED:
            names = " or ".join(f'"{name}"' for name in known)
            raise UsageError(f"{path}: expected a number > 0 (bits a cycle) or {names}, got {value!r}")
        return value

    return read


def _suffix(path: str | os.PathLike[str]) -> str:
    suffix = Path(path).suffix.lower()
    if suffix not in (".toml", ".json"):
        raise UsageError(f"{os.fspath(path)}: expected a file ending in .toml or .json, got {suffix or 'no suffix'!r}")
    return suffix


def _parse(path: str) -> Any:
    suffix = _suffix(path)
    try:
        text = Path(path).read_text(encoding="utf-8")
        return json.loads(text) if suffix == ".json" else tomllib.loads(text)
    except OSError as error:
        raise UsageError(f"{path}: expected a readable file, got: {error.strerror}") from None
    except (ValueError, RecursionError) as error:  # both decoders' errors, and bytes that are no UTF-8
        raise UsageError(f"{path}: expected {suffix[1:].upper()}, got: {error}") from None


def _toml(data: Mapping[str, Any]) -> str:
    """The text of a description: scalars first, then one table after the other."""
    lines = [f"{name} = {_inline(value)}" for name, value in data.items() if name != "levels"]
    for level in data["levels"]:
        lines += ["", "[[levels]]"]
        lines += [f"{name} = {_inline(value)}" for name, value in level.items() if name not in ("stores", "fanout")]
        for store in level["stores"]:
            lines += ["[[levels.stores]]", *(f"{name} = {_inline(value)}" for name, value in store.items())]
        if "fanout" in level:
            lines += ["[levels.fanout]", *(f"{name} = {_inline(value)}" for name, value in level["fanout"].items())]
    return "\n".join(lines) + "\n"


def _inline(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{name} = {_inline(item)}" for name, item in value.items()) + " }"
    if isinstance(value, str):  # JSON's escapes are TOML's, except that TOML wants DEL escaped too
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return json.dumps(value, allow_nan=False)
