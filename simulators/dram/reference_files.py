"""Where the rows of a measured table find their traces, address maps and memory specifications: one folder."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from archgym.errors import UsageError
from archgym.trace import Trace
from archgym.trace_files import read_trace
from archgym.workload import load_workload, workload_names

from .mapping import AddressMapping, load_mapping
from .standards import Standard, load_standard


class ReferenceFiles:
    """Files by the names that a table uses; what was read is kept.

    A trace NAME is ``NAME.stl`` in the folder, the arrays ``NAME.cycle``, ``NAME.is_write`` and ``NAME.address`` in
    one of its ``.npz`` files, or a registered workload (ArchGym's files say ``_32`` after some names). Maps and
    memory specifications are ``NAME.json`` anywhere below the folder.

    Args:
        folder: or None, which leaves the registered workloads.

    Raises:
        UsageError: no such folder, or an ``.npz`` in it that cannot be read.
    """

    def __init__(self, folder: Path | None) -> None:
        if folder is not None and not folder.is_dir():
            raise UsageError(f"traces: expected a folder, got '{folder}'")
        self.folder = folder
        archives = sorted(folder.glob("*.npz")) if folder is not None else []
        self._archives = {name: path for path in archives for name in _names(path)}
        self._json = {path.stem: path for path in sorted(folder.rglob("*.json"))} if folder is not None else {}
        self._traces: dict[tuple[str, float], Trace] = {}
        self._standards: dict[str, Standard] = {}
        self._mappings: dict[str, AddressMapping] = {}

    def trace(self, name: str, clock_mhz: float) -> Trace:
        """A trace played at a clock.

        Raises:
            UsageError: no trace of that name.
        """
        if (name, clock_mhz) not in self._traces:
            self._traces[name, clock_mhz] = self._read(name, clock_mhz)
        return self._traces[name, clock_mhz]

    def standard(self, name: str) -> Standard | None:
        """The memory specification of that name, or None."""
        if name in self._json and name not in self._standards:
            self._standards[name] = load_standard(self._json[name])
        return self._standards.get(name)

    def mapping(self, name: str) -> AddressMapping | None:
        """The address map of that name, or None."""
        if name in self._json and name not in self._mappings:
            self._mappings[name] = load_mapping(self._json[name])
        return self._mappings.get(name)

    def _read(self, name: str, clock_mhz: float) -> Trace:
        if self.folder is not None and (self.folder / f"{name}.stl").is_file():
            return read_trace(self.folder / f"{name}.stl", clock_mhz=clock_mhz)
        if name in self._archives:
            with np.load(self._archives[name]) as arrays:
                cycle, is_write, address = (arrays[f"{name}.{column}"] for column in ("cycle", "is_write", "address"))
            return Trace(name, address, is_write, cycle=cycle, clock_mhz=clock_mhz)
        for known in (name, name.removesuffix("_32")):
            workload = load_workload(known) if known in workload_names() else None
            if isinstance(workload, Trace) and workload.cycle is not None:
                return Trace(name, workload.address, workload.is_write, cycle=workload.cycle, clock_mhz=clock_mhz)
        where = f"in {self.folder}" if self.folder is not None else "(--traces DIR names their folder)"
        raise UsageError(f"trace '{name}': expected {name}.stl or {name}.address in a .npz file {where}, found neither")


def _names(path: Path) -> list[str]:
    """The traces of an archive."""
    try:
        with np.load(path) as arrays:
            members = list(arrays.files)
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise UsageError(f"{path}: expected a .npz file of traces: {error}") from None
    return [name.removesuffix(".address") for name in members if name.endswith(".address")]
