"""Parts: functions and classes of plugins, whose keyword-only parameters are their options."""

from __future__ import annotations

import functools
import inspect
import re
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import Distribution
from typing import Any

from microgpt_lab.core.reprs import call_repr
from microgpt_lab.errors import UserError, printable, suggest
from microgpt_lab.registry.extras import install_module
from microgpt_lab.registry.folders import FIRST_PARTY
from microgpt_lab.registry.versions import since, stated


@dataclass(frozen=True)
class Option:
    """A keyword-only parameter of a part: its type and its default."""

    type: Any
    default: Any

    @property
    def choices(self) -> tuple[Any, ...]:
        """The values of a Literal type; empty for other types."""
        return typing.get_args(self.type) if typing.get_origin(self.type) is typing.Literal else ()


class Bound(functools.partial):
    """A function with its options bound, and a readable repr."""

    __repr__ = call_repr


@dataclass(frozen=True, repr=False)
class Part:
    """One choice of a kind, such as activation=gelu.

    provider: the plugin that defines it, by name.
    plugin: the plugin's module, or other object.
    distribution: the installed package that the plugin belongs to; None for a file in a folder of plugins.
    """

    kind: str
    name: str
    make: Callable[..., Any]
    provider: str
    plugin: Any = field(default=None, compare=False)
    distribution: Distribution | None = field(default=None, compare=False)

    def __repr__(self) -> str:
        return f"Part({self.kind}={self.name}, from {self.provider})"

    @property
    def first_party(self) -> bool:
        """Whether the part comes with the lab."""
        return self.provider.startswith(f"{FIRST_PARTY}.")

    @property
    def label(self) -> str:
        """kind=name, with the plugin if the part does not come with the lab."""
        return f"{self.kind}={self.name}" + ("" if self.first_party else f" (from {self.provider})")

    @property
    def since(self) -> str:
        """The end of an error message about this part: what changed since it was written, or ''."""
        return since(stated(self.plugin), [self.kind])

    @property
    def summary(self) -> str:
        """The first line of the docstring, to be shown."""
        return printable((inspect.getdoc(self.make) or "").partition("\n")[0])

    @property
    def options(self) -> Mapping[str, Option]:
        """The options by name."""
        return options_of(self.make)

    def build(self, **options: Any) -> Any:
        """Return the function with its options bound, or an instance of the class.

        UserError for an unknown option, a value out of range, or a missing dependency.
        """
        values = {key: self._checked(key, value) for key, value in options.items()}
        try:
            return self.make(**values) if inspect.isclass(self.make) else Bound(self.make, **values)
        except ModuleNotFoundError as error:
            raise UserError(f"{self.kind}={self.name} is {unavailable(error)}{self.since}") from None
        except ValueError as error:
            raise UserError(self.refusal(error)) from None
        except (Exception, SystemExit) as error:
            if isinstance(error, UserError):
                raise
            what = f"{self.kind}={self.name} from {self.provider} cannot be built"
            raise UserError(f"{what}: {type(error).__name__}: {error}{self.since}") from None

    def failure(self, what: str) -> UserError:
        """Return an error that only the part's author can correct. `what` follows the label."""
        return UserError(f"{self.label}{what}{self.since}")

    def refusal(self, error: ValueError) -> str:
        """Return an error message of this part, with its name, and its options as a user writes them.

        `top_k=5 must be …` becomes `mlp=moe: mlp.top_k=5 must be …`, and `ratio must be …` becomes
        `mlp=moe: mlp.ratio must be …`.
        """
        prefix = f"callback.{self.name}" if self.kind == "callback" else self.kind
        names = "|".join(self.options) or "$^"
        option = rf"(?<![\w.])(?=(?:{names})(?:=| must be | \+ ))"
        return f"{self.kind}={self.name}: " + re.sub(option, f"{prefix}.", str(error))

    def _checked(self, key: str, value: Any) -> Any:
        if key not in self.options:
            raise UserError(f"{self.kind}={self.name} has no option '{key}'{suggest(key, self.options)}")
        choices = self.options[key].choices
        if choices and value not in choices:
            raise UserError(f"{self.kind}.{key}={value} is unknown; choose from {', '.join(choices)}")
        return value


@functools.cache  # reading a signature takes 0.3 ms, and a run reads all of them
def options_of(make: Callable[..., Any]) -> Mapping[str, Option]:
    """Return the keyword-only parameters of a function or class, with their types and defaults."""
    hints = typing.get_type_hints(make.__init__ if inspect.isclass(make) else make)
    parameters = inspect.signature(make).parameters.values()
    keyword_only = [p for p in parameters if p.kind is p.KEYWORD_ONLY]
    for parameter in keyword_only:
        if parameter.name not in hints or parameter.default is parameter.empty:
            raise TypeError(f"option '{parameter.name}' of {make.__qualname__} needs a type and a default")
    options = {p.name: Option(hints[p.name], p.default) for p in keyword_only}
    for name, option in options.items():
        label = f"option '{name}' of {make.__qualname__}"
        strings = option.choices and all(isinstance(choice, str) for choice in option.choices)
        if name == "name":
            raise TypeError(f"{label}: 'name' is reserved for the part, rename the option")
        if not strings and option.type not in (bool, int, float, str):
            raise TypeError(f"{label} must be bool, int, float, str or a Literal of str")
        expected = (int, float) if option.type is float else str if strings else option.type
        if not isinstance(option.default, expected):
            raise TypeError(f"{label}: its default {option.default!r} has another type")
    return types.MappingProxyType(options)


def part_name(make: Callable[..., Any]) -> str:
    """Return the attribute `name` if there is one, else the name of the function or class in lower case."""
    return getattr(make, "name", make.__name__.lower().strip("_"))


def unavailable(error: ModuleNotFoundError) -> str:
    """Say which package to install; if a module of the lab itself is missing, say what is broken."""
    module = error.name or ""
    if not module or module.startswith("microgpt_lab"):
        return f"broken: {error}"
    return f"unavailable: {install_module(module)}"
