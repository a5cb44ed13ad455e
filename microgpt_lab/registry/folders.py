"""Folders of the package, its checkout, the user's own lab folder, and the plugins."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

from microgpt_lab.errors import printable

PACKAGE = Path(__file__).resolve().parents[1]
CHECKOUT = PACKAGE.parent if (PACKAGE.parent / "pyproject.toml").is_file() else None  # None in a wheel
DEMO = PACKAGE / "inspection" / "demo"  # a finished run
CONF, EXPERIMENTS = ((CHECKOUT or PACKAGE) / name for name in ("conf", "experiments"))

FIRST_PARTY = "microgpt_lab_plugins"  # the package of the lab's own parts
WARNED = "MICROGPT_LAB_SAID"  # environment variable: the folders that this sweep has warned of already


def home() -> Path:
    """Return the user's own lab folder, which may contain plugins/, conf/ and experiments/."""
    return Path(os.environ.get("MICROGPT_LAB_HOME") or "~/.microgpt_lab").expanduser()


def is_demo(name: str) -> bool:
    """Whether a name stands for the finished run of the package: "demo", where nothing else is called so."""
    return name == DEMO.name and not Path(name).exists()


def plugin_folders() -> Iterator[tuple[str, Path]]:
    """Yield the folders of plugins, the lab's own first, each with the package that its files belong to."""
    yield FIRST_PARTY, (CHECKOUT / "plugins" if CHECKOUT else PACKAGE.parent / "microgpt_lab_plugins")
    if (home() / "plugins").is_dir():
        yield "microgpt_lab_home", (home() / "plugins").resolve()
    folders = filter(None, os.environ.get("MICROGPT_LAB_PLUGINS", "").split(os.pathsep))
    for i, folder in enumerate(dict.fromkeys(folders), start=1):
        yield f"microgpt_lab_user{i}", Path(folder).expanduser().resolve()


def unsafe_reason(folder: Path) -> str:
    """Say why another user may have put code into a folder of plugins; '' if none could. POSIX only."""
    files = [file for file in folder.rglob("*.py") if file.is_file()]
    for path in dict.fromkeys([folder, *(file.parent for file in files), *files]):
        status = path.stat()
        if status.st_mode & stat.S_IWOTH:
            return f"every user can write to {path}"
        if status.st_uid not in (0, os.geteuid()):
            return f"{path} belongs to another user (uid {status.st_uid})"
    return ""


def warn_if_unsafe(folder: Path) -> None:
    """Warn on stderr about a folder that other users can write to, once for a sweep and all its workers."""
    warned = os.environ.get(WARNED, "").split(os.pathsep)
    if hasattr(os, "geteuid") and str(folder) not in warned and (why := unsafe_reason(folder)):
        os.environ[WARNED] = os.pathsep.join([*filter(None, warned), str(folder)])
        print(printable(f"warning: the plugins in {folder} are loaded although {why}"), file=sys.stderr)
