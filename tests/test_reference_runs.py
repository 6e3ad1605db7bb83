"""The committed runs that the README quotes: replayed, and quoted truly."""

import math
import re
from pathlib import Path

import pytest

import archgym
from archgym.study import load

ROOT = Path(__file__).parents[1]
RUNS = sorted(p.parent for p in (ROOT / "results" / "reference").glob("*/spec.json"))


@pytest.mark.parametrize("folder", RUNS, ids=[p.name for p in RUNS])
def test_reference_runs_replay(folder):
    """On any machine: integers equal, floats to 1e-12. Not the agent: its last bits may differ on another CPU."""
    study = load(folder)
    assert archgym.replay(folder) == len(study.samples) == study.spec.budget


def test_the_readme_quotes_the_reference_run():
    best = load(ROOT / "results" / "reference" / "resnet50-edp-genetic").best
    quoted = re.search(r"(\d+) samples later EDP is ([\d.]+) times lower", (ROOT / "README.md").read_text())
    assert quoted is not None
    assert float(quoted[2]) == pytest.approx(math.exp(best["reward"]), abs=0.05)
