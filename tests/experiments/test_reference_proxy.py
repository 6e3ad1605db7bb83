"""The committed study of proxies: the page says what its tables hold."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

FOLDER = Path(__file__).parents[2] / "results" / "reference" / "proxy"
PAGE = (FOLDER / "README.md").read_text(encoding="utf-8")
TRACES = ("stream", "random", "cloud-1", "cloud-2", "gen-mixed", "gen-hotrow")


def means(name, *by):
    return pd.read_csv(FOLDER / name / "curves.csv").groupby(list(by)).mean(numeric_only=True)


def cells(start):
    """The numbers of the first line of the page that begins so."""
    line = next(line for line in PAGE.splitlines() if line.startswith(start))
    return [float(text.replace(",", "")) for text in re.findall(r"(?<=\| )[\d.,]+", line)]


def test_auto_is_the_best_of_four_on_the_memory_controllers():
    for trace in TRACES:
        table = means(f"dram-{trace}", "metric", "rows", "model")["mape"].unstack()
        assert table.shape == (9, 4)
        assert (table["auto"] < table.drop(columns="auto").min(axis=1)).all()


def test_intervals_of_few_rows():
    for trace in TRACES:
        found = means(f"dram-{trace}", "model", "rows", "metric")["coverage_90"]["auto"][1560]
        assert found.round(2).between(0.90, 0.96).all()


def test_times_of_the_memory_controllers():
    tables = [means(f"dram-{trace}", "metric", "rows", "model")["mape"]["latency"][1560] for trace in TRACES]
    for start, model in (("| auto |", "auto"), ("| random forest |", "random-forest")):
        assert cells(start) == [round(100 * table[model], 2) for table in tables]


def test_fewer_rows_do_beside_a_roofline():
    tables = {
        "": means("accelerator", "metric", "model", "rows")["mape"],
        ", beside the roofline": means("accelerator-roofline", "metric", "model", "rows")["mape"],
    }
    for where, table in tables.items():
        for name, metric in (("time", "latency"), ("energy", "energy")):
            shown, true = np.array(cells(f"| {name}{where} |")), 100 * table[metric]["auto"].to_numpy()
            assert np.abs(shown - true).max() < 0.51
            assert np.abs(shown / true - 1).max() < 0.03
    plain, beside = (table["energy"]["auto"] for table in tables.values())
    assert beside[50] < 1.02 * plain[1400]
    assert beside[100] < plain[1400]
    plain, beside = (table["latency"]["auto"] for table in tables.values())
    plain = plain.loc[100:]
    log_rows = np.interp(-plain, -beside, np.log(beside.index.to_numpy(float)))  # errors fall with the rows
    share = np.exp(log_rows) / plain.index
    assert (round(share.min(), 2), round(share.max(), 2)) == (0.56, 0.84)
    assert "56 to 84 % of the rows" in PAGE


def test_intervals_hold_with_thousands_of_rows():
    table = pd.read_csv(FOLDER / "systolic" / "curves.csv")
    table = table[(table["model"] == "auto") & (table["rows"] == 10_000)]
    assert (table["test_rows"] == 5681).all()  # beside 2,000 to calibrate
    found = table.groupby("metric")[["coverage_90", "elite_coverage_90"]].mean()
    assert found["coverage_90"].between(0.88, 0.92).all()
    assert (found["elite_coverage_90"] > 0.85).all()
    for value in (*found["coverage_90"], *found["elite_coverage_90"]):
        assert f"{100 * value:.1f}" in PAGE


@pytest.mark.parametrize(
    "name", ["systolic", "systolic-100", "accelerator", "accelerator-roofline", "speed-accelerator"]
)
def test_auto_is_no_worse_than_the_best_model(name):
    table = means(name, "metric", "rows", "model")["mape"].unstack()
    assert (table["auto"] <= 1.1 * table.drop(columns="auto").min(axis=1)).all()


def test_times_of_the_arrays():
    table = means("systolic", "metric", "rows", "model")["mape"].unstack()
    shown = [f"{100 * value:.1f}" for value in table["auto"]["latency"]]
    assert f"{shown[0]}, {shown[1]} and {shown[2]} % after" in PAGE
    ten = means("systolic-100", "metric", "model")["mape"]["latency"]["auto"]
    assert f"{100 * ten:.1f} % over ten draws" in PAGE


@pytest.mark.parametrize(("name", "row"), [("dram-simulated", "| DRAM"), ("accelerator", "| accelerator")])
def test_speeds(name, row):
    table = pd.read_csv(FOLDER / f"speed-{name}" / "speed.csv").set_index("what")
    order = ["simulator", "simulator, a process each", "auto", "gaussian", "random-forest"]
    np.testing.assert_allclose(cells(row), table.loc[order, "us_batch"], rtol=0.006)


def test_what_a_choice_is_worth():
    table = pd.read_csv(FOLDER / "regret.csv").set_index(["problem", "seed"])
    assert len(table) == 12
    assert (table["of_40"] <= 0.01).all()
    for problem in table.index.unique("problem"):
        line = next(line for line in PAGE.splitlines() if line.startswith(f"| {problem} |"))
        shown = [[float(n) for n in re.findall(r"[\d.]+|inf", cell)] for cell in line.split("|")[2:5]]
        np.testing.assert_allclose(np.array(shown).T, 100 * table.loc[problem].to_numpy(), atol=0.05)
