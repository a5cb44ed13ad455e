"""Lay out a text as a formatter would: lines that fit, blank lines, docstrings of the options that are left."""

from __future__ import annotations

import ast
import io
import re
import tokenize

from microgpt_lab.exchange.python_file.calls import names_of
from microgpt_lab.exchange.python_file.source import Function, Source, parameters

WIDTH = 110
CLOSING = (")", "]", "}")


def laid_out(text: str) -> str:
    """Return the text with the line breaks and the blank lines of ruff's formatter.

    The definitions are formatted already: only what has become shorter, and heads of functions, change.
    """
    text = joined(text)
    text = "".join(f"{wrapped(line)}\n" for line in text.split("\n")).strip("\n") + "\n"
    text = re.sub(r"\n{3,}", "\n\n", text)
    text = re.sub(r"(:\n)\n(?= +\S)", r"\1", text)  # at the start of a block
    text = re.sub(r"\n+(?=(?:@|def |class |# |if __name__))", "\n\n\n", text)
    text = re.sub(r"(?m)^(@.*\n|# (?!---).*\n)\n+", r"\1", text)
    return re.sub(r"(\n    .*\n)\n*(?=[A-Z]\w*(?:: .*)? = )", r"\1\n\n", text)


def joined(text: str) -> str:
    """Join the lines of statements that fit into one."""
    lines = text.split("\n")
    statement: list[tokenize.TokenInfo] = []
    changes: list[tuple[int, int, str]] = []
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in (tokenize.NL, tokenize.COMMENT, tokenize.INDENT, tokenize.DEDENT) and not statement:
            continue
        statement.append(token)
        if token.type == tokenize.NEWLINE:
            first, last = statement[0].start[0], token.start[0]
            if last > first and (line := in_one_line(statement, lines)) is not None:
                changes.append((first, last, line))
            statement = []
    for first, last, line in reversed(changes):
        lines[first - 1 : last] = [line]
    return "\n".join(lines)


def in_one_line(statement: list[tokenize.TokenInfo], lines: list[str]) -> str | None:
    """Return a statement in one line, or None if it does not fit, or must not be joined."""
    if any(t.type == tokenize.COMMENT or "\n" in t.string.strip("\n") for t in statement):
        return None
    words = [t for t in statement if t.type not in (tokenize.NL, tokenize.NEWLINE)]
    line = lines[words[0].start[0] - 1][: words[0].start[1]]
    for i, token in enumerate(words):
        if i and token.start[0] == words[i - 1].end[0]:
            line += " " * (token.start[1] - words[i - 1].end[1])
        elif i:
            before = words[i - 1].string
            if before == "," and token.string in CLOSING:
                return None  # the comma keeps an item a line
            line += "" if before in ("(", "[", "{") or token.string in (*CLOSING, ".") else " "
        line += token.string
    opening = [i for i, t in enumerate(words) if t.string == "(" and words[i + 1].start[0] > t.end[0]]
    if opening and words[opening[0] - 1].string in ("=", "return") and words[-1].string == ")":
        line = without_parentheses(line)
    return line if len(line) <= WIDTH else None


def without_parentheses(line: str) -> str:
    """Drop parentheses around the value of an assignment or a return."""
    match = re.fullmatch(r"(\s*(?:return|[^=()]+ =) )\((.*)\)", line)
    return f"{match[1]}{match[2]}" if match and is_whole(match[2]) else line


def is_whole(expression: str) -> bool:
    try:
        return not isinstance(ast.parse(expression, mode="eval").body, ast.Tuple | ast.GeneratorExp)
    except SyntaxError:
        return False


def wrapped(line: str) -> str:
    """Break the head of a function that is too long: its parameters into the next line, or one in each."""
    match = re.fullmatch(r"(\s*)(def \w+\()(.*)(\)(?: -> .*)?:)", line)
    if len(line) <= WIDTH or not match:
        return line
    indent, head, inside, tail = match.groups()
    within = f"{indent}    {inside}"
    if len(within) > WIDTH:
        function = ast.parse(f"def f({inside}): ...").body[0]
        source = Source(f"def f({inside}): ...")
        del function
        [node] = source.tree.body
        assert isinstance(node, Function)
        starts = [source.span(p)[0] for p in parameters(node)] + [source.span(node.body[0])[0]]
        items = [source.between(a, b).rstrip(" .:)").rstrip(", ") for a, b in zip(starts, starts[1:])]
        if node.args.kwonlyargs and not node.args.vararg:
            at = len(node.args.posonlyargs) + len(node.args.args)
            items = [item.removesuffix(", *") for item in items]
            items.insert(at, "*")
        within = "\n".join(f"{indent}    {item}," for item in items)
    return f"{indent}{head}\n{within}\n{indent}{tail}"


def described(text: str, options: dict[str, set[str]]) -> str:
    """Drop the lines of docstrings about options that are not there any more.

    options: the options of each definition, before any was left out.
    """
    source = Source(text)
    classes = {node.name: node for node in source.tree.body if isinstance(node, ast.ClassDef)}
    for node in source.tree.body:
        if (
            not isinstance(node, Function | ast.ClassDef)
            or node.name not in options
            or not ast.get_docstring(node)
        ):
            continue
        left = (
            names_of(node, classes) if isinstance(node, ast.ClassDef) else {p.arg for p in parameters(node)}
        )
        gone = options[node.name] - left
        lines = source.text(node.body[0]).split("\n")
        kept, dropping = [], False
        for line in lines:
            if (match := re.match(r"    (\w+): ", line)) or not line.startswith("        "):
                dropping = bool(match) and match[1] in gone
            if not dropping:
                kept.append(line)
        while len(kept) > 2 and not kept[-2].strip():
            del kept[-2]
        doc = "\n".join(kept)
        if len(kept) == 2:  # only a sentence is left
            doc = kept[0].rstrip() + '"""'
        source.replace(source.span(node.body[0]), doc)
    return source.edited()


def options_in(text: str) -> dict[str, set[str]]:
    """Return the options of each function and class of a text."""
    tree = ast.parse(text)
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    found = {name: names_of(node, classes) for name, node in classes.items()}
    return found | {n.name: {p.arg for p in parameters(n)} for n in tree.body if isinstance(n, Function)}
