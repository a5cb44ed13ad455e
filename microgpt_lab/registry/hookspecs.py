"""Hooks that a plugin can implement.

A plugin is a Python module that implements hooks with `@hookimpl`. The first seven hooks define parts:
each is called once, at startup, and returns a list of functions or classes. The other hooks are called
during a run. A callback (a part) implements those as methods of the same names, without `@hookimpl`.

An implementation takes only the arguments that it needs, by name, and must not change them. If it raises,
the run continues without it and prints a warning, unless the error is a full disk.
"""

# pyright: reportReturnType=false
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pluggy

# The hooks below, in their order. Hooks of parts are named after their kinds, in the plural.
KINDS = ("activation", "norm", "optimizer", "scheduler", "dataset", "backend", "callback")
EVENTS = ("run_started", "step_finished", "evaluated", "should_stop", "checkpoint_saved", "run_finished")

hookspec = pluggy.HookspecMarker("microgpt_lab")
hookimpl = pluggy.HookimplMarker("microgpt_lab")


@hookspec
def activations() -> list[Callable]:
    """Return the activation functions that the plugin defines.

    An activation is a function of a tensor, or of a single `Value`. It works element by element and
    returns the same shape.

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
    """Return the norms that the plugin defines.

    A norm without learnable parameters is a function of a tensor (…, C). A norm with learnable parameters
    is a class: `init(embed)` returns their initial values as matrices by name, where `embed` is C, and
    calling an instance takes the tensor and these parameters.

    >>> from microgpt_lab import hookimpl
    >>> class Scale:
    ...     '''x times a learnable gain.'''
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
    """Return the optimizers that the plugin defines.

    An optimizer is a class with an option `lr` and two methods, which are called for each weight matrix:
    `init(w)` returns the initial state, and `update(g, state, w, lr, step)` returns the new weights and
    the new state. `g` is the gradient, `lr` the scheduled learning rate, and `step` counts from 0. An
    optimizer that works element by element may set `elementwise = True`. It then gets all weights in one
    row (1, N).

    >>> from microgpt_lab import hookimpl, ops
    >>> class SignSGD:
    ...     '''w - lr sign(g) (Bernstein et al., 2018).'''
    ...     def __init__(self, *, lr: float = 0.001):
    ...         self.lr = lr
    ...     def init(self, w):
    ...         return ()
    ...     def update(self, g, state, w, lr, step):
    ...         sign = ops.where(g > 0, 1.0, ops.where(g < 0, -1.0, 0.0))
    ...         return w - sign * lr, state
    >>> @hookimpl
    ... def optimizers():
    ...     return [SignSGD]
    """


@hookspec
def schedulers() -> list[Callable]:
    """Return the learning rate schedulers that the plugin defines.

    A scheduler is a function of `step`, which counts from 0, and `steps`, their total number. It returns
    the factor that multiplies the learning rate in this step.

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
    """Return the data sets that the plugin defines.

    A data set is a function without positional arguments that returns a list of documents (strings). A
    data set with an attribute `answer_after` is a task: in each document, the text after the first
    `answer_after` is the answer. Runs on a task report the fraction of exactly correct answers.

    >>> from microgpt_lab import hookimpl
    >>> def counting(*, up_to: int = 20):
    ...     '''Three consecutive numbers per document.'''
    ...     return [f"{i} {i + 1} {i + 2}" for i in range(up_to)]
    >>> @hookimpl
    ... def datasets():
    ...     return [counting]
    >>> counting(up_to=2)
    ['0 1 2', '1 2 3']
    """


@hookspec
def backends() -> list[Callable]:
    """Return the backends that the plugin defines.

    A backend is a subclass of `Backend` with two methods. `tensor(rows)` returns a tensor that implements
    the array protocol (docs/backends.md). `value_and_grad(loss, weights)` returns the value of the loss, a
    tensor (1, 1), and its gradients by name.

    >>> from microgpt_lab import hookimpl, part
    >>> Python = type(part("backend", "python"))
    >>> class Loud(Python):
    ...     '''The python backend, which prints the size of each new tensor.'''
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
    """Return the callbacks that the plugin defines.

    A callback is a class with methods named like the hooks below. If it has a state that a resumed run
    needs, it also has `state_dict()`, which returns a dictionary of JSON types, and
    `load_state_dict(state)`.

    >>> from microgpt_lab import hookimpl
    >>> class Worst:
    ...     '''Prints the largest training loss of a run.'''
    ...     def __init__(self):
    ...         self.loss = 0.0
    ...     def step_finished(self, metrics):
    ...         self.loss = max(self.loss, metrics["loss/train"])
    ...     def run_finished(self):
    ...         print("largest loss", self.loss)
    >>> @hookimpl
    ... def callbacks():
    ...     return [Worst]
    """


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
    metrics: loss/train, optim/lr, optim/grad_norm and perf/tokens_per_s, and loss/val if the step was
        followed by an evaluation.

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
