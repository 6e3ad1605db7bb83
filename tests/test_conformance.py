"""Contract tests over everything that is registered, through the checks that ship with the package."""

import numpy as np
import pytest
import small_models

from archgym.envs.registration import IDS
from archgym.registry import AGENTS, SIMULATORS
from archgym.suite.tabulate import build_table
from archgym.table_file import write_table
from archgym.testing import check_agent, check_env, check_parallel_env, check_simulator
from archgym.workload import load_workload, workload_names

MODELS = [name for name in SIMULATORS.names() if name not in ("tabular", "proxy")]  # which are nothing without a file
SMALL = small_models.MODELS | small_models.POLICIES
SMALL_SPACE = {"dram": {"space": "archgym-rl"}}
ENVIRONMENT_WORKLOADS = {"archgym/DRAM-v0": "chstone-mips"}


def short(name):
    """A workload, of a trace its first requests: time goes with their number, the contract does not."""
    workload = load_workload(name)
    return workload.where(np.arange(min(300, len(workload)))) if workload.kind == "trace" else workload


def pairs():
    """Every simulator with every workload; where a design takes long, all but the first are slow tests."""
    for simulator in MODELS:
        long = SIMULATORS.load(simulator).cost_seconds > 1e-2
        for workload in workload_names():
            marks = [pytest.mark.slow] if long and workload != "alexnet" else []
            yield pytest.param(simulator, workload, marks=marks)


@pytest.mark.parametrize(("simulator", "workload"), list(pairs()))
def test_simulators_on_every_workload_they_accept(simulator, workload):
    instance, ready = SIMULATORS.load(simulator)(), short(workload)
    if ready.kind in instance.accepts:
        cost = instance.cost_seconds
        check_simulator(instance, ready, n=100 if cost < 1e-3 else 25 if cost < 1e-2 else 5)


@pytest.mark.parametrize("simulator", MODELS)
def test_tabular_on_a_small_table_of_every_simulator(simulator, tmp_path):
    cls, config = SIMULATORS.load(simulator), SMALL_SPACE.get(simulator, {})
    instance = cls(cls.Config(**config))
    workload = next(w for w in map(short, workload_names()) if w.kind in instance.accepts)
    space, baseline = instance.design_space(workload), instance.baseline(workload)
    # Each parameter at the baseline's level and at its first, which dead parameters have; at most 2**7 designs.
    kept = {p.name: tuple(dict.fromkeys((p.levels[0], baseline[p.name]))) for p in space.parameters}
    for name in list(kept)[:-7] if instance.cost_seconds > 1e-3 or len(kept) > 20 else ():
        kept[name] = (baseline[name],)
    write_table(build_table(simulator, [workload.to_dict()], config=config, space=kept), tmp_path / "small.table")
    cls = SIMULATORS.load("tabular")
    check_simulator(cls(cls.Config(str(tmp_path / "small.table"))), workload, n=100)


@pytest.mark.parametrize(
    "options", [{"bits": 16, "batch": 4}, {"keep_on_chip": True}, {"fold_overlap": False}, {"node": 32}]
)
def test_systolic_with_other_options(options):
    cls = SIMULATORS.load("systolic")
    check_simulator(cls(cls.Config(**options)), load_workload("mobilenet_v2"), n=100)


@pytest.mark.slow
def test_systolic_in_compat_mode():
    cls = SIMULATORS.load("systolic")
    check_simulator(cls(cls.Config(compat="scalesim-3.0.0")), load_workload("alexnet"), n=20)


@pytest.mark.parametrize("agent", [name for name in AGENTS.names() if name not in SMALL])
def test_agents(agent):
    check_agent(agent)


@pytest.mark.slow
@pytest.mark.parametrize("agent", SMALL)
def test_agents_that_fit_models(agent):
    config = SMALL[agent]
    # Of 65 samples the models of libraries choose the last 20; test_library_adapters has them choose from the ninth on.
    check_agent(agent, **config | ({"founders": 45, "history": 45} if "founders" in config else {}))


FORMS = [{}, {"episode": "refine", "horizon": 3}, {"episode": "assign"}, {"track": "scalar"}]


@pytest.mark.parametrize("options", FORMS, ids=["one_step", "refine", "assign", "scalar"])
@pytest.mark.parametrize("env_id", IDS)
def test_environments(env_id, options):
    check_env(env_id, workload=ENVIRONMENT_WORKLOADS.get(env_id, "alexnet"), **options)


@pytest.mark.parametrize("options", [{}, {"groups": "declared"}, {"episode": "refine", "horizon": 3}])
@pytest.mark.parametrize("env_id", IDS)
def test_environments_of_teams(env_id, options):
    check_parallel_env(env_id, workload=ENVIRONMENT_WORKLOADS.get(env_id, "alexnet"), **options)
