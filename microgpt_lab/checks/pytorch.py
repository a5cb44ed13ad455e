"""The default architecture in plain PyTorch (eager, on the CPU), for `bench --against torch`."""

# pyright: reportMissingImports=false
# PyTorch is an optional extra.
from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from microgpt_lab.core.trainer import Trainer
from microgpt_lab.errors import UserError
from microgpt_lab.tensors.padding import padded

ACTIVATIONS = {"relu": F.relu, "gelu": F.gelu, "silu": F.silu, "tanh": F.tanh}


class Block(nn.Module):
    """A transformer block: attention and MLP, each after a norm and with a residual connection."""

    def __init__(self, embed: int, heads: int, activation: Any, norm: Any):
        super().__init__()
        self.heads, self.activation, self.norm = heads, activation, norm
        self.wq = nn.Linear(embed, embed, bias=False)
        self.wk = nn.Linear(embed, embed, bias=False)
        self.wv = nn.Linear(embed, embed, bias=False)
        self.wo = nn.Linear(embed, embed, bias=False)
        self.fc1 = nn.Linear(embed, 4 * embed, bias=False)
        self.fc2 = nn.Linear(4 * embed, embed, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        B, T, C = x.shape
        y = self.norm(x)
        q, k, v = (f(y).view(B, T, self.heads, -1).transpose(1, 2) for f in (self.wq, self.wk, self.wv))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.wo(y.transpose(1, 2).reshape(B, T, C))
        return x + self.fc2(self.activation(self.fc1(self.norm(x))))


class Model(nn.Module):
    """The same GPT as `trainer.model`."""

    def __init__(self, trainer: Trainer, activation: Any, norm: Any):
        super().__init__()
        gpt, self.norm = trainer.model, norm
        self.wte = nn.Embedding(gpt.vocab_size, gpt.embed)
        self.wpe = nn.Embedding(gpt.block_size, gpt.embed)
        self.layers = nn.ModuleList(Block(gpt.embed, gpt.heads, activation, norm) for _ in range(gpt.layers))
        self.lm_head = nn.Linear(gpt.embed, gpt.vocab_size, bias=False)
        if gpt.output_matrix == "wte":
            self.lm_head.weight = self.wte.weight

    def forward(self, ids: Tensor) -> Tensor:
        x = self.wte(ids) + self.wpe.weight[: ids.shape[1]]
        x = self.norm(x)
        for layer in self.layers:
            x = layer(x)
        return self.lm_head(x)


class Torch:
    """A PyTorch trainer with the part of Trainer's interface that `bench` needs.

    It starts from the same weights and trains on the same batches.
    """

    def __init__(self, trainer: Trainer, config: dict[str, Any], dtype_name: str):
        check(config)
        self.trainer, self.backend, self.inputs = trainer, trainer.backend, trainer.inputs
        self.step, self.steps_per_second, self.dtype = 0, 1, dtype_name
        dtype = getattr(torch, self.dtype)
        options = dict(config["activation"])
        activation = partial(ACTIVATIONS[options.pop("name")], **options)
        norm = partial(F.rms_norm, normalized_shape=(trainer.model.embed,), eps=config["norm"]["eps"])
        self.model = Model(trainer, activation, norm).to(dtype)
        renamed = {f"{name.replace('layer', 'layers.')}.weight": w for name, w in trainer.weights.items()}
        weights = {name: torch.tensor(w.tolist(), dtype=dtype) for name, w in renamed.items()}
        if trainer.model.output_matrix == "wte":
            weights["lm_head.weight"] = weights["wte.weight"]
        self.model.load_state_dict(weights)
        adam = trainer.optimizer
        self.optimizer = torch.optim.Adam(
            self.model.parameters(), betas=(adam.beta1, adam.beta2), eps=adam.eps
        )

    def advance(self, steps: int = 1) -> list[dict[str, float]]:
        """Train for some steps and return the training loss of each."""
        return [self.one_step() for _ in range(steps)]

    def one_step(self) -> dict[str, float]:
        batch, lr, _ = self.inputs(self.step)
        ids, targets, loss_weight, _ = padded([batch], self.dtype)
        logits = self.model(torch.tensor(ids[0]))
        nll = F.cross_entropy(logits.flatten(0, 1), torch.tensor(targets[0]).flatten(), reduction="none")
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
    known = {"activation": ACTIVATIONS, "norm": ["rmsnorm"], "optimizer": ["adam"]}
    for kind, names in known.items():
        if config[kind]["name"] not in names:
            raise UserError(
                f"{kind}={config[kind]['name']} is not in the PyTorch model; choose from {', '.join(names)}"
            )
    if config["dropout"] or config["grad_clip"] or config["norm"]["gain"]:
        raise UserError(
            "the PyTorch model has no dropout, grad_clip or norm.gain: leave them at their defaults"
        )
