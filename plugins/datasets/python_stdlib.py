import ast
import sysconfig
from pathlib import Path

from microgpt_lab import hookimpl

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
    """One-line statements of this interpreter's own standard library, each once, up to this length."""
    statements: dict[str, None] = {}
    for file in sorted(Path(sysconfig.get_path("stdlib")).glob("*.py")):
        source = file.read_text(encoding="utf-8")
        text = source.split("\n")
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, SIMPLE) and node.lineno == node.end_lineno:
                statement = text[node.lineno - 1].strip()
                if statement.isascii() and len(statement) <= max_length:
                    statements[statement] = None
    return list(statements)


@hookimpl
def datasets():
    return [python_stdlib]
