"""The dynamics behind the Gymnasium views: n parallel episodes over one batched evaluator.

``DesignEnv`` is the case n = 1, ``DesignVectorEnv`` the general one, so they agree bit for bit. This is the one-step
form: an action is a whole design, its reward is the problem's, the episode ends. The others build on it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from archgym.errors import UsageError
from archgym.evaluation import Evaluation
from archgym.kernel import kernel
from archgym.problem import Problem
from archgym.space import Codes

from .contexts import Contexts

CLIP = 20.0  # of log-ratios, rewards and workload features in observations

Floats = npt.NDArray[np.float64]


@kernel
def log_ratios(values: Floats, reference: Floats, clip: float) -> Floats:
    """ln(value/reference) (n, m) of values (n, m) and references (n, m), clipped to +-clip; 0 where there is no
    positive number."""
    out = np.zeros(values.shape)
    for i in range(values.shape[0]):
        for j in range(values.shape[1]):
            ratio = values[i, j] / reference[i, j]
            if ratio > 0.0:
                out[i, j] = min(max(math.log(ratio), -clip), clip)
    return out


class Episodes:
    """n episodes in lock step, here of one step each.

    Args:
        contexts: evaluate, count and log the designs.
        n: number of parallel episodes.
        vector_reward: one reward per term of a Pareto objective instead of one number: the same in that term alone.

    Attributes:
        horizon: steps of an episode.
        action_space: of one episode.
        names: what each entry of an observation is, k names.
        low, high: bounds (k,) of an observation.
        n_rewards: rewards a step; 0 stands for a plain number.
        reward_space: Box (n_rewards,) of vector rewards, else None.
        last: Evaluation of the last step, or None.

    Raises:
        UsageError: vector rewards on the scalar track, which has no metrics.
    """

    horizon = 1

    def __init__(self, contexts: Contexts, n: int, *, vector_reward: bool = False) -> None:
        self.contexts = contexts
        self.n = n
        self.space = contexts.space
        self.action_space: gym.Space[Any] = self.space.gym_space()
        self._grey = contexts.track == "grey"
        problem = contexts.problems[0]
        known = problem.metrics
        self._logged = [i for i, name in enumerate(problem.metric_names) if known[name].positive]
        logged = [problem.metric_names[i] for i in self._logged]
        self._references = np.array([[p.baseline_metrics[name] for name in logged] for p in contexts.problems])
        self._features = np.clip(contexts.feature_values, -CLIP, CLIP)
        outcome = ["valid", *(f"ln {name}" for name in logged)] if self._grey else ["feasible", "reward"]
        entries = [*self._state_entries(), *((name, name in ("valid", "feasible")) for name in outcome)]
        entries += [(name, False) for name in contexts.features]
        self.names = tuple(name for name, _ in entries)
        share = np.array([is_share for _, is_share in entries])
        self.low, self.high = np.where(share, 0.0, -CLIP), np.where(share, 1.0, CLIP)
        self._outcomes = len(outcome)
        if vector_reward and not self._grey:
            raise UsageError("vector_reward: expected track='grey', the scalar track shows one reward only")
        self._objective = problem.objective
        self.n_rewards = self._objective.n_values if vector_reward else 0
        bounds = (-CLIP, CLIP) if self._objective.pareto else (self._objective.floor, np.inf)
        self.reward_space = gym.spaces.Box(*bounds, (self.n_rewards,), np.float64) if vector_reward else None
        self.last: Evaluation | None = None
        self._steps = 0
        self._at = np.zeros(n, np.int64)
        self._begin()

    # ---- what the forms differ in ------------------------------------------------------

    def _state_entries(self) -> list[tuple[str, bool]]:
        """Names of what stands in front of the outcome, and whether each lies in 0..1."""
        return []

    def _begin(self) -> None:
        """The state of n new episodes."""

    def _state(self) -> list[Floats]:
        """The state as columns (n, ...)."""
        return []

    def _rewarded(self, evaluation: Evaluation) -> Floats:
        """Rewards (n,) of the designs of this step; here also the state moves on."""
        return evaluation.reward

    # ---- episodes ----------------------------------------------------------------------

    def reset(self, generators: Sequence[np.random.Generator]) -> Floats:
        """Begin n episodes; the first observations (n, k).

        Args:
            generators: one a episode; it draws the workload where there are several.
        """
        self._steps = 0
        self._at = self.contexts.draw(generators)
        self._begin()
        return self._observe(None)

    def step(self, actions: npt.NDArray[Any]) -> tuple[Floats, Floats, bool, dict[str, npt.NDArray[Any]]]:
        """Evaluate one design per episode.

        Args:
            actions: level indices (n, d).

        Returns:
            observations (n, k), rewards (n,) or (n, n_rewards), whether the episodes are over, info columns (n,).

        Raises:
            BudgetExhausted: the budget does not hold n more samples.
            UsageError: an action is no design of the space.
        """
        return self._evaluated(np.asarray(actions).reshape(self.n, -1))

    def _evaluated(self, codes: Codes) -> tuple[Floats, Floats, bool, dict[str, npt.NDArray[Any]]]:
        """The step that evaluates designs (n, d)."""
        evaluation = self.contexts.evaluate(self._at, codes)
        self.last = evaluation
        self._steps += 1
        reward = self._rewarded(evaluation)
        if self.n_rewards:
            reward = self._by_term(evaluation) if self._objective.pareto else reward[:, None]
        return self._observe(evaluation), reward, self._steps >= self.horizon, self._info(evaluation)

    def problem(self, i: int) -> Problem:
        """The problem that episode i is about."""
        return self.contexts.problems[int(self._at[i])]

    def _by_term(self, evaluation: Evaluation) -> Floats:
        """Rewards (n, terms), each clipped to +-20, which is also what infeasible designs get everywhere."""
        terms = self._objective.terms
        columns = np.stack([evaluation.metrics[t.metric] for t in terms], axis=1)
        baselines = np.array([[p.baseline_metrics[t.metric] for t in terms] for p in self.contexts.problems])
        weighted = -np.array([t.weight for t in terms]) * log_ratios(columns, baselines[self._at], CLIP)
        return np.where(evaluation.feasible[:, None], np.clip(weighted, -CLIP, CLIP), -CLIP) + 0.0  # no negative zero

    def _observe(self, evaluation: Evaluation | None) -> Floats:
        parts = self._state()
        if evaluation is None:
            parts.append(np.zeros((self.n, self._outcomes)))
        elif self._grey:
            shown = np.ascontiguousarray(evaluation.metric_values[:, self._logged])
            valid = 1.0 - np.all(np.isnan(evaluation.metric_values), axis=1, keepdims=True)
            parts += [valid, log_ratios(shown, self._references[self._at], CLIP)]
        else:
            parts.append(evaluation.feasible.astype(np.float64).reshape(-1, 1))
            parts.append(np.clip(evaluation.reward, -CLIP, CLIP).reshape(-1, 1))
        parts.append(self._features[self._at])
        return np.concatenate(parts, axis=1)

    def _info(self, evaluation: Evaluation) -> dict[str, npt.NDArray[Any]]:
        out: dict[str, npt.NDArray[Any]] = {"feasible": evaluation.feasible}
        if len(self.contexts) > 1:
            out["workload"] = np.array(self.contexts.labels, object)[self._at]
        if self._grey:
            out["reason"] = np.full(self.n, "", object)
            for i in np.flatnonzero(~evaluation.feasible).tolist():
                out["reason"][i] = self.problem(i).explain(evaluation, i)
            out |= {f"metric.{name}": column for name, column in evaluation.metrics.items()}
            for i, name in enumerate(self.contexts.problems[0].constraint_names):
                out[f"violation.{name}"] = evaluation.violations[:, i]
            out |= self.contexts.remarks(self._at, evaluation.codes)
        return out
