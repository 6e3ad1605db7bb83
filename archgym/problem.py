"""A problem: a simulator, workloads and an objective, seen as one function from codes to scores."""

from __future__ import annotations

import functools
import hashlib
import itertools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from archgym import config as configs
from archgym import rng
from archgym.errors import UnknownNameError, UsageError
from archgym.evaluation import Evaluation
from archgym.metrics import Metric
from archgym.objective import Objective
from archgym.registry import SIMULATORS
from archgym.restriction import Restriction
from archgym.simulator import Simulator
from archgym.space import Codes, DesignSpace, Level
from archgym.variant import disguised, split_variant
from archgym.workload import Workload, is_workload_file, load_workload, workload_from_dict

AGGREGATES = ("geomean", "sum", "worst", "weighted")


@dataclass(frozen=True)
class ProblemSpec:
    """What to optimise, as plain data: names and numbers that survive JSON.

    Attributes:
        simulator: registered name or ``"module:Class"``.
        workloads: names, or the content of a workload (``Workload.to_dict()``) for one that came from a file.
        objective: as ``Objective.parse`` reads it.
        aggregate: how each metric of several workloads becomes one: geomean, sum (one after the other),
            worst, or weighted (arithmetic mean with ``weights``). Every metric on its own: aggregated
            parts need not add up to the aggregated whole.
        weights: one per workload, for ``weighted``.
        sim: overrides of the simulator's Config.
        space: parameter -> the levels to keep (or text, separated by commas).
        limits: budgets on metrics, such as ``"area<=20"``.
        variant: 0, or which disguise of the space agents see: a categorical parameter's levels in another order,
            an ordered one's perhaps from the other end (see `archgym.variant`). Designs keep their metrics, so that
            an agent that does worse had profited from how levels happen to be numbered.
    """

    simulator: str
    workloads: tuple[str | Mapping[str, Any], ...]
    objective: str = "edp"
    aggregate: str = "geomean"
    weights: tuple[float, ...] = ()
    sim: Mapping[str, Any] = field(default_factory=dict)
    space: Mapping[str, Sequence[Level] | str] = field(default_factory=dict)
    limits: tuple[str, ...] | str = ()
    variant: int = 0

    def __post_init__(self) -> None:
        if isinstance(self.limits, str):  # one limit is not a list of letters
            object.__setattr__(self, "limits", (self.limits,))
        if type(self.variant) is not int or self.variant < 0:
            raise UsageError(f"variant: expected 0 (none) or the number of one, got {self.variant!r}")

    @classmethod
    def parse(cls, text: str, *, workload: str | Sequence[str] | None = None, **options: Any) -> ProblemSpec:
        """A problem from ``"simulator/workload/objective"``; several workloads are joined with ``+``.

        Args:
            text: ``"systolic/resnet50/edp"``, or ``"systolic/edp"`` when ``workload`` is given; either may end in
                ``~N`` for variant N.
            workload: path or paths of workload files; their content becomes part of the spec.
            options: the other fields.

        Raises:
            UsageError: the text does not have that form.
        """
        text, variant = split_variant(text)
        if variant:
            options = {**options, "variant": variant}
        head, *parts = text.split("/", 1 if workload is not None else 2)
        if len(parts) != (1 if workload is not None else 2) or not all([head, *parts]):
            form = "simulator/objective (with a workload file)" if workload else "simulator/workload/objective"
            example = "systolic/edp" if workload else "systolic/resnet50/edp"
            raise UsageError(f"problem: expected {form}, such as {example}; got '{text}'")
        if workload is not None and "/" in parts[0].partition(":")[0]:
            raise UsageError(
                f"problem: with a workload file give simulator/objective, such as {head}/edp; got '{text}'"
            )
        if unknown := [key for key in options if key not in cls.__dataclass_fields__]:
            raise UnknownNameError("option of a problem", unknown[0], cls.__dataclass_fields__)
        names = tuple(parts[0].split("+"))
        if workload is not None:
            names = (workload,) if isinstance(workload, str) else tuple(workload)
        return cls(head, names, parts[-1], **options).embedded()

    def embedded(self) -> ProblemSpec:
        """This spec with workload files replaced by their content, so that it means the same anywhere."""
        loaded: list[str | Mapping[str, Any]] = []
        for entry in self.workloads:
            is_file = isinstance(entry, str) and ("/" in entry or is_workload_file(entry))
            loaded.append(load_workload(entry).to_dict() if isinstance(entry, str) and is_file else entry)
        return replace(self, workloads=tuple(loaded))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data, the inverse of ``from_dict``."""
        return {
            "simulator": self.simulator,
            "workloads": [w if isinstance(w, str) else dict(w) for w in self.workloads],
            "objective": self.objective,
            "aggregate": self.aggregate,
            "weights": list(self.weights),
            "sim": dict(self.sim),
            "space": {k: v if isinstance(v, str) else list(v) for k, v in self.space.items()},
            "limits": list(self.limits),
            **({"variant": self.variant} if self.variant else {}),  # older studies keep their hash
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ProblemSpec:
        """The spec that ``to_dict`` described."""
        return cls(
            data["simulator"],
            tuple(data["workloads"]),
            data["objective"],
            data["aggregate"],
            tuple(data["weights"]),
            dict(data["sim"]),
            {k: v if isinstance(v, str) else tuple(v) for k, v in data["space"].items()},
            tuple(data["limits"]),
            data.get("variant", 0),
        )

    @property
    def label(self) -> str:
        """``simulator/workload/objective``, and ``~N`` of a variant, for people and folder names."""
        names = "+".join(w if isinstance(w, str) else str(w["name"]) for w in self.workloads)
        return f"{self.simulator}/{names}/{self.objective}" + (f"~{self.variant}" if self.variant else "")


class Problem:
    """The working form of a ``ProblemSpec``.

    Attributes:
        spec: with every option converted from text to its type.
        simulator, workloads, objective: the parts.
        space: the design space that agents see (restricted, with the simulator's canonicalisation).
        metric_names: metrics of every evaluation; with several workloads the aggregates, then ``metric@workload``.
        slack_names: the physical constraints; with several workloads ``constraint@workload``.
        constraint_names: columns of ``Evaluation.violations``: physical constraints, then limits.
        baseline: the simulator's baseline design.
        baseline_metrics: its metrics; what rewards are measured against.

    Raises:
        UnknownNameError: an unknown part; the nearest known name is suggested.
        UsageError: a wrong option, level or combination.
    """

    def __init__(self, spec: ProblemSpec | str) -> None:
        spec = ProblemSpec.parse(spec) if isinstance(spec, str) else spec
        self.simulator: Simulator = _simulator(spec)
        self.workloads: tuple[Workload, ...] = tuple(
            load_workload(w) if isinstance(w, str) else workload_from_dict(w) for w in spec.workloads
        )
        self._weights = _weights(spec)
        self._tags = _tags(self.workloads)
        self.metric_names = self._with_workloads([m.name for m in self.simulator.metrics], aggregate=True)
        self.slack_names = self._with_workloads([c.name for c in self.simulator.constraints], aggregate=False)
        self.full_space = self.simulator.design_space(self.workloads[0])
        if any(self.simulator.design_space(w).fingerprint != self.full_space.fingerprint for w in self.workloads[1:]):
            raise UsageError(f"{spec.label}: the simulator has different design spaces for these workloads")
        self.spec = self._normalised(spec)
        self.space = self._restricted()
        objective = Objective.parse(
            spec.objective,
            self.simulator.metrics,
            spec.limits,
            aliases=self.simulator.objectives,
            absent=self.simulator.absent,
        )
        for name in [t.metric for t in objective.terms] + [limit.metric for limit in objective.limits]:
            if name not in self.metric_names:
                raise UnknownNameError("metric", name, self.metric_names)
        self.baseline = self.simulator.baseline(self.workloads[0])
        self.baseline_metrics = self._baseline_metrics()
        self.objective = objective.with_reference(self.baseline_metrics)
        self.constraint_names = (*self.slack_names, *(str(limit) for limit in objective.limits))

    @classmethod
    def parse(cls, text: str, **options: Any) -> Problem:
        """``Problem(ProblemSpec.parse(text, **options))``."""
        return cls(ProblemSpec.parse(text, **options))

    def __repr__(self) -> str:
        return f"Problem({self.spec.label}; {self.space.size:.3g} designs)"

    @property
    def metrics(self) -> dict[str, Metric]:
        """Metric column -> its declaration."""
        known = {m.name: m for m in self.simulator.metrics}
        return {name: known[name.partition("@")[0]] for name in self.metric_names}

    @property
    def cost_seconds(self) -> float:
        """Declared seconds for one design over all workloads."""
        return self.simulator.cost_seconds * len(self.workloads)

    @functools.cached_property
    def features(self) -> dict[str, float]:
        """Finite numbers that describe the workload, in a fixed order; of several workloads the means."""
        each = [w.features() for w in self.workloads]
        names = [name for name in each[0] if all(name in features for features in each)]
        return {name: math.fsum(f[name] for f in each) / len(each) for name in names}

    @functools.cached_property
    def fingerprint(self) -> str:
        """sha256 over everything that can change a number: versions, options and content, no paths or names."""
        return self._digest(self.space.fingerprint, self.objective.to_dict())

    @property
    def measurement(self) -> str:
        """sha256 over everything that a metric of a design depends on: the fingerprint without the objective."""
        return self._digest(self.space.fingerprint, None)

    @property
    def variant_of(self) -> str:
        """Fingerprint of the problem that this one is a variant of; its own if it is none.

        Both have the same designs with the same metrics, hence the same optimum and Pareto front.
        """
        if not self.spec.variant:
            return self.fingerprint
        return self._digest(self._undisguised.fingerprint, self.objective.to_dict())

    def _digest(self, space: str, objective: Mapping[str, Any] | None) -> str:
        content = {
            "simulator": [self.spec.simulator, self.simulator.version, configs.to_json(self.simulator.config)],
            "workloads": [w.fingerprint for w in self.workloads],
            "tags": self._tags if len(self.workloads) > 1 else [],
            "aggregate": [self.spec.aggregate, self._weights] if len(self.workloads) > 1 else [],
            "objective": objective,
            "baseline": self.baseline,
            "space": space,
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    # ---- evaluation --------------------------------------------------------------------

    def simulate(self, codes: Codes, seeds: npt.NDArray[np.int64] | None = None) -> dict[str, npt.NDArray[Any]]:
        """Run the simulator on every workload.

        Args:
            codes: (n, d) rows of ``space``.
            seeds: (n,) int64 for simulators that are not deterministic.

        Returns:
            Columns: one per name in ``metric_names``, the physical slacks and their limits, ``reason``.
        """
        return self._simulate_full(self.lift(codes), seeds)

    def _simulate_full(self, full: Codes, seeds: npt.NDArray[np.int64] | None) -> dict[str, npt.NDArray[Any]]:
        parts = [self.simulator.simulate(full, w, seeds=seeds) for w in self.workloads]
        if len(parts) == 1:
            return parts[0]
        out: dict[str, npt.NDArray[Any]] = {}
        for metric in self.simulator.metrics:
            columns = np.stack([part[metric.name].astype(np.float64) for part in parts], axis=1)
            out[metric.name] = _aggregate(columns, metric, self.spec.aggregate, self._weights)
        for part, tag in zip(parts, self._tags, strict=True):
            out.update({f"{name}@{tag}": column for name, column in part.items() if name != "reason"})
        reason = parts[0]["reason"]
        for part in parts[1:]:
            reason = np.where(reason != 0, reason, part["reason"])
        return {**out, "reason": reason}

    def score(self, codes: Codes, columns: Mapping[str, npt.NDArray[Any]]) -> Evaluation:
        """Turn simulated columns into an Evaluation: rewards, values, violations, feasibility.

        An infeasible design keeps its slacks and its reason, and has no metrics (NaN).
        """
        n = len(codes)
        slack = np.empty((n, len(self.slack_names)))
        for i, name in enumerate(self.slack_names):
            limit = self._slack_limit(name, columns)
            slack[:, i] = columns[name] / np.where(limit == 0, 1.0, np.abs(limit))
        reason = np.asarray(columns["reason"], np.int64)
        possible = (slack <= 0).all(axis=1) & (reason == 0)
        if self.space.allowed:
            possible &= self.space.is_allowed(codes)
        table = np.empty((n, len(self.metric_names)))
        for i, name in enumerate(self.metric_names):
            table[:, i] = columns[name]
        table[~possible] = np.nan
        table[~np.isfinite(table)] = np.nan  # "no such number" has one spelling, and JSON can write it
        return self.judge(codes, table, slack, reason, possible)

    def judge(
        self,
        codes: Codes,
        table: npt.NDArray[np.float64],
        slack: npt.NDArray[np.float64],
        reason: npt.NDArray[np.int64],
        possible: npt.NDArray[np.bool_],
    ) -> Evaluation:
        """What the objective and its limits make of metrics.

        Args:
            codes: (n, d).
            table: (n, len(metric_names)); NaN where there is no such number.
            slack: (n, len(slack_names)) of the physical constraints, relative to their limits.
            reason: (n,) codes of the simulator's ``reasons``.
            possible: (n,) whether no physical constraint or rule is broken.
        """
        metrics = {name: table[:, i] for i, name in enumerate(self.metric_names)}
        limits = self.objective.violations(metrics)
        values = self.objective.values(metrics)
        feasible = possible & (limits <= 0).all(axis=1) & ~np.isnan(values).any(axis=1)
        reward = np.where(feasible, self.objective.reward(metrics), self.objective.floor)
        return Evaluation(
            codes,
            self.metric_names,
            table,
            reward,
            values,
            np.concatenate([slack, limits], axis=1),
            feasible,
            reason,
            np.zeros(len(codes), np.bool_),
        )

    def evaluate(self, codes: Codes, seeds: npt.NDArray[np.int64] | None = None) -> Evaluation:
        """``score(codes, simulate(codes))``."""
        codes = self.space.check(codes)
        return self.score(codes, self.simulate(codes, seeds))

    def remarks(self, codes: Codes) -> dict[str, npt.NDArray[Any]]:
        """What the simulator remarks on designs (n, d) beside their metrics: columns; ``NAME@WORKLOAD`` of several."""
        if type(self.simulator).remarks is Simulator.remarks:
            return {}
        full = self.lift(codes)
        each = [self.simulator.remarks(full, w) for w in self.workloads]
        if len(each) == 1:
            return each[0]
        return {
            f"{name}@{tag}": column for tag, part in zip(self._tags, each, strict=True) for name, column in part.items()
        }

    def explain(self, evaluation: Evaluation, row: int) -> str:
        """Why a row is infeasible, in words; "" if it is feasible."""
        return self.reasons(evaluation.take(slice(row, row + 1)))[0]

    def reasons(self, evaluation: Evaluation) -> list[str]:
        """Why each row is infeasible, in words; "" where it is feasible."""
        out = np.full(len(evaluation), "", object)
        given = ~evaluation.feasible & (evaluation.reason != 0)
        out[given] = np.array(self.simulator.reasons, object)[evaluation.reason[given]]
        rest = np.flatnonzero(~evaluation.feasible & (evaluation.reason == 0))
        allowed = self.space.is_allowed(evaluation.codes[rest]) if self.space.allowed and len(rest) else None
        texts: dict[bytes, str] = {}  # few combinations of constraints occur
        for k, (i, broken) in enumerate(zip(rest.tolist(), ~(evaluation.violations[rest] <= 0), strict=True)):
            if (key := broken.tobytes()) not in texts:
                names = ", ".join(itertools.compress(self.constraint_names, broken))
                texts[key] = f"violates {names}" if names else "the objective has no number here"
            ruled_out = allowed is not None and not allowed[k]
            out[i] = "violates a static rule of the design space" if ruled_out else texts[key]
        return out.tolist()

    # ---- construction ------------------------------------------------------------------

    def lift(self, codes: Codes) -> Codes:
        """Codes of ``space`` as codes of the simulator's unrestricted space."""
        return self._restriction.lift(codes)

    def _normalised(self, spec: ProblemSpec) -> ProblemSpec:
        """The spec with text converted to what it means, so that equal problems have equal specs."""
        options = configs.to_json(self.simulator.config)
        typed = {**configs.flat(options), **options}  # an option of an option has two spellings
        space: dict[str, tuple[Level, ...]] = {}
        for name, levels in spec.space.items():
            p = self.full_space[name]
            wanted: Sequence[Level] = levels.split(",") if isinstance(levels, str) else levels
            space[name] = tuple(p.levels[p.index(level)] for level in wanted)
        return replace(spec, sim={key: typed[key] for key in spec.sim}, space=space)

    def _restricted(self) -> DesignSpace:
        levels: Any = self.spec.space  # converted by _normalised
        self._undisguised = space = self.full_space.restrict(levels) if levels else self.full_space
        if self.spec.variant:
            space = self.full_space.restrict(disguised(space, self.spec.variant))
        self._restriction = restriction = Restriction(self.full_space, space)
        if type(self.simulator).canonical is Simulator.canonical:
            return space
        return space.with_merge(functools.partial(restriction.merge, canonical=self._merged))

    def _merged(self, full: Codes) -> Codes:
        """The simulator's canonicalisation of codes of its whole space, where every workload agrees."""
        first, *others = (self.simulator.canonical(full, w) for w in self.workloads)
        agreed = np.ones(len(full), np.bool_)
        for other in others:
            agreed &= np.all(other == first, axis=1)
        return np.where(agreed[:, None], first, full)

    def _baseline_metrics(self) -> dict[str, float]:
        seeds = rng.stream_seeds(0, "baseline", 0, 1)  # of no study, so that the reference belongs to the problem
        columns = self._simulate_full(self.full_space.encode([self.baseline]), seeds)
        bad = [n for n in self.slack_names if columns[n][0] > 0]
        if bad or columns["reason"][0]:
            why = ", ".join(bad) or self.simulator.reasons[int(columns["reason"][0])]
            raise UsageError(
                f"{self.spec.label}: the baseline design {self.baseline} is infeasible here ({why}); "
                "rewards would have no reference"
            )
        return {name: float(columns[name][0]) for name in self.metric_names}

    def _with_workloads(self, names: list[str], *, aggregate: bool) -> tuple[str, ...]:
        if len(self.workloads) == 1:
            return tuple(names)
        each = [f"{name}@{tag}" for tag in self._tags for name in names]
        return tuple(names + each if aggregate else each)

    def _slack_limit(self, name: str, columns: Mapping[str, npt.NDArray[Any]]) -> npt.NDArray[Any] | float:
        base, at, tag = name.partition("@")
        fixed = next(c.limit for c in self.simulator.constraints if c.name == base)
        return columns[f"{base}.limit{at}{tag}"] if fixed is None else fixed


def _simulator(spec: ProblemSpec) -> Simulator:
    cls = SIMULATORS.load(spec.simulator)
    if not (isinstance(cls, type) and issubclass(cls, Simulator)):
        raise UsageError(f"'{spec.simulator}' is not a Simulator class")
    return cls(configs.configure(cls.Config, spec.sim, f"simulator {spec.simulator}"))


def _tags(workloads: tuple[Workload, ...]) -> list[str]:
    tags = [w.name for w in workloads]
    if len(set(tags)) != len(tags):
        raise UsageError(f"workloads repeat: {', '.join(tags)}")
    return tags


def _weights(spec: ProblemSpec) -> list[float]:
    if spec.aggregate not in AGGREGATES:
        raise UnknownNameError("aggregate", spec.aggregate, AGGREGATES)
    if not spec.workloads:
        raise UsageError("a problem needs at least one workload")
    if spec.aggregate != "weighted":
        return []
    if len(spec.weights) != len(spec.workloads) or min(spec.weights) <= 0:
        raise UsageError(f"aggregate weighted: expected {len(spec.workloads)} positive weights, got {spec.weights}")
    total = math.fsum(spec.weights)
    return [w / total for w in spec.weights]


def _aggregate(
    columns: npt.NDArray[np.float64], metric: Metric, how: str, weights: list[float]
) -> npt.NDArray[np.float64]:
    """One column (n,) from (n, workloads). Explicit loops over the short axis keep rows independent."""
    n, k = columns.shape
    adds_up = how == "sum" and metric.additive
    same: list[bool] = np.all(columns == columns[:, :1], axis=1).tolist()
    out = np.empty(n)
    rows = columns.tolist()
    for i in range(n):
        if same[i] and not adds_up:  # e.g. area: exactly the common value
            out[i] = rows[i][0]
        elif how == "worst":
            out[i] = (min if metric.maximise else max)(rows[i])
        elif how == "sum":  # what does not add up (utilisation, power) is averaged
            out[i] = math.fsum(rows[i]) / (1 if adds_up else k)
        elif how == "weighted":
            out[i] = math.fsum(w * v for w, v in zip(weights, rows[i], strict=True))
        elif metric.positive:
            valid = all(v > 0 for v in rows[i])
            out[i] = math.exp(math.fsum(math.log(v) for v in rows[i]) / k) if valid else math.nan
        else:  # a geometric mean needs positive numbers
            out[i] = math.fsum(rows[i]) / k
    return out
