"""All pages of the site, and their order."""

from __future__ import annotations

import re
from typing import Any

import interface
import kinds
from assembly import ROOT, Site
from links import title
from navigation import navigation

from microgpt_lab.registry.hookspecs import KINDS, hook_of

DOCS, EXPERIMENTS, PLUGINS = ROOT / "docs", ROOT / "experiments", ROOT / "plugins"
FIRST = "which-parts-matter"  # of the answers
ABOUT = """Each answer comes from a recipe: `experiment=NAME` runs it again, and the page of its question
has all figures. [How recipes work](../docs/sweeps.md#recipes)."""
ROW = re.compile(r"^\| \[`(.+?)`\]\(.+?\) \| (.+?) \| (.+?) \|$", re.M)  # name, question, answer


def assembled() -> tuple[Site, list[Any]]:
    """Return all pages of the site, and its navigation."""
    site = Site()
    for page in sorted(DOCS.glob("*.md")):
        site.show(page, page.name)
    for name in ("index.md", "visits.md"):
        site.show(DOCS / "site" / name, name)
    site.show(ROOT / "CONTRIBUTING.md", "contributing.md")
    site.show(ROOT / "CHANGELOG.md", "changes.md")
    generated = {f"<{name}>": [f"{name}.md"] for name in ("index", "visits", "contributing", "changes")}
    generated |= {"<answers>": add_answers(site), "<parts>": ["parts/index.md"], "<kinds>": add_parts(site)}
    generated["<reference>"] = add_reference(site)
    site.finish()
    titles = {path: title(text) for path, text in site.pages.items()}
    return site, navigation(generated, titles | {"index.md": "Home"})


def add_answers(site: Site) -> list[str]:
    """Add the recipes: a page that lists their questions and answers, and the README of each."""
    table = (EXPERIMENTS / "README.md").read_text(encoding="utf-8")
    rows = sorted(ROW.findall(table), key=lambda row: row[0] != FIRST)
    site.places[EXPERIMENTS / "README.md"] = "answers/index.md"
    blocks = ["# Answers", ABOUT]
    paths = ["answers/index.md"]
    for name, question, answer in rows:
        paths.append(f"answers/{name}/index.md")
        page = EXPERIMENTS / name / "README.md"
        site.show(page, paths[-1])
        site.places[page.parent] = paths[-1]
        heading = title(page.read_text(encoding="utf-8"))
        blocks.append(f"## [{heading}]({name}/README.md)\n\n{question}\n\n**Answer.** {answer}")
    site.write("answers/index.md", "\n\n".join(blocks) + "\n", EXPERIMENTS)
    return paths


def add_parts(site: Site) -> list[str]:
    """Add the page of all parts, and one for each kind, which stands for its folder in plugins/."""
    parts, recipes = kinds.own_parts(), kinds.recipes_by_part()
    site.places[PLUGINS] = "parts/index.md"
    site.write("parts/index.md", kinds.overview(parts))
    paths = []
    for kind in KINDS:
        paths.append(f"parts/{hook_of(kind)}.md")
        site.places[PLUGINS / hook_of(kind)] = paths[-1]
        site.write(paths[-1], kinds.page(kind, parts[kind], recipes))
    return paths


def add_reference(site: Site) -> list[str]:
    """Add what the code says of its names, hooks, keys and commands."""
    paths = []
    for path, text in interface.pages():
        paths.append(path)
        site.write(path, text)
    return paths
