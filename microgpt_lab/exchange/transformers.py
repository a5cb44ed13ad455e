"""Write a model as a folder that Hugging Face transformers loads: its config, weights and tokenizer."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from microgpt_lab.core.tokenizer import Tokenizer
from microgpt_lab.exchange import safetensors
from microgpt_lab.exchange.architectures import architecture_of

BOS = "<|bos|>"  # the token that begins and ends a document


def write(folder: Path, config: dict[str, Any], weights: Mapping[str, Any], tokenizer: Tokenizer) -> str:
    """Write config.json, generation_config.json, model.safetensors and the tokenizer into an empty folder.

    Return the name of the model in transformers, and whether its tokenizer could not be written. UserError if
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
    if name not in TOKENIZERS:
        return f"{architecture.name}, without its tokenizer={name}"
    write_tokenizer(folder, TOKENIZERS[name](tokenizer.tokens), bos, config["block_size"])
    return architecture.name


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON file as transformers does: indented, with sorted keys."""
    path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def write_tokenizer(folder: Path, tokenizer: Any, bos: int, longest: int) -> None:
    """Write a tokenizer of the `tokenizers` package. As in training, a text begins with BOS."""
    from tokenizers import AddedToken
    from tokenizers.processors import TemplateProcessing

    tokenizer.add_special_tokens([AddedToken(BOS, special=True, normalized=False)])
    tokenizer.post_processor = TemplateProcessing(
        single=f"{BOS} $A", pair=f"{BOS} $A {BOS} $B", special_tokens=[(BOS, bos)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    facts = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": BOS,
        "eos_token": BOS,
        "clean_up_tokenization_spaces": False,
        "model_max_length": longest,
        "split_special_tokens": True,  # a text that contains the name of a special token stays text
    }
    write_json(folder / "tokenizer_config.json", facts)


def char(tokens: Sequence[str]) -> Any:
    """Return a tokenizer with a token for each character."""
    from tokenizers import Regex, Tokenizer
    from tokenizers.decoders import Fuse
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Split

    tokenizer = Tokenizer(WordLevel({token: i for i, token in enumerate(tokens)}))
    tokenizer.pre_tokenizer = Split(Regex(r"[\s\S]"), "isolated")
    tokenizer.decoder = Fuse()
    return tokenizer


TOKENIZERS: dict[str, Callable[[Sequence[str]], Any]] = {"char": char}
