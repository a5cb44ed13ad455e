"""Call the hooks of callbacks and plugins during a run."""

from __future__ import annotations

import inspect
import json
import sys
import types
from collections.abc import Callable
from typing import Any

from microgpt_lab.errors import STORAGE_ERRNOS, printable
from microgpt_lab.registry import versions
from microgpt_lab.registry.hookspecs import EVENTS
from microgpt_lab.registry.parts import part_name
from microgpt_lab.registry.plugins import registry


class Watchers:
    """Calls the hooks of callbacks, and of plugins that implement hooks of a run.

    A watcher is a callback or such a plugin. A watcher that raises is dropped with a warning, so that it
    cannot disturb the run or other watchers. An error of a full disk ends the run, because what is not
    written could not be recovered.
    """

    def __init__(
        self, callbacks: list[Any], warn: Callable[[str], None] = lambda line: print(line, file=sys.stderr)
    ):
        # Most plugins offer parts and no hooks of a run. Filtering here is cheaper than at each step.
        watching = [w for w in registry().plugins if any(listener(w, event) for event in EVENTS)]
        # The checkpoint comes after the watchers whose actions and answers it records.
        self.watchers = sorted([*callbacks, *watching], key=lambda w: getattr(w, "order", 0))
        self.warn = warn
        # By watcher and event: a function and the names of its parameters.
        self.parameters: dict[tuple[int, str], tuple[Any, list[str]]] = {}
        self.every = [
            c.every for c in callbacks if isinstance(getattr(c, "every", None), int) and c.every > 0
        ]

    def __call__(self, event: str, **facts: Any) -> bool:
        """Call the hook of this event of each watcher. Return whether any returned a true value."""
        answer = False
        facts = {k: types.MappingProxyType(v) if isinstance(v, dict) else v for k, v in facts.items()}
        for watcher in list(self.watchers):
            method = listener(watcher, event)
            if method is None:
                continue
            try:
                names = self.arguments(watcher, event, method)
                values = facts | {"stopped": answer} if event == "should_stop" else facts
                answer = bool(method(**{name: values[name] for name in names})) or answer
            except (Exception, SystemExit) as error:
                if isinstance(error, OSError) and error.errno in STORAGE_ERRNOS:
                    raise
                self.drop(watcher, event, error)
        return answer

    def arguments(self, watcher: Any, event: str, method: Callable[..., Any]) -> list[str]:
        """Return the names of a method's parameters, cached because inspecting a signature takes 40 µs."""
        function = getattr(method, "__func__", method)  # a bound method is a new object each time
        cached, names = self.parameters.get((id(watcher), event), (None, []))
        if cached is not function:
            names = list(inspect.signature(method).parameters)
            self.parameters[id(watcher), event] = function, names
        return names

    def state(self) -> dict[str, Any]:
        """Return the state of each callback that has one (`state_dict`, of JSON's types), by name."""
        states = {}
        for watcher in [w for w in self.watchers if hasattr(w, "state_dict")]:
            try:
                states[part_name(type(watcher))] = json.loads(json.dumps(watcher.state_dict()))
            except Exception as error:
                self.drop(watcher, "state_dict", error)
        return states

    def restore(self, states: dict[str, Any]) -> None:
        """Give each callback its state back."""
        for watcher in [w for w in self.watchers if part_name(type(w)) in states]:
            try:
                watcher.load_state_dict(states[part_name(type(watcher))])
            except Exception as error:
                self.drop(watcher, "load_state_dict", error)

    def drop(self, watcher: Any, event: str, error: BaseException) -> None:
        """Stop calling a watcher that has raised, and warn."""
        self.watchers.remove(watcher)
        name = getattr(watcher, "__name__", part_name(type(watcher)))
        part = registry().parts.get(("callback", name))
        since = part.since if part else versions.since(versions.stated(watcher), ["callback"])
        what = f"callback {name} failed in {event} and is disabled: {type(error).__name__}: {error}{since}"
        self.warn(printable(what))


def listener(watcher: Any, event: str) -> Callable[..., Any] | None:
    """Return the method to call at an event. In a module, only functions marked with @hookimpl count."""
    method = getattr(watcher, event, None)
    if isinstance(watcher, types.ModuleType) and not hasattr(method, "microgpt_lab_impl"):
        return None
    return method
