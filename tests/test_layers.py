"""The import layers of the design page, held by reading the sources, and what ``import archgym`` loads."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = {"archgym": "archgym", "simulators": "archgym.simulators", "agents": "archgym.agents",
           "experiments": "archgym.experiments"}  # fmt: skip

# A module may import from its own layer and from those before it. A new kernel module has to be placed here.
LAYERS = (
    {"errors", "rng", "registry", "config", "kernel", "borrow", "column_names"},
    {"parameter", "completions", "space", "restriction", "grouping"},
    {"network", "topology", "landscape", "trace", "trace_files", "trace_json", "workload", "workloads"}
    | {"metrics", "objective", "evaluation", "pareto", "technology", "table", "table_file", "reference_rows"},
    {"simulator", "agent", "wrapper", "proxies"},
    {"problem", "variant", "proxied"},
    {"processes"},
    {"spec", "log", "logged_study", "runs", "executor", "evaluator", "influence"},
    {"envs"},
    {"study", "prior", "suite", "validation", "testing", "dataset", "verification"},
)
LAYER = {part: i for i, layer in enumerate(LAYERS) for part in layer}
BELOW_SIMULATOR = {part for part, i in LAYER.items() if i < LAYER["simulator"]}
MAPPED = tuple(FOLDERS.values())[1:]  # top-level folders: archgym.agents.x is not where the file agents/x.py stands
HEAVY = ("torch", "ray", "optuna", "cmaes", "pymoo", "botorch", "sklearn", "skopt", "matplotlib")


def sources():
    """Module name -> path, for every source file of the four folders."""
    out = {}
    for folder, package in FOLDERS.items():
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT / folder).with_suffix("").parts
            parts = parts[:-1] if parts[-1] == "__init__" else parts
            out[".".join([package, *parts])] = path
    return out


SOURCES = sources()


def is_package(module):
    return SOURCES[module].name == "__init__.py" if module in SOURCES else False


def imports(module, text):
    """(what is imported, level of a relative import) for every import statement, also inside functions."""
    package = module if is_package(module) else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, 0
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, base] if base else above)
            for alias in node.names:
                deeper = f"{base}.{alias.name}"
                yield (deeper if deeper in SOURCES else base), node.level


def folder_of(module):
    """The folder that relative imports may not leave: archgym/envs, simulators/systolic, agents, agents/rl, ..."""
    parts = (module if is_package(module) else module.rpartition(".")[0]).split(".")
    if parts[:2] == ["archgym", "simulators"]:
        return ".".join(parts[:3])
    if parts[:2] in (["archgym", "agents"], ["archgym", "experiments"]):
        return ".".join(parts[:2])
    return ".".join(parts[:2])


def inside(name, package):
    return name == package or name.startswith(f"{package}.")


def may_import(module, name):
    """Whether the layers let ``module`` import ``name``, something inside archgym."""
    part = name.split(".")[1] if "." in name else ""
    own = module.split(".")[1] if "." in module else ""
    if module == "archgym":  # the public face gathers everything that is public
        return part in LAYER
    if own == "experiments":
        return part in LAYER or part == "experiments"
    if inside(name, folder_of(module)) and own not in LAYER:
        return True
    if own == "simulators":
        proxy = module == "archgym.simulators.proxy" and part == "proxies"
        return part in BELOW_SIMULATOR or part == "simulator" or proxy
    if own == "agents":
        return part in BELOW_SIMULATOR or part in ("agent", "wrapper", "proxies")
    return part in LAYER and LAYER[part] <= LAYER[own]


def violations(module, text):
    """What a module's imports break, in words."""
    out = []
    for name, level in imports(module, text):
        if level and not inside(name, folder_of(module)):
            out.append(f"{module}: a relative import of {name} leaves {folder_of(module)}")
        elif inside(name, "archgym") and not may_import(module, name):
            out.append(f"{module} may not import {name}")
        elif not level and name in SOURCES and folder_of(module).startswith(MAPPED) and inside(name, folder_of(module)):
            out.append(f"{module}: inside a folder imports are relative, not {name}")
        elif name.partition(".")[0] in ("simulators", "agents", "experiments"):
            out.append(f"{module}: {name} is no package; it is archgym.{name}")
    return out


def test_every_kernel_module_has_a_layer():
    # A module that is placed nowhere would escape the check below.
    parts = {module.split(".")[1] for module in SOURCES if "." in module}
    assert parts - {"simulators", "agents", "experiments"} <= set(LAYER)


@pytest.mark.parametrize("module", SOURCES)
def test_imports_keep_the_layers(module):
    assert violations(module, SOURCES[module].read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("module", "text", "broken"),
    [
        ("archgym.space", "from archgym.errors import UsageError", False),
        ("archgym.space", "from archgym.problem import Problem", True),
        ("archgym.space", "def f():\n    from archgym.log import StudyLog", True),  # hidden in a function
        ("archgym.rng", "from archgym import space", True),
        ("archgym.evaluator", "from archgym import rng", False),
        ("archgym.agent", "import archgym.simulator", False),  # one layer
        ("archgym.evaluator", "import archgym.envs.episodes", True),
        ("archgym.problem", "import archgym", True),
        ("archgym.study", "from archgym.agents.grid import Grid", True),  # the kernel knows names only
        ("archgym.study", "from archgym.experiments import cli", True),
        ("archgym.envs.entry", "from .episodes import Episodes", False),
        ("archgym.envs.entry", "from ..space import DesignSpace", True),
        ("archgym.agents.grid", "from archgym.simulator import Simulator", True),
        ("archgym.agents.grid", "from archgym.simulators.systolic import array", True),
        ("archgym.agents.grid", "from archgym.problem import Problem", True),
        ("archgym.agents.grid", "from .unseen import Unseen", False),
        ("archgym.agents.grid", "from archgym.agents.unseen import Unseen", True),
        ("archgym.agents.grid", "from simulators import systolic", True),
        ("archgym.agents.rl.ppo", "from archgym.envs.entry import make_env", True),
        ("archgym.agents.grid", "from archgym.envs.entry import make_env", True),
        ("archgym.simulators.systolic.simulator", "from . import array", False),
        ("archgym.simulators.systolic.simulator", "from ..dram import timing", True),
        ("archgym.simulators.systolic.simulator", "from archgym.simulators.dram import timing", True),
        ("archgym.simulators.systolic.simulator", "from archgym.agent import Agent", True),
        ("archgym.simulators.systolic.simulator", "from archgym.evaluator import Evaluator", True),
        ("archgym.simulators.systolic.simulator", "from archgym.technology import dram", False),
        ("archgym.experiments.cli", "from archgym.study import run", False),
    ],
)
def test_the_check_itself(module, text, broken):
    # Each of these is right or wrong by a sentence of the design page; a check that finds nothing proves nothing.
    assert bool(violations(module, text)) == broken


def test_agents_never_see_a_simulator():
    # Also not through a kernel module: what an agent imports, directly or indirectly, holds no simulator.
    graph = {m: {n for n, _ in imports(m, p.read_text(encoding="utf-8"))} for m, p in SOURCES.items()}
    for agent in (m for m in SOURCES if inside(m, "archgym.agents")):
        seen, todo = set(), [agent]
        while todo:
            module = todo.pop()
            if module not in seen and module in graph and module != "archgym":
                seen.add(module)
                todo += graph[module]
        assert not [m for m in seen if inside(m, "archgym.simulators") or m == "archgym.simulator"], agent


def modules_after(code):
    """Names in sys.modules after running ``code`` in a fresh interpreter."""
    script = f"{code}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


LISTING = """
import archgym
from archgym.registry import AGENTS, SIMULATORS
from archgym.workload import workload_names
assert AGENTS.names() and SIMULATORS.names() and workload_names()
import gymnasium
assert "archgym/Systolic-v0" in gymnasium.registry
"""


@pytest.mark.parametrize("code", ["import archgym", LISTING], ids=["import", "listing names"])
def test_importing_archgym_loads_nothing_heavy(code):
    loaded = modules_after(code)
    assert not [name for name in HEAVY if name in loaded]
    assert not [name for name in loaded if name.startswith(("archgym.simulators.", "archgym.agents."))]


def test_the_command_line_starts_without_what_single_commands_need():
    loaded = modules_after("import archgym.experiments.cli")
    assert not [name for name in (*HEAVY, "pandas", "pyarrow") if name in loaded]


def test_searching_loads_nothing_that_it_does_not_use():
    # A search on the systolic simulator needs no learning library and draws no picture.
    loaded = modules_after("import archgym\narchgym.run('systolic/alexnet/edp', 'random', budget=2)")
    assert not [name for name in HEAVY if name in loaded]
