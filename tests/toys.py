"""Toy simulators small enough to check by hand, shared by the tests of the kernel.

Specs name them ``toys:Toy``: the registry takes any importable ``"module:Class"``. Nothing is
registered, so importing this module changes nothing for other tests.
"""

import json
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from archgym.metrics import Constraint, Metric
from archgym.objective import Objective
from archgym.problem import Problem, ProblemSpec
from archgym.simulator import Simulator
from archgym.space import DesignSpace, Parameter, Rule
from archgym.workload import Layer, Network

A = Parameter("a", (1, 2, 4, 8), unit="lanes", group="array")
B = Parameter.integers("b", 1, 5, group="array")
MODE = Parameter.categorical("mode", ("x", "y", "z"))
C = Parameter("c", (0, 1, 2), active_when={"mode": ("y",)})
# 4 * 5 * 3 * 3 = 180 raw designs. Canonical and allowed: a < 8 gives 3 * 5 * (x: 1 + y: 3 + z: 1) = 75,
# a = 8 may not go with z: 5 * (1 + 3) = 20; together 95.
SPACE = DesignSpace([A, B, MODE, C], [Rule.where([A, MODE], lambda a, mode: not (a == 8 and mode == "z"))])
N_DISTINCT = 95

METRICS = (
    Metric("latency", "s", additive=True),
    Metric("energy", "J", additive=True),
    Metric("area", "mm2"),
    Metric("speed", "1/s", maximise=True),
    Metric("spare", "lanes", positive=False),
)


def network(macs, name=""):
    """A workload of ``macs`` multiply-accumulates."""
    return Network(name or f"w{macs}", (Layer.gemm("only", M=1, N=1, K=macs),))


def spec(simulator="toys:Toy", macs=(16,), objective="edp", **options):
    """A ProblemSpec over toy workloads, given as content."""
    return ProblemSpec(simulator, tuple(network(m).to_dict() for m in macs), objective, **options)


def problem(simulator="toys:Toy", macs=(16,), objective="edp", **options):
    return Problem(spec(simulator, macs, objective, **options))


@dataclass(frozen=True)
class ToyConfig:
    """Options: ``scale`` multiplies the energy, ``gain`` and ``tag`` exist to be converted."""

    scale: float = 1.0
    gain: int = 1
    tag: str = "plain"


class _Common:
    """What all toys share, mixed into Simulator.

    The baseline (a=2, b=2, mode=x, c=0) has latency macs/4, energy 2 macs, area 4, speed 4, spare 28.
    """

    Config = ToyConfig
    metrics = METRICS
    constraints = (Constraint("room", "lanes", "lanes that exist", limit=32.0),)
    reasons = ("", "too thin")
    accepts = ("network",)
    version = "1"

    def design_space(self, workload):
        return SPACE

    def baseline(self, workload):
        return {"a": 2, "b": 2, "mode": "x", "c": 0}


def numbers(a, b, mode, c, macs, scale=1.0):
    """The model itself: plain arithmetic in dyadic fractions, so that hand-computed values are exact.

    ``mode`` is 0, 1, 2 for x, y, z. a * b > 32 does not fit (only 8 x 5); a = 1 with b = 5 is "too thin".
    """
    lanes = a * b
    return {
        "latency": macs * (1 + (mode == 1) * c / 4) / lanes,
        "energy": scale * macs * a * (1 + mode) / 1.0,
        "area": lanes + 2.0 * mode,
        "speed": lanes * 1.0,
        "spare": 32.0 - lanes,
        "room": lanes - 32.0,
        "reason": (a == 1) & (b == 5),
    }


class Toy(_Common, Simulator):
    """Vectorised."""

    def _simulate(self, designs, workload, seeds):
        out = numbers(
            designs["a"], designs["b"], designs["mode"], designs["c"], float(workload.macs), self.config.scale
        )
        return {**out, "reason": out["reason"].astype(np.int64)}


class ToyOne(_Common, Simulator):
    """The same model, one design at a time."""

    def _simulate_one(self, design, workload, seed):
        mode = "xyz".index(design["mode"])
        out = numbers(design["a"], design["b"], mode, design["c"], float(workload.macs), self.config.scale)
        return {**out, "reason": int(out["reason"])}


class ToyNewer(Toy):
    """Another version of the same simulator."""

    version = "2"


class ToyMerge(Toy):
    """Only a * b matters: (a, b) and (b, a) are merged where both are levels, the smaller a represents."""

    def canonical(self, codes, workload):
        # a * b is what latency, area, speed and room see; energy and "too thin" are made to follow.
        out = codes.copy()
        for i, row in enumerate(codes):
            product = A.levels[row[0]] * B.levels[row[1]]
            for a in range(len(A.levels)):
                b, rest = divmod(product, A.levels[a])
                if rest == 0 and b in B.levels:
                    out[i, :2] = a, B.levels.index(b)
                    break
        return out

    def design_space(self, workload):
        return FREE

    def _simulate(self, designs, workload, seeds):
        lanes = designs["a"] * designs["b"]
        out = numbers(1, lanes, designs["mode"], designs["c"], float(workload.macs), self.config.scale)
        out["energy"] = out["energy"] * np.ones(len(lanes))
        return {**out, "reason": np.zeros(len(lanes), np.int64)}


FREE = DesignSpace([A, B, MODE, C])


class ToyNoise(_Common, Simulator):
    """Not deterministic: latency gets 0..1023 extra, drawn from the row's seed (0 without a seed)."""

    deterministic = False

    def _simulate(self, designs, workload, seeds):
        n = len(designs["a"])
        extra = np.zeros(n) if seeds is None else np.array([s % 1024 for s in seeds.tolist()], np.float64)
        out = numbers(designs["a"], designs["b"], designs["mode"], designs["c"], float(workload.macs))
        return {**out, "latency": out["latency"] + extra, "reason": np.zeros(n, np.int64)}


class ToySlow(ToyOne):
    """5 ms a design, so that a study can be killed in the middle."""

    def _simulate_one(self, design, workload, seed):
        time.sleep(0.005)
        return super()._simulate_one(design, workload, seed)


class ToyInfinite(Toy):
    """Latency is infinite where b = 5 (a broken memory channel, say): such a row must survive a resume."""

    def _simulate(self, designs, workload, seeds):
        out = super()._simulate(designs, workload, seeds)
        latency = np.where(designs["b"] == 5, np.inf, out["latency"])
        return {**out, "latency": latency, "reason": np.zeros(len(latency), np.int64)}


class Counting(ToyOne):
    """Counts its simulated designs (the baseline included) in ``simulated``."""

    simulated = 0

    def _simulate_one(self, design, workload, seed):
        Counting.simulated += 1
        return super()._simulate_one(design, workload, seed)


def read_rows(folder):
    """The rows of a study's journal, parsed."""
    return [json.loads(line) for line in (Path(folder) / "trials.jsonl").read_text().splitlines()]


def objective(text="edp", reference=None, limits=()):
    """An objective over ``METRICS``, measured against ``reference`` (1.0 for each metric by default)."""
    reference = reference or {m.name: 1.0 for m in METRICS}
    return Objective.parse(text, METRICS, limits).with_reference(reference)


HILLS = DesignSpace([Parameter.integers(f"p{i}", 0, 5) for i in range(8)])  # 6 ** 8 = 1.7 million designs


class Hills(Simulator):
    """One smooth valley: latency = 1 + squared distance to the design (4, 1, 3, 0, 5, 2, 4, 1); energy is constant."""

    optimum = (4, 1, 3, 0, 5, 2, 4, 1)
    metrics = (Metric("latency", "s"), Metric("energy", "J"))
    accepts = ("network",)

    def design_space(self, workload):
        return HILLS

    def baseline(self, workload):
        return dict.fromkeys(HILLS.names, 0)

    def _simulate(self, designs, workload, seeds):
        latency = np.ones(len(designs["p0"]))
        for name, best in zip(HILLS.names, self.optimum, strict=True):
            latency = latency + (designs[name] - best) ** 2.0
        return {"latency": latency, "energy": np.ones(len(latency))}


class ToyFree(Toy):
    """Everything is possible: no constraint at all."""

    constraints = ()
