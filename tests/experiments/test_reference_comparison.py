"""The committed comparisons: their own commands make their numbers again."""

import json
import shlex
from pathlib import Path

import pytest

from archgym.experiments.cli import main

REFERENCE = Path(__file__).parents[2] / "results" / "reference"
FOLDER = REFERENCE / "compare"
AGAIN = ("systolic-resnet50-pareto-100k", "systolic-resnet50-budgets-1m")  # gaps and hypervolumes, and success
MEASURED = ("ms_per_ask", "simulate_ms")


def without_times(rows):
    kept = [row for row in rows if row["problem"] in AGAIN]
    return [{key: value for key, value in row.items() if key not in MEASURED} for row in kept]


@pytest.mark.parametrize("name", ["compare", "agents"])
def test_the_report_is_small_and_whole(name):
    folder = REFERENCE / name
    data = json.loads((folder / "report.json").read_text())
    files = {path.name: path.stat().st_size for path in folder.iterdir()}
    assert set(files) == {"report.md", "report.json", *data["pictures"]}
    assert sum(files.values()) < 1e6
    assert data["command"] in (folder / "report.md").read_text()


def test_the_readme_quotes_the_report():
    rows = json.loads((REFERENCE / "agents" / "report.json").read_text())["by_agent"]
    readme = (REFERENCE.parents[1] / "README.md").read_text()
    for row in rows:
        gaps = f"{row['gap@50']:.2f} | {row['gap@100']:.3f} | {row['gap@200']:.3f} | {100 * row['solved']:.0f} %"
        assert f"| `{row['agent']}` | {gaps} |" in readme


@pytest.mark.slow
def test_its_command_makes_its_numbers_again(tmp_path):
    """On two of the six problems, to the last bit: every run is a function of its seed."""
    data = json.loads((FOLDER / "report.json").read_text())
    command = shlex.split(data["command"])[1:]
    problems = command[1 : command.index("--agents")]
    options = command[command.index("--agents") : command.index("--out")]
    assert set(AGAIN) < set(problems)
    with pytest.raises(SystemExit) as caught:
        main(["compare", *AGAIN, *options, "--jobs", "2", "--out", str(tmp_path)])
    assert caught.value.code == 0
    found = json.loads((tmp_path / "report" / "report.json").read_text())
    for table in ("by_problem", "by_success"):
        assert without_times(found[table]) == without_times(data[table])
        assert found[table]
