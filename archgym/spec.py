"""What a study is, as plain data: the content of ``spec.json`` and the hash that names it."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

from archgym.errors import UnknownNameError, UsageError
from archgym.evaluation import TRACKS
from archgym.problem import Problem, ProblemSpec

_version = functools.cache(version)  # parses a file each time
FORMAT = 1
EXTERNAL = "external"  # the agent is somebody's own loop around an environment


@dataclass(frozen=True)
class StudySpec:
    """One agent on one problem under one budget and seed.

    Attributes:
        problem: what is optimised.
        agent: registered name, ``"module:Class"``, ``"wrapper(agent)"``, or ``"external"``.
        config: overrides of the agent's hyperparameters.
        budget: samples; None (external agents only) is unlimited.
        batch: designs asked per step; part of the spec, it never follows the number of workers.
        track: ``"grey"`` or ``"scalar"``.
        seed: of every random stream.
        parent: hash of the study whose rows were told to the agent first, or "".
        prior: sha256 of the rows of other logs that it began with (``prior.json``), or "".
    """

    problem: ProblemSpec
    agent: str = "genetic"
    config: Mapping[str, Any] = field(default_factory=dict)
    budget: int | None = 1000
    batch: int = 10
    track: str = "grey"
    seed: int = 0
    parent: str = ""
    prior: str = ""

    def __post_init__(self) -> None:
        for name, value in (("budget", self.budget), ("batch", self.batch), ("seed", self.seed)):
            if (type(value) is not int) and not (name == "budget" and value is None):
                raise UsageError(f"{name}: expected an integer, got {value!r}")
        if self.budget is not None and self.budget < 1:
            raise UsageError(f"budget: expected at least 1 sample, got {self.budget}")
        if self.batch < 1:
            raise UsageError(f"batch: expected at least 1, got {self.batch}")
        if self.track not in TRACKS:
            raise UnknownNameError("track", self.track, TRACKS)

    @property
    def agent_label(self) -> str:
        """The agent, its overridden hyperparameters, and whether it had a prior: ``genetic (population=8)``."""
        known = ["prior"] if self.prior else []
        shown = ", ".join([f"{key}={value}" for key, value in sorted(self.config.items())] + known)
        return f"{self.agent} ({shown})" if shown else self.agent

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data, the inverse of ``from_dict``."""
        return {
            "problem": self.problem.to_dict(),
            "agent": self.agent,
            "config": dict(self.config),
            "budget": self.budget,
            "batch": self.batch,
            "track": self.track,
            "seed": self.seed,
            "parent": self.parent,
            **({"prior": self.prior} if self.prior else {}),  # studies without one keep their hash
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> StudySpec:
        """The spec that ``to_dict`` described."""
        return cls(**{**data, "problem": ProblemSpec.from_dict(data["problem"])})

    def hash(self, problem: Problem) -> str:
        """sha256 over everything that can change the log: content and versions, no paths."""
        content = {**self.to_dict(), "problem": problem.fingerprint}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def header(self, problem: Problem) -> dict[str, Any]:
        """The content of ``spec.json``: the spec, its hash, and what a reader needs to use the rows alone."""
        return {
            "format": FORMAT,
            "archgym": _version("archgym"),
            "label": f"{self.problem.label} {self.agent} seed {self.seed}",
            "hash": self.hash(problem),
            "study": self.to_dict(),
            "problem": {
                "fingerprint": problem.fingerprint,
                **({"variant_of": problem.variant_of} if self.problem.variant else {}),
                "simulator_version": problem.simulator.version,
                "workloads": {w.name: w.fingerprint for w in problem.workloads},
                "space": problem.space.to_dict(),
                "metrics": {name: metric.unit for name, metric in problem.metrics.items()},
                "constraints": list(problem.constraint_names),
                "objective": problem.objective.to_dict(),
                "baseline": problem.baseline,
                "reference": dict(problem.objective.reference),
            },
        }
