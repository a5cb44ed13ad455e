"""Write a tokenizer of the lab as one of Hugging Face tokenizers, with the same ids."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

BOS = "<|bos|>"  # the token that begins and ends a document; no tokenizer learns it
# What \w and \s mean in Python. The regular expressions of tokenizers differ.
WORD, SPACE = r"\p{L}\p{N}_", r"\s\x{1c}-\x{1f}"


def write(folder: Path, name: str, tokenizer: Any, block_size: int) -> bool:
    """Write tokenizer.json and tokenizer_config.json. Return False for a tokenizer that is none of these."""
    if name not in TOKENIZERS:
        return False
    from tokenizers import AddedToken
    from tokenizers.processors import TemplateProcessing

    theirs, bos = TOKENIZERS[name](tokenizer), len(tokenizer.tokens)
    theirs.add_special_tokens([AddedToken(BOS, special=True, normalized=False)])
    theirs.post_processor = TemplateProcessing(  # as in training, a text begins with BOS
        single=f"{BOS} $A", pair=f"{BOS} $A {BOS} $B", special_tokens=[(BOS, bos)]
    )
    theirs.save(str(folder / "tokenizer.json"))
    facts = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": BOS,
        "eos_token": BOS,
        "clean_up_tokenization_spaces": False,
        "model_max_length": block_size,
        "split_special_tokens": True,  # a text that contains the name of a special token stays text
    }
    write_json(folder / "tokenizer_config.json", facts)
    return True


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON file as transformers does: indented, with sorted keys."""
    path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def char(tokenizer: Any) -> Any:
    """A token for each character."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers

    theirs = Tokenizer(models.WordLevel({token: i for i, token in enumerate(tokenizer.tokens)}))
    theirs.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    theirs.decoder = decoders.Fuse()
    return theirs


def byte(tokenizer: Any) -> Any:
    """A token for each byte. A character stands for each byte, as in GPT-2: its own if it can be printed."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = sorted(set(range(256)) - set(printable))
    ids = {chr(byte): byte for byte in printable} | {chr(256 + i): byte for i, byte in enumerate(others)}
    theirs = Tokenizer(models.BPE(ids, []))
    theirs.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    theirs.decoder = decoders.ByteLevel()
    return theirs


def bpe(tokenizer: Any) -> Any:
    """Byte-pair encoding over characters.

    The words are those of plugins/tokenizers/bpe, in the regular expressions of tokenizers.
    tests/test_against_transformers.py compares the ids.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers

    spaces = rf"[{SPACE}]{{1,100}}"
    words = rf" ?[{WORD}]{{1,100}}| ?[^{WORD}{SPACE}]{{1,100}}|{spaces}(?![^{SPACE}])|{spaces}"
    ids = {token: i for i, token in enumerate(tokenizer.tokens)}
    theirs = Tokenizer(models.BPE(ids, list(tokenizer.merges)))
    theirs.pre_tokenizer = pre_tokenizers.Split(Regex(words), "isolated")
    theirs.decoder = decoders.Fuse()
    return theirs


TOKENIZERS: dict[str, Callable[[Any], Any]] = {"char": char, "byte": byte, "bpe": bpe}
