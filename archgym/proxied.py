"""A problem seen through a proxy model: the same designs, objective and limits, predicted instead of simulated."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from archgym import config as configs
from archgym.errors import UsageError
from archgym.problem import Problem, ProblemSpec
from archgym.registry import SIMULATORS
from archgym.space import DesignSpace


def proxied(spec: ProblemSpec, folder: str | Path, *, pessimistic: bool = False) -> ProblemSpec:
    """The problem with a proxy in the place of its simulator.

    Args:
        spec: of the real problem.
        folder: of a proxy (``archgym proxy fit``).
        pessimistic: see ``archgym.simulators.proxy.ProxyConfig``.

    Raises:
        UsageError: no proxy, or one of another simulator, other options of it, or fewer designs than the problem's.
            Metrics and workloads that it has not learnt are found when the problem is made.
    """
    from archgym.proxies.store import load_proxy  # scikit-learn: nobody else shall wait for it

    model, about = load_proxy(folder)
    problem = Problem(spec)
    learnt = about.get("simulator") or {}
    if learnt:
        cls = SIMULATORS.load(learnt["name"])
        theirs = configs.to_json(configs.configure(cls.Config, learnt["sim"], learnt["name"]))
        ours = configs.to_json(problem.simulator.config)
        if type(problem.simulator) is not cls:
            raise UsageError(f"{folder}: expected a proxy of simulator {spec.simulator}, got one of {learnt['name']}")
        if different := [key for key in ours if ours[key] != theirs[key]]:
            key = different[0]
            raise UsageError(f"{folder}: expected a proxy of sim.{key}={ours[key]}, got one of sim.{key}={theirs[key]}")
    _check_levels(problem.space, model.space, folder)
    return replace(
        problem.spec, simulator="proxy", sim={"model": str(folder), **({"pessimistic": True} if pessimistic else {})}
    )


def _check_levels(wanted: DesignSpace, known: DesignSpace, folder: str | Path) -> None:
    if wanted.names != known.names:
        raise UsageError(
            f"{folder}: expected a proxy of parameters {', '.join(wanted.names)}; got one of {', '.join(known.names)}"
        )
    for p, learnt in zip(wanted.parameters, known.parameters, strict=True):
        if missing := [level for level in p.levels if level not in learnt.levels]:
            raise UsageError(
                f"{folder}: knows {len(learnt.levels)} levels of {p.name}, the problem has others too "
                f"({', '.join(map(str, missing[:3]))}): restrict it (space.{p.name}=…), or fit a proxy to its designs"
            )
