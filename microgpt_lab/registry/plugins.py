"""Find, check, name and build the parts that plugins offer."""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.metadata
import inspect
import os
import stat
import sys
import time
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pluggy

from microgpt_lab.core.reprs import called
from microgpt_lab.errors import UserError, printable, suggest
from microgpt_lab.registry import hookspecs
from microgpt_lab.registry.extras import CHECKOUT, HERE, install_module
from microgpt_lab.registry.synonyms import PART_OF

KINDS = ("activation", "norm", "optimizer", "scheduler", "dataset", "backend", "callback")
EVENTS = ("run_started", "step_finished", "evaluated", "should_stop", "checkpoint_saved", "run_finished")
OURS = "microgpt_lab_plugins"  # the package of our parts
SLOW = 3.0  # seconds to import
SAID = "MICROGPT_LAB_SAID"  # folders of plugins that were warned of, told to all workers


def home() -> Path:
    """The user's own lab folder, which may hold plugins/, conf/ and experiments/."""
    return Path(os.environ.get("MICROGPT_LAB_HOME") or "~/.microgpt_lab").expanduser()


@dataclass(frozen=True)
class Option:
    """A keyword-only parameter of a part: a value that can be configured."""

    type: Any
    default: Any

    @property
    def choices(self) -> tuple[Any, ...]:
        """The values of a Literal."""
        return typing.get_args(self.type) if typing.get_origin(self.type) is typing.Literal else ()


class Bound(functools.partial):
    """A function with its options bound: a part as it is built."""

    __repr__ = called


@dataclass(frozen=True, repr=False)
class Part:
    kind: str
    name: str
    make: Callable[..., Any]
    provider: str

    def __repr__(self) -> str:
        return f"Part({self.kind}={self.name}, of {self.provider})"

    @property
    def ours(self) -> bool:
        """Whether it comes with the lab."""
        return self.provider.startswith(f"{OURS}.")

    @property
    def summary(self) -> str:
        """The first line of its docstring."""
        return (inspect.getdoc(self.make) or "").partition("\n")[0]

    @property
    def options(self) -> Mapping[str, Option]:
        return options_of(self.make)

    def build(self, **options: Any) -> Any:
        """The function with its options bound, or an instance of the class."""
        values = {key: self._checked(key, value) for key, value in options.items()}
        try:
            return self.make(**values) if inspect.isclass(self.make) else Bound(self.make, **values)
        except ModuleNotFoundError as error:
            raise UserError(f"{self.kind}={self.name} is {unavailable(error)}") from None
        except ValueError as error:
            raise UserError(f"{self.kind}={self.name}: {error}") from None
        except (Exception, SystemExit) as error:
            if isinstance(error, UserError):
                raise
            what = f"{self.kind}={self.name} of {self.provider} cannot be built"
            raise UserError(f"{what}: {type(error).__name__}: {error}") from None

    def _checked(self, key: str, value: Any) -> Any:
        if key not in self.options:
            raise UserError(f"{self.kind}={self.name} has no option '{key}'{suggest(key, self.options)}")
        choices = self.options[key].choices
        if choices and value not in choices:
            raise UserError(f"{self.kind}.{key}={value} is not a choice; there is {', '.join(choices)}")
        return value


@dataclass(repr=False)
class Registry:
    """All parts by kind and name; the plugins that watch, those without parts, why others were skipped."""

    parts: dict[tuple[str, str], Part] = field(default_factory=dict)
    clashes: dict[tuple[str, str], str] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    slow: dict[str, float] = field(default_factory=dict)
    watchers: list[Any] = field(default_factory=list)
    without_parts: list[str] = field(default_factory=list)

    def __repr__(self) -> str:
        counts = ", ".join(f"{len(self.names(kind))} {kind}s" for kind in KINDS)
        return f"Registry({counts}; {len(self.skipped)} plugins skipped)"

    def names(self, kind: str) -> list[str]:
        return sorted(name for k, name in self.parts if k == kind)

    def get(self, kind: str, name: str) -> Part:
        if (kind, name) in self.clashes:
            raise UserError(self.clashes[kind, name])
        if (kind, name) in self.parts:
            return self.parts[kind, name]
        if (kind, name.lower()) in self.parts:
            raise UserError(f"{kind}={name} is unknown; did you mean '{name.lower()}'?")
        for plugin, why in self.skipped.items():
            if plugin.rpartition(".")[2] == name:
                raise UserError(f"{kind}={name}: plugin {plugin} was skipped: {why}")
        if any(plugin.rpartition(".")[2] == name for plugin in self.without_parts):
            raise UserError(f"{kind}={name} is unknown: its file needs a function {kind}s() with @hookimpl")
        raise UserError(f"{kind}={name} is unknown{suggest(name, self.names(kind), PART_OF.get(kind))}")

    def add(self, part: Part) -> None:
        key = part.kind, part.name
        if key in self.parts:
            both = f"{self.parts[key].provider} and {part.provider}"
            self.clashes[key] = f"{part.kind}={part.name} is offered twice, by {both}: remove or rename one"
        else:
            self.parts[key] = part


@functools.cache  # reading a signature takes a third of a millisecond, and a run asks for them all
def options_of(make: Callable[..., Any]) -> Mapping[str, Option]:
    """The keyword-only parameters of a function or a class, with their types and defaults."""
    hints = typing.get_type_hints(make.__init__ if inspect.isclass(make) else make)
    parameters = inspect.signature(make).parameters.values()
    keyword_only = [p for p in parameters if p.kind is p.KEYWORD_ONLY]
    for parameter in keyword_only:
        if parameter.name not in hints or parameter.default is parameter.empty:
            raise TypeError(f"option '{parameter.name}' of {make.__qualname__} needs a type and a default")
    options = {p.name: Option(hints[p.name], p.default) for p in keyword_only}
    for name, option in options.items():
        of = f"option '{name}' of {make.__qualname__}"
        strings = option.choices and all(isinstance(choice, str) for choice in option.choices)
        if name == "name":
            raise TypeError(f"{of}: 'name' is the part's own")
        if not strings and option.type not in (bool, int, float, str):
            raise TypeError(f"{of} must be bool, int, float, str or a Literal of str")
        expected = (int, float) if option.type is float else str if strings else option.type
        if not isinstance(option.default, expected):
            raise TypeError(f"{of}: its default {option.default!r} is of another type")
    return types.MappingProxyType(options)


def part_name(make: Callable[..., Any]) -> str:
    """`name` of the class if it has one, else its own name in lower case."""
    return getattr(make, "name", make.__name__.lower().strip("_"))


def unavailable(error: ModuleNotFoundError) -> str:
    """What to install; of a module of the lab itself, what is broken."""
    module = error.name or ""
    if not module or module.startswith("microgpt_lab"):
        return f"broken: {error}"
    return f"unavailable: {install_module(module)}"


def plugin_folders() -> Iterator[tuple[str, Path]]:
    """The packages that plugin files are imported as, and their folders: ours, then the user's."""
    yield OURS, (CHECKOUT / "plugins" if CHECKOUT else HERE.parent / "microgpt_lab_plugins")
    if (home() / "plugins").is_dir():
        yield "microgpt_lab_home", (home() / "plugins").resolve()
    named = filter(None, os.environ.get("MICROGPT_LAB_PLUGINS", "").split(os.pathsep))
    for i, folder in enumerate(dict.fromkeys(named), start=1):
        yield f"microgpt_lab_user{i}", Path(folder).expanduser().resolve()


def others_write(folder: Path) -> str:
    """Why somebody else could have put code into a folder of plugins; '' if nobody could. POSIX only."""
    files = [file for file in folder.rglob("*.py") if file.is_file()]
    for path in dict.fromkeys([folder, *(file.parent for file in files), *files]):
        found = path.stat()
        if found.st_mode & stat.S_IWOTH:
            return f"everybody can write to {path}"
        if found.st_uid not in (0, os.geteuid()):
            return f"{path} belongs to another user (of number {found.st_uid})"
    return ""


def warn_of(folder: Path) -> None:
    """A line on stderr for a folder that others can write to; workers of a sweep know that it is said."""
    said = os.environ.get(SAID, "").split(os.pathsep)
    if hasattr(os, "geteuid") and str(folder) not in said and (why := others_write(folder)):
        os.environ[SAID] = os.pathsep.join([*filter(None, said), str(folder)])
        print(printable(f"warning: the plugins of {folder} are run, although {why}"), file=sys.stderr)


def modules() -> Iterator[tuple[str, Callable[[], Any]]]:
    """The name of each plugin and how to import it."""
    for package, folder in plugin_folders():
        if not folder.is_dir():
            yield str(folder), functools.partial(missing, folder)
            continue
        if package != OURS:  # whoever can write there can change the lab itself
            warn_of(folder)
        mount = types.ModuleType(package)
        mount.__path__ = [str(folder)]
        sys.modules[package] = mount  # so that files are importable by name, in every process
        for file in sorted(folder.rglob("*.py")):
            path = file.relative_to(folder).with_suffix("")
            if not any(name.startswith(("_", ".")) for name in path.parts):
                name = ".".join((package, *path.parts))
                yield name, functools.partial(importlib.import_module, name)
    for entry in importlib.metadata.entry_points(group="microgpt_lab"):
        yield f"{entry.value} ({entry.dist.name if entry.dist else entry.name})", entry.load


def missing(folder: Path) -> None:
    raise FileNotFoundError(f"there is no folder {folder}")


def collect(module: Any, provider: str) -> list[Part]:
    """The parts that a module's hooks return, checked."""
    manager = pluggy.PluginManager("microgpt_lab")
    manager.add_hookspecs(hookspecs)
    manager.register(module)
    manager.check_pending()
    for caller in manager.get_hookcallers(module) or ():
        for impl in caller.get_hookimpls():
            if impl.kwargnames:  # pluggy would never pass them
                raise TypeError(f"hook {caller.name} must not give defaults: {', '.join(impl.kwargnames)}")
    parts = []
    for kind in KINDS:
        for made in getattr(manager.hook, kind + "s")():
            if not isinstance(made, list) or not all(callable(make) for make in made):
                raise TypeError(f"hook {kind}s must return a list of functions or classes")
            parts += [Part(kind, part_name(make), make, provider) for make in made]
    for part in parts:
        part.options  # noqa: B018  raises for options that cannot be configured
        if inspect.isclass(part.make) and part.make.__repr__ is object.__repr__:
            part.make.__repr__ = called  # so that no author has to write one
    return parts


@functools.cache
def registry() -> Registry:
    """Everything that is installed. A plugin that fails is skipped and remembered."""
    found = Registry()
    for name, load in modules():
        begun = time.perf_counter()
        try:
            with contextlib.redirect_stdout(sys.stderr):  # what it prints is not the lab's answer
                module = load()
                parts = collect(module, name)
        except ModuleNotFoundError as error:
            found.skipped[name] = unavailable(error)
        except (Exception, SystemExit) as error:
            found.skipped[name] = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        else:
            for part in parts:
                found.add(part)
            found.watchers.append(module)
            if not parts:
                found.without_parts.append(name)
        if (seconds := time.perf_counter() - begun) > SLOW:
            found.slow[name] = seconds
    return found


def part(kind: str, name: str, **options: Any) -> Any:
    """Build a part by name.

    >>> gelu = part("activation", "gelu", approximate="tanh")
    """
    if kind not in KINDS:
        raise UserError(f"'{kind}' is no kind of part{suggest(kind, KINDS)}")
    return registry().get(kind, name).build(**options)
