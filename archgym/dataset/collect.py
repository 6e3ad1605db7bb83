"""Collecting a data set: agents run anew, and what is evaluated goes straight into Parquet parts.

Every part is a run of its own, with a seed that follows from the seed of the data set and the number of the part. So
parts can be made in any order, by any number of processes, and again: the same bytes each time.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from archgym import rng
from archgym.errors import LogError, UsageError
from archgym.evaluator import Evaluator
from archgym.log import lock
from archgym.problem import Problem
from archgym.spec import StudySpec
from archgym.study import agent_config, search

from .card import write_card
from .dataset import Dataset
from .parts import CARD, HEADER, begin, part_path, schema, table, write_part
from .rows import evaluation_columns
from .source import Source

MIX = "random:0.4,genetic:0.3,annealing:0.3"


@dataclass(frozen=True)
class Part:
    """One run.

    Attributes:
        number: of the part.
        spec: agent, budget, batch and seed.
        file: below the folder of the data set.
    """

    number: int
    spec: StudySpec
    file: str

    @property
    def rows(self) -> int:
        """How many it has."""
        assert self.spec.budget is not None  # plan_parts gives every part one
        return self.spec.budget

    @property
    def run(self) -> str:
        """Its name in the column ``study``."""
        return f"part-{self.number:05d}"

    def to_dict(self) -> dict[str, Any]:
        """Its entry in the header."""
        return {"file": self.file, "rows": self.rows, "agent": self.spec.agent, "seed": self.spec.seed}


def parse_mix(text: str) -> dict[str, float]:
    """``"random:0.4,genetic:0.6"`` as shares that add up to 1; weights of any scale, and 1 where none is given.

    Raises:
        UsageError: no such form, an agent twice, or a share that is not positive.
    """
    shares: dict[str, float] = {}
    for entry in text.split(","):
        agent, colon, share = entry.strip().rpartition(":") if _ends_in_number(entry) else (entry.strip(), "", "1")
        if not agent or agent in shares or not (math.isfinite(float(share)) and float(share) > 0):
            raise UsageError(f"mix: expected AGENT:SHARE,… with distinct agents and positive shares, got '{text}'")
        shares[agent] = float(share)
    total = math.fsum(shares.values())
    return {agent: share / total for agent, share in shares.items()}


def _ends_in_number(entry: str) -> bool:
    tail = entry.strip().rpartition(":")[2]
    try:
        float(tail)
    except ValueError:
        return False
    return ":" in entry


def plan_parts(problem: Problem, mix: Mapping[str, float], n: int, *, seed: int, batch: int, size: int) -> list[Part]:
    """The runs that make up a data set of n rows.

    Args:
        problem: that all search.
        mix: agent -> share of the rows.
        n: rows in all.
        seed: of the data set.
        batch: designs asked per step.
        size: rows of a part; the last one of each agent may be smaller.

    Raises:
        UnknownNameError: no such agent.
        UsageError: a number below 1, or an agent that cannot run on its own.
    """
    for name, value in (("n", n), ("batch", batch), ("size", size)):
        if value < 1:
            raise UsageError(f"collect: expected {name} of at least 1, got {value}")
    parts: list[Part] = []
    source = Source.of(problem)
    for agent, rows in _shared_out(mix, n).items():
        agent_config(agent, {}, "grey")  # raises for one that does not exist
        for start in range(0, rows, size):
            k = len(parts)
            part_seed = int(rng.stream_seeds(seed, "collect", k, 1)[0])
            spec = StudySpec(problem.spec, agent, {}, min(size, rows - start), batch, "grey", part_seed)
            parts.append(Part(k, spec, part_path(source.simulator, source.workload, agent, f"part-{k:05d}")))
    return parts


def _shared_out(mix: Mapping[str, float], n: int) -> dict[str, int]:
    """n rows by largest remainder; the earlier agent first where remainders are equal."""
    rows = {agent: math.floor(share * n) for agent, share in mix.items()}
    left = sorted(mix, key=lambda agent: rows[agent] - mix[agent] * n)
    for agent in left[: n - sum(rows.values())]:
        rows[agent] += 1
    return {agent: count for agent, count in rows.items() if count}


def collect(
    problem: Problem,
    out: str | Path,
    *,
    n: int,
    mix: str = MIX,
    seed: int = 0,
    batch: int = 50,
    size: int = 10_000,
    executor: str = "serial",
    jobs: int = 1,
    on_rows: Callable[[int, int], None] | None = None,
) -> Dataset:
    """Run a mixture of agents on a problem and keep every row that they evaluate.

    Rows are samples: a design that an agent asks for again is there again (column ``design`` tells). The same call on
    a folder that holds some of the parts makes the others.

    Args:
        problem: what is evaluated, with all metrics.
        out: folder.
        n: rows.
        mix: agents and their shares.
        seed: of everything.
        batch: designs asked per step.
        size: rows of one part, which is one run: what a kill may lose, and the budget that each agent plans with.
        executor: ``"serial"``, ``"threads"`` or ``"processes"``, with ``jobs`` workers; the rows do not depend on it.
        on_rows: called with (rows done, rows in all).

    Raises:
        UsageError: anything wrong with the arguments, or a folder that holds something else.
        LogError: the folder cannot be written, or another process is collecting into it.
        WorkerError: a process died; the parts that are whole stay.
    """
    shares = parse_mix(mix)
    parts = plan_parts(problem, shares, n, seed=seed, batch=batch, size=size)
    folder = Path(out)
    made = {"how": "collect", "problem": problem.spec.label, "n": n, "mix": shares, "seed": seed, "batch": batch}
    begin(folder, {**made, "size": size}, [Source.of(problem)], [p.to_dict() for p in parts])
    done = sum(p.rows for p in parts if (folder / p.file).exists())

    def progress(more: int) -> None:
        nonlocal done
        done += more
        if on_rows is not None:
            on_rows(done, n)

    progress(0)
    if done == n and (folder / CARD).exists():  # perhaps in a folder that may only be read
        return Dataset(folder)
    with _alone(folder):
        for part in parts:
            if not (folder / part.file).exists():
                collect_part(problem, part, folder, executor=executor, jobs=jobs, on_rows=progress)
        write_card(Dataset(folder))
    return Dataset(folder)


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """No other process collects into the folder meanwhile."""
    try:
        header = open(folder / HEADER, "ab")  # noqa: SIM115 - closed below
    except OSError as error:
        raise LogError(f"cannot write to {folder}: {error.strerror or error}") from None
    with header:
        lock(header, folder)
        yield


def collect_part(
    problem: Problem,
    part: Part,
    folder: Path,
    *,
    executor: str = "serial",
    jobs: int = 1,
    on_rows: Callable[[int], None] | None = None,
) -> None:
    """Make one part, which appears whole or not at all; ``on_rows`` is called with the rows since its last call."""
    seen = 0

    def follow(evaluator: Evaluator) -> None:
        nonlocal seen
        if on_rows is not None:
            on_rows(evaluator.n_samples - seen)
        seen = evaluator.n_samples

    samples = search(part.spec, problem, executor=executor, jobs=jobs, on_ask=follow).samples
    if len(samples) < part.rows:
        raise UsageError(
            f"collect: {part.spec.agent} has no more designs to ask for after {len(samples)} of {part.rows} rows; make "
            "the parts smaller, or take it out of the mix"
        )
    source = Source.of(problem)
    wanted = schema([source])
    columns = evaluation_columns(source, part.spec, problem, part.run, samples)
    write_part(folder / part.file, [table(columns, len(samples), wanted)], wanted)
