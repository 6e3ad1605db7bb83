"""A cheaper simulator of the same designs, whose error is easier to learn than the metrics themselves.

A model that learns ln(y / y0) from a lower fidelity y0 has to know only what that leaves out (M. Kennedy, A. O'Hagan,
"Predicting the output from a complex computer code when fast approximations are available", Biometrika 87, 2000, with
logarithms, as the errors of hardware models are factors).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Self

import numpy as np

from archgym import config as configs
from archgym.errors import UsageError
from archgym.registry import SIMULATORS
from archgym.restriction import Restriction
from archgym.simulator import Simulator
from archgym.space import Codes, DesignSpace
from archgym.workload import Workload

from .inputs import Floats


class LowerFidelity:
    """A simulator by its name and options.

    Args:
        name: registered, or ``"module:Class"``.
        sim: overrides of its Config.

    Raises:
        UnknownNameError: no such simulator.
        UsageError: a wrong option.
    """

    def __init__(self, name: str, sim: Mapping[str, Any]) -> None:
        cls = SIMULATORS.load(name)
        self.name, self.sim = name, dict(sim)
        self.simulator: Simulator = cls(configs.configure(cls.Config, self.sim, f"simulator {name}"))

    @classmethod
    def beside(cls, name: str, original: Simulator) -> Self:
        """The one whose options are those of another simulator, as far as both have them."""
        theirs = configs.to_json(original.config)
        shared = {f.name for f in dataclasses.fields(SIMULATORS.load(name).Config)}
        return cls(name, {key: value for key, value in theirs.items() if key in shared})

    def columns(self, codes: Codes, space: DesignSpace, workload: Workload) -> dict[str, Floats]:
        """Its metrics (n,) of designs (n, d) of a space with some of its levels.

        Raises:
            UsageError: it has other parameters, or levels are missing.
        """
        own = self.simulator.design_space(workload)
        if own.names != space.names:
            raise UsageError(
                f"lower fidelity {self.name}: expected a simulator of the parameters {', '.join(space.names)}, it has "
                f"{', '.join(own.names)}"
            )
        found = self.simulator.simulate(Restriction(own, space).lift(codes), workload)
        return {m.name: found[m.name].astype(np.float64) for m in self.simulator.metrics if m.positive}

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data: the arguments that make an equal one, and the version."""
        return {"name": self.name, "sim": self.sim, "version": self.simulator.version}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any] | None) -> Self | None:
        """The one that ``to_dict`` described; None of None.

        Raises:
            UsageError: its simulator has another version here.
        """
        if data is None:
            return None
        lower = cls(data["name"], data["sim"])
        if lower.simulator.version != data["version"]:
            raise UsageError(
                f"learnt beside {data['name']} version {data['version']}, this is version "
                f"{lower.simulator.version}: fit the proxy again"
            )
        return lower
