"""Write the site into a folder: collect its pages and files, and have Zensical build it."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

from contents import assembled
from navigation import settings
from visits import PAGES

HERE = Path(__file__).parent


def make(build: Path) -> int:
    """Write the site to build/site, from build/site-source. Return the exit status of Zensical.

    It is 1 for a broken link, and 2 if Zensical is not installed.
    """
    if not importlib.util.find_spec("zensical"):
        print("error: the site needs Zensical: pip install -e '.[docs]'", file=sys.stderr)
        return 2
    source = build / "site-source"
    for folder in (source, build / "site"):
        shutil.rmtree(folder, ignore_errors=True)
    site, nav = assembled()
    for path, text in site.pages.items():
        to = source / path
        to.parent.mkdir(parents=True, exist_ok=True)
        to.write_text(text, encoding="utf-8")
    for path, file in site.files.items():
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, source / path)
    shutil.copyfile(HERE / "style.css", source / "style.css")
    (source / "visits").mkdir()
    for name, write in PAGES.items():
        write(source / "visits" / name)
    config = build / "zensical.toml"
    config.write_text(settings((HERE / "zensical.toml").read_text(encoding="utf-8"), nav), encoding="utf-8")
    command = [sys.executable, "-m", "zensical", "build", "--strict", "--clean", "--config-file", str(config)]
    return subprocess.run(command, cwd=build).returncode
