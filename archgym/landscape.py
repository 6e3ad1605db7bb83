"""Landscapes: functions with a known difficulty as workloads of the simulator ``synthetic``; and named programs.

A landscape is a few numbers; what they mean is in `archgym.simulators.synthetic`. `Programs` is what a table was
measured on, where nothing but its name can be had.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from archgym.errors import UnknownNameError, UsageError

FAMILIES = ("ridge", "trap", "nk", "knapsack")


@dataclass(frozen=True)
class Landscape:
    """An integer function on a grid.

    Attributes:
        name: for people; no part of the content.
        family: which function: ridge, trap, nk or knapsack.
        parameters: number of parameters, at least 2.
        levels: of each parameter, at least 2.
        degree: of interaction: neighbours of a parameter (nk), parameters of a block (trap); else without meaning.
        seed: of the hidden optimum and of the tables.

    Raises:
        UnknownNameError: another family.
        UsageError: a number out of range.
    """

    kind: ClassVar[str] = "landscape"

    name: str
    family: str
    parameters: int
    levels: int
    degree: int = 2
    seed: int = 1

    def __post_init__(self) -> None:
        if self.family not in FAMILIES:
            raise UnknownNameError("family of landscapes", self.family, FAMILIES)
        sizes = (self.parameters, self.levels, self.degree, self.seed)
        if any(type(v) is not int for v in sizes):
            raise UsageError(f"landscape '{self.name}': expected integers for its sizes and seed, got {sizes}")
        if min(self.parameters, self.levels) < 2 or not 1 <= self.degree <= min(self.parameters - 1, 6):
            raise UsageError(
                f"landscape '{self.name}': expected at least 2 parameters of at least 2 levels, and a degree from 1 to "
                f"{min(self.parameters - 1, 6)}; got {self.parameters}, {self.levels} and {self.degree}"
            )

    @property
    def fingerprint(self) -> str:
        """sha256 of everything but the name."""
        return _digest({k: v for k, v in self.to_dict().items() if k != "name"})

    def features(self) -> dict[str, float]:
        """Sizes, and which family it is."""
        return {
            "parameters": float(self.parameters),
            "levels": float(self.levels),
            "degree": float(self.degree),
            **{f"is_{family}": float(family == self.family) for family in FAMILIES},
        }

    def to_dict(self) -> dict[str, Any]:
        """JSON form, the inverse of ``from_dict``."""
        return {"kind": self.kind, **{f.name: getattr(self, f.name) for f in fields(self)}}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Landscape:
        """The landscape that ``to_dict`` described."""
        return cls(**_fields(cls, data))


@dataclass(frozen=True)
class Programs:
    """Programs that somebody measured, known by name only: the workload of a table whose simulator nobody has.

    Attributes:
        name: of the set.
        source: who measured it.
    """

    kind: ClassVar[str] = "programs"

    name: str
    source: str = ""

    @property
    def fingerprint(self) -> str:
        """sha256 of the name, there is no other content."""
        return _digest({"kind": self.kind, "name": self.name})

    def features(self) -> dict[str, float]:
        """Nothing is known but that there is one set."""
        return {"sets": 1.0}

    def to_dict(self) -> dict[str, Any]:
        """JSON form, the inverse of ``from_dict``."""
        return {"kind": self.kind, "name": self.name, "source": self.source}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Programs:
        """The programs that ``to_dict`` described."""
        return cls(**_fields(cls, data))


def _fields(cls: type[Any], data: Mapping[str, Any]) -> dict[str, Any]:
    names = [f.name for f in fields(cls)]
    given = {k: v for k, v in data.items() if k != "kind"}
    if unknown := [k for k in given if k not in names]:
        raise UnknownNameError(f"field of a workload of kind {cls.kind}", unknown[0], names)
    if data.get("kind") != cls.kind or "name" not in given or not isinstance(given["name"], str):
        raise UsageError(f"expected a workload of kind {cls.kind} with a name, got {dict(data)!r}")
    try:
        return cls(**given) and given
    except TypeError as error:
        raise UsageError(f"workload of kind {cls.kind}: {error}") from None


def _digest(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
