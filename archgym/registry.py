"""Names of components, mapped to ``"module:Class"`` strings so that listing imports nothing.

Other distributions add theirs through the entry-point groups ``archgym.simulators``, ``archgym.agents``
and ``archgym.wrappers``. Wherever a name is accepted, an importable ``"module:Class"`` is too, and wherever
an agent is, ``"wrapper(agent)"``: ``"dedup(penalty(mymodule:MyAgent))"``.
"""

from __future__ import annotations

import importlib
from importlib.metadata import entry_points
from typing import Any

from archgym.errors import UnknownNameError, UsageError


def import_target(target: str) -> Any:
    """The object that ``"module:attribute"`` names.

    Raises:
        UsageError: the module or the attribute does not exist.
    """
    module, _, attribute = target.partition(":")
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not module.startswith(error.name):
            raise  # the module exists, one of its own imports is missing
        raise UsageError(f"'{target}': there is no module '{module}'") from None
    if not hasattr(found, attribute):
        raise UsageError(f"'{target}': module '{module}' has no '{attribute}'")
    return getattr(found, attribute)


class Registry:
    """A table of named components of one kind.

    Args:
        kind: what the table holds, for messages ("simulator").
        group: the entry-point group through which other distributions add to it.
        builtin: name -> ``"module:Class"``.
        wrappers: of `archgym.wrapper.Wrapper` classes, which may stand around a name.
    """

    def __init__(self, kind: str, group: str, builtin: dict[str, str], wrappers: Registry | None = None) -> None:
        self.kind = kind
        self.group = group
        self.wrappers = wrappers
        self.added: dict[str, str] = {}  # by register(), as "module:Class"
        self._targets = dict(builtin)
        self._loaded: dict[str, Any] = {}
        self._scanned = False

    def _table(self) -> dict[str, str]:
        if not self._scanned:
            self._scanned = True
            for entry in entry_points(group=self.group):
                self._targets.setdefault(entry.name, entry.value)
        return self._targets

    def register(self, name: str, target: str | type) -> None:
        """Add a component under ``name``: a ``"module:Class"`` string, or the class itself.

        A class defined in ``__main__`` (a notebook) works with the serial and threaded executors only.

        Raises:
            UsageError: the name is taken by another component.
        """
        if bad := [sign for sign in ":/()," if sign in name]:
            raise UsageError(f"a {self.kind} name may not contain '{bad[0]}': '{name}'")
        text = target if isinstance(target, str) else f"{target.__module__}:{target.__qualname__}"
        if self._table().get(name, text) != text:
            raise UsageError(f"{self.kind} '{name}' is already registered as {self._targets[name]}")
        self._targets[name] = self.added[name] = text
        if not isinstance(target, str):
            self._loaded[name] = target

    def names(self) -> tuple[str, ...]:
        """All registered names, sorted; imports no component."""
        return tuple(sorted(self._table()))

    def targets(self, name: str) -> tuple[str, ...]:
        """Where the component called ``name`` is defined, as ``"module:Class"``, its wrappers first; imports nothing.

        Raises:
            UnknownNameError: no such name; the message suggests the nearest.
            UsageError: a wrapper's parentheses are wrong.
        """
        if self.wrappers is not None:
            if "(" in name:
                wrapper, inner = self._parts(name)
                return (*self.wrappers.targets(wrapper), *self.targets(inner))
            if name in self.wrappers.names():
                raise UsageError(f"'{name}' is no {self.kind} but wraps one; expected {name}({self.kind.upper()})")
        if ":" in name:
            return (name,)
        table = self._table()
        if name not in table:
            raise UnknownNameError(self.kind, name, table)
        return (table[name],)

    def load(self, name: str) -> Any:
        """The component called ``name`` (or ``"module:Class"``, or ``"wrapper(name)"``), imported now.

        Raises:
            UnknownNameError: no such name; the message suggests the nearest.
            UsageError: a wrapper's parentheses are wrong, or it does not go around this.
        """
        if name in self._loaded:
            return self._loaded[name]
        targets = self.targets(name)
        if self.wrappers is not None and "(" in name:
            wrapper, inner = self._parts(name)
            around = getattr(self.wrappers.load(wrapper), "around", None)
            if around is None:
                raise UsageError(f"'{wrapper}' is not a Wrapper class")
            return around(self.load(inner))
        found = import_target(targets[0])
        return found if ":" in name else self._loaded.setdefault(name, found)

    def _parts(self, name: str) -> tuple[str, str]:
        """``"dedup(random)"`` as ``("dedup", "random")``."""
        wrapper, _, rest = name.partition("(")
        if not wrapper or len(rest) < 2 or not rest.endswith(")"):
            kind = self.kind.upper()
            raise UsageError(f"{self.kind} '{name}': expected NAME or WRAPPER({kind}) with its closing parenthesis")
        return wrapper, rest[:-1]


SIMULATORS = Registry(
    "simulator",
    "archgym.simulators",
    {
        "accelerator": "archgym.simulators.accelerator.simulator:Accelerator",
        "mapping": "archgym.simulators.accelerator.mapping_simulator:MappingSearch",
        "codesign": "archgym.simulators.accelerator.codesign:CoDesign",
        "roofline": "archgym.simulators.accelerator.roofline:Roofline",
        "systolic": "archgym.simulators.systolic.simulator:Systolic",
        "dram": "archgym.simulators.dram.simulator:Dram",
        "proxy": "archgym.simulators.proxy:Proxy",
        "tabular": "archgym.simulators.tabular:Tabular",
        "synthetic": "archgym.simulators.synthetic:Synthetic",
    },
)
WRAPPERS = Registry(
    "wrapper",
    "archgym.wrappers",
    {
        "dedup": "archgym.agents.dedup_wrapper:DedupWrapper",
        "penalty": "archgym.agents.penalty_wrapper:PenaltyWrapper",
        "surrogate": "archgym.agents.surrogate_wrapper:SurrogateWrapper",
    },
)
AGENTS = Registry(
    "agent",
    "archgym.agents",
    {
        "annealing": "archgym.agents.annealing:Annealing",
        "ant-colony": "archgym.agents.ant_colony:AntColony",
        "auto": "archgym.agents.portfolio:Auto",
        "bayesian": "archgym.agents.bayesian:Bayesian",
        "botorch": "archgym.agents.botorch_composite:Botorch",
        "botorch-turbo": "archgym.agents.botorch_composite:BotorchTurbo",
        "cmaes": "archgym.agents.cma:Cmaes",
        "exhaustive": "archgym.agents.exhaustive:Exhaustive",
        "genetic": "archgym.agents.genetic:Genetic",
        "grid": "archgym.agents.grid:Grid",
        "ippo": "archgym.agents.marl.agents:Ippo",
        "joint-ppo": "archgym.agents.marl.agents:JointPpo",
        "llm": "archgym.agents.llm:LanguageModel",
        "local-search": "archgym.agents.local_search:LocalSearch",
        "mappo": "archgym.agents.marl.agents:Mappo",
        "maskable-ppo": "archgym.agents.rl.maskable_ppo:MaskablePpo",
        "nsga2": "archgym.agents.nsga2:Nsga2",
        "optuna-gp": "archgym.agents.optuna_gp:OptunaGp",
        "optuna-tpe": "archgym.agents.optuna_tpe:OptunaTpe",
        "ppo": "archgym.agents.rl.ppo:Ppo",
        "pymoo-nsga2": "archgym.agents.pymoo_nsga2:PymooNsga2",
        "random": "archgym.agents.random_search:RandomSearch",
        "random-walk": "archgym.agents.random_walk:RandomWalk",
        "reinforce": "archgym.agents.reinforce:Reinforce",
        "sac": "archgym.agents.rl.sac:Sac",
        "skopt-et": "archgym.agents.skopt_optimizer:SkoptEt",
        "skopt-gp": "archgym.agents.skopt_optimizer:SkoptGp",
        "sobol": "archgym.agents.sobol:Sobol",
    },
    WRAPPERS,
)
