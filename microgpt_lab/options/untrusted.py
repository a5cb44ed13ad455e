"""Configuration files are data: YAML that is small, plain, and names no code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import yaml

from microgpt_lab.errors import UserError

# LibYAML's, where they are built: ten and four times as fast.
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
LONGEST, DEEPEST = 200_000, 30  # characters, levels
# With these, Hydra and logging import and call what a file names, or read other files.
CODE = ("_target_", "()", "searchpath", "job_logging", "hydra_logging", "env_set", "callbacks")
HYDRA = ("mode", "run", "sweep", "sweeper")  # what a recipe may set of Hydra's own
RESOLVER = re.compile(r"\$\{[^}]*[:$]")  # it calls a function; and one within another may hide its name
DIGITS = re.compile(r"[-+]?[0-9][\w:.]{1000}")  # Python shows no more than 4300 of a number
PACKAGE = re.compile(r"^\s*#\s*@package\s+(\S+)", re.MULTILINE)


def load(text: str, where: object) -> Any:
    """What the YAML says. UserError if it is too long or too deep, or repeats itself by aliases."""
    try:
        if len(text) > LONGEST:
            raise UserError(f"{where} is longer than {LONGEST:,} characters")
        depth = 0
        for event in yaml.parse(text, LOADER):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > DEEPEST:
                raise UserError(f"{where} is deeper than {DEEPEST} levels")
            if isinstance(event, yaml.AliasEvent):
                raise UserError(f"{where} has an alias (*{event.anchor}): write it out")
            if isinstance(event, yaml.ScalarEvent) and DIGITS.match(event.value):
                raise UserError(f"{where} has a number of {len(event.value):,} digits")
        return yaml.load(text, LOADER)
    except (yaml.YAMLError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or str(error).partition("\n")[0]
        if "nesting depth" in problem:  # newer LibYAMLs count too
            raise UserError(f"{where} is deeper than {DEEPEST} levels") from None
        line = f", line {mark.line + 1}" if mark else ""
        raise UserError(f"{where}{line}: {problem}") from None
    except (LookupError, AttributeError, TypeError):  # of PyYAML, for "!!int ''" and the like
        raise UserError(f"{where} has a value that does not fit its tag") from None


def dump(content: Any, *, ascii: bool = False) -> str:
    """The content as YAML, keys in their order; with `ascii`, all other characters as escapes."""
    return yaml.dump(content, Dumper=DUMPER, sort_keys=False, allow_unicode=not ascii)


def check(text: str, where: object) -> Any:
    """What a configuration file says. UserError if it would have code run, or reaches beside its folder."""
    content = load(text, where)
    if (package := PACKAGE.search(text)) and package[1] not in ("_global_", "_group_"):
        raise UserError(f"{where} is of the package {package[1]}: it may be _global_ only")
    for key in keys(content):
        refuse_code(str(key), where)
    for value in texts(content):
        if RESOLVER.search(value):
            raise UserError(f"{where}: {value} is refused: interpolations name keys, such as ${{layers}}")
    hydra = content.get("hydra") if isinstance(content, dict) else None
    for key in hydra if isinstance(hydra, dict) else ():
        if key not in HYDRA:
            raise UserError(f"{where} has the key 'hydra.{key}': of Hydra's, it may set {', '.join(HYDRA)}")
    for entry in texts(content.get("defaults") if isinstance(content, dict) else None):
        if ".." in entry or entry.startswith("/"):
            raise UserError(f"{where}: '{entry}' in its defaults is no name")
    return content


def refuse_code(text: str, where: object) -> None:
    if words := set(re.split(r"[^\w()]+", text)) & set(CODE):
        raise UserError(
            f"{where} has the key '{words.pop()}', which names code: a configuration names parts only"
        )


def keys(tree: Any) -> Iterator[Any]:
    for key, branch in tree.items() if isinstance(tree, dict) else ():
        yield key
        yield from keys(branch)
    for branch in tree if isinstance(tree, list) else ():
        yield from keys(branch)


def texts(tree: Any) -> Iterator[str]:
    if isinstance(tree, str):
        yield tree
    for branch in tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ():
        yield from texts(branch)
