"""The BOOM table says what the contest's rows say, and nothing else."""

import csv
import gzip
from pathlib import Path

import numpy as np
import pytest

from archgym.errors import UsageError
from archgym.problem import Problem
from archgym.suite.boom import COMPONENTS, boom_table
from archgym.suite.problems import PROBLEMS, stored_facts
from archgym.table_file import load_table
from archgym.workload import load_workload

DATA = Path(__file__).parent / "data" / "boom" / "boom_iccad22_dummy.csv.gz"


@pytest.fixture(scope="module")
def rows():
    with gzip.open(DATA, "rt") as lines:
        return list(csv.DictReader(lines))


def test_the_table_is_the_rows(rows):
    table = load_table("boom-iccad22")
    assert table.fingerprint == boom_table(rows, load_workload("boom-programs")).fingerprint
    problem = Problem(PROBLEMS["boom-iccad22-pareto"])
    codes = np.concatenate(list(problem.space.enumerate()))
    e = problem.evaluate(codes)
    assert len(codes) == int(e.feasible.sum()) == len(rows) == 15_633
    ours = sorted(zip(e.metrics["ipc"], e.metrics["power"], e.metrics["area"], strict=True))
    theirs = sorted((float(r["ipc"]), float(r["power_w"]), float(r["area_um2"]) * 1e-6) for r in rows)
    assert ours == theirs


def test_options_mean_the_columns_they_say(rows):
    # The n-th option of a component is the n-th of its distinct values at that width, in ascending order.
    problem = Problem(PROBLEMS["boom-iccad22-pareto"])
    row = rows[12_345]
    width = row["Decoder.DecodeWidth"]
    design = {"width": int(width)}
    for component, prefix in COMPONENTS.items():
        names = [name for name in row if name.startswith(prefix)]
        own = tuple(int(row[name]) for name in names)
        same = {tuple(int(r[name]) for name in names) for r in rows if r["Decoder.DecodeWidth"] == width}
        design[component] = sorted(same).index(own)
        assert str(own) in problem.space[component].doc
    e = problem.evaluate(problem.space.encode([design]))
    assert float(e.metrics["ipc"][0]) == float(row["ipc"])
    assert float(e.metrics["vlsi_time"][0]) == float(row["vlsi_time_s"])


def test_what_the_table_has_not_is_forbidden(rows):
    problem = Problem(PROBLEMS["boom-iccad22-pareto"])
    codes = problem.space.unrank(range(problem.space.size))
    e = problem.evaluate(codes)
    assert (e.feasible == problem.space.is_allowed(codes)).all()
    assert np.isnan(e.metric_values[~e.feasible]).all()


def test_the_front_is_the_published_one():
    # 145 configurations trade off in ipc, power and area, counted with the data set.
    assert stored_facts("boom-iccad22-pareto")["front_size"] == 145


def test_rows_that_are_no_product_are_refused(rows):
    with pytest.raises(UsageError, match="full product"):
        boom_table(rows[:-1], load_workload("boom-programs"))
