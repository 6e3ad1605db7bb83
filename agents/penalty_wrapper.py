"""``penalty(AGENT)``: constraints for agents that know none."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from archgym.agent import Agent
from archgym.errors import UsageError
from archgym.evaluation import Evaluation, Floats
from archgym.wrapper import Wrapper

from .penalty import penalised


class PenaltyWrapper(Wrapper):
    """For agents that know nothing of constraints: infeasible designs look just worse than the worst feasible one.

    The agent sees what the scalar track shows, and everything feasible: metrics, values and violations would contradict
    that. The reward of an infeasible design is that of `penalised`, relative to all samples until then, and on the grey
    track graded by its violations; before the first feasible sample it is beyond the floor. Of several values the agent
    searches the equally weighted product, the reward.
    """

    key = "penalty"

    @classmethod
    def around(cls, inner: type[Agent]) -> type[Wrapper]:
        """See Wrapper; an agent that needs metrics and violations cannot do without them."""
        if getattr(inner, "needs", "scalar") == "grey":
            raise UsageError(f"penalty: {inner.__name__} needs the metrics and violations that penalty hides")
        return super().around(inner)

    def __init__(self, space: Any, config: Any = None, **study: Any) -> None:
        super().__init__(space, config, **study)
        self._range: list[Evaluation] = []  # the worst and the best feasible sample: all that a penalty depends on

    def inner_study(self, study: dict[str, Any]) -> dict[str, Any]:
        """The study as the scalar track shows it, a prior without constraints like everything told."""
        prior = study.get("prior")
        known = {} if prior is None else {"prior": _feasible(prior, penalised(prior))}
        return {**study, **known, "n_values": 1, "n_constraints": 0, "objective": None}

    def tell(self, evaluation: Evaluation) -> None:
        """Tell the inner agent the same rows, all of them feasible."""
        if len(evaluation) == 0:
            return
        rows = Evaluation.concatenate([*self._range, evaluation])
        cost = penalised(rows)
        if rows.feasible.any():
            reward = np.where(rows.feasible, rows.reward, np.nan)
            self._range = [rows.take(np.array([np.nanargmin(reward), np.nanargmax(reward)]))]
        else:
            cost -= rows.reward  # the floor: whatever is feasible will be better
        self.inner.tell(_feasible(evaluation, cost[-len(evaluation) :]))


def _feasible(rows: Evaluation, cost: Floats) -> Evaluation:
    """The rows as the scalar track shows them, all feasible, with these costs (n,)."""
    return replace(rows.scalar(), reward=-cost, feasible=np.ones(len(rows), np.bool_))
