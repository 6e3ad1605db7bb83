"""Parameters of a design, as named tuples of levels, and static rules between them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from archgym.errors import UsageError

Level = int | float | str | bool


@dataclass(frozen=True, slots=True)
class Parameter:
    """One knob: a named, finite tuple of levels.

    Attributes:
        name: unique within its space.
        levels: the values it can take, distinct; all numbers, all booleans or all text.
        ordered: whether neighbouring levels are alike (False: categorical).
        unit: of the levels, for people ("KiB").
        group: the subsystem it belongs to (groups parameters for multi-agent search).
        active_when: earlier parameter -> the levels at which this one matters. Where one of
            them has another level, this parameter is dead and canonically at its first level.
        doc: one sentence for people.
    """

    name: str
    levels: tuple[Level, ...]
    ordered: bool = True
    unit: str = ""
    group: str = ""
    active_when: Mapping[str, Sequence[Level] | str] | None = field(default=None, hash=False)
    doc: str = ""

    def __post_init__(self) -> None:
        levels = tuple(v.item() if isinstance(v, np.generic) else v for v in self.levels)
        kinds = {type(v) for v in levels}
        if kinds == {int, float}:
            levels, kinds = tuple(float(v) for v in levels), {float}
        if not self.name or not levels:
            raise UsageError(f"parameter '{self.name}': needs a name and at least one level")
        if len(kinds) != 1 or not kinds <= {int, float, str, bool}:
            raise UsageError(f"parameter '{self.name}': levels must be all numbers, all text or all booleans: {levels}")
        if kinds == {float} and not all(math.isfinite(float(v)) for v in levels):
            raise UsageError(f"parameter '{self.name}': levels must be finite: {levels}")
        if len(set(levels)) != len(levels):
            raise UsageError(f"parameter '{self.name}': levels repeat: {levels}")
        object.__setattr__(self, "levels", levels)
        if self.active_when is not None:
            when = {k: (v,) if isinstance(v, str) else tuple(v) for k, v in self.active_when.items()}
            object.__setattr__(self, "active_when", when)

    @classmethod
    def integers(cls, name: str, low: int, high: int, step: int = 1, **options: Any) -> Parameter:
        """Integers from ``low`` to ``high`` inclusive in steps."""
        return cls(name, tuple(range(low, high + 1, step)), **options)

    @classmethod
    def powers_of_two(cls, name: str, low: int, high: int, **options: Any) -> Parameter:
        """The powers of two from ``low`` to ``high`` inclusive."""
        exponents = range(math.ceil(math.log2(low)), math.floor(math.log2(high)) + 1)
        return cls(name, tuple(2**e for e in exponents), **options)

    @classmethod
    def grid(cls, name: str, low: float, high: float, n: int, *, log: bool = False, **options: Any) -> Parameter:
        """A real range as ``n`` points, evenly spaced (geometrically with ``log``)."""
        fractions = [i / (n - 1) if n > 1 else 0.0 for i in range(n)]
        points = [low * (high / low) ** f if log else low + (high - low) * f for f in fractions]
        # Twelve digits: people address a level by its value, 10.0 rather than 9.999999999999998.
        return cls(name, tuple(float(f"{p:.12g}") for p in points), **options)

    @classmethod
    def categorical(cls, name: str, levels: Sequence[Level], **options: Any) -> Parameter:
        """Unordered choices."""
        return cls(name, tuple(levels), ordered=False, **options)

    @classmethod
    def boolean(cls, name: str, **options: Any) -> Parameter:
        """False or True."""
        return cls(name, (False, True), **options)

    @property
    def numeric(self) -> bool:
        """Whether levels are numbers or booleans: simulators then receive values, else level indices."""
        return not isinstance(self.levels[0], str)

    def index(self, level: Level) -> int:
        """The index of a level, given as itself or as text.

        Raises:
            UsageError: not a level of this parameter.
        """
        for i, known in enumerate(self.levels):
            if level == known and isinstance(level, bool) == isinstance(known, bool):
                return i
        if isinstance(level, str):
            texts = [str(v).lower() for v in self.levels]
            if level.lower() in texts:
                return texts.index(level.lower())
            if self.numeric and (number := _number(level)) is not None:
                return self.index(number)
        raise UsageError(f"parameter '{self.name}' has no level {level!r}; {self._nearest(level)}")

    def _nearest(self, level: Level) -> str:
        shown = ", ".join(str(v) for v in self.levels[:30]) + (", …" if len(self.levels) > 30 else "")
        number = _number(level)
        if self.numeric and number is not None:
            near = min(self.levels, key=lambda v: abs(float(v) - number))
            return f"nearest is {near}; levels: {shown}"
        return f"levels: {shown}"

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data; ``Parameter(**d)`` restores it."""
        when = None if self.active_when is None else {k: list(v) for k, v in self.active_when.items()}
        return {
            "name": self.name,
            "levels": list(self.levels),
            "ordered": self.ordered,
            "unit": self.unit,
            "group": self.group,
            "active_when": when,
            "doc": self.doc,
        }


def _number(level: Level) -> float | None:
    try:
        return float(level)
    except (TypeError, ValueError):
        return None


@dataclass(frozen=True, eq=False)
class Rule:
    """A static restriction: a boolean table over the levels of a few parameters.

    Attributes:
        parameters: their names.
        table: bool, one axis per parameter in that order; False forbids the combination.
    """

    parameters: tuple[str, ...]
    table: npt.NDArray[np.bool_]

    @classmethod
    def where(cls, parameters: Sequence[Parameter], predicate: Callable[..., bool]) -> Rule:
        """The table of ``predicate(level, level, …)`` over the parameters' levels."""
        shape = tuple(len(p.levels) for p in parameters)
        flat = [bool(predicate(*levels)) for levels in itertools.product(*(p.levels for p in parameters))]
        return cls(tuple(p.name for p in parameters), np.array(flat, np.bool_).reshape(shape))
