"""Data sets as tables: any reader of Parquet sees what was evaluated, with units, and only what is asked is loaded."""

import json

import duckdb
import numpy as np
import pandas as pd
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
import toys

import archgym
from archgym.dataset.build import build
from archgym.dataset.collect import collect
from archgym.dataset.dataset import Dataset
from archgym.errors import UnknownNameError, UsageError
from archgym.problem import Problem
from archgym.suite.problems import parse_problem

MIX = "random:0.5,genetic:0.5"


@pytest.fixture(scope="module")
def problem():
    return Problem("systolic/alexnet/edp")


@pytest.fixture(scope="module")
def dataset(problem, tmp_path_factory):
    return collect(problem, tmp_path_factory.mktemp("data") / "set", n=200, mix=MIX, seed=1, batch=20, size=60)


def test_rows_are_what_the_simulator_says(dataset, problem):
    frame = dataset.frame()
    e = problem.evaluate(dataset.codes(frame))
    for name in problem.metric_names:
        np.testing.assert_array_equal(frame[f"metric.{name}"], e.metrics[name])  # bit for bit, NaN where impossible
    for i, name in enumerate(problem.constraint_names):
        np.testing.assert_array_equal(frame[f"violation.{name}"], e.violations[:, i])
    np.testing.assert_array_equal(frame["reward"], e.reward)
    np.testing.assert_array_equal(frame["feasible"], e.feasible)
    assert frame["reason"].tolist() == problem.reasons(e)
    assert (frame["valid"] == frame["metric.latency"].notna()).all()
    assert not frame["valid"].all()  # else the lines above had shown nothing about impossible designs
    ranks = problem.space.rank(problem.space.canonical(e.codes))
    assert frame["design"].tolist() == ranks


def test_provenance_names_the_run(dataset):
    frame = dataset.frame(["study", "trial", "agent", "agent_label", "seed", "problem"])
    assert frame.groupby("agent").size().to_dict() == {"genetic": 100, "random": 100}
    # Parts of up to 60 rows of one agent each, in this order.
    assert frame.groupby("study", observed=True).size().to_dict() == {
        "part-00000": 60,
        "part-00001": 40,
        "part-00002": 60,
        "part-00003": 40,
    }
    first = frame[frame["study"] == "part-00002"]
    assert first["trial"].tolist() == list(range(60))
    # which archgym.run makes again
    seed = int(first["seed"].iloc[0])
    again = archgym.run("systolic/alexnet/edp", "genetic", budget=60, batch=20, seed=seed)
    rows = dataset.where(study="part-00002").frame(["metric.energy"])
    np.testing.assert_array_equal(rows["metric.energy"], again.samples.metrics["energy"])


def test_plain_pandas_reads_it(dataset):
    plain = pd.read_parquet(dataset.folder / "data")
    ours = dataset.frame()
    assert set(plain.columns) == set(ours.columns)
    key = ["study", "trial"]
    plain, ours = (f.astype({"study": str}).sort_values(key).reset_index(drop=True) for f in (plain, ours))
    for name in ours.columns:
        assert plain[name].astype(ours[name].dtype).equals(ours[name]), name


def test_duckdb_reads_it(dataset):
    place = f"read_parquet('{dataset.folder}/data/**/*.parquet', hive_partitioning=true)"
    found = duckdb.sql(
        f'SELECT agent, count(*), min("metric.energy") FROM {place} GROUP BY agent ORDER BY agent'
    ).fetchall()
    least = dataset.frame(["agent", "metric.energy"]).groupby("agent")["metric.energy"].min()
    assert found == [("genetic", 100, least["genetic"]), ("random", 100, least["random"])]


def test_units_and_explanations_stand_in_the_schema(dataset, problem):
    assert dataset.units["metric.energy"] == "J"
    assert dataset.units["param.ifmap_sram"] == problem.space["ifmap_sram"].unit != ""
    file = next(dataset.folder.rglob("*.parquet"))
    field = pq.read_schema(file).field("metric.latency")
    assert field.metadata[b"unit"] == b"s"
    assert field.metadata[b"doc"].decode() == problem.metrics["latency"].doc
    assert pq.ParquetFile(file).metadata.row_group(0).column(0).compression == "ZSTD"


def test_columns_and_rows_are_chosen_before_they_are_read(dataset):
    some = dataset.where(agent="genetic").where({"param.dataflow": ["ws", "os"]}, feasible=True)
    frame = some.frame(["metric.*", "reward"])
    assert {str(name).partition(".")[0] for name in frame.columns} == {"metric", "reward"}
    whole = dataset.frame()
    kept = whole[(whole["agent"] == "genetic") & whole["param.dataflow"].isin(["ws", "os"]) & whole["feasible"]]
    assert 0 < len(some) == len(kept) < 100
    np.testing.assert_array_equal(frame["reward"], kept["reward"])
    assert len(dataset.where(ds.field("trial") < 10)) == 40  # an expression of pyarrow: ten of each of the four runs
    pieces = list(dataset.frames(["trial"], rows=32))
    assert max(map(len, pieces)) <= 32
    assert pd.concat(pieces)["trial"].tolist() == whole["trial"].tolist()


@pytest.mark.parametrize(
    ("ask", "text"),
    [
        (lambda d: d.frame(["metric.energie"]), "metric.energy"),
        (lambda d: d.where(agents="genetic"), "agent"),
        (lambda d: d.where({"param.pes": 3}), "param."),
    ],
    ids=["column", "name", "mapping"],
)
def test_unknown_columns_are_refused(dataset, ask, text):
    with pytest.raises(UnknownNameError, match=text):
        ask(dataset)


def test_folders_that_are_no_data_set(dataset, tmp_path):
    with pytest.raises(UsageError, match=r"a folder with dataset\.json"):
        Dataset(tmp_path)
    for text, why in (("{", "damaged"), ("[]", "damaged"), ("{}", "damaged")):
        (tmp_path / "dataset.json").write_text(text)
        with pytest.raises(UsageError, match=why):
            Dataset(tmp_path)
    header = json.loads((dataset.folder / "dataset.json").read_text())
    (tmp_path / "dataset.json").write_text(json.dumps({**header, "format": 99}))
    with pytest.raises(UsageError, match="expected format 1, got 99"):
        Dataset(tmp_path)
    (tmp_path / "dataset.json").write_text(json.dumps({**header, "sources": [{}]}))
    with pytest.raises(UsageError, match="damaged"):
        Dataset(tmp_path)


def test_a_truncated_part_is_an_error_that_says_so(problem, tmp_path):
    dataset = collect(problem, tmp_path / "set", n=20, mix="random", batch=10)
    part = next(dataset.folder.rglob("*.parquet"))
    part.write_bytes(part.read_bytes()[:-20])
    with pytest.raises(UsageError, match="damaged or was altered"):
        dataset.frame()


def test_several_sources_need_a_choice(tmp_path):
    for i, options in enumerate(({}, {"space": {"a": (2, 4)}}, {"sim": {"scale": 2.0}})):
        archgym.run(toys.spec(**options), "random", budget=30, out=tmp_path / "runs" / str(i))
    dataset = build([tmp_path / "runs"], tmp_path / "set")
    assert len(dataset.sources) == 3
    with pytest.raises(UsageError, match="one source"):
        _ = dataset.source
    with pytest.raises(UsageError, match="2 spaces"):  # the second run's is smaller
        dataset.codes(dataset.frame())
    for key, source in dataset.sources.items():
        some = dataset.where(source=key)
        assert some.source is source
        frame = some.frame()
        scale = source.problem.sim.get("scale", 1.0)
        found = Problem(source.problem).evaluate(some.codes(frame)).metrics["energy"]
        np.testing.assert_array_equal(frame["metric.energy"], found)
        valid = frame[frame["valid"]]
        assert (
            valid["metric.energy"]
            == scale * 16 * valid["param.a"] * (1 + valid["param.mode"].astype(str).map("xyz".index))
        ).all()


def test_in_a_space_beyond_int64_designs_are_text(tmp_path):
    problem = Problem(parse_problem("codesign-mobilenet_v2-fc-edp"))
    assert problem.space.size > 2**63
    dataset = collect(problem, tmp_path / "set", n=30, mix="random", batch=10)
    frame = dataset.frame()
    codes = dataset.codes(frame)
    assert frame["design"].tolist() == [str(rank) for rank in problem.space.rank(problem.space.canonical(codes))]
