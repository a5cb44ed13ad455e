import re
from collections import Counter

from microgpt_lab import Tokenizer, between, hookimpl
from microgpt_lab.core.tokenizer import unknown_characters

from .merges import learn_merges, pairs

# Letters and digits, or other characters, with a space before them; or white space. As in GPT-2, but at most
# 100 characters, so that a text without spaces does not take long.
WORD = re.compile(r" ?\w{1,100}| ?[^\w\s]{1,100}|\s{1,100}(?!\S)|\s{1,100}")
MAX_CACHED = 100_000  # words, about 20 MB


class BPE(Tokenizer):
    """Byte-pair encoding over characters: frequent character sequences are tokens (Sennrich et al., 2016).

    It begins with a token for each character of the data set, and merges the two tokens that are most often
    next to each other in the training documents into a new one, again and again. Merges never cross the
    border of a word; a word includes the space before it, as in GPT-2 (Radford et al., 2019).

    `merges` are the pairs of tokens that were merged, in order. To encode a word, they are applied in this
    order.

    vocab_size: number of tokens: the alphabet, the merges, and BOS. There are fewer if every word has become
        one token.
    """

    def __init__(self, *, vocab_size: int = 256):
        between(1, 1_000_000, vocab_size=vocab_size)
        self.vocab_size = vocab_size
        self.merges = []

    def learn(self, documents, chars):
        if self.vocab_size <= len(chars):
            raise ValueError(
                f"vocab_size={self.vocab_size} must be at least {len(chars) + 1}, "
                f"the alphabet of {len(chars)} characters and BOS"
            )
        words = Counter(match.group() for document in documents for match in WORD.finditer(document))
        tokens, merges = learn_merges(words, chars, self.vocab_size - 1)
        self.load_state_dict({"tokens": tokens, "merges": merges})

    def encode(self, text):
        ids = []
        for word in WORD.findall(text):
            if word not in self._cache:
                if len(self._cache) >= MAX_CACHED:
                    self._cache.clear()
                self._cache[word] = self._encode_word(word)
            ids += self._cache[word]
        return ids

    def _encode_word(self, word):
        """Return the ids of a word: of the pairs in it, merge the one that was learned first, and repeat."""
        try:
            tokens = "".join([self._chars[char] for char in word])
        except KeyError:
            raise ValueError(unknown_characters(word, self._chars)) from None
        while known := [pair for pair in pairs(tokens) if pair in self._ranks]:
            pair = min(known, key=self._ranks.__getitem__)
            tokens = tokens.replace(pair, self._merged[pair])
        return [ord(char) for char in tokens]

    def state_dict(self):
        return super().state_dict() | {"merges": [list(pair) for pair in self.merges]}

    def load_state_dict(self, state):
        merges = [(str(left), str(right)) for left, right in state["merges"]]
        tokens = list(map(str, state["tokens"]))
        alphabet = {token for token in tokens if len(token) == 1}
        ids = {token: chr(i) for i, token in enumerate(tokens)}  # as in learn_merges
        made = [left + right for left, right in merges]
        if tokens != [*sorted(alphabet), *made] or len(ids) < len(tokens):
            raise ValueError("its tokens are not its alphabet and what its merges make")
        if not all(part in ids and ids[part] < ids["".join(pair)] for pair in merges for part in pair):
            raise ValueError("its merges are not of tokens before them")
        if len(tokens) >= self.vocab_size:
            raise ValueError(f"its {len(tokens)} tokens and BOS are more than vocab_size={self.vocab_size}")
        self.tokens, self.merges, self._cache = tokens, merges, {}
        self._chars = {char: ids[char] for char in alphabet}
        self._ranks = {ids[left] + ids[right]: rank for rank, (left, right) in enumerate(merges)}
        self._merged = {ids[left] + ids[right]: ids[left + right] for left, right in merges}


@hookimpl
def tokenizers():
    return [BPE]
