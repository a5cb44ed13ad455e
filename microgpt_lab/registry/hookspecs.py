"""Hooks that a plugin can implement.

A plugin is a Python module that implements hooks with `@hookimpl`. Hooks with names in the plural define
parts (those of the model in `model_hooks`, others here): each is called once, at startup, and returns a
list of functions or classes. The hooks in `run_hooks` are called during a run. A callback (a part)
implements those as methods of the same names, without `@hookimpl`.

An implementation takes only the arguments that it needs, by name, and must not change them. If it raises,
the run continues without it and prints a warning, unless the error is a full disk.
"""

# pyright: reportReturnType=false
from __future__ import annotations

from collections.abc import Callable

from microgpt_lab.registry.markers import hookimpl, hookspec
from microgpt_lab.registry.model_hooks import (
    activations,
    attentions,
    blocks,
    inits,
    losses,
    mlps,
    norms,
    positions,
    weightings,
)
from microgpt_lab.registry.run_hooks import (
    checkpoint_saved,
    evaluated,
    measured,
    pictured,
    run_finished,
    run_started,
    should_stop,
    step_finished,
)

__all__ = [
    "EVENTS",
    "KINDS",
    "MODEL_KINDS",
    "activations",
    "attentions",
    "backends",
    "blocks",
    "callbacks",
    "checkpoint_saved",
    "datasets",
    "evaluated",
    "hook_of",
    "hookimpl",
    "inits",
    "losses",
    "measured",
    "mlps",
    "norms",
    "optimizers",
    "pictured",
    "positions",
    "run_finished",
    "run_started",
    "samplers",
    "schedulers",
    "should_stop",
    "step_finished",
    "tokenizers",
    "weightings",
]

# In the order of the hooks. Those of parts are named after their kinds, in the plural.
MODEL_KINDS = ("activation", "norm", "position", "attention", "weighting", "mlp", "block", "init", "loss")
KINDS = (*MODEL_KINDS, "optimizer", "scheduler", "dataset", "tokenizer", "sampler", "backend", "callback")
EVENTS = ("run_started", "step_finished", "evaluated", "measured", "pictured", "should_stop")
EVENTS += ("checkpoint_saved", "run_finished")


def hook_of(kind: str) -> str:
    """Return the name of the hook that defines parts of a kind: the plural."""
    return kind + ("es" if kind.endswith("s") else "s")


@hookspec
def optimizers() -> list[Callable]:
    """Return the optimizers that the plugin defines.

    An optimizer is a class with an option `lr` and two methods, which are called for each weight matrix:
    `init(w)` returns the initial state, and `update(g, state, w, lr, step)` returns the new weights and
    the new state. `g` is the gradient, `lr` the scheduled learning rate, and `step` counts from 0. An
    optimizer that works element by element may set `elementwise = True`. It then gets all weights in one
    row (1, N). A method with an argument `role` gets the role of each weight: "embedding", "hidden",
    "residual", "head" or "scale" (gains and biases). An elementwise optimizer then gets a row for each role,
    or for each of those in its attribute `roles` and one for all others. With a method
    `gradient_at(w, state)`, it gets the gradient at the weights that this returns, instead of at w.

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

    A data set is a function without positional arguments that returns a list of documents (strings). It
    may return `Stream([text, …])` instead: long texts, of which training takes random windows. If it brings
    its own split, it returns `Split(train, validation, test)` of three lists or three Streams. A data set
    with an attribute `answer_after` is a task: in each document, the text after the first
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
def tokenizers() -> list[Callable]:
    """Return the tokenizers that the plugin defines.

    A tokenizer is a subclass of `Tokenizer`. `learn(documents, chars)` sets `tokens`, the list of tokens in
    the order of their ids. `documents` are those of the training split, and `chars` the characters of the
    whole data set. `encode(text)` returns ids. `decode(ids)` joins the tokens, unless it is overridden: for
    each text of these characters, decode(encode(text)) is the text. A tokenizer that needs more than its
    tokens after learning adds it to `state_dict()` and `load_state_dict(state)`.

    The token that begins and ends a document is not the tokenizer's business.

    >>> from microgpt_lab import Tokenizer, hookimpl
    >>> class Bigrams(Tokenizer):
    ...     '''A token for each character, and one for each of the `pairs` that begin most documents.'''
    ...     def __init__(self, *, pairs: int = 10):
    ...         self.pairs = pairs
    ...     def learn(self, documents, chars):
    ...         begins = [document[:2] for document in documents if len(document) > 1]
    ...         frequent = sorted(set(begins), key=lambda pair: (-begins.count(pair), pair))
    ...         self.tokens = [*chars, *frequent[: self.pairs]]
    ...     def encode(self, text):
    ...         size = 2 if text[:2] in self.tokens[1:] and len(text) > 1 else 1
    ...         return [self.tokens.index(token) for token in (text[:size], *text[size:]) if token]
    >>> @hookimpl
    ... def tokenizers():
    ...     return [Bigrams]
    >>> bigrams = Bigrams(pairs=1)
    >>> bigrams.learn(["anna", "ann", "bo"], ["a", "b", "n", "o"])
    >>> bigrams.encode("anna"), bigrams.decode([4, 2, 0])
    ([4, 2, 0], 'anna')
    """


@hookspec
def samplers() -> list[Callable]:
    """Return the samplers that the plugin defines.

    A sampler is a class, of which an instance is called with a `text` and a random generator, and returns the
    ids of new tokens. `text.logits` are the logits of the next token, `text.then(token)` is the text with one
    more token, `text.tokens` are the new tokens so far, and `text.ended` says whether the text is complete.
    A text does not change, so a sampler may try several tokens. All randomness comes from the generator.
    A sampler that draws tokens one by one may have `probabilities(logits)`: tests compare it with its draws.

    >>> from microgpt_lab import hookimpl
    >>> class Unlikeliest:
    ...     '''The least likely token, every time.'''
    ...     def __call__(self, text, rng):
    ...         while not text.ended:
    ...             text = text.then(text.logits.index(min(text.logits)))
    ...         return text.tokens
    >>> @hookimpl
    ... def samplers():
    ...     return [Unlikeliest]
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
    `load_state_dict(state)`, which is called after `run_started` and before the next step.

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
