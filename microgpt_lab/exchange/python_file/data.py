"""The data of an exported file: its documents and its vocabulary, as literals of Python."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from typing import Any

from microgpt_lab.core.trainer import Trainer
from microgpt_lab.errors import UserError

WIDTH = 110
MOST_CHARACTERS = 5_000_000


def literal(value: Any) -> str:
    """Return a literal, a text in the quotes that need fewer backslashes."""
    if not isinstance(value, str) or value.count('"') > value.count("'"):
        return repr(value)
    return '"' + "".join('\\"' if c == '"' else c if c == "'" else repr(c)[1:-1] for c in value) + '"'


def documents_of(trainer: Trainer) -> list[str]:
    """Return the training documents that the run's steps take, in their order; of a stream, all texts."""
    corpus = trainer.corpus
    wanted = trainer.steps * trainer.batch_size * trainer.accumulate
    taken: list[str] = []
    for document in corpus.train:
        if wanted <= 0 and not corpus.stream:
            break
        taken.append(document)
        wanted -= len(corpus.pieces(document)) if corpus.long_docs == "window" and not corpus.stream else 1
    if (size := sum(map(len, taken))) > MOST_CHARACTERS:
        raise UserError(
            f"the run trains on {size:,} characters, and a file of Python has room for {MOST_CHARACTERS:,}: "
            "export a run with a smaller train_docs"
        )
    return taken


def documents_text(texts: Sequence[str]) -> str:
    """Return the assignment of documents to DOCUMENTS."""
    if texts and all(text.isalnum() for text in texts):
        lines = textwrap.wrap(" ".join(texts), WIDTH, break_long_words=False, break_on_hyphens=False)
        text = 'DOCUMENTS = """\n' + "\n".join(lines) + '\n""".split()\n'
    else:
        items = [paragraphs(text) if "\n" in text else literal(text) for text in texts]
        text = f"DOCUMENTS = [\n{filled(items)}]  # fmt: skip\n"
    is_wide = max(map(len, text.split("\n"))) > WIDTH
    return f"# ruff: noqa: E501\n{text}" if is_wide else text


def paragraphs(text: str) -> str:
    """Return a text of several lines as a literal with the same lines."""
    escaped = text.replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
    escaped = "".join(
        c if c == "\n" or c.isprintable() else c.encode("unicode_escape").decode() for c in escaped
    )
    if escaped.endswith('"'):
        escaped = f'{escaped[:-1]}\\"'
    return f'"""{escaped}"""'


def filled(items: Iterable[str]) -> str:
    """Return items in lines that are as long as they may be, each with a comma after it."""
    lines = [""]
    for item in items:
        if len(lines[-1]) + len(item) + 6 > WIDTH:
            lines.append("")
        lines[-1] += f" {item},"
    return "".join(f"   {line}\n" for line in lines if line)


def vocabulary_text(state: dict[str, Any]) -> str:
    """Return the assignment of a tokenizer's state to VOCABULARY."""
    entries = []
    for key, value in state.items():
        if isinstance(value, list) and all(isinstance(x, str) and len(x) == 1 for x in value):
            text = f"list({literal(''.join(value))})"
        elif isinstance(value, list):
            text = "[\n" + filled(repr(x) for x in value) + "]"
        else:
            text = repr(value)
        entries.append(f"{literal(key)}: {text}")
    if len(line := f"VOCABULARY = {{{', '.join(entries)}}}\n") <= WIDTH and "\n" not in line[:-1]:
        return line
    return "VOCABULARY = {\n" + "".join(f"    {entry},\n" for entry in entries) + "}  # fmt: skip\n"
