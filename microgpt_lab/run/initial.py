"""Read what a run starts with if `init_from` is set: the weights and the vocabulary of another run."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from microgpt_lab.core.interface import Matrix
from microgpt_lab.errors import UserError
from microgpt_lab.exchange import safetensors
from microgpt_lab.options.older import has_older_weights
from microgpt_lab.run import checkpoint
from microgpt_lab.run.checkpoint import CURRENT, PREVIOUS, Saved
from microgpt_lab.run.folder import is_run, read_summary


class Initial(NamedTuple):
    """The shapes of weights, a function that returns them, and the tokenizer that they are for.

    vocabulary: the state of the tokenizer (None: unknown).
    """

    shapes: Mapping[str, tuple[int, int]]
    read: Callable[[], Mapping[str, Matrix]]
    vocabulary: dict[str, Any] | None


def read_initial(config: dict[str, Any]) -> Initial:
    """Find the weights at `init_from`: the folder of a run, one of its checkpoints, or a safetensors file.

    UserError if there are none, if they are damaged or for another tokenizer, or if the run diverged.
    """
    where, path = f"init_from={config['init_from']}", Path(config["init_from"]).expanduser()
    if path.suffix == ".safetensors":
        return of_safetensors(path, config["tokenizer"]["name"], where)
    of_run, names = (path, (CURRENT, PREVIOUS)) if path.is_dir() else (path.parent, (path.name,))
    if not is_run(of_run):
        raise UserError(f"{where} is neither the folder of a run nor a safetensors file")
    if read_summary(of_run)["status"] == "diverged":
        raise UserError(f"{where}: the run diverged: choose another one")
    saved = checkpoint.read(of_run, lambda line: None, names)
    if not saved:
        raise UserError(f"{where} has no checkpoint")
    return of_checkpoint(saved, config["tokenizer"]["name"], where)


def of_checkpoint(saved: Saved, tokenizer: str, where: str) -> Initial:
    """Return the weights and the vocabulary of a checkpoint. UserError if they cannot be used."""
    try:
        config, shapes = saved.facts["config"], saved.facts["tensors"]["weights"]
        if has_older_weights(config):
            raise ValueError("its weights have the names of an older version")
        check_tokenizer(config, tokenizer, where)
        weights = checkpoint.unflatten(shapes, iter(saved.numbers), list)
        sizes = {name: (len(rows), len(rows[0])) for name, rows in weights.items()}
        return Initial(sizes, lambda: weights, saved.facts["tokenizer"])
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise UserError(f"{where}: {saved.name} is not a valid checkpoint: {error}") from None


def of_safetensors(path: Path, tokenizer: str, where: str) -> Initial:
    """Return the weights of a safetensors file, and the vocabulary if `export` has written it."""
    stored, vocabulary = safetensors.read(path, numbers=False), None
    if "microgpt_lab" in stored.metadata:
        try:
            facts = json.loads(stored.metadata["microgpt_lab"])
            check_tokenizer(facts["config"], tokenizer, where)
            vocabulary = dict(facts["tokenizer"])
        except (ValueError, LookupError, TypeError, RecursionError) as error:
            raise UserError(f"{where}: its metadata is not valid: {error}") from None
    return Initial(stored.shapes, partial(read_tensors, path), vocabulary)


def read_tensors(path: Path) -> Mapping[str, Matrix]:
    return safetensors.read(path).tensors


def check_tokenizer(config: dict[str, Any], tokenizer: str, where: str) -> None:
    """Raise UserError if the weights are for another tokenizer."""
    if (name := config["tokenizer"]["name"]) != tokenizer:
        raise UserError(f"{where} has tokenizer={name:.40}, not {tokenizer}: write tokenizer={name:.40}")
