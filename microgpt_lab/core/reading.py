"""Read text files of limited size."""

from __future__ import annotations

from pathlib import Path

MAX_FILE_BYTES = 100_000_000  # a limit, because the text of a file stays in memory


def read(path: Path) -> str:
    """Read UTF-8 text of at most 100 MB from a file or a pipe.

    A byte order mark is removed, and Windows line ends become newlines.
    """
    try:
        with path.expanduser().open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from None
    if len(content) > MAX_FILE_BYTES:
        raise ValueError(f"{path} is larger than {MAX_FILE_BYTES // 10**6} MB: take a part of it")
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise ValueError(f"{path} is UTF-16: convert it to UTF-8")
    try:
        if (nul := content.find(0)) >= 0:
            raise UnicodeDecodeError("utf-8", content, nul, nul + 1, "binary")
        return content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        before = content[: error.start]
        line, byte = before.count(b"\n") + 1, error.start - before.rfind(b"\n")
        what = "is binary" if error.reason == "binary" else "is not UTF-8"
        raise ValueError(f"{path} {what}: line {line}, byte {byte} is {content[error.start]:#04x}") from None


def lines(path: str | Path) -> list[str]:
    """Read a document per line, stripped of spaces and tabs.

    Empty lines are skipped. Only newlines end a line: U+2028 and the like are characters.
    """
    stripped = (line.strip(" \t") for line in read(Path(path)).split("\n"))
    return [line for line in stripped if line]
