"""`python -m microgpt_lab sample [RUN]`: print samples from the model of a run."""

from __future__ import annotations

from pathlib import Path
from random import Random

from microgpt_lab.commands import RUN, Parser, print_warning
from microgpt_lab.core.divergence import in_range
from microgpt_lab.core.model import GPT, Weights
from microgpt_lab.core.sampler import generate
from microgpt_lab.errors import UserError, printable
from microgpt_lab.listing import find
from microgpt_lab.options.older import CHECKPOINT, is_older
from microgpt_lab.registry.hookspecs import MODEL_KINDS
from microgpt_lab.registry.parts import options_of
from microgpt_lab.run import checkpoint
from microgpt_lab.run.assemble import build
from microgpt_lab.run.sizes import check_size, shape


def load_model(folder: Path, best: bool = False) -> tuple[GPT, Weights, list[str]]:
    """Load the model of a run, its last or best weights, and the characters of its vocabulary."""
    saved = checkpoint.read_best(folder) if best else checkpoint.read(folder, print_warning)
    if not saved:
        raise UserError(f"there is no run with a checkpoint at {folder}")
    try:
        config, chars = saved.facts["config"], list(map(str, saved.facts["chars"]))
        if is_older(config):
            raise UserError(f"{folder / saved.name} {CHECKPOINT}")
        sizes = {name: config[name] for name in options_of(GPT)}
        types = {name: option.type for name, option in options_of(GPT).items()}
        if wrong := [name for name in sizes if type(sizes[name]) is not types[name]]:
            raise TypeError(f"{wrong[0]} is {sizes[wrong[0]]!r:.60}")
        parts = {kind: build(kind, config[kind]) for kind in (*MODEL_KINDS, "backend")}
        check_size(config, parts)
        model = GPT(len(chars) + 1, **{kind: parts[kind] for kind in MODEL_KINDS}, **sizes)
        numbers, tensor = iter(saved.numbers), parts["backend"].tensor
        weights = checkpoint.unflatten(saved.facts["tensors"]["weights"], numbers, tensor)
        if not in_range(weights):
            raise ValueError("its weights are not finite, or beyond 1e77")
        for name, each in model.declared.items():
            if (size := tuple(weights[name].shape)) != (wanted := shape(name, each, config)):
                raise ValueError(f"{name} is {size}, not {wanted}")
        model.logits(weights, [len(chars)])
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
        raise UserError(
            f"{folder / saved.name} is not a valid checkpoint: {type(error).__name__} {error}"
        ) from None
    return model, weights, chars


def main(arguments: list[str]) -> int:
    parser = Parser("sample", description="Print samples from the last or best checkpoint of a run.")
    parser.add_argument("run", nargs="?", default=find.LAST, metavar="RUN", help=RUN)
    parser.add_argument(
        "--best", action="store_true", help="use the checkpoint with the lowest validation loss"
    )
    parser.add_argument("--prompt", default="", help="the text that each document starts with")
    parser.add_argument(
        "--temperature",
        type=float,
        default=0.5,
        help="sampling temperature; 0 always takes the most likely token (default: 0.5)",
    )
    parser.add_argument(
        "--top-k", type=int, default=0, help="sample from the k most likely tokens (default: 0, from all)"
    )
    parser.add_argument(
        "--top-p",
        type=float,
        default=1.0,
        help="sample from the most likely tokens that together reach this probability (default: 1)",
    )
    parser.add_argument("-n", type=int, default=20, help="number of documents (default: 20)")
    parser.add_argument(
        "--seed", type=int, default=None, help="random seed; the same seed gives the same documents"
    )
    args = parser.parse_args(arguments)
    if not 0 <= args.temperature < float("inf") or args.top_k < 0 or args.n < 0 or not 0 < args.top_p <= 1:
        raise UserError(
            "temperature, top-k and n must be finite and at least 0, and top-p must be above 0 and at most 1"
        )
    folder = find.run_folder(args.run, with_checkpoint=True)
    model, weights, chars = load_model(folder, args.best)
    unknown = sorted(set(args.prompt) - set(chars))
    if unknown:
        raise UserError(f"the prompt has characters outside the vocabulary: {' '.join(map(repr, unknown))}")
    if len(args.prompt) >= model.block_size:
        raise UserError(
            f"the prompt must be shorter than block_size={model.block_size}, not {len(args.prompt)} long"
        )
    bos, rng = len(chars), Random(args.seed)
    prompt = [bos, *map(chars.index, args.prompt)]
    for _ in range(args.n):
        try:
            ids = generate(
                model,
                weights,
                prompt,
                rng,
                stop=bos,
                temperature=args.temperature,
                top_k=args.top_k,
                top_p=args.top_p,
            )
        except ArithmeticError as error:
            raise UserError(f"cannot sample from {folder}: {error}") from None
        text = args.prompt + "".join(chars[i] for i in ids)
        print("\n".join(map(printable, text.split("\n"))))
    return 0
