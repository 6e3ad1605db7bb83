"""Proxy models on disk: ``proxy.json`` says what it is, ``models.skops`` holds what was learnt.

Nothing is unpickled: skops restores arrays, numbers and texts, and no other type is let in.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from archgym.errors import LogError, MissingExtraError, UsageError
from archgym.space import DesignSpace

from .model import ProxyModel

FORMAT = 5
HEADER, MODELS = "proxy.json", "models.skops"


def save_proxy(folder: str | Path, model: ProxyModel, about: Mapping[str, Any]) -> None:
    """Write a model; ``about`` is what a reader should know of it, as JSON.

    Raises:
        LogError: the folder cannot be written.
    """
    path, content = Path(folder), _skops().dumps(model.state())
    header = {
        "format": FORMAT,
        "archgym": version("archgym"),
        "kind": model.kind,
        "seed": model.seed,
        "space": model.space.to_dict(),
        "sha256": hashlib.sha256(content).hexdigest(),
        "about": dict(about),
    }
    try:
        path.mkdir(parents=True, exist_ok=True)
        for name, data in ((MODELS, content), (HEADER, (json.dumps(header, indent=1) + "\n").encode())):
            part = path / f".{name}.part"
            part.write_bytes(data)
            part.replace(path / name)
    except OSError as error:
        raise LogError(f"cannot write to {path}: {error.strerror or error}") from None


def load_proxy(folder: str | Path) -> tuple[ProxyModel, dict[str, Any]]:
    """A model, and what ``about`` said with the ``sha256`` of what was learnt.

    Raises:
        UsageError: no proxy, one that is damaged or was altered, or one of another format.
        MissingExtraError: skops is not installed.
    """
    path = Path(folder)
    try:
        header = json.loads((path / HEADER).read_text(encoding="utf-8"))
        content = (path / MODELS).read_bytes()
    except FileNotFoundError:
        raise UsageError(
            f"{path}: expected a proxy model ({HEADER} and {MODELS}), found none; archgym proxy fit makes one"
        ) from None
    except (OSError, ValueError) as error:
        raise UsageError(f"{path / HEADER} is damaged: {error}") from None
    if not isinstance(header, dict) or not {"format", "kind", "seed", "space", "sha256", "about"} <= header.keys():
        raise UsageError(
            f"{path / HEADER} is damaged: expected an object with format, kind, seed, space, sha256, about"
        )
    if header["format"] != FORMAT:
        raise UsageError(f"{path}: expected format {FORMAT}, got {header['format']}; fit the proxy again")
    if hashlib.sha256(content).hexdigest() != header["sha256"]:
        raise UsageError(
            f"{path / MODELS} is damaged or was altered: it is not what {HEADER} names; fit the proxy again"
        )
    io = _skops()
    if strange := io.get_untrusted_types(data=content):
        raise UsageError(f"{path / MODELS} holds types that no proxy has: {', '.join(sorted(strange))}")
    model = ProxyModel(DesignSpace.from_dict(header["space"]), header["kind"], seed=header["seed"])
    return model.restore(io.loads(content)), {
        **header["about"],
        "sha256": header["sha256"],
    }


def _skops() -> Any:
    try:
        import skops.io
    except ImportError:
        raise MissingExtraError("skops", "proxy") from None
    return skops.io
