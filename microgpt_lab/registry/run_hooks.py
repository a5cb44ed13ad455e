"""Hooks that are called during a run."""

# pyright: reportReturnType=false
from __future__ import annotations

from typing import Any

from microgpt_lab.registry.markers import hookspec


@hookspec
def run_started(run: Any, trainer: Any) -> None:
    """Called before the first step of a run, or of a resumed run.

    run: the run, with `folder`, `config` and `environment`.
    trainer: the `Trainer`, with `model`, `corpus` and `weights`.

    >>> from microgpt_lab import hookimpl
    >>> @hookimpl
    ... def run_started(run):
    ...     print("writing to", run.folder)
    """


@hookspec
def step_finished(step: int, metrics: dict[str, float]) -> None:
    """Called after each step.

    step: the number of finished steps.
    metrics: loss/train, optim/lr, optim/grad_norm and perf/tokens_per_s; loss/ce and other terms of the loss
        if it has several; loss/val if the step was followed by an evaluation.

    >>> from microgpt_lab import hookimpl
    >>> @hookimpl
    ... def step_finished(step, metrics):
    ...     print(step, metrics["loss/train"])
    """


@hookspec
def evaluated(step: int, loss: float, documents: int) -> None:
    """Called after each evaluation.

    step: the number of finished steps.
    loss: the validation loss in nats per token.
    documents: the number of held-out documents that it was computed on.

    >>> from microgpt_lab import hookimpl
    >>> @hookimpl
    ... def evaluated(step, loss):
    ...     print(step, loss)
    """


@hookspec
def should_stop(step: int, metrics: dict[str, float], stopped: bool) -> bool:
    """Called after each step. Return True to stop the training.

    This is the only hook whose return value during a run is used.

    step, metrics: as in `step_finished`.
    stopped: whether an implementation that was called earlier returned True. The checkpoint callback
        is called after all others.

    >>> from microgpt_lab import hookimpl
    >>> @hookimpl
    ... def should_stop(metrics):
    ...     return metrics["loss/train"] < 1.5
    """


@hookspec
def measured(step: int, numbers: dict[str, float]) -> None:
    """Called when a callback has measured something: `trainer.watch("measured", step=…, numbers=…)`.

    The callback tensorboard shows what any callback measures.

    step: the number of finished steps.
    numbers: what was measured, by name. A number that is not defined is NaN.

    >>> from microgpt_lab import hookimpl
    >>> @hookimpl
    ... def measured(step, numbers):
    ...     print(step, numbers.get("updates/wte"))
    """


@hookspec
def pictured(step: int, images: dict[str, bytes]) -> None:
    """Called when a callback has drawn something: `trainer.watch("pictured", step=…, images=…)`.

    step: the number of finished steps.
    images: PNG files, by name.

    >>> from microgpt_lab import hookimpl
    >>> @hookimpl
    ... def pictured(images):
    ...     print(sorted(images))
    """


@hookspec
def checkpoint_saved(step: int, path: str) -> None:
    """Called after a checkpoint was written.

    step: the number of finished steps.
    path: the file.

    >>> from microgpt_lab import hookimpl
    >>> @hookimpl
    ... def checkpoint_saved(path):
    ...     print("saved", path)
    """


@hookspec
def run_finished(run: Any, summary: dict[str, Any]) -> None:
    """Called at the end of a run, also of an interrupted one.

    run: as in `run_started`.
    summary: the results, as in summary.json.

    >>> from microgpt_lab import hookimpl
    >>> @hookimpl
    ... def run_finished(summary):
    ...     print(summary["status"])
    """
