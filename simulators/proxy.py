"""A learnt cost model as a simulator: the designs, rules and metrics of the one that it learnt from, at its price.

Proxies are learnt by ``archgym proxy fit``. ``archgym run PROBLEM --proxy DIR`` and ``gymnasium.make(id, proxy=DIR)``
put one in the place of a problem's simulator; as ``proxy/WORKLOAD/OBJECTIVE`` with ``sim.model=DIR`` it goes wherever a
simulator does. It pays where a sample of the original costs more than a millisecond.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from archgym import config as configs
from archgym.errors import UsageError
from archgym.proxies.lower import LowerFidelity
from archgym.proxies.model import Prediction
from archgym.proxies.store import load_proxy
from archgym.registry import SIMULATORS
from archgym.restriction import Restriction
from archgym.simulator import Seeds, Simulator
from archgym.space import Codes, Columns, DesignSpace, Level
from archgym.workload import Workload

_IMPOSSIBLE, _OUTSIDE = 1, 2
_SURE = 0.9  # probability of being possible that a pessimist asks for
_DEVIATIONS = 1.6449  # from the middle of a normal distribution to the ends of its 90 % interval


@dataclass(frozen=True)
class ProxyConfig:
    """Which model.

    Attributes:
        model: folder that ``archgym proxy fit`` wrote; required.
        pessimistic: for a search that nobody corrects: metrics are the worse ends of their 90 % intervals, what is far
            from all that was learnt is impossible, and so is what is not possible with a probability of 0.9.
    """

    model: str = ""
    pessimistic: bool = False


class Proxy(Simulator):
    """Predicts what another simulator would return.

    The original stays in charge of what costs nothing: design space, canonical designs, baseline, objectives. Metrics
    are those that were learnt; the baseline's are the true ones, so that rewards have the same reference. A design is
    impossible where the model thinks so with a probability above one half; constraints are then as violated as
    predicted, relative to their limits, and satisfied otherwise.

    Attributes:
        model: the `archgym.proxies.model.ProxyModel`.
        original: the simulator that it learnt from.

    Raises:
        UsageError: no model given, none there, or one of several workloads at once, of a variant, or of another
            version of its simulator.
    """

    Config: ClassVar[type[ProxyConfig]] = ProxyConfig
    cost_seconds: ClassVar[float] = 3e-5
    config: ProxyConfig

    def __init__(self, config: ProxyConfig | None = None) -> None:
        super().__init__(config)
        if not self.config.model:
            raise UsageError("simulator proxy needs sim.model=DIR, a model that archgym proxy fit wrote")
        self.model, about = load_proxy(self.config.model)
        learnt = about.get("simulator")
        if learnt is None:
            raise UsageError(
                f"{self.config.model}: {about.get('why', 'it does not say which simulator it learnt from')}"
            )
        cls = SIMULATORS.load(learnt["name"])
        self.original: Simulator = cls(configs.configure(cls.Config, learnt["sim"], f"simulator {learnt['name']}"))
        if self.original.version != learnt["version"]:
            raise UsageError(
                f"{self.config.model} was learnt from {learnt['name']} version {learnt['version']}, this is version "
                f"{self.original.version}: fit it again"
            )
        self._lower = LowerFidelity.from_dict(about.get("lower"))
        self._features: tuple[str, ...] = tuple(about["features"])
        self._baselines: Mapping[str, Mapping[str, float]] = {
            w["fingerprint"]: w["metrics"] for w in learnt["workloads"]
        }
        self._names = ", ".join(w["name"] for w in learnt["workloads"])
        known = self.model.metric_names
        unknown = f"the proxy {self.config.model} has not learnt it; it has learnt {', '.join(known)}"
        vars(self).update(
            metrics=tuple(m for m in self.original.metrics if m.name in known),
            constraints=self.original.constraints,
            reasons=("", "expected to be impossible", "outside what the proxy has learnt"),
            objectives=self.original.objectives,
            accepts=self.original.accepts,
            absent={**self.original.absent, **{m.name: unknown for m in self.original.metrics if m.name not in known}},
            version=f"{learnt['name']} {learnt['version']} proxy {about['sha256'][:16]}",
        )

    def design_space(self, workload: Workload) -> DesignSpace:
        """The original's."""
        return self.original.design_space(workload)

    def baseline(self, workload: Workload) -> dict[str, Level]:
        """The original's."""
        return self.original.baseline(workload)

    def canonical(self, codes: Codes, workload: Workload) -> Codes:
        """The representative (n, d) of each design, as the original merges them among those that were learnt."""
        space = self.design_space(workload)
        restriction = Restriction(space, self.model.space)
        out = self.original.canonical(codes, workload).copy()  # which may be the argument itself
        lowered = restriction.lower(codes)
        known = np.all(lowered >= 0, axis=1)
        merged = restriction.merge(lowered[known], lambda full: self.original.canonical(full, workload))
        out[known] = restriction.lift(merged)
        return out

    def remarks(self, codes: Codes, workload: Workload) -> dict[str, npt.NDArray[Any]]:
        """What the model knows of its own error.

        Returns:
            Columns (n,): ``fidelity`` ("proxy"), ``p_feasible`` (probability that the design is possible), ``ood``
            (farther from all that was learnt than 99 % of the held-back designs), and of each metric ``std.NAME``, a
            standard deviation with which a normal distribution has the conformal 90 % interval ``low.NAME`` to
            ``high.NAME``.
        """
        learnt, known, exact = self._learnt(self.design_space(workload).check(codes), workload)
        rows = np.flatnonzero(known)
        x, features = learnt[rows], self._rows(len(rows), workload)
        found = self._predicted(x, workload)
        baseline = self._baselines.get(workload.fingerprint, {})
        out = {
            "fidelity": np.full(len(codes), "proxy", object),
            "p_feasible": _spread(found.p_valid, rows, len(codes), 0.0),
            "ood": _spread(self.model.ood(x, features).astype(np.float64), rows, len(codes), 1.0) > 0,
        }
        for name in self.model.metric_names:
            low, high = (_spread(ends[name], rows, len(codes)) for ends in (found.low, found.high))
            low[exact] = high[exact] = baseline.get(name, np.nan)
            out |= {f"std.{name}": (high - low) / (2.0 * _DEVIATIONS), f"low.{name}": low, f"high.{name}": high}
        out["p_feasible"][exact], out["ood"][exact] = 1.0, False
        return out

    def _simulate(self, designs: Columns, workload: Workload, seeds: Seeds | None) -> Columns:
        codes = self.design_space(workload).from_columns(designs)
        learnt, known, exact = self._learnt(codes, workload)
        rows = np.flatnonzero(known)
        found = self._predicted(learnt[rows], workload)
        impossible = _spread(found.p_valid, rows, len(codes), 1.0) < (_SURE if self.config.pessimistic else 0.5)
        if self.config.pessimistic:
            known[rows] &= ~self.model.ood(learnt[rows], self._rows(len(rows), workload))
        baseline = self._baselines.get(workload.fingerprint, {})
        out: dict[str, npt.NDArray[Any]] = {}
        for metric in self.metrics:
            worse = found.low if metric.maximise else found.high
            values = (worse if self.config.pessimistic else found.metrics)[metric.name]
            out[metric.name] = _spread(values, rows, len(codes))
            out[metric.name][exact] = baseline.get(metric.name, np.nan)
        for constraint in self.constraints:
            out |= self._slack(constraint.name, constraint.limit, found, rows, impossible & ~exact)
        reason = np.where(impossible, _IMPOSSIBLE, 0)
        out["reason"] = np.where(exact, 0, np.where(known, reason, _OUTSIDE))
        return out

    def _slack(
        self, name: str, limit: float | None, found: Prediction, rows: npt.NDArray[np.int64], impossible: Any
    ) -> Columns:
        """A constraint's column, and its limit's where that is not fixed: then slacks are relative to 1."""
        relative = np.nan_to_num(found.slacks.get(name, np.zeros(len(rows))))
        slack = _spread(relative, rows, len(impossible), 0.0)
        slack = np.where(impossible, slack, np.minimum(slack, 0.0))
        if limit is None:
            return {name: slack, f"{name}.limit": np.ones(len(impossible))}
        return {name: slack * (abs(limit) or 1.0)}

    def _learnt(self, codes: Codes, workload: Workload) -> tuple[Codes, npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
        """Designs (n, d) as the model knows them, which of them it can know, and which are the baseline."""
        if not self._features and workload.fingerprint not in self._baselines:
            raise UsageError(
                f"the proxy {self.config.model} has learnt workload {self._names}, not '{workload.name}'; one that is "
                "fitted to several tells them apart by their features"
            )
        space = self.design_space(workload)
        canonical = self.canonical(space.canonical(codes), workload)
        learnt = Restriction(space, self.model.space).lower(canonical)
        known = np.all(learnt >= 0, axis=1)
        exact = np.zeros(len(codes), np.bool_)
        if workload.fingerprint in self._baselines:
            baseline = space.canonical(space.encode([self.baseline(workload)]))
            exact = np.all(canonical == self.canonical(baseline, workload), axis=1)
        return learnt, known, exact

    def _predicted(self, learnt: Codes, workload: Workload) -> Prediction:
        """What the model says of designs (n, d) as it knows them."""
        lower = None if self._lower is None else self._lower.columns(learnt, self.model.space, workload)
        return self.model.predict(learnt, self._rows(len(learnt), workload), lower)

    def _rows(self, n: int, workload: Workload) -> npt.NDArray[np.float64] | None:
        """The workload's features (n, f), as many as the model asks for."""
        if not self._features:
            return None
        features = workload.features()
        if missing := [name for name in self._features if name not in features]:
            raise UsageError(
                f"the proxy {self.config.model} tells workloads apart by {', '.join(self._features)}; "
                f"'{workload.name}' has no {', '.join(missing)}"
            )
        return np.tile([features[name] for name in self._features], (n, 1))


def _spread(
    values: npt.NDArray[np.float64], rows: npt.NDArray[np.int64], n: int, empty: float = np.nan
) -> npt.NDArray[np.float64]:
    """A column (n,) with values in some rows."""
    out = np.full(n, empty)
    out[rows] = values
    return out
