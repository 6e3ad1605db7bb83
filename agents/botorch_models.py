"""Gaussian processes over metrics and constraints, by BoTorch, and joint samples of what they predict.

Composite Bayesian optimisation (Astudillo and Frazier, ICML 2019): each metric is modelled by itself and the objective
put together from samples of the metrics. Balandat et al., "BoTorch" (NeurIPS 2020); length scales have the
dimension-scaled prior of Hvarfner, Hellsten and Nardi (ICML 2024).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from archgym.evaluation import Evaluation, Floats
from archgym.objective import Objective
from archgym.space import Codes, DesignSpace

from .libraries import library
from .penalty import constraint_columns

_HYPERPARAMETERS = ("mean_module", "covar_module", "likelihood")


@dataclass(frozen=True)
class _Fitted:
    """A batch of processes.

    Attributes:
        gp: BoTorch's model.
        rows: that its hyperparameters were fitted to.
        outputs: processes in the batch.
    """

    gp: Any
    rows: int
    outputs: int


class MetricModels:
    """One process per metric that the objective needs, one per physical constraint that was ever violated.

    Metrics are learnt from possible designs (logarithms where all are positive), constraints from all.

    Args:
        space: of the designs.
        objective: names the metrics, and puts samples together.
        rows: what to learn from.
        iterations: of the search for hyperparameters.
        earlier: models of fewer rows; their hyperparameters are the starting point, and are kept as long as the rows
            have grown by less than a tenth.
    """

    def __init__(
        self,
        space: DesignSpace,
        objective: Objective,
        rows: Evaluation,
        iterations: int,
        earlier: MetricModels | None = None,
    ) -> None:
        self._space, self._objective, self._iterations = space, objective, iterations
        names = [t.metric for t in objective.terms] + [limit.metric for limit in objective.limits]
        self._names = list(dict.fromkeys(names))
        metrics = rows.metrics
        table = np.stack([metrics[name] for name in self._names], axis=1)
        possible = np.asarray(np.isfinite(table).all(axis=1))
        self._logs = (table[possible] > 0).all(axis=0)
        table[:, self._logs] = np.log(np.where(possible[:, None], table, 1.0)[:, self._logs])
        limits = constraint_columns(rows)
        physical = [i for i in range(limits.shape[1]) if not 0 <= limits.shape[1] - 2 - i < len(objective.limits)]
        slacks = limits[:, [i for i in physical if (limits[:, i] > 0).any()]]
        features = self.features(rows.codes)
        before = (None, None) if earlier is None else (earlier._metric_model, earlier._slack_model)
        self._metric_model: _Fitted | None = None
        self._slack_model: _Fitted | None = None
        if possible.sum() >= 2:
            self._metric_model = self._fit(features[possible], table[possible], before[0])
        if slacks.shape[1]:
            self._slack_model = self._fit(features, slacks, before[1])

    def features(self, codes: Codes) -> Floats:
        """Designs (n, d) as points (n, D): ordered levels on [0, 1], one coordinate per level of the others."""
        columns = []
        for i, p in enumerate(self._space.parameters):
            if p.ordered or len(p.levels) <= 2:
                columns.append(codes[:, i : i + 1] / max(len(p.levels) - 1, 1))
            else:
                columns.append((codes[:, i : i + 1] == np.arange(len(p.levels))).astype(np.float64))
        return np.concatenate(columns, axis=1)

    def draw(self, codes: Codes, n: int) -> tuple[dict[str, Floats], Floats]:
        """Joint samples of designs (p, d): metric -> (n, p), and violations (n, p, c) of limits and constraints."""
        features = self.features(codes)
        metrics: dict[str, Floats] = {}
        broken = []
        if self._metric_model is not None:
            table = self._sample(self._metric_model, features, n)
            table[:, :, self._logs] = np.exp(np.clip(table[:, :, self._logs], -700.0, 700.0))
            metrics = {name: table[:, :, i] for i, name in enumerate(self._names)}
            flat = self._objective.violations({name: column.ravel() for name, column in metrics.items()})
            broken.append(flat.reshape(n, len(codes), -1))
        if self._slack_model is not None:
            broken.append(self._sample(self._slack_model, features, n))
        return metrics, np.concatenate(broken, axis=2) if broken else np.zeros((n, len(codes), 0))

    def _fit(self, features: Floats, table: Floats, earlier: _Fitted | None) -> _Fitted:
        torch = library("torch")
        gp = library("botorch.models").SingleTaskGP(
            torch.tensor(features, dtype=torch.float64),
            torch.tensor(table, dtype=torch.float64),
            outcome_transform=library("botorch.models.transforms").Standardize(m=table.shape[1]),
        )
        if earlier is not None and earlier.outputs == table.shape[1]:
            for part in _HYPERPARAMETERS:
                getattr(gp, part).load_state_dict(getattr(earlier.gp, part).state_dict())
            if earlier.rows <= len(table) < 1.1 * earlier.rows:
                return _Fitted(gp, earlier.rows, earlier.outputs)
        likelihood = library("gpytorch.mlls").ExactMarginalLogLikelihood(gp.likelihood, gp)
        likelihood.train()
        # fit_gpytorch_mll would start again at random, up to five times, because the iterations are limited.
        library("botorch.optim.fit").fit_gpytorch_mll_scipy(likelihood, options={"maxiter": self._iterations})
        return _Fitted(gp, len(table), table.shape[1])

    def _sample(self, model: _Fitted, features: Floats, n: int) -> Floats:
        torch = library("torch")
        with torch.no_grad():
            posterior = model.gp.posterior(torch.tensor(features, dtype=torch.float64))
            out: Floats = posterior.rsample(torch.Size([n])).numpy().copy()
        return out
