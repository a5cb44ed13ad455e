"""Build the documentation site in build/site: `python docs/site`. Any browser opens build/site/index.html.

The pages are collected in build/site-source, from which Zensical makes the site. A broken link fails.
"""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

from assembly import ROOT
from contents import assembled
from navigation import settings
from visits import PAGES

HERE, BUILD = Path(__file__).parent, ROOT / "build"


def main() -> int:
    """Collect, build, and return the exit status of Zensical; 2 if it is not installed."""
    if not importlib.util.find_spec("zensical"):
        print("error: the site needs Zensical: pip install -e '.[docs]'", file=sys.stderr)
        return 2
    source = BUILD / "site-source"
    for folder in (source, BUILD / "site"):
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
    config = BUILD / "zensical.toml"
    config.write_text(settings((HERE / "zensical.toml").read_text(encoding="utf-8"), nav), encoding="utf-8")
    command = [sys.executable, "-m", "zensical", "build", "--strict", "--clean", "--config-file", str(config)]
    return subprocess.run(command, cwd=BUILD).returncode


if __name__ == "__main__":
    sys.exit(main())
