"""Tell callbacks, and plugins that implement the watching hooks, what happens in a run."""

from __future__ import annotations

import inspect
import json
import sys
import types
from collections.abc import Callable
from typing import Any

from microgpt_lab.errors import STORAGE_ERRNOS, printable
from microgpt_lab.registry.hookspecs import EVENTS
from microgpt_lab.registry.parts import part_name
from microgpt_lab.registry.plugins import registry


class Watchers:
    """Tells callbacks, and plugins that watch, what happens in a run.

    One that raises is dropped with a warning; it cannot disturb the run or the others. But a disk
    that takes no more ends the run, for what would be missing could not be had again.
    """

    def __init__(
        self, callbacks: list[Any], warn: Callable[[str], None] = lambda line: print(line, file=sys.stderr)
    ):
        # Most plugins offer parts and watch nothing: they are left out here, not at each event of each step.
        watching = [w for w in registry().watchers if any(listener(w, event) for event in EVENTS)]
        # A checkpoint is taken when all others have been told and asked, and knows what they answered.
        self.watchers = sorted([*callbacks, *watching], key=lambda w: getattr(w, "order", 0))
        self.warn = warn
        self.known: dict[tuple[int, str], tuple[Any, list[str]]] = {}  # by watcher and event
        self.every = [
            c.every for c in callbacks if isinstance(getattr(c, "every", None), int) and c.every > 0
        ]

    def __call__(self, event: str, **facts: Any) -> bool:
        """Whether any answered with something true."""
        answer = False
        facts = {k: types.MappingProxyType(v) if isinstance(v, dict) else v for k, v in facts.items()}
        for watcher in list(self.watchers):
            method = listener(watcher, event)
            if method is None:
                continue
            try:
                names = self.arguments(watcher, event, method)
                known = facts | {"stopped": answer} if event == "should_stop" else facts
                answer = bool(method(**{name: known[name] for name in names})) or answer
            except (Exception, SystemExit) as error:
                if isinstance(error, OSError) and error.errno in STORAGE_ERRNOS:
                    raise
                self.drop(watcher, event, error)
        return answer

    def arguments(self, watcher: Any, event: str, method: Callable[..., Any]) -> list[str]:
        """The names of a method's parameters. A signature takes 40 µs to find, so once a function."""
        function = getattr(method, "__func__", method)  # a bound method is another object each time
        known, names = self.known.get((id(watcher), event), (None, []))
        if known is not function:
            names = list(inspect.signature(method).parameters)
            self.known[id(watcher), event] = function, names
        return names

    def state(self) -> dict[str, Any]:
        """What callbacks have to remember (`state_dict`, of JSON's types), by name."""
        found = {}
        for watcher in [w for w in self.watchers if hasattr(w, "state_dict")]:
            try:
                found[part_name(type(watcher))] = json.loads(json.dumps(watcher.state_dict()))
            except Exception as error:
                self.drop(watcher, "state_dict", error)
        return found

    def restore(self, state: dict[str, Any]) -> None:
        for watcher in [w for w in self.watchers if part_name(type(w)) in state]:
            try:
                watcher.load_state_dict(state[part_name(type(watcher))])
            except Exception as error:
                self.drop(watcher, "load_state_dict", error)

    def drop(self, watcher: Any, event: str, error: BaseException) -> None:
        self.watchers.remove(watcher)
        name = getattr(watcher, "__name__", part_name(type(watcher)))
        self.warn(printable(f"callback {name} failed in {event} and is off: {type(error).__name__}: {error}"))


def listener(watcher: Any, event: str) -> Callable[..., Any] | None:
    """What is to be called at an event. Of a module, only a function that is marked as a hook counts."""
    method = getattr(watcher, event, None)
    if isinstance(watcher, types.ModuleType) and not hasattr(method, "microgpt_lab_impl"):
        return None
    return method
