"""Execute a run: build it from its configuration, train, evaluate, sample, and write the results."""

from __future__ import annotations

import contextlib
import copy
import logging
import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

from microgpt_lab.core.sampler import Continuation, Greedy
from microgpt_lab.core.trainer import Trainer
from microgpt_lab.errors import STORAGE_ERRNOS, StorageError, UserError
from microgpt_lab.registry.plugins import registry
from microgpt_lab.run.assemble import answer_after, assemble, build, load_documents
from microgpt_lab.run.checkpoint import Saved
from microgpt_lab.run.record import Run
from microgpt_lab.run.signals import StopOnSignal, Terminated
from microgpt_lab.run.watchers import Watchers
from microgpt_lab.tensors.shapes import flops_per_token

log = logging.getLogger("microgpt_lab")


def execute(run: Run, saved: Saved | None = None) -> dict[str, Any]:
    """Train, evaluate and sample. Return the summary, whose `status` is ok, interrupted or diverged.

    saved: the checkpoint from which the run continues in its folder; None for a new run.
    """
    documents = load_documents(run.config)
    vocabulary = saved.facts["tokenizer"] if saved and run.config["init_from"] else None
    trainer = assemble(run.config, documents, vocabulary)
    stopping = StopOnSignal()
    callbacks = [stopping, *build_callbacks(run, trainer)]
    trainer.watch = Watchers(callbacks, warn=log.warning)
    run.prepare_folder(documents, trainer, saved)
    with contextlib.suppress(Exception):  # a part may need numbers, which shapes do not have
        run.flops_per_token = flops_per_token(trainer.model)
    summary: dict[str, Any] = {"status": "failed", **sizes(run, trainer)}
    with explain_storage_errors(run), run.exclusive(), log_to(run.folder / "log.txt"):
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
            summary |= {"steps": trainer.step, "seconds": time.perf_counter() - run.started}
            summary |= {"signal": stopping.signal} if stopping.signal else {}
            summary |= {"resumed": run.resumed} if run.resumed else {}
            with StopOnSignal():  # a sweep that is interrupted signals a job that is ending already
                run.count_as_ended()
                if run.flops_per_token:
                    summary["flops"] = run.flops_per_token * tokens_trained(trainer)
                trainer.watch("run_finished", run=run, summary=summary | run.best)
                summary |= run.best  # the checkpoint at the end may be the best
                run.write_summary(summary)
                log.info("run %s: %s", run.name, summary["status"])
    return summary


def build_callbacks(run: Run, trainer: Trainer) -> list[Any]:
    """Build the callbacks of a run. UserError if the `check(run, trainer)` of one raises ValueError."""
    callbacks = []
    for chosen in run.config["callback"].values():
        callbacks.append(build("callback", chosen))
        if check := getattr(callbacks[-1], "check", None):
            try:
                check(run, trainer)
            except ValueError as error:
                raise UserError(registry().get("callback", chosen["name"]).refusal(error)) from None
    return callbacks


def sizes(run: Run, trainer: Trainer) -> dict[str, Any]:
    """Return what the summary says of the model's size."""
    flops = {"flops_per_token": run.flops_per_token} if run.flops_per_token else {}
    kinds = {"parameters_by_kind": trainer.parameters_by_kind}
    return {"parameters": trainer.parameters} | kinds | flops


def tokens_trained(trainer: Trainer) -> int:
    """Return the number of tokens in all batches so far."""
    corpus, pieces = trainer.corpus, trainer.step * trainer.batch_size * trainer.accumulate
    if corpus.stream:
        return pieces * corpus.block_size
    epoch = len(corpus.order if corpus.long_docs == "window" else corpus.train)
    epochs, rest = divmod(pieces, epoch)

    def tokens(first: int) -> int:
        return sum(map(len, corpus.batch(0, first))) - first

    return (epochs * tokens(epoch) if epochs else 0) + tokens(rest)


@contextmanager
def explain_storage_errors(run: Run) -> Iterator[None]:
    """Turn an OSError of a full or read-only disk into a StorageError that says how to resume."""
    try:
        yield
    except OSError as error:
        if error.errno not in STORAGE_ERRNOS:
            raise
        command = f"python -m microgpt_lab resume {shlex.quote(str(run.folder))}"
        raise StorageError(
            f"{run.folder} cannot be written: {error.strerror}. Make room, then run: {command}"
        ) from None


class RunLogHandler(logging.FileHandler):
    """A file handler that ignores its own errors: a full disk is reported once, by what stops the run."""

    def handleError(self, record: logging.LogRecord) -> None:
        pass


@contextmanager
def log_to(path: Path) -> Iterator[None]:
    """Log to this file, and warnings to the terminal as well."""
    file, terminal = RunLogHandler(path, encoding="utf-8"), logging.StreamHandler()
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
    """Add the results of a finished run: validation loss, losses of guessing, samples, how many are new."""
    corpus, held_out = trainer.corpus, trainer.held_out
    if held_out:
        summary |= {"loss/val": trainer.validate(), "bits_per_char/val": trainer.bits_per_char()}
        summary |= {"documents/val": len(held_out), "characters/val": sum(map(len, held_out))}
        if not corpus.stream:
            loss, documents = trainer.validate_unseen()
            summary |= {"loss/val_unseen": loss} if documents else {}
            summary["documents/val_unseen"] = documents
        summary["guessing"] = corpus.guessing(held_out)
        summary["guessing_bits"] = corpus.guessing_bits(held_out)
    if held_out and (after := answer_after(config)):
        summary["documents/exact_match"] = len(held_out[:100])
        summary["exact_match"] = exact_match(trainer, held_out[:100], after)
    rng = copy.copy(corpus.rng)  # a copy, so that the checkpoint, written later, gives the same samples
    samples = trainer.sample(rng, samples=config["samples"])
    summary["samples"] = samples
    new = [first for first, *_ in corpus.new(samples)]
    summary["samples_new"] = sum(new) / len(new) if new else None


def exact_match(trainer: Trainer, documents: list[str], answer_after: str) -> float:
    """Return the fraction of documents whose answer the model gives exactly, with the likeliest tokens.

    In a document, the last token of the question may include the beginning of the answer, as "=-" in
    "3-5=-2". So the model chooses this token, too, among those that begin with the question's last one.
    """
    corpus, correct = trainer.corpus, 0
    names = corpus.tokenizer.tokens
    for document in documents:
        question, _, answer = document.partition(answer_after)
        *prompt, last = corpus.encode(question + answer_after)
        text = Continuation(trainer.model, trainer.weights, [corpus.bos, *prompt], stop=corpus.bos)
        candidates = [token for token, name in enumerate(names) if name.startswith(names[last])]
        text = text.then(max(candidates, key=text.logits.__getitem__))
        correct += corpus.decode(Greedy()(text, Random(0))) == corpus.decode([last]) + answer
    return correct / len(documents)
