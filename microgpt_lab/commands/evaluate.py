"""`python -m microgpt_lab evaluate [RUN]`: the validation or test loss of a run, with its standard error."""

from __future__ import annotations

import math
from argparse import Namespace
from collections.abc import Iterator

from rich.markup import escape
from rich.table import Table

from microgpt_lab.commands import Parser, print_warning
from microgpt_lab.core.data import Corpus
from microgpt_lab.core.pieces import MOST
from microgpt_lab.core.ratio import Ratio
from microgpt_lab.errors import UserError, printable, suggest
from microgpt_lab.listing import find
from microgpt_lab.options.changed import changed, check_keys
from microgpt_lab.run.checkpoint import BEST
from microgpt_lab.run.evaluate import PARTS, Evaluation, chosen, corpus_and_split, evaluate, unseen
from microgpt_lab.run.folder import read_summary
from microgpt_lab.run.looks import count_look, ordinal
from microgpt_lab.run.trained import load_trained
from microgpt_lab.terminal import print_table, terminal

KEYS = ("backend", "dataset", "eval_docs", "eval_stride")
NAMES = {"train": "training", "val": "validation", "test": "test"}
SYNONYMS = {"validation": "val", "valid": "val", "dev": "val", "training": "train"}


def parse(arguments: list[str]) -> Namespace:
    """Parse the arguments. UserError for an unknown split, or a key that cannot be changed."""
    parser = Parser(
        "evaluate",
        description="Compute the validation or test loss of a run, with its standard error over documents, "
        "beside the losses of counting models.",
    )
    parser.add_run_and_overrides(
        "eval_docs=N evaluates the first N documents (0: all; default: as the run did, or all of test); "
        "another backend=NAME, dataset=NAME or eval_stride=N than the run's"
    )
    parser.add_argument("--split", default="val", metavar="NAME", help="val (default), test or train")
    parser.add_argument(
        "--unseen", action="store_true", help="only documents that are not also among the training documents"
    )
    parser.add_argument(
        "--best", action="store_true", help="use the checkpoint with the lowest validation loss"
    )
    args = parser.parse_run_and_overrides(arguments)
    args.split = split_name(args.split, "--split ")
    check_keys(args.overrides, KEYS)
    return args


def split_name(given: str, before: str = "split=") -> str:
    """Return the name of a part of a split; `before` is what stands before it in an error message."""
    name = SYNONYMS.get(given, given)
    if name not in PARTS:
        raise UserError(f"{before}{given} is unknown{suggest(given, PARTS)}")
    return name


def main(arguments: list[str]) -> int:
    args = parse(arguments)
    folder = find.run_folder(args.run, with_checkpoint=True)
    if read_summary(folder)["status"] == "diverged" and not args.best:
        instead = "--best evaluates its best checkpoint" if (folder / BEST).exists() else "choose another run"
        raise UserError(f"{folder} diverged, so that it has no final weights to evaluate: {instead}")
    of_backend = [each for each in args.overrides if each.startswith(("backend=", "backend."))]
    trained = load_trained(folder, print_warning, best=args.best, overrides=of_backend)
    config = changed(trained.config, args.overrides)
    corpus, parts = corpus_and_split(folder, trained, config)
    given = {each.partition("=")[0] for each in args.overrides}
    number = 0 if args.split == "test" and "eval_docs" not in given else config["eval_docs"]
    documents = chosen(parts, args.split, corpus, config, number)
    documents = unseen(corpus, documents) if args.unseen else documents
    result = evaluate(trained, corpus, documents)
    looks = count_look(folder) if args.split == "test" else 0
    console = terminal(110)
    model = f"{folder}, {'best checkpoint, ' if args.best else ''}step {trained.step:,}"
    console.print(escape(printable(model)), style="bold", soft_wrap=True)
    unit, dataset = "characters" if corpus.stream else "documents", escape(config["dataset"]["name"])
    name = f"{NAMES[args.split]} {unit} of {dataset}{', unseen' * args.unseen}"
    console.print(numbers(corpus, documents, getattr(parts, PARTS[args.split]), result, name))
    print_table(console, table(result))
    for note in notes(corpus, documents, result):
        console.print(f"[dim]{note}[/]")
    if looks:
        same = ", also at the validation documents, which are the same" * (parts.test == parts.validation)
        console.print(f"[bold]test: {ordinal(looks)} look[/]{same}")
    return 0


def numbers(corpus: Corpus, documents: list[str], there: list[str], result: Evaluation, name: str) -> str:
    """Say how much was evaluated, of what is there and has this name."""
    if corpus.stream:
        number, total = (sum(map(len, texts)) for texts in (documents, there))
        return f"{number:,} of {total:,} {name}: {result.units:,} windows, {result.tokens:,} tokens"
    return f"{result.units:,} of {len(there):,} {name}: {result.tokens:,} tokens"


def table(result: Evaluation) -> Table:
    """Make a table of the losses of the model and of the counting models."""
    shown = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    for heading in ("", "nats per token", "bits per character"):
        shown.add_column(heading)
    shown.add_row(
        "model", *(f"[bold]{each.value:.4f}[/]{plus_minus(each)}" for each in (result.loss, result.bits))
    )
    for name, nats in result.guessing.items():
        shown.add_row(name, f"{nats:.4f}", f"{result.guessing_bits[name]:.4f}")
    return shown


def plus_minus(figure: Ratio) -> str:
    """Write a standard error, if there is one."""
    return "" if math.isnan(figure.error) else f" ± {figure.error:.4f}"


def notes(corpus: Corpus, documents: list[str], result: Evaluation) -> Iterator[str]:
    """Yield what the figures mean."""
    if result.units == 1:
        yield "A single document has no standard error."
    elif corpus.stream:
        yield "± is one standard error over windows, as if neighbouring ones were independent."
    else:
        yield "± is one standard error over documents."
    of_what = "text" if corpus.stream else "documents"
    yield f"unigram, bigram and trigram are counted in the training {of_what}."
    if not corpus.scores_all_of(documents):
        clipped = any(map(corpus.is_clipped, documents))
        of_what = f"the first {MOST:,} characters" if clipped else "whole documents"
        yield f"Bits are of {of_what}, nats of what fits into the block."
