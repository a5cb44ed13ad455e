"""Every hook of microgpt_lab.

A plugin is a Python module. It implements hooks with `@hookimpl`: the first seven offer parts, and
the rest watch a run. A callback part may have methods of the names below, without decoration; it
takes those arguments that it needs, and cannot change a run's numbers.
"""

# pyright: reportReturnType=false
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pluggy

# The hooks below, in order: those of parts are named after their kinds, activations() …
KINDS = ("activation", "norm", "optimizer", "scheduler", "dataset", "backend", "callback")
EVENTS = ("run_started", "step_finished", "evaluated", "should_stop", "checkpoint_saved", "run_finished")

hookspec = pluggy.HookspecMarker("microgpt_lab")
hookimpl = pluggy.HookimplMarker("microgpt_lab")


@hookspec
def activations() -> list[Callable]:
    """Functions of a tensor (or a `Value`), number by number.

    >>> from microgpt_lab import Value, hookimpl, ops
    >>> def swish(x, *, beta: float = 1.0):
    ...     '''x sigmoid(βx) (Ramachandran et al., 2017).'''
    ...     return x * ops.sigmoid(x * beta)
    >>> @hookimpl
    ... def activations():
    ...     return [swish]
    >>> swish(Value(1.0)).data
    0.731...
    """


@hookspec
def norms() -> list[Callable]:
    """Functions of a tensor (…, C), or classes with learned parameters: `init(embed)` gives their
    first values, matrices by name, and calling one takes the tensor and these.

    >>> from microgpt_lab import hookimpl, ops
    >>> class Scale:
    ...     '''x times a learned gain.'''
    ...     def __init__(self, *, start: float = 1.0):
    ...         self.start = start
    ...     def init(self, embed):
    ...         return {"gain": [[self.start] * embed]}
    ...     def __call__(self, x, gain):
    ...         return x * gain
    >>> @hookimpl
    ... def norms():
    ...     return [Scale]
    """


@hookspec
def optimizers() -> list[Callable]:
    """Classes with an option `lr`, `init(w) -> state` and `update(g, state, w, lr, step) -> (new w,
    new state)` on whole weight matrices. `step` counts from 0; `lr` is the scheduled one. One that
    treats each number by itself may say `elementwise = True`, and gets all weights in one row.

    >>> from microgpt_lab import hookimpl
    >>> class SignSGD:
    ...     '''w - lr sign(g) (Bernstein et al., 2018).'''
    ...     def __init__(self, *, lr: float = 0.001):
    ...         self.lr = lr
    ...     def init(self, w):
    ...         return ()
    ...     def update(self, g, state, w, lr, step):
    ...         from microgpt_lab.core.ops import where
    ...         return w - where(g > 0, 1.0, where(g < 0, -1.0, 0.0)) * lr, state
    >>> @hookimpl
    ... def optimizers():
    ...     return [SignSGD]
    """


@hookspec
def schedulers() -> list[Callable]:
    """Functions `(step, steps) -> factor of the learning rate`; `step` counts from 0.

    >>> from microgpt_lab import hookimpl
    >>> def square_root(step, steps):
    ...     '''√(1 - step / steps).'''
    ...     return (1 - step / steps) ** 0.5
    >>> @hookimpl
    ... def schedulers():
    ...     return [square_root]
    >>> square_root(75, 100)
    0.5
    """


@hookspec
def datasets() -> list[Callable]:
    """Functions `() -> list of documents`. One with an attribute `answer_after` is a task: what
    follows that text in a document is the answer, and runs report how many are exactly right.

    >>> from microgpt_lab import hookimpl
    >>> def counting(*, up_to: int = 20):
    ...     '''Runs of three numbers.'''
    ...     return [f"{i} {i + 1} {i + 2}" for i in range(up_to)]
    >>> @hookimpl
    ... def datasets():
    ...     return [counting]
    >>> counting(up_to=2)
    ['0 1 2', '1 2 3']
    """


@hookspec
def backends() -> list[Callable]:
    """Subclasses of `Backend` with `tensor(rows) -> a tensor that answers to the array protocol` and
    `value_and_grad(loss, weights) -> (tensor (1, 1), gradients by name)`. See docs/backends.md.

    >>> from microgpt_lab import hookimpl, part
    >>> Python = type(part("backend", "python"))
    >>> class Loud(Python):
    ...     '''The python backend, telling what it makes.'''
    ...     def tensor(self, rows):
    ...         print(len(rows), "rows")
    ...         return super().tensor(rows)
    >>> @hookimpl
    ... def backends():
    ...     return [Loud]
    >>> Loud().tensor([[1.0], [2.0]]).shape
    2 rows
    (2, 1)
    """


@hookspec
def callbacks() -> list[Callable]:
    """Classes with methods of the names of the hooks below.

    >>> from microgpt_lab import hookimpl
    >>> class Worst:
    ...     '''Prints the largest loss of a run.'''
    ...     def __init__(self):
    ...         self.loss = 0.0
    ...     def step_finished(self, metrics):
    ...         self.loss = max(self.loss, metrics["loss/train"])
    ...     def run_finished(self):
    ...         print("worst loss", self.loss)
    >>> @hookimpl
    ... def callbacks():
    ...     return [Worst]
    """


@hookspec
def run_started(run: Any, trainer: Any) -> None:
    """Before the first step. `run` has the folder, the configuration and the environment; `trainer`
    the model, the corpus and the weights, for reading.

    >>> from microgpt_lab import hookimpl
    >>> @hookimpl
    ... def run_started(run):
    ...     print("writing to", run.folder)
    """


@hookspec
def step_finished(step: int, metrics: dict[str, float]) -> None:
    """After each step, with its figures: loss/train, optim/lr, optim/grad_norm, perf/tokens_per_s,
    and loss/val after those that were followed by an evaluation.

    >>> from microgpt_lab import hookimpl
    >>> @hookimpl
    ... def step_finished(step, metrics):
    ...     print(step, metrics["loss/train"])
    """


@hookspec
def evaluated(step: int, loss: float, documents: int) -> None:
    """After an evaluation: nats a token on this number of held-out documents.

    >>> from microgpt_lab import hookimpl
    >>> @hookimpl
    ... def evaluated(step, loss):
    ...     print(step, loss)
    """


@hookspec
def should_stop(step: int, metrics: dict[str, float], stopped: bool) -> bool:
    """After each step: true ends the training. The only hook whose answer is used.

    `stopped` is what those asked before have answered; checkpoints are taken after all others.

    >>> from microgpt_lab import hookimpl
    >>> @hookimpl
    ... def should_stop(metrics):
    ...     return metrics["loss/train"] < 1.5
    """


@hookspec
def checkpoint_saved(step: int, path: str) -> None:
    """After a checkpoint was written.

    >>> from microgpt_lab import hookimpl
    >>> @hookimpl
    ... def checkpoint_saved(path):
    ...     print("saved", path)
    """


@hookspec
def run_finished(run: Any, summary: dict[str, Any]) -> None:
    """At the end, also of an interrupted run: what summary.json says.

    >>> from microgpt_lab import hookimpl
    >>> @hookimpl
    ... def run_finished(summary):
    ...     print(summary["status"])
    """
