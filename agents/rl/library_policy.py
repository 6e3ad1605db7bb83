"""What agents around policies of stable-baselines3 share: everything but the algorithm.

A design problem is a bandit: one episode, one design, one reward. Rewards come from the evaluator, so the loop that
collects them is this one, asked and told; the policy, its buffer, its loss and its optimiser are the library's
(Raffin et al., Journal of Machine Learning Research 22(268), 2021).
"""

from __future__ import annotations

import json
import zipfile
from abc import abstractmethod
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from archgym.agent import Agent
from archgym.errors import UsageError
from archgym.evaluation import Evaluation
from archgym.space import Codes, DesignSpace

from ..dedup import Dedup
from ..libraries import library
from ..ranking import violation
from .reward_scale import RewardScale
from .streams import Streams

Outcome = tuple[float, float]  # reward, violation (0 if feasible)
_FORBIDDEN: Outcome = (0.0, np.inf)
_TRIES = 10  # rounds of sampling in one ask


@dataclass(frozen=True)
class Sample:
    """One design that a policy has drawn.

    Attributes:
        code: canonical level indices (d,).
        steps: for each decision of the episode what the library's buffer wants to know, by argument, except rewards.
    """

    code: npt.NDArray[np.int64]
    steps: Sequence[dict[str, Any]]


@dataclass(frozen=True)
class PolicyConfig:
    """Hyperparameters of every such agent.

    Attributes:
        learning_rate: of Adam, for every network.
        width: units of each of the two hidden layers of every network.
        distinct: never spend a sample on a design that is known: where the policy draws one, it learns the known
            reward once more and draws again; what is known even after some rounds becomes its nearest unseen
            neighbour, of which the policy learns nothing. False: known designs cost samples like any other.
        policy: a file that `LibraryPolicy.save` has written, of the same agent, width and design space, to go on from.
            A study's log names the file alone: to replay the agent, it must be there and unchanged.
    """

    learning_rate: float = 0.01
    width: int = 64
    distinct: bool = True
    policy: str = ""

    def __post_init__(self) -> None:
        if self.learning_rate <= 0 or self.width < 1:
            raise UsageError(
                "a policy's learning_rate must be positive and width at least 1, got "
                f"{self.learning_rate} and {self.width}"
            )


class LibraryPolicy(Agent):
    """Draws designs from a policy, and has it learn from their rewards on the scale of `RewardScale`.

    A design that the rules forbid gets the lowest reward there is, costs no sample and is replaced. On the track grey
    infeasible designs are graded by their violations. Several values count by their equally weighted product.

    Class attributes:
        module: of the library.
    """

    Config = PolicyConfig
    module: ClassVar[str] = "stable_baselines3"
    config: PolicyConfig

    def __init__(self, space: DesignSpace, config: Any = None, **study: Any) -> None:
        super().__init__(space, config, **study)
        self._library = library(self.module, "rl")
        self._dedup = Dedup(space, self.rng)
        self._scale = RewardScale()
        self._outcomes: dict[Any, Outcome] = {}  # canonical key -> what was told of it
        self._waiting: dict[Any, deque[Sample]] = {}  # canonical key -> what was asked and not told yet
        self._n_asked = 0
        self._streams = Streams(int(self.rng.integers(2**32)))
        with self._streams():
            self._model = self._make_model()
            self._model.set_logger(library("stable_baselines3.common.logger", "rl").Logger(None, []))
            self._model.trained_for = self._identity()  # among the attributes that the library writes beside weights
            if self.config.policy:
                self._load(self.config.policy)

    @abstractmethod
    def _make_model(self) -> Any:
        """The library's algorithm, with its policy and an empty buffer."""

    @abstractmethod
    def _samples(self, n: int) -> list[Sample]:
        """``n`` designs as the policy draws them now."""

    @abstractmethod
    def _learn(self, sample: Sample, outcome: Outcome) -> None:
        """A design that the policy has drawn has its outcome."""

    def _learn_unasked(self, code: npt.NDArray[np.int64], outcome: Outcome) -> None:
        """A design was told that the policy has not drawn: on-policy algorithms can make nothing of it."""

    def ask(self, n: int) -> Codes:
        """``n`` designs (k, d) of the policy; fewer only when it is to be distinct and the space runs out."""
        new: list[npt.NDArray[np.int64]] = []
        rest: list[npt.NDArray[np.int64]] = []
        with self._streams():
            for _ in range(_TRIES):
                if len(new) == n:
                    break
                samples = self._samples(n - len(new))
                is_new = [self._is_new(sample) for sample in samples]
                new += [sample.code for sample, yes in zip(samples, is_new, strict=True) if yes]
                rest = [sample.code for sample, yes in zip(samples, is_new, strict=True) if not yes]
        self._n_asked += n
        codes = np.array(new, np.int64).reshape(-1, len(self.space))
        if len(new) < n:
            others = self._dedup.replace(np.array(rest)) if self.config.distinct else self._any(n - len(new))
            codes = np.concatenate([codes, others])
        return codes

    def tell(self, evaluation: Evaluation) -> None:
        """Learn the rewards; of rows it never asked for, see the algorithm."""
        codes = self._dedup.add(evaluation.codes)
        self._scale.add(evaluation)
        outcomes = zip(evaluation.reward.tolist(), violation(evaluation).tolist(), strict=True)
        with self._streams():
            for code, key, outcome in zip(codes, self.space.keys(codes).tolist(), outcomes, strict=True):
                self._outcomes[key] = outcome
                if waiting := self._waiting.get(key):
                    self._learn(waiting.popleft(), outcome)
                else:
                    self._learn_unasked(code, outcome)

    def save(self, path: str | Path) -> None:
        """Write the policy to a zip file of the library's, which `policy` of the configuration takes.

        Args:
            path: of the file; ``.zip`` is added where it has no suffix.

        Raises:
            OSError: the file cannot be written.
        """
        with self._streams():
            self._model.save(str(path))

    def _is_new(self, sample: Sample) -> bool:
        """Whether a design is one to ask for; what is known of another one is learnt at once."""
        (key,) = self.space.keys(sample.code[None]).tolist()
        if self.config.distinct:
            is_new = len(self._dedup.claim(sample.code[None], 1)) == 1
        else:
            is_new = bool(self.space.is_allowed(sample.code[None])[0])
        if is_new:
            self._waiting.setdefault(key, deque()).append(sample)
        elif key in self._outcomes:
            self._learn(sample, self._outcomes[key])
        elif not self.space.is_allowed(sample.code[None])[0]:
            self._learn(sample, _FORBIDDEN)
        return is_new

    def _any(self, n: int) -> Codes:
        return self.space.canonical(self.space.sample(n, self.rng))

    def _rewards(self, outcomes: Sequence[Outcome]) -> npt.NDArray[np.float64]:
        """Scaled rewards (n,), the same for the same outcome whenever it was told."""
        reward, violations = np.array(outcomes).T
        return self._scale.scaled(reward, violations)

    def _spent(self) -> float:
        """How much of the budget has been asked for; 0 where it is not known."""
        return min(1.0, self._n_asked / self.budget) if self.budget else 0.0

    def _identity(self) -> dict[str, Any]:
        """What has to agree between a saved policy and this agent."""
        return {"agent": type(self).__name__, "width": self.config.width, "space": self.space.fingerprint}

    def _load(self, path: str) -> None:
        try:
            with zipfile.ZipFile(path) as archive:
                saved = json.loads(archive.read("data")).get("trained_for")
        except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
            raise UsageError(f"policy '{path}': expected a file written by an agent's save, got {error}") from None
        if saved != (mine := self._identity()):
            raise UsageError(f"policy '{path}': expected one of {mine}, got {saved}; train one on this design space")
        self._model.set_parameters(path, device="cpu")


class Spaces(gym.Env[Any, Any]):
    """An environment that nobody steps: the library wants its spaces from one."""

    def __init__(self, observation_space: gym.Space[Any], action_space: gym.Space[Any]) -> None:
        self.observation_space = observation_space
        self.action_space = action_space
