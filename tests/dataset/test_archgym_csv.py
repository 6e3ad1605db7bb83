"""The predecessor's samples: its times are repaired, and then they are those of the simulator."""

import csv
from pathlib import Path

import numpy as np
import pytest

from archgym.dataset.archgym_csv import import_archgym_csv, read_archgym_csv
from archgym.errors import UsageError
from archgym.problem import Problem, ProblemSpec

SAMPLES = Path(__file__).parents[1] / "data" / "dram" / "archgym_samples.csv"


def lines():
    return list(csv.DictReader(SAMPLES.read_text().splitlines()))


def test_repaired_times_are_those_of_the_simulator():
    # The trace is `stream`; our model of DRAMSys 4.0 has every digit that the file has (eight of energy, six of power).
    frame = read_archgym_csv(SAMPLES)
    spec = ProblemSpec("dram", ("stream",), "latency", sim={"space": "archgym-search", "compat": "dramsys-4.0"})
    problem = Problem(spec)
    codes = problem.space.encode({name: frame[f"param.{name}"].to_numpy() for name in problem.space.names})
    metrics = problem.evaluate(codes).metrics
    for name, digits in (("latency", 1e-7), ("energy", 1e-7), ("power", 1e-5)):
        np.testing.assert_allclose(metrics[name], frame[f"metric.{name}"], rtol=digits)
    logged = np.array([float(row["Latency"]) for row in lines()])
    np.testing.assert_allclose(logged / frame["latency_factor"], metrics["latency"], rtol=1e-7)
    # Picoseconds taken for nanoseconds: no DRAM needs 50 ms for 10,000 requests.
    assert set(frame["latency_factor"][logged > 1e-2]) == {1000.0}
    assert (frame["latency_factor"] == 1000.0).sum() == 9


def trajectory(rows):
    """The other form: what its agents write while they run."""
    text = "reward,action,observation\n"
    for row in rows:
        design = {key: row[key] for key in row if key not in ("Energy", "Power", "Latency", "Algorithm")}
        design = {key: int(value) if value.isdigit() else value for key, value in design.items()}
        text += f'1.25,"{design}",[[{row["Energy"]} {row["Power"]}  {row["Latency"]}]]\n'
    return text


def test_trajectories_hold_the_same_samples(tmp_path):
    path = tmp_path / "fitness.csv"
    path.write_text(trajectory(lines()))
    theirs, ours = read_archgym_csv(SAMPLES), read_archgym_csv(path)
    assert (ours["agent"] == "").all()
    assert (theirs["agent"] == "bo").all()
    assert ours.drop(columns="agent").equals(theirs.drop(columns="agent"))


def test_its_second_environment_logs_milliseconds(tmp_path):
    # Nanoseconds over 1e6: a thousand times the seconds, and a million times where they were picoseconds.
    path = tmp_path / "rl.csv"
    rows = [{**row, "Latency": repr(1000 * float(row["Latency"]))} for row in lines()]
    path.write_text(trajectory(rows))
    assert set(read_archgym_csv(path)["latency_factor"]) == {1e3, 1e6}
    np.testing.assert_allclose(
        read_archgym_csv(path)["metric.latency"], read_archgym_csv(SAMPLES)["metric.latency"], rtol=1e-12
    )


def test_as_a_data_set(tmp_path):
    dataset = import_archgym_csv(SAMPLES, tmp_path / "set", workload="stream")
    frame = dataset.frame()
    assert len(frame) == 20
    assert frame["agent"].unique().tolist() == ["bo"]
    assert frame["workload"].unique().tolist() == ["stream"]
    assert (frame["metric.latency"] < 1e-3).all()
    assert dataset.units["metric.latency"] == "s"
    assert "repaired in 9 of 20 rows" in (tmp_path / "set" / "README.md").read_text()
    # two rows that are one design on paper only: 121 and 128 active transactions are two designs
    assert frame["design"].is_unique
    import_archgym_csv(SAMPLES, tmp_path / "set", workload="stream")  # again: the same
    with pytest.raises(UsageError, match="another data set"):
        import_archgym_csv(SAMPLES, tmp_path / "set", workload="random")


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"Latency": "0.9"}, r"line 2: expected a time of energy/power = 5\.03e-05 s"),
        ({"Latency": "nan"}, "line 2: expected a time"),
        ({"Power": "0"}, "line 2: expected a time"),
        ({"Power": "much"}, "line 2: .*much"),
        ({"PagePolicy": "Ajar"}, "line 2: .*no level 'Ajar'"),
        ({"Scheduler": None}, "line 2: .*Scheduler"),
    ],
    ids=["time", "nan", "power", "number", "level", "missing"],
)
def test_rows_that_cannot_be(tmp_path, change, text):
    rows = [{k: v for k, v in {**row, **change}.items() if v is not None} for row in lines()[:1]]
    path = tmp_path / "bad.csv"
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    with pytest.raises(UsageError, match=text):
        read_archgym_csv(path)


def test_files_that_are_none(tmp_path):
    with pytest.raises(UsageError, match="cannot read"):
        read_archgym_csv(tmp_path / "nowhere.csv")
    for text in ("", "a,b\n1,2\n", "reward only\n"):
        (tmp_path / "other.csv").write_text(text)
        with pytest.raises(UsageError, match=r"other\.csv"):
            read_archgym_csv(tmp_path / "other.csv")
