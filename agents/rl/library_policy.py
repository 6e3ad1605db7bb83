"""What agents around policies of stable-baselines3 share: everything but the algorithm.

A design problem is a bandit: one episode, one design, one reward. Rewards come from the evaluator, so the loop that
collects them is this one, asked and told; the policy, its buffer, its loss and its optimiser are the library's
(Raffin et al., Journal of Machine Learning Research 22(268), 2021).
"""

from __future__ import annotations

import json
import zipfile
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from archgym.errors import UsageError
from archgym.evaluation import Evaluation
from archgym.space import Codes, DesignSpace

from ..libraries import library
from ..policy_search import Outcome, PolicySearch
from .reward_scale import RewardScale
from .streams import Streams


@dataclass(frozen=True)
class PolicyConfig:
    """Hyperparameters of every such agent.

    Attributes:
        learning_rate: of Adam, for every network.
        width: units of each of the two hidden layers of every network.
        distinct: never spend a sample on a design that is known: where the policy draws one, it learns the known
            reward once more and draws again; what is known even after some rounds becomes its nearest unseen
            neighbour, of which the policy learns nothing. False: known designs cost samples like any other.
        policy: a file that `LibraryPolicy.save` has written, of the same agent, width, kind of actions and design
            space, to go on from.
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


class LibraryPolicy(PolicySearch):
    """Draws designs from a policy, and has it learn from their rewards on the scale of `RewardScale`.

    A design that the rules forbid gets the lowest reward there is. On the track grey infeasible designs are graded by
    their violations.

    Class attributes:
        module: of the library.
    """

    Config = PolicyConfig
    module: ClassVar[str] = "stable_baselines3"
    config: PolicyConfig

    def __init__(self, space: DesignSpace, config: Any = None, **study: Any) -> None:
        config = self.Config() if config is None else config
        super().__init__(space, config, config.distinct, **study)
        self._library = library(self.module, "rl")
        self._scale = RewardScale()
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

    def tell(self, evaluation: Evaluation) -> None:
        """Learn the rewards; of rows it never asked for, see the algorithm."""
        self._scale.add(evaluation)
        super().tell(evaluation)

    def save(self, path: str | Path) -> None:
        """Write the policy to a zip file of the library's, which `policy` of the configuration takes.

        Args:
            path: of the file; ``.zip`` is added where it has no suffix.

        Raises:
            OSError: the file cannot be written.
        """
        with self._streams():
            self._model.save(str(path))

    def _rewards(self, outcomes: Sequence[Outcome]) -> npt.NDArray[np.float64]:
        """Scaled rewards (n,), the same for the same outcome whenever it was told."""
        reward, violations = np.array(outcomes).T
        return self._scale.scaled(reward, violations)

    def _identity(self) -> dict[str, Any]:
        """What has to agree between a saved policy and this agent."""
        return {
            "agent": type(self).__name__,
            "width": self.config.width,
            "actions": getattr(self.config, "actions", "levels"),
            "space": self.space.fingerprint,
        }

    def _load(self, path: str) -> None:
        try:
            with zipfile.ZipFile(path) as archive:
                saved = json.loads(archive.read("data")).get("trained_for")
        except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
            raise UsageError(f"policy '{path}': expected a file written by an agent's save, got {error}") from None
        if saved != (mine := self._identity()):
            raise UsageError(f"policy '{path}': expected one of {mine}, got {saved}; train one on this design space")
        self._model.set_parameters(path, device="cpu")  # networks and optimisers
        variables = library("stable_baselines3.common.save_util", "rl").load_from_zip_file(path, device="cpu")[2] or {}
        for name, value in variables.items():  # such as the weight of the entropy of SAC
            getattr(self._model, name).data = value.data


def from_cube(space: DesignSpace, points: npt.NDArray[np.float64], actions: str) -> Codes:
    """Designs (n, d) that points of [-1, 1]^d stand for; what lies outside is clipped.

    Args:
        space: of the designs.
        points: (n, d).
        actions: "cells" cuts every axis into as many cells as its parameter has levels. "rounded" rounds to -1, 0 and
            1 first, so that at most three levels of a parameter can be reached: what the mapper of ArchGym's
            single-agent learners does (`action_mapper` of its envHelpers.py), for comparisons with them.
    """
    points = np.rint(np.clip(points, -1.0, 1.0)) if actions == "rounded" else points
    return space.from_unit((points + 1.0) / 2.0)


class Spaces(gym.Env[Any, Any]):
    """An environment that nobody steps: the library wants its spaces from one."""

    def __init__(self, observation_space: gym.Space[Any], action_space: gym.Space[Any]) -> None:
        self.observation_space = observation_space
        self.action_space = action_space
