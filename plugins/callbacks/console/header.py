"""The header of a run: its model, what training minimizes, its data and its commit."""

from microgpt_lab import printable
from microgpt_lab.terminal import with_prefix

LONG_DOCS = {"truncate": "truncated", "window": "split into windows"}
FRAME = 4  # columns of a panel's frame


def header_rows(run, trainer):
    """The facts of each row of the header, by its name."""
    kinds = (f"{kind} {number:,}" for kind, number in trainer.parameters_by_kind.items())
    first, *others = kinds
    rows = {"model": [f"{trainer.parameters:,} parameters: {first}", *others]}
    if run.flops_per_token:
        rows["FLOPs"] = [f"{with_prefix(run.flops_per_token)} per token, forward and backward"]
    rows["data"] = data_facts(run, trainer.corpus)
    if trainer.model.loss_terms:
        rows["loss"] = [f"{trainer.minimized} in training", "cross-entropy alone in validation"]
    environment = run.environment
    dirty = "+dirty" if environment["git_dirty"] else ""
    return rows | {"git": [(environment["git_commit"] or "none")[:7] + dirty]}


def data_facts(run, corpus):
    """The data set, the sizes of its splits, and how much of the validation split is in training."""
    facts = [f"{run.config['dataset']['name']} {run.environment['documents']:,} docs"]
    facts += [f"{corpus.long:,} long ones {LONG_DOCS[corpus.long_docs]}"] if corpus.long else []
    sizes = "/".join(f"{len(part):,}" for part in (corpus.train, corpus.validation, corpus.test))
    facts += [f"split {run.config['split']} {sizes}"]
    seen = share_in_training(corpus)
    return [*facts, f"validation {seen:.1%} also in training"] if corpus.validation else facts


def share_in_training(corpus):
    """The share of validation documents that the training split contains too."""
    new = corpus.new(corpus.validation)
    return sum(not any(pieces) for pieces in new) / max(1, len(new))


def panel(run, rows, width):
    """A frame around the rows. The overrides are its title if they fit, else its first row."""
    from rich.panel import Panel
    from rich.table import Table
    from rich.text import Text

    fits = len(run.name) <= width - 2 * FRAME
    label = max(map(len, rows)) + 2
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    if not fits:
        grid.add_row("run", Text(printable(" ".join(run.overrides)), "bold cyan"))
    for name, facts in rows.items():
        grid.add_row(name, Text(wrapped(map(printable, facts), width - FRAME - label)))
    title = Text(printable(run.name), "bold cyan") if fits else None
    return Panel(grid, title=title, title_align="left", expand=False)


def wrapped(facts, width):
    """The facts, with commas between them, in lines of at most this width if none is longer."""
    first, *others = facts
    lines = [first]
    for fact in others:
        if len(lines[-1]) + len(fact) + 3 > width:
            lines[-1] += ","
            lines.append(fact)
        else:
            lines[-1] += f", {fact}"
    return "\n".join(lines)
