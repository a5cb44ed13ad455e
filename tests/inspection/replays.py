"""Replays of models with random weights, with every kind of part."""

from functools import cache
from random import Random

import numpy as np
from random_model import IDS, TARGETS, Look

from microgpt_lab.inspection.attribution import attribution
from microgpt_lab.inspection.replay import Replay
from microgpt_lab.tensors.tensor import Tensor

AFFINE = "layernorm", {"gain": True, "bias": True}
CASES = {
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
    """The replay of IDS through a case's model, and its numbers as NumPy arrays."""
    return replay_of(**CASES[name])


@cache
def explained(name):
    return attribution(replayed(name)[0])


def replay_of(**chosen):
    look = Look(**chosen)
    weights = {name: Tensor(list(map(float, w.ravel())), w.shape) for name, w in look.w.items()}
    return Replay(look.model, [*"abcdef", "·"], "text", IDS, TARGETS, weights), look


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
