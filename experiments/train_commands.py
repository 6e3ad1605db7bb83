"""The ``archgym train`` command: one policy for several workloads."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from archgym import config as configs
from archgym.errors import UsageError
from archgym.registry import AGENTS

from .options import Interrupted, JsonOption, LimitOption, SetOption, print_json, problem_spec, split_settings
from .planned_runs import check_at_least_one
from .progress import StudyBar

_RANDOM = re.compile(r"([^/]+)/random:\[\s*([^],]+)(,[^]]*)?\]/(.+)")


def train_policy(
    problem: Annotated[
        str,
        typer.Argument(metavar="PROBLEM", help="simulator/random:[WORKLOAD,…]/objective, or any problem with --on."),
    ],
    out: Annotated[Path, typer.Option(help="File of the policy; if it is there, training goes on from it.")],
    on: Annotated[
        str | None,
        typer.Option(help="Workloads to learn on, with commas, instead of PROBLEM's own, which is held back."),
    ] = None,
    agent: Annotated[str, typer.Option(help="ippo, mappo or joint-ppo, or module:Class that can train.")] = "ippo",
    samples: Annotated[int, typer.Option(help="Designs to learn from, in all.")] = 20_000,
    seed: Annotated[int, typer.Option(help="Seed of every random stream.")] = 0,
    settings: SetOption = None,
    limits: LimitOption = None,
    log: Annotated[Path | None, typer.Option(help="New folder for a log of every evaluated design.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Train a policy on several workloads, to search others with: archgym run … --set agent.policy=FILE."""
    from archgym.envs.entry import make_contexts  # compiled code, which would slow down the start of every command

    if on is None:
        parts = _RANDOM.fullmatch(problem)
        if parts is None:
            raise UsageError(
                "train: expected simulator/random:[WORKLOAD,…]/objective in quotes, such as "
                f'"systolic/random:[alexnet,vgg16]/edp", or --on WORKLOAD,… with another problem; got {problem}'
            )
        simulator, first, others, objective = parts.groups(default="")
        problem, on = f"{simulator}/{first.strip()}/{objective}", first + others
    check_at_least_one(samples=samples)
    if log is not None and log.exists():
        raise UsageError(f"--log: expected a new folder, {log} is there; training that goes on needs one too")
    learner = AGENTS.load(agent)
    if not hasattr(learner, "train"):
        raise UsageError(f"train: {agent} has no policy to train on several workloads; expected ippo, mappo, joint-ppo")
    config = configs.configure(learner.Config, split_settings(settings)["agent"], f"agent {agent}")
    spec = problem_spec(problem, None, settings, limits, with_agent=True)
    contexts = make_contexts(
        1,
        simulator=spec.simulator,
        workload=f"random:[{on}]",
        objective=spec.objective,
        limits=spec.limits,
        sim=spec.sim,
        space=spec.space,
        log=None if log is None else str(log),
    )
    try:
        with StudyBar(samples, f"{spec.simulator}/{spec.objective} on {on}  {agent}", quiet=as_json) as bar:
            policy = learner.train(
                contexts, out, config, samples=samples, seed=seed, on_rollout=lambda done: bar.at(done, samples)
            )
    except KeyboardInterrupt:
        command = shlex.join(["archgym", *sys.argv[1:]])
        state = f"{out} has what was learnt until shortly before" if out.exists() else "nothing was learnt yet"
        again = "go on with a new --log" if log is not None else f"go on with: {command}"
        raise Interrupted(f"interrupted; {state}; {again}") from None
    finally:
        contexts.close()
    if as_json:
        print_json({"policy": str(out), "samples": policy.samples, "workloads": list(policy.workloads)})
    else:
        print(f"{out}: {policy.samples} designs on {', '.join(policy.workloads)}")
        print(f"Search another workload with: archgym run … --agent {agent} --set agent.policy={out}")
