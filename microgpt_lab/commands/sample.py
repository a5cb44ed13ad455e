"""`python -m microgpt_lab sample [RUN]`: print samples from the model of a run."""

from __future__ import annotations

from microgpt_lab.commands import Parser, print_warning
from microgpt_lab.errors import UserError, at_least, printable
from microgpt_lab.listing import find
from microgpt_lab.options.changed import check_keys
from microgpt_lab.run.trained import load_trained
from microgpt_lab.terminal import terminal

FLAGS = {"temperature": float, "top_k": int, "top_p": float, "min_p": float}  # options of sampler=multinomial


def main(arguments: list[str]) -> int:
    parser = Parser("sample", description="Print samples from the last or best checkpoint of a run.")
    parser.add_run_and_overrides(
        "another sampler=NAME than the run's, and sampler.OPTION=VALUE (plugins sampler lists them)"
    )
    parser.add_argument(
        "--best", action="store_true", help="use the checkpoint with the lowest validation loss"
    )
    parser.add_argument("--prompt", default="", help="the text that each document starts with")
    for name, type_ in FLAGS.items():
        flag = f"--{name.replace('_', '-')}"
        parser.add_argument(flag, type=type_, help=f"the same as sampler.{name}=VALUE")
    parser.add_argument("-n", type=int, default=20, help="number of documents (default: 20)")
    parser.add_argument(
        "--length",
        type=int,
        default=0,
        help="maximum number of tokens, also more than the block (default: 0, as many as fit into the block)",
    )
    parser.add_argument(
        "--seed", type=int, default=None, help="random seed; the same seed gives the same documents"
    )
    args = parser.parse_run_and_overrides(arguments)
    flags = {name: getattr(args, name) for name in FLAGS}
    args.overrides += [f"sampler.{name}={value}" for name, value in flags.items() if value is not None]
    check_keys(args.overrides, ["sampler"])
    try:
        at_least(0, n=args.n, length=args.length)
    except ValueError as error:
        raise UserError(str(error)) from None
    folder = find.run_folder(args.run, with_checkpoint=True, demo=True)
    trained = load_trained(folder, print_warning, best=args.best, overrides=args.overrides)
    try:
        text = trained.continuation(args.prompt, args.length)
    except ValueError as error:
        raise UserError(f"--prompt: {error}") from None
    if text.ended:
        raise UserError(
            f"--prompt: its {len(trained.tokenizer.encode(args.prompt))} tokens fill the block of "
            f"{trained.model.block_size}: write a shorter one, or --length N to go on beyond the block"
        )
    previous = ""
    of_stream = trained.start != [trained.bos]  # samples of a stream are text, not documents
    for i, new in enumerate(trained.documents(text, args.n, args.seed)):
        sample = f"{args.prompt}{new}"
        if i and (of_stream or "\n" in previous + sample):
            print_separator()
        print("\n".join(map(printable, sample.split("\n"))))
        previous = sample
    return 0


def print_separator() -> None:
    """Print a line between two samples of text: a rule in a terminal, an empty line in a pipe."""
    console = terminal()
    console.print(f"[dim]{'─' * min(40, console.width)}[/]" if console.is_terminal else "")
