"""Attentions and positions, compared with the formulas of their papers, one token and head at a time."""

import math

import numpy as np
import pytest
from random_model import BACKEND, EMBED, HEADS, IDS, TARGETS, Look, T, assert_equal

from microgpt_lab import seen

# Attention: a sum over the tokens that token t sees, in each head.


def dot(q, k, h, t, s):
    return q @ k / math.sqrt(len(q))


def softmax(scores, h=0):
    e = np.exp(scores)
    return e / e.sum()


def attention(w, x, score=dot, weigh=softmax, kv_heads=HEADS, heads=HEADS, window=T, values=None):
    """Σ weigh(score(q, k)) v for each token and head, of which several share the same k and v, times Wo."""
    q, k = (np.split(x @ w[name].T, n, axis=1) for name, n in (("wq", heads), ("wk", kv_heads)))
    v = np.split(x @ w["wv"].T, kv_heads, axis=1) if values is None else values
    rows = []
    for t in range(len(x)):
        visible, row = range(max(0, t - window + 1), t + 1), []
        for h in range(heads):
            group = h // (heads // kv_heads)
            scores = np.array([score(q[h][t], k[group][s], h, t, s) for s in visible])
            row += list(sum(a * v[group][s] for a, s in zip(weigh(scores, h), visible, strict=True)))
        rows.append(row)
    return np.array(rows) @ w["wo"].T


def rotary(base, rotated):
    """The paper's Re(q k* e^(i (t - s) θ)), of complex numbers from the two halves of the rotated part."""

    def score(q, k, h, t, s):
        half = rotated // 2
        q_complex, k_complex = (y[:half] + 1j * y[half:rotated] for y in (q, k))
        angles = (t - s) * base ** (-2 * np.arange(half) / rotated)
        turned = (q_complex * k_complex.conj() * np.exp(1j * angles)).real.sum()
        return (turned + q[rotated:] @ k[rotated:]) / math.sqrt(len(q))

    return score


def alibi(slopes):
    def score(q, k, h, t, s):
        return dot(q, k, h, t, s) - slopes[h] * (t - s)

    return {"score": score, "heads": len(slopes), "kv_heads": len(slopes)}


def unit(x):
    return x / math.sqrt(np.mean(x * x) + 1e-5)


# What is chosen, and the options of `attention` that it must equal, with the layer's own weights.
ATTENTIONS = {
    "scaled dot products": ({}, lambda w: {}),
    "two groups": ({"attention": ("multihead", {"kv_heads": 2})}, lambda w: {"kv_heads": 2}),
    "multi-query": ({"attention": ("multihead", {"kv_heads": 1})}, lambda w: {"kv_heads": 1}),
    "heads of 5 numbers": ({"attention": ("multihead", {"head_dim": 5})}, lambda w: {}),
    "window": ({"attention": ("multihead", {"window": 3})}, lambda w: {"window": 3}),
    "sinks": (
        {"attention": ("multihead", {"sinks": True})},
        lambda w: {"weigh": lambda s, h: np.exp(s) / (np.exp(s).sum() + np.exp(w["sink"][0, h]))},
    ),
    "QK-norm": (
        {"attention": ("multihead", {"qk_norm": True, "qk_gain": True})},
        lambda w: {
            "score": lambda q, k, *at: dot(unit(q) * w["q_gain"][0], unit(k) * w["k_gain"][0], *at),
        },
    ),
    "RoPE": ({"position": ("rope", {"base": 50.0})}, lambda w: {"score": rotary(50.0, 6)}),
    "RoPE of a part": (
        {"position": ("rope", {"base": 50.0, "partial": 2 / 3})},
        lambda w: {"score": rotary(50.0, 4)},
    ),
    # The paper's example is 8 heads; its authors' code interleaves the next power of 2 for 3 and 12 heads.
    "ALiBi, 8 heads": (
        {"position": "alibi", "heads": 8},
        lambda w: alibi([1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 32, 1 / 64, 1 / 128, 1 / 256]),
    ),
    "ALiBi, 4 heads": ({"position": "alibi"}, lambda w: alibi([1 / 4, 1 / 16, 1 / 64, 1 / 256])),
    "ALiBi, 3 heads": ({"position": "alibi", "heads": 3}, lambda w: alibi([1 / 16, 1 / 256, 1 / 4])),
    "ALiBi, 12 heads": (
        {"position": "alibi", "heads": 12},
        lambda w: alibi([2.0**-i for i in range(1, 9)] + [2.0**-i for i in (0.5, 1.5, 2.5, 3.5)]),
    ),
    "sigmoid": (
        {"weighting": "sigmoid"},
        lambda w: {"weigh": lambda s, h: 1 / (1 + np.exp(-(s - math.log(len(s)))))},
    ),
    "squared ReLU": (
        {"weighting": "relu2"},
        lambda w: {"weigh": lambda s, h: np.maximum(s, 0) ** 2 / len(s)},
    ),
}


@pytest.mark.parametrize("name", ATTENTIONS)
def test_attention_equals_the_formula_of_the_paper(name):
    chosen, options = ATTENTIONS[name]
    look = Look(**chosen)
    w = look.own("layer0.attention")
    assert_equal(look.inside["layer0.attention"], attention(w, look.x, **options(w)))


@pytest.mark.parametrize("layer", [0, 1])
def test_differential_attention_equals_the_formula_of_the_paper(layer):
    look = Look(attention="differential", layers=2)
    w, x = look.own(f"layer{layer}.attention"), look.inside[f"layer{layer}.norm1"]
    start = 0.8 - 0.6 * math.exp(-0.3 * layer)
    amount = math.exp(w["lq1"][0] @ w["lk1"][0]) - math.exp(w["lq2"][0] @ w["lk2"][0]) + start
    identity = {"wv": w["wv"], "wo": np.eye(EMBED)}
    first, second = (
        attention({"wq": q, "wk": k} | identity, x)
        for q, k in zip(np.split(w["wq"], 2), np.split(w["wk"], 2), strict=True)
    )
    heads = (first - amount * second).reshape(T, HEADS, -1)
    normed = np.array([[unit(head) * (1 - start) for head in row] for row in heads])
    assert_equal(look.inside[f"layer{layer}.attention"], normed.reshape(T, EMBED) @ w["wo"].T)


def test_linear_attention_equals_the_recurrence_of_the_paper():
    look = Look(attention="linear")
    w, D = look.own("layer0.attention"), EMBED // HEADS
    q, k, v = (look.x @ w[name].T for name in ("wq", "wk", "wv"))
    q, k = (np.where(y > 0, y + 1, np.exp(y)) for y in (q, k))
    mixed = np.zeros((T, EMBED))
    for h in range(HEADS):
        own, state, total = slice(h * D, (h + 1) * D), np.zeros((D, D)), np.zeros(D)
        for t in range(T):
            state, total = state + np.outer(k[t, own], v[t, own]), total + k[t, own]
            mixed[t, own] = q[t, own] @ state / (q[t, own] @ total)
    assert_equal(look.inside["layer0.attention"], mixed @ w["wo"].T)


@pytest.mark.parametrize("size", [-1e5, 1e5])
def test_linear_attention_has_finite_gradients_for_large_queries_and_keys(size):
    look = Look(attention="linear")
    w = look.tensors | {
        f"layer0.attention.{n}": look.tensors[f"layer0.attention.{n}"] * size for n in ("wq", "wk")
    }
    _, gradients = BACKEND.value_and_grad(lambda w: look.model.nll(w, IDS, TARGETS).total(), w)
    assert all(np.isfinite(g.data).all() for g in gradients.values())


def test_linear_attention_to_keys_far_below_zero_is_zero():
    """Every φ(k) underflows then, and so does their sum, by which they are divided."""
    look = Look(attention="linear", bias=True)
    look.tensors["layer0.attention.wk_bias"] -= 1e4
    with seen("layer0.attention.pattern") as inside:
        look.model.logits(look.tensors, IDS)
    assert not np.any(inside["layer0.attention.pattern"].data)


def test_value_residual_mixes_the_first_layers_values_into_the_second_layers():
    look = Look(attention=("multihead", {"value_residual": True}), layers=2)
    first, second = look.own("layer0.attention"), look.own("layer1.attention")
    x = look.inside["layer1.norm1"]
    old, new = second["mix"][0]
    values = np.split(old * (look.x @ first["wv"].T) + new * (x @ second["wv"].T), HEADS, axis=1)
    assert_equal(look.inside["layer1.attention"], attention(second, x, values=values))


def test_sinusoidal_positions_equal_the_formula_of_the_paper():
    look = Look(position="sinusoidal")
    for t, token in enumerate(IDS):
        for i in range(EMBED // 2):
            angle = t / 10000 ** (2 * i / EMBED)
            assert_equal(
                look.inside["embed"][t, 2 * i : 2 * i + 2] - look.w["wte"][token, 2 * i : 2 * i + 2],
                [math.sin(angle), math.cos(angle)],
            )
