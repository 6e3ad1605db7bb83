"""Reading what ArchGym (ISCA 2023) logged of its DRAM environment, with its times repaired.

Two forms are known: a table with a header (the example data of its proxy model), and trajectories, one line a sample:
reward, the design as a Python dict in quotes, and the observation ``[[energy power latency]]``. Energies are mJ, powers
W, times seconds (or milliseconds, in its second environment).

Its times are wrong by a factor of 1000 in many rows: DRAMSys prints nanoseconds, or picoseconds where the end is not a
whole nanosecond, and the unit was dropped. As DRAMSys's average power is energy over time, every row tells what its
time should be.
"""

from __future__ import annotations

import ast
import csv
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from archgym.errors import UsageError
from archgym.metrics import Metric
from archgym.parameter import Parameter
from archgym.problem import ProblemSpec
from archgym.space import DesignSpace

from .card import write_card
from .dataset import Dataset
from .parts import begin, part_path, schema, table, write_part
from .rows import design_columns, run_columns
from .source import Source

if TYPE_CHECKING:
    import pandas as pd

_DEPTHS = tuple(range(1, 9))
_POWERS = (16, 32, 64, 128)
# What its search agents and its reinforcement learning could choose, together.
SPACE = DesignSpace(
    [
        Parameter.categorical("PagePolicy", ("Open", "OpenAdaptive", "Closed", "ClosedAdaptive")),
        Parameter.categorical("Scheduler", ("Fifo", "FrFcfsGrp", "FrFcfs")),
        Parameter.categorical("SchedulerBuffer", ("Bankwise", "ReadWrite", "Shared")),
        Parameter("RequestBufferSize", (*_DEPTHS, *_POWERS)),
        Parameter.categorical("RespQueue", ("Fifo", "Reorder")),
        Parameter.categorical("RefreshPolicy", ("NoRefresh", "AllBank")),
        Parameter("RefreshMaxPostponed", _DEPTHS),
        Parameter("RefreshMaxPulledin", _DEPTHS),
        Parameter.categorical("Arbiter", ("Simple", "Fifo", "Reorder")),
        Parameter("MaxActiveTransactions", tuple(range(1, 129))),
    ]
)
_METRICS = {
    "latency": Metric("latency", "s", "time of the last response, repaired"),
    "energy": Metric("energy", "J", "of all devices"),
    "power": Metric("power", "W", "average"),
}
_OBSERVED = ("Energy", "Power", "Latency")
_TOLERANCE = 0.02  # of a row's time against energy/power, which are printed with three to eight digits


def read_archgym_csv(path: str | Path) -> pd.DataFrame:
    """The samples of one file.

    Returns:
        One row a sample: ``agent`` ("" if not told), ``param.*``, ``metric.latency`` (s), ``metric.energy`` (J),
        ``metric.power`` (W), ``latency_factor`` (1, 1e3 or 1e6: what the logged time was too large by). Lines whose
        reward is no number are left out, as ArchGym's own converter does.

    Raises:
        UsageError: no such file or form, or a time that is not energy/power times 1, 1e3 or 1e6; names the line.
    """
    import pandas as pd

    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: expected a CSV of ArchGym, cannot read it: {error}") from None
    rows = _table(lines, path) if lines and "PagePolicy" in lines[0].split(",") else _trajectory(lines, path)
    if not rows:
        raise UsageError(f"{path}: expected rows of ArchGym's DRAM environment, found none")
    numbers = [number for number, _ in rows]
    out = pd.DataFrame([row for _, row in rows])
    codes = SPACE.encode({name: out[name].to_numpy() for name in SPACE.names})
    frame = pd.DataFrame({"agent": out["agent"], **design_columns(SPACE, codes)})
    energy, power, logged = (out[name].to_numpy(np.float64) for name in _OBSERVED)
    with np.errstate(divide="ignore", invalid="ignore"):
        time = energy * 1e-3 / power
        thousands = np.rint(np.log10(logged / time) / 3)
        factor = 10.0 ** (3 * thousands)
        apart = np.abs(logged / factor / time - 1)
    bad = ~((apart <= _TOLERANCE) & (thousands >= 0) & (thousands <= 2))
    if bad.any():
        i = int(np.argmax(bad))
        raise UsageError(
            f"{path}: line {numbers[i]}: expected a time of energy/power = {time[i]:.4g} s (times 1, 1e3 or 1e6), got "
            f"{logged[i]:.4g}"
        )
    return frame.assign(
        **{
            "metric.latency": logged / factor,
            "metric.energy": energy * 1e-3,
            "metric.power": power,
            "latency_factor": factor,
        }
    )


def import_archgym_csv(path: str | Path, out: str | Path, *, workload: str) -> Dataset:
    """A data set from one file; the simulator is called ``dramsys-4.0``.

    Args:
        path: see `read_archgym_csv`.
        out: a new folder.
        workload: name of the trace that was simulated, which the file does not tell.

    Raises:
        UsageError: not such a file, or a folder that holds something else.
        LogError: the folder cannot be written.
    """
    frame, folder = read_archgym_csv(path), Path(out)
    spec = ProblemSpec("dramsys-4.0", (workload,), "latency")
    measurement = hashlib.sha256(f"{spec.label} {SPACE.fingerprint}".encode()).hexdigest()
    source = Source(measurement[:12], measurement, spec, "4.0", workload, SPACE, _METRICS, (), {})
    content = hashlib.sha256(Path(path).read_bytes()).hexdigest()
    repaired = int((frame["latency_factor"] != 1).sum())
    wanted, parts, begun = schema([source]), [], []
    for agent, rows in frame.groupby("agent", sort=True):
        file, n = part_path(source.simulator, workload, str(agent) or "unknown", "part-00000"), len(rows)
        codes = SPACE.encode({name: rows[f"param.{name}"].to_numpy() for name in SPACE.names})
        columns = {str(name): column.to_numpy() for name, column in rows.items()}
        columns |= run_columns(source, spec.label, Path(path).name, str(agent), 0, n)
        columns |= {"trial": rows.index.to_numpy(), "design": source.designs(SPACE.canonical(codes))}
        columns |= {"valid": np.ones(n, np.bool_), "feasible": np.ones(n, np.bool_), "reason": np.full(n, "", object)}
        del columns["seed"]  # nobody knows
        parts.append({"file": file, "rows": n})
        begun.append((folder / file, table(columns, n, wanted)))
    how = f"Imported from ArchGym's {Path(path).name}; the time was repaired in {repaired} of {len(frame)} rows."
    begin(folder, {"how": how, "content": content}, [source], parts)
    for path_of, rows_of in begun:
        write_part(path_of, [rows_of], wanted)
    dataset = Dataset(folder)
    write_card(dataset)
    return dataset


def _table(lines: list[str], path: str | Path) -> list[tuple[int, dict[str, Any]]]:
    rows = []
    for i, row in enumerate(csv.DictReader(lines), start=2):
        rows.append((i, _sample(row, row.get("Algorithm") or "", path, i)))
    return rows


def _trajectory(lines: list[str], path: str | Path) -> list[tuple[int, dict[str, Any]]]:
    rows = []
    for i, line in enumerate(lines, start=1):
        fields = next(csv.reader([line]), [])
        try:
            float(fields[0])
        except (IndexError, ValueError):
            continue
        try:
            design = ast.literal_eval(fields[1])
            observed = [float(word) for word in fields[2].strip("[] ").split()]
            row = {**design, **dict(zip(_OBSERVED, observed, strict=True))}
        except (IndexError, TypeError, ValueError, SyntaxError):
            raise UsageError(
                f"{path}: line {i}: expected reward,\"{{'PagePolicy': …}}\",[[energy power latency]], got {line[:80]}"
            ) from None
        rows.append((i, _sample(row, "", path, i)))
    return rows


def _sample(row: dict[str, Any], agent: str, path: str | Path, number: int) -> dict[str, Any]:
    try:
        out: dict[str, Any] = {name: row[name] for name in SPACE.names}
        for name in SPACE.names:
            SPACE[name].index(out[name])
        return {**out, **{name: float(row[name]) for name in _OBSERVED}, "agent": agent}
    except (KeyError, TypeError, ValueError) as error:  # also UsageError: no such level
        raise UsageError(f"{path}: line {number}: {type(error).__name__} {error}") from None
