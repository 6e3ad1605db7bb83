"""What an entry of the suite says, and the rules by which its facts make it headline or easy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from archgym.problem import ProblemSpec

TIERS = ("headline", "easy", "tuning", "unrated")
GAP = 0.05
SHARE = 1e-3
SUCCESS = 0.5


@dataclass(frozen=True)
class Search:
    """How the best known design of a problem too large to enumerate was found, reproducibly.

    Attributes:
        seeds: studies of the agent ``genetic`` with its defaults, seeds 0, 1, ….
        budget: samples of each.
        batch: designs asked at a time; large ones spare time.
        random_runs: random searches of 1000 designs, whose median and whose shares stand for the whole space.
    """

    seeds: int = 5
    budget: int = 20_000
    batch: int = 200
    random_runs: int = 101

    @property
    def text(self) -> str:
        """For people."""
        return (
            f"best of genetic x {self.seeds} seeds x {self.budget} samples (batch {self.batch}) and "
            f"{1000 * self.random_runs} random designs"
        )


@dataclass(frozen=True)
class SuiteProblem:
    """A named problem, frozen.

    Attributes:
        name: under which it is run and quoted.
        spec: what is solved.
        tier: "headline" (claims are made on these), "easy" (smoke tests and history, count in no claim),
            "tuning" (for hyperparameters only, count in no claim), or "unrated" (no facts yet, counts in no claim).
        search: None where the optimum is exact (by enumeration), else how the best known one was found.
        satisfice: scored by success, meeting every limit of the spec, and the samples until then.
        since: version of the suite that introduced it or changed it last.
        note: for people.
    """

    name: str
    spec: ProblemSpec
    tier: str
    search: Search | None = None
    satisfice: bool = False
    since: int = 1
    note: str = ""

    @property
    def optimum(self) -> str:
        """ "exact" or "best known"."""
        return "exact" if self.search is None else "best known"


def earned_tier(entry: SuiteProblem, facts: Mapping[str, Any] | None) -> str:
    """The tier that an entry's facts give it; a tuning problem is one by decision.

    Headline: random search's median gap at 200 samples exceeds 0.05, and fewer than 0.1 % of the feasible designs
    lie within 1 % of the optimum (of a sampled share, the upper end of its 95 % interval counts). Where limits
    only have to be met: at most half of the random searches meet them within 200 samples, and fewer than 0.1 % of
    the designs do.
    """
    if facts is None:
        return "unrated"
    if entry.tier == "tuning":
        return "tuning"
    if entry.satisfice:
        hard = facts["random_success"]["200"] <= SUCCESS and facts["feasible_share_upper"] < SHARE
    else:
        gap = facts["random_gaps"]["200"]
        hard = (gap is None or gap > GAP) and facts["within_1_percent_upper"] < SHARE
    return "headline" if hard else "easy"
