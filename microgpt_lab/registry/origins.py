"""Where a part comes from: the distribution, its version and licence, and the file."""

from __future__ import annotations

import functools
import importlib.metadata
import sys
from importlib.metadata import Distribution
from typing import Any, NamedTuple

from microgpt_lab.registry.parts import Part
from microgpt_lab.registry.versions import stated

LONGEST_LICENCE = 60  # characters


class Origin(NamedTuple):
    """What is known of a part's origin; '' where nothing is.

    distribution: the installed package, by the name that pip uses; '' for a file in a folder of plugins.
    version: that of the distribution; of a file, its `__version__`.
    hooks: the version of the hooks that it was written for; None if it states none.
    """

    distribution: str
    version: str
    licence: str
    file: str
    hooks: int | None


@functools.cache  # reading metadata takes a millisecond, and a sweep has many jobs
def origin(part: Part) -> Origin:
    """Return where a part comes from."""
    installed = own_distribution() if part.first_party else part.distribution
    module = sys.modules.get(part.make.__module__)
    file = getattr(module, "__file__", None) or ""
    if installed is None:
        version = getattr(part.plugin, "__version__", "")
        return Origin("", version if isinstance(version, str) else "", "", file, stated(part.plugin))
    return Origin(installed.name, installed.version, licence(installed), file, stated(part.plugin))


def licence(installed: Distribution) -> str:
    """Return the licence that the metadata of a distribution names: an SPDX expression, or else words."""
    metadata: Any = installed.metadata  # a message, as of e-mail
    classifiers = (text.split(" :: ") for text in metadata.get_all("Classifier") or ())
    named = [words[-1] for words in classifiers if words[0] == "License"]
    stated = (metadata.get("License-Expression") or metadata.get("License") or "").strip()
    if named and ("\n" in stated or not stated):  # some have the whole text as their licence's name
        return named[0]
    return stated.partition("\n")[0][:LONGEST_LICENCE]


@functools.cache
def own_distribution() -> Distribution | None:
    """Return the lab's own; None in a folder that is not installed."""
    try:
        return importlib.metadata.distribution("microgpt-lab")
    except importlib.metadata.PackageNotFoundError:
        return None
