"""`python -m microgpt_lab sample [RUN]`: print samples from the model of a run."""

from __future__ import annotations

import re
from pathlib import Path
from random import Random
from typing import Any

from microgpt_lab.commands import KEY_VALUE, RUN, Parser, print_warning
from microgpt_lab.errors import UserError, at_least, printable
from microgpt_lab.listing import find
from microgpt_lab.run.assemble import build
from microgpt_lab.run.trained import load_trained
from microgpt_lab.terminal import terminal

OVERRIDE = re.compile(r"\w[\w.]*=")  # a first argument like this is no folder, unless it exists
FLAGS = {"temperature": float, "top_k": int, "top_p": float, "min_p": float}  # options of sampler=multinomial


def main(arguments: list[str]) -> int:
    parser = Parser("sample", description="Print samples from the last or best checkpoint of a run.")
    parser.add_argument("run", nargs="?", default=find.LAST, metavar="RUN", help=RUN)
    parser.add_argument(
        "overrides",
        nargs="*",
        default=[],
        metavar=KEY_VALUE,
        help="another sampler=NAME than the run's, and sampler.OPTION=VALUE (plugins sampler lists them)",
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
    args = parser.parse_intermixed_args(arguments)
    if OVERRIDE.match(args.run) and not Path(args.run).exists():
        args.run, args.overrides = find.LAST, [args.run, *args.overrides]
    flags = {name: getattr(args, name) for name in FLAGS}
    args.overrides += [f"sampler.{name}={value}" for name, value in flags.items() if value is not None]
    check_keys(args.overrides)
    try:
        at_least(0, n=args.n, length=args.length)
    except ValueError as error:
        raise UserError(str(error)) from None
    folder = find.run_folder(args.run, with_checkpoint=True)
    trained = load_trained(folder, print_warning, best=args.best)
    sampler = build("sampler", chosen_sampler(trained.config["sampler"], args.overrides))
    try:
        text = trained.continuation(args.prompt, args.length)
    except ValueError as error:
        raise UserError(f"--prompt: {error}") from None
    if text.ended:
        raise UserError(
            f"--prompt: its {len(trained.tokenizer.encode(args.prompt))} tokens fill the block of "
            f"{trained.model.block_size}: write a shorter one, or --length N to go on beyond the block"
        )
    rng, previous = Random(args.seed), ""
    of_stream = trained.start != [trained.bos]  # samples of a stream are text, not documents
    for i in range(args.n):
        try:
            new = trained.tokenizer.decode(sampler(text, rng))
        except ArithmeticError as error:
            raise UserError(f"cannot sample from {folder}: {error}") from None
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


def check_keys(overrides: list[str]) -> None:
    """Raise UserError for an override of something else than the sampler, or one that is set twice."""
    from microgpt_lab.options.mistakes import check_twice, full_key

    check_twice(overrides)
    for key, _, value in (override.partition("=") for override in overrides):
        if key != "sampler" and not key.startswith("sampler."):
            meant = full_key(key) or ""
            hint = f": write {meant}={value}" if meant.startswith("sampler.") else ""
            which = "only sampler=NAME and its options can be chosen"
            raise UserError(f"'{key}' has no meaning here{hint or f': {which}'}")


def chosen_sampler(of_run: dict[str, Any], overrides: list[str]) -> dict[str, Any]:
    """Return the run's sampler, or the one that the overrides choose, with its options, as in config.yaml."""
    from microgpt_lab.options.compose import compose

    if not overrides:
        return of_run
    if not any(override.startswith("sampler=") for override in overrides):
        overrides = [f"sampler={of_run['name']}", *overrides]
        given = {override.partition("=")[0] for override in overrides}
        kept = {f"sampler.{name}": value for name, value in of_run.items() if name != "name"}
        overrides += [f"{key}={value}" for key, value in kept.items() if key not in given]
    return compose(overrides)["sampler"]
