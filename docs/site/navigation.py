"""The order of the site's pages: seven sections, each a question that a reader has."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

# The pages of docs/ by section. A name in <> stands for pages that are generated.
SECTIONS = {
    "Start": ("<index>", "start", "<visits>"),
    "Tutorial": ("from-microgpt", "ablation", "reports", "inspect", "authors"),
    "How to": (
        "data",
        "configuration",
        "sweeps",
        "runs",
        "diagnostics",
        "inside",
        "export",
        "python",
        "checking",
        "systems",
    ),
    "Parts": ("<parts>", "model", "text", "<kinds>"),
    "Internals": ("architecture", "backends", "compiled", "reliability", "<contributing>"),
    "Reference": ("<reference>", "plugins", "<changes>"),
    "Answers": ("<answers>",),
}


def navigation(generated: Mapping[str, Iterable[str]], titles: Mapping[str, str]) -> list[Any]:
    """Return the sections with the titles and paths of their pages, as Zensical's setting `nav`.

    generated: the paths that a name in <> stands for.
    titles: the title of each page, by path.
    """
    sections = []
    for section, names in SECTIONS.items():
        paths = [path for name in names for path in generated.get(name, [f"{name}.md"])]
        sections.append({section: [{titles[path]: path} for path in paths]})
    return sections


def settings(toml: str, nav: list[Any]) -> str:
    """Return the settings of Zensical with the navigation."""
    inline = json.dumps(nav, ensure_ascii=False, indent=1).replace('": ', '" = ')
    return toml.replace("[project]\n", f"[project]\nnav = {inline}\n", 1)
