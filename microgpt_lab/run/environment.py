"""Describe what a run is made with: versions of packages, hashes of sources, git commit."""

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
from microgpt_lab.registry.origins import origin
from microgpt_lab.registry.parts import Part
from microgpt_lab.registry.plugins import registry

PACKAGES = ("numpy", "jax", "hydra-core", "omegaconf", "pluggy", "tensorboardX")


@functools.cache
def environment() -> Mapping[str, Any]:
    """Describe the machine, the packages and the commit.

    The answer is cached for this process, because its runs use what it has loaded even if files change
    later. The hashes below are cached for the same reason.
    """
    from microgpt_lab import __version__  # of the code that runs; metadata may be of an older installation

    versions: dict[str, str | None] = {"microgpt-lab": __version__}
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
    } | git_state(CHECKOUT or Path.cwd())


def git_state(folder: Path) -> dict[str, Any]:
    """Return the commit that is checked out here, and whether its files have changed. None without git."""
    try:
        commit, changes = [
            subprocess.run(
                ["git", "-C", folder, *args], capture_output=True, check=True, timeout=10
            ).stdout.decode("utf-8", "replace")
            for args in (["rev-parse", "HEAD"], ["status", "--porcelain", "--untracked-files=no"])
        ]
    except (OSError, subprocess.SubprocessError):
        return {"git_commit": None, "git_dirty": None}
    return {"git_commit": commit.strip(), "git_dirty": bool(changes.strip())}


def part_sources(config: dict[str, Any]) -> dict[str, Any]:
    """Describe the source of each part that a configuration names, by kind."""
    return {kind: describe(kind, config[kind]["name"]) for kind in KINDS if kind != "callback"}


def callback_sources(config: dict[str, Any]) -> dict[str, Any]:
    """Describe the source of each callback, by name. They do not decide the numbers of a run."""
    return {name: describe("callback", chosen["name"]) for name, chosen in config["callback"].items()}


def describe(kind: str, name: str) -> dict[str, Any]:
    """Return a part's plugin and hash; of those of other authors also distribution, version and licence."""
    part = registry().get(kind, name)
    source = {"provider": part.provider, "sha256": source_sha256(part)}
    if part.first_party:  # `packages` has the lab's version
        return source
    found = origin(part)
    more = {"distribution": found.distribution, "version": found.version, "licence": found.licence}
    return source | {key: text for key, text in more.items() if text}


@functools.cache
def source_sha256(part: Part) -> str | None:
    """Hash a part's file, the private files (_*.py) beside it, and the files of its base classes.

    Of a package, installed or in a folder of plugins, hash all files.
    """
    package = getattr(part.plugin, "__package__", None) if part.distribution else part.provider
    plugin = sys.modules.get(package or "")
    whole = hasattr(plugin, "__path__") and getattr(plugin, "__file__", None)
    module = plugin if whole else sys.modules.get(part.make.__module__)
    if not (name := getattr(module, "__file__", None)):
        return None
    file = Path(name)
    helpers = file.parent.rglob("*.py") if hasattr(module, "__path__") else file.parent.glob("_*.py")
    bases = (sys.modules.get(base.__module__) for base in getattr(part.make, "__mro__", ())[1:])
    inherited = {Path(path) for base in bases if (path := getattr(base, "__file__", None))}
    return files_sha256([file, *sorted(helpers), *sorted(inherited - {file})])


@functools.cache
def core_sha256() -> str:
    """Hash the lab's own code that computes the numbers of a run."""
    return files_sha256(
        sorted(file for room in ("core", "tensors") for file in (PACKAGE / room).glob("*.py"))
    )


def files_sha256(files: Iterable[Path]) -> str:
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()


def documents_sha256(documents: Documents) -> str:
    """Hash the documents, whether they are a stream, and their own split, once per list of documents."""

    def compute() -> str:
        digest = hashlib.sha256(json.dumps(documents).encode())
        if documents.stream or documents.own_split:
            digest.update(json.dumps([documents.stream, documents.sizes]).encode())
        return digest.hexdigest()

    return documents.cached("sha256", compute)
