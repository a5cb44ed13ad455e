"""Splits, tokens and what guessing costs."""

import hashlib
import math

import pytest

from microgpt_lab import Corpus, part
from microgpt_lab.data import SPLITS, guessing, lines, torch_randperm


def digest(documents):
    return hashlib.sha256("\n".join(documents).encode()).hexdigest()[:12]


COUNTS = {
    "zero2hero": (25_626, 3_203, 3_204),
    "eureka": (30_033, 1_000, 1_000),
    "makemore": (31_033, 1_000, 1_000),
    "none": (32_033, 0, 0),
}


@pytest.mark.parametrize("name", COUNTS)
def test_splits_have_the_published_sizes(karpathy_names, name):
    documents = lines(karpathy_names)
    split = SPLITS[name](documents)
    assert tuple(map(len, split)) == COUNTS[name]
    held_out = [] if name == "none" else [*split.validation, *(split.test if name != "makemore" else [])]
    assert sorted([*split.train, *held_out]) == sorted(documents)


def test_randperm_is_pytorchs():
    """`torch.manual_seed(3407); torch.randperm(10)` and the first of 1000."""
    torch = pytest.importorskip(
        "torch", reason="the optional check against PyTorch needs microgpt-lab[torch]"
    )
    for n in (10, 1000):
        torch.manual_seed(3407)
        assert torch_randperm(n, 3407) == torch.randperm(n).tolist()


def test_randperm_is_a_fixed_permutation():
    order = torch_randperm(32_033, 3407)
    assert sorted(order) == list(range(32_033))
    assert digest(map(str, order)) == "80cd1717bfa6"


def test_tokens_have_bos_at_both_ends():
    corpus = Corpus(["ba", "ab"], split="none")
    assert corpus.tokens("ab") == [2, 0, 1, 2]
    assert corpus.decode([1, 0]) == "ba"


def test_characters_outside_the_vocabulary_are_named():
    with pytest.raises(ValueError, match="'!' 'z'"):
        Corpus(["ab"], split="none").encode("az!")


@pytest.mark.parametrize(
    ("documents", "split"), [([], "none"), (["a"], "zero2hero"), (["a"] * 9, "eureka"), (["a"], "x")]
)
def test_data_that_cannot_be_split(documents, split):
    with pytest.raises(ValueError, match=r"empty|too few|2000|unknown"):
        Corpus(documents, split=split)


def test_the_order_of_documents_is_the_seeds():
    documents = [str(i) for i in range(20)]
    assert (
        Corpus(documents, seed=1).train == Corpus(documents, seed=1).train != Corpus(documents, seed=2).train
    )


def test_guessing_what_is_certain_costs_little():
    certain = [[2, 0, 1, 2]] * 1000
    nats = guessing(certain, certain, 3)
    assert nats["uniform"] == pytest.approx(math.log(3))
    assert nats["bigram"] < 0.001 < 1 < nats["unigram"] < nats["uniform"] + 0.01


def test_guessing_names_costs_what_was_published(karpathy_names):
    corpus = Corpus(lines(karpathy_names))
    tokens = [[corpus.tokens(d) for d in documents] for documents in (corpus.train, corpus.validation)]
    nats = guessing(*tokens, corpus.vocab_size)
    assert nats == pytest.approx(
        {"uniform": 3.296, "unigram": 2.83, "bigram": 2.46, "trigram": 2.22}, abs=0.02
    )


def test_lines_are_cut_at_newlines_alone(tmp_path):
    path = tmp_path / "text"
    path.write_bytes("\ufeffa\u2028b\r\n\n c \n".encode())
    assert lines(path) == ["a\u2028b", "c"]


def test_text_in_another_encoding_names_the_byte(tmp_path):
    (tmp_path / "text").write_bytes(b"ab\xff")
    with pytest.raises(ValueError, match="not UTF-8: line 1, byte 3 is 0xff"):
        lines(tmp_path / "text")


@pytest.mark.parametrize(
    ("unit", "expected"),
    [
        ("lines", ["one", "two", "three"]),
        ("paragraphs", ["one\ntwo", "three"]),
        ("stream", ["one\ntwo", "\n\nthree"]),
    ],
)
def test_text_as_lines_paragraphs_or_a_stream(tmp_path, unit, expected):
    (tmp_path / "text").write_text("one\ntwo\n\nthree")
    assert part("dataset", "text", path=str(tmp_path / "text"), unit=unit, block_size=8)() == expected


def test_tasks_are_right():
    for document in part("dataset", "arithmetic", operation="*", modulus=7)():
        question, answer = document.split("=")
        a, b = map(int, question.split("*"))
        assert int(answer) == a * b % 7
    assert all(a == b[::-1] for a, b in (d.split("=") for d in part("dataset", "reverse")()))


def test_unicode_names_are_the_same_everywhere():
    names = part("dataset", "unicode_names")()
    assert len(names) == 12_886
    assert names[0] == "SPACE"


def test_makemore_dev_never_sees_what_makemore_holds_out():
    documents = [f"document {i}" for i in range(200)]
    whole, dev = SPLITS["makemore"](documents), SPLITS["makemore_dev"](documents)
    assert dev.train + dev.validation == whole.train
    assert len(dev.validation) == 18 and not dev.test
