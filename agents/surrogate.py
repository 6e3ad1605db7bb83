"""What a search believes about designs that it has not tried: one Gaussian process a number, put together afterwards.

On the grey track every metric of the objective and every constraint has a model of its own, on the scale on which it
is smooth (metrics are products of powers of the parameters, hence logarithms), and the objective is composed of their
predictions: R. Astudillo, P. Frazier, "Bayesian Optimization of Composite Functions", ICML 2019. Weights and limits
may change without another fit. On the scalar track reward and feasibility are all there is.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import log_ndtr

from archgym.evaluation import Evaluation
from archgym.objective import Objective
from archgym.proxies.gaussian_process import GaussianProcess, Lattice, Posterior
from archgym.space import Codes, DesignSpace

from .prior_mean import PriorMean

Floats = npt.NDArray[np.float64]

_SLACKEST = 1e-3  # of a capacity: needs below it are all the same
_FIRST = 20  # steps of the first search for hyperparameters


@dataclass(frozen=True, eq=False)
class Target:
    """One number to model.

    Attributes:
        name: unique.
        y: (n,), NaN where a row does not have it.
        bound: rows are feasible only where y <= bound; None for no such condition.
    """

    name: str
    y: Floats
    bound: float | None = None


class Belief:
    """Predictions for designs.

    Args:
        terms: name -> posterior, the parts of what is optimised; empty while one of them has never been observed.
        bounds: (posterior, bound) of every condition that has been broken so far.
        weights: name -> weight of a part in what is maximised.
    """

    def __init__(
        self, terms: Mapping[str, Posterior], bounds: list[tuple[Posterior, float]], weights: Mapping[str, float]
    ) -> None:
        self.terms, self.bounds, self.weights = terms, bounds, weights

    def reward(self) -> tuple[Floats, Floats]:
        """Mean and standard deviation (n,) of the weighted sum of the parts, taken as independent."""
        mean = sum(w * self.terms[name].mean for name, w in self.weights.items())
        variance = sum((w * self.terms[name].sd) ** 2 for name, w in self.weights.items())
        return np.asarray(mean), np.sqrt(np.asarray(variance))

    def costs(self) -> tuple[Floats, Floats]:
        """Means and standard deviations (n, m) of the parts as costs, one column a part."""
        mean = np.stack([-w * self.terms[name].mean for name, w in self.weights.items()], axis=1)
        sd = np.stack([abs(w) * self.terms[name].sd for name, w in self.weights.items()], axis=1)
        return mean, sd

    def log_feasible(self, n: int) -> Floats:
        """Logarithm (n,) of the probability that all conditions hold, taken as independent."""
        out = np.zeros(n)
        for posterior, bound in self.bounds:
            out += log_ndtr((bound - posterior.mean) / posterior.sd)
        return out

    def believe(self, i: int) -> None:
        """Suppose that design i turned out as predicted."""
        posteriors = [*self.terms.values(), *(p for p, _ in self.bounds)]
        for posterior in {id(p): p for p in posteriors}.values():
            posterior.believe(i)


class Surrogate:
    """Models of everything that decides about a design.

    Args:
        space: of the designs.
        objective: what is optimised; None on the scalar track.
    """

    def __init__(self, space: DesignSpace, objective: Objective | None) -> None:
        self.lattice = Lattice.of(space)
        # archgym-target rewards are no sum of logarithms: there the reward is modelled as it is.
        self._objective = None if objective is None or objective.targets else objective
        self._limits = () if objective is None else objective.limits
        self._models: dict[str, GaussianProcess] = {}
        self._bounds: dict[str, float | None] = {}
        self._priors: dict[str, PriorMean] = {}
        self._broken_before: dict[str, float] = {}  # conditions that the prior breaks -> bound

    @property
    def weights(self) -> dict[str, float]:
        """Part -> its weight in what is maximised."""
        if self._objective is None:
            return {"reward": 1.0}
        return {t.metric: -t.weight for t in self._objective.terms}

    def parts(self, seen: Evaluation) -> dict[str, Floats]:
        """The parts (n,) of what is optimised, as observed; NaN where there is no such number."""
        if self._objective is None:
            return {"reward": np.where(seen.feasible, seen.reward, np.nan)}
        return {t.metric: _log(seen.metrics[t.metric]) for t in self._objective.terms}

    def rewards(self, seen: Evaluation) -> Floats:
        """What is maximised (n,), composed of the observed parts; -inf where infeasible."""
        parts = self.parts(seen)
        total = sum(w * parts[name] for name, w in self.weights.items())
        return np.where(seen.feasible, np.asarray(total), -np.inf)

    def targets(self, seen: Evaluation) -> list[Target]:
        """Everything worth a model: the parts, the conditions that some row has broken, and limits on metrics that the
        prior has broken (it knows too little of a physical constraint to rule designs out before one has failed)."""
        limited = {limit.metric for limit in self._limits}
        out = {name: Target(name, y) for name, y in self.parts(seen).items()}
        for target in self._conditions(seen):
            foreseen = target.name in self._broken_before and target.name.lstrip("-") in limited
            if target.name in out or foreseen or _broken(target):
                out[target.name] = target
        return list(out.values())

    def _conditions(self, seen: Evaluation) -> list[Target]:
        shown = seen.violations.shape[1]
        slacks = shown - len(self._limits) if shown else 0
        out = [Target(f"slack {i}", _warp(seen.violations[:, i]), 0.0) for i in range(slacks)]
        for i, limit in enumerate(self._limits if shown else ()):
            metric = _log(seen.metrics[limit.metric])
            if limit.value <= 0 or (np.isnan(metric) & np.isfinite(seen.metrics[limit.metric])).any():
                out.append(Target(f"limit {i}", _warp(seen.violations[:, slacks + i]), 0.0))
            elif limit.op == "<=":
                out.append(Target(limit.metric, metric, math.log(limit.value)))
            else:
                out.append(Target(f"-{limit.metric}", -metric, -math.log(limit.value)))
        explained = seen.feasible | (np.nan_to_num(seen.violations, nan=0.0) > 0).any(axis=1)
        if not explained.all():  # infeasible for a reason that no slack tells
            out.append(Target("impossible", np.where(explained, -0.5, 0.5), 0.0))
        return out

    def believe(self, prior: Evaluation, rows: npt.NDArray[np.int64]) -> None:
        """Take in a similar problem: a mean for every target and condition, which observations correct.

        Args:
            prior: everything known of it, canonical codes.
            rows: what to fit to.
        """
        targets = {t.name: t for t in (*(Target(k, y) for k, y in self.parts(prior).items()), *self._conditions(prior))}
        for target in targets.values():
            usable = rows[np.isfinite(target.y[rows])]
            if len(usable) and np.ptp(target.y[usable]) > 0:
                self._priors[target.name] = PriorMean(self.lattice, prior.codes[usable], target.y[usable])
                if target.bound is not None and _broken(target):
                    self._broken_before[target.name] = target.bound

    def fit(self, seen: Evaluation, rows: npt.NDArray[np.int64], *, iterations: int) -> None:
        """Fit every target to some of the rows that were seen.

        Args:
            seen: everything, canonical codes.
            rows: which of it.
            iterations: steps of the search for hyperparameters; 0 keeps those of the last fit.
        """
        self._bounds = {}
        for target in self.targets(seen):
            usable = rows[np.isfinite(target.y[rows])]
            if not len(usable):
                continue
            y, prior = target.y[usable], self._priors.get(target.name)
            if prior is not None:
                y = prior.explain(seen.codes, usable, y)
            known = self._models.get(target.name)
            model = GaussianProcess(self.lattice, None if known is None else known.parameters)
            model.fit(
                seen.codes[usable],
                y,
                iterations=_FIRST if known is None else iterations,
                scale=None if prior is None else prior.rest,
            )
            self._models[target.name] = model
            self._bounds[target.name] = target.bound

    def belief(self, codes: Codes) -> Belief:
        """Predictions for designs (n, d)."""
        posteriors = {name: self._models[name].joint(codes) for name in self._bounds}
        for name, prior in self._priors.items():
            if name in posteriors:
                posteriors[name].mean = posteriors[name].mean + prior.mean(codes)
        return self._composed(posteriors, self._bounds)

    def promise(self, codes: Codes) -> Floats:
        """What the prior alone expects (n,) of designs (n, d), minus what its doubts about feasibility cost."""
        posteriors = {name: prior.joint(codes) for name, prior in self._priors.items()}
        belief = self._composed(posteriors, self._broken_before)
        return belief.log_feasible(len(codes)) + (belief.reward()[0] if belief.terms else 0.0)

    def _composed(self, posteriors: Mapping[str, Posterior], bounds: Mapping[str, float | None]) -> Belief:
        weights = self.weights
        terms = {name: posteriors[name] for name in weights} if weights.keys() <= posteriors.keys() else {}
        return Belief(terms, [(posteriors[k], b) for k, b in bounds.items() if b is not None], weights)


def _broken(target: Target) -> bool:
    return target.bound is not None and bool((target.y > target.bound).any())


def _log(column: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(column > 0, np.log(column), np.nan)


def _warp(violation: Floats) -> Floats:
    """Relative violations, need over capacity less one, as the logarithm of need over capacity; 0 at the border."""
    return np.log(np.maximum(1.0 + violation, _SLACKEST))
