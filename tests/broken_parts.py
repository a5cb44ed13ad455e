"""Parts that break an invariant, each with what `check` says of it."""

import random

from microgpt_lab import Linear, Position, Shape
from microgpt_lab.core.model import MLP, Learned, Multihead
from microgpt_lab.core.places import Places
from microgpt_lab.ops import convolve, cross_entropy, log, max, mean, relu, softmax, sum, where
from microgpt_lab.registry.parts import Part


def attend(x, at, wq, wk, wv, wo, mask=lambda scores: scores.causal()):
    """Attention without options."""
    q, k, v = (w(x).split_heads(at.gpt.heads) for w in (wq, wk, wv))
    k, v = at.remember(at.rotate(k), v)
    return wo((at.gpt.weighting(mask(at.bias(at.rotate(q) @ k.T))) @ v).merge_heads())


class Peeks(Multihead):
    """Attends to later tokens, too."""

    def __call__(self, x, at, **w):
        return attend(x, at, **w, mask=lambda scores: scores)


class Forgets(Multihead):
    """Has no cache."""

    def __call__(self, x, at, **w):
        return attend(x, at._replace(cache=None), **w)


class RotatesLate(Multihead):
    """Rotates the keys of previous tokens as if they were new ones."""

    def __call__(self, x, at, wq, wk, wv, wo):
        q, k, v = (w(x).split_heads(at.gpt.heads) for w in (wq, wk, wv))
        k, v = at.remember(k, v)
        scores = at.rotate(q) @ at.rotate(k).T
        return wo((softmax(scores.causal()) @ v).merge_heads())


class RemembersTwice(Multihead):
    """Asks for keys and values of previous tokens one after the other."""

    def __call__(self, x, at, wq, wk, wv, wo):
        q, k, v = (w(x).split_heads(at.gpt.heads) for w in (wq, wk, wv))
        (k,), (v,) = at.remember(k), at.remember(v)
        return wo((softmax((q @ k.T).causal()) @ v).merge_heads())


class Ignores(Multihead):
    """Declares a weight that it does not use."""

    def weights(self, gpt):
        return super().weights(gpt) | {"extra": Shape(2, 2)}

    def __call__(self, x, at, extra, **w):
        return attend(x, at, **w)


class OneColumn(Multihead):
    """Returns one number for each token, which is broadcast."""

    def __call__(self, x, at, **w):
        return mean(attend(x, at, **w))


class NoPosition(Multihead):
    """Forgets to rotate and to bias."""

    def __call__(self, x, at, wq, wk, wv, wo):
        q, k, v = (w(x).split_heads(at.gpt.heads) for w in (wq, wk, wv))
        k, v = at.remember(k, v)
        return wo((at.gpt.weighting((q @ k.T).causal()) @ v).merge_heads())


class NoBias(Multihead):
    """Forgets the bias of scores."""

    def __call__(self, x, at, wq, wk, wv, wo):
        q, k, v = (w(x).split_heads(at.gpt.heads) for w in (wq, wk, wv))
        k, v = at.remember(at.rotate(k), v)
        return wo((at.gpt.weighting((at.rotate(q) @ k.T).causal()) @ v).merge_heads())


class OwnSoftmax(Multihead):
    """Has softmax, whatever the weighting."""

    def __call__(self, x, at, wq, wk, wv, wo):
        q, k, v = (w(x).split_heads(at.gpt.heads) for w in (wq, wk, wv))
        k, v = at.remember(at.rotate(k), v)
        return wo((softmax(at.bias(at.rotate(q) @ k.T).causal()) @ v).merge_heads())


class OneGroup(Multihead):
    """Is wrong with a cache if all heads share keys."""

    def __call__(self, x, at, **w):
        return super().__call__(x, at, **w) * (2.0 if self.kv_heads == 1 and at.cache is not None else 1.0)


class WideWindow(Multihead):
    """Has no cache if the window has more than two tokens."""

    def __call__(self, x, at, **w):
        return super().__call__(x, at if self.window < 3 else at._replace(cache=None), **w)


class Patterned(Multihead):
    """Sees later tokens if it has a pattern of windows."""

    check_variants = ({"window": 2, "window_pattern": "SL"},)

    def __call__(self, x, at, **w):
        y = super().__call__(x, at, **w)
        return y + sum(x.T).T if self.window_pattern else y


class Restarts(Position):
    """Takes the first places, whatever came before."""

    def tables(self, gpt):
        return {"rows": [[0.1 * t] * gpt.embed for t in range(gpt.block_size)]}

    def embed(self, x, places, rows):
        return x + rows.take(Places(0, places.stop))


class Stretches(Position):
    """Has a row for the tokens of a whole block, not for these."""

    def embed(self, x, places):
        return x + x.table([[0.1 * t] for t in range(x.shape[-2])])


class NoEffect(Position):
    """Is called as a module of PyTorch would be."""

    def __call__(self, x):
        return x


class NoBase:
    """Is no Position."""

    def embed(self, x, places):
        return x


class FewRows(Position):
    """Has rows for 16 places, whatever the block."""

    def tables(self, gpt):
        return {"rows": [[0.1 * t] for t in range(16)]}

    def embed(self, x, places, rows):
        return x + rows.take(places)


class WrongAxis(Position):
    """Adds a column to the scores."""

    def bias(self, scores, places):
        return sum(scores)


def leaks(scores):
    """Gives tokens that are not visible a small weight."""
    return softmax(where(scores > -5.0, scores, -5.0))


def divides(scores):
    """max(s, 0) / Σ max(s, 0), which is 0 / 0 where all scores are negative."""
    positive = relu(scores)
    return positive / sum(positive)


def tempered(scores):
    """Divides scores by the number of tokens."""
    return softmax(scores * (1 / scores.shape[-1]))


def largest(x, at):
    """The maximum over all tokens, later ones included."""
    return x * 0.1 + max(x.T).T


class SoFar:
    """The sum of this piece's tokens so far."""

    def tables(self, gpt):
        return {"ones": [[1.0]] * gpt.block_size}

    def __call__(self, x, at, ones):
        return convolve(x, ones, Places(0, x.shape[-2]))


class Unlisted(MLP):
    """Adds a loss under a name that it does not list."""

    aux_losses = ("balance",)

    def __call__(self, x, at, fc1, fc2):
        at.add_loss("balence", mean(x * x))
        return super().__call__(x, at, fc1, fc2)


class Foresees(MLP):
    """Adds the largest of all tokens to each token's loss."""

    aux_losses = ("size",)

    def __call__(self, x, at, fc1, fc2):
        at.add_loss("size", max(x[:1].T) + x[:1] * 0.0)
        return super().__call__(x, at, fc1, fc2)


class Counts(MLP):
    """Multiplies by the number of tokens."""

    def __call__(self, x, at, fc1, fc2):
        return super().__call__(x, at, fc1, fc2) * float(len(at.ids))


class NeverAddsLoss(MLP):
    """Lists a loss that it does not add."""

    aux_losses = ("balance",)


class DrawsNoise(MLP):
    """Draws noise from a generator of its own."""

    def __call__(self, x, at, fc1, fc2):
        return super().__call__(x, at, fc1, fc2) * random.random()


class Explodes(MLP):
    """Takes the logarithm of negative numbers."""

    def __call__(self, x, at, fc1, fc2):
        return fc2(log(fc1(x)))


class ReadsNumbers(MLP):
    """Is 0 if the first number is negative."""

    def __call__(self, x, at, fc1, fc2):
        return super().__call__(x, at, fc1, fc2) * float(x.tolist()[0][0] > 0)


class ReadsRows(MLP):
    """Uses what the tensors of one backend have."""

    def __call__(self, x, at, fc1, fc2):
        return super().__call__(x, at, fc1, fc2) * (1.0 if x.rows else 0.0)


class KnowsItsBackend(MLP):
    """Computes something else on numpy."""

    def __call__(self, x, at, fc1, fc2):
        return super().__call__(x, at, fc1, fc2) * (0.5 if type(x).__name__ == "Array" else 1.0)


class Fc:
    """A linear layer."""

    def weights(self, gpt):
        return {"fc": Linear(gpt.embed, gpt.embed, "residual")}

    def __call__(self, x, at, fc):
        return fc(x)


class LateLayers(Fc):
    """Adds up all tokens from the third layer on."""

    def __call__(self, x, at, fc):
        return fc(x) + sum(x.T).T if at.layer >= 2 else fc(x)


class Faint(Fc):
    """Has a weight with almost no effect."""

    def weights(self, gpt):
        return super().weights(gpt) | {"faint": [[0.0] * gpt.embed]}

    def __call__(self, x, at, fc, faint):
        return fc(x) + faint * 1e-9


class OneRow(Fc):
    """Uses the first row of a matrix alone."""

    def weights(self, gpt):
        return super().weights(gpt) | {"matrix": Shape(gpt.embed, gpt.embed)}

    def __call__(self, x, at, fc, matrix):
        return fc(x) + (x @ matrix.T)[:1]


class Catches(Fc):
    """Catches the error of a length that it must not read."""

    def __call__(self, x, at, fc):
        try:
            length = len(at.ids)
        except Exception:
            length = 1
        return fc(x) * (1.0 if length <= 7 else 2.0)


class ReadsInEvaluation(Fc):
    """Reads the number of tokens where there are no auxiliary losses."""

    def __call__(self, x, at, fc):
        return fc(x) * (1.0 if at.collects_losses or x.shape[-2] <= 7 else 2.0)


class Exponent(Fc):
    """Has the number of tokens as exponent."""

    def __call__(self, x, at, fc):
        return fc(x) * (x * 0.0 + 1.0) ** at.places.stop


class Window(Fc):
    """Has the number of tokens as a window."""

    def __call__(self, x, at, fc):
        return fc(x) + sum((x @ x.T).causal(at.places.stop).softmax()) * 0.0


class UnknownRole(Fc):
    """Has a role that does not exist."""

    def weights(self, gpt):
        return {"fc": Linear(gpt.embed, gpt.embed, "output")}


class FlatList(Fc):
    """Declares a gain as a list of numbers, not of rows."""

    def weights(self, gpt):
        return super().weights(gpt) | {"gain": [1.0] * gpt.embed}

    def __call__(self, x, at, fc, gain):
        return fc(x * gain)


class WithoutAt(Fc):
    """Takes no `at`."""

    def __call__(self, x, fc):
        return fc(x)


def needs_w(x, at, w):
    """A function with a weight."""
    return x @ w.T


class NeedsSixteen(Fc):
    """Refuses the small model."""

    def weights(self, gpt):
        if gpt.embed % 16:
            raise ValueError(f"embed={gpt.embed} must be divisible by 16")
        return super().weights(gpt)


class Normalized:
    """Divides a weight by its norm, through which no gradient flows."""

    def weights(self, gpt):
        return {"fc": Shape(gpt.embed, gpt.embed)}

    def __call__(self, x, at, fc):
        return x @ (fc / fc.norm()).T


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


class IteratesPlaces(Learned):
    def embed(self, x, places, wpe):
        return x + wpe.take(places) + x.table([[0.1 * p] for p in places])


class RangesOverPlaces(Learned):
    def embed(self, x, places, wpe):
        return x + wpe.take(places) + x.table([[0.1 * p] for p in range(places.start, places.stop)])


class DividesByPlaces(Learned):
    def embed(self, x, places, wpe):
        return x * (1 / places.stop) + wpe.take(places)


class RepeatsByPlaces(Learned):
    def bias(self, scores, places, wpe):
        return scores + scores.table([[0.1] * places.stop])


class ReadsIds(MLP):
    def __call__(self, x, at, fc1, fc2):
        return super().__call__(x, at, fc1, fc2) + at.w["wte"].take([i % 3 for i in at.ids])


def halves_if_long(scores):
    return softmax(scores * 0.5 if scores.shape[-2] > 5 else scores)


def adds_a_row_each(scores):
    return softmax(scores + scores.table([[0.1 * t] for t in range(scores.shape[-2])]))


def repeats_by_tokens(scores):
    return softmax(scores) * float(len([0] * scores.shape[-1]))


def mean_of_scores(scores):
    return softmax(scores) * mean(scores)


def slices_tokens(scores):
    return softmax(scores[:2].concat(scores[2:]))


def reshapes(scores):
    return softmax(scores).reshape(4, 4)


# Parts that read the number of tokens, or tokens.
READERS = {
    "position": [Stretches, IteratesPlaces, RangesOverPlaces, DividesByPlaces, RepeatsByPlaces],
    "mlp": [Counts, ReadsIds],
    "weighting": [
        tempered,
        halves_if_long,
        adds_a_row_each,
        repeats_by_tokens,
        mean_of_scores,
        slices_tokens,
        reshapes,
    ],
}
BROKEN = [
    ("norm", unit, "a result is not finite for inputs of about 0.0"),
    ("activation", shares, "it fails for a single Value: an activation must be elementwise"),
    (
        "norm",
        BatchNorm,
        r"norm=batchnorm: not causal: the logits before token 1 change when token 1 changes",
    ),
    (
        "position",
        Restarts,
        "wrong with a cache: in pieces of 1, 1, 1, 1, 1, 1, 1 tokens, token 2 has other logits",
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
        "attention=peeks: not causal: the logits before token 1 change when token 1 changes",
    ),
    ("attention", Forgets, "token 1 has other logits than in the whole sequence"),
    ("attention", RotatesLate, "with position=rope: wrong with a cache"),
    ("attention", RemembersTwice, "ValueError: at.remember is called twice: call it once, with all states"),
    ("attention", Ignores, "dead weight: layer0.attention.extra receives no gradient"),
    ("attention", NoPosition, "ignores position=rope: call at.rotate on queries and keys, or refuse it in"),
    ("attention", NoBias, "ignores position=alibi: call at.bias on scores, or refuse it in weights"),
    ("attention", OwnSoftmax, "ignores weighting=sigmoid: call at.gpt.weighting on scores, or refuse it"),
    ("attention", OneGroup, "kv_heads=1: wrong with a cache"),
    ("attention", WideWindow, "window=3: wrong with a cache"),
    ("attention", Patterned, "window=2 window_pattern=SL: not causal"),
    ("attention", OneColumn, "the shape is not kept: layer0.attention is"),
    ("weighting", leaks, r"leaks: a token that is not visible \(-inf\) has weight 0.0"),
    ("weighting", divides, "not finite: a weight, where scores are"),
    ("weighting", tempered, "not length-free: a part must not read the number of tokens"),
    ("mlp", largest, "not causal"),
    ("mlp", LateLayers, "not causal: the logits before token 1 change"),
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
    ("mlp", DrawsNoise, "not repeatable: the same tokens have other logits the second time"),
    ("mlp", Explodes, "not finite: the logits at random weights"),
    ("mlp", ReadsNumbers, "not length-free: a part must not read single numbers: use where"),
    (
        "mlp",
        ReadsRows,
        "raises AttributeError: the array protocol has no 'rows' .*; see microgpt_lab.ops",
    ),
    ("mlp", KnowsItsBackend, "the loss of step 1 is .* on NumPy, but .* on the python backend"),
    ("mlp", Foresees, "not causal: the losses before token 1 change when token 1 changes"),
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
        r"it returned shape \(5, 5\) for logits \(5, 5\), not \(5, 1\): return one loss for each token",
    ),
    ("loss", averaged, "mixes tokens: another target of token 2 changes the loss of tokens"),
    ("loss", naive, "not finite: the loss or its gradient, for logits of about 100"),
]


def broken_part(kind, make):
    """The part, as a plugin offers it."""
    return Part(kind, make.__name__.lower(), make, "tests.broken_parts")
