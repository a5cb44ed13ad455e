"""Attentions, positions and weightings that break an invariant."""

from microgpt_lab import Position, Shape
from microgpt_lab.core.model import Multihead
from microgpt_lab.core.places import Places
from microgpt_lab.ops import convolve, max, mean, relu, softmax, sum, where


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
