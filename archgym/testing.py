"""Conformance checks for implementers: does my simulator, agent or environment keep the contract?

Each ``check_*`` raises AssertionError with what was expected and what came, and returns None when all is well.
"""

from __future__ import annotations

import contextlib
import io
import json
import warnings
from typing import Any

import numpy as np

from archgym import rng
from archgym.agent import Agent
from archgym.envs.parallel import parallel_env
from archgym.errors import BudgetExhausted
from archgym.evaluation import Evaluation
from archgym.evaluator import Evaluator
from archgym.problem import Problem, ProblemSpec
from archgym.registry import AGENTS, SIMULATORS
from archgym.restriction import Restriction
from archgym.simulator import Simulator
from archgym.space import Codes, DesignSpace, Parameter
from archgym.workload import Workload


def check_simulator(
    simulator: Simulator, workload: Workload, *, n: int = 200, seed: int = 0, among: DesignSpace | None = None
) -> None:
    """Check a simulator on one workload.

    Space: JSON round trip, idempotent canonicalisation that changes no result. Baseline: in the space
    and feasible. Simulation: every declared column, finite and (if declared) positive metrics wherever
    the design is possible, row independence and determinism bit for bit.

    Args:
        simulator: an instance.
        workload: of a kind that it accepts.
        n: random designs to try.
        seed: of the random designs.
        among: the design space with fewer levels, to try designs of this alone.
    """
    space = simulator.design_space(workload)
    random = rng.generator(seed, "check_simulator")
    again = DesignSpace.from_dict(json.loads(json.dumps(space.to_dict())))
    assert again.fingerprint == space.fingerprint, "the design space does not survive JSON"
    baseline = space.encode([simulator.baseline(workload)])
    tried = space.sample(n, random) if among is None else Restriction(space, among).lift(among.sample(n, random))
    codes = np.concatenate([baseline, tried])
    seeds = rng.stream_seeds(seed, "sim", 0, len(codes))
    whole = simulator.simulate(codes, workload, seeds=seeds)
    _check_columns(simulator, whole)

    repeat = simulator.simulate(codes, workload, seeds=seeds)
    for name, column in whole.items():
        assert _same(column, repeat[name]), f"'{name}' differs between two identical calls"
    for i in range(0, len(codes), max(1, len(codes) // 25)):
        row = simulator.simulate(codes[i : i + 1], workload, seeds=seeds[i : i + 1])
        for name, column in whole.items():
            both = f"{column[i]} in a batch, {row[name][0]} alone"
            assert _same(column[i : i + 1], row[name]), f"'{name}' of {codes[i].tolist()} depends on the batch: {both}"
    canonical = simulator.canonical(space.canonical(codes), workload)
    assert (simulator.canonical(space.canonical(canonical), workload) == canonical).all(), "canonical is not idempotent"
    if simulator.deterministic:
        merged = simulator.simulate(canonical, workload)
        for name, column in whole.items():
            assert _same(column, merged[name]), f"'{name}' differs between a design and its canonical form"


def _check_columns(simulator: Simulator, columns: dict[str, Any]) -> None:
    possible = columns["reason"] == 0
    for constraint in simulator.constraints:
        possible = possible & (columns[constraint.name] <= 0)
    assert possible[0], f"the baseline is infeasible: {simulator.reasons[int(columns['reason'][0])]}"
    assert (columns["reason"] < len(simulator.reasons)).all(), "a reason code has no text"
    for metric in simulator.metrics:
        values = columns[metric.name][possible]
        assert np.isfinite(values).all(), f"'{metric.name}' is not finite for a possible design"
        assert not metric.positive or (values > 0).all(), f"'{metric.name}' is declared positive and is not"


def _same(a: Any, b: Any) -> bool:
    equal: bool = a.dtype == b.dtype and a.tobytes() == b.tobytes()
    return equal


def check_proxy(folder: str, workload: Workload, *, n: int = 200, seed: int = 0) -> None:
    """Check a proxy model as a simulator: the contract of simulators on designs that it has learnt about, the true
    metrics of the baseline, and remarks that go with what it predicts.

    Args:
        folder: of the model.
        workload: that it has learnt.
        n: random designs to try.
        seed: of the random designs.
    """
    cls = SIMULATORS.load("proxy")
    proxy = cls(cls.Config(folder))
    check_simulator(proxy, workload, n=n, seed=seed, among=proxy.model.space)
    space, names = proxy.design_space(workload), [m.name for m in proxy.metrics]
    baseline = space.encode([proxy.baseline(workload)])
    truth, found = (s.simulate(baseline, workload) for s in (proxy.original, proxy))
    for name in names:
        assert found[name][0] == truth[name][0], f"'{name}' of the baseline is {found[name][0]}, not {truth[name][0]}"
    among = proxy.model.space
    codes = Restriction(space, among).lift(among.sample(n, rng.generator(seed, "check_proxy")))
    columns, remarks = proxy.simulate(codes, workload), proxy.remarks(codes, workload)
    assert all(len(column) == n for column in remarks.values()), "a remark is not one a row"
    assert (remarks["fidelity"] == "proxy").all(), "does not say that it is a proxy"
    assert ((remarks["p_feasible"] >= 0) & (remarks["p_feasible"] <= 1)).all(), "p_feasible is no probability"
    for name in names:
        inside = (remarks[f"low.{name}"] <= columns[name]) & (columns[name] <= remarks[f"high.{name}"])
        assert inside[np.isfinite(columns[name])].all(), f"'{name}' is predicted outside its own interval"


def check_agent(agent: str | type[Agent], **config: Any) -> None:
    """Check an agent on a real problem and on degenerate ones.

    Exact budget, same seed same designs, batches of 1, 7 and 64, designs inside the space, rows it
    never asked for, a problem without any feasible design, several values, one-level parameters, and
    spaces smaller than the budget; of an agent that is declared anytime, that its designs do not depend on the budget;
    of one that uses a prior, the same with a prior.

    Args:
        agent: registered name or class.
        config: hyperparameters.
    """
    cls = AGENTS.load(agent) if isinstance(agent, str) else agent
    problem = Problem(ProblemSpec("systolic", ("alexnet",), "edp"))
    for batch in (1, 7, 64):
        first, second = (_designs(cls, config, problem, budget=65, batch=batch, seed=3) for _ in range(2))
        assert np.array_equal(first, second), f"batch {batch}: the same seed asked for other designs"
        assert len(first) <= 65, f"batch {batch}: {len(first)} samples for a budget of 65"
        problem.space.check(first)
        assert problem.space.is_allowed(first).all(), f"batch {batch}: asked for a design that the rules forbid"
    if cls.anytime:
        longer = _designs(cls, config, problem, budget=130, batch=13, seed=3)
        shorter = _designs(cls, config, problem, budget=65, batch=13, seed=3)
        assert np.array_equal(longer[:65], shorter), "is declared anytime, but its designs depend on the budget"
    _check_warm_start(cls, config, problem)
    if cls.uses_prior:
        _check_prior(cls, config, problem)

    impossible = Problem(ProblemSpec("systolic", ("alexnet",), "edp", limits=("area<=1e-6",)))
    usual = len(_designs(cls, config, problem, budget=30, batch=5, seed=0))
    n = len(_designs(cls, config, impossible, budget=30, batch=5, seed=0))
    assert n == usual, f"asks for {n} instead of {usual} designs where nothing is feasible"
    several = Problem(ProblemSpec("systolic", ("alexnet",), "pareto:latency,energy,area"))
    n = len(_designs(cls, config, several, budget=30, batch=5, seed=0))
    assert n == usual, f"asks for {n} instead of {usual} designs with three values"

    narrow = ProblemSpec("systolic", ("alexnet",), "edp", space={"rows": (32,), "memory": ("HBM2 1 stack",)})
    _designs(cls, config, Problem(narrow), budget=20, batch=4, seed=0)
    tiny = Problem(ProblemSpec("systolic", ("alexnet",), "edp", space=_one_level_each(problem.space, "dataflow")))
    assert len(_designs(cls, config, tiny, budget=50, batch=4, seed=0)) >= 1, "asks for nothing in a tiny space"


def _designs(cls: type[Agent], config: dict[str, Any], problem: Problem, **study: Any) -> Codes:
    """All designs that an agent evaluates in a study of that budget, batch, seed and maybe prior."""
    agent, budget = _make(cls, config, problem, **study), study["budget"]
    evaluator = Evaluator(problem, budget, track=cls.needs, seed=study["seed"])
    try:
        agent.run(evaluator)
    except BudgetExhausted as error:
        raise AssertionError(f"the agent asks for more than its budget: {error}") from None
    assert evaluator.n_samples <= budget
    return evaluator.history().codes


def _make(cls: type[Agent], config: dict[str, Any], problem: Problem, **study: Any) -> Agent:
    grey = cls.needs == "grey"
    return cls(
        problem.space,
        cls.Config(**config),
        n_values=problem.objective.n_values if grey else 1,
        n_constraints=len(problem.constraint_names) if grey else 0,
        objective=problem.objective if grey else None,
        features=tuple(problem.features.values()),
        cost_seconds=problem.cost_seconds,
        **study,
    )


def _check_warm_start(cls: type[Agent], config: dict[str, Any], problem: Problem) -> None:
    agent = _make(cls, config, problem, budget=40, batch=8, seed=1)
    strangers = problem.space.sample(30, rng.generator(9, "strangers"))
    told: Evaluation = problem.evaluate(strangers)
    agent.tell(told if cls.needs == "grey" else told.scalar())
    asked = agent.ask(8)
    assert 1 <= len(asked) <= 8, f"ask(8) after a warm start returned {len(asked)} designs"
    problem.space.check(asked)


def _check_prior(cls: type[Agent], config: dict[str, Any], problem: Problem) -> None:
    similar = Problem(ProblemSpec("systolic", ("resnet18",), "edp"))
    prior = similar.evaluate(similar.space.sample(30, rng.generator(9, "prior")))
    prior = prior if cls.needs == "grey" else prior.scalar()
    first, second = (_designs(cls, config, problem, budget=20, batch=4, seed=3, prior=prior) for _ in range(2))
    assert np.array_equal(first, second), "with a prior the same seed asked for other designs"
    problem.space.check(first)
    assert problem.space.is_allowed(first).all(), "with a prior it asked for a design that the rules forbid"


def _one_level_each(space: DesignSpace, free: str) -> dict[str, tuple[Any, ...]]:
    chosen: dict[str, Parameter] = {p.name: p for p in space.parameters if p.name != free}
    return {name: (p.levels[len(p.levels) // 2],) for name, p in chosen.items()}


def comparable(env: Any) -> Any:
    """The environment with "nan" for NaN in ``info``: checkers compare with ==, as which NaN differs."""
    step = env.step

    def plain(info: dict[str, Any]) -> dict[str, Any]:
        return {k: plain(v) if isinstance(v, dict) else "nan" if v != v else v for k, v in info.items()}

    def comparable_step(action: Any) -> Any:
        *rest, info = step(action)
        return *rest, plain(info)

    env.step = comparable_step
    return env


def check_parallel_env(env_id: str, **options: Any) -> None:
    """Check the multi-agent form of an environment id with PettingZoo's own tests, the turn-based view too.

    Args:
        env_id: a registered id such as ``"archgym/Systolic-v0"``.
        options: keyword arguments of ``archgym.parallel_env``.
    """
    from pettingzoo.test import api_test, parallel_api_test, parallel_seed_test
    from pettingzoo.utils import parallel_to_aec

    def make() -> Any:
        return comparable(parallel_env(env_id, **options))

    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", "Action space for each agent")  # groups have a MultiDiscrete one
        parallel_api_test(make(), num_cycles=20)
        parallel_seed_test(make, num_cycles=5)
        api_test(parallel_to_aec(make()), num_cycles=20)


def check_env(env_id: str, **options: Any) -> None:
    """Check an environment id: Gymnasium's own checker without warnings, determinism, vector form equal to single.

    Args:
        env_id: a registered id such as ``"archgym/Systolic-v0"``.
        options: keyword arguments of ``gymnasium.make``.
    """
    import gymnasium as gym
    from gymnasium.utils.env_checker import check_env as gymnasium_check
    from gymnasium.vector import AutoresetMode, SyncVectorEnv

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gymnasium_check(comparable(gym.make(env_id, render_mode="ansi", **options).unwrapped))
    n, steps = 3, 8
    native: Any = gym.make_vec(env_id, num_envs=n, **options)
    single = SyncVectorEnv(
        [lambda: gym.make(env_id, **options) for _ in range(n)], autoreset_mode=AutoresetMode.SAME_STEP
    )
    native.action_space.seed(5)
    assert np.array_equal(native.reset(seed=0)[0], single.reset(seed=0)[0]), "first observations differ"
    for step in range(steps):
        action = native.action_space.sample()
        for name, a, b in zip(
            ("observation", "reward", "terminated", "truncated"), native.step(action), single.step(action), strict=False
        ):
            assert np.array_equal(a, b), f"step {step}: the vector environment's {name} differs from SyncVectorEnv's"
    native.close()
    single.close()
