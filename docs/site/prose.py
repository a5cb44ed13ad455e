"""Docstrings as Markdown."""

from __future__ import annotations

import re

FACT = re.compile(r"(\w+(?:, \w+)*): +(\S.*)")  # name: sentence
CODE = re.compile(r"(`[^`]*`)")


def escaped(text: str) -> str:
    """Escape what Markdown would read as markup, outside of `code`."""
    pieces = CODE.split(text)
    pieces[::2] = [re.sub(r"([\\*_|\[\]])", r"\\\1", piece.replace("<", "&lt;")) for piece in pieces[::2]]
    return "".join(pieces)


def first_line(docstring: str) -> str:
    """Return the first line as Markdown."""
    return escaped(docstring.partition("\n")[0])


def markdown(docstring: str, left_out: frozenset[str] = frozenset()) -> str:
    """Return a docstring as Markdown: sentences about names are lists, and examples are code.

    left_out: names whose sentences are left out.
    """
    return "\n\n".join(
        filter(None, (block(each, left_out) for each in re.split(r"\n\s*\n", docstring.strip())))
    )


def facts(docstring: str) -> dict[str, str]:
    """Return the sentences of a docstring about names, by name."""
    found = map(FACT.fullmatch, docstring.splitlines())
    return {name: each[2] for each in found if each for name in each[1].split(", ")}


def block(text: str, left_out: frozenset[str]) -> str:
    """Return a paragraph, an example, or a list of names with their sentences as Markdown."""
    lines = text.splitlines()
    start = next((i for i, line in enumerate(lines) if line.startswith(">>>")), len(lines))
    written, names, skipped = [], False, False
    for line in lines[:start]:
        found = FACT.fullmatch(line)
        if found:
            skipped = left_out.issuperset(found[1].split(", "))
            if not skipped:
                written += ([] if names or not written else [""]) + [f"- `{found[1]}`: {escaped(found[2])}"]
            names = names or not skipped
        elif not (skipped and line.startswith(" ")):
            skipped = False
            written.append(("  " if names else "") + escaped(line.strip()))
    if start < len(lines):
        example = "\n".join(re.sub(r"  # doctest:.*", "", line) for line in lines[start:])
        written.append(f"\n```pycon\n{example}\n```")
    return "\n".join(written).strip("\n")
