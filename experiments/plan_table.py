"""Typed access to the tables of a TOML document, with the place of everything that is wrong in the message."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from archgym.errors import UnknownNameError, UsageError


@contextmanager
def at(where: str) -> Iterator[None]:
    """Put a place in front of the message of what is wrong there."""
    try:
        yield
    except UsageError as error:
        error.args = (f"{where}: {error}",)
        raise


@dataclass(frozen=True)
class Table:
    """A table and where it stands.

    Attributes:
        data: its content.
        file, path: such as ``"plan.toml"`` and ``"grid[1]"``; the path of the top is empty.
        defaults: keys that come from another table if they are missing here.
    """

    data: Mapping[str, Any]
    file: str
    path: str
    defaults: Mapping[str, Table] = field(default_factory=dict)

    def where(self, key: str = "", index: int | None = None) -> str:
        """``"plan.toml: grid[1].seeds[0]"``; a key from another table stands there."""
        if key and key not in self.data and key in self.defaults:
            return self.defaults[key].where(key, index)
        parts = ".".join(part for part in (self.path, key) if part)
        place = f"{parts}[{index}]" if index is not None else parts
        return f"{self.file}: {place}" if place else self.file

    def has(self, key: str) -> bool:
        """Whether there is a value, here or as a default."""
        return key in self.data or key in self.defaults

    def _get(self, key: str, default: Any = None) -> Any:
        if key not in self.data and key in self.defaults:
            return self.defaults[key].data[key]
        return self.data.get(key, default)

    def check_fields(self, kind: str, known: tuple[str, ...]) -> None:
        """UnknownNameError for the first key that is not known."""
        with at(self.where()):
            for key in self.data:
                if key not in known:
                    raise UnknownNameError(kind, key, known)

    def below(self, key: str, name: str) -> Table:
        """The table ``[key.name]``."""
        value = self.data[key][name]
        place = Table({}, self.file, f"{key}.{name}")
        if not isinstance(value, dict):
            raise UsageError(f"{place.where()}: expected a table, got {value!r}")
        return replace(place, data=value)

    def table(self, key: str) -> dict[str, Any]:
        """A table; empty if missing."""
        value = self._get(key, {})
        if not isinstance(value, dict):
            raise UsageError(f"{self.where(key)}: expected a table, got {value!r}")
        return value

    def text(self, key: str, default: str) -> str:
        """Text."""
        value = self._get(key, default)
        if not isinstance(value, str):
            raise UsageError(f"{self.where(key)}: expected text, got {value!r}")
        return value

    def items(self, key: str) -> list[Any]:
        """A list that is not empty."""
        value = self._get(key)
        if not isinstance(value, list):
            raise UsageError(f"{self.where(key)}: expected a list, got {_shown(value)}")
        if not value:
            raise UsageError(f"{self.where(key)}: expected at least one, got an empty list")
        return value

    def texts(self, key: str) -> list[str]:
        """A list of text that is not empty."""
        for i, value in enumerate(values := self.items(key)):
            if not isinstance(value, str):
                raise UsageError(f"{self.where(key, i)}: expected text, got {value!r}")
        return values

    def count(self, key: str, default: int | None = None) -> int:
        """A whole number from 1."""
        value = self._get(key, default)
        if type(value) is not int or value < 1:
            raise UsageError(f"{self.where(key)}: expected a whole number from 1, got {_shown(value)}")
        return value

    def counts(self, key: str) -> tuple[int, ...]:
        """A whole number from 1, or a list of them."""
        if not isinstance(self._get(key), list):
            return (self.count(key),)
        for i, value in enumerate(values := self.items(key)):
            if type(value) is not int or value < 1:
                raise UsageError(f"{self.where(key, i)}: expected a whole number from 1, got {value!r}")
        return tuple(values)

    def seeds(self, key: str) -> range | tuple[int, ...]:
        """How many, or a list of whole numbers from 0."""
        value = self._get(key)
        if type(value) is int and 1 <= value <= 10**9:
            return range(value)
        if not isinstance(value, list) or not value or not all(type(seed) is int and seed >= 0 for seed in value):
            raise UsageError(
                f"{self.where(key)}: expected how many (1 to 1e9) or a list of numbers from 0, got {_shown(value)}"
            )
        return tuple(value)


def _shown(value: Any) -> str:
    return "nothing" if value is None else repr(value)
