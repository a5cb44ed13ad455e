from random import Random

from microgpt_lab import between, hookimpl


# A list of documents, which are strings; Stream([text, …]) of long texts; or
# Split(train, validation, test) of either. It must be the same each time.
# Parameters after * are options, dataset.length here, each with a type and a default.
def my_part(*, documents: int = 5000, length: int = 6):
    """Different words of random letters, each with its letters in order: dab=abd.

    documents: number of words that are drawn, of which doubles are left out.
    length: letters in a word.
    """
    between(1, 1_000_000, documents=documents)  # other values are refused in one line
    between(1, 100, length=length)
    rng = Random(0)
    drawn = ("".join(rng.choices("abcdefgh", k=length)) for _ in range(documents))
    return [f"{word}={''.join(sorted(word))}" for word in dict.fromkeys(drawn)]


# A task: what follows this text is the answer. Remove the line if there is none.
my_part.answer_after = "="


@hookimpl
def datasets():
    return [my_part]
