"""Where rows of a data set come from: one simulator, configured in one way, on one workload, over one design space."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from archgym.metrics import Metric
from archgym.problem import Problem, ProblemSpec
from archgym.space import RANK_LIMIT, Codes, DesignSpace


@dataclass(frozen=True, eq=False)
class Source:
    """Rows of one source with the same design have the same metrics.

    Attributes:
        id: names it in the column ``source``: the start of the measurement's sha256.
        measurement: sha256 over all that a metric depends on (``Problem.measurement``); where the simulator that wrote
            a log is not at hand, the problem's fingerprint, which the objective is part of.
        problem: one of its problems, as plain data; others may have had other objectives and limits.
        simulator_version: of the simulator that measured.
        workload: names, joined with ``+``.
        space: the design space.
        metrics: column -> its declaration (``positive`` and the rest are guesses without the simulator).
        constraints: columns of violations.
        features: of the workload; empty without the simulator.
    """

    id: str
    measurement: str
    problem: ProblemSpec
    simulator_version: str
    workload: str
    space: DesignSpace
    metrics: Mapping[str, Metric]
    constraints: tuple[str, ...]
    features: Mapping[str, float]

    @classmethod
    def of(cls, problem: Problem) -> Source:
        """The source that evaluations of a problem belong to."""
        return cls(
            problem.measurement[:12],
            problem.measurement,
            problem.spec,
            problem.simulator.version,
            "+".join(w.name for w in problem.workloads),
            problem.space,
            problem.metrics,
            problem.constraint_names,
            problem.features,
        )

    @property
    def simulator(self) -> str:
        """Its registered name."""
        return self.problem.simulator

    @property
    def ranked(self) -> bool:
        """Whether the identity of a design is an integer; in a larger space it is text."""
        return self.space.size < RANK_LIMIT

    def designs(self, canonical: Codes) -> npt.NDArray[Any]:
        """The identity (n,) of canonical designs: their rank in the space, as int64 or as text."""
        if self.ranked:
            return self.space.keys(canonical)
        return np.array([str(rank) for rank in self.space.rank(canonical)], object)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data, the inverse of ``from_dict``."""
        return {
            "measurement": self.measurement,
            "problem": self.problem.to_dict(),
            "simulator_version": self.simulator_version,
            "workload": self.workload,
            "space": self.space.to_dict(),
            "metrics": {
                name: {"unit": m.unit, "doc": m.doc, "positive": m.positive, "maximise": m.maximise}
                for name, m in self.metrics.items()
            },
            "constraints": list(self.constraints),
            "features": dict(self.features),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Source:
        """The source that ``to_dict`` described."""
        return cls(
            data["measurement"][:12],
            data["measurement"],
            ProblemSpec.from_dict(data["problem"]),
            data["simulator_version"],
            data["workload"],
            DesignSpace.from_dict(data["space"]),
            {name: Metric(name, **declared) for name, declared in data["metrics"].items()},
            tuple(data["constraints"]),
            data["features"],
        )
