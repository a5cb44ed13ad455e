"""Pages of parts, a page a kind, from the docstrings of the parts and of their hooks."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from assembly import ROOT
from curves import curves
from links import title
from prose import escaped, first_line, markdown

from microgpt_lab.options.keys import format_default, is_default, option_descriptions
from microgpt_lab.options.presets import presets, read
from microgpt_lab.registry import hookspecs
from microgpt_lab.registry.hookspecs import KINDS, hook_of
from microgpt_lab.registry.parts import Part
from microgpt_lab.registry.plugins import registry

TITLES = {
    "mlp": "MLPs",
    "init": "Initializations",
    "scheduler": "Learning rate schedules",
    "dataset": "Data sets",
}
EXPERIMENTS = ROOT / "experiments"


def own_parts() -> dict[str, list[Part]]:
    """Return the parts that come with the lab by kind: the default ones first, then by name."""
    parts = [part for part in registry().parts.values() if part.first_party]
    order = sorted(parts, key=lambda part: (not is_default(part), part.name))
    return {kind: [part for part in order if part.kind == kind] for kind in KINDS}


def name_of(kind: str) -> str:
    """Return what the parts of a kind are called."""
    return TITLES.get(kind, hook_of(kind).capitalize())


def overview(parts: Mapping[str, list[Part]]) -> str:
    """Return the page that lists all kinds with their parts."""
    rows = [
        f"| [{name_of(kind)}](plugins/{hook_of(kind)}) | `{kind}=` | "
        + ", ".join(f"[`{part.name}`](plugins/{hook_of(kind)}#{part.name})" for part in parts[kind])
        + " |"
        for kind in KINDS
    ]
    head = "# All parts\n\nWrite `kind=name` on the command line. Default parts come first.\n"
    return "\n".join([head, "| kind | write | parts |", "|---|---|---|", *rows]) + "\n"


def page(kind: str, parts: list[Part], recipes: Mapping[tuple[str, str], list[Path]]) -> str:
    """Return the page of a kind. recipes: the folders of those that choose a part, by kind and name."""
    about = inspect.getdoc(getattr(hookspecs, hook_of(kind))) or ""
    paragraphs = re.split(r"\n\s*\n", about.partition("\n>>>")[0])[1:]
    head = f"# {name_of(kind)}\n\nThe key `{kind}` chooses one.\n\n" + markdown("\n\n".join(paragraphs))
    picture = curves(name_of(kind), parts, recipes)
    sections = (section(part, recipes.get((kind, part.name), [])) for part in parts)
    return "\n\n".join(filter(None, [head, picture, *sections])) + "\n"


def section(part: Part, recipes: list[Path]) -> str:
    """Return what there is to know of a part: its formula, its options, its source, its recipes."""
    docstring, sentences = inspect.getdoc(part.make) or "", option_descriptions(part.make)
    default = " This is the default." if is_default(part) else ""
    rest = markdown(docstring.partition("\n")[2], frozenset(part.options))
    blocks = [f"## {part.name}", first_line(docstring) + default, rest, options(part, sentences)]
    source = Path(inspect.getsourcefile(inspect.unwrap(part.make)) or "").relative_to(ROOT).as_posix()
    blocks.append(f"Source: [`{source}`]({source})")
    if recipes:
        shown = [
            f"[{title((folder / 'README.md').read_text('utf-8'))}]({relative(folder)})" for folder in recipes
        ]
        blocks.append("In recipes: " + " · ".join(shown))
    return "\n\n".join(filter(None, blocks))


def relative(folder: Path) -> str:
    """Return the path of a folder of the repository, from its root."""
    return folder.relative_to(ROOT).as_posix()


def options(part: Part, sentences: Mapping[str, str]) -> str:
    """Return the options of a part as a table; empty without any."""
    prefix = f"callback.{part.name}" if part.kind == "callback" else part.kind
    rows = [
        f"| `{prefix}.{name}` | {code(format_default(option.default))} | {escaped(sentences.get(name, ''))}"
        + (f" One of {', '.join(map(code, option.choices))}." if option.choices else "")
        + " |"
        for name, option in part.options.items()
    ]
    return "\n".join(["| option | default | |", "|---|---|---|", *rows]) if rows else ""


def code(value: Any) -> str:
    """Return a value as code; an empty text as such."""
    return f"`{value}`" if value != "" else "empty"


def recipes_by_part() -> dict[tuple[str, str], list[Path]]:
    """Return the folders of the recipes that choose a part, by its kind and name. Defaults do not count."""
    found: dict[tuple[str, str], list[Path]] = {}
    names = {kind: [part.name for part in parts] for kind, parts in own_parts().items()}
    names["model"] = list(presets())
    for file in sorted(EXPERIMENTS.glob("*/recipe.yaml")):
        chosen = set(choices(yaml.safe_load(file.read_text(encoding="utf-8")), names))
        models = [read(name) for kind, name in chosen if kind == "model"]
        chosen.update(choice for model in models for choice in model.parts.items())
        for choice in chosen:
            found.setdefault(choice, []).append(file.parent)
    return found


def choices(values: Any, names: Mapping[str, list[str]]) -> Iterator[tuple[str, str]]:
    """Yield each kind and name that a recipe chooses: as a key, or in a text such as 'mlp=glu bias=true'."""
    if isinstance(values, dict):
        for key, value in values.items():
            kind = str(key).rpartition("/")[2].removeprefix("override ")
            if kind in names and isinstance(value, (str, list)):
                given = value if isinstance(value, list) else value.split(",")
                yield from ((kind, name) for name in (names[kind] if given == ["glob(*)"] else given))
            yield from choices(value, names)
    elif isinstance(values, list):
        for value in values:
            yield from choices(value, names)
    elif isinstance(values, str):
        yield from ((k, n) for k, n in re.findall(r"(?:^|\s)(\w+)=(\w+)", values) if n in names.get(k, ()))
