"""Merges and encodings, compared with Hugging Face's tokenizers; filters of samplers, with transformers'."""

import itertools
import json
import string
from random import Random

import pytest

from microgpt_lab import part

pytestmark = pytest.mark.slow
RNG = Random(0)
LETTERS = string.ascii_letters
PROSE = RNG.choices(
    ["the", "of", "and", "in", "that", "be", *(LETTERS[i : i + 4] for i in range(40))], k=4000
)
TEXTS = {
    "names": part("dataset", "us_names")()[:5000],
    "prose": [
        "".join(
            word + RNG.choice(["", " ", " ", " ", "\n", ", ", ".\n\n  ", "'s ", " -- "]) for word in PROSE
        )
    ],
    "noise": ["".join(RNG.choices("abc", k=RNG.randint(1, 60))) for _ in range(500)],
    "every kind of character": ["".join(RNG.choices(string.printable, k=200)) for _ in range(100)],
    "one letter": ["a" * n for n in range(1, 300)],
    "many scripts": [
        " ".join(RNG.choices(["naïve", "λόγος", "слово", "文字", "🙂🙂"], k=50)) for _ in range(50)
    ],
}


def theirs(documents, chars, vocab_size):
    """Their byte-pair encoding, learned from the same documents, with the same pattern of words."""
    tokenizers = pytest.importorskip("tokenizers", reason="needs microgpt-lab[torch]")
    bpe = part("tokenizer", "bpe")
    pattern = tokenizers.Regex(bpe.encode.__globals__["WORD"].pattern)
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Split(pattern, "isolated")
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=vocab_size - 1, initial_alphabet=chars, show_progress=False
    )
    tokenizer.train_from_iterator(documents, trainer)
    return tokenizer


@pytest.mark.parametrize("more", [10, 200, 3000])
@pytest.mark.parametrize("name", TEXTS)
def test_merges_and_encodings_equal_those_of_tokenizers(name, more):
    documents = TEXTS[name]
    chars = sorted(set("".join(documents)))
    their = theirs(documents, chars, len(chars) + 1 + more)
    ours = part("tokenizer", "bpe", vocab_size=len(chars) + 1 + more)
    ours.learn(documents, chars)
    model = json.loads(their.to_str())["model"]
    assert ours.tokens == sorted(model["vocab"], key=model["vocab"].get)
    assert ours.merges == [tuple(pair) for pair in model["merges"]]
    rng = Random(1)
    texts = [*documents[:500], *("".join(rng.choices(chars, k=100)) for _ in range(200))]
    for text in texts:
        assert ours.encode(text) == their.encode(text).ids


VALUES = {
    "temperature": (0.3, 1.0, 2.5),
    "top_k": (0, 1, 3, 100),
    "top_p": (0.2, 0.9, 1.0),
    "min_p": (0, 0.1, 0.8),
}


@pytest.mark.parametrize("kind", ["random", "ties", "far apart"])
def test_filters_equal_those_of_transformers(kind):
    torch = pytest.importorskip("torch", reason="needs microgpt-lab[torch]")
    process = pytest.importorskip("transformers.generation.logits_process", reason="needs transformers")
    rng = Random(kind)
    draw = {
        "random": lambda: rng.gauss(0, 2),
        "ties": lambda: float(rng.choice([-1, 0, 1.5])),
        "far apart": lambda: rng.gauss(0, 100),
    }[kind]
    for values in itertools.product(*VALUES.values()):
        options = dict(zip(VALUES, values))
        if kind == "ties" and options["top_p"] < 1:
            continue  # which of equal tokens their top_p keeps depends on how PyTorch sorts
        warpers = [process.TemperatureLogitsWarper(options["temperature"])]
        warpers += [process.TopKLogitsWarper(options["top_k"])] if options["top_k"] else []
        warpers += [process.TopPLogitsWarper(options["top_p"])] if options["top_p"] < 1 else []
        warpers += [process.MinPLogitsWarper(options["min_p"])] if options["min_p"] else []
        for size in (1, 2, 27, 300):
            logits = [draw() for _ in range(size)]
            scores = torch.tensor([logits], dtype=torch.float64)
            for warper in warpers:
                scores = warper(None, scores)
            expected = scores.softmax(-1)[0].tolist()
            probabilities = part("sampler", "multinomial", **options).probabilities(logits)
            assert probabilities == pytest.approx(expected, abs=1e-12), options
            assert [p > 0 for p in probabilities] == [p > 0 for p in expected], options
