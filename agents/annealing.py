"""Simulated annealing: several chains that accept worse designs, ever less often while the budget is spent.

Kirkpatrick, Gelatt & Vecchi, Science 220, 1983. The temperature is in units of the reward, a logarithm: at 0.1, a
design worse by 10 % is accepted with probability 1/e. It starts at a share of the spread that the first, random designs
have (after White, Proc. ICCD 1984), and falls geometrically.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from archgym.agent import Agent
from archgym.errors import UsageError
from archgym.evaluation import Evaluation
from archgym.space import Codes, DesignSpace, Level

from .ranking import ranks
from .unseen import Unseen
from .variation import Variation

_ROUNDS = 6  # of proposals before chance decides; every second one moves one parameter more
_PROPOSALS = 8  # of a chain in a round
_FEW = 4  # feasible designs, below which their spread means nothing
_HORIZON = 500  # samples until the first reheating, where no budget is known

Rank = tuple[float, float]  # (violation, -reward), the smaller the better


@dataclass(slots=True)
class _Chain:
    """Where a chain stands.

    Attributes:
        code: (d,) its design.
        rank: of the design.
        best: rank of the best design since it started.
        idle: designs it has proposed since then.
    """

    code: Codes
    rank: Rank
    best: Rank
    idle: int = 0

    def start(self, code: Codes, rank: Rank) -> None:
        """Go on from another design."""
        self.code, self.rank, self.best, self.idle = code, rank, rank, 0


class Annealing(Agent):
    """Chains start at the best of the first designs, and walk through designs that are known already for free.

    An infeasible design follows an infeasible one only if it breaks its limits no more (on the scalar track they are
    all alike), and never a feasible one. A chain that does not improve goes back to the best design of all. Without a
    budget the temperature is raised again, each time after twice as many samples. Of several values (a Pareto
    objective) it searches the equally weighted product, the reward.
    """

    @dataclass(frozen=True)
    class Config:
        """Hyperparameters.

        Attributes:
            chains: at most; no more than designs are asked at a time.
            founders: share of the budget that goes into random designs first.
            heat: first temperature, as a share of the spread of the founders' rewards.
            cooling: last temperature, as a share of the first.
            patience: share of the budget after which a chain without improvement goes back to the best design.
            far: probability that an ordered parameter moves anywhere instead of by one level.
        """

        chains: int = 2
        founders: float = 0.1
        heat: float = 0.2
        cooling: float = 0.01
        patience: float = 0.1
        far: float = 0.1

        def __post_init__(self) -> None:
            if self.chains < 1 or self.heat <= 0 or not 0 < self.cooling <= 1:
                raise UsageError("annealing: expected chains of at least 1, heat above 0, and cooling in (0, 1]")
            if not (0 <= self.founders < 1 and 0 < self.patience and 0 <= self.far <= 1):
                raise UsageError("annealing: expected founders in [0, 1), patience above 0, and a probability far")

    search_space: ClassVar[Mapping[str, tuple[Level, ...]]] = {
        "chains": (1, 2, 4, 8),
        "founders": (0.05, 0.1, 0.2),
        "heat": (0.05, 0.1, 0.2, 0.5, 1.0),
        "cooling": (0.001, 0.01, 0.1),
        "patience": (0.05, 0.1, 0.2, 1.0),
        "far": (0.0, 0.1, 0.2, 0.4),
    }
    config: Config

    def __init__(self, space: DesignSpace, config: Any = None, **study: Any) -> None:
        super().__init__(space, config, **study)
        self._unseen = Unseen(space)
        self._variation = Variation(space)
        self._horizon = self.budget or _HORIZON
        self._founders = max(1, min(round(self.config.founders * self._horizon), 100))
        self._cycle = (self._founders, self._horizon)  # samples at which the temperature is highest and lowest
        self._known: dict[Any, Rank] = {}
        self._asked: dict[Any, _Chain | None] = {}  # designs under way -> whose proposal they are
        self._chains: list[_Chain] = []
        self._best: _Chain | None = None
        self._energies: list[float] = []  # of the founders that are feasible
        self._spread = 1.0
        self._temperature = self.config.heat
        self._told = 0  # of the designs asked: a warm start does not cool
        self._turn = 0

    def ask(self, n: int) -> Codes:
        """``n`` new designs (k, d): random ones first, then steps of the chains; fewer only when the space runs out."""
        drawn = n if not self._chains else min(n, max(self._founders - len(self._unseen), 0))
        parts = [self._draw(drawn)]
        turns = [self._chains[(self._turn + i) % len(self._chains)] for i in range(n - drawn)]
        self._turn += len(turns)
        for attempt in range(_ROUNDS):
            if not turns:
                break
            fresh, turns = self._proposals(turns, 1 + attempt // 2)
            parts.append(fresh)
        return np.concatenate([*parts, self._draw(len(turns))])

    def tell(self, evaluation: Evaluation) -> None:
        """Let each chain accept or refuse what it had proposed; a chain may go on from any other design."""
        codes = self._unseen.add(evaluation.codes)
        told = [(violation, energy) for violation, energy in ranks(evaluation).tolist()]
        for code, key, rank in zip(codes, self.space.keys(codes).tolist(), told, strict=True):
            self._known[key] = rank
            self._told += key in self._asked
            chain = self._asked.pop(key, None)
            if chain is None:
                self._found(code, rank)
            else:
                self._move(chain, code, rank)
            if self._best is None or rank < self._best.rank:
                self._best = _Chain(code, rank, rank)
        if self._told <= self._founders or len(self._energies) < _FEW:
            self._measure([energy for violation, energy in told if violation == 0])
        self._cool()

    def _draw(self, n: int) -> Codes:
        """Random designs (k, d) of no chain."""
        drawn = self._unseen.draw(n, self.rng)
        self._asked.update(dict.fromkeys(self.space.keys(drawn).tolist()))
        return drawn

    def _found(self, code: Codes, rank: Rank) -> None:
        """A design that no chain proposed: a new one's start while they are few; at first, or if best, the worst's."""
        if len(self._chains) < min(self.config.chains, self.batch):
            self._chains.append(_Chain(code, rank, rank))
            return
        worst = max(self._chains, key=lambda chain: chain.rank)
        if rank < worst.rank and (self._told <= self._founders or self._best is None or rank < self._best.rank):
            worst.start(code, rank)

    def _move(self, chain: _Chain, code: Codes, rank: Rank) -> None:
        """Accept or refuse; after too long without an improvement, go back to the best design of all."""
        if self._accepts(chain.rank, rank):
            chain.code, chain.rank = code, rank
        if rank < chain.best:
            chain.best, chain.idle = rank, 0
            return
        chain.idle += 1
        if self._best is not None and chain.idle >= max(10.0, self.config.patience * self._horizon):
            chain.start(self._best.code, self._best.rank)

    def _accepts(self, old: Rank, new: Rank) -> bool:
        """Metropolis: a better design always, a worse one with probability exp(-difference / temperature)."""
        if old[0] > 0 or new[0] > 0:
            return new[0] <= old[0]
        worse = new[1] - old[1]
        return worse <= 0 or bool(self.rng.random() < math.exp(-worse / self._temperature))

    def _cool(self) -> None:
        """The temperature after so many samples of this cycle; the next cycle is twice as long."""
        start, end = self._cycle
        if self._told >= end and self.budget is None:
            start, end = self._cycle = (end, 3 * end - 2 * start)
        done = min(max((self._told - start) / max(end - start, 1), 0.0), 1.0)
        self._temperature = self.config.heat * self._spread * math.exp(done * math.log(self.config.cooling))

    def _measure(self, energies: list[float]) -> None:
        """The spread of the founders' rewards: half of the distance between their quartiles; 1 until it is known."""
        self._energies = sorted(self._energies + energies)
        n = len(self._energies)
        spread = (self._energies[3 * n // 4] - self._energies[n // 4]) / 2 if n >= _FEW else 0.0
        self._spread = spread if spread > 0 else 1.0

    def _proposals(self, turns: list[_Chain], moves: int) -> tuple[Codes, list[_Chain]]:
        """New designs (k, d) near the chains, and the chains that found none before they stepped on a known one."""
        at = np.repeat([chain.code for chain in turns], _PROPOSALS, axis=0)
        steps = self.space.canonical(self._steps(at, moves))
        keys, own = self.space.keys(steps).tolist(), self.space.keys(at).tolist()
        allowed = self.space.is_allowed(steps).tolist() if self.space.allowed else [True] * len(keys)
        chosen, missed = [], []
        for start, chain in zip(range(0, len(keys), _PROPOSALS), turns, strict=True):
            missed.append(chain)
            for i in range(start, start + _PROPOSALS):
                known = self._known.get(keys[i])
                if keys[i] == own[i]:  # the step of a dead parameter
                    continue
                if known is not None and self._accepts(chain.rank, known):
                    chain.code, chain.rank = steps[i], known
                    break
                if known is None and allowed[i] and keys[i] not in self._asked:
                    self._asked[keys[i]] = missed.pop()
                    chosen.append(i)
                    break
        return self._unseen.claim(steps[chosen], len(chosen)) if chosen else at[:0], missed

    def _steps(self, at: Codes, moves: int) -> Codes:
        """Designs (n, d) near those of the chains (n, d), each of which stands there `_PROPOSALS` times; raw.

        A move that the space declares is as likely as a step of one parameter.
        """
        steps = self._variation.steps(at, self.rng, moves, self.config.far)
        if self.space.moves is not None:
            for start in range(0, len(at), _PROPOSALS):
                declared = self.space.moves(at[start])
                chosen = self.rng.integers(len(declared) + len(self.space), size=_PROPOSALS)
                rows = np.flatnonzero(chosen < len(declared))
                steps[start + rows] = declared[chosen[rows]]
        return steps
