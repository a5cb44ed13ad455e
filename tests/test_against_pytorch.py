"""Parts, models and training, compared with PyTorch's own functions where it is installed."""

import math

import numpy as np
import pytest
from random_model import BACKEND, EMBED, HEADS, IDS, TARGETS, Look, T, assert_equal

from microgpt_lab import UserError, part
from microgpt_lab.options.compose import compose
from microgpt_lab.run.assemble import assemble
from microgpt_lab.testing import small_trainer


def mask(torch, window=T, slopes=(0.0,)):
    """(heads, T, T): 0, or minus the slope times the distance, where a token is visible, else -inf."""
    distance = torch.arange(T)[:, None] - torch.arange(T)
    visible = (distance >= 0) & (distance < window)
    return torch.stack([torch.where(visible, -m * distance, -math.inf) for m in slopes])


SDPA = {
    "scaled dot products": ({}, lambda torch: {"is_causal": True}),
    "two groups": (
        {"attention": ("multihead", {"kv_heads": 2})},
        lambda torch: {"is_causal": True, "enable_gqa": True},
    ),
    "multi-query": (
        {"attention": ("multihead", {"kv_heads": 1})},
        lambda torch: {"is_causal": True, "enable_gqa": True},
    ),
    "window": (
        {"attention": ("multihead", {"window": 3})},
        lambda torch: {"attn_mask": mask(torch, window=3)},
    ),
    "ALiBi": (
        {"position": "alibi"},
        lambda torch: {"attn_mask": mask(torch, slopes=(1 / 4, 1 / 16, 1 / 64, 1 / 256))},
    ),
}


@pytest.mark.parametrize("name", SDPA)
def test_attention_equals_pytorchs(torch, name):
    chosen, options = SDPA[name]
    look = Look(**chosen)
    w = {name: torch.tensor(x) for name, x in look.own("layer0.attention").items()}
    q, k, v = (
        (torch.tensor(look.x) @ w[n].T).view(T, -1, EMBED // HEADS).transpose(0, 1)
        for n in ("wq", "wk", "wv")
    )
    mixed = torch.nn.functional.scaled_dot_product_attention(q[None], k[None], v[None], **options(torch))[0]
    assert_equal(look.inside["layer0.attention"], mixed.transpose(0, 1).reshape(T, EMBED) @ w["wo"].T)


def test_glu_and_norms_equal_pytorchs(torch):
    F = torch.nn.functional
    look = Look("sigmoid", mlp="glu", norm=("layernorm", {"gain": True, "bias": True}))
    w = {name: torch.tensor(x) for name, x in look.w.items()}
    x = torch.tensor(look.inside["layer0.norm2"])
    both = torch.cat([x @ w["layer0.mlp.up"].T, x @ w["layer0.mlp.gate"].T], -1)
    assert_equal(look.inside["layer0.mlp"], F.glu(both) @ w["layer0.mlp.down"].T)
    before = torch.tensor(look.inside["layer0.norm2.input"])
    assert_equal(x, F.layer_norm(before, [EMBED], w["layer0.norm2.gain"][0], w["layer0.norm2.bias"][0]))
    look = Look("silu", mlp="glu", norm=("rmsnorm", {"gain": True}))
    gain = torch.tensor(look.w["layer0.norm2.gain"][0])
    x = F.rms_norm(torch.tensor(look.inside["layer0.norm2.input"]), [EMBED], gain, 1e-5)
    gate, up, down = (torch.tensor(look.w[f"layer0.mlp.{name}"]) for name in ("gate", "up", "down"))
    assert_equal(look.inside["layer0.mlp"], (F.silu(x @ gate.T) * (x @ up.T)) @ down.T)


@pytest.mark.parametrize("amount", [0.0, 0.3, 1.0])
def test_label_smoothing_equals_pytorchs(torch, amount):
    look = Look(loss=("label_smoothing", {"amount": amount}))
    found = look.model.objective(look.tensors, IDS, TARGETS)[0].data[:, 0]
    options = {"label_smoothing": amount, "reduction": "none"}
    logits = torch.tensor(look.inside["logits"])
    assert_equal(found, torch.nn.functional.cross_entropy(logits, torch.tensor(TARGETS), **options))


NAMES = {"self_attn.out_proj": "attention.wo", "linear1": "mlp.fc1", "linear2": "mlp.fc2"}


@pytest.mark.parametrize("block", ["pre_norm", "post_norm"])
def test_loss_and_gradients_equal_those_of_pytorchs_transformer(torch, block):
    """GPT-2 in nn.TransformerEncoder: LayerNorm with gain and bias, GELU, biases, a final norm."""
    affine = ("layernorm", {"gain": True, "bias": True})
    look = Look("gelu", affine, block=block, layers=2, bias=True, embed_norm=False, final_norm=True)
    value, grads = BACKEND.value_and_grad(lambda w: look.model.nll(w, IDS, TARGETS).total(), look.tensors)
    w = {name: torch.tensor(x, requires_grad=True) for name, x in look.w.items()}
    kinds = {"dropout": 0.0, "activation": "gelu", "norm_first": block == "pre_norm", "batch_first": True}
    x = (w["wte"][IDS] + w["position.wpe"])[None]
    for i in range(2):
        layer = torch.nn.TransformerEncoderLayer(EMBED, HEADS, 4 * EMBED, **kinds)
        a, own = f"layer{i}.attention", {}
        for theirs, ours in NAMES.items():
            weight, bias = w[f"layer{i}.{ours}"], w[f"layer{i}.{ours}_bias"][0]
            own |= {f"{theirs}.weight": weight, f"{theirs}.bias": bias}
        for norm in ("norm1", "norm2"):
            gain, bias = (w[f"layer{i}.{norm}.{name}"][0] for name in ("gain", "bias"))
            own |= {f"{norm}.weight": gain, f"{norm}.bias": bias}
        own["self_attn.in_proj_weight"] = torch.cat([w[f"{a}.{n}"] for n in ("wq", "wk", "wv")])
        own["self_attn.in_proj_bias"] = torch.cat([w[f"{a}.{n}_bias"][0] for n in ("wq", "wk", "wv")])
        assert own.keys() == dict(layer.named_parameters()).keys()
        x = torch.func.functional_call(layer, own, (x,), {"src_mask": mask(torch)[0]})
    gain, bias = w["final_norm.gain"][0], w["final_norm.bias"][0]
    logits = torch.nn.functional.layer_norm(x[0], [EMBED], gain, bias) @ w["lm_head"].T
    loss = torch.nn.functional.cross_entropy(logits, torch.tensor(TARGETS), reduction="sum")
    loss.backward()
    assert_equal(value.item(), loss.item())
    for name, g in grads.items():
        np.testing.assert_allclose(g.data, w[name].grad, rtol=1e-9, atol=1e-11, err_msg=name)


# A factor of lr and a decay for each role whose weights take AdamW's step.
GROUPS = {
    "adamw": (
        {"decay": "linear", "embedding_lr_mult": 0.5, "head_lr_mult": 3.0, "scale_lr_mult": 0.25},
        {
            "embedding": (0.5, 0),
            "hidden": (1, 0.3),
            "residual": (1, 0.3),
            "head": (3, 0.3),
            "scale": (0.25, 0),
        },
    ),
    "muon": ({"adam_lr": 0.02}, {"embedding": (2, 0.3), "head": (2, 0.3), "scale": (2, 0.3)}),
}


@pytest.mark.parametrize("name", GROUPS)
def test_training_by_role_equals_pytorchs_adamw_with_parameter_groups(torch, name):
    options, groups = GROUPS[name]
    optimizer = part("optimizer", name, lr=0.01, weight_decay=0.3, **options)
    norm = part("norm", "layernorm", gain=True, bias=True)
    run = small_trainer(BACKEND, 8, optimizer=optimizer, norm=norm, bias=True)
    theirs = {n: torch.tensor(w.tolist()) for n, w in run.weights.items() if run.model.roles[n] in groups}
    adamw = torch.optim.AdamW(
        [
            {"params": [w for n, w in theirs.items() if run.model.roles[n] == role], "weight_decay": decay}
            for role, (_, decay) in groups.items()
        ],
        betas=(optimizer.beta1, optimizer.beta2),
        eps=optimizer.eps,
    )
    for step in range(run.steps):
        gradients = run.gradients()
        for n, w in theirs.items():
            w.grad = torch.tensor(gradients[n].tolist())
        for group, (factor, _) in zip(adamw.param_groups, groups.values(), strict=True):
            group["lr"] = 0.01 * (1 - step / run.steps) * factor
        adamw.step()
        run.advance()
        for n, w in theirs.items():
            np.testing.assert_allclose(run.weights[n].data, w, rtol=1e-9, atol=1e-12, err_msg=n)


REFUSED = {
    "optimizer=sgd": "optimizer=sgd is not in the PyTorch model; choose from adam",
    "activation=mish": "activation=mish is not in the PyTorch model; choose from relu, gelu, silu, tanh",
    "attention.window=3": "attention.window=3 is not in the PyTorch model, which has attention.window=0",
    "attention=linear": "attention=linear is not in the PyTorch model, which has attention=multihead",
    "norm.gain=true": "norm.gain=true is not in the PyTorch model, which has norm.gain=false",
    "dropout=0.1": "dropout=0.1 is not in the PyTorch model, which has dropout=0.0",
}
CHANGES = {"position=rope", "weighting=relu2", "mlp.ratio=2", "block=parallel", "loss=z_loss", "grad_clip=1"}
CHANGES |= {"embed_norm=false", "final_norm=true", "bias=true", "logit_softcap=9", "embed_scale=2", "mlp=glu"}


@pytest.mark.parametrize("change", [*REFUSED, *sorted(CHANGES)])
def test_the_yardstick_refuses_what_it_does_not_compute(torch, change):
    from microgpt_lab.checks.pytorch import check

    with pytest.raises(UserError) as caught:
        check(compose([change]))
    message = str(caught.value)
    assert message == REFUSED.get(change, message) and "\n" not in message
    assert message.startswith(change) and "is not in the PyTorch model" in message


@pytest.mark.parametrize("options", [{}, {"layers": 2, "tie_embeddings": True, "batch_size": 3}], ids=str)
def test_the_yardstick_has_the_losses_of_the_default(torch, options):
    from microgpt_lab.checks.pytorch import Torch

    overrides = [f"{key}={value}" for key, value in options.items()]
    config = compose(
        ["activation=gelu", "init.std=0.3", "norm.eps=0.01", "embed=8", "backend=numpy", *overrides]
    )
    ours = assemble(config, ["anna", "bo", "caroline", "d"] * 20)
    theirs = Torch(ours, config, "float64").advance(5)
    found = [metrics["loss/train"] for metrics in ours.advance(5)]
    assert_equal(found, [metrics["loss/train"] for metrics in theirs])
