"""One policy for many workloads: a team that observes what describes them, kept in a file.

Reinforcement learning pays where one policy serves many problems; for a single design problem it is one search method
among others. Trained on some workloads of a simulator, a policy proposes designs for another that it has never seen
(zero-shot), or begins a search there (few-shot); `training` makes one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from archgym.errors import UsageError
from archgym.evaluation import Floats
from archgym.grouping import parameter_groups
from archgym.space import Codes, DesignSpace

from ..libraries import library, torch_alone
from .policies import Learning, Team

_CLIP = 3.0  # standard deviations of a feature
_FORM = 1  # of the file


@dataclass(frozen=True)
class Descriptions:
    """What a policy observes of a workload: 1, and its features in standard deviations of the training workloads'.

    Attributes:
        mean, scale: (f,) over the training workloads. What is the same for all of them has scale 0 and is observed as
            0 everywhere, since nothing can have been learnt from it.
    """

    mean: Floats
    scale: Floats

    @classmethod
    def of(cls, features: Floats) -> Descriptions:
        """From the features (w, f) of the training workloads."""
        return cls(features.mean(axis=0), features.std(axis=0))

    def observe(self, features: Floats) -> Floats:
        """Observations (n, 1 + f) of workloads with features (n, f), clipped to +-3."""
        varied = self.scale > 1e-9
        apart = np.where(varied, (features - self.mean) / np.where(varied, self.scale, 1.0), 0.0)
        return np.concatenate([np.ones((len(apart), 1)), np.clip(apart, -_CLIP, _CLIP)], axis=1)


@dataclass
class Policy:
    """A team with what it needs to know of the problems it is for.

    Attributes:
        team: its observations are those of ``descriptions``.
        groups: who has which parameters, as `archgym.grouping.parameter_groups` reads it.
        space: fingerprint of the design space.
        descriptions: how workloads are observed.
        workloads: it was trained on, each with the fingerprint of the problem (objective, options and all).
        samples: it was trained with.
    """

    team: Team
    groups: str
    space: str
    descriptions: Descriptions
    workloads: Mapping[str, str]
    samples: int = 0

    def save(self, path: str | Path) -> None:
        """Write the file that `load` reads, in one step: a kill leaves the old one or the new one."""
        content = {
            "archgym-policy": _FORM,
            "team": self.team.content(),
            "groups": self.groups,
            "space": self.space,
            "mean": self.descriptions.mean.tolist(),
            "scale": self.descriptions.scale.tolist(),
            "workloads": dict(self.workloads),
            "samples": self.samples,
        }
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_name(f"{path.name}.new")
        library("torch", "marl").save(content, new)
        new.replace(path)

    @classmethod
    def load(cls, path: str | Path, space: DesignSpace, config: Learning | None = None) -> Policy:
        """Read a file for a design space.

        Args:
            path: of the file.
            space: it has to be that of the training.
            config: hyperparameters of further learning, but for the size of the networks; None for those in the file.

        Raises:
            UsageError: no such file, no policy, or one for another design space.
        """
        torch = library("torch", "marl")
        try:
            content = torch.load(path, weights_only=True)
            assert content["archgym-policy"] == _FORM
        except OSError as error:
            raise UsageError(f"policy: cannot read {path} ({error.strerror}); archgym train makes one") from None
        except Exception:  # torch's own, pickle's and zipfile's, by what is wrong with the file
            raise UsageError(f"policy: {path} is no policy, or a damaged one; archgym train makes one") from None
        if content["space"] != space.fingerprint:
            raise UsageError(
                f"policy: {path} was trained on another design space ({', '.join(content['workloads'])}); expected one "
                f"trained on the space of parameters {', '.join(space.names)} with the same levels"
            )
        with torch_alone(0):  # for its single thread
            team = Team.of(content["team"], config)
        descriptions = Descriptions(np.array(content["mean"]), np.array(content["scale"]))
        return cls(team, content["groups"], content["space"], descriptions, content["workloads"], content["samples"])


def columns(space: DesignSpace, groups: str) -> list[list[int]]:
    """The columns of codes that each agent of a team decides."""
    return [[space.names.index(name) for name in group] for group in parameter_groups(space, groups).values()]


def ordered(columns: list[list[int]], actions: Codes) -> Codes:
    """Actions (n, d) of a team as codes (n, d)."""
    codes = np.empty_like(actions)
    codes[:, np.concatenate(columns)] = actions
    return codes
