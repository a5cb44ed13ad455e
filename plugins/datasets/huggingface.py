from importlib import import_module
from itertools import islice

from microgpt_lab import Split, UserError, at_least, hookimpl
from microgpt_lab.core import reading

NAMES = (("train",), ("validation", "valid", "val", "dev"), ("test",))  # what the parts of a split are called


def huggingface(*, repo: str = "", column: str = "text", config: str = "", documents: int = 0):
    """A column of a data set of the Hugging Face Hub, with the data set's own split if it has one.

    repo: name of the data set, such as roneneldan/TinyStories, or a folder with files in a format of the Hub.
    column: column that has the documents.
    config: configuration (subset) of the data set, if it has several.
    documents: maximum number of documents of each part of the split, taken from its beginning (0: all).
        With a maximum, no more than that is downloaded.
    """
    if not repo:
        raise UserError("dataset=huggingface needs a data set: dataset.repo=OWNER/NAME")
    at_least(0, documents=documents)
    datasets, huggingface_hub = import_module("datasets"), import_module("huggingface_hub")
    datasets.disable_progress_bars()
    datasets.logging.set_verbosity_error()
    huggingface_hub.logging.set_verbosity_error()
    try:
        loaded = datasets.load_dataset(repo, config or None, streaming=documents > 0)
        parts = read(split(loaded), column, documents)
    except Exception as error:
        what = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
        raise UserError(f"dataset=huggingface: {repo}: {what}".partition("\n")[0]) from None
    return Split(*parts) if parts[1] or parts[2] else parts[0]


def split(loaded):
    """Return the rows of the training, validation and test parts. A missing part has none."""
    if "train" not in loaded:
        raise UserError(f"it has no part called train, but {', '.join(loaded)}")
    return [next((loaded[name] for name in names if name in loaded), ()) for names in NAMES]


def read(parts, column, documents):
    """Return the texts in a column, of at most `documents` rows of each part and 100 MB in all."""
    left, texts = reading.MAX_FILE_BYTES, []
    for rows in parts:
        texts.append([])
        for row in islice(rows, documents or None):
            if not isinstance(row.get(column), str):
                names = ", ".join(name for name in row if isinstance(row[name], str))
                raise UserError(
                    f"dataset.column={column} is not a column of texts, which are {names or 'none'}"
                )
            left -= len(row[column].encode())
            if left < 0:
                limit = reading.MAX_FILE_BYTES // 10**6
                raise UserError(
                    f"more than {limit} MB of text: take a part of it with dataset.documents=NUMBER"
                )
            if text := row[column].strip(" \t\n"):
                texts[-1].append(text)
    return texts


@hookimpl
def datasets():
    return [huggingface]
