"""Which files a path stands for, and which part of a split each of them is."""

from pathlib import Path

from microgpt_lab.core import reading

from .tables import TABLES

PARTS = {"train": 0, "validation": 1, "val": 1, "valid": 1, "dev": 1, "test": 2}


def find(path, tables, validation, test):
    """Return the files of all documents, in a list, or of three parts, in three lists."""
    parts = split_folder(path, list_folder(path, tables)) if path.is_dir() else [[path]]
    if not validation and not test:
        return parts
    if len(parts) > 1:
        raise ValueError(f"{path} has its own split: leave dataset.validation and dataset.test out")
    return [*parts, *([Path(file).expanduser()] if file else [] for file in (validation, test))]


def list_folder(folder, tables):
    """Return the .txt files of a folder by name, or its tables. Hidden files are skipped."""
    try:
        visible = [file for file in folder.iterdir() if file.is_file() and not file.name.startswith(".")]
    except OSError as error:
        raise ValueError(f"cannot read {folder}: {error.strerror}") from None
    texts = [file for file in visible if file.suffix.lower() == ".txt"]
    columns = [file for file in visible if file.suffix.lower() in TABLES]
    files = columns if tables else texts
    if tables and not files:
        raise ValueError(f"{folder} has no {' or '.join(TABLES)} files, which dataset.column needs")
    if not files:
        hint = ": write dataset.column=NAME to read its tables" if columns else ""
        raise ValueError(f"{folder} has no .txt files{hint}")
    return sorted(files, key=lambda file: file.name)


def split_folder(folder, files):
    """Return the files in one list, or in three if they are called train, validation and test."""
    parts = [[file for file in files if PARTS.get(file.stem.lower()) == number] for number in range(3)]
    if not (held_out := parts[1] + parts[2]):
        return [files]
    if not parts[0]:
        raise ValueError(f"{folder} has {held_out[0].name}, but no file called train: rename one of them")
    for one, *others in filter(None, parts):
        if others:
            raise ValueError(f"{folder} has both {one.name} and {others[0].name}: keep one of them")
    return parts


def check_size(path, files):
    """Raise ValueError if several files are too large together. `read` checks the size of a single one."""
    if len(files) > 1 and sum(f.stat().st_size for f in files if f.is_file()) > reading.MAX_FILE_BYTES:
        limit = reading.MAX_FILE_BYTES // 10**6
        raise ValueError(f"the files of {path} are together larger than {limit} MB: take a part of them")
