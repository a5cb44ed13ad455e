"""Cut documents into the pieces that a model gets, in training and in evaluations.

| | whole | cut for training | cut for an evaluation |
|---|---|---|---|
| ids | `tokens` | `pieces` | `scored`, `windows` |
| text, to compare and count | `text` | `texts` | |
| for bits per character | `whole_text` | | `whole_windows` |
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeVar

from microgpt_lab.core.tokenizer import Char, Tokenizer

MOST = 1000  # characters of a truncated document that bits per character are of
END = "\ud800"  # `bos` in the text of a piece: a lone surrogate, which no document contains

Tokens = TypeVar("Tokens", list[int], str, range)
Piece = tuple[list[int], int]  # tokens, and the number of predictions at the start that are not scored


class Pieces:
    """How a corpus cuts its documents, and what it leaves out. `Corpus` sets the attributes."""

    tokenizer: Tokenizer
    bos: int
    block_size: int
    stride: int
    long_docs: str
    stream: bool

    def encode(self, text: str) -> list[int]:
        return self.tokenizer.encode(text)

    def decode(self, ids: Sequence[int]) -> str:
        return self.tokenizer.decode(ids)

    def tokens(self, document: str) -> list[int]:
        """Encode a document, with `bos` at both ends; of a stream, only before it, because it goes on."""
        return [self.bos, *self.encode(document), *([] if self.stream else [self.bos])]

    def text(self, document: str) -> str:
        """Return a document as text in which each character stands for a token, and `END` for `bos`.

        Strings are compared and counted faster than lists, and a document of characters is one already.
        """
        if not isinstance(self.tokenizer, Char):
            # Not to surrogates, because END is one.
            document = "".join(chr(i if i < ord(END) else i + 0x800) for i in self.encode(document))
        return f"{END}{document}" if self.stream else f"{END}{document}{END}"

    def cut(self, tokens: Tokens) -> list[Tokens]:
        """Cut a document into the pieces that a model gets. It predicts all tokens of a piece but the first.

        This alone decides what is trained on and counted as seen. A window begins with the last token of the
        window before it. `tokens` includes both ends. It may also be text in which each character stands for
        a token, or a range of the document's length.
        """
        size = self.block_size
        if self.long_docs == "window":
            return [tokens[i : i + size + 1] for i in range(0, len(tokens) - 1, size)]
        return [tokens[: size + 1]]

    def pieces(self, document: str) -> list[list[int]]:
        """Encode a document and cut it into pieces."""
        return self.cut(self.tokens(document))

    def texts(self, document: str) -> list[str]:
        """Cut a document into pieces of text, which are fast to make and to compare."""
        return self.cut(self.text(document))

    def windows(self, document: str) -> list[Piece]:
        """Cut a document into windows that overlap, so that each token is scored once, with context."""
        tokens, size = self.tokens(document), self.block_size
        windows = [(tokens[: size + 1], 0)]
        for start in range(size, len(tokens) - 1, self.stride):
            stop = min(start + self.stride, len(tokens) - 1)
            windows.append((tokens[stop - size : stop + 1], start - (stop - size)))
        return windows

    def scored(self, document: str) -> list[Piece]:
        """Cut a document into the pieces of an evaluation: its beginning if training gets no more of it."""
        if self.stream or self.long_docs == "window":
            return self.windows(document)
        return [(piece, 0) for piece in self.pieces(document)]

    def is_long(self, document: str) -> bool:
        """Return whether a document has more tokens to predict than the block."""
        return self.tokenizer.length(document) >= self.block_size

    def scores_all_of(self, documents: Sequence[str]) -> bool:
        """Return whether neither `scored` nor bits per character leave out anything of these documents."""
        if self.stream or self.long_docs == "window":
            return True
        return not any(self.is_long(document) or self.is_clipped(document) for document in documents)

    def is_clipped(self, document: str) -> bool:
        """Return whether bits per character are of the first MOST characters of a document, without its end.

        That bounds the time of an evaluation of long documents, of which training gets only the beginnings.
        """
        return len(document) > MOST and self.long_docs == "truncate" and not self.stream

    def whole_text(self, document: str) -> str:
        """Return the `text` that bits per character are of."""
        return self.text(document[:MOST])[:-1] if self.is_clipped(document) else self.text(document)

    def whole_windows(self, document: str) -> list[Piece]:
        """Return the `windows` that bits per character are of."""
        if not self.is_clipped(document):
            return self.windows(document)
        *windows, (tokens, context) = self.windows(document[:MOST])
        return [*windows, (tokens[:-1], context)]

    def bits_per_char(self, nats: float, documents: Sequence[str]) -> float:
        """Convert the nats of documents to bits per character."""
        return nats / math.log(2) / sum(map(self.characters, documents))

    def characters(self, document: str) -> int:
        """Return the number of characters that bits per character are of. The end of a document is one."""
        return MOST if self.is_clipped(document) else len(document) + (not self.stream)
