"""Puts this folder on the import path, so that specs may name ``toys:Toy`` like any importable component; and shares
the tests out between processes."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

# Words in the name of a test -> kernels that it has to compile where no cache holds them: half a minute and more.
KERNELS = {"accelerator": ("accelerator", "mapping", "codesign", "chips"), "dram": ("dram", "memory controllers")}


def pytest_collection_modifyitems(items):
    """Tests of one file go to one process (``--dist loadgroup``), and so do all that need the same large kernels: two
    processes would compile them at the same time."""
    for item in items:
        name = item.nodeid.lower()
        group = next((g for g, words in KERNELS.items() if any(word in name for word in words)), item.path.name)
        item.add_marker(pytest.mark.xdist_group(group))
