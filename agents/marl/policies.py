"""Proximal policy optimisation of a team: every agent has some of the parameters and networks of its own.

Independent PPO (de Witt et al., "Is Independent Learning All You Need in the StarCraft Multi-Agent Challenge?", arXiv
2011.09533) and MAPPO (Yu et al., NeurIPS 2022, arXiv 2103.01955) for games of one step with a shared reward. The
clipped objective is that of Schulman et al. (arXiv 1707.06347); the ratio is one agent's own, not that of the joint
action. One agent per parameter of a memory controller: Krishnan et al., arXiv 2211.16385.

In a game of one step a critic is no more than a baseline, and where the observation is constant it is one number, which
normalising the advantages removes: there independent PPO and MAPPO differ in nothing but their random draws.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from archgym.errors import UsageError
from archgym.evaluation import Floats
from archgym.space import Codes

from ..libraries import library
from .networks import Adam, Networks, joint_width

if TYPE_CHECKING:
    from torch import Tensor

_ABSENT = -1e9  # logit of a level that a parameter does not have


@dataclass(frozen=True)
class Learning:
    """Hyperparameters of a team's learning.

    Attributes:
        hidden: units in each of the two hidden layers of every network.
        learning_rate: of Adam, at first; it falls linearly to a tenth.
        clip: how far a ratio may leave 1 before it gains nothing more.
        epochs: passes over a rollout.
        minibatch: rows per step at most.
        entropy: weight of the policies' entropy at first; it falls linearly.
        entropy_floor: weight of the entropy in the end.
        explore: share of every choice that is drawn evenly.
    """

    hidden: int = 32
    learning_rate: float = 0.01
    clip: float = 0.2
    epochs: int = 8
    minibatch: int = 64
    entropy: float = 0.02
    entropy_floor: float = 0.005
    explore: float = 0.05

    def __post_init__(self) -> None:
        if min(self.hidden, self.epochs, self.minibatch) < 1 or self.learning_rate <= 0 or not 0 < self.clip < 1:
            raise UsageError(
                "a team's learning: expected hidden, epochs and minibatch of at least 1, a positive learning rate and "
                f"a clip in (0, 1), got {self}"
            )
        if not (0 <= self.entropy_floor <= self.entropy and 0 <= self.explore < 1):
            raise UsageError(
                f"a team's learning: expected 0 <= entropy_floor <= entropy and explore in [0, 1), got {self}"
            )


class Team:
    """Agents that choose parts of one action, and learn from the reward they share.

    Every agent has a network from the observation to the logits of its parameters, with its own ratio, clip and
    Adam (which treats every weight by itself: one object serves all agents). Nothing random comes from, or goes to,
    torch's global stream.

    Args:
        observation_size: k numbers, the same for every agent.
        groups_nvec: for each agent the number of levels of each of its parameters. Actions have one column per
            parameter in this order, d in all.
        config: hyperparameters.
        seed: of weights and draws.
        central: one critic for all instead of one per agent.
        joint: the comparison with a single agent: one network with all heads, one ratio, one critic, hidden layers so
            wide that it has as many weights as the team would have (`joint_width`).

    Raises:
        MissingExtraError: torch is not installed.
        UsageError: an agent without parameters, or one without levels.
    """

    def __init__(
        self,
        observation_size: int,
        groups_nvec: Sequence[Sequence[int]],
        config: Learning | None = None,
        seed: int = 0,
        *,
        central: bool = False,
        joint: bool = False,
    ) -> None:
        self._torch = torch = library("torch", "marl")
        self.config = Learning() if config is None else config
        groups = [[int(n) for n in group] for group in groups_nvec]
        self._made_of = {
            "observation_size": observation_size,
            "groups_nvec": groups,
            "central": central,
            "joint": joint,
        }
        if not groups or any(not group or min(group) < 1 for group in groups):
            raise UsageError(f"a team: expected level counts of at least one parameter per agent, got {groups}")
        hidden = joint_width(observation_size, groups, self.config.hidden) if joint else self.config.hidden
        groups = [[n for group in groups for n in group]] if joint else groups
        nvec = [n for group in groups for n in group]
        self.agents, self.parameters = len(groups), len(nvec)
        self._draws = torch.Generator().manual_seed(seed)
        self.central, self.joint = central, joint
        owner = np.repeat(np.arange(self.agents), [len(group) for group in groups])  # (d,)
        self.actors = Networks(observation_size, hidden, np.repeat(owner, nvec), 0.01, self._draws)
        self.critics = Networks(observation_size, hidden, np.arange(1 if central else self.agents), 1.0, self._draws)
        self._adam = Adam([*self.actors.tensors, *self.critics.tensors])
        # Logits of all agents stand side by side; here they become a table (d, most levels).
        starts, levels = np.cumsum([0, *nvec[:-1]]), np.arange(max(nvec))
        exists = levels < np.array(nvec)[:, None]
        self._place = torch.as_tensor(np.where(exists, starts[:, None] + levels, 0))
        self._exists = torch.as_tensor(exists)
        self._even = torch.as_tensor(exists / np.array(nvec)[:, None], dtype=torch.float32)
        self._owner = torch.as_tensor(np.eye(self.agents, dtype=np.float32)[owner])  # (d, agents)

    @property
    def weights(self) -> int:
        """Number of trainable numbers, critics included."""
        return sum(tensor.numel() for tensor in (*self.actors.tensors, *self.critics.tensors))

    def act(self, observations: Floats) -> tuple[Codes, Floats]:
        """Draw an action for each observation.

        Args:
            observations: (n, k).

        Returns:
            Level indices (n, d), and the logarithm of each agent's probability of its part (n, agents).
        """
        torch = self._torch
        with torch.no_grad():
            logs = self._log_policy(self._tensor(observations))
            n, d, levels = logs.shape
            odds = (logs.exp() * self._exists).reshape(n * d, levels)
            codes = torch.multinomial(odds, 1, generator=self._draws).reshape(n, d)
            return codes.numpy(), self._of_agents(logs, codes).numpy().astype(np.float64)

    def update(
        self,
        observations: Floats,
        codes: Codes,
        logp: Floats,
        rewards: Floats,
        progress: float = 0.0,
    ) -> None:
        """Learn from actions that this team has drawn.

        Args:
            observations: (n, k).
            codes: level indices (n, d).
            logp: (n, agents) as `act` gave them.
            rewards: (n,) of the whole team.
            progress: share of the learning that is over, for the schedules.
        """
        torch, c = self._torch, self.config
        seen, chosen = self._tensor(observations), torch.as_tensor(codes)
        old, returns = self._tensor(logp), self._tensor(rewards)[:, None]
        with torch.no_grad():
            advantage = returns - self.critics(seen)  # (n, agents), or (n, 1) of a central critic
            advantage = (advantage - advantage.mean(dim=0)) / (advantage.std(dim=0, correction=0) + 1e-6)
        entropy = max(c.entropy_floor, c.entropy * (1.0 - progress))
        rate = c.learning_rate * max(0.1, 1.0 - progress)
        parts = -(-len(chosen) // c.minibatch)
        for _ in range(c.epochs):
            for rows in torch.randperm(len(chosen), generator=self._draws).chunk(parts):
                loss = self._loss(seen[rows], chosen[rows], old[rows], advantage[rows], entropy)
                error = (self.critics(seen[rows]) - returns[rows]) ** 2
                self._adam.descend(loss + 0.5 * error.mean(dim=0).sum(), rate)

    def _loss(self, seen: Tensor, codes: Tensor, old: Tensor, advantage: Tensor, entropy: float) -> Tensor:
        """The sum of the agents' clipped objectives, each with its own ratio, and their entropies; negated."""
        logs = self._log_policy(seen)
        ratio = (self._of_agents(logs, codes) - old).exp()
        kept = ratio.clamp(1.0 - self.config.clip, 1.0 + self.config.clip)
        gain = self._torch.minimum(ratio * advantage, kept * advantage)
        spread = -(logs.exp() * logs).sum(dim=2)  # (n, d)
        total: Tensor = -(gain.sum(dim=1) + entropy * spread.sum(dim=1)).mean()
        return total

    def _log_policy(self, seen: Tensor) -> Tensor:
        """Logarithms of the probabilities (n, d, most levels); about -69 for levels that do not exist."""
        explore = self.config.explore
        logits = self.actors(seen)[:, self._place]
        odds = logits.masked_fill(~self._exists, _ABSENT).softmax(dim=2)
        mixed = (1.0 - explore) * odds + explore * self._even
        logs: Tensor = mixed.clamp_min(1e-30).log()
        return logs

    def _of_agents(self, logs: Tensor, codes: Tensor) -> Tensor:
        """The agents' log-probabilities (n, agents) of their parts of the actions."""
        out: Tensor = logs.gather(2, codes[:, :, None])[:, :, 0] @ self._owner
        return out

    def _tensor(self, numbers: Floats) -> Tensor:
        out: Tensor = self._torch.as_tensor(np.asarray(numbers, np.float32))
        return out

    # ---- files ---------------------------------------------------------------------------------

    def content(self) -> dict[str, Any]:
        """Plain data and tensors from which `of` makes this team again, to go on bit for bit."""
        return {
            "made_of": self._made_of,
            "config": {field.name: getattr(self.config, field.name) for field in fields(Learning)},
            "actors": self.actors.tensors,
            "critics": self.critics.tensors,
            "adam": {"means": self._adam.means, "squares": self._adam.squares, "steps": self._adam.steps},
            "draws": self._draws.get_state(),
        }

    @classmethod
    def of(cls, content: Mapping[str, Any], config: Learning | None = None) -> Team:
        """The team that `content` came from.

        Args:
            content: as it was.
            config: hyperparameters from now on; None for the same. Networks keep their size.
        """
        known = Learning(**content["config"])
        team = cls(config=known if config is None else replace(config, hidden=known.hidden), **content["made_of"])
        team.actors.load(content["actors"])
        team.critics.load(content["critics"])
        team._adam.means, team._adam.squares = content["adam"]["means"], content["adam"]["squares"]
        team._adam.steps = content["adam"]["steps"]
        team._draws.set_state(content["draws"])
        return team

    def reseed(self, seed: int) -> None:
        """Draw from another stream from now on."""
        self._draws.manual_seed(seed)

    def save(self, path: str | Path) -> None:
        """Write everything that `load` needs to go on bit for bit."""
        self._torch.save(self.content(), path)

    @classmethod
    def load(cls, path: str | Path) -> Team:
        """The team that `save` wrote."""
        return cls.of(library("torch", "marl").load(path, weights_only=True))
