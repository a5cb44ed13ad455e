"""Share documents, and the functions that a backend has prepared, between the runs of one process.

The jobs of a sweep often differ only in their seed. What they share is cached by content: documents by the
options of their data set and the bytes of its file, functions by the whole setting. Only the lab's own parts
are cached, because a third-party part could return or remember something else in each run.
"""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from microgpt_lab.core.documents import Documents
from microgpt_lab.core.trainer import Trainer
from microgpt_lab.registry.hookspecs import KINDS
from microgpt_lab.registry.plugins import registry

DATA_SETS, SETTINGS = 4, 16  # how many are cached
# Keys that do not change what a backend computes.
NOT_IN_SETTING = ("seed", "callback", "steps", "samples", "sampler", "eval_every")

_documents: OrderedDict[tuple[str, str], Documents] = OrderedDict()
_trainers: OrderedDict[str, Trainer] = OrderedDict()


def documents(config: dict[str, Any], load: Callable[[], Documents]) -> Documents:
    """Return the documents of a data set from the cache, or call `load` and cache what it returns."""
    key = content_key(config["dataset"])
    if key is None:
        return load()
    if key not in _documents:
        loaded = load()
        if key != content_key(config["dataset"]):  # the file has changed in the meantime
            return loaded
        store(_documents, key, loaded, DATA_SETS)
    return _documents[key]


def content_key(dataset: dict[str, Any]) -> tuple[str, str] | None:
    """Return what the documents depend on: the options of the data set, and the hash of the file at `path`.

    None if they must not be cached.
    """
    path = Path(str(dataset.get("path") or "")).expanduser()
    if not is_first_party("dataset", dataset):
        return None
    if not dataset.get("path"):
        return json.dumps(dataset, sort_keys=True), ""
    if not path.is_file():  # a pipe can be read only once
        return None
    with path.open("rb") as file:
        return json.dumps(dataset, sort_keys=True), hashlib.file_digest(file, "sha256").hexdigest()


def share_functions(trainer: Trainer, config: dict[str, Any]) -> bool:
    """Let the trainer use the functions of a cached trainer with the same setting and documents, if any."""
    cached = _trainers.get(setting_key(config))
    if not cached or cached.corpus.documents is not trainer.corpus.documents:
        return False
    trainer.train_scan, trainer.loss_scan, trainer.gradient_scan = (
        cached.train_scan,
        cached.loss_scan,
        cached.gradient_scan,
    )
    return True


def keep_functions(trainer: Trainer, config: dict[str, Any]) -> None:
    """Let later trainers with the same setting and documents use this trainer's functions."""
    store(_trainers, setting_key(config), trainer, SETTINGS)


def has_functions(config: dict[str, Any], documents: Documents) -> bool:
    """Return whether functions for this setting and these documents are cached."""
    cached = _trainers.get(setting_key(config))
    return cached is not None and cached.corpus.documents is documents


def setting_key(config: dict[str, Any]) -> str:
    """Return the configuration without the keys that do not change what a backend computes, as JSON."""
    return json.dumps(
        {key: value for key, value in config.items() if key not in NOT_IN_SETTING}, sort_keys=True
    )


def is_first_party(kind: str, chosen: dict[str, Any]) -> bool:
    """Return whether the chosen part of this kind comes with the lab."""
    return registry().get(kind, chosen["name"]).first_party


def all_first_party(config: dict[str, Any]) -> bool:
    """Return whether all chosen parts come with the lab, apart from callbacks."""
    return all(is_first_party(kind, config[kind]) for kind in KINDS if kind != "callback")


def store(cache: OrderedDict, key: Any, value: Any, limit: int) -> None:
    """Add an entry to a cache, and drop the oldest ones beyond the limit."""
    cache[key] = value
    while len(cache) > limit:
        cache.popitem(last=False)
