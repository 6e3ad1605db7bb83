"""The README's own code blocks and commands, run as they stand."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"```(python|bash|toml)\n(.*?)```", re.S)
SECTIONS = {
    section.partition("\n")[0]: BLOCK.findall(section) for section in README.split("\n## ") if BLOCK.search(section)
}
CLI = "from archgym.experiments.cli import main; main()"


def commands(block):
    return [line.split("#")[0].strip() for line in block.replace(" && ", "\n").splitlines() if line[:8] == "archgym "]


# Sections whose commands take more than ten seconds.
LONG = (
    "Command line",
    "The suite: named problems",
    "Sweeps",
    "Compare agents",
    "Environments for reinforcement learning",
    "Data sets",
    "Proxy models",
    "Memory controllers",
    "DNN accelerators",
)


def run(arguments, folder):
    return subprocess.run(arguments, cwd=folder, capture_output=True, text=True, timeout=300, check=False)


def test_there_are_blocks_to_run():
    assert set(LONG) < set(SECTIONS)
    kinds = [kind for blocks in SECTIONS.values() for kind, _ in blocks]
    assert (kinds.count("python"), kinds.count("toml")) == (8, 1)
    assert sum(len(commands(text)) for blocks in SECTIONS.values() for kind, text in blocks if kind == "bash") == 43


@pytest.mark.parametrize("section", [pytest.param(s, marks=pytest.mark.slow) if s in LONG else s for s in SECTIONS])
def test_the_blocks_of_a_section_run_in_their_order(section, tmp_path):
    """Without warnings, in a folder of their own from which the reference tables are reachable."""
    (tmp_path / "tests").symlink_to(ROOT / "tests", target_is_directory=True)
    for kind, text in SECTIONS[section]:
        if kind == "toml":  # its first line names the file
            name, _, content = text.removeprefix("# ").partition("\n")
            (tmp_path / name).write_text(content, encoding="utf-8")
            continue
        todo = [["-c", CLI, *shlex.split(line)[1:]] for line in commands(text)] if kind == "bash" else [["-c", text]]
        for arguments in todo:
            done = run([sys.executable, *(["-W", "error"] if kind == "python" else []), *arguments], tmp_path)
            assert done.returncode == 0, f"{arguments}: {done.stderr}"


def test_the_layout_of_the_project_is_the_fixed_one():
    """Exactly these top-level names are part of the project."""
    tracked = run(["git", "ls-files"], ROOT).stdout.split()
    top = {name.split("/")[0] for name in tracked if not name.startswith(".")}
    expected = {"README.md", "pyproject.toml", "LICENSE", "constraints.txt"}
    expected |= {"archgym", "simulators", "agents", "experiments", "tests", "results"}
    assert top == expected
