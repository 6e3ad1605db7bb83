"""archgym: design hardware with search.

``archgym.run`` searches, ``archgym.replay`` checks a log, ``gymnasium.make("archgym/…")`` gives an
environment (importing archgym registers the ids). See README.md.
"""

import archgym.envs.registration  # noqa: F401 - registers the ids
from archgym.evaluation import Evaluation
from archgym.evaluator import Evaluator
from archgym.objective import Objective
from archgym.problem import Problem, ProblemSpec
from archgym.space import DesignSpace, Parameter
from archgym.spec import StudySpec
from archgym.study import Summary, continue_study, load, replay, run
from archgym.workload import load_workload

__all__ = [
    "DesignSpace",
    "Evaluation",
    "Evaluator",
    "Objective",
    "Parameter",
    "Problem",
    "ProblemSpec",
    "StudySpec",
    "Summary",
    "continue_study",
    "load",
    "load_workload",
    "replay",
    "run",
]
