"""Read what a run starts with if `init_from` is set: the weights and the vocabulary of another run."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from microgpt_lab.core.interface import Matrix
from microgpt_lab.errors import UserError
from microgpt_lab.options.older import has_older_weights
from microgpt_lab.run import checkpoint
from microgpt_lab.run.checkpoint import CURRENT, PREVIOUS, Saved
from microgpt_lab.run.folder import is_run, read_summary


class Initial(NamedTuple):
    """Weights, and the state of the tokenizer that they are for (None: unknown)."""

    weights: dict[str, Matrix]
    vocabulary: dict[str, Any] | None


def read_initial(config: dict[str, Any]) -> Initial:
    """Read the weights at `init_from`: the folder of a run, one of its checkpoints, or a safetensors file.

    UserError if there are none, if they are damaged or for another tokenizer, or if the run diverged.
    """
    where, path = f"init_from={config['init_from']}", Path(config["init_from"]).expanduser()
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
        if (name := config["tokenizer"]["name"]) != tokenizer:
            raise UserError(f"{where} has tokenizer={name}, not {tokenizer}: write tokenizer={name}")
        weights = checkpoint.unflatten(shapes, iter(saved.numbers), list)
        return Initial(weights, saved.facts["tokenizer"])
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"{where}: {saved.name} is not a valid checkpoint: {error}") from None
