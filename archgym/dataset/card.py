"""The card of a data set: what its rows are, for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .dataset import Dataset
from .parts import CARD, write_text

if TYPE_CHECKING:
    import pandas as pd


def write_card(dataset: Dataset) -> None:
    """Write ``README.md`` into the folder of a data set."""
    write_text(dataset.folder / CARD, card(dataset))


def card(dataset: Dataset) -> str:
    """The text of the card, in Markdown."""
    counts = dataset.frame(["source", "workload", "agent", "design", "valid", "feasible"])
    lines = [f"# Data set `{dataset.folder.resolve().name.strip('.').removesuffix('.part')}`", ""]
    lines += [f"{len(counts):,} evaluated designs. {_made(dataset)}", ""]
    for key, source in dataset.sources.items():
        rows = counts[counts["source"] == key]
        lines += [
            f"## {source.simulator} on {source.workload} (`{key}`)",
            "",
            f"Simulator version {source.simulator_version}; a space of {source.space.size:,} designs: "
            + ", ".join(f"{p.name} ({len(p.levels)})" for p in source.space.parameters)
            + ".",
            "",
            *_agents(rows),
            "",
            *_metrics(dataset.where(source=key), key),
            "",
        ]
    return "\n".join([*lines, *_reading()]) + "\n"


def _made(dataset: Dataset) -> str:
    made = dataset.made
    if made.get("how") == "collect":
        mix = ", ".join(f"{share:.0%} {agent}" for agent, share in made["mix"].items())
        return (
            f"Collected on {made['problem']}: {mix}; seed {made['seed']}, batches of {made['batch']}, runs of up to "
            f"{made['size']:,} samples. A design that was asked for again is there again."
        )
    if made.get("how") != "build":
        return str(made.get("how", ""))
    twice = {
        "drop": "of equal designs of a source the first is kept",
        "agent": "of equal designs of a source the first of each agent is kept",
        "keep": "equal designs are kept",
    }[made["duplicates"]]
    text = f"From {made['samples']:,} samples in {made['studies']:,} logged studies; {twice}."
    if made["damaged"]:
        text += f" Left out as damaged: {', '.join(name for name, _ in made['damaged'])}."
    if made["unknown"]:
        text += (
            f" Without the simulator that wrote them, or its version (equal designs are found by the space alone): "
            f"{', '.join(made['unknown'])}."
        )
    return text


def _agents(rows: pd.DataFrame) -> list[str]:
    out = ["| agent | rows | designs | valid | feasible |", "|---|---|---|---|---|"]
    for agent, part in rows.groupby("agent", observed=True, sort=True):
        shares = " | ".join(f"{part[name].mean():.1%}" for name in ("valid", "feasible"))
        out.append(f"| {agent} | {len(part):,} | {part['design'].nunique():,} | {shares} |")
    return out


def _metrics(dataset: Dataset, key: str) -> list[str]:
    source = dataset.sources[key]
    out = ["| metric | unit | least | median | largest | meaning |", "|---|---|---|---|---|---|"]
    for name, metric in source.metrics.items():
        column = dataset.frame([f"metric.{name}"])[f"metric.{name}"].dropna().to_numpy()
        figures: tuple[Any, ...] = ("", "", "")
        if len(column):
            figures = tuple(f"{v:.4g}" for v in (column.min(), np.median(column), column.max()))
        out.append(f"| `{name}` | {metric.unit} | {' | '.join(figures)} | {' '.join(metric.doc.split())} |")
    return out


def _reading() -> list[str]:
    return [
        "## Reading it",
        "",
        "`archgym.Dataset(DIR)` loads the columns and rows that are asked for; units stand in the schema.",
        "So does `pandas.read_parquet('DIR/data')`, and in DuckDB `FROM read_parquet('DIR/data/**/*.parquet',",
        "hive_partitioning=true)`. `design` is equal exactly for designs that behave identically: split by it and by",
        "equal metrics (`archgym.dataset.splits`), or a model is tested on rows that it has learnt.",
    ]
