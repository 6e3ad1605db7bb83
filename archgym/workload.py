"""Workloads: what a simulated design has to run.

Here: the `Workload` protocol and the registry of named workloads. Names map to
``"module:function"`` strings, so listing them imports nothing. Networks are in
`archgym.network`, and can be imported from here too. Importing this module needs the
standard library only.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Protocol, runtime_checkable

from archgym.errors import UnknownNameError, UsageError, WorkloadFormatError
from archgym.network import Layer, Network
from archgym.registry import import_target

__all__ = [
    "Layer",
    "Network",
    "Workload",
    "load_workload",
    "read_workload_file",
    "register_workload",
    "workload_from_dict",
    "workload_names",
]


@runtime_checkable
class Workload(Protocol):
    """What every workload offers, whatever simulator runs it.

    Attributes:
        kind: "network", ...; the key `workload_from_dict` dispatches on.
        name: shown to people; no part of the content.
        fingerprint: sha256 (64 hex digits) of the content; equal content, equal fingerprint.
    """

    kind: ClassVar[str]

    @property
    def name(self) -> str: ...

    @property
    def fingerprint(self) -> str: ...

    def features(self) -> dict[str, float]:
        """Finite numbers that describe the workload, in a fixed order."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """JSON form, with its ``kind``; `workload_from_dict` is the inverse."""
        ...


# kind -> class, as strings like the names below: other kinds live in modules of their own.
_KINDS = {"network": "archgym.network:Network"}

_TARGETS = {
    "alexnet": "archgym.workloads.alexnet:alexnet",
    "vgg16": "archgym.workloads.vgg:vgg16",
    "resnet18": "archgym.workloads.resnet:resnet18",
    "resnet50": "archgym.workloads.resnet:resnet50",
    "mobilenet_v1": "archgym.workloads.mobilenet:mobilenet_v1",
    "mobilenet_v2": "archgym.workloads.mobilenet:mobilenet_v2",
    "googlenet": "archgym.workloads.googlenet:googlenet",
    "tiny_yolo": "archgym.workloads.tiny_yolo:tiny_yolo",
    "bert-base": "archgym.workloads.transformer:bert_base",
    "vit-b16": "archgym.workloads.transformer:vit_b16",
    "gpt2-prefill": "archgym.workloads.transformer:gpt2_prefill",
    "gpt2-decode": "archgym.workloads.transformer:gpt2_decode",
}

# "/" and "+" separate the parts of a problem's name, and a file suffix would make a name a path.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_SUFFIXES = (".csv", ".json")


def workload_names() -> tuple[str, ...]:
    """The registered names, in order of registration; imports nothing."""
    return tuple(_TARGETS)


def register_workload(name: str, target: str) -> None:
    """Make `load_workload` know a name.

    Args:
        name: letters, digits, ``.``, ``_`` and ``-``; no file suffix.
        target: ``"module:function"``; the function takes no arguments and returns a `Network`.
            It is imported when the name is loaded.

    Raises:
        UsageError: a malformed name or target, or the name already has another target.
    """
    if not _NAME.fullmatch(name) or name.lower().endswith(_SUFFIXES):
        raise UsageError(f"workload name: expected letters, digits, '.', '_', '-' and no file suffix, got '{name}'")
    module, _, function = target.partition(":")
    if not module or not function:
        raise UsageError(f"workload '{name}': expected a target 'module:function', got '{target}'")
    if _TARGETS.setdefault(name, target) != target:
        raise UsageError(f"workload '{name}': already registered as '{_TARGETS[name]}', got '{target}'")


def load_workload(name_or_path: str | os.PathLike[str]) -> Network:
    """The workload of a registered name, or read from a file.

    Args:
        name_or_path: a name of `workload_names`, or a path that ends in ``.csv`` (a SCALE-Sim
            topology, see `archgym.topology.read_topology`) or ``.json`` (`Network.to_dict`).

    Raises:
        UnknownNameError: neither a known name nor a path with a known suffix.
        WorkloadFormatError: the file does not parse.
        UsageError: the file cannot be read, or a registered target does not give a network.
    """
    text = os.fspath(name_or_path)
    if text in _TARGETS:
        network = _resolve(f"workload '{text}'", _TARGETS[text])()
        if not isinstance(network, Network):
            raise UsageError(f"workload '{text}': expected a Network from '{_TARGETS[text]}', got {network!r}")
        return network
    suffix = Path(text).suffix.lower()
    if suffix == ".csv":
        from archgym.topology import read_topology  # lazy: it imports this module

        return read_topology(text)
    if suffix == ".json":
        return _read_json(text)
    raise UnknownNameError("workload", text, _TARGETS)


def workload_from_dict(data: Mapping[str, Any]) -> Workload:
    """The workload a `Workload.to_dict` came from, of the class its ``kind`` names.

    Raises:
        UsageError: not a mapping, an unknown kind, or content the class refuses.
    """
    if not isinstance(data, Mapping):
        raise UsageError(f"expected a workload as an object of fields, got {data!r}")
    kind = data.get("kind")
    if kind not in _KINDS:
        raise UnknownNameError("workload kind", str(kind), _KINDS)
    workload: Workload = _resolve(f"workload kind '{kind}'", _KINDS[kind]).from_dict(data)
    return workload


def read_workload_file(path: str | os.PathLike[str]) -> bytes:
    """The bytes of a workload file, with line ends as ``\\n``.

    Raises:
        UsageError: the file is missing or cannot be read.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise UsageError(
            f"workload file '{os.fspath(path)}': expected a readable file, got: {error.strerror}"
        ) from None
    return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def _resolve(what: str, target: str) -> Any:
    try:
        return import_target(target)
    except (UsageError, ImportError) as error:
        raise UsageError(f"{what}: cannot load '{target}': {error}") from error


def _read_json(path: str) -> Network:
    content = read_workload_file(path)
    try:
        workload = workload_from_dict(json.loads(content.decode("utf-8-sig")))
    except UnicodeDecodeError as error:
        data, start = error.object, error.start  # counted without the byte order mark
        line, column = data.count(b"\n", 0, start) + 1, start - data.rfind(b"\n", 0, start)
        raise WorkloadFormatError(
            f"{path}:{line}:{column}: expected UTF-8 text, got byte 0x{data[start]:02x}"
        ) from None
    except json.JSONDecodeError as error:
        raise WorkloadFormatError(f"{path}:{error.lineno}:{error.colno}: expected JSON: {error.msg}") from None
    except (ValueError, RecursionError) as error:  # a UsageError, an endless number, endless nesting
        raise WorkloadFormatError(f"{path}: {error}") from None
    if not isinstance(workload, Network):
        raise WorkloadFormatError(f"{path}: expected kind 'network', got '{workload.kind}'")
    return workload
