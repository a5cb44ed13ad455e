"""Where and with what a run is made: versions, sources, commit."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from microgpt_lab.core.documents import Documents
from microgpt_lab.registry.folders import CHECKOUT, PACKAGE
from microgpt_lab.registry.hookspecs import KINDS
from microgpt_lab.registry.parts import Part
from microgpt_lab.registry.plugins import registry

PACKAGES = ("microgpt-lab", "numpy", "jax", "hydra-core", "omegaconf", "pluggy", "tensorboardX")


@functools.cache
def environment() -> Mapping[str, Any]:
    """Where and with what runs are made: as it is when this process first asks, because what it has
    loaded by then is what all its runs are made with. `source` and `core` likewise.
    """
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = None
    return {
        "python": sys.version,
        "platform": platform.platform(),
        "cores": os.cpu_count(),
        "packages": versions,
    } | git(CHECKOUT or Path.cwd())


def git(folder: Path) -> dict[str, Any]:
    """The commit that is checked out here, and whether files differ from it; None without git."""
    try:
        answers = [
            subprocess.run(
                ["git", "-C", folder, *args], capture_output=True, text=True, check=True, timeout=10
            ).stdout
            for args in (["rev-parse", "HEAD"], ["status", "--porcelain"])
        ]
    except (OSError, subprocess.SubprocessError):
        return {"git_commit": None, "git_dirty": None}
    return {"git_commit": answers[0].strip(), "git_dirty": bool(answers[1].strip())}


def parts(config: dict[str, Any]) -> dict[str, Any]:
    """Of each part that a configuration names: who provides it, and what its source is."""
    chosen = {kind: registry().get(kind, config[kind]["name"]) for kind in KINDS if kind != "callback"}
    return {kind: {"provider": part.provider, "sha256": source(part)} for kind, part in chosen.items()}


@functools.cache
def source(part: Part) -> str | None:
    """The hash of a part's file and the private files beside it; of a package, of all its files."""
    module = sys.modules.get(part.make.__module__)
    if not (name := getattr(module, "__file__", None)):
        return None
    file = Path(name)
    others = file.parent.rglob("*.py") if hasattr(module, "__path__") else file.parent.glob("_*.py")
    return sha256([file, *sorted(others)])


@functools.cache
def core() -> str:
    """The hash of the lab's own code that computes a run's numbers."""
    return sha256(sorted(file for room in ("core", "tensors") for file in (PACKAGE / room).glob("*.py")))


def sha256(files: Iterable[Path]) -> str:
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()


def documents_sha256(documents: Documents) -> str:
    return documents.cached("sha256", lambda: hashlib.sha256(json.dumps(documents).encode()).hexdigest())
