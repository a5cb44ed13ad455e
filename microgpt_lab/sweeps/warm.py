"""Prepare in a process what the jobs that it forks, or makes one after the other, have in common."""

from __future__ import annotations

import contextlib
import functools
import importlib
from collections import Counter
from typing import Any

from microgpt_lab.core.backend import Backend
from microgpt_lab.core.data import Corpus
from microgpt_lab.core.documents import Documents
from microgpt_lab.options.differences import differences
from microgpt_lab.registry.parts import options_of
from microgpt_lab.registry.plugins import registry
from microgpt_lab.run import environment, reuse
from microgpt_lab.run.assemble import assemble, build, load_documents

LARGEST = 1_000_000  # numbers of a model, or of a batch, whose preparation is worth its memory
PACKAGES = ("numpy", "tensorboardX.proto.plugin_hparams_pb2", "rich.progress", "rich.table")
PACKAGES += ("threadpoolctl", "yaml")
seen: Counter[str] = Counter()  # jobs of each setting


@functools.cache
def preload() -> None:
    """Import what every job imports."""
    for package in PACKAGES:
        importlib.import_module(package)


def warm(config: dict[str, Any], *, worth: int = 2) -> None:
    """Compute what this job shares with others: what follows from its documents, the environment, and, if
    it is the `worth`-th of its setting, what its backend can prepare. Not for a process that forks
    other jobs, if the backend does not fork.

    Only parts of the lab run here. What is wrong with the job, it says itself.
    """
    with contextlib.suppress(Exception):
        environment.environment()
        environment.core_sha256()
        environment.part_sources(config)
        differences(config)
        if reuse.is_first_party("backend", config["backend"]):
            build("backend", config["backend"])
        if not reuse.is_first_party("dataset", config["dataset"]):
            return
        documents = load_documents(config)
        environment.documents_sha256(documents)
        corpus = Corpus(documents, **{name: config[name] for name in options_of(Corpus)})
        if held_out := corpus.validation[: config["eval_docs"]]:
            corpus.guessing(held_out)
        seen[key := reuse.setting_key(config)] += 1
        if seen[key] == worth and not reuse.has_functions(config, documents) and prepares(config):
            prepare(config, documents)


def prepares(config: dict[str, Any]) -> bool:
    """Whether the backend can prepare anything, of a size that no job has to fear for its own process.
    The backend is not built to be asked: that may start threads.
    """
    backend = registry().get("backend", config["backend"]["name"]).make
    model = 12 * config["embed"] ** 2 * config["layers"] + config["embed"] * config["block_size"]
    batch = config["batch_size"] * config["block_size"] * config["embed"]
    can = getattr(backend, "prepare", Backend.prepare) is not Backend.prepare
    return can and max(model, batch) <= LARGEST and reuse.all_first_party(config)


def prepare(config: dict[str, Any], documents: Documents) -> None:
    trainer = assemble(config, documents)
    trainer.backend.prepare(trainer)
    reuse.keep_functions(trainer, config)
