"""The default architecture in plain PyTorch (eager, on the CPU), for `bench --against torch`."""

# pyright: reportMissingImports=false
# PyTorch is an optional extra.
from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from microgpt_lab.core.model import GPT
from microgpt_lab.core.trainer import Trainer
from microgpt_lab.errors import UserError
from microgpt_lab.options.keys import defaults, format_value, run_options
from microgpt_lab.registry.hookspecs import MODEL_KINDS
from microgpt_lab.registry.parts import options_of
from microgpt_lab.registry.plugins import registry
from microgpt_lab.tensors.padding import padded

ACTIVATIONS = {"relu": F.relu, "gelu": F.gelu, "silu": F.silu, "tanh": F.tanh}
FREE = {"layers", "heads", "embed", "block_size", "tie_embeddings", "norm.eps"}  # keys that may be set


def logits(gpt: GPT, w: dict[str, Tensor], ids: Tensor, activation: Callable, norm: Callable) -> Tensor:
    """Compute what `gpt.logits` computes: (B, T) to (B, T, vocab_size)."""
    (B, T), C = ids.shape, gpt.embed
    x = norm(F.embedding(ids, w["wte"]) + w["position.wpe"][:T])
    for i in range(gpt.layers):
        wq, wk, wv, wo = (w[f"layer{i}.attention.{name}"] for name in ("wq", "wk", "wv", "wo"))
        y = norm(x)
        q, k, v = (F.linear(y, m).view(B, T, gpt.heads, -1).transpose(1, 2) for m in (wq, wk, wv))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + F.linear(y.transpose(1, 2).reshape(B, T, C), wo)
        y = activation(F.linear(norm(x), w[f"layer{i}.mlp.fc1"]))
        x = x + F.linear(y, w[f"layer{i}.mlp.fc2"])
    return F.linear(x, w[gpt.output_matrix])


class Torch:
    """A PyTorch trainer with the part of Trainer's interface that `bench` needs.

    It starts from the same weights and trains on the same batches.
    """

    def __init__(self, trainer: Trainer, config: dict[str, Any], dtype_name: str):
        check(config)
        self.gpt, self.backend, self.inputs = trainer.model, trainer.backend, trainer.inputs
        self.step, self.steps_per_second, self.dtype = 0, 1, dtype_name
        dtype = getattr(torch, dtype_name)
        self.w = {
            name: torch.tensor(w.tolist(), dtype=dtype, requires_grad=True)
            for name, w in trainer.weights.items()
        }
        options = dict(config["activation"])
        self.activation = partial(ACTIVATIONS[options.pop("name")], **options)
        self.norm = partial(F.rms_norm, normalized_shape=(self.gpt.embed,), eps=config["norm"]["eps"])
        adam = trainer.optimizer
        betas = adam.beta1, adam.beta2
        self.optimizer = torch.optim.Adam(self.w.values(), betas=betas, eps=adam.eps)

    def advance(self, steps: int = 1) -> list[dict[str, float]]:
        """Train for some steps and return the training loss of each."""
        return [self.one_step() for _ in range(steps)]

    def one_step(self) -> dict[str, float]:
        batch, lr, _ = self.inputs(self.step)
        ids, targets, loss_weight, _ = padded([batch], self.dtype)
        z = logits(self.gpt, self.w, torch.tensor(ids[0]), self.activation, self.norm)
        nll = F.cross_entropy(z.flatten(0, 1), torch.tensor(targets[0]).flatten(), reduction="none")
        loss = (nll * torch.tensor(loss_weight).flatten()).sum()
        self.optimizer.zero_grad()
        loss.backward()
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        self.optimizer.step()
        self.step += 1
        return {"loss/train": loss.item()}


def check(config: dict[str, Any]) -> None:
    """Raise UserError for a configuration that the PyTorch model does not support."""
    for kind, names in (("activation", ACTIVATIONS), ("optimizer", ["adam"])):
        if (name := config[kind]["name"]) not in names:
            raise UserError(f"{kind}={name} is not in the PyTorch model; choose from {', '.join(names)}")
    for key, option in run_options().items():
        if key in options_of(GPT) or key in ("dropout", "grad_clip"):
            check_default(key, config[key], option.default)
    for kind in (kind for kind in MODEL_KINDS if kind not in ("activation", "init")):
        (name,) = defaults()[kind]
        check_default(kind, config[kind]["name"], name)
        for key, option in registry().get(kind, name).options.items():
            check_default(f"{kind}.{key}", config[kind][key], option.default)


def check_default(key: str, value: Any, default: Any) -> None:
    if key not in FREE and value != default:
        chosen, only = format_value(value), format_value(default)
        raise UserError(f"{key}={chosen} is not in the PyTorch model, which has {key}={only}")
