"""Tokenizers that break what must hold for each: `check` names what is broken."""

import re

import pytest
from broken_parts import broken_part

from microgpt_lab import Tokenizer
from microgpt_lab.core.tokenizer import Char
from microgpt_lab.testing import check


class Lowercase(Char):
    """Makes letters small."""

    def encode(self, text):
        return super().encode("".join(c.lower() if c.lower() in self.tokens else c for c in text))


class OwnAlphabet(Char):
    """Has the characters of the training documents alone."""

    def learn(self, documents, chars):
        super().learn(documents, sorted(set("".join(documents))))


class Unsaved(Char):
    """Encodes by a list that is not in its state."""

    def learn(self, documents, chars):
        super().learn(documents, chars)
        self.shift = 1

    def encode(self, text):
        shift = getattr(self, "shift", 0)
        return [(i + shift) % len(self.tokens) for i in super().encode(text)]

    def decode(self, ids):
        shift = getattr(self, "shift", 0)
        return super().decode([(i - shift) % len(self.tokens) for i in ids])


class Ordered(Char):
    """Has characters in the order of the documents."""

    def learn(self, documents, chars):
        super().learn(documents, list(dict.fromkeys("".join([*documents, *chars]))))


class Skips(Char):
    """Leaves out what it does not know."""

    def encode(self, text):
        return super().encode("".join(c for c in text if c in self.tokens))


class Mute(Char):
    """Does not say which character is unknown."""

    def encode(self, text):
        if set(text) - set(self.tokens):
            raise ValueError("a character is unknown")
        return super().encode(text)


class Raises(Char):
    """Raises KeyError for an unknown character."""

    def encode(self, text):
        return [self._ids[char] for char in text]


class Miscounts(Char):
    """Counts the bytes of a text."""

    def length(self, text):
        return len(text.encode())


class EndsText(Char):
    """Adds the token that ends a document."""

    def encode(self, text):
        return [*super().encode(text), len(self.tokens)]


class Sorts(Char):
    """Sorts the documents that it gets."""

    def learn(self, documents, chars):
        documents.sort()
        super().learn(documents, chars)


class Tuples(Char):
    """Has a state that JSON changes."""

    def state_dict(self):
        return {"tokens": tuple(self.tokens)}


class Repeats(Tokenizer):
    """Has a token twice."""

    def learn(self, documents, chars):
        self.tokens = [*chars, chars[0]]

    def encode(self, text):
        return list(map(self.tokens.index, text))


class Forgetful(Char):
    """Does not load its tokens."""

    def learn(self, documents, chars):
        super().load_state_dict({"tokens": chars})

    def load_state_dict(self, state):
        super().load_state_dict({"tokens": state["tokens"][:5]})


class Alternates(Char):
    """Has two tokens for each character, and takes them in turn."""

    def learn(self, documents, chars):
        super().learn(documents, chars)
        self.calls = 0

    def encode(self, text):
        self.calls = getattr(self, "calls", 0) + 1
        ids = super().encode(text)
        return ids if self.calls % 2 else ids[::-1]

    def decode(self, ids):
        text = super().decode(ids)
        return text if self.calls % 2 else text[::-1]


BROKEN = [
    (Lowercase, r"lossy: decode\(encode\(text\)\) is 't' for 'T'"),
    (OwnAlphabet, r"encode\('3'\) raises ValueError: not in the vocabulary: '3'"),
    (Unsaved, "state_dict is not complete: a tokenizer restored from it encodes '.*' differently"),
    (Ordered, "depends on the order of documents: it learns something else if reversed"),
    (Skips, "lossy: the unknown character ☃ is encoded, but decoded as 'an': raise ValueError"),
    (Mute, "the error for the unknown character ☃ does not name it"),
    (Raises, r"encode\('a☃n'\), with an unknown character, raises KeyError, not ValueError"),
    (Miscounts, "wrong length: length"),
    (EndsText, r"not a token: encode\(''\) has"),
    (Sorts, "learn changes the documents"),
    (Tuples, "state_dict must return what JSON has"),
    (Repeats, "two tokens are the same"),
    (Forgetful, "load_state_dict does not restore the tokens"),
    (Alternates, "not repeatable: a second encode"),
]


@pytest.mark.parametrize(("make", "message"), BROKEN, ids=[make.__name__ for make, _ in BROKEN])
def test_a_broken_tokenizer_is_told_what_it_breaks(make, message):
    with pytest.raises(AssertionError) as caught:
        check(broken_part("tokenizer", make))
    assert re.search(message, str(caught.value)), caught.value
