"""Run, load, replay and continue studies: the one way in which searches happen."""

from __future__ import annotations

import contextlib
import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from archgym import config as configs
from archgym.agent import Agent
from archgym.errors import BudgetExhausted, LogError, ReplayMismatch, UsageError, WorkerError
from archgym.evaluation import Evaluation
from archgym.evaluator import Evaluator
from archgym.executor import make_executor
from archgym.log import SPEC, TRIALS, StudyLog, read_header, read_trials, rows_as_json
from archgym.pareto import front
from archgym.prior import Prior, choose_prior, kept_prior
from archgym.problem import Problem, ProblemSpec
from archgym.registry import AGENTS
from archgym.spec import EXTERNAL, StudySpec
from archgym.suite.problems import parse_problem

if TYPE_CHECKING:
    import pandas as pd

REPLAY_TOLERANCE = 1e-12  # relative; other machines may round transcendentals differently


@dataclass(frozen=True, eq=False)
class Summary:
    """The outcome of a study.

    Attributes:
        spec: what was run.
        problem: its working form.
        samples: every sample in order, with all columns whatever the track.
        folder: where it is logged, or None.
    """

    spec: StudySpec
    problem: Problem
    samples: Evaluation
    folder: Path | None = None

    @property
    def best(self) -> dict[str, Any] | None:
        """Design, metrics, reward and trial of the best feasible sample; None if there is none."""
        if not self.samples.feasible.any():
            return None
        i = int(np.argmax(np.where(self.samples.feasible, self.samples.reward, -np.inf)))
        return {
            "trial": i,
            "design": self.problem.space.design(self.samples.codes[i]),
            "metrics": {name: float(column[i]) for name, column in self.samples.metrics.items()},
            "reward": float(self.samples.reward[i]),
        }

    @property
    def best_so_far(self) -> npt.NDArray[np.float64]:
        """Reward of the best feasible sample up to each trial (n,); NaN before the first."""
        best = np.maximum.accumulate(np.where(self.samples.feasible, self.samples.reward, -np.inf))
        return np.where(np.isfinite(best), best, np.nan)

    def __repr__(self) -> str:
        best = self.best
        found = "nothing feasible" if best is None else f"best reward {best['reward']:.6g} at trial {best['trial']}"
        return f"Summary({self.problem.spec.label}, {self.spec.agent}, {len(self.samples)} samples, {found})"

    @property
    def front(self) -> npt.NDArray[np.int64]:
        """Trials (k,) of the feasible samples that no other dominates in the objective's terms.

        In energy and latency for EDP; sorted by the first term, each design once.
        """
        terms, metrics = self.problem.objective.terms, self.samples.metrics
        columns = [math.copysign(1.0, t.weight) * metrics[t.metric] for t in terms]
        return front(np.where(self.samples.feasible[:, None], np.stack(columns, axis=1), np.nan))

    @property
    def n_unique(self) -> int:
        """Distinct canonical designs among the samples."""
        return int((~self.samples.cached).sum())

    def frame(self) -> pd.DataFrame:
        """One row a sample: ``param.*``, ``metric.*``, ``violation.*``, reward, feasible, cached, trial."""
        import pandas as pd

        columns: dict[str, Any] = {"trial": np.arange(len(self.samples))}
        columns |= {f"param.{k}": v for k, v in self.problem.space.decode(self.samples.codes).items()}
        columns |= {f"metric.{k}": v for k, v in self.samples.metrics.items()}
        for i, name in enumerate(self.problem.constraint_names):
            columns[f"violation.{name}"] = self.samples.violations[:, i]
        columns |= {
            "reward": self.samples.reward,
            "feasible": self.samples.feasible,
            "cached": self.samples.cached,
        }
        return pd.DataFrame(columns)


def run(
    problem: StudySpec | ProblemSpec | str,
    agent: str = "genetic",
    *,
    budget: int = 1000,
    batch: int = 10,
    seed: int = 0,
    track: str = "grey",
    config: Mapping[str, Any] | None = None,
    prior: Sequence[str | Path] = (),
    out: str | Path | None = None,
    executor: str = "serial",
    jobs: int = 1,
    on_ask: Callable[[Evaluator], None] | None = None,
    **options: Any,
) -> Summary:
    """Search a problem with an agent.

    Args:
        problem: ``"simulator/workload/objective"``, the name of a suite problem, a ProblemSpec, or a
            whole StudySpec (then the arguments up to ``config`` are not used).
        agent: registered name, ``"module:Class"``, or ``"wrapper(agent)"``.
        budget, batch, seed, track, config: see StudySpec.
        prior: folders of studies of the same design space. Rows of the very problem are told to the agent before it
            begins and cost nothing; of the others the nearest by workload features is its prior.
        out: folder for the log; one that holds the same spec is resumed (or, if complete, read).
        executor: ``"serial"``, ``"threads"`` or ``"processes"``, with ``jobs`` workers; the log does not depend on it.
        on_ask: called with the Evaluator after every batch.
        options: further fields of ProblemSpec, such as ``limits=("area<=20",)``.

    Returns:
        The Summary of all samples. On Ctrl-C the folder stays resumable and KeyboardInterrupt is passed on.

    Raises:
        UsageError: anything wrong with the arguments; then nothing has been written.
        LogError: the folder belongs to another spec, or cannot be written.
        ReplayMismatch: a resumed agent asks for other designs than the log holds.
        WorkerError: a worker process died; what is logged is kept, the same call goes on from there.
    """
    if options and not isinstance(problem, str):
        raise UsageError(f"{', '.join(options)}: put this into the spec; options only go with a problem given as text")
    spec = problem if isinstance(problem, StudySpec) else None
    if spec is None:
        parsed = problem if isinstance(problem, ProblemSpec) else parse_problem(str(problem), **options)
        spec = StudySpec(parsed, agent, dict(config or {}), budget, batch, track, seed)
    spec, ready = prepare(spec)
    spec, known = gather_prior(spec, ready, prior, out)
    return search(spec, ready, prior=known, out=out, executor=executor, jobs=jobs, on_ask=on_ask)


def prepare(spec: StudySpec, problem: Problem | None = None) -> tuple[StudySpec, Problem]:
    """The spec with every option converted from text to its type, and its problem.

    Args:
        spec: what shall be run.
        problem: its problem, where it has been built already.

    Raises:
        UsageError: anything wrong with any part of it.
    """
    problem = Problem(spec.problem) if problem is None else problem
    config = agent_config(spec.agent, spec.config, spec.track)
    return replace(spec, problem=problem.spec, config=config), problem


def gather_prior(
    spec: StudySpec, problem: Problem, folders: Sequence[str | Path], out: str | Path | None = None
) -> tuple[StudySpec, Prior]:
    """The spec of a study that begins with the logs in some folders, and what they tell.

    A study that has begun keeps what it uses of them, so a folder may be gone when it is resumed.

    Args:
        spec, problem: from `prepare`.
        folders: of studies of the same design space.
        out: where the study will be logged.

    Raises:
        UsageError: another space, no rows, missing metrics, or an agent that makes nothing of a prior.
        LogError: no study folder, or damaged.
    """
    if not folders:
        return spec, kept_prior(spec, problem, out)
    if out is not None and (Path(out) / SPEC).exists() and not all((Path(f) / SPEC).exists() for f in folders):
        begun = read_header(out).get("study", {}).get("prior", "")
        if begun:
            spec = replace(spec, prior=begun)
            return spec, kept_prior(spec, problem, out)
    known = choose_prior([load(folder) for folder in folders], problem)
    if known.believed is not None and not _agent_class(spec.agent, spec.track).uses_prior:
        raise UsageError(
            f"prior: agent {spec.agent} expected logs of {spec.problem.label} itself, got one of another problem; "
            "agents bayesian and auto can use it"
        )
    return replace(spec, prior=known.digest), known


def search(
    spec: StudySpec,
    problem: Problem,
    *,
    prior: Prior | None = None,
    out: str | Path | None = None,
    executor: str = "serial",
    jobs: int = 1,
    on_ask: Callable[[Evaluator], None] | None = None,
) -> Summary:
    """`run` for what `prepare` (and `gather_prior`) returned: many studies can share a Problem, which may be slow to
    build. A spec with a prior, but given none, finds it in ``out``."""
    return _search(spec, problem, out, executor, jobs, on_ask, prior or kept_prior(spec, problem, out))


def continue_study(
    folder: str | Path,
    out: str | Path,
    *,
    executor: str = "serial",
    jobs: int = 1,
    on_ask: Callable[[Evaluator], None] | None = None,
) -> Summary:
    """Spend the rest of a study's budget in a new folder: same agent, old rows told as a warm start.

    For a study that cannot be resumed exactly (another version of the agent, another CPU). The new spec records
    its parent. Rows of another version of the simulator are refused: their numbers mean something else.

    Raises:
        UsageError: nothing of the budget is left.
    """
    old = load(folder)
    left = (old.spec.budget or 0) - len(old.samples)
    if left < 1:
        raise UsageError(f"{folder}: its budget of {old.spec.budget} samples is already spent")
    spec = replace(old.spec, budget=left, parent=read_header(folder)["hash"])
    known = kept_prior(old.spec, old.problem, folder)
    return _search(spec, old.problem, out, executor, jobs, on_ask, known, old.samples)


def agent_config(agent: str, config: Mapping[str, Any], track: str) -> dict[str, Any]:
    """The overrides of an agent's hyperparameters, converted to the types of its Config.

    Raises:
        UnknownNameError: no such agent or hyperparameter.
        UsageError: a value does not fit; or the agent needs metrics, but the track is scalar.
    """
    typed = configs.to_json(configs.configure(_agent_class(agent, track).Config, config, f"agent {agent}"))
    return {key: configs.flat(typed)[key] for key in configs.flat(config)}


def _agent_class(agent: str, track: str) -> type[Agent]:
    cls = AGENTS.load(agent)
    if not (isinstance(cls, type) and issubclass(cls, Agent)):
        raise UsageError(f"'{agent}' is not an Agent class")
    if cls.needs == "grey" and track != "grey":
        raise UsageError(f"agent {agent} needs metrics and violations: run it with track 'grey'")
    return cls


def make_agent(spec: StudySpec, problem: Problem, prior: Evaluation | None = None) -> Agent:
    """The agent that a spec names, ready to ask.

    Args:
        spec: names it.
        problem: that it shall search.
        prior: rows of a similar problem under this one's objective.

    Raises:
        UnknownNameError: no such agent or hyperparameter.
        UsageError: the agent needs metrics, but the track is scalar.
    """
    cls = _agent_class(spec.agent, spec.track)
    return cls(
        problem.space,
        configs.configure(cls.Config, spec.config, f"agent {spec.agent}"),
        seed=spec.seed,
        budget=spec.budget,
        batch=spec.batch,
        n_values=problem.objective.n_values if spec.track == "grey" else 1,
        n_constraints=len(problem.constraint_names) if spec.track == "grey" else 0,
        objective=problem.objective if spec.track == "grey" else None,
        features=tuple(problem.features.values()),
        cost_seconds=problem.cost_seconds,
        **({} if prior is None else {"prior": _shown(prior, spec.track)}),
    )


def _shown(rows: Evaluation, track: str) -> Evaluation:
    return rows.scalar() if track == "scalar" else rows


def _search(
    spec: StudySpec,
    problem: Problem,
    out: str | Path | None,
    executor: str,
    jobs: int,
    on_ask: Callable[[Evaluator], None] | None,
    prior: Prior,
    warm_start: Evaluation | None = None,
) -> Summary:
    agent = make_agent(spec, problem, prior.believed)
    workers = make_executor(executor, jobs)
    workers.check(problem)
    if out is not None and (finished := _finished(spec, problem, Path(out))) is not None:
        workers.close()
        return finished
    log = StudyLog(out, spec.header(problem), prior.text) if out is not None else None
    try:
        evaluator = Evaluator(problem, spec.budget, track=spec.track, log=log, executor=workers, seed=spec.seed)
        evaluator.on_ask = on_ask
        _drive(agent, evaluator, prior.told, warm_start)
    except BudgetExhausted:
        pass  # a library's own loop ran into the end of the budget
    except ReplayMismatch as error:
        raise ReplayMismatch(f"{out}: {error}. To go on from these rows: --continue-as NEWDIR", error.trial) from None
    except WorkerError as error:
        kept = "" if out is None else f"; {out} keeps every sample up to here, the same call goes on from there"
        raise WorkerError(f"{error}{kept}") from None
    finally:
        workers.close()
        if log is not None:
            log.close()
    return Summary(spec, problem, evaluator.history(), None if out is None else Path(out))


def _drive(agent: Agent, evaluator: Evaluator, *warm_starts: Evaluation | None) -> None:
    """Let the agent search, on one thread of BLAS and OpenMP: sums that are split between threads differ in the last
    bit, and no log may depend on the number of cores."""
    with threadpool_limits(1):
        for rows in warm_starts:
            if rows is not None:
                agent.tell(_shown(rows, evaluator.track))
        agent.run(evaluator)


def _finished(spec: StudySpec, problem: Problem, out: Path) -> Summary | None:
    """The study in a folder that cannot be written, if its budget is spent, so that nothing needs to be."""
    if not (out / TRIALS).exists() or os.access(out / TRIALS, os.W_OK):
        return None
    if read_header(out).get("hash") != spec.hash(problem):
        return None
    study = load(out)
    return study if len(study.samples) == spec.budget else None


def load(folder: str | Path) -> Summary:
    """A logged study, complete or not, as it stands on disk; nothing is simulated.

    Raises:
        LogError: no study folder, damaged, or written with another version of its simulator.
    """
    spec, problem = _open(folder)
    lines = read_trials(folder)
    if not lines:
        return Summary(spec, problem, problem.evaluate(np.empty((0, len(problem.space)), np.int64)), Path(folder))
    samples = Evaluator.recall(problem, lines)
    return Summary(spec, problem, samples, Path(folder))


def _open(folder: str | Path) -> tuple[StudySpec, Problem]:
    header = read_header(folder)
    try:
        spec = StudySpec.from_dict(header["study"])
        problem = Problem(spec.problem)
        known = header["problem"]
        if problem.fingerprint != known["fingerprint"]:
            raise LogError(
                f"{folder} was written by simulator version {known['simulator_version']} of archgym "
                f"{header['archgym']}; this is version {problem.simulator.version}, or a workload's content has changed"
            )
        expected = json.loads(json.dumps({**spec.header(problem), "archgym": header["archgym"]}))
    except (KeyError, TypeError, AttributeError) as error:
        raise LogError(f"{folder}: {SPEC} is damaged: {type(error).__name__} {error}") from None
    try:
        _compare(header, expected, row=0)
    except ReplayMismatch as error:
        raise LogError(f"{folder}: {SPEC} was altered: {str(error).partition(': ')[2]}") from None
    return spec, problem


def replay(folder: str | Path, *, agent: bool = False, on_rows: Callable[[int, int], None] | None = None) -> int:
    """Simulate every logged row again and compare everything that was logged.

    Integers must be equal, floats agree to 1e-12 (relative).

    Args:
        folder: a study folder.
        agent: also rerun the agent from its seed and demand the same designs.
        on_rows: called with (rows done, rows in all).

    Returns:
        The number of rows checked.

    Raises:
        ReplayMismatch: names the first row and field that disagree.
        LogError: no study folder, or damaged.
    """
    spec, problem = _open(folder)
    lines = read_trials(folder)
    if spec.budget is not None and len(lines) > spec.budget:
        raise ReplayMismatch(f"row {spec.budget}: beyond the budget of {spec.budget} samples", spec.budget)
    evaluator = Evaluator(problem, None, seed=spec.seed)
    _check_asks(lines, spec)
    for start in range(0, len(lines), 4096):
        part = lines[start : start + 4096]
        codes = _codes(part, problem)
        evaluation = evaluator(codes)
        reasons = problem.reasons(evaluation)
        for line, fresh in zip(part, rows_as_json(evaluation, reasons, trial=start, ask=0), strict=True):
            _compare(line, {**fresh, "ask": line["ask"]})
        if on_rows is not None:
            on_rows(start + len(part), len(lines))
    if agent:
        _replay_agent(folder, spec, problem, lines)
    return len(lines)


def _check_asks(lines: list[dict[str, Any]], spec: StudySpec) -> None:
    """Asks are numbered without gaps, and none of an agent's is larger than its batch."""
    previous = size = 0
    for line in lines:
        ask = line["ask"]
        if type(ask) is not int or ask not in ((0,) if line["trial"] == 0 else (previous, previous + 1)):
            raise ReplayMismatch(f"row {line['trial']}: ask {ask} follows ask {previous}", line["trial"])
        size = size + 1 if ask == previous else 1
        if size > spec.batch and spec.agent != EXTERNAL:
            raise ReplayMismatch(f"row {line['trial']}: ask {ask} has more than {spec.batch} rows", line["trial"])
        previous = ask


def _codes(lines: list[dict[str, Any]], problem: Problem) -> npt.NDArray[np.int64]:
    for line in lines:
        try:
            problem.space.check(np.array([line["codes"]]))
        except (UsageError, ValueError) as error:
            raise ReplayMismatch(f"row {line['trial']}: {error}", line["trial"]) from None
    return np.array([line["codes"] for line in lines], np.int64)


def _compare(logged: Any, fresh: Any, where: str = "", row: int = -1) -> None:
    """Raise ReplayMismatch where two JSON values differ; ``row`` -1 takes it from the object's ``trial``."""
    if row < 0:
        row = fresh["trial"]
    if isinstance(fresh, dict):
        same = isinstance(logged, dict) and set(logged) == set(fresh)
        for key in fresh if same else ():
            _compare(logged[key], fresh[key], f"{where}.{key}" if where else key, row)
    elif isinstance(fresh, list):
        same = isinstance(logged, list) and len(logged) == len(fresh)
        for i in range(len(fresh)) if same else ():
            _compare(logged[i], fresh[i], f"{where}[{i}]", row)
    elif isinstance(fresh, float) and math.isnan(fresh):
        same = logged is None
    elif isinstance(fresh, float) and type(logged) in (int, float):
        same = _close(float(logged), fresh, 1.0 if where.startswith(("reward", "violations")) else 0.0)
    else:
        same = type(logged) is type(fresh) and logged == fresh
    if not same:
        raise ReplayMismatch(f"row {row}: {where} is {logged} in the log, {fresh} when replayed", row)


def _close(a: float, b: float, scale: float) -> bool:
    if a.is_integer() and b.is_integer() and not scale:
        return a == b
    return math.isclose(a, b, rel_tol=REPLAY_TOLERANCE, abs_tol=REPLAY_TOLERANCE * scale)


def _replay_agent(folder: str | Path, spec: StudySpec, problem: Problem, lines: list[dict[str, Any]]) -> None:
    if spec.agent == EXTERNAL or spec.parent:
        raise UsageError(f"{folder}: its agent cannot be rerun (external, or continued from another study)")
    known, end = kept_prior(spec, problem, folder), len(lines)
    agent = make_agent(spec, problem, known.believed)
    evaluator = Evaluator(problem, spec.budget, track=spec.track, recorded=lines, seed=spec.seed)
    evaluator.on_ask = lambda running: _stop_at(running, end)
    with contextlib.suppress(BudgetExhausted, _LogEndsError):
        _drive(agent, evaluator, known.told)
    if evaluator.n_samples < end:
        raise ReplayMismatch(
            f"row {evaluator.n_samples}: the log goes on, the agent asks for nothing more", evaluator.n_samples
        )
    for line, ask in zip(lines, evaluator.asks.tolist(), strict=False):
        if line["ask"] != ask:
            raise ReplayMismatch(
                f"row {line['trial']}: ask is {line['ask']} in the log, {ask} when the agent reruns", line["trial"]
            )


class _LogEndsError(Exception):
    """The rerun has passed the last logged row."""


def _stop_at(evaluator: Evaluator, rows: int) -> None:
    if evaluator.n_samples >= rows:
        raise _LogEndsError
