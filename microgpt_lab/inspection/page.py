"""Write everything that a replay shows as one HTML file that needs nothing else."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

SCRIPTS = ("backward", "draw", "expected", "attention", "why", "code", "value", "figures", "main")


def filled(facts: dict[str, Any]) -> str:
    """Return the page: the template with its style, its scripts, and these facts as JSON."""
    folder = resources.files("microgpt_lab.inspection") / "page"
    read = {name: (folder / name).read_text(encoding="utf-8") for name in FILES}
    data = json.dumps(facts, separators=(",", ":")).replace("<", "\\u003c")
    scripts = "\n".join(read[f"{name}.js"] for name in SCRIPTS)
    page = read["index.html"].replace("/*STYLE*/", read["style.css"]).replace("/*SCRIPTS*/", scripts)
    return page.replace("/*FACTS*/", data)


FILES = ("index.html", "style.css", *(f"{name}.js" for name in SCRIPTS))
