"""Objectives: what is optimised and which budgets on metrics must hold, apart from any simulator.

The reward of a design is ``-sum_i w_i ln(metric_i / reference_i)``: 0 at the reference (the
baseline design), +0.69 where the product of powers is half of it. EDP has the weights (1, 1),
ED2P (1, 2). Weights and limits change without simulating again.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from archgym.errors import UnknownNameError, UsageError
from archgym.metrics import Metric

Floats = npt.NDArray[np.float64]

NAMED: dict[str, tuple[tuple[str, float], ...]] = {
    "latency": (("latency", 1.0),),
    "energy": (("energy", 1.0),),
    "edp": (("energy", 1.0), ("latency", 1.0)),
    "ed2p": (("energy", 1.0), ("latency", 2.0)),
}
TARGET_CAP = 1e6


@dataclass(frozen=True, slots=True)
class Term:
    """A metric in the objective; a negative weight maximises it."""

    metric: str
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Limit:
    """A budget on a metric, in the metric's unit: ``metric <= value`` or ``metric >= value``."""

    metric: str
    op: str
    value: float

    @classmethod
    def parse(cls, text: str) -> Limit:
        """A limit from text such as ``"area<=20"``.

        Raises:
            UsageError: not of that form, or a zero limit (violations are relative to it).
        """
        match = re.fullmatch(r"\s*([\w@.+-]+)\s*(<=|>=)\s*([^\s]+)\s*", text)
        try:
            name, op, value = match.groups() if match else ("", "", "")
            limit = cls(name, op, float(value))
        except ValueError:
            raise UsageError(f"limit: expected METRIC<=NUMBER or METRIC>=NUMBER, got '{text}'") from None
        if limit.value == 0 or not math.isfinite(limit.value):
            raise UsageError(f"limit '{text}': must be finite and not 0, violations are relative to it")
        return limit

    def __str__(self) -> str:
        return f"{self.metric}{self.op}{self.value!r}"


@dataclass(frozen=True, slots=True)
class Objective:
    """Terms to optimise and limits to keep.

    Attributes:
        name: what the user called it.
        terms: metrics with weights.
        limits: budgets on metrics.
        floor: the reward of every infeasible design, and the lowest reward of any.
        pareto: whether ``values`` holds one column per term (the reward is their equally weighted product).
        targets: for ``archgym-target`` only, metric -> target: the predecessor's reward
            target/|target - x| (Krishnan et al., ISCA 2023), kept for reproduction.
        relative: metrics whose target is a share of the baseline's (``energy=0.7x``).
        reference: metric -> value of the baseline design; set by ``with_reference``.
    """

    name: str
    terms: tuple[Term, ...]
    limits: tuple[Limit, ...] = ()
    floor: float = -20.0
    pareto: bool = False
    targets: tuple[tuple[str, float], ...] = ()
    relative: tuple[str, ...] = ()
    reference: tuple[tuple[str, float], ...] = ()

    @classmethod
    def parse(
        cls,
        text: str,
        metrics: Sequence[Metric],
        limits: Sequence[str] = (),
        *,
        aliases: Mapping[str, str] | None = None,
        absent: Mapping[str, str] | None = None,
    ) -> Objective:
        """An objective from its name, for a simulator that returns ``metrics``.

        ``latency energy edp ed2p``, any single metric, ``pareto:latency,energy,area``, or
        ``archgym-target:power=1,latency=0.8x`` (0.8 of the baseline's).

        Args:
            aliases: further names of single metrics, the simulator's own.
            absent: metrics that it has not as configured -> why.

        Raises:
            UnknownNameError: a metric or an objective that does not exist.
            UsageError: a metric that is absent, or that is not positive: it cannot be optimised on a log scale.
        """
        known = _Metrics(metrics, absent or {})
        alias = (aliases or {}).get(text)
        if alias is not None:
            return replace(cls.parse(alias, metrics, limits, absent=absent), name=text)
        parsed = tuple(Limit.parse(limit) for limit in limits)
        for limit in parsed:
            _known(limit.metric, known)
        kind, _, rest = text.partition(":")
        if kind == "pareto" and rest:
            terms = tuple(_term(name.strip(), 1.0, known) for name in rest.split(","))
            if len({t.metric for t in terms}) < 2:
                raise UsageError(f"'{text}': a Pareto objective needs at least two different metrics")
            return cls(text, terms, parsed, pareto=True)
        if kind == "archgym-target" and rest:
            items = [item.strip() for item in rest.split(",")]
            targets = tuple(_target(item.removesuffix("x"), known) for item in items)
            relative = tuple(m for item, (m, _) in zip(items, targets, strict=True) if item.endswith("x"))
            terms = tuple(Term(m) for m, _ in targets)
            return cls(text, terms, parsed, floor=0.0, targets=targets, relative=relative)
        if text in NAMED:
            return cls(text, tuple(_term(m, w, known) for m, w in NAMED[text]), parsed)
        if text.partition("@")[0] in known:
            return cls(text, (_term(text, 1.0, known),), parsed)
        if text.partition("@")[0] in known.absent:
            _known(text, known)
        raise UnknownNameError("objective", text, [*NAMED, *(aliases or {}), "pareto:METRIC,METRIC", *known])

    def with_reference(self, reference: Mapping[str, float]) -> Objective:
        """This objective measured against the metrics of a baseline design.

        Raises:
            UsageError: the baseline has no positive number for a term.
        """
        out = []
        for term in self.terms:
            value = float(reference[term.metric])
            if not (value > 0 and math.isfinite(value)):
                raise UsageError(
                    f"objective '{self.name}': the baseline's {term.metric} is {value}; it must be positive and finite"
                )
            out.append((term.metric, value))
        return replace(self, reference=tuple(out))

    @property
    def n_values(self) -> int:
        """Number of columns of ``values``."""
        return len(self.terms) if self.pareto else 1

    def reward(self, metrics: Mapping[str, Floats]) -> Floats:
        """The reward (n,), finite for every row: ``floor`` where a term is missing, zero or negative."""
        if self.targets:
            return self._target_reward(metrics)
        if not self.reference:
            raise UsageError("the objective has no reference yet; call with_reference first")
        total: Floats | None = None
        for term, (_, scale) in zip(self.terms, self.reference, strict=True):
            column = np.asarray(metrics[term.metric], np.float64)
            usable = (column > 0.0) & (column < np.inf)
            # math.log, not np.log: NumPy's vectorised version differs between CPUs in the last bit.
            logs = np.array([math.log(v) for v in np.where(usable, column, 1.0).tolist()], np.float64)
            part = np.where(usable, -term.weight * (logs - math.log(scale)), -np.inf)
            total = part if total is None else total + part
        assert total is not None
        return np.maximum(total, self.floor) + 0.0  # no negative zero

    def _target_reward(self, metrics: Mapping[str, Floats]) -> Floats:
        out = np.ones(len(next(iter(metrics.values()))))
        baseline = dict(self.reference)
        if self.relative and not baseline:
            raise UsageError("the objective has no reference yet; call with_reference first")
        for name, share in self.targets:
            target = share * baseline[name] if name in self.relative else share
            distance = np.abs(target - metrics[name])
            out = out * (abs(target) / np.maximum(distance, abs(target) / TARGET_CAP))  # capped at TARGET_CAP
        return np.where(np.isfinite(out), np.minimum(out, TARGET_CAP), self.floor)

    def values(self, metrics: Mapping[str, Floats]) -> Floats:
        """What is minimised (n, m): one column per term for ``pareto``, else the product of powers.

        In the metrics' own units (EDP in J s); a maximised metric appears negated in a Pareto
        objective and inverted in a product.
        """
        columns = [np.asarray(metrics[t.metric], np.float64) for t in self.terms]
        if self.pareto:
            signed = [c if t.weight > 0 else -c for c, t in zip(columns, self.terms, strict=True)]
            return np.stack(signed, axis=1)
        if self.targets:
            return -self._target_reward(metrics)[:, None]
        product = np.ones(len(columns[0]))
        for column, term in zip(columns, self.terms, strict=True):
            for _ in range(round(abs(term.weight))):  # repeated products are exact on every CPU, pow is not
                product = product * column if term.weight > 0 else product / column
        return product[:, None]

    def violations(self, metrics: Mapping[str, Floats]) -> Floats:
        """Relative violation of each limit (n, number of limits): (value - limit)/|limit|, satisfied where <= 0."""
        n = len(next(iter(metrics.values())))
        out = np.empty((n, len(self.limits)))
        for i, limit in enumerate(self.limits):
            excess = np.asarray(metrics[limit.metric]) - limit.value
            out[:, i] = (excess if limit.op == "<=" else -excess) / abs(limit.value)
        return out

    def to_dict(self) -> dict[str, Any]:
        """Content for hashing and headers: name, terms, limits, floor."""
        return {
            "name": self.name,
            "terms": [[t.metric, t.weight] for t in self.terms],
            "limits": [str(limit) for limit in self.limits],
            "floor": self.floor,
            "targets": [list(t) for t in self.targets],
            **({"relative": list(self.relative)} if self.relative else {}),
        }


class _Metrics(dict[str, Metric]):
    """Metrics by name, and why others are absent."""

    def __init__(self, metrics: Sequence[Metric], absent: Mapping[str, str]) -> None:
        super().__init__((m.name, m) for m in metrics)
        self.absent = absent


def _known(name: str, known: _Metrics) -> Metric:
    # metric@workload columns exist when a problem has several workloads
    base = name.partition("@")[0]
    if base in known.absent:
        raise UsageError(f"metric '{base}' is not available: {known.absent[base]}")
    if base not in known:
        raise UnknownNameError("metric", name, known)
    return known[base]


def _term(name: str, weight: float, known: _Metrics) -> Term:
    metric = _known(name, known)
    if not metric.positive:
        raise UsageError(f"metric '{name}' can be zero or negative, so its logarithm cannot be optimised")
    return Term(name, -weight if metric.maximise else weight)


def _target(item: str, known: _Metrics) -> tuple[str, float]:
    name, _, value = item.partition("=")
    _known(name, known)
    try:
        target = float(value)
    except ValueError:
        target = math.nan
    if target == 0 or not math.isfinite(target):
        raise UsageError(
            "archgym-target: expected METRIC=NUMBER, or METRIC=NUMBERx for a share of the baseline's, finite and "
            f"not 0, got '{item}'"
        )
    return name, target
