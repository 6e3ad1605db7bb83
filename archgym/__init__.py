"""archgym: design hardware with search.

``archgym.run`` searches, ``archgym.replay`` checks a log, ``archgym.load`` reads many logs as tables,
``gymnasium.make("archgym/…")`` gives an environment (importing archgym registers the ids), ``archgym.parallel_env``
one for teams of agents. See README.md.
"""

import archgym.envs.registration  # noqa: F401 - registers the ids
from archgym.dataset.dataset import Dataset
from archgym.envs.parallel import parallel_env
from archgym.evaluation import Evaluation
from archgym.evaluator import Evaluator
from archgym.objective import Objective
from archgym.problem import Problem, ProblemSpec
from archgym.runs import Runs, load
from archgym.space import DesignSpace, Parameter
from archgym.spec import StudySpec
from archgym.study import Summary, continue_study, replay, run
from archgym.workload import load_workload

__all__ = [
    "Dataset",
    "DesignSpace",
    "Evaluation",
    "Evaluator",
    "Objective",
    "Parameter",
    "Problem",
    "ProblemSpec",
    "Runs",
    "StudySpec",
    "Summary",
    "continue_study",
    "load",
    "load_workload",
    "parallel_env",
    "replay",
    "run",
]
