"""`python -m microgpt_lab sample RUN`: new documents from a finished run."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from random import Random
from typing import Any

from microgpt_lab.errors import UserError
from microgpt_lab.model import GPT, Weights
from microgpt_lab.plugins import KINDS, options_of
from microgpt_lab.run import build
from microgpt_lab.sampler import generate


def load(folder: Path) -> tuple[GPT, Weights, list[str]]:
    """The model of a run, its weights and the characters of its vocabulary."""
    path = folder / "checkpoint.json"
    try:
        saved: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        config, chars, weights = saved["config"], saved["chars"], saved["weights"]
    except OSError:
        raise UserError(f"there is no run with a checkpoint at {folder} (no {path.name})") from None
    except (ValueError, KeyError, TypeError):
        raise UserError(f"{path} is damaged") from None
    sizes = {name: config[name] for name in options_of(GPT) if name not in KINDS}
    model = GPT(len(chars) + 1, activation=build(config, "activation"), norm=build(config, "norm"), **sizes)
    backend = build(config, "backend")
    return model, {name: backend.tensor(matrix) for name, matrix in weights.items()}, chars


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser("microgpt_lab sample", description="Sample from a finished run.")
    parser.add_argument("run", type=Path, metavar="RUN", help="its folder")
    parser.add_argument("--prompt", default="", help="what the documents begin with")
    parser.add_argument(
        "--temperature", type=float, default=0.5, help="0: the likeliest token (default: 0.5)"
    )
    parser.add_argument("--top-k", type=int, default=0, help="only the k likeliest tokens (default: all)")
    parser.add_argument(
        "--top-p", type=float, default=1.0, help="only the likeliest that reach this probability"
    )
    parser.add_argument("-n", type=int, default=20, help="how many (default: 20)")
    parser.add_argument("--seed", type=int, default=None, help="the same seed gives the same documents")
    args = parser.parse_args(arguments)
    if args.temperature < 0 or args.top_k < 0 or args.n < 0 or not 0 < args.top_p <= 1:
        raise UserError(
            "temperature, top-k and n must not be negative, and top-p must be above 0 and at most 1"
        )
    model, weights, chars = load(args.run)
    unknown = sorted(set(args.prompt) - set(chars))
    if unknown:
        raise UserError(f"the prompt has characters outside the vocabulary: {' '.join(map(repr, unknown))}")
    if len(args.prompt) >= model.block_size:
        raise UserError(
            f"the prompt must be shorter than the block ({model.block_size}), not {len(args.prompt)}"
        )
    bos, rng = len(chars), Random(args.seed)
    prompt = [bos, *map(chars.index, args.prompt)]
    for _ in range(args.n):
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
        print(args.prompt + "".join(chars[i] for i in ids))
    return 0
