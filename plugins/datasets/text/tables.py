"""Read a column of a CSV file, or a field of a JSONL file."""

import csv
import re
import textwrap

import msgspec

from microgpt_lab.core import reading


def read_column(file, content, column):
    """Return the texts in a column. ValueError names the columns if it is not one of them."""
    return TABLES[file.suffix.lower()](file, content, column) if content.strip() else []


def read_csv(file, content, column):
    csv.field_size_limit(reading.MAX_FILE_BYTES)  # 131,072 characters by default
    rows = csv.reader((f"{line}\n" for line in content.split("\n")), strict=True)
    texts = []
    try:
        if not (header := next(rows)):
            raise csv.Error("it is empty, but must have the names of the columns")
        check_column(file, header, column)
        if header.count(column) > 1:
            raise csv.Error(f"{header.count(column)} columns have the name '{column}'")
        place = header.index(column)
        for row in rows:
            if row and len(row) != len(header):
                raise csv.Error(f"{len(row)} columns, but the first line has {len(header)}")
            texts += row[place : place + 1]  # an empty line is an empty row
    except csv.Error as error:
        raise ValueError(f"{file}: line {rows.line_num}: {error}") from None
    return texts


def read_jsonl(file, content, column):
    texts = []
    for number, line in enumerate(content.split("\n"), 1):
        if not line.strip():
            continue
        where = f"{file}: line {number}"
        try:
            record = msgspec.json.decode(line)
        except (msgspec.MsgspecError, RecursionError) as error:
            half = ", or has half of a surrogate pair" if re.search(r"\\u[dD][89a-fA-F]", line) else ""
            raise ValueError(f"{where} is not JSON{half}: {error}") from None
        if not isinstance(record, dict):
            raise ValueError(f"{where} is not a JSON object")
        check_column(where, record, column)
        if not isinstance(record[column], str):
            raise ValueError(f"{where}: {column} is of type {type(record[column]).__name__}, not a string")
        texts.append(record[column])
    return texts


def check_column(where, columns, column):
    """Raise ValueError, with the names of the columns, if none has this name."""
    names = textwrap.shorten(", ".join(columns), 200, placeholder=" …")
    if not column:
        raise ValueError(f"{where} needs dataset.column=NAME, one of: {names}")
    if column not in columns:
        raise ValueError(f"{where} has no column '{column}', but: {names}")


TABLES = {".csv": read_csv, ".jsonl": read_jsonl}
