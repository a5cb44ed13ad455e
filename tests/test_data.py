"""Splits, tokens and the loss of guessing."""

import hashlib
import json
import math
import tracemalloc
from random import Random

import pytest
from golden.make_pytorch import FIGURES

from microgpt_lab import Corpus, part
from microgpt_lab.core.documents import SPLITS, Documents, torch_randperm
from microgpt_lab.core.guessing import guessing
from microgpt_lab.core.reading import MAX_FILE_BYTES, lines, read


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


@pytest.mark.parametrize(("n", "seed", "expected"), json.loads(FIGURES.read_text())["randperm"])
def test_randperm_equals_pytorch(n, seed, expected):
    """`torch.manual_seed(seed); torch.randperm(n)`."""
    assert torch_randperm(n, seed) == expected


def test_randperm_is_a_fixed_permutation():
    order = torch_randperm(32_033, 3407)
    assert sorted(order) == list(range(32_033))
    assert digest(map(str, order)) == "80cd1717bfa6"


TWENTY = [f"document {i}" for i in range(20)]


def shuffled(documents):
    """Shuffle with Python's generator and seed 42."""
    documents = list(documents)
    Random(42).shuffle(documents)
    return documents


def test_zero2hero_begins_as_in_the_lectures(karpathy_names):
    """The first names are those of the training split in Karpathy's lectures, and those of microgpt.py."""
    documents = lines(karpathy_names)
    assert SPLITS["zero2hero"](documents).train[:3] == ["yuheng", "diondre", "xavien"]
    assert Corpus(documents, split="none").train[:3] == ["yuheng", "diondre", "xavien"]


def test_zero2hero_splits_80_10_10():
    for n in (10, 19, 20):
        documents, (train, validation, test) = TWENTY[:n], SPLITS["zero2hero"](TWENTY[:n])
        assert train + validation + test == shuffled(documents)
        assert (len(train), len(validation)) == (8 * n // 10, 9 * n // 10 - 8 * n // 10)


def test_eureka_tests_on_the_first_thousand_and_validates_on_the_next():
    documents = [str(i) for i in range(2003)]
    train, validation, test = SPLITS["eureka"](documents)
    assert test + validation + train == shuffled(documents)
    assert (len(test), len(validation), len(train)) == (1000, 1000, 3)
    assert len(SPLITS["eureka"](documents[:2001]).train) == 1
    with pytest.raises(ValueError, match="the data set has 2000: use zero2hero"):
        SPLITS["eureka"](documents[:2000])


def test_makemore_holds_out_the_last_tenth_of_pytorchs_order():
    train, validation, test = SPLITS["makemore"](TWENTY)
    assert validation == test and len(validation) == 2
    assert train + validation == [TWENTY[i] for i in torch_randperm(20, 3407)]
    assert [len(part) for part in SPLITS["makemore"](["x"] * 10_020)] == [9020, 1000, 1000]
    assert [len(part) for part in SPLITS["makemore_dev"](["x"] * 11_020)] == [9020, 1000, 0]


def test_split_none_trains_on_all_documents():
    assert SPLITS["none"](TWENTY) == (TWENTY, [], [])


def test_train_docs_takes_the_first_documents_after_the_shuffle():
    """The order, the vocabulary, the validation split and the weights are the same as without it."""
    whole, few = Corpus(TWENTY), Corpus(TWENTY, train_docs=5)
    assert few.train == whole.train[:5] != SPLITS["zero2hero"](TWENTY).train[:5]
    assert (few.validation, few.test, few.tokenizer.tokens) == (
        whole.validation,
        whole.test,
        whole.tokenizer.tokens,
    )
    assert few.rng.getstate() == whole.rng.getstate()
    assert Corpus(TWENTY, train_docs=0).train == Corpus(TWENTY, train_docs=99).train == whole.train
    assert len(Corpus(TWENTY, train_docs=1).train) == 1
    with pytest.raises(ValueError, match="train_docs"):
        Corpus(TWENTY, train_docs=-1)


def test_the_generator_of_the_shuffle_also_draws_the_weights():
    """As in microgpt.py, there is one stream of random numbers. The given list is not shuffled."""
    documents, rng = list(TWENTY), Random(7)
    corpus = Corpus(documents, split="none", seed=7)
    expected = list(TWENTY)
    rng.shuffle(expected)
    assert corpus.train == expected and documents == TWENTY
    assert corpus.rng.gauss(0, 1) == rng.gauss(0, 1)
    assert (corpus.validation, corpus.test) == ([], [])


def test_batches_continue_across_epochs():
    """Batches contain the documents in shuffled order, and start again after the last document."""
    corpus = Corpus(["a", "bb", "ccc"], split="none")
    tokens = [corpus.tokens(document) for document in corpus.train]
    assert [corpus.batch(step, 2) for step in range(3)] == [
        [tokens[0], tokens[1]], [tokens[2], tokens[0]], [tokens[1], tokens[2]],
    ]  # fmt: skip
    assert corpus.batch(0, 4) == [*tokens, tokens[0]]


def test_a_document_that_fits_is_one_piece_and_a_longer_one_is_cut_into_blocks():
    """A block predicts block_size tokens, including the end of the document."""
    corpus = Corpus(["abc", "abcd", "abcdefg", "abcdefgh"], split="none", block_size=4, long_docs="window")
    ids = dict(zip("abcdefgh", range(8)))
    a, b, c, d, e, f, g, h = ids.values()
    assert (corpus.bos, corpus.vocab_size, corpus.long) == (8, 9, 3)
    assert corpus.pieces("abc") == [[8, a, b, c, 8]]
    assert corpus.pieces("abcd") == [[8, a, b, c, d], [d, 8]]
    assert corpus.pieces("abcdefg") == [[8, a, b, c, d], [d, e, f, g, 8]]
    assert corpus.pieces("abcdefgh") == [[8, a, b, c, d], [d, e, f, g, h], [h, 8]]
    epoch = [piece for document in corpus.train for piece in corpus.pieces(document)]
    assert corpus.batch(0, 8) == epoch and corpus.batch(1, 8) == epoch
    cut = Corpus(["abc", "abcd", "abcdefgh"], split="none", block_size=4)
    (piece,) = cut.pieces("abcdefgh")
    assert piece[:5] == [8, a, b, c, d] and len(cut.order) == 3


def test_long_documents_can_be_refused():
    Corpus(["abc"], split="none", block_size=4, long_docs="error")
    message = "1 of 2 documents have more than block_size=4 tokens to predict, the longest 5"
    with pytest.raises(ValueError, match=message):
        Corpus(["abc", "abcd"], split="none", block_size=4, long_docs="error")


def test_a_file_may_have_a_hundred_million_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr("microgpt_lab.core.reading.MAX_FILE_BYTES", 4_000_000)
    (tmp_path / "text").write_bytes(b"x" * 4_000_000)
    assert len(read(tmp_path / "text")) == 4_000_000
    (tmp_path / "text").write_bytes(b"x" * 4_000_001)
    with pytest.raises(ValueError, match="text is larger than 4 MB: take a part of it"):
        read(tmp_path / "text")
    assert MAX_FILE_BYTES == 100_000_000


def test_a_path_may_start_with_a_tilde(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "text").write_text("a\n")
    assert lines("~/text") == ["a"]
    with pytest.raises(ValueError, match="cannot read ~/nothing: No such file or directory"):
        lines("~/nothing")


def test_tokens_have_bos_at_both_ends():
    corpus = Corpus(["ba", "ab"], split="none")
    assert corpus.tokens("ab") == [2, 0, 1, 2]
    assert corpus.decode([1, 0]) == "ba"


def test_a_corpus_needs_documents_and_a_block_of_one_token():
    with pytest.raises(ValueError, match="the data set is empty"):
        Corpus([])
    with pytest.raises(ValueError, match="block_size must be at least 1, not 0"):
        Corpus(["a"], split="none", block_size=0)
    assert Corpus(["ab"], split="none", block_size=1, long_docs="window").pieces("ab") == [
        [2, 0],
        [0, 1],
        [1, 2],
    ]


def test_characters_outside_the_vocabulary_are_named():
    with pytest.raises(ValueError, match="'!' 'z'"):
        Corpus(["ab"], split="none").encode("az!")


@pytest.mark.parametrize(
    ("documents", "split"), [([], "none"), (["a"], "zero2hero"), (["a"] * 9, "eureka"), (["a"], "x")]
)
def test_data_that_cannot_be_split_is_an_error(documents, split):
    with pytest.raises(ValueError, match=r"empty|too few|2000|unknown"):
        Corpus(documents, split=split)


def test_the_seed_decides_the_order_of_documents():
    documents = [str(i) for i in range(20)]
    assert (
        Corpus(documents, seed=1).train == Corpus(documents, seed=1).train != Corpus(documents, seed=2).train
    )


def test_guessing_a_certain_token_has_a_low_loss():
    certain = [[2, 0, 1, 2]] * 1000
    nats = guessing(certain, certain, 3)
    assert nats["uniform"] == pytest.approx(math.log(3))
    assert nats["bigram"] < 0.001 < 1 < nats["unigram"] < nats["uniform"] + 0.01


def test_guessing_uses_counts_plus_a_tenth():
    """P(c | before) = (count + 0.1) / (total + 0.1 V) with V = 3 tokens. The first token precedes itself."""
    nats = guessing([[2, 0, 1, 2], [2, 0, 2]], [[2, 1, 2], [2, 1, 2], [2, 0, 0, 2]], 3)
    # number of held-out tokens, and probabilities: unigram, bigram, trigram
    asked = [
        (2, 1.1 / 5.3, 0.1 / 2.3, 0.1 / 2.3),  # 2 2 1
        (2, 2.1 / 5.3, 1.1 / 1.3, 0.1 / 0.3),  # 2 1 2
        (1, 2.1 / 5.3, 2.1 / 2.3, 2.1 / 2.3),  # 2 2 0
        (1, 2.1 / 5.3, 0.1 / 2.3, 0.1 / 2.3),  # 2 0 0
        (1, 2.1 / 5.3, 1.1 / 2.3, 0.1 / 0.3),  # 0 0 2
    ]
    alone, after_one, after_two = (-sum(n * math.log(p[i]) for n, *p in asked) / 7 for i in range(3))
    assert nats == pytest.approx(
        {"uniform": math.log(3), "unigram": alone, "bigram": after_one, "trigram": after_two}, rel=1e-12
    )


def test_guessing_names_has_the_published_loss(karpathy_names):
    corpus = Corpus(lines(karpathy_names))
    tokens = [[corpus.tokens(d) for d in documents] for documents in (corpus.train, corpus.validation)]
    nats = guessing(*tokens, corpus.vocab_size)
    assert nats == pytest.approx(
        {"uniform": 3.296, "unigram": 2.83, "bigram": 2.46, "trigram": 2.22}, abs=0.02
    )


def test_baselines_of_many_seeds_keep_the_held_out_documents_once():
    documents, sizes = Documents(f"name {i}" for i in range(2000)), []
    for seed in range(30):
        corpus = Corpus(documents, train_docs=5, seed=seed)
        tracemalloc.start()
        corpus.guessing(corpus.validation)
        sizes.append(tracemalloc.get_traced_memory()[0])
        tracemalloc.stop()
    assert max(sizes[1:]) < 8 * len(corpus.validation)  # bytes of one more tuple of them


def test_lines_are_split_only_at_newlines(tmp_path):
    path = tmp_path / "text"
    path.write_bytes("\ufeffa\u2028b\r\n\n c \n".encode())
    assert lines(path) == ["a\u2028b", "c"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"ab\xff", "is not UTF-8: line 1, byte 3 is 0xff"),
        (b"a\nb\nc\xe9d\ne\n", "is not UTF-8: line 3, byte 2 is 0xe9"),
        (b"\0\0", "is binary: line 1, byte 1 is 0x00"),
        (b"a\nb\nc\0d\0e\n", "is binary: line 3, byte 2 is 0x00"),
        (b"\xff\xfea\0", "is UTF-16: convert it to UTF-8"),
        (b"\xfe\xff\0a", "is UTF-16: convert it to UTF-8"),
    ],
)
def test_text_in_another_encoding_names_the_byte(tmp_path, content, message):
    (tmp_path / "text").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        lines(tmp_path / "text")


def test_answers_of_tasks_are_correct():
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
