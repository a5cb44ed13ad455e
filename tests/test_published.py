"""MLPs, norms, blocks, losses and inits, compared with the formulas of their papers, one token at a time."""

import math
import time
from functools import partial
from random import Random

import numpy as np
import pytest
from random_model import EMBED, IDS, TARGETS, Look, T, assert_equal
from test_published_attention import attention, softmax, unit

from microgpt_lab import Shape, part

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
