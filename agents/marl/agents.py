"""Search agents that are teams: a policy per parameter, or per group of parameters, learning from the shared reward.

The observation is constant (1.0) on both tracks, since a problem is one state; see `policies` for what that leaves of a
critic. What the memory-controller study of Krishnan et al. (arXiv 2211.16385) compares needs both sides to differ in
nothing else: `JointPpo` has the heads, observation, rewards, updates and number of weights of `Ippo`. The reward of a
draw is the utility of its place in the rollout that CMA-ES and natural evolution strategies use, logarithmic in the
better half and 0 in the other (Wierstra et al., "Natural Evolution Strategies", JMLR 15, 2014).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from archgym.errors import UsageError
from archgym.evaluation import Floats
from archgym.grouping import parameter_groups
from archgym.space import Codes, DesignSpace, Level

from ..libraries import library, torch_alone
from ..on_policy import OnPolicy
from .policies import Learning, Team


class Ippo(OnPolicy):
    """Independent PPO: every agent of the team has a critic and a ratio of its own.

    Attributes:
        team: the policies, with `Team.save` to keep them.
    """

    @dataclass(frozen=True)
    class Config(Learning):
        """Hyperparameters, with those of `policies.Learning`.

        Attributes:
            groups: who has which parameters: "parameter" for an agent each, "declared" as the design space groups
                them, or text such as "a+b,c+d", the others alone; `clustering.correlated_groups` finds some.
            rollout: draws between two updates; 0 for a thirtieth of the budget, 16 to 256.
            distinct: False for the plain algorithm, which spends samples on designs that are known.
        """

        groups: str = "parameter"
        rollout: int = 0
        distinct: bool = True

        def __post_init__(self) -> None:
            super().__post_init__()
            if self.rollout < 0 or self.rollout == 1:
                raise UsageError(f"a team: expected a rollout of 0 (automatic) or at least 2, got {self.rollout}")

    search_space: ClassVar[Mapping[str, tuple[Level, ...]]] = {
        "learning_rate": (3e-3, 0.01, 0.03),
        "epochs": (4, 8, 16),
        "entropy": (0.0, 0.02, 0.05),
        "explore": (0.02, 0.05, 0.1),
        "rollout": (0, 16, 32, 64),
    }
    central: ClassVar[bool] = False
    joint: ClassVar[bool] = False
    config: Config

    def __init__(self, space: DesignSpace, config: Any = None, **study: Any) -> None:
        config = self.Config() if config is None else config
        super().__init__(space, config, rollout=config.rollout, distinct=config.distinct, **study)
        library("torch", "marl")
        named = parameter_groups(space, config.groups).values()
        groups = [[space.names.index(name) for name in group] for group in named]
        self._order = np.concatenate(groups)  # the team's columns
        with torch_alone(0):  # for its single thread: the team's random stream is its own
            nvec = [space.nvec[group].tolist() for group in groups]
            self.team = Team(1, nvec, config, int(self.rng.integers(2**31)), central=self.central, joint=self.joint)

    def _draw(self, n: int) -> tuple[Codes, Floats]:
        with torch_alone(0):
            actions, logp = self.team.act(np.ones((n, 1)))
        codes = np.empty_like(actions)
        codes[:, self._order] = actions
        return codes, logp

    def _improve(self, codes: Codes, drawn: Floats, places: Floats) -> None:
        rewards = np.maximum(0.0, np.log(len(places) / 2 + 1) - np.log(places + 1))
        with torch_alone(0):
            self.team.update(np.ones((len(codes), 1)), codes[:, self._order], drawn, rewards, progress=self.progress)


class Mappo(Ippo):
    """MAPPO: as `Ippo`, with one critic for the whole team."""

    central = True


class JointPpo(Ippo):
    """The single agent to compare teams with: one network with all heads, one critic, one ratio, as many weights.

    ``groups`` says which team's number of weights that is.
    """

    joint = True
