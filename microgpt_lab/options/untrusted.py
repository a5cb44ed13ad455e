"""Read untrusted configuration files: YAML of limited size that cannot run code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import yaml

from microgpt_lab.errors import UserError

# LibYAML, if PyYAML was built with it, loads 10 times and dumps 4 times as fast.
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
LONGEST, DEEPEST = 200_000, 30  # characters, levels
# Keys that make Hydra or logging call code that a file names, or read other files.
CODE = ("_target_", "()", "searchpath", "job_logging", "hydra_logging", "env_set", "callbacks")
HYDRA = ("mode", "run", "sweep", "sweeper")  # the keys of Hydra that a recipe may set
RESOLVER = re.compile(r"\$\{[^}]*[:$]")  # a resolver calls a function; nested ones can hide its name
DIGITS = re.compile(r"[-+]?[0-9][\w:.]{1000}")  # Python refuses to print more than 4,300 digits
PACKAGE = re.compile(r"^\s*#\s*@package\s+(\S+)", re.MULTILINE)


def load(text: str, where: object) -> Any:
    """Return the content of YAML. UserError if it is not valid, too long, too deep, or has an alias."""
    try:
        if len(text) > LONGEST:
            raise UserError(f"{where} is longer than {LONGEST:,} characters")
        depth = 0
        for event in yaml.parse(text, LOADER):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > DEEPEST:
                raise UserError(f"{where} is nested deeper than {DEEPEST} levels")
            if isinstance(event, yaml.AliasEvent):
                raise UserError(f"{where} has an alias (*{event.anchor}): write out its content")
            if isinstance(event, yaml.ScalarEvent) and DIGITS.match(event.value):
                raise UserError(f"{where} has a number of {len(event.value):,} digits")
        return yaml.load(text, LOADER)
    except (yaml.YAMLError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or str(error).partition("\n")[0]
        if "nesting depth" in problem:  # newer versions of LibYAML have their own limit
            raise UserError(f"{where} is nested deeper than {DEEPEST} levels") from None
        line = f", line {mark.line + 1}" if mark else ""
        raise UserError(f"{where}{line}: {problem}") from None
    except (LookupError, AttributeError, TypeError):  # PyYAML raises them for "!!int ''" and similar
        raise UserError(f"{where} has a value that does not fit its tag") from None


def dump(content: Any, *, ascii: bool = False) -> str:
    """Return content as YAML with its keys in order. With `ascii`, other characters are escaped."""
    return yaml.dump(content, Dumper=DUMPER, sort_keys=False, allow_unicode=not ascii)


def check(text: str, where: object) -> Any:
    """Return the content of a configuration file. UserError if it could run code or read other files."""
    content = load(text, where)
    if (package := PACKAGE.search(text)) and package[1] not in ("_global_", "_group_"):
        raise UserError(f"{where} has '# @package {package[1]}': write '# @package _global_'")
    for key in all_keys(content):
        refuse_code(str(key), where)
    for value in all_strings(content):
        if RESOLVER.search(value):
            raise UserError(
                f"{where}: {value} is refused: an interpolation can only name a key, such as ${{layers}}"
            )
    hydra = content.get("hydra") if isinstance(content, dict) else None
    for key in hydra if isinstance(hydra, dict) else ():
        if key not in HYDRA:
            allowed = ", ".join(f"hydra.{name}" for name in HYDRA)
            raise UserError(f"{where} has the key 'hydra.{key}': a configuration file can only set {allowed}")
    for entry in all_strings(content.get("defaults") if isinstance(content, dict) else None):
        if ".." in entry or entry.startswith("/"):
            raise UserError(f"{where}: '{entry}' in its defaults is a path: write a name")
    return content


def refuse_code(text: str, where: object) -> None:
    """Raise UserError if a key names code."""
    if words := set(re.split(r"[^\w()]+", text)) & set(CODE):
        raise UserError(
            f"{where} has the key '{words.pop()}', which names code: a configuration can only name parts"
        )


def all_keys(tree: Any) -> Iterator[Any]:
    """Yield the keys of all dictionaries in nested dictionaries and lists."""
    for key, branch in tree.items() if isinstance(tree, dict) else ():
        yield key
        yield from all_keys(branch)
    for branch in tree if isinstance(tree, list) else ():
        yield from all_keys(branch)


def all_strings(tree: Any) -> Iterator[str]:
    """Yield all strings, except keys, in nested dictionaries and lists."""
    if isinstance(tree, str):
        yield tree
    for branch in tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ():
        yield from all_strings(branch)
