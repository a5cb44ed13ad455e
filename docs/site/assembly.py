"""Collect what the site is made of: pages in Markdown, with links among them, and the files that they show.

A page of the repository links to other files of it, which a code host shows. Each such file becomes a page
or is copied, and links lead there. So does what these pages link to in turn.
"""

from __future__ import annotations

import ast
import json
import os
from collections import deque
from functools import partial
from pathlib import Path

from links import is_local, rewrite

ROOT = Path(__file__).parents[2]
PICTURES = (".svg", ".png")
LANGUAGES = {".py": "python", ".h": "c", ".c": "c", ".yaml": "yaml", ".json": "json", ".toml": "toml"}
UNSEARCHED = "---\nsearch:\n  exclude: true\n---\n\n"  # of a page whose words would drown those of others
SITE = "site:"  # how a page that exists only on the site links to another such page


class Site:
    """The pages of the site by their paths, in Markdown, and the files that are copied to it.

    `places` has the path on the site of each file and folder of the repository that is shown.
    """

    def __init__(self) -> None:
        self.pages: dict[str, str] = {}
        self.files: dict[str, Path] = {}
        self.places: dict[Path, str] = {ROOT / "README.md": "index.md"}
        self.waiting: deque[tuple[str, Path, str]] = deque()  # path, folder of its links, text

    def show(self, source: Path, path: str) -> None:
        """Show a page or file of the repository at a path of the site."""
        self.places[source] = path
        if source.suffix in PICTURES:
            self.files[path] = source
        elif source.is_dir():
            self.write(path, folder_page(source), source)
        else:
            self.write(path, page_of(source), source.parent)

    def write(self, path: str, text: str, folder: Path = ROOT) -> None:
        """Add a page, whose links are relative to a folder of the repository."""
        self.waiting.append((path, folder, text))

    def finish(self) -> None:
        """Rewrite the links of all pages, and show what they lead to."""
        while self.waiting:
            path, folder, text = self.waiting.popleft()
            self.pages[path] = rewrite(text, partial(self.target, path, folder))

    def target(self, path: str, folder: Path, link: str) -> str:
        """Return a link of the page at `path`, which is relative to a folder, as it must be on the site."""
        if link.startswith(SITE):
            return os.path.relpath(link.removeprefix(SITE), Path(path).parent)
        if not is_local(link):
            return link
        name, mark, anchor = link.partition("#")
        source = Path(os.path.normpath(folder / name))
        if not source.exists():
            raise ValueError(f"{path} links to {link}, which does not exist")
        if source not in self.places:
            self.show(source, place(source))
        return os.path.relpath(self.places[source], Path(path).parent) + mark + anchor


def place(source: Path) -> str:
    """Return the path on the site of a file or folder of the repository that has no place of its own."""
    path = source.relative_to(ROOT).as_posix().lstrip(".")  # Zensical leaves out hidden folders
    if source.is_dir():
        return f"source/{path}/index.md"
    if source.suffix in PICTURES or source.suffix == ".md":
        return path.removeprefix("docs/").replace("experiments/", "answers/", 1)
    return f"source/{path}.md"


def page_of(source: Path) -> str:
    """Return a file as a page: Markdown as it is, a notebook with its results, all else as code."""
    text = source.read_text(encoding="utf-8")
    if source.suffix == ".md":
        return text
    if source.suffix == ".ipynb":
        return notebook(text)
    name = source.relative_to(ROOT).as_posix()
    fence = "`" * (3 if "```" not in text else 8)
    language = LANGUAGES.get(source.suffix, "text")
    return f'{UNSEARCHED}# `{name}`\n\n{fence} {{ .{language} linenums="1" }}\n{text.rstrip()}\n{fence}\n'


def folder_page(folder: Path) -> str:
    """Return a list of the modules of a folder, with what each says of itself."""
    lines = [f"{UNSEARCHED}# `{folder.relative_to(ROOT).as_posix()}/`\n"]
    for file in sorted(folder.glob("*.py")):
        docstring = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
        lines.append(f"- [`{file.name}`]({file.name}): {docstring.partition(chr(10))[0]}")
    return "\n".join(lines) + "\n"


def notebook(text: str) -> str:
    """Return a Jupyter notebook as a page, with what its cells have shown."""
    blocks = []
    for cell in json.loads(text)["cells"]:
        source = "".join(cell["source"])
        blocks.append(source if cell["cell_type"] == "markdown" else f"```python\n{source}\n```")
        for output in cell.get("outputs", ()):
            data = output.get("data", {"text/plain": output.get("text", "")})
            shown, plain = ("".join(data.get(kind, "")) for kind in ("text/html", "text/plain"))
            blocks.append(f"<div>{' '.join(shown.split())}</div>" if shown else f"```text\n{plain}\n```")
    return "\n\n".join(blocks) + "\n"
