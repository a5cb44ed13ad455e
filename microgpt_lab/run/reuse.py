"""Share documents, and the functions that a backend has made ready, among the runs of one process.

Jobs of a sweep differ in little, often in their seed alone. What they have in common is found by content:
documents by the options of their data set and the bytes of its file, functions by the whole setting. Only
parts of the lab are kept for others; what another's part returns or remembers could differ from run to run.
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

DATA_SETS, SETTINGS = 4, 16  # so many are kept
# Keys that do not enter into what a backend computes.
ASIDE = ("seed", "callback", "steps", "samples", "temperature", "eval_every")

_documents: OrderedDict[tuple[str, str], Documents] = OrderedDict()
_trainers: OrderedDict[str, Trainer] = OrderedDict()


def documents(config: dict[str, Any], load: Callable[[], Documents]) -> Documents:
    """Return the documents of a data set, with `load` if they are not kept for the same content."""
    key = content(config["dataset"])
    if key is None:
        return load()
    if key not in _documents:
        found = load()
        if key != content(config["dataset"]):  # the file has changed meanwhile
            return found
        put(_documents, key, found, DATA_SETS)
    return _documents[key]


def content(dataset: dict[str, Any]) -> tuple[str, str] | None:
    """Name documents by what they depend on: the options of the data set, and the file that `path` names.
    None if that is not known.
    """
    path = Path(str(dataset.get("path") or "")).expanduser()
    if not ours("dataset", dataset):
        return None
    if not dataset.get("path"):
        return json.dumps(dataset, sort_keys=True), ""
    if not path.is_file():  # a pipe can be read once
        return None
    with path.open("rb") as file:
        return json.dumps(dataset, sort_keys=True), hashlib.file_digest(file, "sha256").hexdigest()


def share(trainer: Trainer, config: dict[str, Any]) -> bool:
    """Have the trainer use the functions of another of its setting and documents, if there is one."""
    like = _trainers.get(setting(config))
    if not like or like.corpus.documents is not trainer.corpus.documents:
        return False
    trainer.train_scan, trainer.loss_scan, trainer.gradient_scan = (
        like.train_scan,
        like.loss_scan,
        like.gradient_scan,
    )
    return True


def keep(trainer: Trainer, config: dict[str, Any]) -> None:
    """Let others of its setting and documents use this trainer's functions."""
    put(_trainers, setting(config), trainer, SETTINGS)


def has(config: dict[str, Any], documents: Documents) -> bool:
    """Whether there are functions for this setting and these documents."""
    like = _trainers.get(setting(config))
    return like is not None and like.corpus.documents is documents


def setting(config: dict[str, Any]) -> str:
    return json.dumps({key: value for key, value in config.items() if key not in ASIDE}, sort_keys=True)


def ours(kind: str, chosen: dict[str, Any]) -> bool:
    """Whether the part that is chosen comes with the lab."""
    return registry().get(kind, chosen["name"]).first_party


def all_ours(config: dict[str, Any]) -> bool:
    return all(ours(kind, config[kind]) for kind in KINDS if kind != "callback")


def put(cache: OrderedDict, key: Any, value: Any, most: int) -> None:
    cache[key] = value
    while len(cache) > most:
        cache.popitem(last=False)
