"""Replays of small models with random weights, which together have every part of the project."""

from functools import cache

from random_model import Look

from microgpt_lab.inspection.replay import Replay
from microgpt_lab.testing import tensor

LABELS = [*"abcdef", "·"]
TEXT = "beef"
MODELS = {
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


def new(text=TEXT, labels=LABELS, **chosen):
    """Replay a text through a new model of these parts."""
    look = Look(**{"embed": 8, "heads": 2} | chosen)
    ids = [6, *map(LABELS.index, text), 6]
    weights = {name: tensor(w.tolist()) for name, w in look.w.items()}
    return Replay(look.model, labels, text, ids[:-1], ids[1:], weights)


@cache
def replayed(model="default"):
    """The replay of the text through one of the models."""
    return new(**MODELS[model])
