"""The processes that a test has started, as Linux shows them."""

from pathlib import Path


def children(pid):
    """Process ids; each thread of a process has children of its own."""
    lists = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for threads in lists for child in threads.read_text().split()]


def alive(pid):
    """Whether it still runs; one that nobody has waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
