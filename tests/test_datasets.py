"""Data sets: each contains the documents that its description says."""

import hashlib
import runpy
import shutil
from itertools import product
from pathlib import Path

import pytest

from microgpt_lab import Stream, UserError, part
from microgpt_lab.core.documents import Documents
from microgpt_lab.core.reading import lines
from microgpt_lab.options.compose import compose
from microgpt_lab.run.assemble import assemble
from microgpt_lab.run.execute import exact_match

PLUGINS = Path(__file__).parents[1] / "plugins" / "datasets"

# Digest of the documents that the fixed seed of `reverse` draws. Another digest means other documents for all
# users: recipes and published figures with these documents must be computed again.
REVERSE = "84d4781b04d4"


def digest(documents):
    return hashlib.sha256("\n".join(documents).encode()).hexdigest()[:12]


def test_reverse_pairs_a_word_with_its_reverse():
    pairs = [document.split("=") for document in part("dataset", "reverse")()]
    assert all(answer == "".join(reversed(word)) for word, answer in pairs)
    assert {len(word) for word, _ in pairs} == {1, 2, 3, 4, 5}
    assert {letter for word, _ in pairs for letter in word} == set("abcdefgh")


def test_reverse_draws_the_same_documents_every_time():
    assert digest(part("dataset", "reverse")()) == REVERSE


def test_reverse_has_the_given_letters_lengths_and_number_of_documents():
    documents = part("dataset", "reverse", documents=100, length=9, letters="xyz")()
    words = [document.partition("=")[0] for document in documents]
    assert len(documents) == 100 and set("".join(words)) == set("xyz")
    assert max(map(len, words)) == 9
    (only,) = set(part("dataset", "reverse", documents=1, length=1, letters="q")())
    assert only == "q=q"


@pytest.mark.parametrize(("option", "nothing"), [("letters", ""), ("length", 0)])
def test_reverse_refuses_no_letters_and_length_0(option, nothing):
    with pytest.raises((ValueError, UserError), match=option):
        part("dataset", "reverse", **{option: nothing})()


COMPUTE = {"+": lambda a, b: a + b, "-": lambda a, b: a - b, "*": lambda a, b: a * b}


@pytest.mark.parametrize("operation", COMPUTE)
def test_arithmetic_has_every_pair_of_numbers_once(operation):
    documents = part("dataset", "arithmetic", operation=operation)()
    expected = (f"{a}{operation}{b}={COMPUTE[operation](a, b)}" for a, b in product(range(100), repeat=2))
    assert sorted(documents) == sorted(expected)


def test_arithmetic_with_another_number_of_digits():
    documents = part("dataset", "arithmetic", digits=1)()
    assert len(documents) == 100 and "9+9=18" in documents
    assert sorted(part("dataset", "arithmetic")()) == sorted(part("dataset", "arithmetic", operation="+")())


def test_arithmetic_modulo_a_number():
    """Numbers and results are from 0 to below the modulus."""
    table = {
        "+": "0+0=0 0+1=1 0+2=2 1+0=1 1+1=2 1+2=0 2+0=2 2+1=0 2+2=1",
        "-": "0-0=0 0-1=2 0-2=1 1-0=1 1-1=0 1-2=2 2-0=2 2-1=1 2-2=0",
        "*": "0*0=0 0*1=0 0*2=0 1*0=0 1*1=1 1*2=2 2*0=0 2*1=2 2*2=1",
    }
    for operation, documents in table.items():
        found = part("dataset", "arithmetic", operation=operation, modulus=3)()
        assert sorted(found) == sorted(documents.split())
    assert len(part("dataset", "arithmetic", modulus=97)()) == 97**2  # as Power et al. (2022) have it


@pytest.mark.parametrize("task", ["arithmetic", "reverse"])
def test_the_answer_of_a_task_follows_its_equals_sign(task):
    """`exact_match` gives the model everything up to the equals sign, and expects the rest."""
    assert part("dataset", task).func.answer_after == "="


def test_karpathy_names_are_the_names_of_makemore(karpathy_names):
    documents = part("dataset", "karpathy_names", path=str(karpathy_names))()
    assert documents == karpathy_names.read_text().split("\n")
    assert (len(documents), documents[0], max(map(len, documents))) == (32_033, "emma", 15)


NAMES = "https://raw.githubusercontent.com/karpathy/makemore/988aa59/names.txt"


def test_karpathy_names_are_downloaded_once(karpathy_names, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (tmp_path / "microgpt_lab").mkdir()
    shutil.copy(karpathy_names, tmp_path / "microgpt_lab" / "karpathy_names.txt")
    assert part("dataset", "karpathy_names")() == lines(karpathy_names)


def test_a_failed_download_of_karpathy_names_names_the_alternatives(monkeypatch, tmp_path):
    """A file with another content is not accepted, and the error names alternatives."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    (tmp_path / "microgpt_lab").mkdir()
    (tmp_path / "microgpt_lab" / "karpathy_names.txt").write_text("emma\nolivia\n")
    message = (
        rf"^dataset=karpathy_names: {NAMES} could not be .*, or give a local copy with dataset\.path=FILE$"
    )
    with pytest.raises(UserError, match=message):
        part("dataset", "karpathy_names")()


def test_us_names_have_a_fixed_digest():
    documents = part("dataset", "us_names")()
    assert (len(documents), documents[0], documents[-1]) == (32_257, "emma", "zzyzx")
    assert digest(documents) == "71779929036a"


def test_icelandic_names_have_a_fixed_digest_and_the_letters_of_the_language():
    names = part("dataset", "icelandic_names")()
    assert len(names) == len(set(names)) == 3_742
    assert set("".join(names)) == set("abcdefghijklmnoprstuvwxyzáæéíðóöúýþ")
    sha256 = hashlib.sha256((PLUGINS / "icelandic_names.txt").read_bytes()).hexdigest()
    assert digest(names) == sha256[:12] == "9245837b5887"


def test_transliterated_icelandic_names_have_no_accents_and_are_still_unique():
    names = part("dataset", "icelandic_names", transliterate=True)()
    assert len(names) == len(set(names)) == 3_587
    assert {"thordis", "blaer", "gudrun", "orn", "eir"} <= set(names)
    assert set("".join(names)) == set("abcdefghijklmnoprstuvwxyz")


def test_unicode_names_have_a_fixed_digest():
    """They are the same in every Python. Generated names (numbered ones, Hangul syllables) are left out."""
    documents = part("dataset", "unicode_names")()
    assert len(documents) == len(set(documents)) == 12_886
    assert documents[0] == "SPACE" and "LATIN SMALL LETTER A" in documents
    assert not any("IDEOGRAPH-" in name or name.startswith("HANGUL SYLLABLE") for name in documents)
    assert "CJK RADICAL REPEAT" in documents and "HANGUL CHOSEONG KIYEOK" in documents
    assert digest(documents) == "03ce3aea0397"


def test_shakespeare_is_a_stream_of_ten_plays_with_a_fixed_digest():
    plays = part("dataset", "shakespeare")()
    assert isinstance(plays, Stream) and len(plays) == 10
    text = "\f".join(plays).encode()
    sha256 = hashlib.sha256(text).hexdigest()
    readme = (PLUGINS / "shakespeare" / "README.md").read_text()
    assert f"{len(text):,} bytes" in readme and sha256 in readme
    assert sum(map(len, plays)) == 1_372_663
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    assert set("".join(plays)) == set(letters + "\n !\"',-.:;?[]")


def test_held_out_plays_are_a_comedy_and_a_tragedy():
    """The last tenths are nearly all of Antony and Cleopatra, and Twelfth Night with what surrounds it."""
    plays = part("dataset", "shakespeare")()
    train, validation, test = Documents(plays).split("zero2hero")
    assert train[:7] == plays[:7] and train[7] + validation[0] == plays[7] and len(validation[0]) < 11_000
    assert validation[1] == plays[8] and "AGUE-CHEEK" in validation[1]
    assert validation[2] + test[0] == plays[9] and len(validation[2]) < 13_000 and len(test) == 1


def test_tiny_shakespeare_is_downloaded_or_read_as_one_text(monkeypatch, tmp_path):
    (tmp_path / "input.txt").write_text("First Citizen:\nSpeak.\n")
    texts = part("dataset", "tiny_shakespeare", path=str(tmp_path / "input.txt"))()
    assert isinstance(texts, Stream) and texts == ["First Citizen:\nSpeak.\n"]
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    address = (
        "https://raw.githubusercontent.com/karpathy/char-rnn/[0-9a-f]{40}/data/tinyshakespeare/input.txt"
    )
    message = (
        rf"^dataset=tiny_shakespeare: {address} could not be .*, or give a local copy with dataset\.path"
    )
    with pytest.raises(UserError, match=message):
        part("dataset", "tiny_shakespeare")()


MODULE = f'''"""A docstring of
two lines."""
import os
from sys import path  # with a comment

LONG = "{"x" * 52}"
FITS = "{"x" * 51}"
GREEK = "λ"
x = y = (
    1)
count: int = 0


def f(a):
    count = a
    count += 1
    assert a
    print(a)
    if a: raise ValueError
    for i in a:
        pass
    del a
    return os
    return os
'''


def test_one_line_statements_of_the_standard_library(tmp_path, monkeypatch):
    """Statements of the top-level modules in order, each once: assignments, calls, imports, returns, etc."""
    (tmp_path / "b.py").write_text(MODULE, encoding="utf-8")
    (tmp_path / "a.py").write_text("import b\nimport os\n")
    for letter in "fgdec":
        (tmp_path / f"{letter}.py").write_text(f"import {letter}\n")
    (tmp_path / "c.txt").write_text("import c\n")
    monkeypatch.setattr("sysconfig.get_path", {"stdlib": str(tmp_path)}.__getitem__)
    expected = [
        "import b",
        "import os",
        "from sys import path  # with a comment",
        f'FITS = "{"x" * 51}"',
        "count: int = 0",
        "count = a",
        "count += 1",
        "assert a",
        "print(a)",
        "return os",
        "if a: raise ValueError",
        *(f"import {letter}" for letter in "cdefg"),
    ]
    # A separate copy of the module, so that no other test uses its cached statements.
    python_stdlib = runpy.run_path(str(PLUGINS / "python_stdlib.py"))["python_stdlib"]
    assert python_stdlib() == expected
    short = python_stdlib(max_length=9)
    assert short == [document for document in expected if len(document) <= 9]


def test_lines_are_documents(tmp_path):
    (tmp_path / "text").write_text("\n Xa b\t\n\n\tcX\n")
    assert lines(str(tmp_path / "text")) == ["Xa b", "cX"]


@pytest.mark.parametrize("tokenizer", ["char", "bpe"])
def test_answers_are_exact_with_tokens_that_join_question_and_answer(tokenizer):
    """BPE merges "=-" into one token, so that no document has "=" before a negative answer."""
    documents = ["ab=-c", "ac=-b", "cc=b"] * 20
    size = ("backend=numpy", "embed=8", "heads=1", "steps=200", "batch_size=6", "optimizer.lr=0.03")
    trainer = assemble(compose([*size, f"tokenizer={tokenizer}"]), documents)
    assert exact_match(trainer, documents[:3], "=") < 1
    trainer.train()
    assert exact_match(trainer, documents[:3], "=") == 1
