"""Composite Bayesian optimisation with BoTorch, over the whole space or within a trust region.

A Gaussian process per metric and constraint (`botorch_models`), the objective put together from joint samples, and
logarithmic expected improvement under outcome constraints (Ament et al., NeurIPS 2023, arXiv 2310.20708) maximised
over a pool of unseen designs, greedily for a batch. Several values: a new random augmented Chebyshev scalarisation for
each design (ParEGO, Knowles 2006). The trust region follows TuRBO (Eriksson et al., NeurIPS 2019).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from archgym.agent import Agent
from archgym.errors import UsageError
from archgym.evaluation import Evaluation, Floats
from archgym.objective import Objective
from archgym.space import Codes, DesignSpace, Level

from .botorch_models import MetricModels
from .dedup import Dedup
from .libraries import library, torch_alone
from .penalty import costs
from .ranking import violation
from .told import Told

_ELITES = 10
_MIN_SIDE, _MAX_SIDE, _FIRST_SIDE = 0.5**7, 1.6, 0.8  # of the trust region, in the unit cube (TuRBO's values)
_SUCCESSES = 3


class Botorch(Agent):
    """Composite Bayesian optimisation over the whole space."""

    @dataclass(frozen=True)
    class Config:
        """Hyperparameters.

        Attributes:
            founders: random designs before the first model.
            pool: unseen designs over which the acquisition is maximised.
            samples: joint samples of the models.
            history: rows that the models learn from at most.
            iterations: of the search for the models' hyperparameters.
        """

        founders: int = 10
        pool: int = 400
        samples: int = 128
        history: int = 200
        iterations: int = 60

        def __post_init__(self) -> None:
            if min(self.founders, self.pool, self.samples, self.iterations) < 1 or self.history < self.founders:
                raise UsageError(
                    "botorch: founders, pool, samples and iterations must be at least 1 and history at least founders, "
                    f"got {self.founders}, {self.pool}, {self.samples}, {self.iterations} and {self.history}"
                )

    search_space: ClassVar[Mapping[str, tuple[Level, ...]]] = {
        "founders": (5, 10, 20),
        "pool": (200, 400, 1000),
        "samples": (64, 128, 256),
    }
    needs = "grey"
    anytime = True
    config: Config

    def __init__(self, space: DesignSpace, config: Any = None, **study: Any) -> None:
        super().__init__(space, config, **study)
        library("botorch")
        self._dedup = Dedup(space, self.rng)
        self._told = Told(space)
        self._models: MetricModels | None = None  # of the latest ask
        self._ordered = np.array([p.ordered for p in space.parameters])

    def ask(self, n: int) -> Codes:
        """``n`` new designs (k, d), random ones first; fewer only when the space runs out."""
        if self._is_new():
            return self._dedup.draw(n, self.rng)
        rows = self._rows()
        with torch_alone(int(self.rng.integers(2**31))):
            known = self._known_objective()
            self._models = models = MetricModels(self.space, known, rows, self.config.iterations, self._models)
            pool = self._dedup.fresh(self._pool(rows))
            metrics, broken = models.draw(pool, self.config.samples) if len(pool) else ({}, np.zeros((0, 0, 0)))
            chosen = self._choose(rows, metrics, broken, min(n, len(pool)))
        found = self._dedup.claim(pool[chosen], n)
        return np.concatenate([found, self._dedup.draw(n - len(found), self.rng)])

    def tell(self, evaluation: Evaluation) -> None:
        """Remember the rows, asked or not."""
        self._dedup.add(evaluation.codes)
        self._told.add(evaluation)

    def _known_objective(self) -> Objective:
        if self.objective is None:
            raise UsageError("botorch: needs the objective, metrics and violations; run it with track 'grey'")
        return self.objective

    def _is_new(self) -> bool:
        """Whether there is too little to learn from."""
        return len(self._told) < self.config.founders

    def _rows(self) -> Evaluation:
        """What the models learn from."""
        return self._told.capped(self.config.history)

    def _pool(self, rows: Evaluation) -> Codes:
        """Candidates: all neighbours of the best design, mutations of the best few, and random designs."""
        best = rows.codes[np.lexsort((-rows.reward, violation(rows)))[:_ELITES]]
        if self.n_values > 1:
            best = np.concatenate([best, rows.codes[self._scalarised_best(rows)]])
        third = -(-self.config.pool // 3)
        parents = best[self.rng.integers(0, len(best), size=2 * third)]
        return np.concatenate(
            [self.space.neighbours(best[0]), self._mutated(parents), self.space.sample(third, self.rng)]
        )

    def _mutated(self, codes: Codes) -> Codes:
        """Each row with one to three parameters changed: ordered ones mostly by a level or two, others anyhow."""
        n, d = codes.shape
        levels = np.maximum(self.space.nvec, 1)
        changed = self.rng.random((n, d)) < self.rng.integers(1, 4, size=(n, 1)) / d
        step = self.rng.integers(1, 3, size=(n, d)) * self.rng.choice((-1, 1), size=(n, d))
        small = np.clip(codes + step, 0, levels - 1)
        jump = self.rng.integers(0, levels, size=(n, d))
        moved = np.where(self._ordered & (self.rng.random((n, d)) < 0.7), small, jump)
        return np.where(changed, moved, codes)

    def _scalarised_best(self, rows: Evaluation) -> list[int]:
        """Rows that are the best of some random scalarisation."""
        table = costs(rows, self.objective) + 1e6 * violation(rows)[:, None]
        scale = np.ptp(table[rows.feasible], axis=0) if rows.feasible.any() else np.ones(table.shape[1])
        low = table.min(axis=0)
        weights = self.rng.dirichlet(np.ones(table.shape[1]), size=_ELITES)
        return [int(np.argmin(_chebyshev((table - low) / np.where(scale > 0, scale, 1.0), w))) for w in weights]

    def _choose(self, rows: Evaluation, metrics: Mapping[str, Floats], broken: Floats, n: int) -> list[int]:
        """Indices of ``n`` designs of the pool, each with the largest improvement over what is chosen already."""
        if n == 0:
            return []
        torch, safe = library("torch"), library("botorch.utils.safe_math")
        slack = torch.tensor(-np.sign(broken) * np.log1p(np.abs(broken)))
        possible = safe.log_fatmoid(slack, tau=1e-3).sum(dim=2)  # (samples, pool)
        satisfied = np.asarray((broken <= 0).all(axis=2))
        gains = _Gains(self._known_objective(), rows, metrics, self.rng)
        chosen: list[int] = []
        for _ in range(n):
            score = possible
            if gains.usable:
                goal, best = gains.next()
                for i in chosen:
                    best = np.maximum(best, np.where(satisfied[:, i], goal[:, i], -np.inf))
                improvement = torch.tensor(goal - best[:, None])
                score = score + safe.log_fatplus(improvement, tau=1e-3)
            value = torch.logsumexp(score, dim=0)
            value[chosen] = -torch.inf
            chosen.append(int(torch.argmax(value)))
        return chosen


class _Gains:
    """What is maximised: samples of the reward, or of a new random scalarisation for each design of a batch."""

    def __init__(
        self, objective: Objective, rows: Evaluation, metrics: Mapping[str, Floats], rng: np.random.Generator
    ) -> None:
        self.usable = bool(metrics) and bool(rows.feasible.any())
        self._rng = rng
        if not self.usable:
            return
        shape = next(iter(metrics.values())).shape
        flat = {name: column.ravel() for name, column in metrics.items()}
        self._pareto = objective.pareto
        if not self._pareto:
            self._goal = objective.reward(flat).reshape(shape)
            self._best = float(rows.reward[rows.feasible].max())
            return
        values = objective.values(flat)
        table = np.sign(values) * np.log(np.maximum(np.abs(values), 1e-300))
        known = costs(rows, objective)[rows.feasible]
        low, span = known.min(axis=0), np.ptp(known, axis=0)
        span = np.where(span > 0, span, 1.0)
        self._known = (known - low) / span
        self._table = ((table - low) / span).reshape(*shape, -1)

    def next(self) -> tuple[Floats, Floats]:
        """Samples (samples, pool) of what the next design shall maximise, and the best known of it (samples,)."""
        if not self._pareto:
            return self._goal, np.full(len(self._goal), self._best)
        weights = self._rng.dirichlet(np.ones(self._known.shape[1]))
        best = float(-_chebyshev(self._known, weights).min())
        return -_chebyshev(self._table, weights), np.full(len(self._table), best)


def _chebyshev(table: Floats, weights: Floats) -> Floats:
    """The augmented Chebyshev norm over the last axis, minimised."""
    weighted = table * weights
    out: Floats = weighted.max(axis=-1) + 0.05 * weighted.sum(axis=-1)
    return out


class BotorchTurbo(Botorch):
    """Candidates come from a box around the best design; it grows on success, shrinks on failure, and starts again.

    TuRBO-1: the side doubles after 3 asks in a row that improve, halves after as many as fit max(4, d) samples without
    improvement, and below 0.5^7 a new region starts from random designs. The models keep the rows nearest the centre.
    """

    def __init__(self, space: DesignSpace, config: Any = None, **study: Any) -> None:
        super().__init__(space, config, **study)
        self._began = 0  # rows told before this region
        self._side = _FIRST_SIDE
        self._won = self._lost = 0  # asks in a row that improved, samples in a row that did not

    def tell(self, evaluation: Evaluation) -> None:
        """Remember the rows; a region learns from each batch whether it improves."""
        self._dedup.add(evaluation.codes)
        new = self._told.add(evaluation)
        if len(new) == 0 or self._is_new():
            return
        region = self._region()
        rank = np.stack([violation(region), -region.reward], axis=1)
        before = rank[: len(region) - len(new)]
        if len(before) < self.config.founders:
            return
        better = min(map(tuple, rank[len(before) :].tolist())) < min(map(tuple, before.tolist()))
        self._won, self._lost = (self._won + 1, 0) if better else (0, self._lost + len(new))
        if self._won == _SUCCESSES:
            self._side, self._won = min(2 * self._side, _MAX_SIDE), 0
        elif self._lost >= max(4, len(self.space)):
            self._side, self._lost = self._side / 2, 0
        if self._side < _MIN_SIDE:
            self._began = len(self._told)
            self._side, self._won, self._lost = _FIRST_SIDE, 0, 0

    def _is_new(self) -> bool:
        return len(self._told) - self._began < self.config.founders

    def _region(self) -> Evaluation:
        """The rows told since this region began."""
        rows = self._told.rows
        assert rows is not None
        return rows.take(slice(self._began, None))

    def _centre(self) -> Codes:
        """The best design of this region (1, d)."""
        region = self._region()
        if self.n_values > 1:
            best = self._scalarised_best(region)
            return region.codes[best[:1]]
        return region.codes[np.lexsort((-region.reward, violation(region)))[:1]]

    def _rows(self) -> Evaluation:
        rows, centre = self._told.rows, self._centre()
        assert rows is not None
        if len(rows) <= self.config.history:
            return rows
        apart = np.abs(self.space.to_unit(rows.codes) - self.space.to_unit(centre)).sum(axis=1)
        kept = np.argsort(apart, kind="stable")[: self.config.history]
        return rows.take(np.sort(kept))

    def _pool(self, rows: Evaluation) -> Codes:
        """Random designs of the box: an ordered parameter moves by half a side, another changes as often."""
        n, d = 2 * self.config.pool, len(self.space)
        centre = self._centre()
        reach = np.maximum(np.round(self._side / 2 * (self.space.nvec - 1)), 1).astype(np.int64)
        near = np.clip(centre + self.rng.integers(-reach, reach + 1, size=(n, d)), 0, self.space.nvec - 1)
        other = self.rng.integers(0, self.space.nvec, size=(n, d))
        moved = np.where(self._ordered, near, np.where(self.rng.random((n, d)) < self._side, other, centre))
        changed = self.rng.random((n, d)) < np.minimum(1.0, self.rng.choice((1.5, 3.0, 20.0), size=(n, 1)) / d)
        pool = np.concatenate([self.space.neighbours(centre[0]), np.where(changed, moved, centre)])
        return self._dedup.fresh(pool)[: self.config.pool]
