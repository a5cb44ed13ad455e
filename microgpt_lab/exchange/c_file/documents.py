"""The data of an exported file: documents, vocabulary."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from microgpt_lab.core.tokenizer import Tokenizer
from microgpt_lab.core.trainer import Trainer
from microgpt_lab.errors import UserError
from microgpt_lab.exchange.c_file.literals import array, string, utf8

MOST_CHARACTERS = 5_000_000
BYTE = re.compile(r"<0x([0-9A-F]{2})>")


class Documents(NamedTuple):
    """The documents of the steps in order, and how many steps they are enough for.

    functions: C functions of them. data: their definition.
    """

    functions: str
    data: str
    number: int
    steps: int


TEXTS = """
static const char *const texts[{number}];

// The tokens of the i-th document: BOS, one for each character, BOS; at most BLOCK + 1.
static int tokens_of(int64_t i, int *tokens) {{
  const char *text = texts[i % {number}];
  int n = 0;
  tokens[n++] = BOS;
  for (; *text && n <= BLOCK; text++) tokens[n++] = (int)(strchr(vocabulary, *text) - vocabulary);
  if (n <= BLOCK) tokens[n++] = BOS;
  return n;
}}

static void print_token(int token) {{ putchar(vocabulary[token]); }}
"""
IDS = """
static const char *const vocabulary[VOCAB];
static const {type} all_tokens[{size}];  // document after document
static const int ends[{number}];

// The tokens of the i-th document, at most BLOCK + 1.
static int tokens_of(int64_t i, int *tokens) {{
  int first = i % {number} ? ends[i % {number} - 1] : 0, n = ends[i % {number}] - first;
  for (int t = 0; t < n; t++) tokens[t] = all_tokens[first + t];
  return n;
}}

static void print_token(int token) {{ fputs(vocabulary[token], stdout); }}
"""


def documents_of(trainer: Trainer) -> Documents:
    """Return the documents as texts if each token is a printable ASCII character, else as ids.

    UserError if there is no step, or if the documents of one are too much.
    """
    corpus, tokens = trainer.corpus, trainer.corpus.tokenizer.tokens
    texts = all(len(x) == 1 and " " <= x <= "~" for x in tokens) and not corpus.stream
    texts = texts and corpus.long_docs != "window"
    batch = len(trainer.inputs(0)[0].pairs)
    epoch = trainer.steps * batch if corpus.stream else len(corpus.order)
    pieces: list[list[int]] = []
    length = 0
    for piece in islice(taken(trainer), min(epoch, trainer.steps * batch)):
        length += len(piece) + 3 if texts else 5 * len(piece)
        if length > MOST_CHARACTERS:
            break
        pieces.append(piece)
    number, whole = len(pieces), len(pieces) == min(epoch, trainer.steps * batch)
    steps = trainer.steps if whole else number // batch
    if not steps:
        why = (
            f"the documents of a step are more than {MOST_CHARACTERS:,} characters"
            if trainer.steps
            else "it has steps=0"
        )
        raise UserError(f"this run cannot be written as C: {why}")
    if texts:
        words = ["".join(tokens[i] for i in piece[1:] if i != corpus.bos) for piece in pieces]
        vocabulary = f"static const char vocabulary[] = {string(''.join(tokens))};\n"
        data = array(f"static const char *const texts[{number}]", map(string, words))
        return Documents(vocabulary + TEXTS.format(number=number), data, number, steps)
    flat, ends = [i for piece in pieces for i in piece], [0]
    for piece in pieces:
        ends.append(ends[-1] + len(piece))
    sizes = {"type": "unsigned short" if corpus.bos < 65536 else "int", "number": number, "size": len(flat)}
    data = array("static const char *const vocabulary[VOCAB]", map(string, texts_of(corpus.tokenizer)))
    data += array("static const {type} all_tokens[{size}]".format(**sizes), map(str, flat))
    data += array("static const int ends[{number}]".format(**sizes), map(str, ends[1:]))
    return Documents(IDS.format(**sizes).lstrip(), data, number, steps)


def taken(trainer: Trainer) -> Iterator[list[int]]:
    """Yield the tokens of the pieces that the steps take, in order."""
    for step in range(trainer.steps):
        for ids, targets in trainer.inputs(step)[0].pairs:
            yield [*ids, *targets[-1:]]


def texts_of(tokenizer: Tokenizer) -> Iterator[str]:
    """Yield the bytes of each token, as characters."""
    for i, token in enumerate(tokenizer.tokens):
        byte = BYTE.fullmatch(token)
        yield chr(int(byte[1], 16)) if byte else utf8(tokenizer.decode([i]))
