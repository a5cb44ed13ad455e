"""Who watches a run: callbacks, and plugins that implement the hooks of watching."""

from __future__ import annotations

import inspect
import sys
import types
from collections.abc import Callable
from typing import Any

from microgpt_lab.errors import NO_ROOM
from microgpt_lab.plugins import part_name, registry


class Watchers:
    """Tells callbacks, and plugins that watch, what happens in a run.

    One that raises is dropped with a warning; it cannot disturb the run or the others. But a disk
    that takes no more ends the run, for what would be missing could not be had again.
    """

    def __init__(
        self, callbacks: list[Any], warn: Callable[[str], None] = lambda line: print(line, file=sys.stderr)
    ):
        self.watchers, self.warn = [*callbacks, *registry().watchers], warn
        self.every = [
            c.every for c in callbacks if isinstance(getattr(c, "every", None), int) and c.every > 0
        ]

    def __call__(self, event: str, **facts: Any) -> bool:
        """Whether any answered with something true."""
        answer = False
        facts = {k: types.MappingProxyType(v) if isinstance(v, dict) else v for k, v in facts.items()}
        for watcher in list(self.watchers):
            method = getattr(watcher, event, None)
            if method is None or (
                isinstance(watcher, types.ModuleType) and not hasattr(method, "microgpt_lab_impl")
            ):
                continue
            try:
                names = inspect.signature(method).parameters
                answer = bool(method(**{name: facts[name] for name in names})) or answer
            except (Exception, SystemExit) as error:
                if isinstance(error, OSError) and error.errno in NO_ROOM:
                    raise
                self.watchers.remove(watcher)
                name = getattr(watcher, "__name__", part_name(type(watcher)))
                self.warn(f"callback {name} failed in {event} and is off: {type(error).__name__}: {error}")
        return answer

    def state(self) -> dict[str, Any]:
        """What callbacks have to remember (`state_dict`, of JSON's types), by name."""
        return {part_name(type(w)): w.state_dict() for w in self.watchers if hasattr(w, "state_dict")}

    def restore(self, state: dict[str, Any]) -> None:
        for watcher in self.watchers:
            if hasattr(watcher, "load_state_dict") and part_name(type(watcher)) in state:
                watcher.load_state_dict(state[part_name(type(watcher))])
