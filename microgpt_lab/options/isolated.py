"""Keep the lab's use of Hydra apart from that of a program that imports the lab.

Hydra's state is global: one application at a time, one store of configurations, and the resolvers of
OmegaConf. Other code of the process, such as a Hydra application that calls `train`, must not see the lab's.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.singleton import Singleton
from omegaconf.basecontainer import BaseContainer

own: dict[Any, Any] = {}  # the lab's instances, kept because Hydra takes 0.1 s to find its plugins
one_at_a_time = threading.RLock()


@contextmanager
def isolated() -> Iterator[None]:
    """Give Hydra the lab's own state while the `with` statement runs, in one thread at a time."""
    with one_at_a_time:
        instances, resolvers = Singleton._instances, BaseContainer._resolvers
        if not own:
            own[ConfigStore] = fresh_store()
        Singleton._instances, BaseContainer._resolvers = own, dict(resolvers)
        try:
            yield
        finally:
            Singleton._instances, BaseContainer._resolvers = instances, resolvers


def fresh_store() -> ConfigStore:
    """Return a store with what the global one has: Hydra registers its own configurations when imported."""
    store = ConfigStore()
    copied = type.__call__(ConfigStore)
    copied.repo = copy.deepcopy(store.repo)
    return copied
