"""Documents: lists, streams and data sets with their own split, and how each is split."""

from itertools import product
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microgpt_lab import Split, Stream
from microgpt_lab.core.documents import CUTS, SPLITS, Documents, check_returned
from microgpt_lab.run.environment import documents_sha256

OWN = Split(["a", "b", "c"], ["d"], ["e", "f"])


def test_documents_of_documents_are_the_same_object():
    documents = Documents(Stream(["ab"]))
    assert Documents(documents) is documents and documents.stream and not documents.own_split
    assert not Documents(["ab"]).stream


@given(st.lists(st.text(max_size=30), max_size=6), st.sampled_from(list(CUTS)))
def test_a_stream_is_cut_in_order_by_position(texts, name):
    """The parts, one after the other, are the whole stream, cut at percentages of its characters."""
    whole = "".join(texts)
    first, second = {
        "zero2hero": (int(0.8 * len(whole)), int(0.9 * len(whole))),
        "nanogpt": (int(0.9 * len(whole)), len(whole)),
        "none": (len(whole), len(whole)),
    }[name]
    try:
        split = Documents(Stream(texts)).split(name)
    except ValueError:
        assert len(whole) < 10
        return
    assert ["".join(part) for part in split] == [whole[:first], whole[first:second], whole[second:]]
    assert all(type(part) is Stream and all(part) for part in split)
    assert [text for text in texts if text][: len(split.train) - 1] == split.train[:-1]


def test_a_cut_divides_a_text():
    split = Documents(Stream(["ab", "cdefgh", "ij", "klmnopqrst"])).split("zero2hero")
    assert split == (["ab", "cdefgh", "ij", "klmnop"], ["qr"], ["st"])
    assert Documents(Stream(["abcdefghi", "j"])).split("nanogpt") == (["abcdefghi"], ["j"], [])


@pytest.mark.parametrize(("name", "length"), [("zero2hero", 5), ("zero2hero", 1), ("nanogpt", 1)])
def test_a_stream_of_a_few_characters_cannot_be_split(name, length):
    with pytest.raises(ValueError, match=rf"^split={name} cuts a stream of {length} characters into nothing"):
        Documents(Stream(["x" * length])).split(name)


@pytest.mark.parametrize("name", sorted(SPLITS.keys() - CUTS.keys()))
def test_splits_that_shuffle_refuse_a_stream(name):
    with pytest.raises(ValueError, match=rf"^split={name} shuffles .* use zero2hero, nanogpt, none$"):
        Documents(Stream(["x" * 5000])).split(name)


def test_nanogpt_splits_documents_in_order():
    documents = [f"document {i}" for i in range(19)]
    assert Documents(documents).split("nanogpt") == (documents[:17], documents[17:], [])


@pytest.mark.parametrize("kind", [list, Stream])
def test_a_data_set_may_bring_its_own_split(kind):
    documents = Documents(Split(*map(kind, OWN)))
    assert documents == tuple("abcdef") and documents.own_split and documents.stream == (kind is Stream)
    assert documents.split("zero2hero") == OWN and type(documents.split("zero2hero").test) is kind
    assert documents.split("none") == (list("abcdef"), [], [])
    for name in SPLITS.keys() - {"zero2hero", "none"}:
        with pytest.raises(ValueError, match=rf"^split={name}: the data set has its own split"):
            documents.split(name)


def test_streams_are_not_shuffled_but_the_generator_is_that_of_the_seed():
    texts = [f"text number {i}" for i in range(50)]
    train, state = Documents(Stream(texts)).shuffled("none", 7)
    assert train == texts and state == Random(7).getstate()
    train, state = Documents(texts).shuffled("none", 7)
    assert train != texts and sorted(train) == sorted(texts) and state != Random(7).getstate()


def test_the_hash_tells_documents_streams_and_splits_apart():
    """The hash of a plain list is that of earlier versions, so that their runs can be resumed."""
    lists = (["ab", "c"], ["a", "bc"])
    splits = (Split(["ab"], ["c"], []), Split(["ab", "c"], [], []), Split(["ab"], [], ["c"]))
    streams = [Stream(texts) for texts in lists] + [Split(*map(Stream, split)) for split in splits]
    hashes = [documents_sha256(Documents(documents)) for documents in (*lists, *splits, *streams)]
    assert len(set(hashes)) == len(hashes)
    assert hashes[0].startswith("5d3417e0b6f7f768")


NOT_DOCUMENTS = {
    "a tuple": ("ab", "c"),
    "numbers": ["ab", 3],
    "a split with a generator": Split(["ab"], iter("c"), []),
    "a split with numbers": Split(["ab"], ["c"], [3]),
    "a list and a stream": Split(["ab"], Stream(["c"]), []),
    "nothing": [],
    "an empty stream": Stream(),
    "nothing to train on": Split([], ["ab"], []),
    "an empty text": Stream(["ab", ""]),
    "half a surrogate pair": Split(["ab"], [], ["x\ud800"]),
}


@pytest.mark.parametrize("what", NOT_DOCUMENTS)
def test_what_a_data_set_must_not_return(what):
    with pytest.raises(ValueError, match=r"^dataset=mine") as error:
        check_returned("dataset=mine", NOT_DOCUMENTS[what])
    assert "\n" not in str(error.value)
    assert ("2" in str(error.value)) == (what in ("an empty text", "half a surrogate pair"))


def test_what_a_data_set_may_return():
    for kind, rest in product((list, Stream), ([], ["b"])):
        check_returned("dataset=mine", kind(["a"]))
        check_returned("dataset=mine", Split(kind(["a"]), kind(rest), kind(rest)))
    check_returned("dataset=mine", ["", "a"])
