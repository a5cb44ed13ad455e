"""Tokenizers turn text into ids of tokens, and back. The default is a token for each character."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from microgpt_lab.core.reprs import call_repr


class Tokenizer:
    """Base class of tokenizers. Implement `learn` and `encode`; `decode` joins the tokens.

    `tokens` are the tokens in the order of their ids. The token that begins and ends a document is not among
    them: its id is `len(tokens)`.
    """

    tokens: Sequence[str] = ()
    __repr__ = call_repr

    def learn(self, documents: Sequence[str], chars: Sequence[str]) -> None:
        """Set `tokens`. Called once, before all else.

        documents: the documents of the training split.
        chars: the characters of the whole data set, sorted. All of its documents must be encoded.
        """
        raise NotImplementedError

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text. ValueError if it has a character that no token has."""
        raise NotImplementedError

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of ids."""
        return "".join([self.tokens[i] for i in ids])

    def length(self, text: str) -> int:
        """Return the number of tokens of a text."""
        return len(self.encode(text))

    def state_dict(self) -> dict[str, Any]:
        """Return what was learned, as JSON types. A checkpoint contains it."""
        return {"tokens": list(self.tokens)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Learn from a state instead of documents. ValueError or LookupError if it is not valid."""
        self.tokens = list(map(str, state["tokens"]))


class Char(Tokenizer):
    """A token for each character of the data set, in sorted order."""

    def learn(self, documents: Sequence[str], chars: Sequence[str]) -> None:
        self.load_state_dict({"tokens": chars})

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self._ids = {char: i for i, char in enumerate(self.tokens)}
        if len(self._ids) < len(self.tokens) or any(len(char) != 1 for char in self.tokens):
            raise ValueError("its tokens are not different characters")

    def encode(self, text: str) -> list[int]:
        try:
            return [self._ids[char] for char in text]
        except KeyError:
            raise ValueError(unknown_characters(text, self._ids)) from None

    def length(self, text: str) -> int:
        return len(text)


def unknown_characters(text: str, known: Any) -> str:
    """Return an error message that names the characters of a text that are not known."""
    unknown = sorted(set(text) - set(known))
    more = f" and {len(unknown) - 10} more" if len(unknown) > 10 else ""
    return f"not in the vocabulary: {' '.join(map(repr, unknown[:10]))}{more}"
