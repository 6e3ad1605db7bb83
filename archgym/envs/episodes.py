"""The dynamics behind the Gymnasium views: n parallel episodes over one evaluator.

``DesignEnv`` is the case n = 1, ``DesignVectorEnv`` the general one, so they agree bit for bit.

* ``one_step``: an action is a whole design, its reward is the problem's, the episode ends.
* ``refine``: ``horizon`` designs per episode; reward_t = max(0, r_t - best so far), where the best starts
  at the baseline's reward (0 by definition), so that the return is the improvement over the baseline.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from archgym.errors import UnknownNameError, UsageError
from archgym.evaluation import Evaluation
from archgym.evaluator import Evaluator
from archgym.kernel import kernel
from archgym.problem import Problem
from archgym.space import Codes

EPISODES = ("one_step", "refine")
RENDER_MODES = ("ansi", "rgb_array")
CLIP = 20.0  # of log-ratios, rewards and workload features in observations

Floats = npt.NDArray[np.float64]


@kernel
def _log_ratios(values: Floats, reference: Floats, clip: float) -> Floats:
    """ln(value/reference) clipped to +-clip (n, m); 0 where there is no positive number."""
    out = np.zeros(values.shape)
    for i in range(values.shape[0]):
        for j in range(values.shape[1]):
            ratio = values[i, j] / reference[j]
            if ratio > 0.0:
                out[i, j] = min(max(math.log(ratio), -clip), clip)
    return out


def check_episode(episode: str, n: int, horizon: int, render_mode: str | None = None) -> None:
    """Refuse what no environment can be made of.

    Raises:
        UnknownNameError: no such episode or render mode.
        UsageError: a horizon or a number of environments below 1.
    """
    if episode not in EPISODES:
        raise UnknownNameError("episode", episode, EPISODES)
    if horizon < 1 or n < 1:
        raise UsageError(f"horizon and number of environments: expected at least 1, got {horizon} and {n}")
    if render_mode is not None and render_mode not in RENDER_MODES:
        raise UnknownNameError("render_mode", render_mode, RENDER_MODES)


class Episodes:
    """n episodes in lock step.

    Args:
        evaluator: evaluates, counts and logs the designs.
        episode: ``"one_step"`` or ``"refine"``.
        n: number of parallel episodes.
        horizon: designs per episode of ``refine``.

    Attributes:
        names: what each entry of an observation is, k names.
        low, high: bounds (k,) of an observation.
        last: Evaluation of the last step, or None.
    """

    def __init__(self, evaluator: Evaluator, episode: str, n: int, horizon: int) -> None:
        check_episode(episode, n, horizon)
        self.evaluator = evaluator
        self.problem: Problem = evaluator.problem
        self.n = n
        self.horizon = 1 if episode == "one_step" else horizon
        self._refine = episode == "refine"
        self._grey = evaluator.track == "grey"
        known = self.problem.metrics
        self._logged = [i for i, name in enumerate(self.problem.metric_names) if known[name].positive]
        self._reference = np.array([self.problem.baseline_metrics[self.problem.metric_names[i]] for i in self._logged])
        features = [w.features() for w in self.problem.workloads]
        means = {key: math.fsum(f[key] for f in features) / len(features) for key in features[0]}
        self._features = np.clip(np.array(list(means.values()), np.float64), -CLIP, CLIP)
        self.names = self._entries(list(means))
        self.low, self.high = self._bounds()
        self.last: Evaluation | None = None
        self.reset()

    def _entries(self, features: list[str]) -> tuple[str, ...]:
        outcome = ["valid", *(f"ln {self.problem.metric_names[i]}" for i in self._logged)]
        if not self._grey:
            outcome = ["feasible", "reward"]
        state: list[str] = []
        if self._refine:
            knobs = self.problem.space.names
            state = [*(f"design {k}" for k in knobs), *(f"best {k}" for k in knobs), "best reward", "steps left"]
        return (*state, *outcome, *features)

    def _bounds(self) -> tuple[Floats, Floats]:
        shares = ("design ", "best ", "steps", "valid", "feasible")
        share = np.array([name.startswith(shares) and name != "best reward" for name in self.names])
        return np.where(share, 0.0, -CLIP), np.where(share, 1.0, CLIP)

    def reset(self) -> Floats:
        """Begin n episodes; the first observations (n, k)."""
        self._steps = 0
        d = len(self.problem.space)
        self._design: Codes = np.repeat(self._start().reshape(1, d), self.n, axis=0)
        self._best = self._design.copy()
        self._best_reward = np.zeros(self.n)
        return self._observe(None)

    def _start(self) -> Codes:
        try:
            return self.problem.space.encode([self.problem.baseline]).reshape(-1)
        except UsageError:  # the restricted space does not hold the baseline
            return np.zeros(len(self.problem.space), np.int64)

    def step(self, actions: npt.NDArray[Any]) -> tuple[Floats, Floats, bool, dict[str, npt.NDArray[Any]]]:
        """Evaluate one design per episode.

        Args:
            actions: level indices (n, d).

        Returns:
            observations (n, k), rewards (n,), whether the episodes are over, info columns (n,).

        Raises:
            BudgetExhausted: the evaluator's budget does not hold n more samples.
            UsageError: an action is no design of the space.
        """
        evaluation = self.evaluator(np.asarray(actions).reshape(self.n, -1))
        self.last = evaluation
        self._steps += 1
        reward = evaluation.reward
        if self._refine:
            self._design = evaluation.codes
            gain = np.where(evaluation.feasible, np.maximum(reward - self._best_reward, 0.0), 0.0)
            better = gain > 0
            self._best = np.where(better[:, None], evaluation.codes, self._best)
            self._best_reward = np.where(better, reward, self._best_reward)
            reward = gain
        return self._observe(evaluation), reward, self._steps >= self.horizon, self._info(evaluation)

    def _observe(self, evaluation: Evaluation | None) -> Floats:
        parts: list[Floats] = []
        if self._refine:
            levels = np.maximum(self.problem.space.nvec - 1, 1)
            parts += [self._design / levels, self._best / levels]
            parts.append(np.minimum(self._best_reward, CLIP).reshape(-1, 1))
            parts.append(np.full((self.n, 1), max(self.horizon - self._steps, 0) / self.horizon))
        if evaluation is None:
            parts.append(np.zeros((self.n, len(self._logged) + 1 if self._grey else 2)))
        elif self._grey:
            ratios = _log_ratios(np.ascontiguousarray(evaluation.metric_values[:, self._logged]), self._reference, CLIP)
            valid = 1.0 - np.all(np.isnan(evaluation.metric_values), axis=1, keepdims=True)
            parts += [valid, ratios]
        else:
            parts.append(evaluation.feasible.astype(np.float64).reshape(-1, 1))
            parts.append(np.clip(evaluation.reward, -CLIP, CLIP).reshape(-1, 1))
        parts.append(np.broadcast_to(self._features, (self.n, len(self._features))))
        return np.concatenate(parts, axis=1)

    def _info(self, evaluation: Evaluation) -> dict[str, npt.NDArray[Any]]:
        out: dict[str, npt.NDArray[Any]] = {"feasible": evaluation.feasible}
        if self._grey:
            out["reason"] = np.full(self.n, "", object)
            for i in np.flatnonzero(~evaluation.feasible).tolist():
                out["reason"][i] = self.problem.explain(evaluation, i)
            out |= {f"metric.{name}": column for name, column in evaluation.metrics.items()}
            for i, name in enumerate(self.problem.constraint_names):
                out[f"violation.{name}"] = evaluation.violations[:, i]
        return out
