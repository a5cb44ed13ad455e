"""Find the plugins of a file, a folder, a project or a package, without those that are installed."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import pkgutil
import sys
import tomllib
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any

from microgpt_lab.errors import UserError
from microgpt_lab.registry.parts import unavailable
from microgpt_lab.registry.plugins import mount, plugins_of, source
from microgpt_lab.registry.versions import advice

MOUNT = "microgpt_lab_checked"  # the package that files of a plugin folder belong to


def plugins_in(module: Any) -> list[Any]:
    """Return the module; of a package that implements no hook, its modules that do."""
    if not hasattr(module, "__path__") or implements_hooks(module):
        return [module]
    inside = pkgutil.walk_packages(module.__path__, f"{module.__name__}.")
    names = [info.name for info in inside if mentions_hooks(info.name)]
    return [each for each in map(importlib.import_module, names) if implements_hooks(each)]


def implements_hooks(module: Any) -> bool:
    return any(hasattr(value, "microgpt_lab_impl") for value in vars(module).values())


def mentions_hooks(name: str) -> bool:
    """Whether the source of a module has the word hookimpl. Others need not be imported."""
    spec = importlib.util.find_spec(name)
    return bool(spec and spec.origin and b"hookimpl" in Path(spec.origin).read_bytes())


def plugins_at(path: Path) -> list[ModuleType]:
    """Import the plugins of a file, of a package, of a project with entry points, or of a plugin folder.

    UserError if one of them cannot be imported.
    """
    path = path.resolve()
    if (names := entry_points(path)) is not None:
        return [plugin for name in names for plugin in plugins_in(imported(name, path / "src", path))]
    module = path.with_suffix("") if path.is_file() else path
    top = module
    while (top.parent / "__init__.py").is_file():
        top = top.parent
    if top != module or (path / "__init__.py").is_file():
        name = ".".join(module.relative_to(top.parent).parts).removesuffix(".__init__")
        return plugins_in(imported(name, top.parent))
    if path.is_file():
        mount(MOUNT, path.parent)
        return [explained(path.name, f"{MOUNT}.{module.name}")]
    found = plugins_of(MOUNT, path)
    return [explained(each.name.removeprefix(f"{MOUNT}."), each.module) for each in found]


def entry_points(path: Path) -> list[str] | None:
    """Return the modules that a project offers as plugins; None if the folder is no project."""
    try:
        project = tomllib.loads((path / "pyproject.toml").read_text(encoding="utf-8"))
        offered = project.get("project", {}).get("entry-points", {}).get("microgpt_lab", {})
        return [str(value).partition(":")[0].strip() for value in offered.values()] or None
    except OSError:
        return None
    except (ValueError, AttributeError) as error:  # no TOML, or another type where a table belongs
        raise UserError(f"{path / 'pyproject.toml'} cannot be read: {error}") from None


def imported(name: str, *folders: Path) -> ModuleType:
    """Import a module, if these folders have it from there. UserError if it cannot be imported."""
    sys.path[:0] = [str(folder) for folder in folders if folder.is_dir()]
    return explained(name, name)


def explained(what: str, module: str) -> ModuleType:
    """Import a plugin. UserError, with the line that raised and what changed since, if that fails."""
    try:
        with contextlib.redirect_stdout(sys.stderr):
            return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise UserError(f"{what} is {unavailable(error)}{advice(source(module))}") from None
    except (Exception, SystemExit) as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        place = "" if isinstance(error, SyntaxError) else f" ({Path(frame.filename).name}:{frame.lineno})"
        why = f"{type(error).__name__}: {error}{place}{advice(source(module))}"
        raise UserError(f"{what} cannot be imported: {why}") from None
