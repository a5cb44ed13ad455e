"""A run in its folder, as Python sees it: its losses, weights, samples and views."""

from __future__ import annotations

import os
import signal
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from microgpt_lab.api import html
from microgpt_lab.api.arguments import as_arguments
from microgpt_lab.core.reprs import line
from microgpt_lab.errors import UserError, at_least
from microgpt_lab.listing import find
from microgpt_lab.options.changed import changed, check_keys
from microgpt_lab.options.files import clean
from microgpt_lab.registry.extras import install_module
from microgpt_lab.registry.folders import DEMO
from microgpt_lab.run import record
from microgpt_lab.run.folder import is_run, read_metrics, read_run
from microgpt_lab.run.trained import Trained, load_trained

if TYPE_CHECKING:
    import numpy
    import pandas

    from microgpt_lab.api.inspection import Inspection
    from microgpt_lab.run.evaluate import Evaluation


class Run:
    """A run on disk, finished or not. Everything is read from its folder when it is asked for.

    folder: the folder of the run, as a `Path`.
    """

    def __init__(self, folder: Path):
        self.folder = folder

    @property
    def name(self) -> str:
        """The overrides of the run, or 'default' without any."""
        return ",".join(read_run(self.folder).overrides) or "default"

    @property
    def config(self) -> dict[str, Any]:
        """The whole configuration, with all defaults."""
        return read_run(self.folder).config

    @property
    def summary(self) -> dict[str, Any]:
        """The results, as in summary.json: loss/val, bits_per_char/val, parameters, samples, …"""
        return read_run(self.folder).summary

    @property
    def status(self) -> str:
        """'ok', 'interrupted', 'diverged', 'failed', or 'unfinished': it is running, or was killed."""
        return self.summary["status"]

    @property
    def loss(self) -> float | None:
        """The last validation loss in nats per token; None if there is none, or the run has diverged."""
        summary = self.summary
        if summary["status"] in ("ok", "diverged"):
            return summary.get("loss/val")
        return next((row["loss/val"] for row in reversed(self._rows()) if "loss/val" in row), None)

    @property
    def metrics(self) -> pandas.DataFrame:
        """All metrics by step, as a DataFrame: loss/train, loss/val (at evaluations), optim/lr, …"""
        try:
            import pandas
        except ModuleNotFoundError:
            raise UserError(f"metrics needs pandas: {install_module('pandas')}") from None
        if not (rows := self._rows()):
            advice = "a run with callback=[jsonl], which is on by default, has them after its first step"
            raise UserError(f"{self.folder} has no metrics: {advice}")
        table = pandas.DataFrame(rows).astype({"step": int})
        return table.set_index("step").rename(columns=clean)

    @property
    def weights(self) -> dict[str, numpy.ndarray]:
        """The weights of the last checkpoint, by name, as NumPy arrays."""
        import numpy

        return {name: numpy.array(w.tolist()) for name, w in self._trained().weights.items()}

    def sample(
        self,
        prompt: str = "",
        *,
        samples: int = 5,
        seed: int | None = None,
        length: int = 0,
        best: bool = False,
        **sampler: Any,
    ) -> list[str]:
        """Return documents that the model writes, each with the prompt at its start.

        samples: how many.
        seed: the same seed gives the same documents.
        length: the most tokens, also more than the block (0: as many as fit into the block).
        best: use the checkpoint with the lowest validation loss.
        sampler: another sampler="greedy" than the run's, and options of it: temperature=0.5, top_k=5.
        """
        options = {key if key == "sampler" else f"sampler.{key}": x for key, x in sampler.items()}
        try:
            at_least(0, samples=samples, length=length)
            trained = self._trained(best, as_arguments((), options))
            text = trained.continuation(prompt, length)
        except ValueError as error:
            raise UserError(f"sample: {error}") from None
        if text.ended:
            block = trained.model.block_size
            raise UserError(
                f"sample: the prompt fills the block of {block}: write a shorter one, or length=N"
            )
        return [f"{prompt}{new}" for new in trained.documents(text, samples, seed)]

    def inspect(self, text: str = "emma", *, best: bool = False) -> Inspection:
        """Replay a text through the model, and return every number of it, in views."""
        from microgpt_lab.api.inspection import Inspection

        return Inspection(self.folder, self._trained(best), text)

    def evaluate(self, split: str = "val", *, best: bool = False, **settings: Any) -> Evaluation:
        """Compute the loss on a split with its standard error. A look at the test documents is counted.

        split: "val", "test" or "train".
        settings: eval_docs=N evaluates the first N documents (0: all).
        """
        from microgpt_lab.commands.evaluate import KEYS, split_name
        from microgpt_lab.run.evaluate import chosen, corpus_and_split, evaluate
        from microgpt_lab.run.looks import count_look

        split, overrides = split_name(split), as_arguments((), settings)
        check_keys(overrides, KEYS)
        trained = self._trained(best)
        config = changed(trained.config, overrides)
        corpus, parts = corpus_and_split(self.folder, trained, config)
        number = 0 if split == "test" and "eval_docs" not in settings else config["eval_docs"]
        result = evaluate(trained, corpus, chosen(parts, split, corpus, config, number))
        if split == "test":
            count_look(self.folder)
        return result

    def resume(self, *overrides: str, **settings: Any) -> Run:
        """Continue a run that was stopped, or train a finished one longer: resume(steps=2000). Return it."""
        from microgpt_lab.commands.resume import go_on, reopen

        given = as_arguments(overrides, settings)
        run = reopen(self.folder, given, False)
        return finished(run, lambda: go_on(run, changed=bool(given)))

    def _trained(self, best: bool = False, overrides: list[str] | None = None) -> Trained:
        """Load the model on NumPy, so that a run of another backend needs neither a compiler nor JAX."""
        check_keys(overrides or [], ["sampler"])
        return load_trained(self.folder, print, best=best, overrides=["backend=numpy", *(overrides or [])])

    def _rows(self) -> list[dict[str, Any]]:
        try:
            return read_metrics(self.folder / "metrics.jsonl")
        except FileNotFoundError:
            return []

    def __repr__(self) -> str:
        run, loss = read_run(self.folder), self.loss
        facts = [repr(",".join(run.overrides) or "default")]
        facts += [f"loss={loss:.4f}"] if loss is not None else []
        facts += [f"status={run.summary['status']!r}"] if run.summary["status"] != "ok" else []
        facts += [f"step={run.summary['steps']}"] if run.summary["status"] == "interrupted" else []
        return line(f"Run({', '.join([*facts, f'folder={typed_path(self.folder)!r}'])})")

    def _repr_html_(self) -> str:
        return html.of_run(read_run(self.folder), self._rows(), typed_path(self.folder))


def finished(run: record.Run, execute: Callable[[], dict[str, Any] | None]) -> Run:
    """Execute a run, and return it, also after Ctrl-C.

    Who sends SIGTERM wants to end the process, so it gets the signal again once the run is saved.
    """
    with warnings.catch_warnings():
        # Infinity and NaN need no warnings, because the trainer checks for them.
        warnings.filterwarnings("ignore", category=RuntimeWarning, module="microgpt_lab")
        summary = execute()
    result = Run(run.folder)
    if summary and summary["status"] == "interrupted":
        print(f"interrupted at step {summary['steps']:,} of {run.config['steps']:,}: run.resume() continues")
        if summary["signal"] == "SIGTERM":
            signal.raise_signal(signal.SIGTERM)
    return result


def load_run(run: str | os.PathLike[str] = find.LAST) -> Run:
    """Return a run: its folder, a part of a name that only one run below ./runs has, 'last' or 'demo'.

    'last' is the newest run, 'demo' a finished run that comes with the lab. UserError if there is none.
    """
    folder = find.find_run(os.fspath(run), demo=True)
    if not is_run(folder):
        raise UserError(f"there is no run at {folder}")
    return Run(folder.absolute())


def typed_path(folder: Path) -> str:
    """Return the path as a user would type it in the current folder, or 'demo'."""
    if folder == DEMO:
        return DEMO.name
    relative = os.path.relpath(folder) if folder.anchor == Path.cwd().anchor else str(folder)
    return str(folder) if relative.startswith("..") else relative
