"""A run: assembled from a configuration, executed, its results written into its folder."""

from __future__ import annotations

import copy
import logging
import math
import shlex
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

from microgpt_lab.core.backend import Backend, Batch
from microgpt_lab.core.data import Corpus
from microgpt_lab.core.documents import Documents
from microgpt_lab.core.model import GPT
from microgpt_lab.core.sampler import generate
from microgpt_lab.core.trainer import Trainer
from microgpt_lab.errors import NO_ROOM, NoRoom, OutOfRange, UserError, at_least, between
from microgpt_lab.registry.plugins import options_of, registry, unavailable
from microgpt_lab.registry.probe import label, probe
from microgpt_lab.run import reuse
from microgpt_lab.run.checkpoint import Saved
from microgpt_lab.run.record import Run
from microgpt_lab.run.signals import Stopping, Terminated
from microgpt_lab.run.watchers import Watchers

MOST_SAMPLES = 100_000

log = logging.getLogger("microgpt_lab")


def build(kind: str, chosen: dict[str, Any]) -> Any:
    """The part of this kind that is called `name`, with the other values as its options."""
    options = dict(chosen)
    return registry().get(kind, options.pop("name")).build(**options)


def assemble(config: dict[str, Any], documents: Sequence[str]) -> Trainer:
    """Everything that a run needs, checked; a UserError says what is wrong."""

    def chosen(owner: Any) -> dict[str, Any]:
        return {name: config[name] for name in options_of(owner)}

    try:
        between(0, MOST_SAMPLES, samples=config["samples"])
        at_least(0, temperature=config["temperature"])
        parts = {
            kind: build(kind, config[kind])
            for kind in ("activation", "norm", "optimizer", "scheduler", "backend")
        }
        check_size(config, parts["backend"])
        corpus = Corpus(documents, **chosen(Corpus))
        if corpus.long and answer_after(config):
            raise ValueError(
                f"dataset={config['dataset']['name']}: block_size={corpus.block_size} cuts the answers of "
                f"{corpus.long:,} of {len(documents):,} tasks: block_size={corpus.longest} holds all"
            )
        model = GPT(corpus.vocab_size, parts["activation"], parts["norm"], **chosen(GPT))
        check_learning_rate(config, parts["optimizer"], parts["scheduler"])
        probe(config, parts)
        trainer = Trainer(
            model, corpus, parts["optimizer"], parts["scheduler"], parts["backend"], **chosen(Trainer)
        )
    except ValueError as error:
        raise UserError(str(error)) from None
    if not reuse.share(trainer, config) and trainer.backend.fused > 1 and trainer.steps:
        try_step(trainer, config)
    return trainer


def check_size(config: dict[str, Any], backend: Backend) -> None:
    """Refuse what no memory holds, before it is asked for it."""
    width, length = max(0, config["embed"]), max(0, config["block_size"])
    sizes = {
        "layers, embed and block_size make a model": 12 * width**2 * max(0, config["layers"])
        + length * width,
        "batch_size, block_size and embed make batches": config["batch_size"] * length * width,
    }
    largest = getattr(backend, "largest", Backend.largest)  # what is no backend is told so later
    for what, numbers in sizes.items():
        if numbers > largest:
            most = f"{largest:,}, the most for backend={config['backend']['name']}"
            raise ValueError(f"{what} of {numbers:.1e} numbers, more than {most}")


def try_step(trainer: Trainer, config: dict[str, Any]) -> None:
    """Let the backend compile a step of the longest documents: UserError for a part that cannot run there."""
    batch, *numbers = trainer.inputs(0)
    longest, *_ = trainer.corpus.pieces(trainer.corpus.documents.longest)
    largest = Batch([longest] * trainer.batch_size, batch.block_size, mean=True, dropout=batch.dropout)
    try:
        trainer.run(trainer.carry, [(largest, *numbers)] * 2)  # the second is a recorded one
    except UserError:
        raise
    except Exception as error:
        parts = {
            kind: registry().get(kind, config[kind]["name"]) for kind in ("activation", "norm", "optimizer")
        }
        for frame, _ in reversed(list(traceback.walk_tb(error.__traceback__))):
            place = frame.f_globals.get("__name__"), frame.f_code.co_qualname.partition(".")[0]
            for kind, part in parts.items():
                if place == (part.provider, part.make.__qualname__):
                    unfit = f"{label(kind, config)} cannot run on backend={config['backend']['name']}"
                    raise UserError(f"{unfit}: {error}".partition("\n")[0]) from None
        raise


def check_learning_rate(config: dict[str, Any], optimizer: Any, scheduler: Any) -> None:
    """That there is one, and that the scheduler's factors are numbers from 0 up."""
    for name in ("lr", "init", "update"):
        if not hasattr(optimizer, name):
            raise ValueError(
                f"optimizer={config['optimizer']['name']} has no '{name}', which optimizers need"
            )
    at_least(0, **{"optimizer.lr": optimizer.lr})
    name, steps = f"scheduler={config['scheduler']['name']}", max(1, config["steps"])
    for step in {0, steps // 2, steps - 1}:
        try:
            factor = scheduler(step, steps)
            if not isinstance(factor, (int, float)):
                raise ValueError(f"its factor is {factor!r}, no number")
            if not 0 <= factor < math.inf:
                raise ValueError(f"its factor must be at least 0, not {factor}")
        except OutOfRange as error:
            raise ValueError(f"{name}: {error}") from None
        except (ValueError, TypeError, ArithmeticError) as error:
            raise ValueError(f"{name} at step {step}: {error}") from None


def load(config: dict[str, Any]) -> Documents:
    """The documents of the data set, checked."""
    return reuse.documents(config, lambda: made(config))


def made(config: dict[str, Any]) -> Documents:
    name = f"dataset={config['dataset']['name']}"
    try:
        documents = build("dataset", config["dataset"])()
    except ModuleNotFoundError as error:
        raise UserError(f"{name} is {unavailable(error)}") from None
    except ValueError as error:
        raise UserError(f"{name}: {error}") from None
    except (Exception, SystemExit) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"{label('dataset', config)}: {type(error).__name__}: {error}") from None
    if not documents and isinstance(documents, list):
        raise UserError(f"{name} has no documents")
    if not isinstance(documents, list) or not all(isinstance(document, str) for document in documents):
        raise UserError(f"{name} must return a list of strings")
    try:
        "".join(documents).encode()
    except UnicodeEncodeError:
        halves = (any("\ud800" <= char <= "\udfff" for char in document) for document in documents)
        number = list(halves).index(True) + 1
        raise UserError(f"{name}: document {number} has half of a surrogate pair, no character") from None
    return Documents(documents)


def execute(run: Run, saved: Saved | None = None) -> dict[str, Any]:
    """Train, evaluate, sample; what summary.json says. `status`: ok, interrupted or diverged.

    From a checkpoint, the run goes on in its folder.
    """
    documents = load(run.config)
    trainer = assemble(run.config, documents)
    stopping = Stopping()
    callbacks = [stopping, *(build("callback", chosen) for chosen in run.config["callback"].values())]
    trainer.watch = Watchers(callbacks, warn=log.warning)
    run.open(documents, trainer, saved)
    summary: dict[str, Any] = {"status": "failed", "parameters": trainer.parameters}
    with needing_room(run), run.held(), logging_to(run.folder / "log.txt"):
        log.info("run %s: %d parameters, %d documents", run.name, trainer.parameters, len(documents))
        try:
            with stopping:
                trainer.watch("run_started", run=run, trainer=trainer)
                if saved:
                    trainer.watch.restore(saved.facts["callbacks"])
                if not (saved and saved.facts["stopped"] and saved.facts["config"] == run.config):
                    trainer.train()
            if not stopping.signal:
                add_results(summary, run.config, trainer)
            summary["status"] = "interrupted" if stopping.signal else "ok"
        except KeyboardInterrupt as error:
            stopping.signal = "SIGTERM" if isinstance(error, Terminated) else "SIGINT"
            summary["status"] = "interrupted"
        except FloatingPointError as error:
            summary |= {"status": "diverged", "error": str(error)}
        except BaseException as error:
            summary["error"] = f"{type(error).__name__}: {error}"
            log.info("run %s failed", run.name, exc_info=True)
            raise
        finally:
            summary |= {"steps": trainer.step, "seconds": time.perf_counter() - run.began}
            summary |= {"signal": stopping.signal} if stopping.signal else {}
            summary |= {"resumed": run.resumed} if run.resumed else {}
            run.count_finished()
            trainer.watch("run_finished", run=run, summary=summary | run.best)
            summary |= run.best  # the end may have been the best
            run.conclude(summary)
            log.info("run %s: %s", run.name, summary["status"])
    return summary


@contextmanager
def needing_room(run: Run) -> Iterator[None]:
    """NoRoom where the machine takes no more; what the run has on disk stays."""
    try:
        yield
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        again = f"then: python -m microgpt_lab resume {shlex.quote(str(run.folder))}"
        raise NoRoom(f"{run.folder} cannot be written: {error.strerror}. Make room, {again}") from None


class Log(logging.FileHandler):
    """A disk that takes no more is reported once, by what stops the run."""

    def handleError(self, record: logging.LogRecord) -> None:
        pass


@contextmanager
def logging_to(path: Path) -> Iterator[None]:
    """Log into this file; warnings to the terminal too."""
    file, terminal = Log(path, encoding="utf-8"), logging.StreamHandler()
    file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    terminal.setLevel(logging.WARNING)
    log.setLevel(logging.INFO)
    log.addHandler(file)
    log.addHandler(terminal)
    try:
        yield
    finally:
        log.removeHandler(file)
        log.removeHandler(terminal)
        file.close()


def add_results(summary: dict[str, Any], config: dict[str, Any], trainer: Trainer) -> None:
    """What a finished run has come to: held-out loss, what guessing costs, samples and how many are new."""
    corpus, held_out = trainer.corpus, trainer.held_out
    if held_out:
        summary["loss/val"] = trainer.validate()
        summary["documents/val"] = len(held_out)
        loss, documents = trainer.validate_unseen()
        summary |= {"loss/val_unseen": loss} if documents else {}
        summary["documents/val_unseen"] = documents
        summary["guessing"] = corpus.guessing(held_out)
    if held_out and (after := answer_after(config)):
        summary["documents/exact_match"] = len(held_out[:100])
        summary["exact_match"] = exact_match(trainer, held_out[:100], after)
    rng = copy.copy(corpus.rng)  # the checkpoint, written after this, shall give the same samples
    samples = trainer.sample(rng, samples=config["samples"], temperature=config["temperature"])
    summary["samples"] = samples
    new = [first for first, *_ in corpus.new(samples)]
    summary["samples_new"] = sum(new) / len(new) if new else None


def answer_after(config: dict[str, Any]) -> str | None:
    """What stands before the answer, if the data set is a task."""
    return getattr(registry().get("dataset", config["dataset"]["name"]).make, "answer_after", None)


def exact_match(trainer: Trainer, documents: list[str], answer_after: str) -> float:
    """The part of the documents whose answer the model gives to the letter, taking the likeliest token."""
    corpus, right = trainer.corpus, 0
    for document in documents:
        question, _, answer = document.partition(answer_after)
        prompt = [corpus.bos, *corpus.encode(question + answer_after)]
        ids = generate(trainer.model, trainer.weights, prompt, Random(0), stop=corpus.bos, temperature=0)
        right += corpus.decode(ids) == answer
    return right / len(documents)
