"""Evaluate the model of a run on the documents of a split, as the run's own evaluations do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from microgpt_lab.core.data import Corpus
from microgpt_lab.core.documents import Split
from microgpt_lab.core.evaluation import Evaluator
from microgpt_lab.core.ratio import Ratio, ratio
from microgpt_lab.errors import UserError, at_least
from microgpt_lab.options.config import converted_config
from microgpt_lab.registry.parts import options_of
from microgpt_lab.run.assemble import build, load_documents
from microgpt_lab.run.environment import documents_sha256
from microgpt_lab.run.folder import read
from microgpt_lab.run.trained import Trained

PARTS = {"train": "train", "val": "validation", "test": "test"}  # what `--split` names, in a `Split`
OWN_SPLIT = "zero2hero"  # the value of split= with which a data set's own split is used


class Evaluation(NamedTuple):
    """The loss of a run on some documents.

    loss, bits: in nats per token and in bits per character, with the standard errors over `units`.
    units: number of documents; of a stream, of the windows that its text is scored in.
    guessing, guessing_bits: the losses of the counting models on the same documents.
    """

    loss: Ratio
    bits: Ratio
    units: int
    tokens: int
    guessing: dict[str, float]
    guessing_bits: dict[str, float]


def evaluate(trained: Trained, corpus: Corpus, documents: list[str]) -> Evaluation:
    """Compute the loss of a run on documents. UserError if it is not finite."""
    evaluator = Evaluator(trained.model, corpus, build("backend", trained.config["backend"]), documents)
    evaluator.weights, evaluator.step = trained.weights, trained.step
    try:
        scored = cut(corpus, documents)
        nats, tokens = zip(*evaluator.nats_of_each(scored))
        loss, in_bits = ratio(nats, tokens), nats
        if not corpus.scores_all_of(documents):
            in_bits, _ = zip(*evaluator.nats_of_each(list(map(corpus.whole_windows, documents))))
    except FloatingPointError as error:
        raise UserError(str(error)) from None
    bits = corpus.bits_per_char(sum(in_bits), documents)
    if corpus.stream:  # of a window, the text of the tokens that it scores
        characters = [len(corpus.decode(tokens[context + 1 :])) for ((tokens, context),) in scored]
    else:
        characters = list(map(corpus.characters, documents))
    error = corpus.bits_per_char(1, documents) * sum(characters) * ratio(in_bits, characters).error
    guessing, guessing_bits = corpus.guessing(documents), corpus.guessing_bits(documents)
    return Evaluation(loss, Ratio(bits, error), len(scored), sum(tokens), guessing, guessing_bits)


def cut(corpus: Corpus, documents: Sequence[str]) -> list[list[Any]]:
    """Return the pieces of each document; of a stream, each window for itself."""
    scored = list(map(corpus.scored, documents))
    return [[window] for text in scored for window in text] if corpus.stream else scored


def corpus_and_split(folder: Path, trained: Trained, config: dict[str, Any]) -> tuple[Corpus, Split]:
    """Return what a run was trained on, and the split whose documents are evaluated.

    These are the run's own documents, unless `config` has another data set than the run. UserError if the
    run's own have changed since it was trained: those held out now may be among those that it has seen.
    """
    trained_on, config = converted_config(trained.config), converted_config(config)
    own = documents = load_documents(config)
    try:
        known = read(folder / "environment.json").get("documents_sha256")
    except FileNotFoundError:
        raise UserError(f"there is no run at {folder} (no environment.json)") from None
    if documents_sha256(documents) != known and config["dataset"] != trained_on["dataset"]:
        own = load_documents(trained_on)
    if documents_sha256(own) != known:
        name = trained_on["dataset"]["name"]
        raise UserError(f"the documents of dataset={name} have changed since {folder} was trained on them")
    try:
        corpus = Corpus(own, trained.tokenizer, **{name: config[name] for name in options_of(Corpus)})
        if own is documents:
            return corpus, Split(corpus.train, corpus.validation, corpus.test)
        split = documents.split(OWN_SPLIT if documents.own_split else config["split"])
    except ValueError as error:
        raise UserError(str(error)) from None
    name = f"dataset={config['dataset']['name']}"
    if documents.stream != corpus.stream:
        kinds = "a stream", "separate documents"
        here, there = kinds if documents.stream else kinds[::-1]
        raise UserError(f"{name} is {here}, but the run was trained on {there}")
    try:
        trained.tokenizer.encode("".join(documents.chars))
    except ValueError as error:
        raise UserError(f"{name}: the tokenizer has learned from other data: {error}") from None
    return corpus, split


def chosen(split: Split, name: str, corpus: Corpus, config: dict[str, Any], number: int) -> list[str]:
    """Return the first documents of a part of a split (0: all); of a stream, hundreds of characters.

    UserError if there are none.
    """
    try:
        at_least(0, eval_docs=number)
    except ValueError as error:
        raise UserError(str(error)) from None
    if documents := corpus.first(number, getattr(split, PARTS[name])):
        return documents
    part, dataset = PARTS[name], config["dataset"]["name"]
    others = [other for other in PARTS if other != "train" and getattr(split, PARTS[other])]
    instead = f"dataset=text dataset.path=FILE dataset.{part}=FILE"
    raise UserError(
        f"there are no {part} documents in dataset={dataset} with split={config['split']}: "
        f"write {f'--split {others[0]}' if others else instead}"
    )


def unseen(corpus: Corpus, documents: list[str]) -> list[str]:
    """Return the documents with a piece that training has not seen. UserError if there are none."""
    if corpus.stream:
        raise UserError("--unseen has no meaning for a stream, which is one long text: leave it out")
    new = list(map(any, corpus.new(documents)))
    if not any(new):
        raise UserError(f"--unseen leaves none of the {len(documents):,} documents: training has seen all")
    return [document for document, flag in zip(documents, new, strict=True) if flag]
