"""The contract of a search agent: ask for designs, be told what came of them.

An agent knows a design space and numbers, never a simulator. To add one: subclass ``Agent``,
override ``ask`` and ``tell``, register it in ``archgym.registry.AGENTS`` or through the entry point
group ``archgym.agents``; ``archgym.testing.check_agent`` tells whether it keeps the contract. What several agents
could use goes around them instead: see `archgym.wrapper`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol

from archgym import rng
from archgym.errors import UsageError
from archgym.evaluation import Evaluation
from archgym.objective import Objective
from archgym.space import Codes, DesignSpace, Level


class Evaluates(Protocol):
    """What an agent sees of the evaluator: how much budget is left, and a call that spends it."""

    @property
    def left(self) -> int: ...

    def __call__(self, codes: Codes) -> Evaluation: ...


@dataclass(frozen=True)
class NoHyperparameters:
    """The Config of an agent that has none."""


class Agent(ABC):
    """Base of all agents.

    Class attributes:
        Config: frozen dataclass of hyperparameters; its defaults are the agent's defaults.
        search_space: hyperparameter -> candidate values, for tuning.
        needs: ``"grey"`` if it is useless without metrics and violations, else ``"scalar"``.
        anytime: whether it pays no heed to ``budget``, so that a study is the beginning of every longer one (as far as
            it consists of whole asks). Comparisons then run the longest and read the shorter ones off it; of agents
            that do not say so they run one study for each budget.
        uses_prior: whether it makes something of ``prior``.

    Args:
        space: the designs to search; canonical designs are the distinct ones.
        config: an instance of ``Config``; None for the defaults.
        seed: of the study.
        budget: samples it will get, if known; a strategy may plan with it.
        batch: designs asked per step by the default loop.
        n_values: columns of ``Evaluation.values``; more than one means a Pareto objective.
        n_constraints: columns of ``Evaluation.violations``.
        objective: on the grey track, how reward, values and the last violations follow from the metrics; an agent may
            model metrics one by one and put the objective together afterwards. None on the scalar track.
        features: numbers that describe the workload (`Problem.features`), for policies trained on several.
        cost_seconds: what the simulator declares for one evaluation; nobody measures it.
        prior: designs of this space as they came out of a similar problem (another workload, a lower fidelity), under
            this objective: a guess at what they are worth here, which observations may contradict. Not this problem's
            numbers, so no warm start.
    """

    Config: ClassVar[type[Any]] = NoHyperparameters
    search_space: ClassVar[Mapping[str, tuple[Level, ...]]] = {}
    needs: ClassVar[Literal["scalar", "grey"]] = "scalar"
    anytime: ClassVar[bool] = False
    uses_prior: ClassVar[bool] = False

    def __init__(
        self,
        space: DesignSpace,
        config: Any = None,
        *,
        seed: int = 0,
        budget: int | None = None,
        batch: int = 1,
        n_values: int = 1,
        n_constraints: int = 0,
        objective: Objective | None = None,
        features: tuple[float, ...] = (),
        cost_seconds: float = 0.0,
        prior: Evaluation | None = None,
    ) -> None:
        self.space = space
        self.config = self.Config() if config is None else config
        self.seed = seed
        self.budget = budget
        self.batch = batch
        self.n_values = n_values
        self.n_constraints = n_constraints
        self.objective = objective
        self.features = features
        self.cost_seconds = cost_seconds
        self.prior = prior
        self.rng = rng.generator(seed, "agent")

    @abstractmethod
    def ask(self, n: int) -> Codes:
        """Propose 1..n designs (k, d); an empty array means the agent has nothing left to ask."""

    @abstractmethod
    def tell(self, evaluation: Evaluation) -> None:
        """Learn from evaluated designs, in any order, also ones it never asked for (warm start)."""

    def run(self, evaluator: Evaluates) -> None:
        """Ask and tell until the budget is spent or there is nothing left to ask.

        Only wrappers of libraries that insist on driving override this.
        """
        while evaluator.left:
            wanted = min(self.batch, evaluator.left)
            codes = self.ask(wanted)
            if len(codes) == 0:
                return
            if len(codes) > wanted:
                raise UsageError(f"{type(self).__name__}.ask({wanted}) returned {len(codes)} designs")
            self.tell(evaluator(codes))
