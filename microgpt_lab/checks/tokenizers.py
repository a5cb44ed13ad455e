"""Check a tokenizer: decoding gives back the text, and its state contains all that it has learned."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

DOCUMENTS = [
    "anna",
    "hannah",
    "susanna",
    "aaaaaaaa",
    "To be, or not to be, that is the question:",
    "  two spaces,\ttabs\n\n\nand lines\n",
    "x = [y ** 2 for y in range(10)]",
    "naïve Ærøskøbing 你好, 世界 🙂🙂",
]
HELD_OUT = ["the others: 0123456789", "Ünseen 好"]  # with characters that are not in DOCUMENTS
CHARS = sorted(set("".join([*DOCUMENTS, *HELD_OUT])))
UNKNOWN = "☃"


def assert_tokens(tokenizer: Any) -> None:
    """Check that learning gives it tokens, which are different strings, and changes no document."""
    tokens = list(learned(tokenizer).tokens)
    assert tokens and all(isinstance(token, str) for token in tokens), (
        f"tokens must be a list of strings after learn, not {tokens!r:.80}"
    )
    twice = next((token for token in tokens if tokens.count(token) > 1), None)
    assert twice is None, f"two tokens are the same: {twice!r}"


def assert_lossless(tokenizer: Any) -> None:
    """Check that decode(encode(text)) is the text, for each text of the alphabet, in ids of tokens."""
    new = learned(tokenizer)
    for text in texts():
        assert_round_trip(new, text)


def assert_same_state(tokenizer: Any) -> None:
    """Check that a state that was written as JSON gives the same tokenizer."""
    assert_restored(copy.deepcopy(tokenizer), learned(tokenizer))


def assert_learns_the_same(tokenizer: Any) -> None:
    """Check that it learns the same from the same documents, also in another order."""
    first, again, reordered = (learned(tokenizer, d) for d in (DOCUMENTS, DOCUMENTS, DOCUMENTS[::-1]))
    repeated = "not repeatable: another instance learns something else from the same documents"
    order = "depends on the order of documents: it learns something else if reversed"
    for other, what in ((again, repeated), (reordered, order)):
        assert other.state_dict() == first.state_dict(), what


def learned(tokenizer: Any, documents: list[str] = DOCUMENTS) -> Any:
    """Return a copy of a tokenizer that has not learned from documents yet, which has learned from these."""
    new = copy.deepcopy(tokenizer)
    learn(new, documents)
    return new


def learn(tokenizer: Any, documents: list[str]) -> None:
    """Let it learn, unless it has tokens from the start. ValueError if it refuses."""
    if not tokenizer.tokens:
        given, chars = list(documents), list(CHARS)
        tokenizer.learn(given, chars)
        assert (given, chars) == (documents, CHARS), "learn changes the documents or the characters"


def texts() -> Iterator[str]:
    """Yield texts of the alphabet: none, each character, documents, random ones."""
    yield from ("", *CHARS, *DOCUMENTS, *HELD_OUT)
    rng = Random(0)
    for length in range(1, 50):
        yield "".join(rng.choices(CHARS, k=length))
        yield "".join(rng.choices("an ", k=length))


def encoded(tokenizer: Any, text: str) -> list[int]:
    """Encode a text of the alphabet."""
    try:
        return list(tokenizer.encode(text))
    except Exception as error:
        raise AssertionError(f"encode({text!r}) raises {type(error).__name__}: {error}") from error


def assert_round_trip(tokenizer: Any, text: str) -> None:
    """Check that the ids of a text are those of tokens, and that decoding them gives the text."""
    ids = encoded(tokenizer, text)
    for i in ids:
        assert type(i) is int and 0 <= i < len(tokenizer.tokens), (
            f"not a token: encode({text!r}) has {i!r}, but ids are from 0 to {len(tokenizer.tokens) - 1}"
        )
    decoded = tokenizer.decode(ids)
    assert decoded == text, f"lossy: decode(encode(text)) is {decoded!r} for {text!r}"
    assert encoded(tokenizer, text) == ids, f"not repeatable: a second encode({text!r}) has other ids"
    length = tokenizer.length(text)
    assert length == len(ids), f"wrong length: length({text!r}) is {length}, but it has {len(ids)} tokens"


def assert_unknown_is_named(tokenizer: Any) -> None:
    """Check that encoding a character that is not in the alphabet is an error that names it, or no loss."""
    text, tokenizer = f"a{UNKNOWN}n", learned(tokenizer)
    try:
        decoded = tokenizer.decode(tokenizer.encode(text))
    except ValueError as error:
        assert UNKNOWN in str(error), (
            f"the error for the unknown character {UNKNOWN} does not name it: {error}"
        )
    except Exception as error:
        what = f"{type(error).__name__}, not ValueError"
        raise AssertionError(f"encode({text!r}), with an unknown character, raises {what}") from error
    else:
        assert decoded == text, (
            f"lossy: the unknown character {UNKNOWN} is encoded, but decoded as {decoded!r}: raise ValueError"
        )


def assert_restored(new: Any, tokenizer: Any) -> None:
    """Check that the state, as JSON, makes a new instance the same tokenizer."""
    state = tokenizer.state_dict()
    try:
        saved = json.loads(json.dumps(state))
    except TypeError as error:
        raise AssertionError(f"state_dict must return what JSON has: {error}") from error
    assert saved == state, "state_dict must return what JSON has: lists, not tuples, and texts as keys"
    new.load_state_dict(saved)
    assert list(new.tokens) == list(tokenizer.tokens), "load_state_dict does not restore the tokens"
    assert new.state_dict() == state, "a tokenizer that was restored from a state has another state"
    for text in texts():
        ids = encoded(tokenizer, text)
        same = encoded(new, text) == ids and new.decode(ids) == tokenizer.decode(ids)
        assert same, f"state_dict is not complete: a tokenizer restored from it encodes {text!r} differently"


TOKENIZER: dict[str, Callable[[Any], None]] = {
    "tokens": assert_tokens,
    "lossless": assert_lossless,
    "unknown characters": assert_unknown_is_named,
    "state": assert_same_state,
    "learns the same": assert_learns_the_same,
}
