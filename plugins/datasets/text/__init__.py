import re
from pathlib import Path
from typing import Literal

from microgpt_lab import Split, Stream, UserError, hookimpl
from microgpt_lab.core.reading import read

from .files import check_size, find
from .tables import TABLES, read_column


def text(
    *,
    path: str = "",
    unit: Literal["lines", "paragraphs", "files", "stream"] = "lines",
    column: str = "",
    validation: str = "",
    test: str = "",
):
    """Your own text in UTF-8: a file, a folder of files, or a column of CSV or JSONL.

    Files of a folder that are called train, validation (or val, valid, dev) and test are its own split.
    Each row of a column is a document, or a text of the stream.

    path: a .txt, .csv, .jsonl or other text file, or a folder, of which the .txt files are read by name, or
        the .csv and .jsonl files if `column` is set.
    unit: what a document is: a line, a paragraph (empty lines separate them), or a file. With stream, each
        file is a long text of which training takes random windows.
    column: column of a .csv file, or field of a .jsonl file, that has the documents.
    validation: a file of validation documents.
    test: a file of test documents.
    """
    if not path:
        raise UserError("dataset=text needs a file: dataset.path=FILE")
    parts = find(Path(path).expanduser(), bool(column), validation, test)
    check_size(path, [file for files in parts for file in files])
    kind = Stream if unit == "stream" else list
    documents = [kind(d for file in files for d in read_documents(file, unit, column)) for files in parts]
    return Split(*documents) if len(documents) > 1 else documents[0]


def read_documents(file, unit, column):
    """Return the documents of a file. ValueError if it has none."""
    content = read(file)
    if file.suffix.lower() in TABLES:
        if unit in ("paragraphs", "files"):
            raise ValueError(f"{file}: each row is a document: leave dataset.unit={unit} out")
        documents = read_column(file, content, column)
    elif column:
        raise ValueError(f"dataset.column={column} needs a .csv or .jsonl file, not {file}")
    elif unit == "lines":
        documents = content.split("\n")
    elif unit == "paragraphs":
        documents = re.split(r"\n\s*\n", content)
    else:
        documents = [content]
    if unit != "stream":
        documents = [document.strip(" \t\n") for document in documents]
    documents = [document for document in documents if document]
    if not documents:
        raise ValueError(f"{file} has no documents")
    return documents


@hookimpl
def datasets():
    return [text]
