"""Literals of C, and which parts of a C text are used."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

WIDTH = 110
NAME = re.compile(r"\b[A-Za-z_]\w*\b")


def string(text: str) -> str:
    """Return a string literal. Bytes that are not printable ASCII are octal escapes."""
    escaped = (chr(b) if 32 <= b < 127 and b not in b'"\\?' else f"\\{b:03o}" for b in text.encode("latin-1"))
    return f'"{"".join(escaped)}"'


def utf8(text: str) -> str:
    """Return the bytes of a text as characters, for `string`."""
    return text.encode().decode("latin-1")


def array(declaration: str, items: Iterable[str]) -> str:
    """Return the definition of an array, in lines that are as long as they may be."""
    lines = [""]
    for item in items:
        if len(lines[-1]) + len(item) + 4 > WIDTH:
            lines.append("")
        lines[-1] += f" {item},"
    return f"{declaration} = {{\n" + "".join(f" {line}\n" for line in lines) + "};\n"


def template(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


def comment(text: str) -> str:
    return "".join(f"// {line}".rstrip() + "\n" for line in text.splitlines())


def used(text: str, by: str) -> str:
    """Return the definitions of a C text that another text uses, directly or through others."""
    items = definitions(text)
    kept, words = set[int](), set(NAME.findall(by))
    while more := [i for i, item in enumerate(items) if i not in kept and names(item) & words]:
        kept.update(more)
        words.update(*(NAME.findall(without_comments(items[i])) for i in more))
    return "".join(item for i, item in enumerate(items) if i in kept).lstrip("\n")


def definitions(text: str) -> list[str]:
    """Cut a C text after each definition at its top level: a function, a macro, a type, what #if encloses."""
    found, item, braces, conditions = [], "", 0, 0
    for line in text.splitlines(keepends=True):
        item += line
        code = without_comments(line)
        if not code.strip():
            continue
        braces += code.count("{") - code.count("}")
        conditions += len(re.findall(r"^#if", code)) - len(re.findall(r"^#endif", code))
        directive = without_comments(item).lstrip().startswith("#")
        ends = not code.rstrip().endswith("\\") if directive else code.rstrip().endswith((";", "}"))
        if ends and not braces and not conditions:
            found.append(item)
            item = ""
    return found


def names(item: str) -> set[str]:
    """Return what a definition defines."""
    code = without_comments(item)
    found = set(re.findall(r"^#define (\w+)", code, re.MULTILINE))
    for body in re.findall(r"\benum \{(.*?)\}", code, re.DOTALL):
        found |= set(re.findall(r"(\w+)(?: =|,|$| *})", body))
    if "typedef" in code:
        found |= set(
            re.findall(r"} (\w+);", code) or re.findall(r"typedef .*?(\w+) ?(?:__attribute__.*)?;", code)
        )
    elif match := re.match(r"\s*(?:static|INLINE|NOINLINE)\b[^({;=]*?(\w+)(?=[\[(;]| =)", code):
        found.add(match[1])
    return found


def without_comments(text: str) -> str:
    return re.sub(r"//.*", "", text)
