"""Share documents, and the functions that a backend has prepared, between the runs of one process.

The jobs of a sweep often differ only in their seed. What they share is cached by content: documents by the
options of their data set and the bytes of its files, functions by the whole setting. Only the lab's own parts
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
from microgpt_lab.core.reading import MAX_FILE_BYTES
from microgpt_lab.core.trainer import Trainer
from microgpt_lab.registry.hookspecs import KINDS
from microgpt_lab.registry.plugins import registry

FILES = ("path", "validation", "test", "repo")  # options of data sets that name a file or a folder
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
    """Return what the documents depend on: the options of the data set, and a hash of the files they name.

    None if they must not be cached.
    """
    if not is_first_party("dataset", dataset):
        return None
    paths = [Path(str(dataset[name])).expanduser() for name in FILES if dataset.get(name)]
    digest = hashlib.sha256()
    try:
        files = [file for path in paths for file in (sorted(path.iterdir()) if path.is_dir() else [path])]
        files = list(filter(Path.exists, files))
        if not all(map(Path.is_file, files)):  # a pipe can be read only once
            return None
        if sum(file.stat().st_size for file in files) > MAX_FILE_BYTES:
            return None
        for file in files:
            with file.open("rb") as content:
                digest.update(f"{file}\0{hashlib.file_digest(content, 'sha256').hexdigest()}\n".encode())
    except OSError:  # the data set says which file it cannot read
        return None
    return json.dumps(dataset, sort_keys=True), digest.hexdigest()


def share_functions(trainer: Trainer, config: dict[str, Any]) -> bool:
    """Let the trainer use the functions of a cached trainer with the same setting and documents, if any.

    The shapes of the weights must be the same, too: the size of a learned vocabulary may depend on the seed.
    """
    cached = _trainers.get(setting_key(config))
    if not cached or cached.corpus.documents is not trainer.corpus.documents:
        return False
    if cached.packing.shapes != trainer.packing.shapes:
        return False
    trainer.train_scan, trainer.loss_scan, trainer.gradient_scan = (
        cached.train_scan,
        cached.loss_scan,
        cached.gradient_scan,
    )
    return True


def keep_functions(trainer: Trainer, config: dict[str, Any]) -> None:
    """Let later trainers with the same setting, documents and shapes use this trainer's functions."""
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
