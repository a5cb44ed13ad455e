"""Hooks that a plugin can implement.

A plugin is a Python module that implements hooks with `@hookimpl`. The first hooks, with names in the plural,
define parts: each is called once, at startup, and returns a list of functions or classes. The other hooks
are called during a run. A callback (a part) implements those as methods of the same names, without
`@hookimpl`.

An implementation takes only the arguments that it needs, by name, and must not change them. If it raises,
the run continues without it and prints a warning, unless the error is a full disk.
"""

# pyright: reportReturnType=false
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pluggy

# The hooks below, in their order. Hooks of parts are named after their kinds, in the plural.
MODEL_KINDS = ("activation", "norm", "position", "attention", "weighting", "mlp", "block", "init", "loss")
KINDS = (*MODEL_KINDS, "optimizer", "scheduler", "dataset", "backend", "callback")
EVENTS = ("run_started", "step_finished", "evaluated", "should_stop", "checkpoint_saved", "run_finished")

hookspec = pluggy.HookspecMarker("microgpt_lab")
hookimpl = pluggy.HookimplMarker("microgpt_lab")


def hook_of(kind: str) -> str:
    """Return the name of the hook that defines parts of a kind: the plural."""
    return kind + ("es" if kind.endswith("s") else "s")


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
def positions() -> list[Callable]:
    """Return the positions that the plugin defines: how the model knows the order of tokens.

    A position is a subclass of `Position` that overrides one of its methods: `embed(x, places)` changes the
    embeddings (…, T, C), `rotate(x, places)` queries and keys (…, heads, T, D), `bias(scores, places)` the
    scores (…, heads, T, S). They also get the part's weights and tables by name.

    `tables(gpt)` returns rows of numbers by name, which are not trained. `table.take(places)` selects the
    rows of the tokens' places. `table.by_distance(places)` has a column for each head, and selects the rows
    of the distances between two tokens.

    >>> from microgpt_lab import Position, hookimpl
    >>> class Recent(Position):
    ...     '''Scores less `slope` times the distance.'''
    ...     def __init__(self, *, slope: float = 0.1):
    ...         self.slope = slope
    ...     def tables(self, gpt):
    ...         return {"distance": [[-self.slope * d] * gpt.heads for d in range(gpt.block_size)]}
    ...     def bias(self, scores, places, distance):
    ...         return scores + distance.by_distance(places)
    >>> @hookimpl
    ... def positions():
    ...     return [Recent]
    """


@hookspec
def attentions() -> list[Callable]:
    """Return the attentions that the plugin defines.

    An attention is a class. `weights(gpt)` returns what it trains, by name: a `Linear` layer, which it gets
    as a function, a `Shape`, which it gets as a tensor (both are drawn by the run's init), or rows of numbers
    to start with. `tables(gpt)`, if it has this method, is as in `positions`. Calling an instance with x
    (…, T, C), `at`, and the weights and tables by name returns (…, T, C), where no token depends on later
    ones.

    `at` has the model, `at.gpt`, with its sizes and parts, the tokens' `at.places`, and methods for what
    other parts do there: `rotate`, `bias`, `remember`, `dropout`, `see` (see `microgpt_lab.At`).

    It calls `at.rotate`, `at.bias` and `at.gpt.weighting`, or refuses a position or weighting that it would
    ignore, in `weights(gpt)`.

    >>> from microgpt_lab import Linear, Position, hookimpl, ops
    >>> class Average:
    ...     '''The mean of all tokens so far.'''
    ...     def weights(self, gpt):
    ...         position, weighting = type(gpt.position), getattr(gpt.weighting, "func", gpt.weighting)
    ...         if (position.rotate, position.bias) != (Position.rotate, Position.bias):
    ...             raise ValueError("it has no queries and scores: choose position=learned or none")
    ...         if weighting is not ops.softmax:
    ...             raise ValueError("it has no scores: leave weighting=softmax")
    ...         return {"wv": Linear(gpt.embed, gpt.embed, "residual")}
    ...     def tables(self, gpt):
    ...         sizes = range(1, gpt.block_size + 1)
    ...         return {"ones": [[1.0] for n in sizes], "shares": [[1 / n] for n in sizes]}
    ...     def __call__(self, x, at, wv, ones, shares):
    ...         (v,) = at.remember(wv(x))
    ...         return ops.convolve(v, ones, at.places) * shares.take(at.places)
    >>> @hookimpl
    ... def attentions():
    ...     return [Average]
    """


@hookspec
def weightings() -> list[Callable]:
    """Return the weightings that the plugin defines: what turns scores into attention weights.

    A weighting is a function of scores (…, heads, T, S). They are -inf for tokens that are not visible, whose
    weights must be 0.

    >>> from microgpt_lab import hookimpl, ops
    >>> def softmax1(scores):
    ...     '''exp(s) / (1 + Σ exp(s)), which may attend to nothing (Miller, 2023).'''
    ...     return ops.exp(scores - ops.softplus(ops.logsumexp(scores)))
    >>> @hookimpl
    ... def weightings():
    ...     return [softmax1]
    """


@hookspec
def mlps() -> list[Callable]:
    """Return the MLPs that the plugin defines: what follows attention in a block.

    An MLP is as in `attentions`. Without weights, it may be a function of x and `at`. It may add auxiliary
    losses in training, which its attribute `aux_losses` lists: `at.add_loss(name, loss)`, where loss is
    (…, T, 1).

    >>> from microgpt_lab import Linear, hookimpl
    >>> class OneMatrix:
    ...     '''x Wᵀ, without hidden layer.'''
    ...     def weights(self, gpt):
    ...         return {"fc": Linear(gpt.embed, gpt.embed, "residual")}
    ...     def __call__(self, x, at, fc):
    ...         return fc(x)
    >>> @hookimpl
    ... def mlps():
    ...     return [OneMatrix]
    """


@hookspec
def blocks() -> list[Callable]:
    """Return the blocks that the plugin defines: how attention, MLP and norms make a layer.

    A block is a function of x (…, T, C) and of functions: `attention` and `mlp`, which it calls once each,
    and as many norms as it names (`norm1`, `norm2`, …). A class may have `weights(gpt)` too, as in
    `attentions`.

    >>> from microgpt_lab import hookimpl
    >>> def serial(x, attention, mlp, norm1, norm2):
    ...     '''x + mlp(norm(attention(norm(x)))).'''
    ...     return x + mlp(norm2(attention(norm1(x))))
    >>> @hookimpl
    ... def blocks():
    ...     return [serial]
    """


@hookspec
def inits() -> list[Callable]:
    """Return the initializations that the plugin defines.

    An init is a function `(shape, gpt, rng)` that returns the initial numbers of a weight, `shape.out` rows
    of `shape.in_`, drawn from `rng`, a `random.Random`. `shape.role` is "embedding", "hidden", "residual" (a
    projection into the residual stream), "head" or "scale".

    >>> from microgpt_lab import hookimpl
    >>> def uniform(shape, gpt, rng, *, width: float = 0.1):
    ...     '''Uniform numbers from -width to width.'''
    ...     return [[rng.uniform(-width, width) for _ in range(shape.in_)] for _ in range(shape.out)]
    >>> @hookimpl
    ... def inits():
    ...     return [uniform]
    """


@hookspec
def losses() -> list[Callable]:
    """Return the losses that the plugin defines: what training minimizes.

    A loss is a function of logits (…, T, vocab_size) and targets (…, T) that returns (…, T, 1). Evaluations
    compute the cross-entropy, whatever the loss.

    >>> from microgpt_lab import hookimpl, ops
    >>> def brier(logits, targets):
    ...     '''Σ (p - 1[target])² (Brier, 1950).'''
    ...     p = ops.softmax(logits)
    ...     return ops.sum(p * p) - p.pick(targets) * 2.0 + 1.0
    >>> @hookimpl
    ... def losses():
    ...     return [brier]
    """


@hookspec
def optimizers() -> list[Callable]:
    """Return the optimizers that the plugin defines.

    An optimizer is a class with an option `lr` and two methods, which are called for each weight matrix:
    `init(w)` returns the initial state, and `update(g, state, w, lr, step)` returns the new weights and
    the new state. `g` is the gradient, `lr` the scheduled learning rate, and `step` counts from 0. An
    optimizer that works element by element may set `elementwise = True`. It then gets all weights in one
    row (1, N). A method with an argument `role` gets the role of each weight: "embedding", "hidden",
    "residual", "head" or "scale" (gains and biases). An elementwise optimizer then gets a row for each role,
    or for each of those in its attribute `roles` and one for all others.

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
    row (1, K), and the gradients of its first number by name.

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
