"""A portfolio: several agents share all samples, and who improves most for the declared cost gets the next ones.

No optimiser is best at every budget (D. Wolpert, W. Macready, IEEE Transactions on Evolutionary Computation 1(1),
1997), and a model that pays at a second a sample does not at a microsecond. After the idea of the ensembles of Apollo
(A. Yazdanbakhsh et al., arXiv 2102.01723, 2021) and of algorithm selection in Nevergrad.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from archgym import rng
from archgym.agent import Agent
from archgym.errors import UsageError
from archgym.evaluation import Evaluation
from archgym.pareto import front
from archgym.space import Codes, DesignSpace, Level

from .ant_colony import AntColony
from .bayesian import Bayesian
from .exhaustive import Exhaustive
from .genetic import Genetic
from .local_search import LocalSearch
from .nsga2 import Nsga2
from .unseen import Unseen

# What a design costs to ask for, in seconds: declared, never measured, so that a study is the same on every machine.
ASK_SECONDS = {"bayesian": 2e-2, "genetic": 5e-5, "ant-colony": 5e-5, "local-search": 5e-5, "nsga2": 5e-5}
_COUNTED = 2**20  # designs, up to which it is found out how many of them are distinct
_FIRST = 1.0  # what the first feasible design is worth, as a gain in reward


@dataclass(slots=True)
class _Member:
    """An agent of the portfolio.

    Attributes:
        agent: told everything.
        cost: declared seconds of one of its samples, evaluation included.
        gains: (gain, seconds) of its latest asks.
        last: number of the ask that was its latest, -1 before the first.
    """

    agent: Agent
    cost: float
    gains: deque[tuple[float, float]] = field(default_factory=deque)
    last: int = -1

    @property
    def rate(self) -> float:
        """Gain for a second."""
        return sum(gain for gain, _ in self.gains) / max(sum(seconds for _, seconds in self.gains), 1e-30)


class Auto(Agent):
    """Enumerates a space that fits into the budget; else models first, then whoever pays.

    The first samples go to `bayesian`, which makes most of them. Afterwards each ask goes to the member whose latest
    asks improved the best reward most for the seconds they are declared to cost (`Simulator.cost_seconds` and
    `ASK_SECONDS`), and every now and then to the one that has waited longest. Beside `bayesian` these are `genetic`,
    `ant-colony` (a model of densities) and `local-search`; with a Pareto objective `nsga2`, and what counts is how many
    designs of an ask join the front. All members are told every sample, whoever asked for it, and every warm start; a
    prior is `bayesian`'s.
    """

    @dataclass(frozen=True)
    class Config:
        """Hyperparameters.

        Attributes:
            lead: samples that `bayesian` gets first.
            window: asks of a member that its rate is reckoned from.
            rotate: every so many asks the member that has waited longest has its turn.
        """

        lead: int = 200
        window: int = 5
        rotate: int = 4

        def __post_init__(self) -> None:
            if self.lead < 0 or self.window < 1 or self.rotate < 1:
                raise UsageError("auto: expected a lead from 0, a window and a rotation from 1")

    search_space: ClassVar[Mapping[str, tuple[Level, ...]]] = {
        "lead": (50, 100, 200, 400),
        "window": (3, 5, 10),
        "rotate": (2, 4, 8),
    }
    uses_prior = True
    config: Config

    def __init__(self, space: DesignSpace, config: Any = None, **study: Any) -> None:
        super().__init__(space, config, **study)
        self._unseen = Unseen(space)
        self._enumerate = self.budget is not None and _distinct(space, self.budget) <= self.budget
        self._is_pareto = self.objective is not None and self.objective.pareto
        classes: dict[str, type[Agent]] = {"bayesian": Bayesian}
        if self._is_pareto:
            classes["nsga2"] = Nsga2
        else:
            classes |= {"genetic": Genetic, "ant-colony": AntColony, "local-search": LocalSearch}
        if self._enumerate:
            classes = {"exhaustive": Exhaustive}
        seeds = rng.stream_seeds(self.seed, "auto", 0, len(classes))
        self._members = [
            _Member(self._make(cls, int(seed)), self.cost_seconds + ASK_SECONDS.get(name, 0.0))
            for (name, cls), seed in zip(classes.items(), seeds, strict=True)
        ]
        self._asks = 0
        self._asked: dict[Any, _Member] = {}  # designs under way -> who asked
        self._best = -np.inf
        self._front = np.empty((0, self.n_values))

    def _make(self, cls: type[Agent], seed: int) -> Agent:
        return cls(
            self.space,
            seed=seed,
            budget=self.budget,
            batch=self.batch,
            n_values=self.n_values,
            n_constraints=self.n_constraints,
            objective=self.objective,
            features=self.features,
            cost_seconds=self.cost_seconds,
            prior=self.prior if cls.uses_prior else None,
        )

    def ask(self, n: int) -> Codes:
        """``n`` new designs (k, d) of one member; fewer only when the space runs out."""
        member = self._whose_turn()
        member.last = self._asks
        self._asks += 1
        out = self._unseen.claim(member.agent.ask(n), n)
        if len(out) < n:  # designs under way, which only their own member knows
            out = np.concatenate([out, self._unseen.draw(n - len(out), self.rng)])
        self._asked.update(dict.fromkeys(self.space.keys(out).tolist(), member))
        return out

    def tell(self, evaluation: Evaluation) -> None:
        """Tell every member, and credit those who asked."""
        codes = self._unseen.add(evaluation.codes)
        askers: dict[int, list[int]] = {}
        for i, key in enumerate(self.space.keys(codes).tolist()):
            if (member := self._asked.pop(key, None)) is not None:
                askers.setdefault(self._members.index(member), []).append(i)
        for k, rows in askers.items():
            member = self._members[k]
            member.gains.append((self._gain(evaluation.take(np.array(rows))), member.cost * len(rows)))
            while len(member.gains) > self.config.window:
                member.gains.popleft()
        self._note(evaluation)
        for member in self._members:
            member.agent.tell(evaluation)

    # ---- inside ------------------------------------------------------------------------

    def _whose_turn(self) -> _Member:
        first = self._members[0]
        if len(self._members) == 1 or len(self._unseen) < self.config.lead:
            return first
        waiting = min(self._members, key=lambda m: m.last)
        if waiting.last < 0 or self._asks % self.config.rotate == 0:
            return waiting
        best = max(m.rate for m in self._members)
        return min((m for m in self._members if m.rate == best), key=lambda m: m.last)

    def _gain(self, part: Evaluation) -> float:
        """What an ask brought: improvement of the best reward, or designs that join the front."""
        feasible = part.take(np.flatnonzero(part.feasible))
        if len(feasible) == 0:
            return 0.0
        if self._is_pareto:
            known = len(self._front)
            return float((front(np.concatenate([self._front, feasible.values])) >= known).sum())
        best = float(feasible.reward.max())
        return _FIRST if self._best == -np.inf else max(0.0, best - self._best)

    def _note(self, evaluation: Evaluation) -> None:
        feasible = evaluation.take(np.flatnonzero(evaluation.feasible))
        if len(feasible):
            self._best = max(self._best, float(feasible.reward.max()))
        if self._is_pareto and len(feasible):
            values = np.concatenate([self._front, feasible.values])
            self._front = values[front(values)]


def _distinct(space: DesignSpace, budget: int) -> int:
    """Number of distinct allowed designs, as far as it matters for a budget."""
    if space.size > min(_COUNTED, 64 * budget):
        return budget + 1
    found = 0
    for block in space.enumerate():
        found += len(block)
        if found > budget:
            break
    return found
