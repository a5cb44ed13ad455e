"""Promise: every content of a data file has a defined result, in bounded memory."""

import os
import subprocess
import sys
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microgpt_lab import GPT, Corpus, Trainer, UserError, part
from microgpt_lab.core.reading import lines, read
from microgpt_lab.run.assemble import build_documents
from microgpt_lab.tensors.padding import longest

OPTIONS = (
    "steps=2",
    "embed=8",
    "eval_docs=2",
    "samples=2",
    "split=none",
    "callback=[console]",
    "backend=numpy",
)

REFUSED = {
    "empty": (b"", "has no documents"),
    "only spaces": (b" \n\t\n\r\n", "has no documents"),
    "NUL": (b"anna\nbo\0b\n", "is binary: line 2, byte 3 is 0x00"),
    "binary": (b"\x7fELF\x02\x01\x01\0\0", "is binary: line 1, byte 8 is 0x00"),
    "latin-1": ("anna\nrené\n".encode("latin-1"), "is not UTF-8: line 2, byte 4 is 0xe9"),
    "UTF-16": ("anna\nbob\n".encode("utf-16"), "is UTF-16: convert it to UTF-8"),
    "lone surrogate": (b"anna\nx\xed\xa0\x80\n", "is not UTF-8: line 2, byte 2 is 0xed"),
}
ACCEPTED = {
    "one character": (b"a", ["a"]),
    "one line without its end": (b"anna", ["anna"]),
    "byte order mark": ("\ufeffanna\nbob\n".encode(), ["anna", "bob"]),
    "Windows": (b"anna\r\nbob\r\n", ["anna", "bob"]),
    "U+2028 is a character": ("an\u2028na\nb\u0085ob\n".encode(), ["an\u2028na", "b\u0085ob"]),
    "a carriage return is a character": (b"an\rna\n", ["an\rna"]),
    "control characters": (b"a\x1b[2Ja\nb\x07b\n", ["a\x1b[2Ja", "b\x07b"]),
}


@pytest.mark.parametrize("what", REFUSED)
def test_unreadable_files_are_refused(tmp_path, what):
    content, message = REFUSED[what]
    (tmp_path / "data.txt").write_bytes(content)
    with pytest.raises(UserError) as refused:
        build_documents({"dataset": {"name": "text", "path": str(tmp_path / "data.txt")}})
    assert message in str(refused.value) and "dataset=text" in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "what", [pytest.param(what, marks=[pytest.mark.slow] * (what != "NUL")) for what in REFUSED]
)
def test_a_run_on_an_unreadable_file_prints_one_line_and_writes_nothing(lab, tmp_path, what):
    content, message = REFUSED[what]
    (tmp_path / "data.txt").write_bytes(content)
    done = lab(*OPTIONS, "dataset=text", "dataset.path=data.txt", check=2)
    (line,) = done.stderr.splitlines()
    assert message in line and "dataset=text" in line
    assert [path.name for path in tmp_path.iterdir()] == ["data.txt"]


@pytest.mark.parametrize("what", ACCEPTED)
def test_odd_files_are_read_as_documents(tmp_path, what):
    content, documents = ACCEPTED[what]
    (tmp_path / "data.txt").write_bytes(content)
    assert (
        lines(tmp_path / "data.txt")
        == part("dataset", "text", path=str(tmp_path / "data.txt"))()
        == documents
    )
    corpus = Corpus(documents, split="none")
    assert [corpus.decode(corpus.encode(d)) for d in documents] == documents


@pytest.mark.parametrize("what", ["one character", "U+2028 is a character", "control characters"])
def test_training_on_odd_files_prints_no_control_characters(lab, tmp_path, what):
    (tmp_path / "data.txt").write_bytes(ACCEPTED[what][0])
    done = lab(*OPTIONS, "dataset=text", "dataset.path=data.txt", "hydra.run.dir=run", check=0)
    assert not any(char in done.stdout for char in "\x1b\x07\u2028\x85")


@pytest.mark.slow
def test_a_gigabyte_is_refused_in_bounded_memory(lab, tmp_path):
    with (tmp_path / "data.txt").open("wb") as file:
        file.truncate(10**9)
    script = (
        "import sys; from microgpt_lab.commands import main; status = main(sys.argv[1:]);"
        "print(*(line for line in open('/proc/self/status') if line.startswith('VmHWM'))); sys.exit(status)"
    )
    done = lab(
        *OPTIONS,
        "dataset=text",
        "dataset.path=data.txt",
        check=2,
        command=(sys.executable, "-P", "-c", script),
    )
    assert "data.txt is larger than 100 MB: take a part of it" in done.stderr
    assert int(done.stdout.split()[1]) * 1024 < 500e6  # at most, in bytes
    assert "is larger than 100 MB" in lab("dataset=text", "dataset.path=/dev/zero", check=2).stderr


def test_a_folder_without_texts_is_an_error(lab, tmp_path):
    (tmp_path / "folder").mkdir()
    (line,) = lab("dataset=text", "dataset.path=folder", check=2).stderr.splitlines()
    assert line == "error: dataset=text: folder has no .txt files"
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_a_pipe_is_read(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_text("anna\nbob\n"))
    writer.start()
    assert lines(pipe) == ["anna", "bob"]
    writer.join()


def test_standard_input_is_read(tmp_path):
    command = [
        sys.executable,
        "-P",
        "-m",
        "microgpt_lab",
        *OPTIONS,
        "dataset=text",
        "dataset.path=/dev/stdin",
    ]
    env = os.environ | {"MICROGPT_LAB_HOME": str(tmp_path)}
    done = subprocess.run(
        command, input="anna\nbob\n" * 9, cwd=tmp_path, env=env, capture_output=True, text=True
    )
    assert done.returncode == 0 and "18 docs" in done.stdout, done.stderr


def test_half_a_surrogate_pair_from_a_plugin_is_an_error(lab, tmp_path):
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "halves.py").write_text('''
from microgpt_lab import hookimpl

def halves():
    """Names and half a character."""
    return ["ab"] * 30 + ["x\\ud800"]

@hookimpl
def datasets():
    return [halves]
''')
    done = lab("dataset=halves", env={"MICROGPT_LAB_PLUGINS": str(tmp_path / "parts")}, check=2)
    assert "dataset=halves: document 31 has half of a surrogate pair" in done.stderr


@settings(max_examples=500, deadline=None)
@given(
    st.one_of(st.binary(max_size=200), st.text(max_size=60).map(lambda t: t.encode("utf-8", "surrogatepass")))
)
def test_any_bytes_are_read_or_refused_in_one_line(tmp_path_factory, content):
    file = tmp_path_factory.getbasetemp() / "any"
    file.write_bytes(content)
    try:
        text = read(file)
    except ValueError as error:
        assert str(file) in str(error) and "\n" not in str(error)
    else:
        assert text.encode() == content.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n")


WORDS = ["abc", "abcdefgh", "abcdefghijklm", "ab"] * 10


def test_a_document_longer_than_the_block_is_truncated_windowed_or_refused():
    cut, windows = (Corpus(WORDS, long_docs=how, block_size=4) for how in ("truncate", "window"))
    assert cut.long == windows.long == 20
    bos, alphabet = windows.bos, dict(zip("abcdefghijklm", range(13)))
    ids = [alphabet[char] for char in "abcdefghijklm"]
    assert windows.pieces("abcdefghijklm") == [
        [bos, *ids[:4]], ids[3:8], ids[7:12], [*ids[11:13], bos],
    ]  # fmt: skip
    assert windows.pieces("abc") == cut.pieces("abc") and len(cut.pieces("abcdefghijklm")) == 1
    with pytest.raises(
        ValueError, match=r"20 of 40 documents have more than block_size=4 tokens to predict, the longest 14"
    ):
        Corpus(WORDS, long_docs="error", block_size=4)
    assert Corpus(WORDS, long_docs="error", block_size=14).long == 0


def test_windows_train_on_every_token():
    def tokens(how):
        corpus = Corpus(WORDS, long_docs=how, block_size=4)
        model = GPT(
            corpus.vocab_size, part("activation", "relu"), part("norm", "rmsnorm"), embed=8, block_size=4
        )
        parts = part("optimizer", "adam"), part("scheduler", "linear"), part("backend", "numpy")
        run = Trainer(model, corpus, *parts, steps=1)
        epoch = [run.inputs(step)[0] for step in range(len(corpus.order))]
        assert all(longest(batch) <= 4 for batch in epoch)
        run.train()
        return sum(batch.tokens for batch in epoch), len(corpus.train)

    everything, documents = tokens("window")
    assert everything == sum(len(d) + 1 for d in Corpus(WORDS).train)
    assert tokens("truncate") == (sum(min(len(d) + 1, 4) for d in Corpus(WORDS).train), documents)
