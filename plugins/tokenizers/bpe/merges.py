"""Learn the merges of byte-pair encoding.

Here a word is a string in which each character stands for a token: chr(id). A pair of tokens is a string
of two characters, and to merge a pair is to replace it by one character.
"""

from collections import Counter, defaultdict
from heapq import heapify, heappop, heappush


def pairs(word):
    """Return the pairs of neighbouring tokens. They overlap: `aaa` has `aa` twice."""
    return [word[i : i + 2] for i in range(len(word) - 1)]


def learn_merges(words, alphabet, size):
    """Merge the most frequent pair of neighbouring tokens, again and again, until there are `size` tokens.

    Of equally frequent pairs, the one with the lowest ids is merged. There are fewer tokens if no pairs are
    left, because each word is one token.

    words: how often each word occurs.
    alphabet: the characters of all words, which are the first tokens.

    Return all tokens, and the merges: pairs of tokens, in order. Each merge makes one new token.
    """
    tokens, merges = list(alphabet), []
    ids = {ord(char): chr(i) for i, char in enumerate(alphabet)}
    times, words = list(words.values()), [word.translate(ids) for word in words]
    counts = Counter()
    found = defaultdict(list)  # the words in which a pair occurs, or did before other merges
    for i, word in enumerate(words):
        for pair in pairs(word):
            counts[pair] += times[i]
            found[pair].append(i)
    queue = [(-count, pair) for pair, count in counts.items()]
    heapify(queue)
    while queue and len(tokens) < size:
        count, pair = heappop(queue)
        if -count > counts[pair]:  # other merges have made it rarer
            if counts[pair]:
                heappush(queue, (-counts[pair], pair))
            continue
        left, right = (tokens[ord(char)] for char in pair)
        merges.append((left, right))
        new = chr(len(tokens))
        tokens.append(left + right)
        made = set()
        for i in found.pop(pair):
            if pair in words[i]:
                for other in pairs(words[i]):
                    counts[other] -= times[i]
                words[i] = words[i].replace(pair, new)
                for other in pairs(words[i]):
                    counts[other] += times[i]
                    if new in other:
                        found[other].append(i)
                        made.add(other)
        for other in made:
            heappush(queue, (-counts[other], other))
    return tokens, merges
