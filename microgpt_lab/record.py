"""What a run is, on disk: its folder, and what it says of itself there."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from microgpt_lab.plugins import CHECKOUT, KINDS, registry
from microgpt_lab.sweep import Place, position

PACKAGES = ("microgpt-lab", "numpy", "jax", "hydra-core", "omegaconf", "pluggy", "tensorboardX")


@dataclass
class Run:
    """What callbacks know of a run. In a sweep of so many `jobs`, `place` is where it belongs."""

    config: dict[str, Any]
    folder: Path
    overrides: list[str] = field(default_factory=list)
    jobs: int = 0
    place: Place | None = None
    environment: dict[str, Any] = field(default_factory=dict)
    claimed: bool = False

    @property
    def name(self) -> str:
        """What sets it apart from the default."""
        return ",".join(self.overrides) or "default"

    @property
    def position(self) -> str:
        """How far the sweep is, and the time it still takes: '[3/6 2min left]'."""
        return position(self.place.sweep, self.jobs) if self.place else ""

    def claim(self) -> None:
        """Make the folder, or another beside it if it holds a run, and write what the run is."""
        wanted, number = self.folder, 2
        while True:
            self.folder.mkdir(parents=True, exist_ok=True)
            try:
                with (self.folder / "config.yaml").open("x", encoding="utf-8") as file:
                    yaml.safe_dump(self.config, file, sort_keys=False, allow_unicode=True)
                break
            except FileExistsError:
                self.folder, number = wanted.with_name(f"{wanted.name}-{number}"), number + 1
        self.claimed = True
        if self.place:
            self.place.folder = self.folder
        (self.folder / "overrides.yaml").write_text(
            yaml.safe_dump(self.overrides, allow_unicode=True), encoding="utf-8"
        )

    def create(self, documents: list[str]) -> None:
        """Write what is known before the first step into a folder that holds no other run."""
        surroundings = environment()
        self.claim()
        self.environment = surroundings | {
            "documents": len(documents),
            "documents_sha256": hashlib.sha256(
                "\n".join(documents).encode("utf-8", "surrogatepass")
            ).hexdigest(),
            "plugins": {
                kind: registry().get(kind, self.config[kind]["name"]).provider
                for kind in KINDS
                if kind != "callback"
            },
        }
        self.write("environment.json", self.environment)

    def end(self, status: str, error: str) -> dict[str, Any]:
        """A job of a sweep that has no results is a row all the same."""
        if not self.claimed:
            self.claim()
        summary = {"status": status, "error": error}
        self.write("summary.json", summary)
        print(f"{status}: {self.name}: {error}", file=sys.stderr)
        return summary

    def write(self, name: str, content: Any) -> None:
        """A JSON file, whole or not at all."""
        path = self.folder / name
        part = path.with_name(name + ".part")
        part.write_text(
            json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8"
        )
        part.replace(path)


def environment() -> dict[str, Any]:
    """Where and with what a run was made."""
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
