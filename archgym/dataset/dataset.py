"""Reading a data set: only the columns and rows that are asked for are loaded."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from archgym.column_names import matching
from archgym.errors import UnknownNameError, UsageError
from archgym.space import Codes

from .parts import DATA, PARTITIONS, partition_schema, read_dataset_header, schema
from .source import Source

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


class Dataset:
    """One table of evaluated designs in a folder, lazily.

    Columns: ``source``, ``problem``, ``study``, ``agent_label``, ``seed``, ``trial``, ``design`` (canonical identity),
    ``param.*``, ``metric.*``, ``violation.*``, ``valid``, ``feasible``, ``reason``, ``reward``, and ``simulator``,
    ``workload``, ``agent``.

    Args:
        folder: as ``archgym dataset build`` or ``collect`` wrote it; rows of an unfinished one are those it has so far.

    Attributes:
        sources: id -> Source.
        made: how it was made.
        missing: parts that are still to be collected.

    Raises:
        UsageError: no data set, or a damaged one.
    """

    def __init__(self, folder: str | Path) -> None:
        header = read_dataset_header(folder)
        self.folder = Path(folder)
        self.made: Mapping[str, Any] = header["made"]
        try:
            found = [Source.from_dict(data) for data in header["sources"]]
            parts = [str(part["file"]) for part in header["parts"]]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UsageError(f"{folder}: its header is damaged: {type(error).__name__} {error}") from None
        self.sources = {source.id: source for source in found}
        self.missing = tuple(part for part in parts if not (self.folder / part).exists())
        self._files = [part for part in parts if part not in self.missing]
        self._schema = schema(found)
        self._conditions: tuple[Any, ...] = ()

    def __repr__(self) -> str:
        more = f", {len(self.missing)} parts missing" if self.missing else ""
        labels = ", ".join(source.problem.label for source in self.sources.values())
        return f"Dataset({self.folder}: {len(self)} rows of {labels}{more})"

    @property
    def columns(self) -> list[str]:
        """Names of all columns."""
        return [*self._schema.names, *PARTITIONS]

    @property
    def units(self) -> dict[str, str]:
        """Unit of each column that has one."""
        known = {field.name: (field.metadata or {}).get(b"unit", b"").decode() for field in self._schema}
        return {name: unit for name, unit in known.items() if unit}

    @property
    def source(self) -> Source:
        """The source of all rows.

        Raises:
            UsageError: there are several, or none.
        """
        found = self.sources
        if len(found) != 1:
            labels = ", ".join(f"{s.id} ({s.problem.label})" for s in found.values()) or "none"
            raise UsageError(f"{self.folder}: expected rows of one source, got {labels}; choose with where(source=…)")
        return next(iter(found.values()))

    def __len__(self) -> int:
        return int(self._scan().count_rows())

    def where(self, condition: Mapping[str, Any] | Any = None, /, **values: Any) -> Dataset:
        """Some of the rows, still unread.

        Args:
            condition: column -> the value, or the list of values, that it may have; or an expression of pyarrow.
            values: the same, for columns whose names are words: ``where(agent="genetic")``.

        Raises:
            UnknownNameError: no such column.
        """
        conditions = [c for c in (condition, values) if c is not None and (not isinstance(c, Mapping) or c)]
        for given in conditions:
            for name in given if isinstance(given, Mapping) else ():
                if name not in self.columns:
                    raise UnknownNameError("column", name, self.columns)
        other = copy.copy(self)
        other._conditions = (*self._conditions, *conditions)
        for given in conditions:
            if isinstance(given, Mapping) and "source" in given:
                kept = set(_values(given["source"]))
                other.sources = {key: s for key, s in other.sources.items() if key in kept}
        return other

    def table(self, columns: Sequence[str] | None = None) -> pa.Table:
        """The rows as an Arrow table, in the order of the parts.

        Args:
            columns: names, or patterns such as ``"metric.*"``; None is all.

        Raises:
            UnknownNameError: a name or pattern that no column has.
            UsageError: a part is damaged.
        """
        return self._read(lambda: self._scan(columns).to_table())

    def frame(self, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """``table`` as a DataFrame; texts of few distinct values are categories."""
        frame: pd.DataFrame = self.table(columns).to_pandas()
        return frame

    def frames(self, columns: Sequence[str] | None = None, *, rows: int = 65536) -> Iterator[pd.DataFrame]:
        """The same in pieces of at most so many rows, for data that does not fit into memory."""
        batches = iter(self._scan(columns, rows).to_batches())
        while (batch := self._read(lambda: next(batches, None))) is not None:
            if batch.num_rows:
                yield batch.to_pandas()

    def codes(self, frame: pd.DataFrame) -> Codes:
        """The designs (n, d) of rows, as level indices of the space of their source (or of their sources, if one space
        serves them all).

        Raises:
            UsageError: the sources have different spaces.
        """
        spaces = {s.space.fingerprint: s.space for s in self.sources.values()}
        if len(spaces) != 1:
            raise UsageError(
                f"{self.folder}: expected sources with one design space, got {len(spaces)} spaces; choose with "
                "where(source=…)"
            )
        (space,) = spaces.values()
        return space.encode({name: frame[f"param.{name}"].to_numpy() for name in space.names})

    # ---- inside ------------------------------------------------------------------------

    def _scan(self, columns: Sequence[str] | None = None, rows: int = 65536) -> Any:
        import pyarrow.dataset as ds

        wanted = matching(columns, self.columns)
        partitioning = ds.partitioning(partition_schema(), flavor="hive")
        whole = ds.dataset(
            [str(self.folder / part) for part in self._files],
            schema=_with_partitions(self._schema),
            format="parquet",
            partitioning=partitioning,
            partition_base_dir=str(self.folder / DATA),
        )
        keep = None
        for condition in map(_expression, self._conditions):
            keep = condition if keep is None else keep & condition
        return whole.scanner(columns=wanted, filter=keep, batch_size=rows)

    def _read(self, get: Any) -> Any:
        import pyarrow as pa

        try:
            return get()
        except (OSError, pa.ArrowInvalid) as error:
            text = " ".join(str(error).split())
            raise UsageError(
                f"{self.folder}: a part is damaged or was altered ({text}); make the data set again"
            ) from None


def _with_partitions(columns: pa.Schema) -> pa.Schema:
    for field in partition_schema():
        columns = columns.append(field)
    return columns


def _expression(condition: Any) -> Any:
    import pyarrow.dataset as ds

    if not isinstance(condition, Mapping):
        return condition
    out = None
    for name, value in condition.items():
        one = ds.field(name).isin(_values(value))
        out = one if out is None else out & one
    return out


def _values(value: Any) -> list[Any]:
    several = isinstance(value, list | tuple | set | frozenset | np.ndarray)
    values: npt.NDArray[Any] | list[Any] = value if several else [value]
    return [v.item() if isinstance(v, np.generic) else v for v in values]
