"""The loss of each document, and the standard error of their ratio."""

import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from needs import needs

from microgpt_lab import GPT, Corpus, Trainer, part
from microgpt_lab.core.documents import Stream
from microgpt_lab.core.ratio import ratio
from microgpt_lab.options.changed import changed
from microgpt_lab.options.compose import compose
from microgpt_lab.registry.plugins import registry
from microgpt_lab.run.evaluate import evaluate
from microgpt_lab.run.looks import LOOKS, count_look, ordinal
from microgpt_lab.run.trained import Trained

WORDS = ["anna", "bartholomew", "caroline", "d", "maximiliana", "eve", "ina", "leonora", "otto"] * 6
TEXT = "the quick brown fox jumps over the lazy dog\nand does it again, and again\n" * 30


def trainer(documents=WORDS, backend="numpy", tokenizer=None, **options):
    corpus = Corpus(documents, tokenizer, **({"block_size": 8, "split": "makemore"} | options))
    sizes = {"embed": 8, "heads": 2, "block_size": corpus.block_size}
    model = GPT(corpus.vocab_size, part("activation", "relu"), part("norm", "rmsnorm"), **sizes)
    parts = part("optimizer", "adam"), part("scheduler", "linear"), part("backend", backend)
    return Trainer(model, corpus, *parts, steps=0, eval_docs=0)


def evaluated(t):
    """What `evaluate` says of the validation documents of a trainer."""
    config = {"backend": {"name": "numpy"}}
    trained = Trained(config, t.model, t.weights, t.corpus.tokenizer, t.corpus.start)
    return evaluate(trained, t.corpus, t.held_out)


def test_a_standard_error_equals_that_of_the_linearized_ratio_and_of_the_bootstrap():
    rng = np.random.default_rng(1)
    tokens = rng.integers(3, 12, 400)
    nats = tokens * rng.normal(2.3, 0.6, 400) + rng.normal(0, 0.5, 400)
    found = ratio(nats.tolist(), tokens.tolist())
    r = nats.sum() / tokens.sum()
    (aa, ab), (_, bb) = np.cov(nats, tokens)
    expected = math.sqrt((aa - 2 * r * ab + r * r * bb) / 400) / tokens.mean()
    assert found.value == pytest.approx(r, rel=1e-14) and found.error == pytest.approx(expected, rel=1e-12)
    drawn = rng.integers(0, 400, (4000, 400))
    bootstrap = (nats[drawn].sum(1) / tokens[drawn].sum(1)).std()
    assert found.error == pytest.approx(bootstrap, rel=0.05)


def test_a_single_document_has_no_standard_error_and_equal_ones_have_none_left():
    assert ratio([6.0], [3]).value == 2 and math.isnan(ratio([6.0], [3]).error)
    assert ratio([6.0, 4.0, 2.0], [3, 2, 1]) == (2.0, 0.0)


@pytest.mark.parametrize("name", [name for name in registry().names("backend") if name != "python"])
def test_the_losses_of_documents_are_the_same_on_every_backend(name):
    needs(name)
    options = {"split": "zero2hero", "long_docs": "window", "block_size": 6}
    reference, t = trainer(backend="python", **options), trainer(backend=name, **options)
    expected = reference.nats_of_each(list(map(t.corpus.scored, t.held_out)))
    found = t.nats_of_each(list(map(t.corpus.scored, t.held_out)))
    for (nats, tokens), (expected_nats, expected_tokens) in zip(found, expected, strict=True):
        assert nats == pytest.approx(expected_nats, rel=1e-12) and tokens == expected_tokens


@pytest.mark.parametrize("long_docs", ["truncate", "window"])
def test_the_losses_of_documents_add_up_to_the_validation_loss(long_docs):
    t = trainer(long_docs=long_docs)
    each = t.nats_of_each(list(map(t.corpus.scored, t.held_out)))
    for document, (nats, tokens) in zip(t.held_out, each, strict=True):
        assert tokens == (min(len(document) + 1, 8) if long_docs == "truncate" else len(document) + 1)
        assert nats / tokens == pytest.approx(t.evaluate([document]), rel=1e-12)
    found = evaluated(t)
    assert found.loss.value == pytest.approx(t.validate(), rel=1e-12)
    assert found.bits.value == pytest.approx(t.bits_per_char(), rel=1e-12)
    assert (found.units, found.tokens) == (len(t.held_out), sum(tokens for _, tokens in each))
    assert found.loss.error == ratio(*zip(*each)).error
    assert found.guessing == t.corpus.guessing(t.held_out)


def test_bits_of_whole_documents_have_the_error_of_nats_where_a_character_is_a_token():
    found = evaluated(trainer(long_docs="window"))
    assert found.bits.error == pytest.approx(found.loss.error / math.log(2), rel=1e-12)
    truncated = evaluated(trainer(long_docs="truncate"))
    assert truncated.bits.error != pytest.approx(truncated.loss.error / math.log(2), rel=1e-3)
    assert truncated.bits.value == pytest.approx(found.bits.value, rel=1e-12)  # of whole documents, too


@pytest.mark.parametrize("tokenizer", ["char", "byte"])
def test_the_units_of_a_stream_are_its_windows(tokenizer):
    t = trainer(Stream([TEXT]), tokenizer=part("tokenizer", tokenizer), split="nanogpt", eval_stride=3)
    found, windows = evaluated(t), t.pieces(t.held_out)
    assert found.units == len(windows) > 20 and found.tokens == sum(map(len, t.held_out))
    nats = [t.nats([window])[0] for window in windows]
    tokens = [len(ids) - 1 - context for ids, context in windows]
    assert found.loss.error == pytest.approx(ratio(nats, tokens).error, rel=1e-12)
    assert found.bits.error == pytest.approx(found.loss.error / math.log(2), rel=1e-12)
    assert found.loss.value == pytest.approx(t.validate(), rel=1e-12)
    assert found.bits.value == pytest.approx(t.bits_per_char(), rel=1e-12)


def test_eval_docs_0_evaluates_all_documents():
    t = trainer(split="zero2hero")
    assert t.held_out == t.corpus.validation and t.corpus.held_out(2) == t.corpus.validation[:2]
    stream = trainer(Stream([TEXT]), split="nanogpt").corpus
    assert stream.held_out(0) == stream.validation and stream.held_out(1) == [stream.validation[0][:100]]


def test_looks_of_several_processes_are_all_counted(tmp_path):
    with ThreadPoolExecutor(4) as pool:
        looks = list(pool.map(lambda _: count_look(tmp_path), range(24)))
    assert sorted(looks) == list(range(1, 25))
    assert {file.name for file in tmp_path.iterdir()} == {LOOKS, ".test_looks.lock"}


def test_looks_are_written_as_words():
    assert [ordinal(n) for n in (1, 3, 10, 11, 12, 13, 21, 102, 111, 1003)] == (
        ["first", "third", "tenth", "11th", "12th", "13th", "21st", "102nd", "111th", "1003rd"]
    )


def test_a_part_that_is_not_chosen_anew_keeps_the_options_of_the_run():
    config = compose(["backend=numpy", "backend.precision=float32", "dataset=reverse", "dataset.length=3"])
    new = changed(config, ["dataset.letters=ab", "backend=python", "eval_docs=0"])
    assert new["dataset"] == config["dataset"] | {"letters": "ab"}
    assert new["dataset"]["length"] == 3 and new["backend"] == {"name": "python"} and new["eval_docs"] == 0
    assert new | {key: config[key] for key in ("dataset", "backend", "eval_docs")} == config
