"""The settings that a part is checked with, and what is said of one in which it fails."""

from __future__ import annotations

import contextlib
import inspect
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from random import Random
from typing import Any

from microgpt_lab.checks.small import IDS, gradients, small_gpt
from microgpt_lab.core.model import GPT
from microgpt_lab.errors import OutOfRange, UserError
from microgpt_lab.registry.hookspecs import MODEL_KINDS
from microgpt_lab.registry.parts import Part

ADVICE = 'set `check_model` to what it needs, such as {"position": "rope", "embed": 16}'
WITH_VARIANTS = (*MODEL_KINDS, "scheduler", "tokenizer", "sampler")


class Broken(AssertionError):
    """What a part breaks. `setting` are its options, such as 'beta=0.5'; '' for its defaults."""

    def __init__(self, part: Part, setting: str, reason: str):
        super().__init__(f"{part.kind}={part.name}{setting and ' '}{setting}: {reason}")
        self.setting, self.reason = setting, reason


class Untried(Exception):
    """A check that cannot be made here, and why: a backend that is not installed, say."""


@dataclass(frozen=True, eq=False)
class Case:
    """A part with some of its options. One that `may_refuse` them is not checked if it does."""

    part: Part
    options: dict[str, Any]
    may_refuse: bool = False

    @property
    def setting(self) -> str:
        return " ".join(f"{key}={value}" for key, value in self.options.items())

    @cached_property
    def built(self) -> Any:
        return self.part.build(**self.options)

    @cached_property
    def model(self) -> GPT:
        """A small GPT with this part."""
        return small_gpt(**{self.part.kind: self.built})

    def check(self, functions: Iterable[Callable[[Case], None]]) -> None:
        """Check this case. Broken if a function raises."""
        for function in functions:
            with self.naming():
                try:
                    function(self)
                except (UserError, ValueError):
                    if not self.may_refuse or self.part.kind in MODEL_KINDS:
                        raise

    @contextlib.contextmanager
    def naming(self) -> Iterator[None]:
        """Turn an error of any type into Broken, with the line of the part's own code that raised it."""
        try:
            yield
        except Untried:
            raise
        except Exception as error:
            reason = described(self.part, error)
            since = "" if self.part.since in reason else self.part.since
            raise Broken(self.part, self.setting, reason + since) from error


def described(part: Part, error: BaseException) -> str:
    """Say in one line what an error means, and which line of the part's own code it came from, if any."""
    places = places_in(part, error)
    of_author = isinstance(error, AssertionError) and places and places[-1]  # an assert of the part itself
    if isinstance(error, AssertionError | UserError) and not of_author:
        text = str(error).removeprefix(f"{part.kind}={part.name}: ")
    else:
        first, *_ = str(error).splitlines() or [""]
        text = f"raises {type(error).__name__}" + (first and f": {first}")
    found = [*places_in(part, error.__cause__), *places]
    place = next(filter(None, reversed(found)), "")
    return text if place in text else f"{text} ({place})"


def places_in(part: Part, error: BaseException | None) -> list[str]:
    """Return the lines that an error went through, as 'swish.py:12', or '' for code of others."""
    try:
        source = inspect.getsourcefile(inspect.unwrap(part.make))
    except TypeError:
        source = None
    if not source:
        return []
    folder = Path(source).resolve().parent
    # A file's folder may contain anything: the lab's checkout, an environment, installed packages.
    is_package = (folder / "__init__.py").is_file()

    def is_own(file: Path) -> bool:
        return folder in file.parents if is_package else file.parent == folder

    return [
        f"{Path(frame.filename).name}:{frame.lineno}" if is_own(Path(frame.filename)) else ""
        for frame in traceback.extract_tb(error.__traceback__ if error else None)
    ]


class Cases:
    """A part with options that it must accept, then each option with other values, which it may refuse.

    Parts of a model, schedulers, tokenizers and samplers are tried with the latter, other kinds are not.
    """

    def __init__(self, part: Part, required: list[dict[str, Any]], variants: bool = True):
        self.part, self.variants = part, variants and part.kind in WITH_VARIANTS
        self.required = [Case(part, options) for options in required]

    def check_first(self, function: Callable[[Case], None]) -> None:
        """Check what does not depend on options."""
        self.required[0].check([function])

    def check_building(self) -> None:
        """Check that it is built, and that a small model takes it."""
        for case in self.required:
            with case.naming():
                built = case.built  # noqa: F841
                if self.part.kind in MODEL_KINDS:
                    try:
                        case.model.tables  # noqa: B018  which may be refused, too
                    except ValueError as error:
                        raise AssertionError(f"refused in a small model: {error} ({ADVICE})") from error

    @cached_property
    def all(self) -> list[Case]:
        """The cases that are checked. Untried if the part cannot be built."""
        try:
            self.check_building()
        except Broken:
            raise Untried("it cannot be built") from None
        others = variants(self.part) if self.variants else ()
        cases = [Case(self.part, options, may_refuse=True) for options in others]
        return [*self.required, *filter(accepted, cases)]

    def check_each(self, functions: Iterable[Callable[[Case], None]]) -> None:
        """Check each case. Broken at the first that fails."""
        for case in self.all:
            case.check(functions)


def accepted(case: Case) -> bool:
    """Whether a part takes these options. A function refuses them when it is called."""
    try:
        built = case.built  # noqa: F841
        if case.part.kind in MODEL_KINDS:
            case.model.tables  # noqa: B018
    except (UserError, ValueError):
        return False
    except Exception:  # which is said by the checks
        return True
    try:
        if case.part.kind in MODEL_KINDS:
            case.model.initial_weights(Random(0))
            gradients(case.model, tuple(IDS))  # which the checks need, too
    except OutOfRange:
        return False
    except Exception:
        return True
    return True


def variants(part: Part) -> Iterator[dict[str, Any]]:
    """Yield options that differ from the defaults: each by itself, then all flags together.

    Flags are flipped, the other choices of a Literal taken, whole numbers set to 1, 2 and 3, other numbers to
    0.5. Further options, such as texts, or those that need each other, are in the part's `check_variants`.
    """
    for name, option in part.options.items():
        values = {bool: [not option.default], int: [1, 2, 3], float: [0.5]}.get(option.type, option.choices)
        yield from ({name: value} for value in values if value != option.default)
    flags = {name: not option.default for name, option in part.options.items() if option.type is bool}
    if len(flags) > 1:
        yield flags
