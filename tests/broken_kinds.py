"""A broken part of each kind, as a plugin: with a mistake that its author could make."""

import random
from math import cos, pi

from microgpt_lab import Linear, Position, Tokenizer, hookimpl, part
from microgpt_lab.ops import abs, cross_entropy, mean, relu, softmax, sqrt, sum

Python = type(part("backend", "python"))


def root(x, *, scale: float = 1.0):
    """x / √|x|, the root with the sign of x."""
    return x * scale / sqrt(abs(x))


class Whitening:
    """Subtracts the mean of all tokens."""

    def __call__(self, x):
        return x - mean(x.T).T


class Clock(Position):
    """Adds the number of the token in its piece."""

    def tables(self, gpt):
        return {"hours": [[0.1 * t * i for i in range(gpt.embed)] for t in range(gpt.block_size)]}

    def embed(self, x, places, hours):
        return x + hours.take(type(places)(0, places.stop - places.start))


class Bidirectional:
    """Attention in one head, which forgets to hide later tokens."""

    def weights(self, gpt):
        C = gpt.embed
        return {"wq": Linear(C, C), "wk": Linear(C, C), "wv": Linear(C, C, "residual")}

    def __call__(self, x, at, wq, wk, wv):
        k, v = at.remember(wk(x), wv(x))
        return softmax(wq(x) @ k.T) @ v


def rectified(scores):
    """relu(s) / Σ relu(s)."""
    weights = relu(scores)
    return weights / sum(weights)


class Residue:
    """Two linear layers, of which it uses one."""

    def weights(self, gpt):
        C = gpt.embed
        return {"fc1": Linear(C, C), "fc2": Linear(C, C, "residual")}

    def __call__(self, x, at, fc1, fc2):
        return fc2(at.gpt.activation(x))


def hasty(x, attention, mlp, norm1, norm2):
    """Attention, without the MLP."""
    return x + norm2(attention(norm1(x)))


def wild(shape, gpt, rng, *, std: float = 0.1):
    """Normal numbers, of the module `random`."""
    return [[random.gauss(0, std) for _ in range(shape.in_)] for _ in range(shape.out)]


def shared(logits, targets):
    """Cross-entropy, plus half of its sum over the document."""
    nats = cross_entropy(logits, targets)
    return nats + 0.5 * sum(nats.T).T


class Counting:
    """Gradient descent, of which each update counts the calls."""

    def __init__(self, *, lr: float = 0.1):
        self.lr, self.calls = lr, 0

    def init(self, w):
        return ()

    def update(self, g, state, w, lr, step):
        self.calls += 1
        return w - g * (lr / self.calls), state


def overshoot(step, steps):
    """cos(π step / steps)."""
    return cos(pi * step / steps)


def draws():
    """Twenty random numbers."""
    return [str(random.random()) for _ in range(20)]


class Words(Tokenizer):
    """Words, which are separated by one space."""

    def learn(self, documents, chars):
        words = {word for document in documents for word in document.split()}
        self.tokens = [*chars, *sorted(words - set(chars))]

    def encode(self, text):
        return [self.tokens.index(token) for word in text.split() for token in self.pieces(word)]

    def pieces(self, word):
        return [word] if word in self.tokens else word


class Eager:
    """The likeliest token, one at least."""

    def __call__(self, text, rng):
        best = text.logits.index(max(text.logits))
        tokens = [best]
        while not text.ended:
            text = text.then(text.logits.index(max(text.logits)))
        return [*text.tokens, *tokens]


class Rounding(Python):
    """The python backend, with four digits."""

    def tensor(self, rows):
        return super().tensor([[round(x, 4) for x in row] for row in rows])


class Nosy:
    """Samples while the model trains."""

    def run_started(self, trainer):
        self.trainer, self.seen = trainer, {}

    def step_finished(self, step):
        self.seen[step] = self.trainer.sample(self.trainer.corpus.rng, samples=1)

    def state_dict(self):
        return {"seen": set(self.seen)}

    def load_state_dict(self, state):
        self.seen = dict.fromkeys(state["seen"])


@hookimpl
def activations():
    return [root]


@hookimpl
def norms():
    return [Whitening]


@hookimpl
def positions():
    return [Clock]


@hookimpl
def attentions():
    return [Bidirectional]


@hookimpl
def weightings():
    return [rectified]


@hookimpl
def mlps():
    return [Residue]


@hookimpl
def blocks():
    return [hasty]


@hookimpl
def inits():
    return [wild]


@hookimpl
def losses():
    return [shared]


@hookimpl
def optimizers():
    return [Counting]


@hookimpl
def schedulers():
    return [overshoot]


@hookimpl
def datasets():
    return [draws]


@hookimpl
def tokenizers():
    return [Words]


@hookimpl
def samplers():
    return [Eager]


@hookimpl
def backends():
    return [Rounding]


@hookimpl
def callbacks():
    return [Nosy]
