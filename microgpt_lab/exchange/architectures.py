"""GPT-2, Llama and NanoChat of Hugging Face transformers: which runs they are, their config and weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from microgpt_lab.core.model import GPT
from microgpt_lab.errors import UserError
from microgpt_lab.options.keys import format_value
from microgpt_lab.options.overrides import flatten
from microgpt_lab.registry.hookspecs import MODEL_KINDS
from microgpt_lab.registry.parts import options_of

Arrays = Mapping[str, Any]  # the run's weights by name, as arrays (out, in)

# The lab's activations, with the values of their options, and their names in transformers.
ACTIVATIONS = {
    ("gelu", "none"): "gelu",
    ("gelu", "tanh"): "gelu_new",
    ("identity",): "linear",
    ("leaky_relu", 0.01): "leaky_relu",
    ("mish",): "mish",
    ("relu",): "relu",
    ("relu2",): "relu2",
    ("sigmoid",): "sigmoid",
    ("silu",): "silu",
    ("tanh",): "tanh",
}

# Keys of a run that decide its logits, and the values that each architecture has. Others are free.
ALL = {
    "weighting": "softmax",
    "block": "pre_norm",
    "attention": "multihead",
    "attention.window": 0,
    "attention.qk_gain": False,
    "attention.sinks": False,
    "attention.value_residual": False,
    "embed_scale": 1.0,
    "final_norm": True,
}
ROTARY = {"norm": "rmsnorm", "position": "rope", "position.partial": 1.0}
FREE = {"layers", "heads", "embed", "block_size", "tie_embeddings", "norm.eps", "mlp.ratio"}
FREE |= {"attention.dropout", "attention.window_pattern"}  # without a window there is no pattern


class Architecture(NamedTuple):
    """A causal language model of transformers.

    has: the values of keys that it has. A key that is neither here nor in `free` does not fit.
    free: keys with any value.
    config: from the run's configuration and weights to the architecture's own keys in config.json.
    weights: from the run's configuration and weights to its tensors by name.
    """

    label: str
    name: str
    model_type: str
    has: dict[str, Any]
    free: set[str]
    config: Callable[[dict[str, Any], Arrays], dict[str, Any]]
    weights: Callable[[dict[str, Any], Arrays], dict[str, Any]]

    def misfits(self, config: dict[str, Any]) -> dict[str, Any]:
        """Return the keys that do not fit, with the value that the architecture has (None: no such key)."""
        misfits: dict[str, Any] = {}
        for key, value in model_keys(config).items():
            of_misfit = key.partition(".")[0] in misfits  # an option of a part that does not fit itself
            if not of_misfit and key not in FREE | self.free and self.has.get(key) != value:
                misfits[key] = self.has.get(key)
        return misfits


def activation_of(config: dict[str, Any]) -> str | None:
    """Return the name of the run's activation in transformers; None if it has none."""
    name, *options = config["activation"].values()
    return ACTIVATIONS.get((name, *options))


def unknown_activation(config: dict[str, Any]) -> dict[str, Any]:
    """Return the keys of an activation that transformers lacks; if it has the name, only the options."""
    if activation_of(config):
        return {}
    keys = dict(flatten({"activation": config["activation"]}))
    named = keys["activation"] in {name for name, *_ in ACTIVATIONS}
    return {key: value for key, value in keys.items() if key != "activation" or not named}


def model_keys(config: dict[str, Any]) -> dict[str, Any]:
    """Return the keys that decide the logits, and their values; of the activation, those that do not fit.

    kv_heads=heads is written as 0, which means the same, as is head_dim=embed/heads.
    """
    kinds = {kind: config[kind] for kind in MODEL_KINDS if kind not in ("activation", "init", "loss")}
    keys = unknown_activation(config)
    keys |= flatten(kinds | {key: config[key] for key in options_of(GPT)})
    if keys.get("attention.kv_heads") == config["heads"]:
        keys["attention.kv_heads"] = 0
    if keys.get("attention.head_dim", 0) * config["heads"] == config["embed"]:
        keys["attention.head_dim"] = 0
    return keys


def architecture_of(config: dict[str, Any]) -> Architecture:
    """Return the architecture that a run is. UserError names the nearest one and what does not fit."""
    nearest = min(ARCHITECTURES, key=lambda architecture: len(architecture.misfits(config)))
    misfits = nearest.misfits(config)
    if not misfits and config["embed"] % config["heads"]:
        raise UserError(
            f"embed={config['embed']} is not divisible by heads={config['heads']}, as transformers requires"
        )
    if not misfits:
        return nearest
    keys = model_keys(config)
    of_run = ", ".join(f"{key}={format_value(keys[key])}" for key in misfits)
    has = [f"{key}={format_value(value)}" for key, value in misfits.items() if value is not None]
    instead = f"has {', '.join(has)}" if has else "has no such part"
    train = "with model=gpt2, llama or nanochat"
    if config.get("model") == nearest.model_type:
        train = "without it" if len(misfits) == 1 else "without them"
    raise UserError(
        f"{of_run}: {nearest.label}, the nearest model of transformers, {instead}; train {train}, or write "
        "the weights alone with --safetensors FILE"
    )


def head_dim(config: dict[str, Any]) -> int:
    """Return the width of an attention head."""
    return config["attention"]["head_dim"] or config["embed"] // config["heads"]


def vector(w: Arrays, name: str, like: str, fill: float = 0.0) -> Any:
    """Return a gain or bias (1, out) as a vector; if the run has none, one without effect.

    like: a weight (out, in) of the same layer, or of the model's width.
    """
    return w[name][0] if name in w else np.full(len(w[like]), fill)


def gpt2_config(config: dict[str, Any], w: Arrays) -> dict[str, Any]:
    return {
        "activation_function": activation_of(config),
        "attn_pdrop": config["attention"]["dropout"],
        "embd_pdrop": config["dropout"],
        "layer_norm_epsilon": config["norm"]["eps"],
        "n_embd": config["embed"],
        "n_head": config["heads"],
        "n_inner": len(w["layer0.mlp.fc1"]),
        "n_layer": config["layers"],
        "n_positions": config["block_size"],
        "resid_pdrop": config["dropout"],
    }


def gpt2_weights(config: dict[str, Any], w: Arrays) -> dict[str, Any]:
    """GPT-2's linear layers are stored transposed, (in, out), and those of q, k and v are one."""
    found = {"transformer.wte.weight": w["wte"], "transformer.wpe.weight": w["position.wpe"]}
    norms = {"transformer.ln_f": "final_norm"}
    for i in range(config["layers"]):
        ours, theirs = f"layer{i}", f"transformer.h.{i}"
        norms |= {f"{theirs}.ln_1": f"{ours}.norm1", f"{theirs}.ln_2": f"{ours}.norm2"}
        linear = {
            "attn.c_attn": [f"{ours}.attention.{name}" for name in ("wq", "wk", "wv")],
            "attn.c_proj": [f"{ours}.attention.wo"],
            "mlp.c_fc": [f"{ours}.mlp.fc1"],
            "mlp.c_proj": [f"{ours}.mlp.fc2"],
        }
        for layer, names in linear.items():
            found[f"{theirs}.{layer}.weight"] = np.concatenate([w[name] for name in names]).T
            biases = [vector(w, f"{name}_bias", name) for name in names]
            found[f"{theirs}.{layer}.bias"] = np.concatenate(biases)
    for theirs, ours in norms.items():
        found[f"{theirs}.weight"] = vector(w, f"{ours}.gain", "layer0.attention.wo", 1.0)
        found[f"{theirs}.bias"] = vector(w, f"{ours}.bias", "layer0.attention.wo")
    return found | head(w)


def rotary_config(config: dict[str, Any], w: Arrays) -> dict[str, Any]:
    """What Llama and NanoChat share."""
    base = config["position"]["base"]
    return {
        "attention_bias": config["bias"],
        "attention_dropout": config["attention"]["dropout"],
        "hidden_act": activation_of(config),
        "hidden_size": config["embed"],
        "intermediate_size": w["layer0.mlp.down" if "layer0.mlp.down" in w else "layer0.mlp.fc2"].shape[1],
        "max_position_embeddings": config["block_size"],
        "num_attention_heads": config["heads"],
        "num_hidden_layers": config["layers"],
        "num_key_value_heads": config["attention"]["kv_heads"] or config["heads"],
        "rms_norm_eps": config["norm"]["eps"],
        "rope_parameters": {"rope_type": "default", "rope_theta": base},
        "rope_theta": base,  # before transformers 5
    }


def llama_config(config: dict[str, Any], w: Arrays) -> dict[str, Any]:
    return rotary_config(config, w) | {"head_dim": head_dim(config), "mlp_bias": config["bias"]}


def nanochat_config(config: dict[str, Any], w: Arrays) -> dict[str, Any]:
    return rotary_config(config, w) | {"final_logit_softcapping": config["logit_softcap"] or None}


LLAMA = {"gate": "mlp.gate_proj", "up": "mlp.up_proj", "down": "mlp.down_proj"}
NANOCHAT = {"fc1": "mlp.fc1", "fc2": "mlp.fc2"}


def rotary_weights(config: dict[str, Any], w: Arrays, mlp: dict[str, str]) -> dict[str, Any]:
    """Return the tensors that Llama and NanoChat share, and the matrices of their MLPs."""
    found = {"model.embed_tokens.weight": w["wte"]}
    names = {f"attention.w{x}": f"self_attn.{x}_proj" for x in "qkvo"}
    names |= {f"mlp.{ours}": theirs for ours, theirs in mlp.items()}
    for i in range(config["layers"]):
        for ours, theirs in names.items():
            found[f"model.layers.{i}.{theirs}.weight"] = w[f"layer{i}.{ours}"]
            if config["bias"]:
                found[f"model.layers.{i}.{theirs}.bias"] = w[f"layer{i}.{ours}_bias"][0]
    return found | head(w)


def llama_weights(config: dict[str, Any], w: Arrays) -> dict[str, Any]:
    found = rotary_weights(config, w, LLAMA)
    norms = {"model.norm": "final_norm"}
    for i in range(config["layers"]):
        norms[f"model.layers.{i}.input_layernorm"] = f"layer{i}.norm1"
        norms[f"model.layers.{i}.post_attention_layernorm"] = f"layer{i}.norm2"
    for theirs, ours in norms.items():
        found[f"{theirs}.weight"] = vector(w, f"{ours}.gain", "layer0.attention.wo", 1.0)
    return found


def nanochat_weights(config: dict[str, Any], w: Arrays) -> dict[str, Any]:
    """NanoChat rotates in the other direction: the same as ours with the halves of each head swapped."""
    found = rotary_weights(config, w, NANOCHAT)
    for name in [name for name in found if ".q_proj." in name or ".k_proj." in name]:
        halves = found[name].reshape(-1, 2, head_dim(config) // 2, config["embed"])
        found[name] = halves[:, ::-1].reshape(found[name].shape)
    return found


def head(w: Arrays) -> dict[str, Any]:
    """Return the output matrix, if it is not tied to the embedding."""
    return {"lm_head.weight": w["lm_head"]} if "lm_head" in w else {}


ARCHITECTURES = (
    Architecture(
        label="GPT-2",
        name="GPT2LMHeadModel",
        model_type="gpt2",
        has=ALL
        | {
            "norm": "layernorm",
            "position": "learned",
            "mlp": "mlp",
            "embed_norm": False,
            "logit_softcap": 0.0,
        }
        | {"attention.kv_heads": 0, "attention.head_dim": 0, "attention.qk_norm": False},
        free={"norm.gain", "norm.bias", "bias"},
        config=gpt2_config,
        weights=gpt2_weights,
    ),
    Architecture(
        label="Llama",
        name="LlamaForCausalLM",
        model_type="llama",
        has=ALL
        | ROTARY
        | {"mlp": "glu", "embed_norm": False, "logit_softcap": 0.0, "attention.qk_norm": False},
        free={"norm.gain", "bias", "position.base", "attention.kv_heads", "attention.head_dim"},
        config=llama_config,
        weights=llama_weights,
    ),
    Architecture(
        label="NanoChat",
        name="NanoChatForCausalLM",
        model_type="nanochat",
        has=ALL
        | ROTARY
        | {"mlp": "mlp", "norm.gain": False, "embed_norm": True, "bias": False}
        | {"attention.head_dim": 0, "attention.qk_norm": True},
        free={"position.base", "attention.kv_heads", "logit_softcap"},
        config=nanochat_config,
        weights=nanochat_weights,
    ),
)
