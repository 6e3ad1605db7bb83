"""The page of a study of proxies: what was measured, as tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from .tables import markdown

_PERCENT = {
    "mape": "MAPE",
    "rmse_over_mean": "RMSE/mean",
    "rmse_over_range": "RMSE/range",
    "elite_mape": "MAPE, best 5 %",
    "coverage_90": "in 90 % interval",
    "elite_coverage_90": "the same, best 5 %",
}


def write_report(
    folder: Path,
    heading: str,
    command: str,
    curves: pd.DataFrame,
    sources: pd.DataFrame | None,
    speed: pd.DataFrame | None,
) -> None:
    """Write ``README.md``, and the tables as CSV.

    Args:
        folder: that holds them.
        heading: of the page.
        command: that makes it again.
        curves, sources, speed: of ``proxy_study``; None was not asked for.
    """
    lines = [f"# {heading}", "", f"    {command}", "", "Means over the seeds, on held-back rows; Kendall's tau.", ""]
    lines += [_scores(curves, ["metric", "rows", "model"], "By model"), "", "![curves](curves.png)", ""]
    curves.to_csv(folder / "curves.csv", index=False, float_format="%.6g")
    if sources is not None:
        lines += [_scores(sources, ["metric", "region", "rows", "agent"], "By whose rows were learnt"), ""]
        lines += ["![sources](sources.png)", ""]
        sources.to_csv(folder / "sources.csv", index=False, float_format="%.6g")
    if speed is not None:
        lines += [_speed(speed), ""]
        speed.to_csv(folder / "speed.csv", index=False, float_format="%.6g")
    (folder / "README.md").write_text("\n".join(lines), encoding="utf-8")


def _scores(table: pd.DataFrame, by: Sequence[str], heading: str) -> str:
    names = [*_PERCENT, "kendall_tau"]
    means = table.groupby(list(by), sort=False)[names].mean().reset_index()
    columns = {name: means[name].tolist() for name in by}
    columns |= {title: [f"{100 * v:.2f} %" for v in means[name]] for name, title in _PERCENT.items()}
    return markdown(heading, columns | {"tau": [f"{v:.3f}" for v in means["kendall_tau"]]})


def _speed(table: pd.DataFrame) -> str:
    columns = {
        "": table["what"].tolist(),
        "designs": [f"{n:,}" for n in table["batch"]],
        "us each, in a batch": [f"{v:,.1f}" for v in table["us_batch"]],
        "one by one": [f"{v:,.0f}" for v in table["us_single"]],
    }
    for what, name in (("simulator", "simulator"), ("simulator, a process each", "process")):
        base = table[table["what"] == what].iloc[0]
        columns[f"times the {name}, batch"] = [f"{base['us_batch'] / v:.3g}" for v in table["us_batch"]]
        columns[f"{name}, one by one"] = [f"{base['us_single'] / v:.3g}" for v in table["us_single"]]
    return markdown("Time of a design with all its metrics, one thread, medians; how many times as fast", columns)
