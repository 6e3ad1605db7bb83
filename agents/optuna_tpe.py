"""Tree-structured Parzen estimators, by Optuna.

Bergstra, Bardenet, Bengio and Kegl: "Algorithms for Hyper-Parameter Optimization" (NeurIPS 2011); multivariate
densities as in Falkner, Klein and Hutter's BOHB (ICML 2018); Watanabe, arXiv 2304.11127, on what each part does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from archgym.errors import UsageError
from archgym.space import Level

from .optuna_sampler import OptunaSampler


class OptunaTpe(OptunaSampler):
    """optuna.samplers.TPESampler; designs being evaluated count as bad ones, which spreads a batch."""

    @dataclass(frozen=True)
    class Config:
        """Hyperparameters.

        Attributes:
            founders: random designs before the first model.
            candidates: samples of the good designs' density, of which the most promising is proposed.
            multivariate: one joint density instead of one per parameter.
            history: rows told to the sampler at most: the best half and the latest.
        """

        founders: int = 10
        candidates: int = 24
        multivariate: bool = True
        history: int = 400

        def __post_init__(self) -> None:
            if min(self.founders, self.candidates) < 1 or self.history < self.founders:
                raise UsageError(
                    "optuna-tpe: founders and candidates must be at least 1 and history at least founders, got "
                    f"{self.founders}, {self.candidates} and {self.history}"
                )

    search_space: ClassVar[Mapping[str, tuple[Level, ...]]] = {
        "founders": (5, 10, 20),
        "candidates": (12, 24, 64, 200),
        "multivariate": (True, False),
    }
    anytime = True
    config: Config

    def _sampler(self, seed: int) -> Any:
        return self._optuna.samplers.TPESampler(
            seed=seed,
            n_startup_trials=1,
            n_ei_candidates=self.config.candidates,
            multivariate=self.config.multivariate,
            constant_liar=True,
        )
