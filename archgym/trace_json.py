"""Columns of numbers as JSON: compact text that is the same on every machine.

Values are base64 of little-endian numbers and not compressed: the bytes that zlib writes differ
between its versions.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from archgym.errors import UsageError

_TYPES = {"bits": "<u1", "int8": "<i1", "int16": "<i2", "int32": "<i4", "int64": "<i8", "float64": "<f8"}
_STEPS = ("int8", "int16", "int32", "int64")
_INT64_MAX = 2**63 - 1


def pack(column: npt.NDArray[Any]) -> dict[str, Any]:
    """A column (n,), n >= 1: of integers >= 0, bool or float64.

    Integers become their ``first`` value and either the one ``step`` between all neighbours or all steps
    in the narrowest type: a few bytes a request. Bool is one bit a value, high bit of a byte first.
    """
    if column.dtype.kind == "b":
        return _encode("bits", np.packbits(column))
    if column.dtype.kind == "f":
        return _encode("float64", column)
    first, steps = int(column[0]), np.diff(column)
    if (steps == steps[:1]).all():
        return {"first": first, "step": int(steps[0]) if steps.size else 0}
    low, high = steps.min(), steps.max()
    dtype = next(name for name in _STEPS if np.iinfo(name).min <= low and high <= np.iinfo(name).max)
    return {"first": first, **_encode(dtype, steps)}


def unpack(name: str, data: Any, n: int) -> npt.NDArray[Any]:
    """The column (n,) called ``name`` that `pack` wrote.

    Raises:
        UsageError: damaged data, or not of n values; the message begins with the name.
    """
    if not isinstance(data, Mapping):
        raise UsageError(f"{name}: expected an object as Trace.to_dict writes it, got {data!r}")
    if data.get("dtype") == "float64":
        return _decode(name, data, n)
    if data.get("dtype") == "bits":
        return np.unpackbits(_decode(name, data, -(-n // 8)), count=n).astype(np.bool_)
    for key in ("first", "step") if "step" in data else ("first",):
        if type(data.get(key)) is not int or abs(data[key]) > _INT64_MAX:
            raise UsageError(f"{name}: {key}: expected a 64-bit integer, got {data.get(key)!r}")
    # A sum beyond int64 turns negative at the first step too far: the range check of the column finds it.
    if "step" in data:
        return np.int64(data["first"]) + np.int64(data["step"]) * np.arange(n)
    steps = _decode(name, data, n - 1)
    return np.cumsum(np.concatenate([[data["first"]], steps.astype(np.int64)]))


def _encode(dtype: str, values: npt.NDArray[Any]) -> dict[str, Any]:
    return {"dtype": dtype, "values": base64.b64encode(values.astype(_TYPES[dtype]).tobytes()).decode("ascii")}


def _decode(name: str, data: Mapping[str, Any], length: int) -> npt.NDArray[Any]:
    dtype = data.get("dtype")
    if not isinstance(dtype, str) or dtype not in _TYPES:
        raise UsageError(f"{name}: dtype: expected one of {', '.join(_TYPES)}, got {dtype!r}")
    expected = length * np.dtype(_TYPES[dtype]).itemsize
    try:
        content = base64.b64decode(data.get("values", ""), validate=True)
    except (binascii.Error, TypeError, ValueError) as error:
        raise UsageError(f"{name}: values: expected base64 text, got: {error}") from None
    if len(content) != expected:
        raise UsageError(f"{name}: values: expected {expected} bytes for this number of requests, got {len(content)}")
    return np.frombuffer(content, _TYPES[dtype])
