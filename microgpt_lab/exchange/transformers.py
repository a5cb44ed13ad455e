"""Write a model as a folder that Hugging Face transformers loads: its config, weights and tokenizer."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from microgpt_lab.core.tokenizer import Tokenizer
from microgpt_lab.exchange import safetensors, tokenizers
from microgpt_lab.exchange.architectures import architecture_of
from microgpt_lab.exchange.tokenizers import write_json


def write(folder: Path, config: dict[str, Any], weights: Mapping[str, Any], tokenizer: Tokenizer) -> str:
    """Write config.json, generation_config.json, model.safetensors and the tokenizer into an empty folder.

    Return the name of the model in transformers, and whether its tokenizer could be written. UserError if
    transformers has no such model.
    """
    architecture = architecture_of(config)
    w = {name: np.array(rows.tolist()) for name, rows in weights.items()}
    bos, name = len(tokenizer.tokens), config["tokenizer"]["name"]
    ends = {"bos_token_id": bos, "eos_token_id": bos}
    facts = {
        "architectures": [architecture.name],
        "model_type": architecture.model_type,
        "vocab_size": bos + 1,
        "tie_word_embeddings": config["tie_embeddings"],
        "pad_token_id": None,
        "dtype": "float64",
    }
    write_json(folder / "config.json", facts | ends | architecture.config(config, w))
    longest = config["block_size"] + 1  # the last token of a text is not read
    write_json(folder / "generation_config.json", ends | {"max_length": longest})
    safetensors.write(folder / "model.safetensors", architecture.weights(config, w))
    written = tokenizers.write(folder, name, tokenizer, config["block_size"])
    return f"{architecture.name}, {'with its tokenizer' if written else f'without its tokenizer={name}'}"
