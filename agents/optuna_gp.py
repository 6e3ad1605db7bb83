"""Gaussian-process optimisation with constraints, by Optuna.

optuna.samplers.GPSampler: Matern 5/2 with one length scale per parameter; logarithmic expected improvement (Ament et
al., NeurIPS 2023, arXiv 2310.20708) times the probability of each constraint (Gardner et al., ICML 2014); hypervolume
improvement for several values. Within a batch, a design without an outcome gets that of the nearest known one, a liar
in the manner of Ginsbourger, Le Riche and Carraro (2010).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from archgym.errors import UsageError
from archgym.space import Codes, Level

from .libraries import library, torch_alone
from .optuna_sampler import OptunaSampler


class OptunaGp(OptunaSampler):
    """optuna.samplers.GPSampler on a capped history."""

    @dataclass(frozen=True)
    class Config:
        """Hyperparameters.

        Attributes:
            founders: random designs before the first model.
            proposals: designs of a batch that the sampler proposes at most, each at the cost of a model; the others are
                neighbours of these.
            deterministic: tell the models that a repeated evaluation gives the same number.
            history: rows told to the sampler at most: the best half and the latest.
        """

        founders: int = 10
        proposals: int = 10
        deterministic: bool = True
        history: int = 200

        def __post_init__(self) -> None:
            if min(self.founders, self.proposals) < 1 or self.history < self.founders:
                raise UsageError(
                    "optuna-gp: founders and proposals must be at least 1 and history at least founders, got "
                    f"{self.founders}, {self.proposals} and {self.history}"
                )

    search_space: ClassVar[Mapping[str, tuple[Level, ...]]] = {
        "founders": (5, 10, 20),
        "proposals": (1, 3, 10),
        "deterministic": (True, False),
    }
    anytime = True
    config: Config

    def ask(self, n: int) -> Codes:
        """``n`` new designs (k, d), random ones first; fewer only when the space runs out."""
        library("torch")  # the sampler's own message would not name the extra
        with torch_alone(int(self.rng.integers(2**31))):
            return super().ask(n)

    def _proposals(self, n: int) -> int:
        return min(n, self.config.proposals)

    def _pending(self, design: Any, codes: Codes, outcomes: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
        # The library would sample the joint posterior of all that is running, at seconds a design in a batch of ten.
        apart = np.abs(self.space.to_unit(codes) - self.space.to_unit(design[None])).sum(axis=1)
        return outcomes[int(np.argmin(apart))]

    def _sampler(self, seed: int) -> Any:
        return self._optuna.samplers.GPSampler(
            seed=seed,
            n_startup_trials=1,
            deterministic_objective=self.config.deterministic,
            warn_independent_sampling=False,
        )
