"""The data of an exported file: its documents and its vocabulary, as literals of Python."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from typing import Any

from microgpt_lab.core.trainer import Trainer

WIDTH = 110
MOST = 12_000  # characters of documents in the file itself


def literal(value: Any) -> str:
    """Return a literal, with double quotes where there are none inside."""
    text = repr(value)
    if isinstance(value, str) and text[0] == "'" and '"' not in text:
        return f'"{text[1:-1]}"'
    return text


def documents_of(trainer: Trainer) -> list[str]:
    """Return the training documents that the run's steps take, in their order; of a stream, all texts."""
    corpus = trainer.corpus
    wanted = trainer.steps * len(corpus.batch(0, trainer.batch_size))
    if corpus.stream:
        return list(corpus.train)
    taken: list[str] = []
    for document in corpus.train:
        if wanted <= 0:
            break
        taken.append(document)
        wanted -= len(corpus.pieces(document)) if corpus.long_docs == "window" else 1
    return taken


def listed(name: str, texts: Sequence[str]) -> str | None:
    """Return the assignment of a list of texts to a name, or None if they are too many or too long."""
    if sum(map(len, texts)) > MOST or max(map(len, texts), default=0) > WIDTH - 20:
        return None
    words = all(text.isalnum() for text in texts)
    if words and texts:
        lines = textwrap.wrap(" ".join(texts), WIDTH, break_long_words=False, break_on_hyphens=False)
        return f'{name} = """\n' + "\n".join(lines) + '\n""".split()\n'
    return f"{name} = [\n{filled(map(literal, texts))}]  # fmt: skip\n"


def filled(items: Iterable[str]) -> str:
    """Return items in lines that are as long as they may be, each with a comma after it."""
    lines = [""]
    for item in items:
        if len(lines[-1]) + len(item) + 6 > WIDTH:
            lines.append("")
        lines[-1] += f" {item},"
    return "".join(f"   {line}\n" for line in lines if line)


def vocabulary(state: dict[str, Any]) -> str:
    """Return the assignment of a tokenizer's state."""
    entries = []
    for key, value in state.items():
        if isinstance(value, list) and all(isinstance(x, str) and len(x) == 1 for x in value):
            text = f"list({literal(''.join(value))})"
        elif isinstance(value, list):
            text = "[\n" + filled(repr(x) for x in value) + "]"
        else:
            text = repr(value)
        entries.append(f"    {literal(key)}: {text},\n")
    if len(entries) == 1 and len(line := f"VOCABULARY = {{{entries[0].strip()[:-1]}}}\n") <= WIDTH:
        return line
    return f"VOCABULARY = {{\n{''.join(entries)}}}  # fmt: skip\n"
