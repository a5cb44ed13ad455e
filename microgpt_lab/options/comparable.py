"""Decide whether the losses per token of several runs can be compared, which needs the same tokens."""

from __future__ import annotations

from collections.abc import Iterable

NOT_LEARNED = ("char", "byte")  # tokenizers with the same tokens for a text, whatever they learn from
LEARNED_FROM = ("dataset", "split", "train_docs", "init_from")  # what decides the tokens of the others


def differ_in_tokenizer(keys: Iterable[str], tokenizer: str) -> bool:
    """Return whether runs that differ in these keys differ in their tokenizer, or in what it has learned.

    tokenizer: that of all runs, if `tokenizer` is not one of the keys.
    """
    differ = {key.partition(".")[0] for key in keys}
    learned = tokenizer not in NOT_LEARNED
    return "tokenizer" in differ or (learned and not differ.isdisjoint(LEARNED_FROM))
