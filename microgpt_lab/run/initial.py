"""Start from what `init_from` names: the weights and the vocabulary of another run."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from microgpt_lab.core.documents import Documents
from microgpt_lab.core.interface import Matrix
from microgpt_lab.core.model import GPT
from microgpt_lab.core.start import start_from
from microgpt_lab.core.tokenizer import Tokenizer
from microgpt_lab.core.trainer import Trainer
from microgpt_lab.errors import UserError
from microgpt_lab.exchange import safetensors
from microgpt_lab.options.files import open_regular
from microgpt_lab.options.keys import format_value
from microgpt_lab.options.older import has_older_weights
from microgpt_lab.options.overrides import differing_keys
from microgpt_lab.registry.hookspecs import MODEL_KINDS
from microgpt_lab.registry.parts import options_of
from microgpt_lab.run import checkpoint
from microgpt_lab.run.checkpoint import CURRENT, PREVIOUS, Saved
from microgpt_lab.run.folder import is_run, read_summary

MOST_NAMED = 8  # keys in an error message


class Initial(NamedTuple):
    """The weights of another run.

    shapes: of the weights, by name.
    read: returns the weights.
    vocabulary: the state of the tokenizer that they are for (None: unknown).
    differs: the keys of the model whose values differ from this run's, and the other run's values.
    """

    shapes: Mapping[str, tuple[int, int]]
    read: Callable[[], Mapping[str, Matrix]]
    vocabulary: dict[str, Any] | None
    differs: dict[str, Any]


def read_initial(config: dict[str, Any]) -> Initial:
    """Find the weights at `init_from`: the folder of a run, one of its checkpoints, or a safetensors file.

    UserError if there are none, if they are damaged or for another tokenizer, or if the run diverged.
    """
    where, path = f"init_from={config['init_from']}", Path(config["init_from"]).expanduser()
    if is_safetensors(path):
        return of_safetensors(path, config, where)
    of_run, names = (path, (CURRENT, PREVIOUS)) if path.is_dir() else (path.parent, (path.name,))
    if not is_run(of_run):
        raise UserError(
            f"{where} is neither the folder of a run nor a safetensors file: write a path, such as runs/NAME"
        )
    if read_summary(of_run)["status"] == "diverged":
        raise UserError(f"{where}: the run diverged: choose another one")
    try:
        saved = checkpoint.read(of_run, lambda line: None, names)
    except UserError as error:
        raise UserError(f"{where}: {error}") from None
    if not saved:
        raise UserError(f"{where} has no checkpoint")
    return of_checkpoint(saved, config, where)


def is_safetensors(path: Path) -> bool:
    """Return whether a file has the suffix of safetensors, or begins as they do: 8 bytes, then JSON."""
    if path.suffix == ".safetensors" and not path.is_dir():
        return True
    try:
        with open_regular(path) as file:
            return file.read(9)[8:] == b"{"
    except (OSError, UserError):
        return False


def of_checkpoint(saved: Saved, config: dict[str, Any], where: str) -> Initial:
    """Return the weights and the vocabulary of a checkpoint. UserError if they cannot be used."""
    try:
        other, shapes = saved.facts["config"], saved.facts["tensors"]["weights"]
        if has_older_weights(other):
            raise ValueError("its weights have the names of an older version")
        check_tokenizer(other, config, where)
        weights = checkpoint.unflatten(shapes, iter(saved.numbers), list)
        sizes = {name: (len(rows), len(rows[0])) for name, rows in weights.items()}
        return Initial(sizes, lambda: weights, saved.facts["tokenizer"], differs_in(other, config))
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise UserError(f"{where}: {saved.name} is not a valid checkpoint: {error}") from None


def of_safetensors(path: Path, config: dict[str, Any], where: str) -> Initial:
    """Return the weights of a safetensors file, and the vocabulary if `export` has written it."""
    stored, vocabulary, differs = safetensors.read(path, numbers=False), None, {}
    if "microgpt_lab" in stored.metadata:
        try:
            facts = json.loads(stored.metadata["microgpt_lab"])
            check_tokenizer(facts["config"], config, where)
            vocabulary, differs = dict(facts["tokenizer"]), differs_in(facts["config"], config)
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            raise UserError(f"{where}: its metadata is not valid: {error}") from None
    return Initial(stored.shapes, partial(read_tensors, path), vocabulary, differs)


def read_tensors(path: Path) -> Mapping[str, Matrix]:
    return safetensors.read(path).tensors


def check_tokenizer(other: dict[str, Any], config: dict[str, Any], where: str) -> None:
    """Raise UserError if the weights are for another tokenizer, or for one with other options."""
    then = {key: other["tokenizer"].get(key, value) for key, value in config["tokenizer"].items()}
    for key, (theirs, ours) in differing_keys(
        {"tokenizer": then}, {"tokenizer": config["tokenizer"]}
    ).items():
        theirs = f"{key}={format_value(theirs):.40}"
        raise UserError(f"{where} has {theirs}, not {format_value(ours)}: write {theirs}")


def differs_in(other: dict[str, Any], config: dict[str, Any]) -> dict[str, Any]:
    """Return the keys of the model whose values differ, and the values in the other run."""
    keys = [*options_of(GPT), *(kind for kind in MODEL_KINDS if kind not in ("init", "loss"))]
    then, now = ({key: each[key] for key in keys if key in each} for each in (other, config))
    return {key: theirs for key, (theirs, _) in differing_keys(then, now).items() if theirs is not None}


def load_vocabulary(
    tokenizer: Tokenizer, state: dict[str, Any], documents: Sequence[str], init_from: str
) -> None:
    """Let the tokenizer take over what another has learned.

    UserError if that is not valid, or if it lacks characters of these documents.
    """
    where = f"init_from={init_from}"
    try:
        tokenizer.load_state_dict(state)
    except ValueError as error:
        raise UserError(f"{where}: its vocabulary is not valid: {error}") from None
    except (LookupError, TypeError, AttributeError) as error:
        raise UserError(f"{where}: its vocabulary is not valid: {type(error).__name__} {error}") from None
    try:
        tokenizer.encode("".join(Documents(documents).chars))
    except ValueError as error:
        instead = "leave these characters out of the data, or train both runs with tokenizer=byte"
        raise UserError(f"{where}: {error}; {instead}") from None


def start(trainer: Trainer, initial: Initial, init_from: str) -> None:
    """Give a trainer the weights. ValueError if they do not fit, which names the keys that may be why."""
    try:
        start_from(trainer, initial.shapes, initial.read, init_from=init_from)
    except ValueError as error:
        if not initial.differs or initial.shapes == trainer.packing.shapes:
            raise
        named = [f"{key}={format_value(value):.40}" for key, value in initial.differs.items()]
        more = f" and {len(named) - MOST_NAMED} more" if len(named) > MOST_NAMED else ""
        raise ValueError(f"{error}; that run has {' '.join(named[:MOST_NAMED])}{more}") from None
