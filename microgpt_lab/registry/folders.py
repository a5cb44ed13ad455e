"""Where things are: the package, its checkout, the user's own lab folder, the folders of plugins."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

from microgpt_lab.errors import printable

HERE = Path(__file__).resolve().parents[1]  # the package
CHECKOUT = HERE.parent if (HERE.parent / "pyproject.toml").is_file() else None
CONF, EXPERIMENTS = ((CHECKOUT or HERE) / name for name in ("conf", "experiments"))

FIRST_PARTY = "microgpt_lab_plugins"  # the package of our parts
SAID = "MICROGPT_LAB_SAID"  # folders of plugins that were warned of, told to all workers


def home() -> Path:
    """The user's own lab folder, which may hold plugins/, conf/ and experiments/."""
    return Path(os.environ.get("MICROGPT_LAB_HOME") or "~/.microgpt_lab").expanduser()


def plugin_folders() -> Iterator[tuple[str, Path]]:
    """The packages that plugin files are imported as, and their folders: ours, then the user's."""
    yield FIRST_PARTY, (CHECKOUT / "plugins" if CHECKOUT else HERE.parent / "microgpt_lab_plugins")
    if (home() / "plugins").is_dir():
        yield "microgpt_lab_home", (home() / "plugins").resolve()
    named = filter(None, os.environ.get("MICROGPT_LAB_PLUGINS", "").split(os.pathsep))
    for i, folder in enumerate(dict.fromkeys(named), start=1):
        yield f"microgpt_lab_user{i}", Path(folder).expanduser().resolve()


def others_write(folder: Path) -> str:
    """Why somebody else could have put code into a folder of plugins; '' if nobody could. POSIX only."""
    files = [file for file in folder.rglob("*.py") if file.is_file()]
    for path in dict.fromkeys([folder, *(file.parent for file in files), *files]):
        found = path.stat()
        if found.st_mode & stat.S_IWOTH:
            return f"everybody can write to {path}"
        if found.st_uid not in (0, os.geteuid()):
            return f"{path} belongs to another user (of number {found.st_uid})"
    return ""


def warn_of(folder: Path) -> None:
    """A line on stderr for a folder that others can write to; workers of a sweep know that it is said."""
    said = os.environ.get(SAID, "").split(os.pathsep)
    if hasattr(os, "geteuid") and str(folder) not in said and (why := others_write(folder)):
        os.environ[SAID] = os.pathsep.join([*filter(None, said), str(folder)])
        print(printable(f"warning: the plugins of {folder} are run, although {why}"), file=sys.stderr)
