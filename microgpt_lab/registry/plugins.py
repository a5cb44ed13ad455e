"""Find plugins, collect their parts, and build parts by name."""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.metadata
import importlib.util
import inspect
import sys
import time
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.metadata import Distribution
from pathlib import Path
from typing import Any, NamedTuple

import pluggy

from microgpt_lab.core.reprs import call_repr
from microgpt_lab.errors import UserError, printable, suggest
from microgpt_lab.registry import hookspecs
from microgpt_lab.registry.automatic import AUTO, fastest
from microgpt_lab.registry.folders import FIRST_PARTY, plugin_folders, warn_if_unsafe
from microgpt_lab.registry.hookspecs import KINDS, hook_of
from microgpt_lab.registry.parts import Part, part_name, unavailable
from microgpt_lab.registry.synonyms import OPTION_OF, PART_OF
from microgpt_lab.registry.versions import TooNew, advice, check_version

SLOW = 3.0  # seconds to import


@dataclass(repr=False)
class Registry:
    """The parts and plugins that were found.

    parts: by kind and name.
    clashes: an error message for each kind and name that two plugins define.
    skipped: the reason for each plugin that failed, by its name.
    slow: seconds that a slow plugin took to import, by its name.
    plugins: the imported plugin modules. Some of them implement hooks of a run.
    without_parts: names of plugins that define no part.
    """

    parts: dict[tuple[str, str], Part] = field(default_factory=dict)
    clashes: dict[tuple[str, str], str] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    slow: dict[str, float] = field(default_factory=dict)
    plugins: list[Any] = field(default_factory=list)
    without_parts: list[str] = field(default_factory=list)

    def __repr__(self) -> str:
        counts = ", ".join(f"{len(self.names(kind))} {hook_of(kind)}" for kind in KINDS)
        return f"Registry({counts}; {len(self.skipped)} plugins skipped)"

    def names(self, kind: str) -> list[str]:
        """Return the names of all parts of a kind, sorted."""
        return sorted(name for k, name in self.parts if k == kind)

    @property
    def choices(self) -> dict[tuple[str, str], Part]:
        """All that can be chosen, by kind and name: the parts, and `backend=auto`."""
        return self.parts | {(AUTO.kind, AUTO.name): AUTO}

    def get(self, kind: str, name: str) -> Part:
        """Return a part; for `backend=auto`, the one that it stands for here.

        UserError, with a suggestion, if there is none of this name.
        """
        if (kind, name) in self.clashes:
            raise UserError(self.clashes[kind, name])
        if (kind, name) == (AUTO.kind, AUTO.name):
            name = fastest(self.parts)
        if (kind, name) in self.parts:
            return self.parts[kind, name]
        if (kind, name.lower()) in self.parts:
            raise UserError(f"{kind}={name} is unknown; did you mean '{name.lower()}'?")
        if why := self.skipped_as(name):
            raise UserError(f"{kind}={name}: {why}")
        if any(plugin.rpartition(".")[2] == name for plugin in self.without_parts):
            raise UserError(
                f"{kind}={name} is unknown: its file needs a function {hook_of(kind)}() with @hookimpl"
            )
        if advice := OPTION_OF.get((kind, name.lower())):
            raise UserError(f"{kind}={name} is unknown: {advice}")
        names = [name for k, name in self.choices if k == kind]
        raise UserError(f"{kind}={name} is unknown{suggest(name, names, PART_OF.get(kind))}")

    def skipped_as(self, name: str) -> str:
        """Say why a plugin whose last name this is was skipped; '' if none was."""
        found = ((plugin, why) for plugin, why in self.skipped.items() if plugin.rpartition(".")[2] == name)
        return next((f"plugin {plugin} was skipped: {why}" for plugin, why in found), "")

    def add(self, part: Part) -> None:
        """Add a part, or remember the clash if its name is taken."""
        key = part.kind, part.name
        if key in self.choices:
            both = f"{self.choices[key].provider} and {part.provider}"
            self.clashes[key] = f"{part.kind}={part.name} is defined twice, by {both}: remove or rename one"
        else:
            self.parts[key] = part


class Found(NamedTuple):
    """A plugin before its import, with the function that imports it."""

    name: str
    load: Callable[[], Any]
    module: str
    distribution: Distribution | None = None


def find_plugins() -> Iterator[Found]:
    """Yield the plugins in the folders, then those of installed packages."""
    for package, folder in plugin_folders():
        if folder.is_dir() and package != FIRST_PARTY:  # who can write there can change the lab itself anyway
            warn_if_unsafe(folder)
        yield from plugins_of(package, folder)
    for entry in importlib.metadata.entry_points(group="microgpt_lab"):
        name = f"{entry.value} ({entry.dist.name if entry.dist else entry.name})"
        yield Found(name, entry.load, entry.module, entry.dist)


def plugins_of(package: str, folder: Path) -> Iterator[Found]:
    """Yield the plugins of a folder, whose files are imported as modules of this package."""
    if not folder.is_dir():
        yield Found(str(folder), functools.partial(missing, folder), "")
        return
    mount(package, folder)
    for path in plugin_paths(folder):
        name = ".".join((package, *path.parts))
        yield Found(name, functools.partial(importlib.import_module, name), name)


def mount(package: str, folder: Path) -> None:
    """Let the files of a folder be importable as modules of this package, by name, in every process."""
    module = types.ModuleType(package)
    module.__path__ = [str(folder)]
    sys.modules[package] = module


def plugin_paths(folder: Path) -> Iterator[Path]:
    """Yield the plugins of a folder, relative to it and without suffix: each file without leading underscore.

    A package whose `__init__.py` implements hooks is one plugin, together with its other files. What has a
    `pyproject.toml` is to be installed, and is left out with its tests.
    """
    projects = {file.parent for file in folder.rglob("*/pyproject.toml")}
    files = [file for file in sorted(folder.rglob("*.py")) if projects.isdisjoint(file.parents)]
    inits = (file for file in files if file.name == "__init__.py")
    packages = {file.parent for file in inits if "hookimpl" in file.read_text("utf-8", "replace")}
    paths = [*packages, *(file.with_suffix("") for file in files if packages.isdisjoint(file.parents))]
    for path in sorted(path.relative_to(folder) for path in paths):
        if not any(name.startswith(("_", ".")) for name in path.parts):
            yield path


def missing(folder: Path) -> None:
    raise FileNotFoundError(f"the folder {folder} does not exist")


def collect(module: Any, provider: str, distribution: Distribution | None = None) -> list[Part]:
    """Return the parts that a module's hooks define.

    TypeError if a hook or a part is not valid, TooNew if the module is written for a newer lab.
    """
    check_version(module)
    manager = pluggy.PluginManager("microgpt_lab")
    manager.add_hookspecs(hookspecs)
    manager.register(module)
    manager.check_pending()
    for caller in manager.get_hookcallers(module) or ():
        for impl in caller.get_hookimpls():
            if impl.kwargnames:  # pluggy would never pass them
                arguments = ", ".join(impl.kwargnames)
                raise TypeError(f"hook {caller.name} must not have arguments with defaults: {arguments}")
    parts = []
    for kind in KINDS:
        for makers in getattr(manager.hook, hook_of(kind))():
            if not isinstance(makers, list) or not all(callable(make) for make in makers):
                raise TypeError(f"hook {hook_of(kind)} must return a list of functions or classes")
            parts += [Part(kind, part_name(make), make, provider, module, distribution) for make in makers]
    for part in parts:
        part.options  # noqa: B018  raises TypeError for an option that cannot be configured
        if inspect.isclass(part.make) and part.make.__repr__ is object.__repr__:
            part.make.__repr__ = call_repr  # so that authors need not write one
    return parts


@functools.cache
def find(finder: Callable[[], Iterator[Found]]) -> Registry:
    """Import plugins and collect their parts. A plugin that fails is skipped, with its reason."""
    result = Registry()
    for found in finder():
        name, start = found.name, time.perf_counter()
        try:
            with contextlib.redirect_stdout(sys.stderr):  # standard output is for the command's result
                module = found.load()
                parts = collect(module, name, found.distribution)
        except TooNew as error:
            result.skipped[name] = str(error)
        except (Exception, SystemExit) as error:
            result.skipped[name] = why_skipped(error) + advice(source(found.module))
        else:
            for part in parts:
                result.add(part)
            result.plugins.append(module)
            if not parts:
                result.without_parts.append(name)
        if (seconds := time.perf_counter() - start) > SLOW:
            result.slow[name] = seconds
    return result


def why_skipped(error: BaseException) -> str:
    """Say in a line why a plugin cannot be used."""
    if isinstance(error, ModuleNotFoundError):
        return unavailable(error)
    return printable(" ".join(f"{type(error).__name__}: {error}".split())[:300])


def source(module: str) -> str:
    """Return the text of a module, also of one that cannot be imported; '' if it is not found."""
    while module:
        with contextlib.suppress(Exception, SystemExit):
            spec = importlib.util.find_spec(module)
            return Path(spec.origin).read_text("utf-8", "replace") if spec and spec.origin else ""
        module = module.rpartition(".")[0]
    return ""


_isolated: list[Registry] = []  # by `only`, the innermost last


def registry() -> Registry:
    """Return the plugins and parts that are installed; inside of `only`, those that it leaves."""
    return _isolated[-1] if _isolated else find(find_plugins)


@contextlib.contextmanager
def only(*modules: Any) -> Iterator[None]:
    """Let the registry have nothing but the lab's own parts and those of these modules, for a while.

    Where a part has the name of one of the lab's, the lab's is found.
    """
    lab = find(plugins_of_lab)
    isolated = Registry(dict(lab.parts), plugins=[*lab.plugins, *modules])
    for part in (part for module in modules for part in collect(module, module.__name__)):
        isolated.parts.setdefault((part.kind, part.name), part)
    _isolated.append(isolated)
    try:
        yield
    finally:
        _isolated.pop()


def plugins_of_lab() -> Iterator[Found]:
    """Yield the plugins that come with the lab."""
    package, folder = next(plugin_folders())
    return plugins_of(package, folder)


def part(kind: str, name: str, **options: Any) -> Any:
    """Build a part. UserError if the kind, the name or an option is unknown.

    >>> gelu = part("activation", "gelu", approximate="tanh")
    """
    if kind not in KINDS:
        raise UserError(f"'{kind}' is not a kind of part{suggest(kind, KINDS)}")
    return registry().get(kind, name).build(**options)
