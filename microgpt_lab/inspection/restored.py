"""Restore the trainer of a run, with its documents and the optimizer's state, to measure one more step."""

from __future__ import annotations

from pathlib import Path

from microgpt_lab.core.trainer import Trainer
from microgpt_lab.inspection.replay import loaded
from microgpt_lab.options.config import converted_config
from microgpt_lab.registry.parts import options_of
from microgpt_lab.run import checkpoint
from microgpt_lab.run.assemble import build
from microgpt_lab.run.evaluate import corpus_and_split
from microgpt_lab.run.resume import restore


def restored(folder: Path) -> Trainer:
    """Return a run's trainer as its last checkpoint left it, but on NumPy, whatever the run's backend is.

    UserError if the run's documents cannot be loaded, or have changed.
    """
    trained = loaded(folder, ignore)
    saved = checkpoint.read(folder, ignore)
    assert saved  # `loaded` has read it
    config = converted_config(trained.config)
    corpus, _ = corpus_and_split(folder, trained, config)
    options = {name: config[name] for name in options_of(Trainer)}
    optimizer, scheduler = (build(kind, config[kind]) for kind in ("optimizer", "scheduler"))
    backend = build("backend", {"name": "numpy"})
    trainer = Trainer(trained.model, corpus, optimizer, scheduler, backend, **options)
    restore(trainer, saved)
    if not trainer.held_out:
        trainer.held_out = corpus.first(options["eval_docs"] or 200, corpus.train)
    return trainer


def ignore(line: str) -> None:
    """Take a warning that whoever loaded the run before has shown already."""
