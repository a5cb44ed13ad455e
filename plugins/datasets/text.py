import re
from pathlib import Path
from typing import Literal

from microgpt_lab import UserError, at_least, hookimpl
from microgpt_lab.core.data import read


def text(*, path: str = "", unit: Literal["lines", "paragraphs", "stream"] = "lines", block_size: int = 16):
    """Your own text file, in UTF-8: one document per line, per paragraph, or per piece of a stream.

    Empty lines separate paragraphs. A stream is cut into pieces that fill the block.

    path: the file.
    unit: what a document is: a line, a paragraph, or a piece of the stream.
    block_size: length of the pieces of a stream, which follows the run's block_size unless it is set.
    """
    if not path:
        raise UserError("dataset=text needs a file: dataset.path=FILE")
    at_least(1, block_size=block_size)
    content = read(Path(path))
    if unit == "stream":
        size = max(1, block_size - 1)
        return [content[i : i + size] for i in range(0, len(content), size)]
    pieces = content.split("\n") if unit == "lines" else re.split(r"\n\s*\n", content)
    stripped = (piece.strip(" \t\n") for piece in pieces)
    return [piece for piece in stripped if piece]


@hookimpl
def datasets():
    return [text]
