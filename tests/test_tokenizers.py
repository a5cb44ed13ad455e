"""Tokenizers: text survives them, and merges are those of the definition."""

import json
import re
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microgpt_lab import Corpus, part
from microgpt_lab.core.documents import Split
from microgpt_lab.options.comparable import differ_in_tokenizer
from microgpt_lab.registry.plugins import registry
from microgpt_lab.testing import check

NAMES = ["anna", "hannah", "susanna", "joanna", "ann", "hans"]
UNICODE = st.text(st.characters(exclude_categories=["Cs"]))  # without halves of surrogate pairs
FEW = settings(max_examples=50, deadline=None)


def learned(documents, vocab_size):
    bpe = part("tokenizer", "bpe", vocab_size=vocab_size)
    bpe.learn(documents, sorted(set("".join(documents))))
    return bpe


def test_merges_are_those_of_the_paper():
    """The example of Sennrich et al. (2016), without its mark for the end of a word."""
    bpe = learned(["low"] * 5 + ["lower"] * 2 + ["newest"] * 6 + ["widest"] * 3, 100)
    assert bpe.merges[:4] == [("e", "s"), ("es", "t"), ("l", "o"), ("lo", "w")]
    assert [bpe.tokens[i] for i in bpe.encode("lowest")] == ["low", "est"]


def naive(words, number):
    """Merges by the definition, and the words at the end: all pairs are counted anew for each merge."""
    chars = sorted(set("".join(words)))
    words, merges, ids = [list(word) for word in words], [], {char: i for i, char in enumerate(chars)}
    for _ in range(number):
        counts = Counter(pair for word in words for pair in pairwise(word))
        if not counts:
            break
        pair = min(counts, key=lambda pair: (-counts[pair], ids[pair[0]], ids[pair[1]]))
        merges.append(pair)
        ids["".join(pair)] = len(ids)
        for word in words:
            i = 0
            while i < len(word) - 1:
                if (word[i], word[i + 1]) == pair:
                    word[i : i + 2] = ["".join(pair)]
                i += 1
    return merges, words


@FEW
@given(st.lists(st.text("ab", min_size=1) | st.text("abcde", min_size=1), min_size=1), st.integers(0, 30))
def test_merges_and_encodings_are_those_of_the_definition(words, number):
    merges, merged = naive(words, number)
    bpe = learned(words, len(set("".join(words))) + number + 1)
    assert bpe.merges == merges
    assert [[bpe.tokens[i] for i in bpe.encode(word)] for word in words] == merged


def test_merges_do_not_cross_words():
    text = "to be, or not to be: that is it.\n\n  to be or not to be?! [[x]] = [[y]]\n" * 3
    tokens = learned([text], 1000).tokens
    assert {" to", " be", " that", "?!", " [["} < set(tokens)
    assert all(re.fullmatch(r" ?\w+| ?[^\w\s]+|\s+", token) for token in tokens)


def test_a_text_without_spaces_is_cut_into_words():
    bpe = learned(["ab" * 1000], 1000)
    assert max(map(len, bpe.tokens)) == 100
    assert bpe.decode(bpe.encode("ab" * 1000)) == "ab" * 1000


def test_there_are_fewer_tokens_if_all_words_are_merged():
    assert learned(["abab", "cab"], 1000).tokens == ["a", "b", "c", "ab", "cab", "abab"]


def test_merges_are_learned_from_training_documents_alone():
    def merges(held_out):
        corpus = Corpus(Split(["ab", "abc"], held_out, []), part("tokenizer", "bpe"))
        return corpus.tokenizer.merges

    assert merges(["cd"]) == merges(["dc", "cc"]) == [("a", "b"), ("ab", "c")]


def test_a_vocabulary_that_is_too_small_is_an_error_that_says_the_minimum(lab, tmp_path):
    done = lab("tokenizer=bpe", "tokenizer.vocab_size=3", "hydra.run.dir=run", check=2)
    minimum = "must be at least 27, the alphabet of 26 characters and BOS"
    assert done.stderr == f"error: tokenizer=bpe: tokenizer.vocab_size=3 {minimum}\n"
    assert not (tmp_path / "run").exists()


def test_the_smallest_vocabulary_has_no_merges():
    assert learned(["ab"], 3).merges == []
    with pytest.raises(
        ValueError, match="vocab_size=2 must be at least 3, the alphabet of 2 characters and BOS"
    ):
        learned(["ab"], 2)


@FEW
@given(UNICODE)
def test_bytes_encode_any_text(text):
    byte = part("tokenizer", "byte")
    assert byte.decode(byte.encode(text)) == text
    assert byte.length(text) == len(byte.encode(text)) == len(text.encode())


@FEW
@given(st.lists(st.integers(0, 255)))
def test_bytes_decode_any_ids(ids):
    part("tokenizer", "byte").decode(ids).encode()


def test_bytes_have_readable_names_and_bos_comes_after_them():
    byte = part("tokenizer", "byte")
    assert [byte.tokens[i] for i in byte.encode("a é\n")] == ["a", " ", "<0xC3>", "<0xA9>", "<0x0A>"]
    assert len(set(byte.tokens)) == 256 == Corpus(["é"], byte, split="none").bos
    assert byte.decode([97, 0xC3, 98]) == "a\ufffdb"
    with pytest.raises(ValueError, match=r"not in the vocabulary: '\\ud83d'$"):
        byte.encode("a\ud83d")


@FEW
@given(st.lists(UNICODE), UNICODE, st.integers(0, 100))
def test_pairs_encode_any_text_of_their_alphabet(documents, text, merges):
    chars = sorted(set("".join([*documents, text])))
    bpe, restored = (part("tokenizer", "bpe", vocab_size=len(chars) + 1 + merges) for _ in range(2))
    bpe.learn(documents, chars)
    restored.load_state_dict(json.loads(json.dumps(bpe.state_dict())))
    assert restored.decode(bpe.encode(text)) == text
    assert restored.encode(text) == bpe.encode(text)


def test_words_are_remembered_up_to_a_limit(monkeypatch):
    bpe = learned(NAMES, 12)
    expected = list(map(bpe.encode, NAMES))
    monkeypatch.setitem(bpe.encode.__globals__, "MAX_CACHED", 2)
    bpe.load_state_dict(bpe.state_dict())
    assert list(map(bpe.encode, NAMES * 2)) == expected * 2
    assert len(bpe._cache) <= 2


DAMAGED = {
    "nothing": {},
    "no merges": {"tokens": ["a", "b"]},
    "a merge without its token": {"tokens": ["a", "b"], "merges": [["a", "b"]]},
    "a token without its merge": {"tokens": ["a", "b", "ab"], "merges": []},
    "a merge twice": {"tokens": ["a", "b", "ab"], "merges": [["a", "b"], ["a", "b"]]},
    "two merges for a token": {
        "tokens": ["a", "aa", "aaa", "aaa"],
        "merges": [["a", "a"], ["aa", "a"], ["a", "aa"]],
    },
    "merges of other tokens": {"tokens": ["a", "b", "ab"], "merges": [["", "ab"]]},
    "a merge before its parts": {"tokens": ["a", "aaa", "aa"], "merges": [["aa", "a"], ["a", "a"]]},
    "an empty token": {"tokens": ["a", ""], "merges": [["", ""]]},
    "a character twice": {"tokens": ["a", "a"], "merges": []},
    "another order": {"tokens": ["b", "a"], "merges": []},
    "a merge of three": {"tokens": ["a", "aaa"], "merges": [["a", "a", "a"]]},
    "numbers": {"tokens": [1, 2], "merges": [[1, 2]]},
    "too many": {"tokens": [chr(100 + i) for i in range(300)], "merges": []},
}


@pytest.mark.parametrize("state", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_vocabulary_is_refused(state):
    with pytest.raises((ValueError, LookupError)):
        part("tokenizer", "bpe").load_state_dict(state)


def test_other_names_of_bytes_are_refused():
    with pytest.raises(ValueError, match="256 bytes"):
        part("tokenizer", "byte").load_state_dict({"tokens": ["a"]})


def test_a_tokenizer_may_refuse_what_it_has_to_learn():
    check(registry().get("tokenizer", "bpe"))  # which tries vocab_size=1, too


@pytest.mark.parametrize(
    ("key", "tokenizer", "differ"),
    [
        ("tokenizer", "char", True),
        ("tokenizer.vocab_size", "bpe", True),
        ("train_docs", "bpe", True),  # the merges are learned from them
        ("dataset.path", "bpe", True),
        ("init_from", "mine", True),
        ("init_from", "char", False),
        ("train_docs", "byte", False),
        ("activation", "bpe", False),
    ],
)
def test_runs_differ_in_their_tokenizer_by_kind_by_option_or_by_what_it_has_learned(key, tokenizer, differ):
    assert differ_in_tokenizer(["layers", key, "seed"], tokenizer) == differ
