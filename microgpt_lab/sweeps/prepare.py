"""Prepare what several jobs share, in the process that forks them or runs them one after the other."""

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

# The most numbers in a model, or in a batch, for which a backend is prepared: preparing takes memory.
MOST_NUMBERS = 1_000_000
PACKAGES = ("numpy", "tensorboardX.proto.plugin_hparams_pb2", "rich.progress", "rich.table")
PACKAGES += ("threadpoolctl", "yaml")
jobs_per_setting: Counter[str] = Counter()


@functools.cache
def import_packages() -> None:
    """Import the packages that every job imports."""
    for package in PACKAGES:
        importlib.import_module(package)


def prepare_shared(config: dict[str, Any], *, prepare_at: int = 2) -> None:
    """Compute what a job shares with other jobs: the environment, and what depends on its documents.

    For the `prepare_at`-th job of a setting, the backend is prepared too. A process that forks other jobs
    must not call this for a backend that cannot be forked. Only first-party parts run here. Errors are
    ignored, because the job itself reports them.
    """
    with contextlib.suppress(Exception):
        environment.environment()
        environment.core_sha256()
        environment.part_sources(config)
        environment.callback_sources(config)
        differences(config)
        if reuse.is_first_party("backend", config["backend"]):
            build("backend", config["backend"])
        if not reuse.is_first_party("dataset", config["dataset"]):
            return
        documents = load_documents(config)
        environment.documents_sha256(documents)
        if not reuse.is_first_party("tokenizer", config["tokenizer"]):
            return
        if not config["init_from"]:  # which brings another vocabulary
            prepare_corpus(config, documents)
        setting = reuse.setting_key(config)
        jobs_per_setting[setting] += 1
        due = jobs_per_setting[setting] == prepare_at
        if due and not reuse.has_functions(config, documents) and can_prepare_backend(config):
            prepare_backend(config, documents)


def prepare_corpus(config: dict[str, Any], documents: Documents) -> None:
    """Let the tokenizer learn, and compute the tokens of a stream and the losses of the baselines."""
    tokenizer = build("tokenizer", config["tokenizer"])
    corpus = Corpus(documents, tokenizer, **{name: config[name] for name in options_of(Corpus)})
    if held_out := corpus.held_out(config["eval_docs"]):
        corpus.guessing(held_out)
        corpus.guessing_bits(held_out)


def can_prepare_backend(config: dict[str, Any]) -> bool:
    """Return whether the backend has something to prepare and the model is small enough."""
    backend = registry().get("backend", config["backend"]["name"]).make
    model = 12 * config["embed"] ** 2 * config["layers"] + config["embed"] * config["block_size"]
    batch = config["batch_size"] * config["block_size"] * config["embed"]
    prepares = getattr(backend, "prepare", Backend.prepare) is not Backend.prepare
    return prepares and max(model, batch) <= MOST_NUMBERS and reuse.all_first_party(config)


def prepare_backend(config: dict[str, Any], documents: Documents) -> None:
    trainer = assemble(config, documents)
    trainer.backend.prepare(trainer)
    reuse.keep_functions(trainer, config)
