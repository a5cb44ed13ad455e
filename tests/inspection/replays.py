"""Models of random weights with every kind of part: their replays, and their pages."""

from functools import cache
from random import Random

import numpy as np
from random_model import IDS, TARGETS, Look, built

from microgpt_lab import GPT, part
from microgpt_lab.inspection.against import against
from microgpt_lab.inspection.attribution import attribution
from microgpt_lab.inspection.health import health
from microgpt_lab.inspection.page import page
from microgpt_lab.inspection.replay import Replay, replay
from microgpt_lab.run.trained import Trained
from microgpt_lab.testing import tensor

LETTERS = "abcdefghijklmnopqrstuvwxyz"
LABELS = [*"abcdef", "·"]
TEXT = "beef"
MODELS = {  # small ones, which together have every part of the project
    "default": {},
    "groups, window, sinks": {
        "attention": ("multihead", {"kv_heads": 1, "window": 2, "sinks": True, "value_residual": True}),
        "position": "rope",
        "mlp": "glu",
        "norm": "layernorm",
        "block": "parallel",
        "loss": ("label_smoothing", {"amount": 0.1}),
        "layers": 2,
        "bias": True,
        "activation": "silu",
    },
    "linear attention, experts": {
        "attention": "linear",
        "position": "sinusoidal",
        "mlp": ("moe", {"top_k": 2, "ratio": 0.5}),
        "norm": "dyt",
        "block": "post_norm",
        "loss": ("z_loss", {"weight": 0.1}),
    },
    "differential, no MLP": {
        "attention": "differential",
        "position": "alibi",
        "mlp": "none",
        "block": "sandwich_norm",
        "tie_embeddings": True,
        "final_norm": True,
    },
    "relu², no norm": {
        "weighting": "relu2",
        "position": "none",
        "norm": "none",
        "block": ("rezero", {"start": 0.5}),
        "logit_softcap": 2.0,
        "activation": "gelu",
    },
    "sigmoid, qk_norm": {
        "attention": ("multihead", {"qk_norm": True, "qk_gain": True}),
        "weighting": "sigmoid",
        "mlp": ("moe", {"balance": 1.0, "ratio": 0.5}),
        "embed_scale": 3.0,
        "embed_norm": False,
    },
}
AFFINE = "layernorm", {"gain": True, "bias": True}
CASES = {  # one for each way in which a part may change what a view is
    "default": {},
    "two layers": {"layers": 2},
    "GPT-2": {"layers": 2, "norm": AFFINE, "final_norm": True, "bias": True, "activation": "gelu"}
    | {"embed_norm": False, "tie_embeddings": True},
    "final norm": {"layers": 2, "final_norm": True, "norm": ("rmsnorm", {"gain": True})},
    "tied, no positions": {"position": "none", "tie_embeddings": True, "embed_norm": False},
    "tied, final norm": {"position": "none", "tie_embeddings": True, "embed_norm": False, "final_norm": True},
    "parallel": {"block": "parallel", "layers": 2},
    "post_norm": {"block": "post_norm", "layers": 2},
    "sandwich_norm": {"block": "sandwich_norm", "layers": 2, "norm": AFFINE},
    "rezero": {"block": ("rezero", {"start": 0.5}), "layers": 2},
    "grouped queries": {"attention": ("multihead", {"kv_heads": 2, "qk_norm": True, "window": 3})},
    "sinks": {"attention": ("multihead", {"sinks": True, "value_residual": True}), "layers": 2},
    "wide heads": {"attention": ("multihead", {"head_dim": 10}), "embed_scale": 4.0},
    "differential": {"attention": "differential", "layers": 2},
    "linear attention": {"attention": "linear", "position": "rope"},
    "relu2": {"weighting": "relu2", "position": "alibi"},
    "glu": {"mlp": "glu", "activation": "silu", "position": "sinusoidal"},
    "moe": {"mlp": ("moe", {"top_k": 2}), "bias": True, "loss": "z_loss"},
    "no MLP": {"mlp": "none"},
    "softcap": {"logit_softcap": 3.0},
    "dyt": {"norm": "dyt", "final_norm": True},
}


@cache
def replayed(name):
    """The replay of IDS through the model of a case, and its numbers as NumPy arrays."""
    return replay_of(**CASES[name])


@cache
def explained(name):
    return attribution(replayed(name)[0])


@cache
def read(model="default"):
    """The replay of TEXT through one of the small models."""
    return reading(**MODELS[model])


def reading(text=TEXT, labels=LABELS, **chosen):
    """Replay a text through a small model of these parts."""
    ids = [6, *map(LABELS.index, text), 6]
    return replay_of(ids[:-1], ids[1:], text, labels, **{"embed": 8, "heads": 2} | chosen)[0]


def replay_of(ids=IDS, targets=TARGETS, text="text", labels=LABELS, **chosen):
    look = Look(**chosen)
    weights = {name: tensor(w.tolist()) for name, w in look.w.items()}
    return Replay(look.model, labels, text, ids, targets, weights), look


def untrained(chars=LETTERS, seed=0, activation="relu", norm="rmsnorm", **options):
    """A model of documents with random weights, as a run has it. Parts are names, or names with options."""
    kinds = ("position", "attention", "weighting", "mlp", "block", "loss")
    parts = {kind: built(kind, options.pop(kind)) for kind in kinds if kind in options}
    tokenizer, backend, bos = part("tokenizer", "char"), part("backend", "numpy"), len(chars)
    tokenizer.load_state_dict({"tokens": list(chars)})
    model = GPT(bos + 1, built("activation", activation), built("norm", norm), **parts, **options)
    weights = {name: backend.tensor(w) for name, w in model.initial_weights(Random(seed)).items()}
    return Trained({}, model, weights, tokenizer, [bos])


def page_of(trained, text, other=None):
    """The page of a text, and its replay."""
    found = replay(trained, text)
    difference = against(found, replay(other, text)) if other else None
    return page(found, "first", health(found), difference, "second"), found


def random_choices(seed):
    """A random choice of parts that go together."""
    rng = Random(seed)
    chosen = {
        "norm": rng.choice(["rmsnorm", AFFINE, "dyt"]),
        "position": rng.choice(["learned", "rope", "sinusoidal", "none"]),
        "attention": rng.choice(["multihead", "differential", "linear", ("multihead", {"kv_heads": 1})]),
        "mlp": rng.choice(["mlp", "glu", "moe"]),
        "activation": rng.choice(["relu", "gelu", "tanh"]),
        "block": rng.choice(["pre_norm", "parallel", "post_norm", "sandwich_norm", "rezero"]),
    }
    flags = ("bias", "final_norm", "embed_norm", "tie_embeddings")
    return chosen | {flag: rng.random() < 0.5 for flag in flags} | {"layers": rng.choice([1, 2])}


def less_mean(logits):
    return logits - logits.mean(-1, keepdims=True)


def row_softmax(x):
    exps = np.exp(x - x.max(-1, keepdims=True))
    return exps / exps.sum(-1, keepdims=True)
