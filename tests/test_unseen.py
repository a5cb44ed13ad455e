"""Pieces of documents that a model is given, and which of them training has seen."""

import math
import re

import pytest

from microgpt_lab import GPT, Corpus, Trainer, UserError, part
from microgpt_lab.checks.options import short_run
from microgpt_lab.core.documents import SPLITS
from microgpt_lab.core.pieces import END
from microgpt_lab.registry.parts import Part
from microgpt_lab.registry.plugins import registry
from microgpt_lab.run.folder import Summary
from microgpt_lab.testing import check_variant

TASKS = [name for kind, name in registry().parts if kind == "dataset"]
TASKS = [name for name in TASKS if hasattr(registry().get("dataset", name).make, "answer_after")]
VARIANTS = {
    "reverse": [
        {},
        {"documents": 100},
        {"documents": 3000, "length": 4},
        {"documents": 40_000},
        {"length": 2},
        {"letters": "ab", "length": 12},
        {"letters": "abcdefghijklmnopqrstuvwxyz", "length": 20},
    ],
    "arithmetic": [
        *({"operation": operation, "modulus": modulus} for operation in "+-*" for modulus in (0, 7, 97)),
        {"digits": 1},
    ],
}


@pytest.mark.parametrize("name", TASKS)
def test_held_out_documents_of_a_task_are_new_to_training(name):
    for options in VARIANTS.get(name, [{}]):
        documents = part("dataset", name, **options)()
        for split in SPLITS:
            if split == "eureka" and len(documents) <= 2000:
                continue  # eureka refuses such small data sets
            for seed, train_docs in ((42, 0), (7, 50)):
                corpus = Corpus(
                    documents,
                    split=split,
                    seed=seed,
                    train_docs=train_docs,
                    block_size=max(map(len, documents)) + 1,
                )
                assert bool(corpus.validation) == (split != "none")
                assert all(map(all, corpus.new([*corpus.validation, *corpus.test]))), (options, split)


def test_reverse_has_the_given_number_of_words_or_all_if_fewer_exist():
    assert len(part("dataset", "reverse")()) == 10_000
    assert sorted(part("dataset", "reverse", letters="ba", length=2)()) == sorted(
        f"{word}={word[::-1]}" for word in ("a", "b", "aa", "ab", "ba", "bb")
    )
    lengths = [
        len(d) // 2
        for d in part("dataset", "reverse", letters="abcdefghijklmnop", documents=9000, length=6)()
    ]
    assert [lengths.count(n) for n in range(1, 7)] == [16, 256, 2182, 2182, 2182, 2182]


def test_a_task_whose_answers_would_be_truncated_is_refused(tmp_path):
    task = {"name": "reverse", "length": 4}
    with pytest.raises(
        UserError, match="block_size=8 cuts the answers of 4,096 of 4,680 tasks: write block_size=10"
    ):
        short_run(tmp_path / "run", dataset=task, block_size=8)
    assert short_run(tmp_path / "run", dataset=task, block_size=10)["status"] == "ok"


def test_a_task_may_not_repeat_a_question_but_names_may_repeat():
    def names():
        """Names."""
        return ["anna", "bob", "anna"]

    def task():
        """Sums."""
        return ["1+1=2", "1+2=3", "1+1=2"]

    check_variant(Part("dataset", "names", names, "tests"))
    task.answer_after = "="
    with pytest.raises(AssertionError, match=r"'1\+1' occurs 2 times"):
        check_variant(Part("dataset", "task", task, "tests"))


WORDS = ["abc", "abcdefgh", "abcdefghijklm", "ab", "a", "xyz", "abcd"] * 6


@pytest.mark.parametrize("long_docs", ["truncate", "window"])
@pytest.mark.parametrize("size", [1, 2, 3, 4, 7, 16])
def test_training_and_comparison_use_the_same_pieces_and_evaluation_scores_each_token_once(long_docs, size):
    corpus = Corpus(WORDS, long_docs=long_docs, block_size=size, split="none")
    model = GPT(
        corpus.vocab_size, part("activation", "relu"), part("norm", "rmsnorm"), embed=4, block_size=size
    )
    parts = part("optimizer", "adam"), part("scheduler", "linear"), part("backend", "python")
    trainer = Trainer(model, corpus, *parts, steps=1)

    def text(tokens):
        return "".join(END if token == corpus.bos else corpus.tokenizer.tokens[token] for token in tokens)

    cut = [text for document in corpus.train for text in corpus.texts(document)]
    scored = [text(piece[1 + context :]) for piece, context in trainer.pieces(corpus.train)]
    batches = [trainer.inputs(step)[0] for step in range(len(corpus.order))]
    trained = [text([*ids, targets[-1]]) for batch in batches for ids, targets in batch.pairs]
    assert cut == trained
    assert "".join(scored) == "".join(piece[1:] for piece in cut)
    assert max(map(len, cut)) <= size + 1


def test_documents_that_are_equal_after_truncation_count_as_seen():
    corpus = Corpus(["abcd", "abce", "ab"], block_size=3, split="none")
    corpus.train = ["abcd", "ab"]
    assert corpus.new(["abce", "abcd", "abc", "ab", "a"]) == [[False], [False], [False], [False], [True]]
    corpus.block_size = 4  # now the end of the document abc fits into the block
    assert corpus.new(["abce", "abcd", "abc", "ab"]) == [[True], [False], [True], [False]]
    corpus.long_docs, corpus.block_size = "window", 2
    assert corpus.new(["abce", "abxy"]) == [[False, True, True], [False, True, True]]


def test_training_has_seen_70_percent_of_unicode_names_at_block_16():
    corpus = Corpus(part("dataset", "unicode_names")())
    new = corpus.new(corpus.validation)
    assert 1 - sum(map(any, new)) / len(new) == pytest.approx(0.701, abs=0.0005)
    assert not any(map(any, corpus.new([document[:16] for document in corpus.train])))
    corpus = Corpus(part("dataset", "us_names")())
    assert corpus.new(corpus.validation).count([False]) / len(corpus.validation) == pytest.approx(
        0.1265, abs=0.0005
    )


@pytest.mark.parametrize("backend", ["python", "numpy", pytest.param("jax", marks=pytest.mark.slow)])
@pytest.mark.parametrize("long_docs", ["truncate", "window"])
def test_the_unseen_loss_is_the_loss_of_the_unseen_documents_alone(backend, long_docs):
    if backend == "jax":
        pytest.importorskip("jax", reason="needs microgpt-lab[jax]")
    corpus = Corpus(part("dataset", "unicode_names")()[:900], long_docs=long_docs, block_size=12)
    model = GPT(
        corpus.vocab_size, part("activation", "relu"), part("norm", "rmsnorm"), embed=4, block_size=12
    )
    parts = part("optimizer", "adam"), part("scheduler", "linear"), part("backend", backend)
    trainer = Trainer(model, corpus, *parts, steps=1, eval_docs=50)
    known = {text for document in corpus.train for text in corpus.texts(document)}
    unseen = [d for d in trainer.held_out if any(text not in known for text in corpus.texts(d))]
    assert 0 < len(unseen) < len(trainer.held_out)
    loss, documents = trainer.validate_unseen()
    assert loss == pytest.approx(trainer.evaluate(unseen), rel=1e-12)
    assert documents == len(unseen)
    assert trainer.validate() == trainer.evaluate(trainer.held_out)


def test_without_unseen_documents_there_is_no_unseen_loss(tmp_path):
    (tmp_path / "text").write_text("anna\nbob\n" * 50)
    summary = short_run(
        tmp_path / "run", dataset={"name": "text", "path": str(tmp_path / "text")}, train_docs=0
    )
    assert summary["documents/val_unseen"] == 0 and "loss/val_unseen" not in summary
    assert math.isfinite(summary["loss/val"])


def test_the_schema_has_every_figure_of_a_summary(tmp_path):
    """The run trains on a task, which has the most figures, and has seen some of the held-out documents."""
    summary = short_run(tmp_path / "run")
    figures = {key for key, value in summary.items() if isinstance(value, (int, float))}
    assert {"loss/val_unseen", "exact_match"} <= figures <= Summary.__annotations__.keys()


def test_samples_equal_to_truncated_training_documents_are_not_new(tmp_path, capsys):
    """Documents of thirty letters are truncated to four: a sample of four letters equals all of them."""
    (tmp_path / "text").write_text(("a" * 30 + "\n") * 20)
    text = {"name": "text", "path": str(tmp_path / "text")}
    sizes = {"block_size": 4, "steps": 20, "eval_every": 0, "sampler": {"name": "greedy"}}
    summary = short_run(tmp_path / "run", dataset=text, callback={"console": {"name": "console"}}, **sizes)
    assert summary["samples"] == ["aaaa"] and summary["samples_new"] == 0
    output = capsys.readouterr().out
    assert re.search(r"aaaa +\d\.\d\d +in train", output) and "validation 100.0% also in training" in output
    assert "unseen" in output and "none on 0" in output


def test_guessing_uses_the_truncated_documents(tmp_path):
    found = []
    for tail in ("xy", "yyyxx"):  # beyond the block
        (tmp_path / "text").write_text("".join(f"{word}{tail}\n" for word in ("abab", "abba", "baab") * 20))
        text = {"name": "text", "path": str(tmp_path / "text")}
        found.append(short_run(tmp_path / "run", dataset=text, block_size=4)["guessing"])
    assert found[0] == found[1]


def test_a_corpus_and_a_model_that_truncate_differently_are_refused():
    corpus = Corpus(WORDS)
    parts = part("optimizer", "adam"), part("scheduler", "linear"), part("backend", "python")

    def trainer(block_size):
        sizes = {"embed": 4, "block_size": block_size}
        return Trainer(
            GPT(corpus.vocab_size, part("activation", "relu"), part("norm", "rmsnorm"), **sizes),
            corpus,
            *parts,
        )

    with pytest.raises(ValueError, match="Corpus has block_size=16, GPT has 8: give both the same"):
        trainer(8)
    trainer(14), trainer(32)  # the longest word and its end are 14 tokens


@pytest.mark.parametrize("ask", ["validate", "validate_unseen", "evaluate"])
def test_a_loss_on_no_documents_is_refused(ask):
    corpus = Corpus(WORDS, split="none")
    model = GPT(corpus.vocab_size, part("activation", "relu"), part("norm", "rmsnorm"), embed=4)
    parts = part("optimizer", "adam"), part("scheduler", "linear"), part("backend", "python")
    trainer = Trainer(model, corpus, *parts)
    with pytest.raises(ValueError, match="no documents to evaluate"):
        getattr(trainer, ask)(*([[]] if ask == "evaluate" else []))


def test_a_run_prints_which_part_of_its_validation_split_training_has_seen(lab, tmp_path):
    options = "backend=numpy", "steps=0", "samples=2", "callback=[console]", "hydra.run.dir=run"
    output = lab(*options, check=0).stdout
    assert "validation 12.6% also in training" in output and "warning" not in output
    assert "  unseen     3.3" in output and "on 170 outside the training split" in output
    output = lab(*options, "dataset=unicode_names", check=0).stdout
    assert "validation 70.1% also in training" in output
    assert (
        "warning: 70% of the validation documents, cut at block_size=16, are also in the training split"
        in output
    )
