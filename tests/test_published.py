"""Parts, compared with the formulas of their papers, worked out for one token and one head at a time."""

import math
import time
from functools import partial
from random import Random

import numpy as np
import pytest
from random_model import BACKEND, EMBED, HEADS, IDS, TARGETS, Look, T, assert_equal

from microgpt_lab import Shape, part, seen

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


# MLPs and norms

ACTIVATIONS = {
    "silu": lambda x: x / (1 + math.exp(-x)),
    "gelu": lambda x: x * 0.5 * (1 + math.erf(x / math.sqrt(2))),
    "relu": lambda x: max(x, 0.0),
    "sigmoid": lambda x: 1 / (1 + math.exp(-x)),
}


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_glu_equals_the_formula_of_the_paper(activation):
    """With biases: σ(x W + b) ⊗ (x V + c), times W₂."""
    look = Look(activation, mlp="glu", bias=True)
    w, x = look.own("layer0.mlp"), look.inside["layer0.norm2"]
    for t in range(T):
        gate, up = (w[name] @ x[t] + w[f"{name}_bias"][0] for name in ("gate", "up"))
        hidden = np.array([ACTIVATIONS[activation](a) * b for a, b in zip(gate, up, strict=True)])
        assert_equal(look.inside["layer0.mlp"][t], w["down"] @ hidden + w["down_bias"][0])


@pytest.mark.parametrize("top_k", [1, 2, 3])
def test_a_mixture_of_experts_equals_the_sum_over_the_chosen_ones(top_k):
    options = {"experts": 3, "top_k": top_k, "ratio": 0.5, "balance": 0.2}
    look = Look("silu", mlp=("moe", options))
    w, x, used, balances = look.own("layer0.mlp"), look.inside["layer0.norm2"], np.zeros(3), []
    fc1, fc2 = np.split(w["fc1"], 3, axis=0), np.split(w["fc2"], 3, axis=1)
    for t in range(T):
        gates, y = softmax(w["router"] @ x[t]), np.zeros(EMBED)
        for e in sorted(range(3), key=lambda e: -gates[e])[:top_k]:
            y += gates[e] * fc2[e] @ np.array([ACTIVATIONS["silu"](h) for h in fc1[e] @ x[t]])
            used[e] += 1
        balances.append(0.2 * 3 * sum(used / used.sum() * gates))
        assert_equal(look.inside["layer0.mlp"][t], y)
    terms = look.model.objective(look.tensors, IDS, TARGETS)
    total, nats, balance = (term.data[:, 0] for term in terms)
    assert_equal(balance, balances)
    assert_equal(total, nats + balances)


def layer_norm(x, gain=1.0, bias=0.0):
    return np.array([(row - row.mean()) / math.sqrt(row.var() + 1e-5) * gain + bias for row in x])


NORMS = {
    "layernorm": ({"gain": True, "bias": True}, lambda x, w: layer_norm(x, w["gain"][0], w["bias"][0])),
    "rmsnorm": ({"gain": True}, lambda x, w: np.array([unit(row) * w["gain"][0] for row in x])),
    "dyt": ({}, lambda x, w: w["gain"][0] * np.tanh(w["alpha"][0, 0] * x) + w["bias"][0]),
}


@pytest.mark.parametrize("name", NORMS)
def test_norms_with_learned_numbers_equal_the_formula_of_the_paper(name):
    options, formula = NORMS[name]
    look = Look(norm=(name, options), final_norm=True)
    for place in ("embed_norm", "layer0.norm1", "layer0.norm2", "final_norm"):
        assert_equal(look.inside[place], formula(look.inside[f"{place}.input"], look.own(place)))


# Blocks, ends and losses


def mlp(w, x):
    return np.maximum(x @ w["fc1"].T, 0) @ w["fc2"].T


# f: attention, g: MLP, n: the norms, which differ by their gains, w: the block's own weights.
BLOCKS = {
    "pre_norm": lambda x, f, g, n, w: (y := x + f(n[0](x))) + g(n[1](y)),
    "post_norm": lambda x, f, g, n, w: n[1]((y := n[0](x + f(x))) + g(y)),
    "sandwich_norm": lambda x, f, g, n, w: (y := x + n[1](f(n[0](x)))) + n[3](g(n[2](y))),
    "parallel": lambda x, f, g, n, w: x + f(n[0](x)) + g(n[0](x)),
    "rezero": lambda x, f, g, n, w: (y := x + w["gain1"][0, 0] * f(x)) + w["gain2"][0, 0] * g(y),
}


@pytest.mark.parametrize("name", BLOCKS)
def test_a_model_of_each_block_equals_the_formula_of_the_paper(name):
    keys = {"final_norm": True, "embed_scale": 3.0, "logit_softcap": 2.0, "tie_embeddings": True}
    look = Look(norm=("rmsnorm", {"gain": True}), block=name, layers=2, **keys)

    def norm(place):
        return lambda x: np.array([unit(row) * look.w[f"{place}.gain"][0] for row in x])

    x = norm("embed_norm")(3.0 * look.w["wte"][IDS] + look.w["position.wpe"][:T])
    for i in range(2):
        norms = [norm(f"layer{i}.norm{n}") for n in (1, 2, 3, 4)]
        own = [look.own(f"layer{i}.{kind}") for kind in ("attention", "mlp", "block")]
        x = BLOCKS[name](x, partial(attention, own[0]), partial(mlp, own[1]), norms, own[2])
    assert_equal(look.inside["logits"], 2 * np.tanh(norm("final_norm")(x) @ look.w["wte"].T / 2))


LOSSES = {
    "cross_entropy": ({}, lambda p, z, i: -math.log(p[i])),
    "label_smoothing": (
        {"amount": 0.3},
        lambda p, z, i: -sum(math.log(q) * (0.3 / len(p) + 0.7 * (j == i)) for j, q in enumerate(p)),
    ),
    "z_loss": ({"weight": 0.1}, lambda p, z, i: -math.log(p[i]) + 0.1 * math.log(sum(map(math.exp, z))) ** 2),
}


@pytest.mark.parametrize("name", LOSSES)
def test_losses_equal_the_formula_of_the_paper(name):
    options, formula = LOSSES[name]
    look = Look(loss=(name, options))
    found = look.model.objective(look.tensors, IDS, TARGETS)[0].data[:, 0]
    logits = look.inside["logits"]
    assert_equal(found, [formula(softmax(z), z, i) for z, i in zip(logits, TARGETS, strict=True)])


# Initial weights


def drawn(name, shape, layers=2, **options):
    model = Look(layers=layers).model
    return np.array(part("init", name, **options)(shape, model, Random(0)))


@pytest.mark.parametrize(("out", "in_"), [(5, 9), (9, 5), (6, 6)])
def test_orthogonal_weights_are_orthogonal(out, in_):
    w = drawn("orthogonal", Shape(out, in_), gain=3.0)
    assert_equal(np.linalg.svd(w, compute_uv=False), np.full(min(out, in_), 3.0))


def test_orthogonal_weights_take_little_longer_than_normal_ones():
    seconds = {}
    for name in ("normal", "orthogonal"):
        start = time.process_time()
        w = drawn(name, Shape(256, 256))
        seconds[name] = time.process_time() - start
    assert seconds["orthogonal"] < 10 * seconds["normal"]
    assert_equal(w @ w.T, np.eye(256))


SPREADS = {
    "normal": ({"std": 0.3}, "residual", 0.3),
    "gpt2": ({"std": 0.3}, "hidden", 0.3),
    "gpt2 residual": ({"std": 0.3}, "residual", 0.3 / math.sqrt(2 * 2)),
    "xavier": ({"gain": 2.0}, "hidden", 2 * math.sqrt(2 / (90 + 60))),
}


@pytest.mark.parametrize("name", SPREADS)
def test_initial_weights_have_the_standard_deviation_of_the_paper(name):
    options, role, std = SPREADS[name]
    w = drawn(name.split()[0], Shape(90, 60, role), **options)
    assert w.std() == pytest.approx(std, rel=0.04)  # 4 standard errors
    assert abs(w.mean()) < 4 * std / math.sqrt(w.size)
    zero = drawn(name.split()[0], Shape(9, 6, role), zero=True, **options)
    assert zero.any() == (role != "residual")
