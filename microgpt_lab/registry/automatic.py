"""`backend=auto`: the fastest backend that this machine has."""

from __future__ import annotations

from collections.abc import Mapping

from microgpt_lab.registry.folders import FIRST_PARTY
from microgpt_lab.registry.parts import Part

ORDER = ("c", "numpy")  # the fastest first; one that some machines lack has a function `available`


def fastest(parts: Mapping[tuple[str, str], Part]) -> str:
    """The fastest backend here: c where a C compiler is found, else numpy. Runs record which was taken."""
    found = ((name, parts.get(("backend", name))) for name in ORDER)
    return next(name for name, part in found if part and getattr(part.make, "available", lambda: True)())


AUTO = Part("backend", "auto", fastest, f"{FIRST_PARTY}.backends")  # as it is listed and explained
