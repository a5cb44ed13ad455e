"""Build everything that a run needs from its configuration: documents, parts, model, trainer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from microgpt_lab.core.backend import Batch
from microgpt_lab.core.data import Corpus
from microgpt_lab.core.documents import Documents, check_returned
from microgpt_lab.core.model import GPT
from microgpt_lab.core.trainer import Trainer
from microgpt_lab.errors import OutOfRange, UserError, at_least, between
from microgpt_lab.registry.hookspecs import MODEL_KINDS
from microgpt_lab.registry.parts import options_of, unavailable
from microgpt_lab.registry.plugins import registry
from microgpt_lab.run import reuse
from microgpt_lab.run.initial import load_vocabulary, read_initial, start
from microgpt_lab.run.memory import check_memory
from microgpt_lab.run.probe import chosen, naming, probe, probe_model
from microgpt_lab.run.sizes import check_drawn, check_model, check_size

MAX_SAMPLES = 100_000


def build(kind: str, chosen: dict[str, Any]) -> Any:
    """Build the part of this kind that is called `chosen["name"]`, with the other values as options."""
    options = dict(chosen)
    return registry().get(kind, options.pop("name")).build(**options)


def assemble(
    config: dict[str, Any], documents: Sequence[str], vocabulary: dict[str, Any] | None = None
) -> Trainer:
    """Build the trainer of a run and check its configuration. UserError says what is wrong.

    vocabulary: the tokenizer's state in the checkpoint of a run that started from other weights: they are not
        read again.
    """

    def options_for(owner: Any) -> dict[str, Any]:
        return {name: config[name] for name in options_of(owner)}

    initial = read_initial(config) if config["init_from"] and vocabulary is None else None

    try:
        between(0, MAX_SAMPLES, samples=config["samples"])
        kinds = (*MODEL_KINDS, "optimizer", "scheduler", "tokenizer", "sampler", "backend")
        parts = {kind: build(kind, config[kind]) for kind in kinds}
        check_size(config, parts)
        vocabulary = initial.vocabulary if initial else vocabulary
        with naming(config, {"tokenizer": parts["tokenizer"]}, refusal=ValueError, failed="cannot learn"):
            if vocabulary is not None:
                load_vocabulary(parts["tokenizer"], vocabulary, documents, config["init_from"])
            corpus = Corpus(documents, parts["tokenizer"], **options_for(Corpus))
        if corpus.long and answer_after(config):
            raise ValueError(
                f"dataset={config['dataset']['name']}: block_size={corpus.block_size} cuts the answers of "
                f"{corpus.long:,} of {len(documents):,} tasks: write block_size={corpus.longest}, "
                "which is enough for all"
            )
        makers = {kind: parts[kind] for kind in (*MODEL_KINDS, "optimizer")}
        with naming(config, makers, refusal=ValueError, failed="cannot be built"):
            model = GPT(corpus.vocab_size, **{kind: parts[kind] for kind in MODEL_KINDS}, **options_for(GPT))
            check_model(model, config, parts["backend"])
            model.tables  # noqa: B018  of which a part may refuse to make one
        check_optimizer_and_scheduler(config, parts["optimizer"], parts["scheduler"])
        probe(config, parts)
        memory = check_memory(model, corpus, config, parts["backend"])
        with naming(config, makers, refusal=ValueError, failed="cannot be built"):
            trainer = Trainer(
                model,
                corpus,
                parts["optimizer"],
                parts["scheduler"],
                parts["backend"],
                **options_for(Trainer),
            )
        trainer.sampler, trainer.memory = parts["sampler"], memory
        check_drawn(trainer, config)
        if initial:
            start(trainer, initial, config["init_from"])
    except ValueError as error:
        raise UserError(str(error)) from None
    probe_model(config, makers, trainer)
    if not reuse.share_functions(trainer, config) and trainer.backend.fused > 1 and trainer.steps:
        with naming(config, makers):
            try_step(trainer)
    return trainer


def try_step(trainer: Trainer) -> None:
    """Let the backend compile a step of the longest documents."""
    batch, *numbers = trainer.inputs(0)
    pieces, dropouts = [trainer.corpus.longest_piece] * len(batch.pairs), batch.dropouts
    largest = Batch(pieces, batch.block_size, mean=True, dropouts=dropouts, parts=batch.parts)
    trainer.train_scan(trainer.carry, [(largest, *numbers)])


def check_optimizer_and_scheduler(config: dict[str, Any], optimizer: Any, scheduler: Any) -> None:
    """Raise an error for an incomplete optimizer, or a factor that is not a number or is negative."""
    for name in ("lr", "init", "update"):
        if not hasattr(optimizer, name):
            raise chosen("optimizer", config).failure(f" has no '{name}', which every optimizer needs")
    at_least(0, **{"optimizer.lr": optimizer.lr})
    name, steps = f"scheduler={config['scheduler']['name']}", max(1, config["steps"])
    for step in {0, steps // 2, steps - 1}:
        try:
            factor = scheduler(step, steps)
            if not isinstance(factor, (int, float)):
                raise ValueError(f"its factor must be a number, not {factor!r}")
            if not 0 <= factor < math.inf:
                raise ValueError(f"its factor must be at least 0, not {factor}")
        except OutOfRange as error:
            raise ValueError(chosen("scheduler", config).refusal(error)) from None
        except (ValueError, TypeError, ArithmeticError) as error:
            raise ValueError(f"{name} at step {step}: {error}{chosen('scheduler', config).since}") from None


def load_documents(config: dict[str, Any]) -> Documents:
    """Return the documents of the data set, checked, and cached for later runs in this process."""
    return reuse.documents(config, lambda: build_documents(config))


def build_documents(config: dict[str, Any]) -> Documents:
    """Call the data set and check what it returns. UserError says what is wrong."""
    name = f"dataset={config['dataset']['name']}"
    try:
        documents = build("dataset", config["dataset"])()
    except ModuleNotFoundError as error:
        raise UserError(f"{name} is {unavailable(error)}") from None
    except ValueError as error:
        raise UserError(chosen("dataset", config).refusal(error)) from None
    except (Exception, SystemExit) as error:
        if isinstance(error, UserError):
            raise
        raise chosen("dataset", config).failure(f": {type(error).__name__}: {error}") from None
    try:
        check_returned(name, documents)
    except ValueError as error:
        raise UserError(f"{error}{chosen('dataset', config).since}") from None
    return Documents(documents)


def answer_after(config: dict[str, Any]) -> str | None:
    """Return the text before the answer in each document, if the data set is a task."""
    return getattr(registry().get("dataset", config["dataset"]["name"]).make, "answer_after", None)
