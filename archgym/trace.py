"""Memory traces as workloads: `Trace`, the requests that reach a memory, in the order they are sent."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from archgym.errors import UnknownNameError, UsageError
from archgym.trace_json import pack, unpack

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

# Of traces that do not say: the player's clock in ArchGym's DRAM environment, the command clock of DDR3-1600.
TRACE_CLOCK_MHZ = 800.0
LINE_BYTES = 64
_INT64_MAX = 2**63 - 1
_SLOWEST_MHZ = 1e-6
_LATEST_NS = 9_000_000_000_000_000  # in picoseconds below 2**63: 104 days
_COLUMNS = ("cycle", "time_ns", "address", "is_write", "size", "source")


class RequestError(UsageError):
    """A value of one request is wrong.

    Attributes:
        field, index: column and position (from 0) of the value.
        expected, got: the two halves of the message.
    """

    def __init__(self, field: str, index: int, expected: str, got: Any) -> None:
        super().__init__(f"{field}[{index}]: expected {expected}, got {got!r}")
        self.field, self.index, self.expected, self.got = field, index, expected, got


@dataclass(frozen=True, eq=False, repr=False)
class Trace:
    """Reads and writes of a memory, in the order in which they are sent.

    A player sends request i after request i - 1 and not before its own time. Times therefore need
    not ascend: a request with a time that has passed follows its predecessor at once.

    Columns are stored as read-only copies of shape (n,), n >= 1. A single number stands for n
    equal ones in every column but `address`. Equal means equal content; the name does not count.

    Args:
        name: shown to people.
        address: int64 bytes, >= 0.
        is_write: bool.
        cycle: int64 periods of `clock_mhz`, >= 0. Either this or `time_ns` is given.
        clock_mhz: MHz, at least 1e-6; with `cycle` only.
        time_ns: float64 ns, >= 0.
        size: int64 bytes, >= 1.
        source: int64, >= 0: which requester (core, accelerator port) sent it.

    Raises:
        RequestError: a value is out of range; the message names column and index. Times end at
            2**63 ps, addresses (with their size) at 2**63 bytes.
        UsageError: columns of other shapes, no request, no time or two.
    """

    kind: ClassVar[str] = "trace"

    name: str
    address: Ints
    is_write: Bools
    cycle: Ints | None = None
    clock_mhz: float | None = None
    time_ns: Floats | None = None
    size: Ints = field(default_factory=lambda: np.array(LINE_BYTES))
    source: Ints = field(default_factory=lambda: np.array(0))

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise UsageError(f"trace name: expected a non-empty string, got {self.name!r}")
        shape = np.shape(self.address)
        if len(shape) != 1 or shape[0] == 0:
            raise UsageError(f"address: expected at least one request, shape (n,), got shape {shape}")
        n = shape[0]
        self._store("size", _integers("size", self.size, n, 1))
        self._store("source", _integers("source", self.source, n, 0))
        self._store("is_write", _column("is_write", self.is_write, n, np.bool_, "True or False", _is_flag))
        self._store("address", _integers("address", self.address, n, 0))
        over = self.address > _INT64_MAX - self.size
        if over.any():
            i = int(over.argmax())
            most = _INT64_MAX - int(self.size[i])
            raise RequestError("address", i, f"an integer from 0 to {most}", int(self.address[i]))
        self._store_times(n)

    def _store(self, name: str, value: npt.NDArray[Any]) -> None:
        value.setflags(write=False)
        object.__setattr__(self, name, value)

    def _store_times(self, n: int) -> None:
        if (self.cycle is None) == (self.time_ns is None):
            got = "neither" if self.cycle is None else "both"
            raise UsageError(f"times: expected either cycle with clock_mhz or time_ns, got {got}")
        if self.time_ns is not None:
            if self.clock_mhz is not None:
                raise UsageError(f"clock_mhz: expected none beside time_ns, got {self.clock_mhz!r}")
            what = f"ns from 0 to {_LATEST_NS}"
            times = _column("time_ns", self.time_ns, n, np.float64, what, lambda t: _is_number(t) and t <= _LATEST_NS)
            self._store("time_ns", times + 0.0)  # a zero without sign
            return
        assert self.cycle is not None
        if self.clock_mhz is None or not _is_number(self.clock_mhz) or self.clock_mhz < _SLOWEST_MHZ:
            raise UsageError(f"clock_mhz: expected MHz of at least {_SLOWEST_MHZ} beside cycle, got {self.clock_mhz!r}")
        object.__setattr__(self, "clock_mhz", float(self.clock_mhz))
        latest = min(_INT64_MAX, int(_INT64_MAX / _period_ps(self.clock_mhz)))
        self._store("cycle", _integers("cycle", self.cycle, n, 0, latest))

    @property
    def n(self) -> int:
        """Number of requests."""
        return self.address.size

    def __len__(self) -> int:
        return self.address.size

    def __repr__(self) -> str:
        clock = "times in ns" if self.clock_mhz is None else f"{self.clock_mhz} MHz"
        return f"Trace('{self.name}', {len(self)} requests, {clock})"

    def __eq__(self, other: object) -> bool:
        return self.fingerprint == other.fingerprint if isinstance(other, Trace) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.fingerprint)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self).from_dict, (self.to_dict(),)  # NumPy's own pickles come back writable

    @cached_property
    def time_ps(self) -> Ints:
        """Earliest time of each request (n,), int64 ps, rounded to nearest (half to even).

        Cycles are multiplied in exact integers: 800 MHz is 1250 ps, at 1200 MHz cycle 3 is 2500 ps.
        """
        if self.cycle is None:
            assert self.time_ns is not None
            times: Ints = np.rint(self.time_ns * 1000.0).astype(np.int64)
        else:
            times = _rounded_product(self.cycle, _period_ps(self.clock_mhz))
        times.setflags(write=False)
        return times

    @cached_property
    def fingerprint(self) -> str:
        """sha256 of clock and columns; the name is no part of it."""
        header = {"kind": self.kind, "requests": len(self), "clock_mhz": self.clock_mhz}
        digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
        for name in _COLUMNS:
            column = getattr(self, name)
            if column is not None:
                digest.update(f"\n{name}\n".encode())
                digest.update(column.astype(column.dtype.newbyteorder("<")).tobytes())
        return digest.hexdigest()

    def where(self, rows: npt.ArrayLike) -> Trace:
        """The chosen requests, by a mask (n,) or indices, at their own times."""
        chosen = np.asarray(rows)
        return replace(
            self,
            address=self.address[chosen],
            is_write=self.is_write[chosen],
            cycle=None if self.cycle is None else self.cycle[chosen],
            time_ns=None if self.time_ns is None else self.time_ns[chosen],
            size=self.size[chosen],
            source=self.source[chosen],
        )

    def features(self) -> dict[str, float]:
        """Ten finite numbers in a fixed order.

        Decimal logarithms of requests, bytes, different 64-byte lines touched, bytes from the lowest
        to the highest address, sources, and 1 + the mean gap in ns (between the earliest times at
        which requests can be sent); shares of reads, and of requests that follow one in the same
        1 KiB or 8 KiB block or begin where it ends. A trace of one request has shares of 0.
        """
        pairs = max(1, len(self) - 1)
        sent = np.maximum.accumulate(self.time_ps)
        gap_ns = int(sent[-1] - sent[0]) / 1000 / pairs
        end = self.address + self.size

        def share(hits: Bools, of: int = pairs) -> float:
            return int(np.count_nonzero(hits)) / of

        return {
            "log10_requests": math.log10(len(self)),
            "read_share": share(~self.is_write, len(self)),
            "log10_mean_gap_ns": math.log10(1 + gap_ns),
            "log10_bytes": math.log10(sum(self.size.tolist())),
            "log10_lines": math.log10(_lines_touched(self.address, end)),
            "same_1kib_share": share(np.diff(self.address >> 10) == 0),
            "same_8kib_share": share(np.diff(self.address >> 13) == 0),
            "sequential_share": share(self.address[1:] == end[:-1]),
            "log10_sources": math.log10(len(np.unique(self.source))),
            "log10_span_bytes": math.log10(int(end.max()) - int(self.address.min())),
        }

    def to_dict(self) -> dict[str, Any]:
        """JSON form, the same on every machine: kind, name, number of requests, clock, columns.

        `archgym.trace_json.pack` says how a column is written.
        """
        columns = {name: pack(getattr(self, name)) for name in _COLUMNS if getattr(self, name) is not None}
        clock = {} if self.clock_mhz is None else {"clock_mhz": self.clock_mhz}
        return {"kind": self.kind, "name": self.name, "requests": len(self), **clock, **columns}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Inverse of `to_dict`, bit for bit; ``size`` and ``source`` may be missing.

        Raises:
            UsageError: something is missing, unknown, damaged or out of range; the message names the column.
        """
        known = ("kind", "name", "requests", "clock_mhz", *_COLUMNS)
        for key in data:
            if key not in known:
                raise UnknownNameError("trace field", key, known)
        if data.get("kind") != cls.kind:
            raise UsageError(f"kind: expected 'trace', got {data.get('kind')!r}")
        for key in ("name", "requests", "address", "is_write"):
            if key not in data:
                raise UsageError(f"{key}: expected it in a trace, got the fields {', '.join(data)}")
        n = data["requests"]
        if type(n) is not int or n < 1:
            raise UsageError(f"requests: expected an integer >= 1, got {n!r}")
        columns: dict[str, Any] = {name: unpack(name, data[name], n) for name in _COLUMNS if name in data}
        return cls(data["name"], clock_mhz=data.get("clock_mhz"), **columns)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool) and bool(0 <= value < math.inf)


def _is_integer(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool | np.bool_)


def _integers(name: str, values: npt.ArrayLike, n: int, least: int, most: int = _INT64_MAX) -> Ints:
    what = f"an integer from {least} to {most}"
    return _column(name, values, n, np.int64, what, lambda v: _is_integer(v) and least <= v <= most)


def _column(
    name: str, values: npt.ArrayLike, n: int, dtype: Any, expected: str, is_good: Callable[[Any], bool]
) -> npt.NDArray[Any]:
    """A copy (n,) of a column whose every value ``is_good``; the predicate holds between two good values."""
    given = np.asarray(values)
    if given.shape not in ((), (n,)):
        raise UsageError(f"{name}: expected shape ({n},) like address, or one value for all, got shape {given.shape}")
    kinds = {"b": "b", "i": "iu", "f": "iuf"}[np.dtype(dtype).kind]
    extremes = [given.min().item(), given.max().item()] if given.dtype.kind in kinds else []
    if not extremes or not all(map(is_good, extremes)):  # NaN is both extremes of its column
        # NumPy turns a list of integers with one beyond int64 into floats: look at the list itself.
        kept = given if given.dtype.kind in kinds else np.array(values, object)
        for i, value in enumerate(kept.ravel().tolist()):
            if not is_good(value):
                raise RequestError(name, i, expected, value)
        raise UsageError(f"{name}: expected {expected}, got an array of {given.dtype}")
    column: npt.NDArray[Any] = np.array(np.broadcast_to(given, (n,)), dtype=dtype, order="C")
    return column


def _period_ps(clock_mhz: float | None) -> Fraction:
    return Fraction(10**6) / Fraction(repr(clock_mhz))  # of the decimals that were written: 1/933.1, no binary tail


def _rounded_product(cycle: Ints, period: Fraction) -> Ints:
    if period.denominator == 1:
        return cycle * np.int64(period.numerator)
    exact = cycle.astype(object) * period.numerator  # Python integers: a product may pass 2**63 before the division
    whole = exact // period.denominator
    twice = 2 * (exact - whole * period.denominator)
    up = (twice > period.denominator) | ((twice == period.denominator) & (whole % 2 == 1))
    times: Ints = whole.astype(np.int64) + up.astype(np.int64)
    return times


def _lines_touched(address: Ints, end: Ints) -> int:
    """Different 64-byte lines in the union of [address, end)."""
    order = np.argsort(address, kind="stable")
    first, last = (address // LINE_BYTES)[order], ((end - 1) // LINE_BYTES)[order]
    reached = np.maximum.accumulate(last)  # highest line of any request so far
    return int((reached - np.maximum(first - 1, np.concatenate([first[:1] - 1, reached[:-1]]))).sum())
