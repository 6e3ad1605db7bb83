"""Proximal policy optimisation that assigns one parameter after the other, under exact masks, by sb3-contrib.

Huang and Ontanon: "A Closer Look at Invalid Action Masking in Policy Gradient Algorithms" (FLAIRS 2022, arXiv
2006.14171). A design is an episode of d decisions; each sees the levels chosen before it, so that unlike `ppo` the
policy can model which levels go together. Levels from which no allowed design can be completed are masked.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium.spaces import Box, Discrete

from archgym.errors import UsageError

from ..policy_search import Draw
from .library_policy import Spaces
from .ppo import Ppo


class MaskablePpo(Ppo):
    """sb3_contrib.MaskablePPO, updated after every ``rollout`` designs; the reward comes with the last decision."""

    module = "sb3_contrib"

    def _make_model(self) -> Any:
        if self.config.actions != "levels":
            raise UsageError(f"maskable-ppo: expected actions=levels, got {self.config.actions}; masks are of levels")
        d, levels = len(self.space), int(self.space.nvec.max())
        spaces = Spaces(Box(0.0, 1.0, (2 * d,)), Discrete(levels))
        return self._library.MaskablePPO("MlpPolicy", spaces, **self._hyperparameters(d))

    def _draws(self, n: int) -> list[Draw]:
        torch = self._streams.torch
        d, levels = len(self.space), int(self.space.nvec.max())
        codes = np.zeros((n, d), np.int64)
        chosen = np.zeros((n, d), np.float32)  # cells' centres in (0, 1), 0 where nothing is chosen yet
        steps: list[list[dict[str, Any]]] = [[] for _ in range(n)]
        for k in range(d):
            position = np.zeros((n, d), np.float32)
            position[:, k] = 1.0
            observations = np.concatenate([position, chosen], axis=1)
            masks = np.zeros((n, levels), np.bool_)
            masks[:, : self.space.nvec[k]] = self.space.masks(codes[:, :k])
            with self._streams(), torch.no_grad():
                actions, values, log_probs = self._model.policy(torch.from_numpy(observations), action_masks=masks)
            codes[:, k] = actions.numpy()
            chosen[:, k] = (codes[:, k] + 0.5) / self.space.nvec[k]
            for i in range(n):
                steps[i].append(
                    {
                        "obs": observations[i],
                        "action": codes[i, k],
                        "value": values[i],
                        "log_prob": log_probs[i],
                        "action_masks": masks[i],
                    }
                )
        return [Draw(code, taken) for code, taken in zip(codes, steps, strict=True)]
