"""The README's own code blocks and commands, run as they stand."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PYTHON = re.findall(r"```python\n(.*?)```", README, re.S)
SHELL = "\n".join(re.findall(r"```bash\n(.*?)```", README, re.S)).replace(" && ", "\n").splitlines()
COMMANDS = [line.split("#")[0].strip() for line in SHELL if line.startswith("archgym ")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """One working folder for all of them, as a reader would have; the reference tables are reachable."""
    path = tmp_path_factory.mktemp("readme")
    (path / "tests").symlink_to(ROOT / "tests", target_is_directory=True)
    return path


def run(arguments, folder):
    return subprocess.run(arguments, cwd=folder, capture_output=True, text=True, timeout=300, check=False)


def test_there_are_blocks_to_run():
    assert len(PYTHON) == 5
    assert len(COMMANDS) == 21


@pytest.mark.parametrize("number", range(len(PYTHON)))
def test_python_blocks_run_without_warnings(number, folder):
    done = run([sys.executable, "-W", "error", "-c", PYTHON[number]], folder)
    assert done.returncode == 0, done.stderr


def test_commands_run(folder):
    """In the README's order: `replay results/bert` needs the study that the line before wrote."""
    for command in COMMANDS:
        words = shlex.split(command)
        done = run([sys.executable, "-c", "from archgym.experiments.cli import main; main()", *words[1:]], folder)
        assert done.returncode == 0, f"{command}: {done.stderr}"


def test_the_layout_of_the_project_is_the_fixed_one():
    """Exactly these top-level names are part of the project."""
    tracked = run(["git", "ls-files"], ROOT).stdout.split()
    top = {name.split("/")[0] for name in tracked if not name.startswith(".")}
    expected = {"README.md", "pyproject.toml", "LICENSE", "constraints.txt"}
    expected |= {"archgym", "simulators", "agents", "experiments", "tests", "results"}
    assert top == expected
