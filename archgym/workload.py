"""Workloads: what a simulated design has to run.

Here: the `Workload` protocol and the registry of named workloads. Names map to
``"module:function"`` strings, so listing them imports nothing. Networks are in
`archgym.network`, and can be imported from here too; memory traces are in `archgym.trace`.
Importing this module needs the standard library only.
"""

from __future__ import annotations

import gzip
import json
import os
import re
import zlib
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
    "is_workload_file",
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
        kind: "network", "trace", ...; the key `workload_from_dict` dispatches on.
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
_KINDS = {
    "network": "archgym.network:Network",
    "trace": "archgym.trace:Trace",
    "landscape": "archgym.landscape:Landscape",
    "programs": "archgym.landscape:Programs",
}

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
    "stream": "archgym.workloads.recorded_traces:stream",
    "random": "archgym.workloads.recorded_traces:random",
    "cloud-1": "archgym.workloads.recorded_traces:cloud_1",
    "cloud-2": "archgym.workloads.recorded_traces:cloud_2",
    "chstone-adpcm": "archgym.workloads.recorded_traces:chstone_adpcm",
    "chstone-aes": "archgym.workloads.recorded_traces:chstone_aes",
    "chstone-bf": "archgym.workloads.recorded_traces:chstone_bf",
    "chstone-gsm": "archgym.workloads.recorded_traces:chstone_gsm",
    "chstone-jpeg": "archgym.workloads.recorded_traces:chstone_jpeg",
    "chstone-mips": "archgym.workloads.recorded_traces:chstone_mips",
    "chstone-motion": "archgym.workloads.recorded_traces:chstone_motion",
    "chstone-sha": "archgym.workloads.recorded_traces:chstone_sha",
    "mediabench-adpcmdecode": "archgym.workloads.recorded_traces:mediabench_adpcmdecode",
    "mediabench-adpcmencode": "archgym.workloads.recorded_traces:mediabench_adpcmencode",
    "mediabench-h263decode": "archgym.workloads.recorded_traces:mediabench_h263decode",
    "ddr3-example": "archgym.workloads.recorded_traces:ddr3_example",
    "gen-random-rw50": "archgym.workloads.traces:gen_random_rw50",
    "gen-mixed": "archgym.workloads.traces:gen_mixed",
    "gen-hotrow": "archgym.workloads.traces:gen_hotrow",
    "gen-strided": "archgym.workloads.traces:gen_strided",
    "gen-copy": "archgym.workloads.traces:gen_copy",
    "gen-triad": "archgym.workloads.traces:gen_triad",
    "gen-sparse": "archgym.workloads.traces:gen_sparse",
    "gen-bursty": "archgym.workloads.traces:gen_bursty",
    "gen-chase": "archgym.workloads.traces:gen_chase",
    "gen-sources": "archgym.workloads.traces:gen_sources",
    "syn-ridge": "archgym.workloads.landscapes:syn_ridge",
    "syn-trap": "archgym.workloads.landscapes:syn_trap",
    "syn-nk": "archgym.workloads.landscapes:syn_nk",
    "syn-knapsack": "archgym.workloads.landscapes:syn_knapsack",
    "boom-programs": "archgym.workloads.landscapes:boom_programs",
}

# "/" and "+" separate the parts of a problem's name, and a file suffix would make a name a path.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_SUFFIXES = (".csv", ".json", ".stl", ".txt", ".trace")


def workload_names() -> tuple[str, ...]:
    """The registered names, in order of registration; imports nothing."""
    return tuple(_TARGETS)


def is_workload_file(text: str) -> bool:
    """Whether a text names a file by a suffix that `load_workload` reads, ``.gz`` after it or not."""
    return text.lower().removesuffix(".gz").endswith(_SUFFIXES)


def register_workload(name: str, target: str) -> None:
    """Make `load_workload` know a name.

    Args:
        name: letters, digits, ``.``, ``_`` and ``-``; no file suffix.
        target: ``"module:function"``; the function takes no arguments and returns a `Workload`.
            It is imported when the name is loaded.

    Raises:
        UsageError: a malformed name or target, or the name already has another target.
    """
    if not _NAME.fullmatch(name) or is_workload_file(name):
        raise UsageError(f"workload name: expected letters, digits, '.', '_', '-' and no file suffix, got '{name}'")
    module, _, function = target.partition(":")
    if not module or not function:
        raise UsageError(f"workload '{name}': expected a target 'module:function', got '{target}'")
    if _TARGETS.setdefault(name, target) != target:
        raise UsageError(f"workload '{name}': already registered as '{_TARGETS[name]}', got '{target}'")


def load_workload(name_or_path: str | os.PathLike[str]) -> Workload:
    """The workload of a registered name, or read from a file.

    Args:
        name_or_path: a name of `workload_names`, or a path that ends in ``.json`` (a workload's
            `to_dict`), ``.stl``, ``.txt`` or ``.trace`` (a memory trace at 800 MHz, see
            `archgym.trace_files.read_trace`) or ``.csv`` (such a trace if its first row is a request,
            else a SCALE-Sim topology, see `archgym.topology.read_topology`). Each may be
            compressed (``.gz``).

    Raises:
        UnknownNameError: neither a known name nor a path with a known suffix.
        WorkloadFormatError: the file does not parse.
        UsageError: the file cannot be read, or a registered target does not give a workload.
    """
    text = os.fspath(name_or_path)
    if text in _TARGETS:
        workload = _resolve(f"workload '{text}'", _TARGETS[text])()
        if not isinstance(workload, Workload):
            raise UsageError(f"workload '{text}': expected a Workload from '{_TARGETS[text]}', got {workload!r}")
        return workload
    if not is_workload_file(text):
        raise UnknownNameError("workload", text, _TARGETS)
    suffix = Path(text.lower().removesuffix(".gz")).suffix
    if suffix == ".json":
        return _read_json(text)
    # lazy: these import this module
    from archgym.topology import read_topology
    from archgym.trace_files import looks_like_trace, parse_trace

    content = read_workload_file(text)
    if suffix == ".csv" and not looks_like_trace(content):
        return read_topology(text)
    return parse_trace(content, text)


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
    """The bytes of a workload file, unpacked if they are gzip's, with line ends as ``\\n``.

    Raises:
        UsageError: the file is missing or cannot be read.
        WorkloadFormatError: damaged gzip data.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise UsageError(
            f"workload file '{os.fspath(path)}': expected a readable file, got: {error.strerror}"
        ) from None
    if data.startswith(b"\x1f\x8b"):
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error) as error:
            raise WorkloadFormatError(f"{os.fspath(path)}: expected complete gzip data: {error}") from None
    return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def _resolve(what: str, target: str) -> Any:
    try:
        return import_target(target)
    except (UsageError, ImportError) as error:
        raise UsageError(f"{what}: cannot load '{target}': {error}") from error


def _read_json(path: str) -> Workload:
    content = read_workload_file(path)
    try:
        return workload_from_dict(json.loads(content.decode("utf-8-sig")))
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
