"""Where a new part is written: a folder of its own, or one file in a folder of plugins."""

from __future__ import annotations

from pathlib import Path

from microgpt_lab.errors import UserError
from microgpt_lab.registry import folders
from microgpt_lab.registry.hookspecs import hook_of


def plugin_file(kind: str, name: str, place: Path) -> Path | None:
    """Return the file of a new part if a place is in a folder of plugins; None if it is not.

    In the lab's checkout, a part belongs into the folder of its kind. UserError if the lab would not load a
    file of this place.
    """
    if not (folder := plugin_folder(place)):
        return None
    path = (folder / hook_of(kind) if folder == checkout_plugins() else place) / f"{name}.py"
    for parent in path.parents[: len(path.relative_to(folder).parents) - 1]:
        if parent.name.startswith(("_", ".")):
            raise UserError(f"{parent} is no place for a part: no plugins are loaded from '{parent.name}'")
        init = parent / "__init__.py"
        if init.is_file() and "hookimpl" in init.read_text("utf-8", "replace"):
            raise UserError(f"{parent} is one plugin, with all of its files: choose another folder")
    return path


def plugin_folder(place: Path) -> Path | None:
    """Return the folder of plugins that a place is in, or None. Those of an installed lab do not count."""
    theirs = [path for package, path in folders.plugin_folders() if package != folders.FIRST_PARTY]
    found = [checkout_plugins(), (folders.home() / "plugins").resolve(), *theirs]
    return next((folder for folder in found if folder and place.is_relative_to(folder)), None)


def checkout_plugins() -> Path | None:
    """Return the folder of the lab's own parts, if the lab runs from a checkout."""
    return (folders.CHECKOUT / "plugins").resolve() if folders.CHECKOUT else None
