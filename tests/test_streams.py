"""Long texts: random windows in training, windows that overlap in evaluations, bits per character."""

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microgpt_lab import GPT, Corpus, Tokenizer, Trainer, UserError, part
from microgpt_lab.checks.options import short_run
from microgpt_lab.core.documents import Stream
from microgpt_lab.core.guessing import guessing
from microgpt_lab.core.streams import beginning, encoded
from microgpt_lab.run.execute import tokens_trained

TEXT = "the quick brown fox jumps over the lazy dog\nand does it again, and again\n" * 30
WORDS = ["anna", "bartholomew", "caroline", "d", "maximiliana"] * 8


def trainer(documents, backend="numpy", tokenizer=None, **options):
    corpus = Corpus(documents, tokenizer, **({"block_size": 8} | options))
    sizes = {"embed": 8, "heads": 2, "block_size": corpus.block_size}
    model = GPT(corpus.vocab_size, part("activation", "relu"), part("norm", "rmsnorm"), **sizes)
    parts = part("optimizer", "adam"), part("scheduler", "linear"), part("backend", backend)
    return Trainer(model, corpus, *parts, steps=5, eval_docs=10)


def test_training_takes_windows_at_random_places_that_depend_on_seed_and_step_alone():
    corpus, same, other = (Corpus(Stream([TEXT]), block_size=8, seed=seed) for seed in (1, 1, 2))
    train = "".join(corpus.train)
    batches = [corpus.batch(step, 4) for step in range(50)]
    assert [same.batch(step, 4) for step in reversed(range(50))] == batches[::-1]
    assert other.batch(3, 4) != batches[3]
    windows = [window for batch in batches for window in batch]
    texts = [corpus.decode(window) for window in windows if corpus.bos not in window]
    assert {len(window) for window in windows} == {9} and all(text in train for text in texts)
    starts = np.array([train.index(text) for text in texts]) % 73
    assert len(set(starts)) > 40  # every place of the sentence, which repeats


def test_windows_begin_at_every_place_of_a_text_equally_often():
    corpus = Corpus(Stream(["abcdefghij"]), split="none", block_size=4)
    starts = [window[0] for step in range(2000) for window in corpus.batch(step, 4)]
    counts = [starts.count(token) for token in [corpus.bos, *range(7)]]
    assert sum(counts) == 8000 and min(counts) > 870 and max(counts) < 1130  # 1000, and 4 standard deviations


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 60), st.integers(1, 12), st.data())
def test_an_evaluation_scores_each_token_once_with_context(length, size, data):
    stride = data.draw(st.integers(0, size))
    corpus = Corpus(
        ["ab" * length, "b"], split="none", long_docs="window", block_size=size, eval_stride=stride
    )
    tokens, windows = corpus.tokens("ab" * length), corpus.windows("ab" * length)
    scored = [token for piece, context in windows for token in piece[1 + context :]]
    assert scored == tokens[1:]
    assert all(len(piece) <= size + 1 for piece, _ in windows)
    least = size - (stride or max(1, size // 2))
    assert all(context >= least for _, context in windows[1:])


@pytest.mark.parametrize("backend", ["python", "numpy", pytest.param("jax", marks=pytest.mark.slow)])
def test_the_loss_in_windows_is_that_of_each_token_after_its_context(backend):
    if backend == "jax":
        pytest.importorskip("jax", reason="needs microgpt-lab[jax]")
    run = trainer(WORDS, backend, long_docs="window", eval_stride=3)
    run.advance(5)
    tokens = run.corpus.tokens("maximiliana")
    # Predictions 0 to 7 are made in the first window, 8 to 10 in one that ends with the last, 11 in another.
    contexts = [tokens[: i + 1] for i in range(8)]
    contexts += [tokens[3 : i + 1] for i in range(8, 11)] + [tokens[4:12]]
    rows = [run.model.logits(run.weights, ids).tolist()[-1] for ids in contexts]
    nats = [
        math.log(sum(map(math.exp, row))) - row[target] for row, target in zip(rows, tokens[1:], strict=True)
    ]
    assert run.evaluate(["maximiliana"]) == pytest.approx(sum(nats) / 12, rel=1e-12)


def test_bits_per_character_are_of_whole_documents_even_if_training_truncates_them():
    cut, windows = (trainer(WORDS, long_docs=how, split="none") for how in ("truncate", "window"))
    for run in (cut, windows):
        run.held_out = WORDS
    assert cut.validate() != windows.validate()
    characters = sum(len(document) + 1 for document in WORDS)
    assert cut.bits_per_char() == windows.bits_per_char()
    nats, tokens = windows.nats(windows.pieces(WORDS))
    assert windows.bits_per_char() == pytest.approx(nats / math.log(2) / characters, rel=1e-12)
    assert tokens == characters
    assert "bits_per_char/val" in windows.validation_metrics()
    assert "bits_per_char/val" not in cut.validation_metrics()  # it would take a second evaluation


def test_bits_per_character_of_truncated_documents_are_of_their_first_thousand_characters():
    """So many that an evaluation ends in time. The end of a longer one is not scored."""
    for length, size in product((999, 1000, 1001, 1004, 5000), (5, 8)):  # whose last windows differ
        run = trainer([TEXT[:length], "a", *TEXT], split="none", long_docs="truncate", block_size=size)
        run.held_out = [TEXT[:length], "a"]
        windows = run.corpus.whole_windows(TEXT[:length])
        scored = run.corpus.decode([i for piece, n in windows for i in piece[1 + n :] if i != run.corpus.bos])
        ends = windows[-1][0][-1] == run.corpus.bos
        assert (scored, ends) == (TEXT[: min(length, 1000)], length <= 1000)
        assert len(run.corpus.whole_text(TEXT[:length])) == min(length, 1000) + 1 + ends
        zeros = {name: w * 0.0 for name, w in run.weights.items()}
        run.carry = run.packing.pack(zeros), run.carry[1]
        assert run.bits_per_char() == pytest.approx(math.log2(run.corpus.vocab_size), rel=1e-12)
        assert run.corpus.guessing_bits(run.held_out)["uniform"] == pytest.approx(
            run.bits_per_char(), rel=1e-12
        )


def test_bits_per_character_are_of_the_first_thousand_characters_even_if_longer_documents_fit_the_block():
    run = trainer([TEXT[:1500], *TEXT], split="none", long_docs="truncate", block_size=2000)
    run.held_out = [TEXT[:1500]]
    nats, tokens = run.nats(run.corpus.whole_windows(TEXT[:1500]))
    assert tokens == 1000
    assert run.bits_per_char() == pytest.approx(nats / math.log(2) / 1000, rel=1e-12)
    assert "bits_per_char/val" not in run.validation_metrics()


def test_bits_per_character_are_over_the_same_characters_with_any_tokenizer():
    """A model that gives each token the same probability has log2(vocab_size) bits a token."""
    for tokenizer, tokens_a_character in (("char", 1), ("byte", 2)):
        run = trainer(["éé", "éß", "ß"] * 9, tokenizer=part("tokenizer", tokenizer), split="none")
        run.held_out = ["éß", "é"]
        zeros = {name: w * 0.0 for name, w in run.weights.items()}
        run.carry = run.packing.pack(zeros), run.carry[1]
        bits = math.log2(run.corpus.vocab_size) * (3 * tokens_a_character + 2) / (3 + 2)
        assert run.bits_per_char() == pytest.approx(bits, rel=1e-12)
        uniform = run.corpus.guessing_bits(run.held_out)["uniform"]
        assert uniform == pytest.approx(bits, rel=1e-12)


def test_the_baselines_of_a_stream_are_counted_in_its_tokens():
    run = trainer(Stream([TEXT]))
    train, held_out = "".join(run.corpus.train), run.held_out
    assert [len(text) for text in held_out] == [len(TEXT) // 10]
    end = "\x00"
    expected = guessing([f"{end}{train}{end}"], [f"{end}{text}" for text in held_out], run.corpus.vocab_size)
    assert run.corpus.guessing(held_out) == pytest.approx(expected, rel=1e-12)
    assert run.corpus.guessing_bits(held_out)["trigram"] == pytest.approx(
        expected["trigram"] / math.log(2), rel=1e-12
    )


def test_streams_and_windows_are_scored_whole_and_short_documents_as_they_are():
    text = TEXT[:1500]
    for corpus in (Corpus(Stream([text])), Corpus([text, "a"], split="none", long_docs="window")):
        assert corpus.scores_all_of([text]) and not corpus.is_clipped(text)
        assert corpus.scored(text) == corpus.windows(text) == corpus.whole_windows(text)
        assert corpus.whole_text(text) == corpus.text(text)
    short, long = Corpus(["ab", "b"], split="none"), Corpus(["ab", text], split="none")
    assert short.scores_all_of(["ab", "b"]) and not long.scores_all_of(["ab", text])
    assert "bits_per_char/val" in trainer(["ab", "b"] * 9).validation_metrics()


class Many(Tokenizer):
    """A token for each number."""

    def __init__(self, *, number: int = 0):
        self.tokens = list(map(str, range(number)))

    def encode(self, text):
        return list(map(int, text.split()))


def test_ids_of_any_size_are_kept_and_have_characters_of_their_own():
    ids = [0, 0xD7FF, 0xD800, 0xDFFF, 0xE000, 65_534, 65_535, 65_536, 69_999]
    text = " ".join(map(str, ids))
    corpus = Corpus(Stream([text]), Many(number=70_000), split="none", block_size=4)
    assert corpus.ids.tolist() == [70_000, *ids, 70_000]
    assert encoded(["65535"], Many(number=65_536)).tolist() == [65_536, 65_535, 65_536]
    _, *symbols = corpus.text(text)
    assert len(set(symbols)) == len(ids)
    assert not any("\ud800" <= symbol <= "\udfff" for symbol in symbols)
    assert encoded(["a"], part("tokenizer", "byte")).itemsize == 2


def test_a_long_text_is_encoded_in_pieces_that_end_with_lines(monkeypatch):
    tokenizer, calls = part("tokenizer", "char"), []
    tokenizer.learn([], sorted(set(TEXT)))
    whole, encode = encoded([TEXT, "again"], tokenizer), tokenizer.encode
    monkeypatch.setattr(tokenizer, "encode", lambda text: calls.append(text) or encode(text))
    monkeypatch.setattr("microgpt_lab.core.streams.CHUNK", 100)
    assert encoded([TEXT, "again"], tokenizer) == whole
    assert "".join(calls) == TEXT + "again" and all(call.endswith("\n") for call in calls[:-1])
    assert len(calls) > 10 and max(map(len, calls)) < 200


def test_the_baselines_of_documents_in_windows_are_those_of_whole_documents():
    words = ["abbaab", "babab", "aabba", "bbaabab"]
    short, whole = (Corpus(words, long_docs="window", split="none", block_size=size) for size in (3, 16))
    assert short.guessing(words) == whole.guessing(words)
    assert short.guessing_bits(words) == whole.guessing_bits(words)


def test_hundreds_of_characters_of_a_stream_count_as_documents():
    assert beginning(["ab" * 75, "cd" * 50, "ef"], 2) == ["ab" * 75, "cd" * 25]
    assert beginning(["ab" * 50, "cd"], 1) == ["ab" * 50]
    corpus = Corpus(Stream(["ab" * 75, TEXT * 10]), block_size=8, train_docs=2)
    assert list(map(len, corpus.train)) == [150, 50] and len(corpus.ids) == 203
    assert list(map(len, corpus.held_out(1))) == [100]
    assert corpus.held_out(10**6) == list(corpus.validation)


def test_a_sample_of_a_stream_starts_a_line_and_is_new_if_it_occurs_nowhere():
    corpus = Corpus(Stream([TEXT]), block_size=8)
    assert corpus.decode(corpus.start) == "\n"
    assert corpus.new(["quick brown", "quick green"]) == [[False], [True]]
    assert Corpus(Stream(["abc" * 30]), block_size=8).start == [3]


def test_a_text_shorter_than_a_window_is_refused(tmp_path):
    with pytest.raises(ValueError, match="block_size=8 needs a text of more than 8 tokens, but there are 8"):
        Corpus(Stream(["abcdef"]), split="none", block_size=8)
    (tmp_path / "text").write_text("to be or not to be\n")
    stream = {"name": "text", "path": str(tmp_path / "text"), "unit": "stream"}
    with pytest.raises(UserError, match="block_size=64 needs a text of more than 64 tokens"):
        short_run(tmp_path / "run", dataset=stream, split="nanogpt", block_size=64)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("documents", [WORDS, Stream([TEXT])], ids=["documents", "stream"])
@pytest.mark.parametrize("long_docs", ["truncate", "window"])
@pytest.mark.parametrize("steps", [0, 3, 40])
def test_the_tokens_of_a_training_are_those_of_all_its_batches(documents, long_docs, steps):
    """40 steps are more than an epoch of the 32 documents."""
    training = trainer(documents, long_docs=long_docs)
    training.batch_size, training.step = 3, steps
    assert tokens_trained(training) == sum(training.inputs(step)[0].tokens for step in range(steps))
