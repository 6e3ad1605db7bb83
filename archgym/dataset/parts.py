"""The folder of a data set: one table in Parquet parts, described by a JSON file and a card for people.

``README.md``      the card
``dataset.json``   what the rows are: sources, how they were made, parts
``data/simulator=…/workload=…/agent=…/NAME.parquet``   the rows, partitioned as Hive does it

Every part has every column, so that any reader of Parquet sees one table: ``pandas.read_parquet("DIR/data")``. Units
and explanations stand in the schema. A part appears whole or not at all, and its bytes depend on its rows alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np
import numpy.typing as npt

from archgym.errors import LogError, UsageError

from .source import Source

if TYPE_CHECKING:
    import pyarrow as pa

FORMAT = 1
HEADER, CARD, DATA = "dataset.json", "README.md", "data"
PARTITIONS = ("simulator", "workload", "agent")
_TEXT = "text"  # few distinct values: stored once each
_OWN = {  # column -> (type, explanation)
    "source": (_TEXT, "which simulator, options, workload and space measured it: see dataset.json"),
    "problem": (_TEXT, "label of the problem that was searched"),
    "study": (_TEXT, "run that it was evaluated in"),
    "agent_label": (_TEXT, "agent with its hyperparameters that are not the default"),
    "seed": ("int64", "of the run"),
    "trial": ("int64", "position in the run"),
    "design": ("int64", "rank of the canonical design in its space: equal exactly for designs that behave identically"),
}
_OUTCOME = {
    "valid": ("bool", "the design has metrics: no physical constraint or static rule is broken"),
    "feasible": ("bool", "valid, and within the limits of the problem that was searched"),
    "reason": (_TEXT, "why it is infeasible"),
    "reward": ("double", "under the objective of the problem that was searched"),
}
_ROW_GROUP = 65536


def schema(sources: Iterable[Source]) -> pa.Schema:
    """All columns but the partitions: provenance, ``param.*``, ``metric.*``, ``violation.*``, outcome.

    Where sources disagree, whole and broken numbers become broken ones, and anything else becomes text.
    """
    import pyarrow as pa

    sources = list(sources)
    fields: dict[str, tuple[str, dict[str, str]]] = {name: (kind, {"doc": doc}) for name, (kind, doc) in _OWN.items()}
    if not all(s.ranked for s in sources):
        fields["design"] = ("string", fields["design"][1])
    for s in sources:
        for p in s.space.parameters:
            name, kind = f"param.{p.name}", _level_type(p.levels)
            known = fields.get(name, (kind, {}))[0]
            fields[name] = (_common(known, kind), _described(p.unit, p.doc))
    for s in sources:
        fields |= {f"metric.{name}": ("double", _described(m.unit, m.doc)) for name, m in s.metrics.items()}
    for s in sources:
        doc = {"doc": "relative to the limit; satisfied where <= 0"}
        fields |= {f"violation.{name}": ("double", doc) for name in s.constraints}
    fields |= {name: (kind, {"doc": doc}) for name, (kind, doc) in _OUTCOME.items()}
    types = {_TEXT: pa.dictionary(pa.int32(), pa.string()), "string": pa.string(), "int64": pa.int64()}
    types |= {"bool": pa.bool_(), "double": pa.float64()}
    return pa.schema([pa.field(name, types[kind], metadata=more) for name, (kind, more) in fields.items()])


def partition_schema() -> pa.Schema:
    """The columns that stand in the names of folders."""
    import pyarrow as pa

    return pa.schema([(name, pa.string()) for name in PARTITIONS])


def table(columns: Mapping[str, npt.NDArray[Any]], rows: int, wanted: pa.Schema) -> pa.Table:
    """Columns as an Arrow table of that schema; NaN is missing, and so is a column that is not there."""
    import pyarrow as pa

    arrays = []
    for field in wanted:
        if field.name not in columns:
            arrays.append(pa.nulls(rows, field.type))
        elif pa.types.is_dictionary(field.type):
            texts, which = _factorised(columns[field.name])
            arrays.append(pa.DictionaryArray.from_arrays(pa.array(which, pa.int32()), pa.array(texts, pa.string())))
        else:
            values = columns[field.name]
            if field.type == pa.string():
                values = np.array([str(v) for v in values.tolist()], object)
            arrays.append(pa.array(values, field.type, from_pandas=values.dtype.kind == "f"))
    return pa.Table.from_arrays(arrays, schema=wanted)


def part_path(simulator: str, workload: str, agent: str, name: str) -> str:
    """Where a part lies below the folder of the data set."""
    values = zip(PARTITIONS, (simulator, workload, agent), strict=True)
    return "/".join([DATA, *(f"{key}={quote(value, safe='')}" for key, value in values), f"{name}.parquet"])


def write_part(path: Path, tables: Iterable[pa.Table], wanted: pa.Schema) -> int:
    """Write tables one after the other as one part; returns the number of rows.

    Raises:
        LogError: the disk is full or the folder cannot be written; nothing of the part is left then.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    # Floats are stored plainly: a dictionary might unite numbers that differ in their bits.
    unfinished, rows = _unfinished(path), 0
    texts = [field.name for field in wanted if not pa.types.is_floating(field.type)]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with pq.ParquetWriter(unfinished, wanted, compression="zstd", use_dictionary=texts) as writer:
                for some in _gathered(tables):
                    writer.write_table(some, row_group_size=_ROW_GROUP)
                    rows += len(some)
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)
    except OSError as error:
        raise LogError(f"cannot write to {path}: {error.strerror or error}") from None
    return rows


def _gathered(tables: Iterable[pa.Table]) -> Iterable[pa.Table]:
    """Small tables joined, so that row groups are large; memory is bounded by one of them."""
    import pyarrow as pa

    waiting: list[pa.Table] = []
    for one in tables:
        waiting.append(one)
        if sum(map(len, waiting)) >= _ROW_GROUP:
            yield pa.concat_tables(waiting).unify_dictionaries()
            waiting = []
    if waiting:
        yield pa.concat_tables(waiting).unify_dictionaries()


def write_text(path: Path, text: str) -> None:
    """Write a file that appears whole or not at all.

    Raises:
        LogError: it cannot be written.
    """
    unfinished = _unfinished(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished.write_text(text, encoding="utf-8")
        unfinished.replace(path)
    except OSError as error:
        raise LogError(f"cannot write to {path}: {error.strerror or error}") from None


def begin(folder: Path, made: Mapping[str, Any], sources: Sequence[Source], parts: Sequence[Mapping[str, Any]]) -> None:
    """Write the header of a new data set; one that holds the same header goes on.

    Args:
        folder: of the data set.
        made: how it is made; what is equal here has equal rows.
        sources: of the rows.
        parts: ``file`` and ``rows`` of each, and what else is known.

    Raises:
        UsageError: the folder holds another data set, or anything else.
        LogError: it cannot be written.
    """
    header = _header(made, sources, parts)
    if (folder / HEADER).exists():
        found, wanted = read_dataset_header(folder), json.loads(json.dumps(header))
        if found != wanted:
            apart = [key for key in ("made", "sources", "parts") if found[key] != wanted[key]]
            if apart[0] == "made":
                keys = sorted({*found["made"], *wanted["made"]})
                theirs, ours = found["made"], wanted["made"]
                apart = [f"{k} {theirs.get(k)}, not {ours.get(k)}" for k in keys if theirs.get(k) != ours.get(k)]
            raise UsageError(f"{folder} holds another data set ({'; '.join(apart)}); choose another --out")
        return
    check_empty(folder)
    write_header(folder, made, sources, parts)


def check_empty(folder: Path) -> None:
    """That nothing is lost if a data set is written to a folder that holds none.

    Raises:
        UsageError: it is a file, or holds anything else.
    """
    begun = _unfinished(folder / HEADER).name  # by a run that was killed in its first moment
    if folder.exists() and (not folder.is_dir() or any(path.name != begun for path in folder.iterdir())):
        raise UsageError(f"{folder} is not empty and holds no data set; choose another --out")


def write_header(
    folder: Path, made: Mapping[str, Any], sources: Sequence[Source], parts: Sequence[Mapping[str, Any]]
) -> None:
    """Write ``dataset.json``; the arguments are those of `begin`.

    Raises:
        LogError: it cannot be written.
    """
    write_text(folder / HEADER, json.dumps(_header(made, sources, parts), indent=1) + "\n")


def _header(made: Mapping[str, Any], sources: Sequence[Source], parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {"format": FORMAT, "made": made, "sources": [s.to_dict() for s in sources], "parts": parts}


def read_dataset_header(folder: str | Path) -> dict[str, Any]:
    """The content of ``dataset.json``.

    Raises:
        UsageError: no data set, a damaged one, or one of another format.
    """
    path = Path(folder) / HEADER
    try:
        header = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(
            f"{folder}: expected a data set (a folder with {HEADER}), found none; archgym dataset build or collect "
            "makes one"
        ) from None
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} is damaged: {error}") from None
    if not isinstance(header, dict) or not {"format", "sources", "parts", "made"} <= header.keys():
        raise UsageError(f"{path} is damaged: expected an object with format, sources, parts and made")
    if header["format"] != FORMAT:
        raise UsageError(
            f"{path}: expected format {FORMAT}, got {header['format']}; another version of archgym made it"
        )
    return header


def _unfinished(path: Path) -> Path:
    """Where a file is written until it is whole; readers pass over names with a dot."""
    return path.with_name(f".{path.name}.part")


def _level_type(levels: Sequence[Any]) -> str:
    kind = np.array(levels).dtype.kind
    return {"b": "bool", "i": "int64", "f": "double"}.get(kind, _TEXT)


def _common(a: str, b: str) -> str:
    if a == b:
        return a
    return "double" if {a, b} == {"int64", "double"} else _TEXT


def _described(unit: str, doc: str) -> dict[str, str]:
    return {key: text for key, text in (("unit", unit), ("doc", doc)) if text}


def _factorised(values: npt.NDArray[Any]) -> tuple[list[str], npt.NDArray[np.int32]]:
    """Distinct texts in order of appearance, and which one each row has."""
    known: dict[str, int] = {}
    which = np.array([known.setdefault(str(v), len(known)) for v in values.tolist()], np.int32)
    return list(known), which
