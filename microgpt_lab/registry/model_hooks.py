"""Hooks that define parts of the model."""

# pyright: reportReturnType=false
from __future__ import annotations

from collections.abc import Callable

from microgpt_lab.registry.markers import hookspec


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
