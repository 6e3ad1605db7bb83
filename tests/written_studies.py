"""Study folders written by hand: the rewards are what the test says, so that every statistic has a known answer."""

import json
from pathlib import Path

import toys

from archgym.problem import Problem
from archgym.spec import StudySpec

_PROBLEMS = {}


def write_study(
    folder,
    rewards,
    *,
    agent="random",
    config=None,
    seed=0,
    budget=None,
    batch=10,
    track="grey",
    problem=None,
    metrics=None,
    cached=(),
    codes=None,
    timing=(),
):
    """A folder whose samples have these rewards (None: infeasible); returns it.

    Args:
        metrics: one mapping a sample, over the toy's metrics; those left out are 1.
        cached: trials that repeat an earlier design.
        codes: one row a sample; default: the first design again and again.
        timing: (rows, agent_s, evaluator_s) of each ask.
    """
    spec = problem or toys.spec()
    key = json.dumps(spec.to_dict(), sort_keys=True)
    ready = _PROBLEMS.setdefault(key, Problem(spec))
    study = StudySpec(spec, agent, config or {}, budget or len(rewards), batch, track, seed)
    folder = Path(folder)
    folder.mkdir(parents=True)
    (folder / "spec.json").write_text(json.dumps(study.header(ready)))
    rows = []
    for i, reward in enumerate(rewards):
        given = {} if metrics is None else metrics[i]
        rows.append(
            {
                "trial": i,
                "ask": i // batch,
                "codes": [0] * len(ready.space) if codes is None else list(codes[i]),
                "metrics": {name: None if reward is None else given.get(name, 1.0) for name in ready.metric_names},
                "violations": [-0.5] * len(ready.constraint_names),
                "feasible": reward is not None,
                "reason": "" if reward is not None else "too thin",
                "reward": -20.0 if reward is None else reward,
                "values": [1.0],
                "cached": i in cached,
            }
        )
    (folder / "trials.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    lines = [
        {"event": "ask", "ask": i, "rows": n, "agent_s": agent_s, "evaluator_s": evaluator_s, "unix_time": 0.0}
        for i, (n, agent_s, evaluator_s) in enumerate(timing)
    ]
    if timing:
        lines = [{"event": "open", "rows": 0, "unix_time": 0.0}, *lines]
        (folder / "timing.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder
