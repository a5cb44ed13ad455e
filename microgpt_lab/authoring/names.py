"""Which kinds and names a new part may have."""

from __future__ import annotations

import ast
import importlib.util
import keyword
import re
import sys

from microgpt_lab.authoring.package import class_name, part_source
from microgpt_lab.errors import UserError, suggest
from microgpt_lab.registry.hookspecs import KINDS, hook_of
from microgpt_lab.registry.plugins import registry

LONGEST = 40
# What YAML and Hydra read as a value: activation=on would be activation=true.
VALUES = {"null", "true", "false", "on", "off", "yes", "no", "nan", "inf"}


def check_kind(kind: str, name: str) -> None:
    """Raise UserError if there is no such kind of part, with the one that is probably meant."""
    if kind in KINDS:
        return
    if name in KINDS:
        raise UserError(f"the kind comes first: new {name} {kind}")
    plurals = {hook_of(each): each for each in KINDS}
    raise UserError(f"'{kind}' is not a kind of part{suggest(kind, KINDS, plurals)}")


def check_name(kind: str, name: str) -> None:
    """Raise UserError if a part of this kind cannot have the name, or if there is one already."""
    if not re.fullmatch(r"[a-z]([a-z0-9_]*[a-z0-9])?", name):
        raise UserError(
            f"'{name}' cannot be the name of a part: write letters from a to z in lower case, digits "
            f"and _, with a letter first{did_you_mean(name)}"
        )
    if len(name) > LONGEST:
        raise UserError(f"'{name}' is too long: the name of a part has at most {LONGEST} characters")
    if keyword.iskeyword(name):
        raise UserError(f"'{name}' is a word of Python's own: choose another name")
    if name in VALUES:
        raise UserError(f"{kind}={name} would be read as a value, not as a name: choose another one")
    check_free(kind, name)
    if {name, class_name(name)} & identifiers(part_source(kind, "my_part")):
        raise UserError(
            f"the code of a new {kind} uses the name '{name}' for something else: choose another one"
        )


def check_free(kind: str, name: str) -> None:
    """Raise UserError if a part of this kind has the name, and say whose it is."""
    if (kind, name) in registry().clashes:
        raise UserError(registry().clashes[kind, name])
    if taken := registry().choices.get((kind, name)):
        whose = "comes with the lab" if taken.first_party else f"is defined by {taken.provider}"
        raise UserError(f"{kind}={name} {whose}: choose another name")


def check_module(kind: str, name: str) -> None:
    """Raise UserError if a package cannot have a module of this name, because another module has it."""
    if name in sys.stdlib_module_names:
        raise UserError(f"'{name}' is a module of Python's standard library: choose another name")
    spec = importlib.util.find_spec(name)
    if spec and spec.origin:  # none if it is only a folder
        raise UserError(
            f"the module '{name}' exists, {spec.origin}: choose another name, such as '{name}_{kind}'"
        )


def did_you_mean(name: str) -> str:
    """Return the end of an error message with a name like this one that is allowed; '' if there is none."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)  # SwishBeta: swish_beta
    plain = re.sub(r"[^a-z0-9]+", "_", words.lower()).strip("_0123456789")
    return f"; did you mean '{plain}'?" if plain and name.isascii() else ""


def identifiers(source: str) -> set[str]:
    """Return all names that a module defines or uses."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        fields = (getattr(node, field, None) for field in ("id", "arg", "attr", "name"))
        found |= {field for field in fields if isinstance(field, str)}
    return found
