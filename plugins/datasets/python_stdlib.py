import ast
import functools
import sysconfig
from pathlib import Path

from microgpt_lab import at_least, hookimpl

SIMPLE = (
    ast.Assign,
    ast.AugAssign,
    ast.AnnAssign,
    ast.Return,
    ast.Expr,
    ast.Raise,
    ast.Assert,
    ast.Import,
    ast.ImportFrom,
)


def python_stdlib(*, max_length: int = 60):
    """One-line statements of this interpreter's own standard library, each once, up to this length.

    max_length: most characters of a statement.
    """
    at_least(1, max_length=max_length)
    return [statement for statement in statements() if len(statement) <= max_length]


@functools.cache
def statements():
    """All of them, in ASCII: the interpreter's own do not change as it runs."""
    found: dict[str, None] = {}
    for file in sorted(Path(sysconfig.get_path("stdlib")).glob("*.py")):
        source = file.read_text(encoding="utf-8")
        text = source.split("\n")
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, SIMPLE) and node.lineno == node.end_lineno:
                statement = text[node.lineno - 1].strip()
                if statement.isascii():
                    found[statement] = None
    return list(found)


@hookimpl
def datasets():
    return [python_stdlib]
