"""Parts that break an invariant, each with what `check` says of it."""

import random

from broken_attentions import (
    FewRows,
    Forgets,
    Ignores,
    NoBase,
    NoBias,
    NoEffect,
    NoPosition,
    OneColumn,
    OneGroup,
    OwnSoftmax,
    Patterned,
    Peeks,
    Restarts,
    RotatesLate,
    SoFar,
    Stretches,
    WideWindow,
    WrongAxis,
    divides,
    largest,
    leaks,
    tempered,
)
from broken_mlps import (
    Catches,
    Counts,
    DrawsNoise,
    Explodes,
    Exponent,
    Faint,
    FlatList,
    Foresees,
    KnowsItsBackend,
    LateLayers,
    NeedsSixteen,
    NeverAddsLoss,
    Normalized,
    OneRow,
    ReadsInEvaluation,
    ReadsNumbers,
    ReadsRows,
    UnknownRole,
    Unlisted,
    Window,
    WithoutAt,
    needs_w,
)

from microgpt_lab.ops import cross_entropy, log, max, mean, softmax, sum
from microgpt_lab.registry.parts import Part


def twice(x, attention, mlp, norm1, norm2):
    """Calls attention twice."""
    return x + attention(norm1(x)) + attention(mlp(norm2(x)))


def other_names(x, attention, mlp, ln1, ln2):
    """Has other names for norms."""
    return mlp(ln2(attention(ln1(x))))


def skips(x, attention, mlp, norm1):
    """Calls no MLP."""
    return x + attention(norm1(x))


def transposed(shape, gpt, rng):
    """Returns columns for rows."""
    return [[rng.gauss(0, 1) for _ in range(shape.out)] for _ in range(shape.in_)]


class Matrix(tuple):
    """Is no list."""


def no_lists(shape, gpt, rng):
    """Returns another type."""
    return Matrix(tuple(rng.gauss(0, 1) for _ in range(shape.in_)) for _ in range(shape.out))


def unseeded(shape, gpt, rng):
    """Draws from the generator of the module `random`."""
    return [[random.gauss(0, 1) for _ in range(shape.in_)] for _ in range(shape.out)]


def likelihood(logits, targets):
    """The log-likelihood, without the minus."""
    return -cross_entropy(logits, targets)


def rowwise(logits, targets):
    """A number for each token of the vocabulary."""
    return logits - logits.pick(targets)


def averaged(logits, targets):
    """The mean over all tokens, for each."""
    nats = cross_entropy(logits, targets)
    return nats * 0.5 + sum(nats.T).T * 0.1


def naive(logits, targets):
    """-log p[target], which is infinite where p rounds to 0."""
    return -log(softmax(logits * 4.0).pick(targets))


class BatchNorm:
    """Divides each feature by its maximum over the tokens."""

    def __call__(self, x):
        return (x.T / (max(x.T * x.T) + 1.0)).T


def unit(x):
    """x / √(mean(x²)), which is 0 / 0 for zeros."""
    return x * mean(x * x) ** -0.5


def shares(x):
    """Divides each number by the sum of its row."""
    return x / (sum(x * x) + 1.0)


BROKEN = [
    ("norm", unit, "a result is not finite for inputs of zeros"),
    ("activation", shares, "it fails for a single Value: an activation must be elementwise"),
    (
        "norm",
        BatchNorm,
        r"norm=batchnorm: peeks at later tokens: changing token 1 changed the logits of token 0",
    ),
    (
        "position",
        Restarts,
        "wrong with a cache: in pieces of 1, 1 tokens, token 1 has 2 rows of logits",
    ),
    (
        "position",
        Stretches,
        r"not length-free: a part must not read the number of tokens: declare tables\(gpt\)",
    ),
    ("position", NoEffect, "it has no effect: override one of embed, rotate, bias"),
    ("position", NoBase, "it is not a subclass of microgpt_lab.Position"),
    (
        "position",
        FewRows,
        r"take\(places\) of a table with 16 rows, for up to 1000 places: declare a row for",
    ),
    ("position", WrongAxis, "the shape is not kept: bias makes"),
    (
        "attention",
        Peeks,
        "attention=peeks: peeks at later tokens: changing token 1 changed the logits of token 0",
    ),
    ("attention", Forgets, "token 1 has other logits than in the whole document"),
    ("attention", RotatesLate, "with position=rope: wrong with a cache"),
    ("attention", Ignores, "dead weight: layer0.attention.extra receives no gradient"),
    ("attention", NoPosition, "ignores position=rope: call at.rotate on queries and keys, or refuse it in"),
    ("attention", NoBias, "ignores position=alibi: call at.bias on scores, or refuse it in weights"),
    ("attention", OwnSoftmax, "ignores weighting=sigmoid: call at.gpt.weighting on scores, or refuse it"),
    ("attention", OneGroup, "kv_heads=1: wrong with a cache"),
    ("attention", WideWindow, "window=3: wrong with a cache"),
    ("attention", Patterned, "window=2 window_pattern=SL: peeks at later tokens"),
    ("attention", OneColumn, "the shape is not kept: layer0.attention is"),
    ("weighting", leaks, r"leaks: a token that is not visible \(-inf\) has weight 0.0"),
    ("weighting", divides, "not finite: a weight, where scores are"),
    ("weighting", tempered, "not length-free: a part must not read the number of tokens"),
    ("mlp", largest, "peeks at later tokens"),
    ("mlp", LateLayers, "peeks at later tokens: changing token 1 changed the logits of token 0"),
    ("mlp", Faint, "dead weight: layer0.mlp.faint receives no gradient"),
    ("mlp", OneRow, r"dead weight: 7 of 8 rows of layer\*.mlp.matrix receive no gradient"),
    ("mlp", Catches, "not length-free: a part must not read single tokens"),
    ("mlp", ReadsInEvaluation, "not length-free: a part must not read the number of tokens"),
    ("mlp", Exponent, "not length-free: a part must not read the number of tokens"),
    ("mlp", Window, "not length-free: a part must not read the number of tokens"),
    (
        "mlp",
        UnknownRole,
        "its role 'output' is unknown; choose from embedding, hidden, residual, head, scale",
    ),
    ("mlp", FlatList, r"layer0.mlp.gain is declared as \[1.0, .*: write Linear\(out, in\), Shape"),
    ("mlp", WithoutAt, "it is called with x, at, fc: multiple values for argument 'fc'"),
    ("mlp", needs_w, r"with x, at: missing a required argument: 'w' \(weights and tables are what weights"),
    ("mlp", NeedsSixteen, r"refused in a small model: embed=8 must be divisible by 16 \(set `check_model`"),
    ("mlp", SoFar, "wrong with a cache: .* take states of previous tokens from at.remember"),
    ("mlp", Unlisted, r"the loss 'balence' is added, but is not in the part's `aux_losses`, \['balance'\]"),
    ("mlp", NeverAddsLoss, "the loss 'balance' is in `aux_losses`, but is never added"),
    ("mlp", DrawsNoise, "not repeatable: the same document of 1 token has other logits the second time"),
    ("mlp", Explodes, "not finite: the logits of a document of 1 token, at random weights"),
    ("mlp", ReadsNumbers, "not length-free: a part must not read single numbers: use where"),
    (
        "mlp",
        ReadsRows,
        "raises AttributeError: the array protocol has no 'rows' .*; see microgpt_lab.ops",
    ),
    ("mlp", KnowsItsBackend, "the loss of step 1 is .* on NumPy, but .* on the python backend"),
    ("mlp", Foresees, "peeks at later tokens: changing token 1 changed the loss of token 0"),
    (
        "mlp",
        Counts,
        r"not length-free: a part must not read single tokens: use w.take\(ids\) or x.pick\(ids\)",
    ),
    (
        "mlp",
        Normalized,
        "wrong gradient: that of layer0.mlp.fc, layer1.mlp.fc, layer2.mlp.fc is not that of central",
    ),
    ("block", twice, "a block calls attention and mlp once each, but layer0.attention is called 2 times"),
    ("block", skips, "a block calls attention and mlp once each, but layer0.mlp is called 0 times"),
    ("init", transposed, r"another shape: 7 rows of \[3\] numbers for Shape\(out=3, in_=7"),
    ("block", other_names, r"missing a required argument: 'ln1' \(names of norms begin with norm\)"),
    ("init", no_lists, "it returned Matrix, not a list of rows, which are lists of numbers"),
    ("init", unseeded, "not repeatable: other numbers for Shape"),
    ("loss", likelihood, "not lowest where it should be: the loss is"),
    (
        "loss",
        rowwise,
        r"it returned shape \(1, 5\) for logits \(1, 5\), not \(1, 1\): return one loss for each token",
    ),
    (
        "loss",
        averaged,
        r"mixes tokens: another target of token 0 changes the loss of tokens \[0, 1\], in a document of 2",
    ),
    ("loss", naive, "not finite: the loss or its gradient, for logits of about 100"),
]


def broken_part(kind, make):
    """The part, as a plugin offers it."""
    return Part(kind, make.__name__.lower(), make, "tests.broken_parts")
