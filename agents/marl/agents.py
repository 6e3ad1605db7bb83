"""Search agents that are teams: a policy per parameter, or per group of parameters, learning from the shared reward.

The observation is constant (1.0) on both tracks, since a problem is one state; see `policies` for what that leaves of a
critic. Only a policy that was trained on several workloads observes which of them it is for. What the
memory-controller study of Krishnan et al. (arXiv 2211.16385) compares needs both sides to differ in
nothing else: `JointPpo` has the heads, observation, rewards, updates and number of weights of `Ippo`. The reward of a
draw is the utility of its place in the rollout (`ranking.utilities`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from archgym.errors import UsageError
from archgym.evaluation import Floats
from archgym.space import Codes, DesignSpace, Level

from ..libraries import library, torch_alone
from ..on_policy import OnPolicy
from ..ranking import utilities
from .policies import Learning, Team
from .policy import Policy, columns, ordered
from .training import Workloads, train, untrained

_DESIGNS = 32  # of each workload between two updates of a policy for several
_KEPT = 10  # updates between two files


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
            policy: file of a policy for many workloads to begin with (`train`); its teams and networks are taken over,
                and it observes the features of the workload. "" to begin with nothing. A study's log names the file
                alone: to replay the agent, it must be there and unchanged.
            learn: False to draw from that policy as it is.
        """

        groups: str = "parameter"
        rollout: int = 0
        distinct: bool = True
        policy: str = ""
        learn: bool = True

        def __post_init__(self) -> None:
            super().__post_init__()
            if self.rollout < 0 or self.rollout == 1:
                raise UsageError(f"a team: expected a rollout of 0 (automatic) or at least 2, got {self.rollout}")
            if not (self.learn or self.policy):
                raise UsageError("a team: expected a policy where learn is False; there would be nothing but chance")

    search_space: ClassVar[Mapping[str, tuple[Level, ...]]] = {
        "learning_rate": (3e-3, 0.01, 0.03),
        "epochs": (4, 8, 16),
        "entropy": (0.005, 0.02, 0.05),
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
        seed = int(self.rng.integers(2**31))
        if config.policy:
            policy = self._policy(config.policy, space, config)
            if len(self.features) != len(policy.descriptions.mean):
                raise UsageError(
                    f"policy {config.policy}: expected the {len(policy.descriptions.mean)} workload features that it "
                    f"was trained with, got {len(self.features)}"
                )
            self.team, self._columns = policy.team, columns(space, policy.groups)
            self.team.reseed(seed)
            self._seen = policy.descriptions.observe(np.array([self.features]))
            return
        self._columns, self._seen = columns(space, config.groups), np.ones((1, 1))
        with torch_alone(0):  # for its single thread: the team's random stream is its own
            nvec = [space.nvec[group].tolist() for group in self._columns]
            self.team = Team(1, nvec, config, seed, central=self.central, joint=self.joint)

    @classmethod
    def train(
        cls,
        workloads: Workloads,
        path: str | Path,
        config: Any = None,
        *,
        samples: int,
        seed: int = 0,
        on_rollout: Callable[[int], None] = lambda samples: None,
    ) -> Policy:
        """Train one policy on several workloads, for ``Config.policy``; see `training.train`.

        Args:
            workloads: to learn on, as `archgym.envs.entry.make_contexts` makes them of ``"random:[a,b]"``.
            path: file of the policy, written now and then. If it is there, training goes on from it.
            config: hyperparameters; a rollout of 0 means 32 designs a workload.
            samples: designs to learn from, in all.
            seed: of weights and draws.
            on_rollout: called with the samples so far.

        Raises:
            UsageError: the file is no policy of such a team for these workloads, or too small a rollout.
        """
        config = cls.Config() if config is None else config
        if config.policy:
            raise UsageError(f"training: goes on from {path} if that is there; leave out policy={config.policy}")
        if Path(path).exists():
            policy = cls._policy(path, workloads.space, config)
            if policy.groups != config.groups:
                raise UsageError(
                    f"training: {path} has groups={policy.groups}, got {config.groups}; choose another file"
                )
        else:
            policy = untrained(workloads, config.groups, config, seed, central=cls.central, joint=cls.joint)
        rollout = config.rollout or _DESIGNS * len(workloads)

        def after(policy: Policy) -> None:
            if policy.samples // rollout % _KEPT == 0 or policy.samples >= samples:
                policy.save(path)
            on_rollout(policy.samples)

        train(policy, workloads, samples=samples, rollout=rollout, seed=seed, on_rollout=after)
        return policy

    @classmethod
    def _policy(cls, path: str | Path, space: DesignSpace, config: Learning) -> Policy:
        """A policy from a file, of a team like this one."""
        policy = Policy.load(path, space, config)
        if (policy.team.central, policy.team.joint) != (cls.central, cls.joint):
            found = "joint-ppo" if policy.team.joint else "mappo" if policy.team.central else "ippo"
            raise UsageError(f"policy: {path} is one of {found}, got another agent; use --agent {found}, or train one")
        return policy

    def _draw(self, n: int) -> tuple[Codes, Floats]:
        with torch_alone(0):
            actions, logp = self.team.act(np.repeat(self._seen, n, axis=0))
        return ordered(self._columns, actions), logp

    def _improve(self, codes: Codes, drawn: Floats, places: Floats) -> None:
        if not self.config.learn:
            return
        actions, seen = codes[:, np.concatenate(self._columns)], np.repeat(self._seen, len(codes), axis=0)
        with torch_alone(0):
            self.team.update(seen, actions, drawn, utilities(places), progress=self.progress)


class Mappo(Ippo):
    """MAPPO: as `Ippo`, with one critic for the whole team."""

    central = True


class JointPpo(Ippo):
    """The single agent to compare teams with: one network with all heads, one critic, one ratio, as many weights.

    ``groups`` says which team's number of weights that is.
    """

    joint = True
