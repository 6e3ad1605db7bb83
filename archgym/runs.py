"""Many study folders as two tidy tables: one row a study, one row a sample.

Only ``spec.json``, ``trials.jsonl`` and ``timing.jsonl`` are read, so no simulator, workload or agent has
to exist where results are analysed. ``archgym.study.load`` is the other way in: one study, with its
problem ready to simulate.
"""

from __future__ import annotations

import dataclasses
import os
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from archgym.column_names import matching
from archgym.errors import LogError, UnknownNameError, UsageError
from archgym.log import SPEC
from archgym.logged_study import LoggedProblem, LoggedStudy, read_study, study_columns, timed_asks

if TYPE_CHECKING:
    import pandas as pd

_ALWAYS = ("study", "trial")


class Runs:
    """Studies that were logged under one folder, as ``load`` found them.

    Attributes:
        folder: what was loaded.
        problems: label -> LoggedProblem.
        damaged: (study, why) of every folder that could not be read.
    """

    def __init__(self, folder: Path, studies: Sequence[LoggedStudy], damaged: Sequence[tuple[str, str]]) -> None:
        self.folder = folder
        self.damaged = tuple(damaged)
        self.problems = {s.problem.label: s.problem for s in studies}
        self._studies = {str(s.row["study"]): s for s in studies}
        self._frame: pd.DataFrame | None = None

    def __len__(self) -> int:
        return len(self._studies)

    def __repr__(self) -> str:
        return f"Runs({self.folder}: {len(self)} studies of {len(self.problems)} problems, {len(self.damaged)} damaged)"

    @property
    def studies(self) -> pd.DataFrame:
        """One row a study, sorted by name.

        Columns: ``study`` (folder below the loaded one), ``hash``, ``problem`` (label), ``fingerprint``, ``agent``,
        ``agent_label`` (agent and overridden hyperparameters), ``config.*`` (overridden hyperparameters; missing
        where a study leaves the default), ``budget`` (missing if unlimited), ``batch``, ``track``, ``seed``,
        ``parent``, ``samples``, ``unique`` (distinct canonical designs), ``feasible`` (samples), ``best_reward``
        and ``best_trial`` (missing if nothing is feasible), ``finished`` (the budget is spent), ``simulate_s`` and
        ``suggest_s`` (seconds in the evaluator and in the agent; missing without ``timing.jsonl``).
        """
        import pandas as pd

        if self._frame is None:
            rows = [s.row for s in self._studies.values()]
            configs = sorted({key for row in rows for key in row if key.startswith("config.")})
            at = _COLUMNS.index("agent_label") + 1
            frame = pd.DataFrame(rows, columns=[*_COLUMNS[:at], *configs, *_COLUMNS[at:]])
            for name in ("budget", "best_trial"):
                frame[name] = frame[name].astype("Int64")
            self._frame = frame
        return self._frame.copy()

    def select(self, studies: Iterable[str] | pd.DataFrame | str) -> Runs:
        """Some of the studies: names, a frame with a column ``study``, or a query such as ``"agent == 'genetic'"``."""
        kept = self._named(self.studies.query(studies) if isinstance(studies, str) else studies)
        return Runs(self.folder, kept, self.damaged)

    def renamed(self, labels: Mapping[str, str]) -> Runs:
        """The same studies with other names of agents: ``agent_label`` -> name; one may stand for several."""
        studies = []
        for study in self._studies.values():
            label = study.row["agent_label"]
            studies.append(dataclasses.replace(study, row={**study.row, "agent_label": labels.get(label, label)}))
        return Runs(self.folder, studies, self.damaged)

    def trials(
        self, columns: Sequence[str] | None = None, studies: Iterable[str] | pd.DataFrame | None = None
    ) -> pd.DataFrame:
        """One row a sample, studies in the order of ``studies``.

        Args:
            columns: names, or patterns such as ``"metric.*"``; None is all of them. ``study`` and ``trial`` are
                always there. Only what is asked is made into columns; ``metric.*``, ``violation.*`` and ``reason``
                are read from the logs again, the others are not.
            studies: names, or a frame with a column ``study``; None is all.

        Returns:
            Columns ``study``, ``trial``, ``ask``, ``param.*``, ``metric.*``, ``violation.*``, ``reward``, ``feasible``,
            ``reason``, ``cached``; missing values where a study's problem has no such column.

        Raises:
            UnknownNameError: a column that no study has.
        """
        import pandas as pd

        chosen = list(self._studies.values()) if studies is None else self._named(studies)
        groups: dict[str, list[tuple[int, LoggedStudy]]] = {}
        for i, study in enumerate(chosen):
            groups.setdefault(study.problem.label, []).append((i, study))
        wanted = _matching(columns, list(dict.fromkeys(n for s in chosen for n in s.problem.columns)))
        parts, order = [], []
        for group in groups.values():
            parts.append(pd.DataFrame(study_columns([s for _, s in group], wanted)))
            order.append(np.repeat([i for i, _ in group], [len(s.codes) for _, s in group]))
        if not parts:
            return pd.DataFrame({name: [] for name in wanted})
        frame = parts[0] if len(parts) == 1 else pd.concat(parts, ignore_index=True)
        rows = np.concatenate(order)
        if (np.diff(rows) < 0).any():
            frame = frame.take(np.argsort(rows, kind="stable")).reset_index(drop=True)
        return frame[wanted]

    def rewards(self) -> dict[str, npt.NDArray[np.float64]]:
        """Study -> reward of every sample (samples,), NaN where infeasible: what curves are made of."""
        return {name: np.where(s.kept["feasible"], s.kept["reward"], np.nan) for name, s in self._studies.items()}

    def timing(self) -> pd.DataFrame:
        """One row an ask that was timed: study, ask, rows, ``agent_s``, ``evaluator_s`` (seconds)."""
        import pandas as pd

        rows = [
            (name, e["ask"], e["rows"], e["agent_s"], e["evaluator_s"])
            for name, study in self._studies.items()
            for e in timed_asks(study.folder)
        ]
        return pd.DataFrame(rows, columns=["study", "ask", "rows", "agent_s", "evaluator_s"])

    def _named(self, studies: Iterable[str] | pd.DataFrame) -> list[LoggedStudy]:
        import pandas as pd

        names = list(studies["study"] if isinstance(studies, pd.DataFrame) else studies)
        for name in names:
            if name not in self._studies:
                raise UnknownNameError("study", str(name), self._studies)
        return [self._studies[name] for name in names]


_COLUMNS = [
    *("study", "hash", "problem", "fingerprint", "agent", "agent_label"),
    *("budget", "batch", "track", "seed", "parent", "samples", "unique", "feasible"),
    *("best_reward", "best_trial", "finished", "simulate_s", "suggest_s"),
]


def load(folder: str | Path) -> Runs:
    """Every study in a folder: the folder itself, or all study folders below it (a sweep).

    A study that is still being written is read as far as it goes. One that is damaged is skipped, named in a
    warning and in ``Runs.damaged``.

    Raises:
        UsageError: no such folder, or no study in it.
    """
    studies, damaged = read_studies(folder)
    if damaged:
        more = f" (and {len(damaged) - 1} more, see Runs.damaged)" if len(damaged) > 1 else ""
        warnings.warn(f"study {damaged[0][0]} skipped: {damaged[0][1]}{more}", stacklevel=2)
    return Runs(Path(folder), _distinct_labels(studies), damaged)


def read_studies(folder: str | Path) -> tuple[list[LoggedStudy], list[tuple[str, str]]]:
    """The studies that `load` finds, sorted by name, and (study, why) of those that are damaged.

    Raises:
        UsageError: no such folder, or no study in it.
    """
    root = Path(folder)
    found = list(_study_folders(root))
    if not found:
        raise UsageError(f"{root}: expected a study folder or one that holds some ({SPEC}), found none")
    problems: dict[str, LoggedProblem] = {}
    studies, damaged = [], []
    for path in found:
        name = path.relative_to(root).as_posix() if path != root else root.resolve().name
        try:
            studies.append(read_study(path, name, problems))
        except LogError as error:
            damaged.append((name, str(error)))
    return studies, damaged


def _study_folders(root: Path) -> Iterator[Path]:
    """Folders with a header, sorted; nothing below a study is one."""
    for path, folders, files in os.walk(root):
        folders.sort()
        if SPEC in files:
            folders.clear()
            yield Path(path)


def _distinct_labels(studies: list[LoggedStudy]) -> list[LoggedStudy]:
    """Problems of one label that differ in options or limits get the start of their fingerprint."""
    prints: dict[str, set[str]] = {}
    for s in studies:
        prints.setdefault(s.problem.label, set()).add(s.problem.fingerprint)
    renamed: dict[str, LoggedProblem] = {}
    for p in (s.problem for s in studies):
        label = p.label if len(prints[p.label]) == 1 else f"{p.label} #{p.fingerprint[:6]}"
        renamed.setdefault(p.fingerprint, dataclasses.replace(p, label=label))
    problems = [renamed[s.problem.fingerprint] for s in studies]
    return [
        dataclasses.replace(s, problem=p, row={**s.row, "problem": p.label})
        for s, p in zip(studies, problems, strict=True)
    ]


def _matching(columns: Sequence[str] | None, names: list[str]) -> list[str]:
    # Blocks stay together when problems with different parameters are mixed.
    ranks = {"study": 0, "trial": 1, "ask": 2, "param": 3, "metric": 4, "violation": 5}
    names = sorted(names, key=lambda n: ranks.get(n.partition(".")[0], 6))
    chosen = set(matching(columns, names))
    return [name for name in names if name in chosen or name in _ALWAYS]
