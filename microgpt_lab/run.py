"""A run on disk: assembled from a configuration, executed, and written into its folder."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import logging
import os
import platform
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import yaml

from microgpt_lab.backend import Batch
from microgpt_lab.data import Corpus, guessing
from microgpt_lab.errors import UserError, at_least
from microgpt_lab.model import GPT
from microgpt_lab.plugins import CHECKOUT, KINDS, Watchers, options_of, registry, unavailable
from microgpt_lab.sampler import generate
from microgpt_lab.sweep import Place
from microgpt_lab.trainer import Trainer

log = logging.getLogger("microgpt_lab")
PACKAGES = ("microgpt-lab", "numpy", "jax", "hydra-core", "omegaconf", "pluggy", "tensorboardX")


@dataclass
class Run:
    """What callbacks know of a run. In a sweep of so many `jobs`, `place` is where it belongs."""

    config: dict[str, Any]
    folder: Path
    overrides: list[str] = field(default_factory=list)
    jobs: int = 0
    place: Place | None = None
    environment: dict[str, Any] = field(default_factory=dict)
    claimed: bool = False

    @property
    def name(self) -> str:
        """What sets it apart from the default."""
        return ",".join(self.overrides) or "default"

    def claim(self) -> None:
        """Make the folder, or another beside it if it holds a run, and write what the run is."""
        wanted, number = self.folder, 2
        while True:
            self.folder.mkdir(parents=True, exist_ok=True)
            try:
                with (self.folder / "config.yaml").open("x", encoding="utf-8") as file:
                    yaml.safe_dump(self.config, file, sort_keys=False, allow_unicode=True)
                break
            except FileExistsError:
                self.folder, number = wanted.with_name(f"{wanted.name}-{number}"), number + 1
        self.claimed = True
        if self.place:
            self.place.folder = self.folder
        (self.folder / "overrides.yaml").write_text(
            yaml.safe_dump(self.overrides, allow_unicode=True), encoding="utf-8"
        )

    def create(self, documents: list[str]) -> None:
        """Write what is known before the first step into a folder that holds no other run."""
        surroundings = environment()
        self.claim()
        self.environment = surroundings | {
            "documents": len(documents),
            "documents_sha256": hashlib.sha256(
                "\n".join(documents).encode("utf-8", "surrogatepass")
            ).hexdigest(),
            "plugins": {
                kind: registry().get(kind, self.config[kind]["name"]).provider
                for kind in KINDS
                if kind != "callback"
            },
        }
        self.write("environment.json", self.environment)

    def end(self, status: str, error: str) -> dict[str, Any]:
        """A job of a sweep that has no results is a row all the same."""
        if not self.claimed:
            self.claim()
        summary = {"status": status, "error": error}
        self.write("summary.json", summary)
        print(f"{status}: {self.name}: {error}", file=sys.stderr)
        return summary

    def write(self, name: str, content: Any) -> None:
        """A JSON file, whole or not at all."""
        path = self.folder / name
        part = path.with_name(name + ".part")
        part.write_text(
            json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8"
        )
        part.replace(path)


def environment() -> dict[str, Any]:
    """Where and with what a run was made."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = None
    return {
        "python": sys.version,
        "platform": platform.platform(),
        "cores": os.cpu_count(),
        "packages": versions,
    } | git(CHECKOUT or Path.cwd())


def git(folder: Path) -> dict[str, Any]:
    """The commit that is checked out here, and whether files differ from it; None without git."""
    try:
        answers = [
            subprocess.run(
                ["git", "-C", folder, *args], capture_output=True, text=True, check=True, timeout=10
            ).stdout
            for args in (["rev-parse", "HEAD"], ["status", "--porcelain"])
        ]
    except (OSError, subprocess.SubprocessError):
        return {"git_commit": None, "git_dirty": None}
    return {"git_commit": answers[0].strip(), "git_dirty": bool(answers[1].strip())}


def build(kind: str, chosen: dict[str, Any]) -> Any:
    """The part of this kind that is called `name`, with the other values as its options."""
    options = dict(chosen)
    return registry().get(kind, options.pop("name")).build(**options)


def assemble(config: dict[str, Any], documents: list[str]) -> Trainer:
    """Everything that a run needs, checked; a UserError says what is wrong."""

    def chosen(owner: Any) -> dict[str, Any]:
        return {name: config[name] for name in options_of(owner)}

    try:
        at_least(0, **chosen(Trainer.sample))
        parts = {
            kind: build(kind, config[kind])
            for kind in ("activation", "norm", "optimizer", "scheduler", "backend")
        }
        corpus = Corpus(documents, **chosen(Corpus))
        model = GPT(corpus.vocab_size, parts["activation"], parts["norm"], **chosen(GPT))
        check_learning_rate(config, parts["optimizer"], parts["scheduler"])
        trainer = Trainer(
            model, corpus, parts["optimizer"], parts["scheduler"], parts["backend"], **chosen(Trainer)
        )
    except ValueError as error:
        raise UserError(str(error)) from None
    if trainer.backend.fused > 1 and trainer.steps:
        try_step(trainer, config)
    return trainer


def try_step(trainer: Trainer, config: dict[str, Any]) -> None:
    """Let the backend compile a step of the longest documents: UserError for a part that cannot run there."""
    batch, *numbers = trainer.inputs(0)
    longest = trainer.corpus.tokens(max(trainer.corpus.train, key=len))
    largest = Batch(
        [longest] * trainer.batch_size, trainer.model.block_size, mean=True, dropout=batch.dropout
    )
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
                    unfit = f"{kind}={part.name} cannot run on backend={config['backend']['name']}"
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
    for step in {0, config["steps"] // 2, max(0, config["steps"] - 1)} if config["steps"] > 0 else ():
        try:
            factor = scheduler(step, config["steps"])
            at_least(0, factor=factor)
        except (ValueError, TypeError, ArithmeticError) as error:
            raise ValueError(f"scheduler={config['scheduler']['name']} at step {step}: {error}") from None


def load(config: dict[str, Any]) -> list[str]:
    """The documents."""
    name = f"dataset={config['dataset']['name']}"
    try:
        documents = build("dataset", config["dataset"])()
    except ModuleNotFoundError as error:
        raise UserError(f"{name} is {unavailable(error)}") from None
    except (ValueError, LookupError, TypeError, ArithmeticError) as error:
        raise UserError(f"{name}: {error}") from None
    if not documents:
        raise UserError(f"{name} has no documents")
    if not isinstance(documents, list) or not all(isinstance(document, str) for document in documents):
        raise UserError(f"{name} must return a list of strings")
    return documents


def execute(run: Run) -> dict[str, Any]:
    """Train, evaluate, sample; returns what summary.json says. `status`: ok, interrupted or diverged."""
    documents = load(run.config)
    trainer = assemble(run.config, documents)
    callbacks = [build("callback", chosen) for chosen in run.config["callback"].values()]
    run.create(documents)
    started = time.perf_counter()
    summary: dict[str, Any] = {"status": "failed", "parameters": trainer.parameters}
    with logging_to(run.folder / "log.txt"):
        trainer.watch = Watchers(callbacks, warn=log.warning)
        log.info("run %s: %d parameters, %d documents", run.name, trainer.parameters, len(documents))
        try:
            trainer.watch("run_started", run=run, trainer=trainer)
            trainer.train()
            add_results(summary, run.config, trainer)
            summary["status"] = "ok"
        except KeyboardInterrupt:
            summary["status"] = "interrupted"
        except FloatingPointError as error:
            summary |= {"status": "diverged", "error": str(error)}
        except BaseException as error:
            summary["error"] = f"{type(error).__name__}: {error}"
            log.info("run %s failed", run.name, exc_info=True)
            raise
        finally:
            summary |= {"steps": trainer.step, "seconds": time.perf_counter() - started}
            run.write("summary.json", summary)
            trainer.watch("run_finished", run=run, summary=summary)
            log.info("run %s: %s", run.name, summary["status"])
    return summary


@contextmanager
def logging_to(path: Path) -> Iterator[None]:
    """Log into this file; warnings to the terminal too."""
    file, terminal = logging.FileHandler(path, encoding="utf-8"), logging.StreamHandler()
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
        seen = [corpus.tokens(document)[: trainer.model.block_size + 1] for document in held_out]
        summary["guessing"] = guessing([corpus.tokens(d) for d in corpus.train], seen, corpus.vocab_size)
    answer_after = getattr(registry().get("dataset", config["dataset"]["name"]).make, "answer_after", None)
    if answer_after and held_out:
        summary["documents/exact_match"] = len(held_out[:100])
        summary["exact_match"] = exact_match(trainer, held_out[:100], answer_after)
    samples = trainer.sample(samples=config["samples"], temperature=config["temperature"])
    known = set(corpus.train)
    summary["samples"] = samples
    summary["samples_new"] = (
        sum(sample not in known for sample in samples) / len(samples) if samples else None
    )


def exact_match(trainer: Trainer, documents: list[str], answer_after: str) -> float:
    """The part of the documents whose answer the model gives to the letter, taking the likeliest token."""
    corpus, right = trainer.corpus, 0
    for document in documents:
        question, _, answer = document.partition(answer_after)
        prompt = [corpus.bos, *corpus.encode(question + answer_after)]
        ids = generate(trainer.model, trainer.weights, prompt, Random(0), stop=corpus.bos, temperature=0)
        right += corpus.decode(ids) == answer
    return right / len(documents)
