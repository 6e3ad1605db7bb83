"""Tables: exactly what the simulator returns, in files that notice every change; and what enumeration tells."""

import json
import math
import zipfile

import numpy as np
import pytest
import toys

import archgym
from archgym import rng
from archgym.agents.random_search import RandomSearch
from archgym.errors import UnknownNameError, UsageError
from archgym.executor import Threads
from archgym.experiments.cli import main
from archgym.metrics import Constraint, Metric
from archgym.problem import Problem, ProblemSpec
from archgym.simulator import Simulator
from archgym.simulators.tabular import Tabular, TabularConfig
from archgym.space import DesignSpace, Parameter
from archgym.spec import StudySpec
from archgym.suite import tabulate
from archgym.suite.difficulty import difficulty, random_search_gaps
from archgym.suite.tabulate import build_table
from archgym.table_file import load_table, parse_table, read_table, write_table
from archgym.testing import check_simulator
from archgym.workload import load_workload

W16, W32 = toys.network(16), toys.network(32)
BOTH = [W16.to_dict(), W32.to_dict()]
# 4 * 4 * 3 * 2 * 2 * 2 * 2 = 768 designs, possible and impossible ones; the baseline is among them.
SYSTOLIC = {
    "rows": (8, 32, 128, 512),
    "cols": (8, 32, 128, 512),
    "ifmap_sram": (2, 256),
    "filter_sram": (2, 256),
    "ofmap_sram": (2, 128),
    "memory": ("DDR4-2400 x64", "HBM2 1 stack"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """toy.table (both workloads) and systolic.table (AlexNet)."""
    path = tmp_path_factory.mktemp("tables")
    write_table(build_table("toys:Toy", BOTH), path / "toy.table")
    write_table(build_table("systolic", ["alexnet"], space=SYSTOLIC), path / "systolic.table")
    return path


def tabular(path):
    return Tabular(TabularConfig(str(path)))


def all_designs(space):
    return space.unrank(range(space.size))


def assert_same_bits(a, b):
    assert list(a) == list(b)
    for name in a:
        assert (a[name].dtype, a[name].tobytes()) == (b[name].dtype, b[name].tobytes()), name


# ---- a table is the simulator ----------------------------------------------------------------


def test_a_table_equals_its_simulator_on_every_design(folder):
    # Every raw design: forbidden ones and those with dead parameters too.
    codes, table, toy = all_designs(toys.SPACE), tabular(folder / "toy.table"), toys.Toy()
    for workload in (W16, W32):
        assert_same_bits(table.simulate(codes, workload), toy.simulate(codes, workload))
        assert table.baseline(workload) == toy.baseline(workload)
        assert table.design_space(workload).fingerprint == toys.SPACE.fingerprint
    assert (table.metrics, table.constraints, table.reasons) == (toys.METRICS, toy.constraints, toy.reasons)
    assert table.accepts == ("network",)


def test_a_table_of_systolic_equals_it_on_random_designs(folder):
    table = Problem(ProblemSpec("tabular", ("alexnet",), sim={"table": str(folder / "systolic.table")}))
    real = Problem(ProblemSpec("systolic", ("alexnet",), space=SYSTOLIC))
    codes = real.space.sample(1000, rng.generator(0, "test"))
    expected = real.simulate(codes)
    assert_same_bits(table.simulate(codes), expected)
    assert np.isnan(expected["latency"]).any()  # impossible designs are among them
    assert len(np.unique(expected["latency"])) > 100


@pytest.mark.parametrize("agent", ["random", "genetic"])
def test_a_search_on_a_table_writes_the_log_of_a_search_on_the_simulator(folder, tmp_path, agent):
    # Space, canonical designs, reference of the reward, slacks and reasons: if any differed, so would the log.
    real = ProblemSpec("systolic", ("alexnet",), "edp", space=SYSTOLIC, limits=("area<=20",))
    table = ProblemSpec(
        "tabular", ("alexnet",), "edp", sim={"table": str(folder / "systolic.table")}, limits=("area<=20",)
    )
    for name, problem in (("real", real), ("table", table)):
        archgym.run(problem, agent, budget=300, seed=1, out=tmp_path / name)
    assert (tmp_path / "table" / "trials.jsonl").read_bytes() == (tmp_path / "real" / "trials.jsonl").read_bytes()
    assert archgym.replay(tmp_path / "table", agent=True) == 300


def test_a_problem_of_several_workloads_on_a_table(folder):
    options = {"macs": (16, 32), "aggregate": "sum"}
    table = toys.problem("tabular", sim={"table": str(folder / "toy.table")}, **options)
    a, b = (p.evaluate(all_designs(toys.SPACE)) for p in (table, toys.problem(**options)))
    for name in ("metric_values", "reward", "values", "violations", "feasible", "reason"):
        assert getattr(a, name).tobytes() == getattr(b, name).tobytes(), name


def test_a_table_can_be_restricted_further(folder):
    wanted = {"mode": ("y",), "c": (0, 2)}
    table = toys.problem("tabular", sim={"table": str(folder / "toy.table")}, space=wanted)
    real = toys.problem(space=wanted)
    assert table.space.size == 4 * 5 * 1 * 2
    assert_same_bits(table.simulate(all_designs(table.space)), real.simulate(all_designs(real.space)))


def test_what_the_simulator_merges_stays_merged(tmp_path):
    write_table(build_table("toys:ToyMerge", [W16.to_dict()]), tmp_path / "m.table")
    table, real = tabular(tmp_path / "m.table"), toys.ToyMerge()
    codes = toys.FREE.canonical(all_designs(toys.FREE))
    assert table.canonical(codes, W16).tolist() == real.canonical(codes, W16).tolist()
    # 14 different products a * b; each in mode x, in y with three c, and in z
    products = {a * b for a in (1, 2, 4, 8) for b in range(1, 6)}
    (results,) = table.table.workloads
    assert len(results.representatives) == len(products) * 5 == 70
    assert results.classes.dtype == np.uint8


def test_conformance(folder):
    check_simulator(tabular(folder / "toy.table"), W32)
    check_simulator(tabular(folder / "systolic.table"), load_workload("alexnet"))


class Odd(Simulator):
    """Levels in no order and of every type; numbers whose bits a careless file would lose."""

    metrics = (Metric("cost"), Metric("count"), Metric("odd", positive=False))
    constraints = (Constraint("slack", limit=None),)
    objectives = {"money": "cost"}  # noqa: RUF012
    absent = {"energy": "nobody measured it"}  # noqa: RUF012
    accepts = ("network",)
    space = DesignSpace(
        [
            Parameter("size", (4, 1, 2)),
            Parameter("rate", (0.3, 0.1, 1 / 3)),
            Parameter.categorical("kind", ("q", "p")),
            Parameter.boolean("flag"),
        ]
    )
    bits = np.array([0x8000000000000000, 0x7FF8000000000001, 0xFFF8000000000002, 0x7FF0000000000000, 1], np.uint64)

    def design_space(self, workload):
        return self.space

    def baseline(self, workload):
        return {"size": 1, "rate": 1 / 3, "kind": "p", "flag": True}

    def _simulate(self, designs, workload, seeds):
        n = designs["size"]
        cost = n * designs["rate"] + designs["kind"] * 0.1 + designs["flag"] * 100
        odd = np.where(designs["flag"], 1.0, self.bits.view(np.float64)[(n + designs["kind"]) % 5])
        return {"cost": cost, "count": n + (1 << 60), "odd": odd, "slack": -cost, "slack.limit": cost}


def test_floats_and_integers_survive_bit_for_bit(tmp_path):
    # -0.0, two NaN with payloads, infinity, the smallest denormal, integers beyond 2 ** 53.
    write_table(build_table(f"{__name__}:Odd", [W16.to_dict()]), tmp_path / "odd.table")
    table, codes = tabular(tmp_path / "odd.table"), all_designs(Odd.space)
    columns = table.simulate(codes, W16)
    assert_same_bits(columns, Odd().simulate(codes, W16))
    assert set(columns["odd"].view(np.uint64).tolist()) > set(Odd.bits.tolist())
    assert columns["count"].max() == 2**60 + 4
    assert table.baseline(W16) == Odd().baseline(W16)
    options = {"sim": {"table": str(tmp_path / "odd.table")}}
    assert toys.problem("tabular", objective="money", **options).objective.terms[0].metric == "cost"
    with pytest.raises(UsageError, match="nobody measured it"):
        toys.problem("tabular", objective="energy", **options)


# ---- files -----------------------------------------------------------------------------------


def test_files_do_not_depend_on_the_executor_or_on_when_they_are_written(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(tabulate, "SIMULATED", 40)  # several chunks, each in two threads
    workers, steps = Threads(2), []
    table = build_table("toys:Toy", BOTH, executor=workers, on_chunk=lambda done, total: steps.append((done, total)))
    workers.close()
    write_table(table, tmp_path / "again.table")
    assert (tmp_path / "again.table").read_bytes() == (folder / "toy.table").read_bytes()
    # 100 classes a workload: 95 allowed designs, and a = 8 with z, which the rule forbids but a search may ask for
    assert steps == [(40, 200), (80, 200), (100, 200), (140, 200), (180, 200), (200, 200)]
    assert [p.name for p in tmp_path.iterdir()] == ["again.table"]


def test_equal_outcomes_are_stored_once(tmp_path):
    # In mode x and z nothing depends on c: 180 raw designs, 100 classes. Modes x, y, z differ in energy.
    table = build_table("toys:ToyInfinite", [W16.to_dict()], space={"b": (2, 5)})
    (results,) = table.workloads
    assert (table.space.size, len(results.representatives)) == (4 * 2 * 3 * 3, 4 * 2 * 5)
    # At b = 5 latency is infinite whatever c is, so that the three designs of mode y have one outcome: 4 * 2 less.
    assert len(results.columns["latency"]) == 40 - 4 * 2


def rewritten(source, target, **members):
    """A copy of a table file with some members replaced (None: left out); the archive itself is sound."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            content = members.get(name.partition(".")[0], old.read(name))
            if content is not None:
                new.writestr(name, content)
    return target


def changed_header(path, change):
    with zipfile.ZipFile(path) as archive:
        header = json.loads(archive.read("table.json"))
    change(header)
    return json.dumps(header)


HEADER_CHANGES = {
    "unit": (lambda h: h["metrics"][0].update(unit="ms"), "fingerprint"),
    "version": (lambda h: h.update(version="2"), "fingerprint"),
    "level": (lambda h: h["space"]["parameters"][0].update(levels=[1, 2, 4, 16]), "fingerprint"),
    "workload": (lambda h: h["workloads"][0].update(fingerprint="0" * 64), "fingerprint"),
    "rows": (lambda h: h["workloads"][0].update(classes=99), "fingerprint"),
    "recorded": (lambda h: h.update(fingerprint="0" * 64), "fingerprint"),
    "format": (lambda h: h.update(format=2), "expected format 1, got 2"),
    "missing": (lambda h: h.pop("space"), "damaged"),
    "nonsense": (lambda h: h.update(metrics=5), "damaged"),
}


@pytest.mark.parametrize("name", HEADER_CHANGES)
def test_an_altered_header_is_noticed(folder, tmp_path, name):
    change, message = HEADER_CHANGES[name]
    header = changed_header(folder / "toy.table", change)
    altered = rewritten(folder / "toy.table", tmp_path / "t.table", table=header)
    with pytest.raises(UsageError, match=message) as error:
        read_table(altered)
    assert str(altered) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("member", ["designs", "classes", "outcomes"])
def test_altered_numbers_are_noticed(folder, tmp_path, member):
    # The members of a table of another version of the model: sound Parquet, same shape, other numbers.
    write_table(build_table("toys:ToyMerge", BOTH), tmp_path / "other.table")
    with zipfile.ZipFile(tmp_path / "other.table") as archive:
        other = archive.read(f"{member}.parquet")
    for content in (other, b"no parquet", None):
        altered = rewritten(folder / "toy.table", tmp_path / "t.table", **{member: content})
        with pytest.raises(UsageError, match=r"t\.table"):
            read_table(altered)


def test_no_flipped_bit_goes_unnoticed(folder):
    # Flips in what an archive carries besides content (dates, say) change nothing; all others are errors.
    content = (folder / "toy.table").read_bytes()
    fingerprint, noticed = parse_table(content, "t").fingerprint, 0
    for position in range(0, len(content), len(content) // 150):
        damaged = bytearray(content)
        damaged[position] ^= 1 << position % 8
        try:
            assert parse_table(bytes(damaged), "t").fingerprint == fingerprint
        except UsageError:
            noticed += 1
    assert noticed > 100
    for end in (0, 10, len(content) // 2, len(content) - 1):
        with pytest.raises(UsageError, match="table 't'"):
            parse_table(content[:end], "t")


def test_the_version_is_the_content_s_so_that_a_study_belongs_to_one_table(folder, tmp_path):
    def study_hash():
        problem = toys.problem("tabular", sim={"table": str(tmp_path / "t.table")})
        return problem.simulator.version, StudySpec(problem.spec).hash(problem)

    seen = set()
    for scale in (1.0, 2.0, 1.0):
        write_table(build_table("toys:Toy", BOTH, config={"scale": scale}), tmp_path / "t.table")
        seen.add(study_hash())
    assert len(seen) == 2
    assert all(version.startswith("toys:Toy 1 table ") for version, _ in seen)


# ---- what is refused -------------------------------------------------------------------------


def test_a_workload_that_is_not_in_the_table_is_named_with_those_that_are(folder):
    table, codes = tabular(folder / "toy.table"), np.zeros((1, 4), np.int64)
    for call in (lambda w: table.simulate(codes, w), lambda w: table.canonical(codes, w), table.baseline):
        with pytest.raises(UsageError, match=r"no results for workload 'w64'; it holds w16, w32"):
            call(toys.network(64))
    with pytest.raises(UsageError, match=r"'w16' \(of other content\); it holds w16, w32"):
        table.simulate(codes, toys.network(17, "w16"))
    assert len(table.simulate(codes, toys.network(16, "renamed"))["latency"]) == 1  # content counts, not the name
    with pytest.raises(UsageError, match="w64"):
        toys.problem("tabular", macs=(64,), sim={"table": str(folder / "toy.table")})


def test_the_table_is_a_required_option(tmp_path):
    with pytest.raises(UsageError, match=r"simulator tabular needs sim\.table=NAME.*sim\.table=FILE\.table"):
        Tabular()
    with pytest.raises(UsageError, match=r"needs sim\.table"):
        Problem("tabular/alexnet/edp")
    with pytest.raises(UnknownNameError, match=r"unknown table .*a path that ends in \.table.* 'nothing'"):
        load_table("nothing")
    with pytest.raises(UsageError, match=r"missing\.table.*readable file"):
        load_table(str(tmp_path / "missing.table"))
    for path in (tmp_path / "x.csv", tmp_path / "nowhere" / "x.table"):
        with pytest.raises(UsageError, match=r"ends in \.table"):
            write_table(build_table("toys:Toy", BOTH[:1], space={"a": "2", "mode": "x"}), path)


def test_tables_of_the_package_go_by_name(folder, tmp_path, monkeypatch):
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "toy-w16.table").write_bytes((folder / "toy.table").read_bytes())
    monkeypatch.setattr("archgym.table_file.PACKAGED", tmp_path / "tables")
    assert load_table("toy-w16").fingerprint == read_table(folder / "toy.table").fingerprint
    with pytest.raises(UnknownNameError, match="did you mean toy-w16"):
        load_table("toy-w17")
    with pytest.raises(UsageError, match=r"a table of the package \(toy-w16\)"):
        Tabular()


class Restless(toys.ToyFree):
    """Canonical in name only: every a becomes the next."""

    def canonical(self, codes, workload):
        out = codes.copy()
        out[:, 0] = np.minimum(codes[:, 0] + 1, 3)
        return out


REFUSED = [
    (("toys:ToyNoise", BOTH[:1]), {}, "not deterministic"),
    (("toys:Toy", []), {}, "at least one workload"),
    (("toys:Toy", [BOTH[0], BOTH[0]]), {}, "workloads repeat: w16, w16"),
    (("toys:Toy", [BOTH[0], toys.network(16, "same").to_dict()]), {}, "workloads repeat: w16, same"),
    (("toys:Toy", ["alexnte"]), {}, "did you mean alexnet"),
    (("toys:Toy", BOTH), {"config": {"scael": 1}}, "did you mean scale"),
    (("toys:Toy", BOTH), {"space": {"a": (3,)}}, "has no level 3"),
    (("toys:Toy", BOTH), {"space": {"a": (1, 4)}}, "outside the space, replace levels of it: .*'a' has no level 2"),
    (("toys:Toy", BOTH), {"baseline": {"aa": 1}}, "did you mean a"),
    (("toys:Toy", BOTH), {"baseline": {"a": 8, "b": 5}}, "infeasible"),
    ((f"{__name__}:Restless", BOTH[:1]), {}, "at .*'a': 2.* canonical is not idempotent"),
]


@pytest.mark.parametrize(("arguments", "options", "message"), REFUSED, ids=[m for _, _, m in REFUSED])
def test_what_no_table_can_hold_is_refused(arguments, options, message):
    with pytest.raises(UsageError, match=message):
        build_table(*arguments, **options)


def test_too_many_designs_are_refused_before_any_is_simulated(monkeypatch):
    monkeypatch.setattr(tabulate, "LARGEST", 179)
    with pytest.raises(UsageError, match="180 designs, expected at most 179; restrict"):
        build_table("toys:Toy", BOTH)


def test_another_baseline_shifts_rewards_by_a_constant(tmp_path):
    """Where the space lacks the simulator's baseline (a = 2), a table has one of its own."""
    wanted = {"a": (1, 4)}
    write_table(build_table("toys:Toy", BOTH, space=wanted, baseline={"a": "4"}), tmp_path / "t.table")
    table = toys.problem("tabular", objective="latency", sim={"table": str(tmp_path / "t.table")})
    real = toys.problem(objective="latency", space=wanted)
    assert table.baseline == {"a": 4, "b": 2, "mode": "x", "c": 0}
    a, b = (p.evaluate(all_designs(p.space)) for p in (table, real))
    # The reference is twice as fast as the simulator's, so that every design looks ln 2 worse.
    assert np.array_equal(a.values, b.values, equal_nan=True)
    assert a.reward[a.feasible] == pytest.approx(b.reward[b.feasible] - math.log(2), abs=1e-12)


# ---- difficulty ------------------------------------------------------------------------------


def test_difficulty_by_hand(folder):
    """EDP of the toy is 256 (1 + mode) (1 + c/4) / b, whatever a is."""
    found = difficulty(toys.problem("tabular", sim={"table": str(folder / "toy.table")}))
    assert (found.designs, found.distinct) == (180, toys.N_DISTINCT)
    # "too thin": a = 1, b = 5 in 1 + 3 + 1 ways; no room: a = 8, b = 5 in 1 + 3 ways
    assert found.feasible == 95 - 5 - 4
    assert found.feasible_share == 86 / 95
    # b = 5 in mode x, where a is neither 1 nor 8
    assert found.best_value == 256 / 5
    assert found.best == tuple({"a": a, "b": 5, "mode": "x", "c": 0} for a in (2, 4))
    assert found.within_1_percent == found.within_5_percent == 2 / 86  # the next, b = 4, is 25 % worse
    # energy 16 a, latency 16 / (a b): more a costs energy and saves time, as long as b = 5 (else 4) is possible
    expected = [((1, 4), 16.0, 4.0), ((2, 5), 32.0, 1.6), ((4, 5), 64.0, 0.8), ((8, 4), 128.0, 0.5)]
    assert [((d["a"], d["b"]), p["energy"], p["latency"]) for d, p in found.front] == expected
    assert all((d["mode"], d["c"]) == ("x", 0) for d, _ in found.front)
    assert found.ideal == {"energy": 16.0, "latency": 0.5}
    assert found.nadir == {"energy": 128.0, "latency": 4.0}
    assert found.random_gaps[1:] == ((200, 0.0), (1000, 0.0))  # more samples than designs
    assert json.loads(json.dumps(found.to_dict()))["feasible_share"] == 86 / 95


def test_difficulty_of_a_maximised_term():
    """Energy 16 a against speed a b: the same four designs, fastest last; as one number energy / speed = 16 / b."""
    found = difficulty(toys.problem(objective="pareto:energy,speed"))
    assert [tuple(p.values()) for _, p in found.front] == [(16.0, 4.0), (32.0, 10.0), (64.0, 20.0), (128.0, 32.0)]
    assert (found.ideal, found.nadir) == ({"energy": 16.0, "speed": 32.0}, {"energy": 128.0, "speed": 4.0})
    assert (found.best_value, len(found.best)) == (3.2, 2)


def test_difficulty_by_brute_force(folder):
    """The systolic table, design by design in plain Python."""
    problem = Problem(ProblemSpec("tabular", ("alexnet",), "edp", sim={"table": str(folder / "systolic.table")}))
    found = difficulty(problem, budgets=(10,), runs=11)
    e = problem.evaluate(all_designs(problem.space))  # systolic merges nothing
    values = [v for v, ok in zip(e.values[:, 0].tolist(), e.feasible.tolist(), strict=True) if ok]
    best = min(values)
    assert (found.distinct, found.feasible, found.best_value) == (768, len(values), best)
    assert found.within_5_percent == sum(v <= 1.05 * best for v in values) / len(values)
    points = {tuple(p) for p in zip(e.metrics["energy"].tolist(), e.metrics["latency"].tolist(), strict=True)}
    points = {p for p in points if not math.isnan(p[0])}
    kept = [p for p in points if not any(q[0] <= p[0] and q[1] <= p[1] and q != p for q in points)]
    assert [tuple(p.values()) for _, p in found.front] == sorted(kept)


def test_random_search_by_exact_probabilities():
    """Three designs with 3, 1 and 1 raw ones, the second is best."""
    gaps = random_search_gaps(np.array([1.0, 0.0, 0.5]), np.array([3, 1, 1]), (1, 2, 3, 9), runs=4001, seed=0)
    # First sample: 3/5, 1/5, 1/5. The best is not among the first two: 3/5 * 1/2 + 1/5 * 3/4 = 0.45.
    # Standard error of a share of 4001 runs: at most 0.008.
    assert abs((gaps[:, 0] == 0.0).mean() - 0.2) < 0.032
    assert abs((gaps[:, 0] == 1.0).mean() - 0.6) < 0.032
    assert abs((gaps[:, 1] == 0.0).mean() - 0.55) < 0.032
    assert abs((gaps[:, 1] == 0.5).mean() - 0.45) < 0.032  # never 1.0: the second sample is another design
    assert (gaps[:, 2:] == 0.0).all()  # everything has been seen


def test_random_search_without_merged_designs_is_hypergeometric():
    """60 designs, 6 good ones: 10 samples miss all with probability C(54, 10) / C(60, 10)."""
    gaps = np.where(np.arange(60) < 6, 0.0, 1.0)
    found = random_search_gaps(gaps, np.ones(60, np.int64), (10,), runs=4001, seed=1)
    assert abs((found == 1.0).mean() - math.comb(54, 10) / math.comb(60, 10)) < 0.032


def test_the_median_is_that_of_the_random_agent():
    problem = toys.problem()
    found = difficulty(problem, budgets=(3, 12))
    best = []
    for seed in range(201):
        e = problem.evaluate(RandomSearch(problem.space, seed=seed).ask(12))
        gaps = np.where(e.feasible, e.values[:, 0] / found.best_value - 1, np.inf)
        best.append((gaps[:3].min(), gaps.min()))
    assert np.median(best, axis=0).tolist() == pytest.approx([gap for _, gap in found.random_gaps])
    assert 0 < found.random_gaps[1][1] < found.random_gaps[0][1]


def test_difficulty_refuses_what_it_cannot_tell():
    with pytest.raises(UsageError, match="none of its 95 designs is feasible"):
        difficulty(toys.problem(limits=("area<=0.5",)))
    with pytest.raises(UsageError, match="not deterministic"):
        difficulty(toys.problem("toys:ToyNoise"))
    with pytest.raises(UsageError, match="odd number of runs"):
        difficulty(toys.problem(), runs=10)
    with pytest.raises(UsageError, match="expected at most 5,000,000"):
        difficulty(Problem("systolic/alexnet/edp"))


# ---- command line ----------------------------------------------------------------------------


def call(capsys, *arguments):
    with pytest.raises(SystemExit) as exit_info:
        main([str(a) for a in arguments])
    out, err = capsys.readouterr()
    return exit_info.value.code, out, err


def test_a_table_is_built_and_searched_from_the_command_line(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    levels = [f"--set=space.{name}={','.join(map(str, kept))}" for name, kept in SYSTOLIC.items()]
    build = ("suite", "table", "systolic", "--workload", "alexnet", *levels, "--out", "t.table")
    status, out, _ = call(capsys, *build)
    assert (status, "alexnet: 768 designs, 768 distinct" in out) == (0, True)
    assert read_table("t.table").fingerprint in out
    _, real, _ = call(capsys, "eval", "systolic/alexnet/edp", "rows=128", "--json")
    _, table, _ = call(capsys, "eval", "tabular/alexnet/edp", "rows=128", "--set", "sim.table=t.table", "--json")
    assert table == real


BAD = [
    (("show", "tabular"), "needs sim.table"),
    (("run", "tabular/alexnet/edp"), "needs sim.table"),
    (("run", "tabular/alexnet/edp", "--set", "sim.table=t.table"), "t.table"),
    (("suite", "table", "systolic", "--workload", "alexnet", "--out", "t.csv"), "ends in .table"),
    (("suite", "table", "systolic", "--workload", "alexnet", "--out", "t.table"), "restrict"),
    (("suite", "table", "systolic", "--workload", "alexnet", "--set", "agent.x=1", "--out", "t.table"), "no agent"),
    (("suite", "table", "systolic", "--workload", "alexnet", "--set", "space.rows=8", "--out", "t.table"), "baseline"),
    (("suite", "table", "systolic", "--workload", "alexnet", "--baseline", "rows", "--out", "t.table"), "PARAMETER="),
]


@pytest.mark.parametrize(("arguments", "hint"), BAD, ids=[" ".join(a) for a, _ in BAD])
def test_bad_input_is_one_line_with_a_hint(capsys, tmp_path, monkeypatch, arguments, hint):
    monkeypatch.chdir(tmp_path)
    status, out, err = call(capsys, *arguments)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert hint in err
    assert list(tmp_path.iterdir()) == []
