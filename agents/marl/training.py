"""Training of one policy on several workloads of a simulator, all in every rollout."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from archgym import rng
from archgym.errors import UsageError
from archgym.evaluation import Evaluation, Floats
from archgym.space import Codes, DesignSpace

from ..libraries import torch_alone
from ..policy_search import FORBIDDEN
from ..ranking import places, utilities, violation
from .policies import Learning, Team
from .policy import Descriptions, Policy, columns, ordered


class Workloads(Protocol):
    """What training sees of several workloads; `archgym.envs.contexts.Contexts` is that."""

    @property
    def space(self) -> DesignSpace: ...

    @property
    def features(self) -> Sequence[str]: ...

    @property
    def feature_values(self) -> Floats: ...

    @property
    def fingerprints(self) -> Mapping[str, str]: ...

    def __len__(self) -> int: ...

    def evaluate(self, at: npt.NDArray[np.int64], codes: Codes) -> Evaluation: ...


def untrained(workloads: Workloads, groups: str, config: Learning, seed: int, *, central: bool, joint: bool) -> Policy:
    """A policy for these workloads that has learnt nothing yet; see `Team` for the arguments."""
    descriptions = Descriptions.of(workloads.feature_values)
    nvec = [workloads.space.nvec[group].tolist() for group in columns(workloads.space, groups)]
    with torch_alone(0):  # for its single thread: the team's random stream is its own
        team = Team(1 + len(workloads.features), nvec, config, seed, central=central, joint=joint)
    return Policy(team, groups, workloads.space.fingerprint, descriptions, workloads.fingerprints)


def train(
    policy: Policy,
    workloads: Workloads,
    *,
    samples: int,
    rollout: int,
    seed: int,
    on_rollout: Callable[[Policy], None] = lambda policy: None,
) -> None:
    """Let a policy learn from its own draws until it has been trained with ``samples`` designs.

    Designs are ranked against those of the same workload and rollout, so that no workload matters more than another.
    The same policy, samples and seed give the same weights, also when training goes on from a saved policy.

    Args:
        policy: learns in place.
        workloads: those it was made for.
        samples: draws in all, forbidden and repeated ones included; the last rollout may exceed them.
        rollout: draws between two updates, shared by the workloads as evenly as it goes.
        seed: of who gets the odd draws.
        on_rollout: called after every update.

    Raises:
        UsageError: other problems than the policy's, or too small a rollout.
    """
    if policy.workloads != workloads.fingerprints:
        raise UsageError(
            f"training: expected the objective, options and workloads of the policy ({', '.join(policy.workloads)}), "
            f"got others ({', '.join(workloads.fingerprints)}); choose another file for a new policy"
        )
    if rollout < 2 * len(workloads):
        raise UsageError(f"training: expected a rollout of at least 2 designs a workload, got {rollout}")
    order = columns(workloads.space, policy.groups)
    seen = policy.descriptions.observe(workloads.feature_values)
    with torch_alone(0):
        while policy.samples < samples:
            at = np.resize(rng.generator(seed, "training", policy.samples).permutation(len(workloads)), rollout)
            actions, logp = policy.team.act(seen[at])
            rewards = _rewards(workloads, at, ordered(order, actions))
            policy.samples += rollout
            policy.team.update(seen[at], actions, logp, rewards, progress=min(policy.samples / samples, 1.0))
            on_rollout(policy)


def _rewards(workloads: Workloads, at: npt.NDArray[np.int64], codes: npt.NDArray[np.int64]) -> Floats:
    """Utilities (n,) of the designs' places among those of their workload; forbidden ones are not evaluated."""
    reward, violations = np.full(len(codes), FORBIDDEN.reward), np.full(len(codes), FORBIDDEN.violation)
    rows = np.flatnonzero(workloads.space.is_allowed(codes))
    if len(rows):
        evaluation = workloads.evaluate(at[rows], codes[rows])
        reward[rows], violations[rows] = evaluation.reward, violation(evaluation)
    out = np.empty(len(codes))
    for workload in range(len(workloads)):
        own = at == workload
        out[own] = utilities(places(reward[own], violations[own]))
    return out
