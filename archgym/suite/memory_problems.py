"""Memory controllers: tables of enumerated spaces, and a space too large for one; and the BOOM table."""

from __future__ import annotations

from archgym.problem import ProblemSpec

from .entry import Search, SuiteProblem


def _rl(name: str, trace: str, objective: str, tier: str, *limits: str, satisfice: bool = False) -> SuiteProblem:
    """ArchGym's 442,368 memory controllers (DDR3-1600), served by a table."""
    spec = ProblemSpec("tabular", (trace,), objective, sim={"table": f"dram-rl-{trace}"}, limits=limits)
    return SuiteProblem(f"dram-rl-{name}", spec, tier, satisfice=satisfice)


def _ddr4(name: str, trace: str, objective: str, tier: str) -> SuiteProblem:
    """DDR4-2400 with address maps, ranks, write buffer and row-hit cap: 8,640 designs."""
    spec = ProblemSpec("tabular", (trace,), objective, sim={"table": f"dram-ddr4-{trace}"})
    return SuiteProblem(f"dram-ddr4-{name}", spec, tier)


MEMORY = (
    # the predecessor's four traces only read, which leaves most knobs dead
    _rl("stream-edp", "stream", "edp", "easy"),
    _rl("random-edp", "random", "edp", "easy"),
    _rl("cloud-1-edp", "cloud-1", "edp", "easy"),
    _rl("cloud-2-edp", "cloud-2", "edp", "easy"),
    # these write as well
    _rl("gen-mixed-edp", "gen-mixed", "edp", "tuning"),
    _rl("gen-mixed-p99", "gen-mixed", "p99", "headline"),
    _rl("gen-hotrow-edp", "gen-hotrow", "edp", "easy"),
    _rl("gen-hotrow-p99", "gen-hotrow", "p99", "easy"),
    _rl("gen-mixed-latency-power", "gen-mixed", "latency", "headline", "power<=1.45"),
    _rl("gen-hotrow-p99-power", "gen-hotrow", "p99", "headline", "power<=1.45"),
    _rl("gen-hotrow-ed2p", "gen-hotrow", "ed2p", "headline"),
    _rl("gen-hotrow-pareto", "gen-hotrow", "pareto:read_latency_p99,power", "headline"),
    _rl(
        "gen-hotrow-budgets",
        "gen-hotrow",
        "edp",
        "headline",
        "latency<=5.6e-5",
        "power<=1.9",
        "read_latency_p99<=3.2e-5",
        satisfice=True,
    ),
    _ddr4("gen-sources-edp", "gen-sources", "edp", "easy"),
    _ddr4("gen-strided-edp", "gen-strided", "edp", "easy"),
    SuiteProblem(
        "dram-full-chstone-mips-edp-2g",
        ProblemSpec("dram", ("chstone-mips",), "edp", sim={"standard": "DDR4-2400"}),
        "easy",
        Search(seeds=2, budget=4_000, random_runs=5),
        note="the simulator itself",
    ),
)

BOOM = (
    SuiteProblem(
        "boom-iccad22-pareto",
        ProblemSpec("tabular", ("boom-programs",), "pareto:ipc,power,area", sim={"table": "boom-iccad22"}),
        "tuning",
        note="dummy data, not evidence about BOOM",
    ),
)
