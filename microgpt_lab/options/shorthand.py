"""Short forms of arguments on the command line, written out for Hydra."""

from __future__ import annotations

import re

from microgpt_lab.options.keys import defaults

REST = re.compile(r"\s*(?:\.\.\.|…)\s*")
COMMA = re.compile(r",(?![^\[]*\])")  # not the one in wq[2,5]


def expand(argument: str) -> list[str]:
    """Return an argument as Hydra gets it.

    until=…            a key of the sweeper
    callback=[...,A]   the default callbacks, and A
    watch=[N,M]        the callback watch beside the chosen ones, with these numbers
    """
    key, equals, value = argument.partition("=")
    key, value = key.lstrip("+"), value.strip()
    if not equals:
        return [argument]
    if key == "until":
        return [f"hydra.sweeper.until={value}"]
    if key == "callback" and value.startswith("[") and REST.search(value):
        names = [name for item in value.strip("[]").split(",") for name in written_out(item)]
        return [f"callback=[{','.join(dict.fromkeys(names))}]"]
    if key == "watch":
        numbers = value[1:-1] if value.startswith("[") else value
        names = " ".join(re.sub(r"\s", "", name) for name in COMMA.split(numbers))
        return ["+callback@callback.watch=watch", f"callback.watch.numbers='{names}'"]
    return [argument]


def written_out(name: str) -> list[str]:
    """The callbacks that an item of a list stands for."""
    return defaults()["callback"] if REST.fullmatch(name) else [name.strip()]
