"""A data set from study folders: the rows of many logs, every design once."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import itertools
import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from archgym.errors import ArchGymError, LogError, UnknownNameError, UsageError
from archgym.log import read_header
from archgym.logged_study import LoggedStudy, study_columns
from archgym.metrics import Metric
from archgym.problem import Problem, ProblemSpec
from archgym.runs import read_studies

from .card import write_card
from .dataset import Dataset
from .parts import HEADER, check_empty, part_path, read_dataset_header, schema, table, write_header, write_part
from .rows import has_metrics, run_columns
from .source import Source

if TYPE_CHECKING:
    import pyarrow as pa

DUPLICATES = ("drop", "agent", "keep")


def build(
    runs: Sequence[str | Path],
    out: str | Path,
    *,
    duplicates: str = "drop",
    on_study: Callable[[int, int], None] | None = None,
) -> Dataset:
    """Gather logged studies, of any problems and agents, into one table.

    Args:
        runs: study folders, or folders that hold some (of a sweep, a comparison, or ``gym.make(log=…)``).
        out: a new folder; one that was built from the same rows is left as it is.
        duplicates: what becomes of further rows of a canonical design that a source has already: ``"drop"``, keep one
            for each ``"agent"``, or ``"keep"`` them all. Rows of simulators that are not deterministic all stay.
        on_study: called with (studies done, studies in all).

    Returns:
        The data set. Of several rows of a design the one in the first study stays, by agent and name of the study.
        Studies that cannot be read are named in the card and in ``made``.

    Raises:
        UsageError: no studies, or a folder that holds something else.
        LogError: the folder cannot be written.
    """
    if duplicates not in DUPLICATES:
        raise UnknownNameError("way with duplicates", duplicates, DUPLICATES)
    studies, damaged = _gather(runs)
    counts = sorted((s.row["hash"], len(s.codes)) for s in studies)
    content = hashlib.sha256(json.dumps(counts).encode()).hexdigest()
    made = {"how": "build", "studies": len(studies), "duplicates": duplicates, "content": content}
    folder = Path(out)
    if _is_there(folder, made):
        return Dataset(folder)
    rows = _Rows(studies, duplicates)
    studies.sort(key=lambda s: (*rows.group(s), s.row["study"]))
    done = 0

    def tables(members: Iterable[LoggedStudy]) -> Iterator[pa.Table]:
        nonlocal done
        for study in members:
            yield rows.table(study)
            done += 1
            if on_study is not None:
                on_study(done, len(studies))

    with _whole(folder) as unfinished:
        parts = []
        for group, members in itertools.groupby(studies, rows.group):
            file = part_path(*group, "part-00000")
            parts.append({"file": file, "rows": write_part(unfinished / file, tables(members), rows.schema)})
        more = {"samples": rows.samples, "damaged": damaged, "unknown": rows.unknown}
        write_header(unfinished, {**made, **more}, rows.sources, parts)
        write_card(Dataset(unfinished))
    return Dataset(folder)


def _gather(runs: Sequence[str | Path]) -> tuple[list[LoggedStudy], list[tuple[str, str]]]:
    """Each study once, named apart; and those that are damaged."""
    roots = list(dict.fromkeys(Path(run) for run in runs))
    if not roots:
        raise UsageError("dataset build: expected at least one folder with studies, got none")
    longest: dict[str, LoggedStudy] = {}
    broken: list[tuple[str, str]] = []
    for root in roots:
        studies, damaged = read_studies(root)
        broken += [(f"{root}/{name}", why) for name, why in damaged]
        for s in studies:
            if len(roots) > 1 and s.folder != root:
                s = dataclasses.replace(s, row={**s.row, "study": f"{root.resolve().name}/{s.row['study']}"})
            known = longest.get(s.row["hash"])
            if known is None or len(s.codes) > len(known.codes):  # a copy says the same again
                longest[s.row["hash"]] = s
    return list(longest.values()), broken


def _is_there(folder: Path, made: dict[str, Any]) -> bool:
    if (folder / HEADER).exists():
        found = read_dataset_header(folder)["made"]
        if any(found.get(key) != value for key, value in made.items()):
            raise UsageError(
                f"{folder} holds another data set ({found.get('how')}, {found.get('studies', 'no')} studies, "
                f"duplicates {found.get('duplicates')}; this one: build, {made['studies']}, {made['duplicates']}); "
                "choose another --out"
            )
        return True
    check_empty(folder)
    return False


@contextlib.contextmanager
def _whole(folder: Path) -> Iterator[Path]:
    """A folder to write to that becomes ``folder`` when all went well, and is gone otherwise."""
    unfinished = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        yield unfinished
        if folder.exists():
            folder.rmdir()
        unfinished.replace(folder)
    except OSError as error:
        raise LogError(f"cannot write to {folder}: {error.strerror or error}") from None
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


class _Origin:
    """Where the rows of one logged problem come from, and which of its designs are the same.

    Args:
        study: one of it. Where its simulator is not at hand, or is another version now, the log alone is used: designs
            are merged by the rules of the space, not by those of the simulator.
    """

    def __init__(self, study: LoggedStudy) -> None:
        header, logged = read_header(study.folder), study.problem
        spec = ProblemSpec.from_dict(header["study"]["problem"])
        problem = _rebuilt(spec, logged.fingerprint)
        self.known = problem is not None
        self.deterministic = problem is None or problem.simulator.deterministic
        self.space = logged.space if problem is None else problem.space
        if problem is not None:
            self.source = Source.of(problem)
            return
        metrics = {name: Metric(name, unit) for name, unit in logged.units.items()}
        workload = "+".join(header["problem"]["workloads"])
        version = str(header["problem"]["simulator_version"])
        print_ = logged.fingerprint
        self.source = Source(
            print_[:12], print_, spec, version, workload, logged.space, metrics, tuple(logged.constraints), {}
        )


def _rebuilt(spec: ProblemSpec, fingerprint: str) -> Problem | None:
    try:
        problem = Problem(spec)
    except ArchGymError:
        return None
    return problem if problem.fingerprint == fingerprint else None


class _Rows:
    """The rows of studies as tables, without those that are not wanted twice.

    Args:
        studies: all of them; several have the same problem.
        duplicates: one of DUPLICATES.
    """

    def __init__(self, studies: Sequence[LoggedStudy], duplicates: str) -> None:
        self.samples = 0
        self._duplicates = duplicates
        first: dict[str, LoggedStudy] = {}
        for s in studies:
            first.setdefault(s.problem.fingerprint, s)
        self._origins = {fingerprint: _Origin(s) for fingerprint, s in first.items()}
        self.schema = schema(self.sources)
        self._seen: dict[tuple[str, ...], set[Any]] = {}

    @property
    def sources(self) -> list[Source]:
        """All sources, each once; constraints of all problems that it serves."""
        merged: dict[str, Source] = {}
        for source in (o.source for o in self._origins.values()):
            known = merged.get(source.id, source)
            names = dict.fromkeys((*known.constraints, *source.constraints))
            merged[source.id] = dataclasses.replace(known, constraints=tuple(names))
        return list(merged.values())

    @property
    def unknown(self) -> list[str]:
        """Labels of problems whose simulator is not at hand as it was."""
        return sorted({o.source.problem.label for o in self._origins.values() if not o.known})

    def group(self, study: LoggedStudy) -> tuple[str, str, str]:
        """Simulator, workload and agent: the folder of its rows."""
        source = self._origins[study.problem.fingerprint].source
        return source.simulator, source.workload, study.row["agent"]

    def table(self, study: LoggedStudy) -> pa.Table:
        """The rows of a study that are kept."""
        origin = self._origins[study.problem.fingerprint]
        source, problem, n = origin.source, study.problem, len(study.codes)
        found = study_columns([study], problem.columns)
        columns = run_columns(source, problem.label, study.row["study"], study.row["agent_label"], study.row["seed"], n)
        columns |= {name: column for name, column in found.items() if name not in ("study", "ask", "cached")}
        columns["design"] = source.designs(origin.space.canonical(study.codes))
        metrics = [found[f"metric.{name}"] for name in problem.units]
        columns["valid"] = has_metrics(np.stack(metrics, axis=1)) if metrics else np.zeros(n, np.bool_)
        keep = self._wanted(columns["design"], source, study.row["agent"], origin.deterministic)
        self.samples += n
        return table({name: column[keep] for name, column in columns.items()}, int(keep.sum()), self.schema)

    def _wanted(
        self, designs: npt.NDArray[Any], source: Source, agent: str, deterministic: bool
    ) -> npt.NDArray[np.bool_]:
        keep = np.ones(len(designs), np.bool_)
        if self._duplicates == "keep" or not deterministic:
            return keep
        key = (source.id, agent) if self._duplicates == "agent" else (source.id,)
        seen = self._seen.setdefault(key, set())
        for i, design in enumerate(designs.tolist()):
            keep[i] = design not in seen
            seen.add(design)
        return keep
