"""dataset=text: files, folders, columns of CSV and JSONL, and their own splits."""

import json

import pytest

from microgpt_lab import Split, Stream, UserError, part
from microgpt_lab.options.keys import run_options
from microgpt_lab.run.assemble import build_documents

DEEP = "deep.jsonl: line 1"  # it is not JSON, or, in later Pythons, not a string
CONTENT = " oneX \ntwo\t\n \n\nthree = 3\n"
JSONL = [{"text": " a\nb "}, {"text": "", "n": 1}, {"text": "c", "other": ["d"]}]
FILES = {
    "text": CONTENT,
    "rows.csv": 'n,text,\n1,"a, ""b""\nc ",x\n\n2,,\n3,  d,\n',
    "rows.jsonl": "\n".join(map(json.dumps, JSONL)) + "\n\n",
    "folder/b.txt": "three\n",
    "folder/a.TXT": "one\ntwo\n",
    "folder/.hidden.txt": "hidden\n",
    "folder/notes.md": "notes\n",
    "folder/sub.txt/c.txt": "deeper\n",
    "split/train.txt": "a\nb\n",
    "split/val.txt": "c\n",
    "split/test.txt": "d\n\ne\n",
    "split/notes.txt": "notes\n",
    "tables/train.csv": "text\na\n",
    "tables/dev.jsonl": '{"text": "b"}',
    "tables/readme.txt": "about\n",
    "only/train.txt": "alone\n",
    "notes/notes.md": "notes\n",
    "csv/a.csv": "text\na\n",
    "untrained/validation.txt": "a\n",
    "twice/train.txt": "a\n",
    "twice/val.txt": "a\n",
    "twice/valid.txt": "a\n",
    "hollow/a.txt": "a\n",
    "hollow/b.txt": " \n",
    "empty": "",
    "spaces": " \n\t\n",
    "empty.csv": "",
    "header.csv": "text,n\n",
    "short.csv": "n,text\n1,a\n2\n",
    "long.csv": "n,text\n1,a,b\n",
    "blank.csv": "\nn,text\n1,a\n",
    "twice.csv": "text,text\na,b\n",
    "open.csv": 'text\n"a\nb\n',
    "wide.csv": ",".join(f"column{i}" for i in range(9999)) + "\n",
    "bad.jsonl": '{"text": "a"}\n{"text": \n',
    "list.jsonl": '["text"]\n',
    "number.jsonl": '{"text": "a"}\n\n{"text": 3}\n',
    "missing.jsonl": '{"text": "a"}\n{"body": "b", "id": 3}\n',
    "deep.jsonl": '{"text": ' + "[" * 5000 + "]" * 5000 + "}\n",
    "half.jsonl": '{"text": "a"}\n{"text": "x\\ud800"}\n',
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("texts")
    for name, content in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    (folder / "nothing").mkdir()
    (folder / "latin.txt").write_bytes(b"a\nb\xe9\n")
    return folder


def load(monkeypatch, folder, **options):
    """Return the documents of dataset=text as a run gets them, with their split or as a list."""
    monkeypatch.chdir(folder)
    options = {"unit": "lines", "path": "", "column": "", "validation": "", "test": ""} | options
    defaults = {name: option.default for name, option in run_options().items()}
    documents = build_documents(defaults | {"dataset": {"name": "text"} | options})
    kind = Stream if documents.stream else list
    return documents.split("zero2hero") if documents.own_split else kind(documents)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"path": "text"}, ["oneX", "two", "three = 3"]),
        ({"path": "text", "unit": "paragraphs"}, ["oneX \ntwo", "three = 3"]),
        ({"path": "text", "unit": "files"}, ["oneX \ntwo\t\n \n\nthree = 3"]),
        ({"path": "text", "unit": "stream"}, Stream([CONTENT])),
        ({"path": "folder"}, ["one", "two", "three"]),
        ({"path": "folder", "unit": "files"}, ["one\ntwo", "three"]),
        ({"path": "folder", "unit": "stream"}, Stream(["one\ntwo\n", "three\n"])),
        ({"path": "rows.csv", "column": "text"}, ['a, "b"\nc', "d"]),
        ({"path": "rows.csv", "column": "n"}, ["1", "2", "3"]),
        ({"path": "rows.csv", "column": "text", "unit": "stream"}, Stream(['a, "b"\nc ', "  d"])),
        ({"path": "rows.jsonl", "column": "text"}, ["a\nb", "c"]),
        ({"path": "split"}, Split(["a", "b"], ["c"], ["d", "e"])),
        ({"path": "split", "unit": "stream"}, Split(["a\nb\n"], ["c\n"], ["d\n\ne\n"])),
        ({"path": "tables", "column": "text"}, Split(["a"], ["b"], [])),
        ({"path": "tables"}, ["about"]),
        ({"path": "only"}, ["alone"]),
        (
            {"path": "folder", "test": "text"},
            Split(["one", "two", "three"], [], ["oneX", "two", "three = 3"]),
        ),
        ({"path": "only/train.txt", "validation": "split/val.txt"}, Split(["alone"], ["c"], [])),
        (
            {"path": "rows.csv", "column": "text", "validation": "rows.jsonl", "test": "tables/train.csv"},
            Split(['a, "b"\nc', "d"], ["a\nb", "c"], ["a"]),
        ),
    ],
    ids=str,
)
def test_text_is_read_from(monkeypatch, folder, options, expected):
    documents = load(monkeypatch, folder, **options)
    assert documents == expected and type(documents) is type(expected)
    assert not isinstance(documents, Split) or type(documents.train) is (
        Stream if options.get("unit") == "stream" else list
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "needs a file: dataset.path=FILE"),
        ({"path": "absent"}, "cannot read absent: No such file or directory"),
        ({"path": "nothing"}, "nothing has no .txt files"),
        ({"path": "notes", "column": "text"}, "notes has no .csv or .jsonl files, which dataset.column"),
        ({"path": "csv"}, "csv has no .txt files: write dataset.column=NAME to read its tables"),
        ({"path": "split", "validation": "text"}, "split has its own split: leave dataset.validation"),
        ({"path": "text", "validation": "absent"}, "cannot read absent: No such file or directory"),
        ({"path": "text", "validation": "folder"}, "cannot read folder: Is a directory"),
        ({"path": "text", "test": "empty"}, "empty has no documents"),
        ({"path": "untrained"}, "untrained has validation.txt, but no file called train"),
        ({"path": "twice"}, "twice has both val.txt and valid.txt"),
        ({"path": "hollow"}, "hollow/b.txt has no documents"),
        ({"path": "latin.txt", "unit": "stream"}, "latin.txt is not UTF-8: line 2, byte 2 is 0xe9"),
        *(
            ({"path": path, "unit": unit}, f"{path} has no documents")
            for unit in ("lines", "paragraphs", "files")
            for path in ("empty", "spaces")
        ),
        ({"path": "empty", "unit": "stream"}, "empty has no documents"),
        ({"path": "text", "column": "text"}, "dataset.column=text needs a .csv or .jsonl file, not text"),
        ({"path": "rows.csv"}, "rows.csv needs dataset.column=NAME, one of: n, text"),
        ({"path": "rows.jsonl"}, "rows.jsonl: line 1 needs dataset.column=NAME, one of: text"),
        ({"path": "rows.csv", "column": "body"}, "rows.csv has no column 'body', but: n, text"),
        ({"path": "missing.jsonl", "column": "text"}, "line 2 has no column 'text', but: body, id"),
        ({"path": "rows.csv", "column": "text", "unit": "paragraphs"}, "leave dataset.unit=paragraphs out"),
        ({"path": "rows.csv", "column": "text", "unit": "files"}, "leave dataset.unit=files out"),
        ({"path": "empty.csv", "column": "text"}, "empty.csv has no documents"),
        ({"path": "header.csv", "column": "text"}, "header.csv has no documents"),
        ({"path": "short.csv", "column": "text"}, "short.csv: line 3: 1 columns, but the first line has 2"),
        ({"path": "long.csv", "column": "text"}, "long.csv: line 2: 3 columns, but the first line has 2"),
        ({"path": "blank.csv", "column": "text"}, "blank.csv: line 1: it is empty, but must have the names"),
        ({"path": "twice.csv", "column": "text"}, "twice.csv: line 1: 2 columns have the name 'text'"),
        ({"path": "open.csv", "column": "text"}, "open.csv: line 4: unexpected end of data"),
        ({"path": "wide.csv"}, "one of: column0, column1,"),
        ({"path": "bad.jsonl", "column": "text"}, "bad.jsonl: line 2 is not JSON"),
        ({"path": "list.jsonl", "column": "text"}, "list.jsonl: line 1 is not a JSON object"),
        ({"path": "number.jsonl", "column": "text"}, "line 3: text is of type int, not a string"),
        ({"path": "deep.jsonl", "column": "text"}, DEEP),
        (
            {"path": "half.jsonl", "column": "text"},
            "half.jsonl: line 2 is not JSON, or has half of a surrogate pair",
        ),
    ],
    ids=str,
)
def test_a_text_that_cannot_be_read_is_an_error_in_one_line(monkeypatch, folder, options, message):
    with pytest.raises(UserError) as caught:
        load(monkeypatch, folder, **options)
    error = str(caught.value)
    assert message in error and error.startswith("dataset=text") and len(error) < 350
    assert len(error.splitlines()) == 1


def test_lines_of_a_file_are_the_default(folder):
    assert part("dataset", "text", path=str(folder / "text"))() == ["oneX", "two", "three = 3"]


def test_files_may_have_a_hundred_megabytes_together(monkeypatch, folder):
    size = sum((folder / name).stat().st_size for name in ("folder/b.txt", "folder/a.TXT"))
    monkeypatch.setattr("microgpt_lab.core.reading.MAX_FILE_BYTES", size)
    assert len(load(monkeypatch, folder, path="folder")) == 3
    monkeypatch.setattr("microgpt_lab.core.reading.MAX_FILE_BYTES", size - 1)
    with pytest.raises(UserError, match="the files of folder are together larger than 0 MB"):
        load(monkeypatch, folder, path="folder")
    with pytest.raises(UserError, match="together larger"):
        load(monkeypatch, folder, path="folder/b.txt", test="folder/a.TXT")


def test_a_field_of_a_table_may_be_long(monkeypatch, folder, tmp_path):
    (tmp_path / "long.csv").write_text("text\n" + "x" * 200_000 + "\n")
    (document,) = load(monkeypatch, tmp_path, path="long.csv", column="text")
    assert document == "x" * 200_000
