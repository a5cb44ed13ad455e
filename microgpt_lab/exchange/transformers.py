"""Write a run as a folder that Hugging Face transformers loads: its config, weights and tokenizer."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from microgpt_lab.exchange import safetensors
from microgpt_lab.exchange.architectures import architecture_of
from microgpt_lab.run.trained import Trained

BOS = "<|bos|>"  # the token that begins and ends a document


def write(trained: Trained, folder: Path) -> str:
    """Write config.json, generation_config.json, model.safetensors and the tokenizer into an empty folder.

    UserError if transformers has no such model.
    """
    config, w = trained.config, safetensors.arrays(trained)
    architecture = architecture_of(config)
    ends = {"bos_token_id": trained.bos, "eos_token_id": trained.bos}
    facts = {
        "architectures": [architecture.name],
        "model_type": architecture.model_type,
        "vocab_size": trained.bos + 1,
        "tie_word_embeddings": config["tie_embeddings"],
        "pad_token_id": None,
        "dtype": "float64",
    }
    write_json(folder / "config.json", facts | ends | architecture.config(config, w))
    write_json(folder / "generation_config.json", ends | {"max_length": config["block_size"]})
    safetensors.save_arrays(architecture.weights(config, w), folder / "model.safetensors", {})
    name = config["tokenizer"]["name"]
    if make := TOKENIZERS.get(name):
        write_tokenizer(make(trained), trained, folder)
    return architecture.name + (
        "" if make else f", without its tokenizer: tokenizer={name} is not written yet"
    )


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON file as transformers does: indented, with sorted keys."""
    path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def write_tokenizer(tokenizer: Any, trained: Trained, folder: Path) -> None:
    """Write a tokenizer of the `tokenizers` package. As in training, a text begins with BOS."""
    from tokenizers import AddedToken
    from tokenizers.processors import TemplateProcessing

    tokenizer.add_special_tokens([AddedToken(BOS, special=True, normalized=False)])
    tokenizer.post_processor = TemplateProcessing(
        single=f"{BOS} $A", pair=f"{BOS} $A {BOS} $B", special_tokens=[(BOS, trained.bos)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    facts = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": BOS,
        "eos_token": BOS,
        "clean_up_tokenization_spaces": False,
        "model_max_length": trained.config["block_size"],
        "split_special_tokens": True,  # a text that contains the name of a special token stays text
    }
    write_json(folder / "tokenizer_config.json", facts)


def char(trained: Trained) -> Any:
    """Return a tokenizer with a token for each character."""
    from tokenizers import Regex, Tokenizer
    from tokenizers.decoders import Fuse
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Split

    tokenizer = Tokenizer(WordLevel({token: i for i, token in enumerate(trained.tokenizer.tokens)}))
    tokenizer.pre_tokenizer = Split(Regex(r"[\s\S]"), "isolated")
    tokenizer.decoder = Fuse()
    return tokenizer


TOKENIZERS: dict[str, Callable[[Trained], Any]] = {"char": char}
