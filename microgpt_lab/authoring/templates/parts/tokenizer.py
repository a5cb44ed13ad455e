from collections import Counter
from itertools import pairwise

from microgpt_lab import Tokenizer, between, hookimpl


class MyPart(Tokenizer):
    """A token for each character, and for each of the most frequent pairs.

    A text is read from left to right. A pair never shares a character with another.

    pairs: number of pairs that are tokens.
    """

    name = "my_part"  # on the command line

    # Parameters after * are options, tokenizer.pairs here, with a type and a default.
    def __init__(self, *, pairs: int = 50):
        between(0, 100_000, pairs=pairs)  # other values are refused in one line
        self.pairs = pairs

    # Set tokens, in the order of their ids. documents are those of the training split;
    # chars are the characters of the whole data set, all of which must be encoded.
    def learn(self, documents, chars):
        counts = Counter(a + b for document in documents for a, b in pairwise(document))
        frequent = sorted(counts, key=lambda pair: (-counts[pair], pair))
        self.load_state_dict({"tokens": [*chars, *frequent[: self.pairs]]})

    # A checkpoint contains state_dict(), {"tokens": …}. Override both to keep more.
    def load_state_dict(self, state):
        super().load_state_dict(state)
        self.ids = {token: i for i, token in enumerate(self.tokens)}

    # The ids of a text. decode(ids) joins the tokens: override it if that is wrong.
    def encode(self, text):
        ids, at = [], 0
        while at < len(text):
            token = text[at : at + 2] if text[at : at + 2] in self.ids else text[at]
            if token not in self.ids:
                raise ValueError(f"not in the vocabulary: {token!r}")
            ids.append(self.ids[token])
            at += len(token)
        return ids


@hookimpl
def tokenizers():
    return [MyPart]
