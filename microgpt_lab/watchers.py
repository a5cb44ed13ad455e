"""Who watches a run: callbacks, and plugins that implement the hooks of watching."""

from __future__ import annotations

import inspect
import json
import sys
import types
from collections.abc import Callable
from typing import Any

from microgpt_lab.errors import NO_ROOM, printable
from microgpt_lab.plugins import part_name, registry


class Watchers:
    """Tells callbacks, and plugins that watch, what happens in a run.

    One that raises is dropped with a warning; it cannot disturb the run or the others. But a disk
    that takes no more ends the run, for what would be missing could not be had again.
    """

    def __init__(
        self, callbacks: list[Any], warn: Callable[[str], None] = lambda line: print(line, file=sys.stderr)
    ):
        # A checkpoint is taken when all others have been told and asked, and knows what they answered.
        self.watchers = sorted([*callbacks, *registry().watchers], key=lambda w: getattr(w, "order", 0))
        self.warn = warn
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
                known = facts | {"stopped": answer} if event == "should_stop" else facts
                answer = bool(method(**{name: known[name] for name in names})) or answer
            except (Exception, SystemExit) as error:
                if isinstance(error, OSError) and error.errno in NO_ROOM:
                    raise
                self.drop(watcher, event, error)
        return answer

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
