"""The header of a run: its model, what training minimizes, its data and its commit."""

from microgpt_lab import printable
from microgpt_lab.terminal import format_duration, in_bytes, with_prefix

from .faster import seconds_on, tokens_per_step

LONG_DOCS = {"truncate": "truncated", "window": "split into windows"}
DOCUMENTS = 1000  # enough to measure characters per token
MAX_SEEN = 0.25  # share of validation documents also in the training split, above which to warn
MAX_CUT = 0.5  # share of documents that are truncated, above which to warn
FRAME = 4  # columns of a panel's frame


def header_rows(run, trainer):
    """The facts of each row of the header, by its name."""
    kinds = (f"{kind} {number:,}" for kind, number in trainer.parameters_by_kind.items())
    first, *others = kinds
    rows = {"model": [f"{trainer.parameters:,} parameters: {first}", *others]}
    if flops := run.flops_per_token:
        in_all = trainer.steps * tokens_per_step(trainer) * flops
        rows["FLOPs"] = [f"{with_prefix(flops)} per token, forward and backward"]
        rows["FLOPs"] += [f"about {with_prefix(in_all)} in all"] if in_all else []
    if run.config["match"] != "none":
        rows["match"] = match_facts(run, trainer)
    rows["data"] = data_facts(run, trainer.corpus)
    if trainer.model.loss_terms:
        rows["loss"] = [f"{trainer.minimized} in training", "cross-entropy alone in validation"]
    backend = run.config["backend"]["name"]
    needs = [f"about {in_bytes(trainer.memory)} of memory"] if trainer.memory else []
    if seconds := seconds_on(backend, run, trainer):
        needs += [f"about {format_duration(seconds)} on backend={backend}"]
    rows |= {"needs": needs} if needs else {}
    environment = run.environment
    dirty = "+dirty" if environment["git_dirty"] else ""
    return rows | {"git": [(environment["git_commit"] or "none")[:7] + dirty]}


def match_facts(run, trainer):
    """What `match` has chosen, and how near the costs are."""
    unit = run.config["match"]
    cost = run.flops_per_token if unit == "flops" else trainer.parameters
    reference = int(run.config["match_reference"])
    of = f"{cost:,} of {reference:,} {'FLOPs per token' if unit == 'flops' else unit}"
    return [chosen_width(run.config), f"{of} ({cost / reference - 1:+.1%})"]


def chosen_width(config):
    """The key and the value that `match` has chosen, such as mlp.ratio=2.7."""
    kind, dot, name = config["match_free"].partition(".")
    return f"{config['match_free']}={config[kind][name] if dot else config[kind]}"


def data_facts(run, corpus):
    """The data set, the sizes of its splits, and how much of the validation split is in training."""
    name, number = run.config["dataset"]["name"], run.environment["documents"]
    parts = corpus.train, corpus.validation, corpus.test
    own = corpus.documents.own_split and run.config["split"] != "none"
    split = "its own split" if own else f"split {run.config['split']}"
    if corpus.stream:
        sizes = [sum(map(len, part)) for part in parts]
        texts = "text" if number == 1 else "texts"
        facts = [f"{name} {number:,} {texts}", f"{sum(map(len, corpus.documents)):,} characters"]
    else:
        sizes = list(map(len, parts))
        facts = [f"{name} {number:,} docs"]
        facts += [f"{corpus.long:,} long ones {LONG_DOCS[corpus.long_docs]}"] if corpus.long else []
    facts += [f"{split} {'/'.join(f'{size:,}' for size in sizes)}"]
    if corpus.validation and not corpus.stream:
        facts += [f"validation {share_in_training(corpus):.1%} also in training"]
    if (tokenizer := run.config["tokenizer"]["name"]) != "char":
        facts += [f"tokenizer {tokenizer} {corpus.vocab_size:,} tokens"]
        facts += [f"{characters_per_token(corpus):.1f} characters per token"]
    return facts


def characters_per_token(corpus):
    """The mean number of characters per token, of a stream's training text or of some training documents."""
    if corpus.stream:
        return sum(map(len, corpus.train)) / len(corpus.ids)
    documents = corpus.train[:DOCUMENTS]
    return sum(map(len, documents)) / max(1, sum(map(corpus.tokenizer.length, documents)))


def share_in_training(corpus):
    """The share of validation documents that the training split contains too."""
    new = corpus.new(corpus.validation)
    return sum(not any(pieces) for pieces in new) / max(1, len(new))


def warnings(config, corpus):
    """Yield a line if many validation documents are in training, and one if many documents are truncated."""
    if corpus.stream:
        return
    cut = corpus.long if corpus.long_docs == "truncate" else 0
    if (seen := share_in_training(corpus)) > MAX_SEEN:
        truncated = f", cut at block_size={corpus.block_size}," if corpus.long else ""
        yield (
            f"{seen:.0%} of the validation documents{truncated} are also in the training split: "
            "judge by the loss on the unseen ones"
        )
    if cut > MAX_CUT * len(corpus.documents):
        stream = ", or dataset.unit=stream for long text" if "unit" in config["dataset"] else ""
        yield (
            f"{cut:,} of {len(corpus.documents):,} documents are truncated at "
            f"block_size={corpus.block_size}: use a larger block_size or long_docs=window{stream}"
        )


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
