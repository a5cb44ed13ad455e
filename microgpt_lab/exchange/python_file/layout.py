"""Lay out a text as a formatter would, with docstrings of the options that are left."""

from __future__ import annotations

import ast
import io
import re
import textwrap
import tokenize
from collections.abc import Iterator
from itertools import pairwise

from microgpt_lab.exchange.python_file.calls import names_of
from microgpt_lab.exchange.python_file.source import (
    Function,
    Source,
    functions,
    is_docstring,
    parameters,
    walk,
)

WIDTH = 110
PAGE = r" \(docs/[^()\s]*\)"
OPENING, CLOSING = ("(", "[", "{"), (")", "]", "}")


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
    return re.sub(r"(\n    .*\n|---\n)\n*(?=[A-Z]\w*(?:: .*)? = )", r"\1\n\n", text)


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
    first, *others = lines[statement[0].start[0] - 1 : statement[-1].start[0]]
    line = first.rstrip()
    parenthesized = re.search(r"(?: =|return) \($", line) and others[-1].strip() == ")"
    for other in map(str.strip, others):
        if line.endswith(",") and other.startswith(CLOSING):
            return None  # the comma keeps an item a line
        line += ("" if line.endswith(OPENING) or other.startswith((*CLOSING, ".")) else " ") + other
    line = without_parentheses(line) if parenthesized else line
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
        source = Source(f"def f({inside}): ...")
        [node] = source.tree.body
        assert isinstance(node, Function)
        starts = [source.span(p)[0] for p in parameters(node)] + [source.span(node.body[0])[0]]
        items = [source.between(a, b).rstrip(" .:)").rstrip(", ") for a, b in pairwise(starts)]
        if node.args.kwonlyargs and not node.args.vararg:
            at = len(node.args.posonlyargs) + len(node.args.args)
            items = [item.removesuffix(", *") for item in items]
            items.insert(at, "*")
        within = "\n".join(f"{indent}    {item}," for item in items)
    return f"{indent}{head}\n{within}\n{indent}{tail}"


def described(text: str, before: dict[str, set[str]]) -> str:
    """Drop what docstrings say of parameters, errors, methods and documents that are not there any more.

    before: what `parameters_in` returned for the text before any was left out.
    """
    source, now = Source(text), parameters_in(text)
    present = {f"{owner}{node.name}" for owner, node in definitions(source.tree)}
    for owner, node in definitions(source.tree):
        name = f"{owner}{node.name}"
        if is_docstring(node.body[0]):
            old = source.text(node.body[0])
            gone = before.get(name, set()) - now[name]
            if (new := corrected(without_entries(old, gone), gone, raised_in(node), present)) != old:
                source.replace(source.span(node.body[0]), new)
    return re.sub(rf"(?m)( # .*){PAGE}$", r"\1", source.edited())


def raised_in(node: ast.AST) -> set[str]:
    """Return the names of the errors that a definition raises."""
    raised = [each.exc for each in walk(node) if isinstance(each, ast.Raise)]
    return {name.id for error in raised if error for name in walk(error) if isinstance(name, ast.Name)}


def without_entries(doc: str, names: set[str]) -> str:
    """Return a docstring without its entries of these options, `name: …`."""
    kept, dropping = [], False
    for line in doc.split("\n"):
        if (match := re.match(r" +(\w+): ", line)) or not line.startswith("        "):
            dropping = bool(match) and match[1] in names
        if not dropping:
            kept.append(line)
    return closed("\n".join(kept))


def corrected(doc: str, gone: set[str], raised: set[str], present: set[str]) -> str:
    """Return a docstring without sentences that are no longer true, its paragraphs filled again.

    gone: parameters. raised: errors that the function still raises. present: functions, classes and methods.
    """

    def correct(sentence: str, gone: set[str]) -> str:
        errors = set(re.findall(r"\w+Error\b", sentence)) if re.match(r"\w+Error\b", sentence) else set()
        if any(f"`{name}`" in sentence for name in gone) or (errors and not errors & raised):
            return ""
        for name in set(re.findall(r": see `(\w+\.\w+)`", sentence)) - present:
            sentence = sentence.replace(f": see `{name}`", "")
        return re.sub(PAGE, "", sentence)

    indent = re.search(r"\n( +)", doc)
    margin = indent[1] if indent else ""
    before = doc.removesuffix('"""').removeprefix('"""').split("\n\n")
    after = list(before)
    for i, paragraph in enumerate(before):
        sentences = re.split(r"(?<=\.) (?=[A-Z`])", " ".join(paragraph.split()))
        kept = [correct(each, gone if i else set()) for each in sentences]  # the first says what it is
        if kept != sentences and not re.match(r" +\w+: ", paragraph):
            text = " ".join(filter(None, kept))
            filled = textwrap.fill(text, WIDTH - 4, initial_indent=margin, subsequent_indent=margin)
            after[i] = filled if i else filled.removeprefix(margin)
    if after == before:
        return doc
    return closed('"""' + "\n\n".join(each for each in after if each.strip()) + f'\n{margin}"""')


def closed(doc: str) -> str:
    """Put the closing quotes of a docstring on its line if it has one, else on a line of their own."""
    lines = [line.rstrip() for line in doc.removesuffix('"""').rstrip().split("\n")]
    indent = re.search(r"\n( *)\"\"\"$", doc)
    return "\n".join(lines) + (f'\n{indent[1]}"""' if len(lines) > 1 and indent else '"""')


def definitions(tree: ast.Module) -> Iterator[tuple[str, Function | ast.ClassDef]]:
    """Yield the functions and classes of a module, and the methods, with the name of the class and a dot."""
    for node in tree.body:
        if isinstance(node, Function | ast.ClassDef):
            yield "", node
    yield from ((f"{owner.name}.", function) for owner, function in functions(tree) if owner)


def parameters_in(text: str) -> dict[str, set[str]]:
    """Return the names of the parameters of each function, method and class of a text."""
    tree = Source(text).tree
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    return {
        f"{owner}{node.name}": names_of(node, classes)
        if isinstance(node, ast.ClassDef)
        else {p.arg for p in parameters(node)}
        for owner, node in definitions(tree)
    }
