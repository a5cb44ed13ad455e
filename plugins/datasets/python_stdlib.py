import ast
import functools
import sysconfig
from pathlib import Path

from microgpt_lab import at_least, hookimpl

SIMPLE_STATEMENTS = (
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
    """Unique one-line statements of this Python's own standard library, of at most `max_length` characters.

    max_length: maximum number of characters in a statement.
    """
    at_least(1, max_length=max_length)
    return [statement for statement in statements() if len(statement) <= max_length]


@functools.cache
def statements():
    """All unique one-line ASCII statements, cached because the standard library does not change."""
    unique: dict[str, None] = {}  # a set that keeps the order
    for file in sorted(Path(sysconfig.get_path("stdlib")).glob("*.py")):
        source = file.read_text(encoding="utf-8")
        lines = source.split("\n")
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, SIMPLE_STATEMENTS) and node.lineno == node.end_lineno:
                statement = lines[node.lineno - 1].strip()
                if statement.isascii():
                    unique[statement] = None
    return list(unique)


@hookimpl
def datasets():
    return [python_stdlib]
