"""The end of a run in the console: its losses, those of the baselines, and its samples."""

import math

from microgpt_lab import printable
from microgpt_lab.core.pieces import MOST

FEW = 3  # samples of text that are shown; samples.txt has all
RULE = 40  # columns of the line above a sample of text


def result_rows(summary, losses, trainer):
    """Yield the names and values of the result, with the validation loss against the baselines."""
    if "loss/val" in summary:
        yield from loss_rows(summary, trainer.corpus, trainer.held_out)
        yield "perplexity", f"[bold]{math.exp(min(summary['loss/val'], 700)):.2f}[/]"
    elif losses:
        last = losses[-100:]
        yield "train loss", f"[bold]{mean(last):.4f}[/] mean of the last {len(last)} steps{terms(trainer)}"
    if "exact_match" in summary:
        share, documents = summary["exact_match"], summary["documents/exact_match"]
        yield "exact match", f"[bold]{share:.0%}[/] of the answers, on {documents} documents"
    if summary["samples_new"] is not None and not trainer.corpus.stream:  # a text as long is always new
        yield "new samples", f"[bold]{summary['samples_new']:.0%}[/]"
    yield "time", f"[bold]{summary['seconds']:.1f}s[/]"


def loss_rows(summary, corpus, held_out):
    """Yield the validation loss in nats per token and in bits per character, and those of the baselines.

    The bits of the baselines are left out if nats and bits are not of the same text, because one may be
    beaten in nats, on what training gets too, and not in bits.
    """
    whole, of_what = corpus.scores_all_of(held_out), ""
    if not whole:
        clipped = any(map(corpus.is_clipped, held_out))
        of_what = f", of {f'the first {MOST:,} characters' if clipped else 'whole documents'}"
    val, bits = summary["loss/val"], summary["bits_per_char/val"]
    unseen = summary.get("documents/val_unseen")  # None: a stream, which has no documents
    characters, documents = (
        f"{summary['characters/val']:,} characters",
        f"{summary['documents/val']:,} documents",
    )
    yield "val loss", f"[bold]{val:.4f}[/] nats per token, on {characters if unseen is None else documents}"
    yield "", f"[bold]{bits:.2f}[/] bits per character{of_what}"
    if unseen is not None:
        loss = f"{summary['loss/val_unseen']:.4f}" if unseen else "none"
        yield "  unseen", f"{loss} [dim]on {unseen:,} outside the training split[/]"
    if summary.get("best/loss/val", val) < val:
        step = f"{summary['best/step']:,}"
        yield "  best", f"{summary['best/loss/val']:.4f} [dim]at step {step} (sample --best)[/]"
    width = max(len(f"{x:.2f}") for x in summary["guessing_bits"].values())
    for name, nats in summary["guessing"].items():
        in_bits = f"{summary['guessing_bits'][name]:{width}.2f} bits  " if whole else ""
        yield f"  {name}", f"{nats:.4f}  {in_bits}[dim]{'beaten' if val < nats else 'not beaten'}[/]"


def terms(trainer):
    """What training minimizes, in parentheses, if that is more than the cross-entropy."""
    return f" ({trainer.minimized})" if trainer.model.loss_terms else ""


def samples_table(trainer, samples):
    """A table of short documents: each sample, its loss, and whether it is new."""
    from rich.table import Table

    table = Table(box=None, title="samples", title_justify="left")
    for name in ("#", "sample", "nll", "new?"):
        table.add_column(name, justify="right" if name in "# nll" else "left")
    for i, (sample, (is_new, *_)) in enumerate(zip(samples, trainer.corpus.new(samples))):
        nll = f"{trainer.evaluate([sample]):.2f}"
        new = "[green]new[/]" if is_new else "[dim]in train[/]"
        shown = f"[cyan]{escaped(sample)}[/]" if sample else "[dim](empty)[/]"
        table.add_row(str(i), shown, nll, new)
    return table


def are_text(corpus, samples):
    """Whether to show the samples as text, because they are of a stream, or one has several lines."""
    return corpus.stream or any("\n" in sample for sample in samples)


def sample_texts(samples):
    """The lines that show the first samples as they are, below a rule with their number."""
    for i, sample in enumerate(samples[:FEW]):
        yield f"[dim]{f'── {i} '.ljust(RULE, '─')}[/]"
        for line in sample.split("\n"):
            yield f"[cyan]{escaped(line)}[/]"


def drawn(run):
    """How the samples were drawn: the temperature and the other options that are not at their defaults."""
    options = dict(run.config["sampler"])
    if (name := options.pop("name")) != "multinomial":
        return f"drawn by {printable(name)}"
    changed = [
        f"{key} {value:g}"
        for key, value in options.items()
        if key == "temperature" or f"sampler.{key}" in run.differences
    ]
    return f"drawn at {', '.join(changed)}"


def how_many(run, samples):
    """How many of the samples are shown as text, and where the others are."""
    if len(samples) <= FEW:
        return ""
    others = ", all in samples.txt" if "samples" in run.config["callback"] else ""
    return f"; {FEW} of {len(samples)}{others}"


def escaped(text):
    """The text with rich markup and control characters escaped, so that it is printed as it is."""
    from rich.markup import escape

    return escape(printable(text))


def mean(numbers):
    return sum(numbers) / len(numbers)
