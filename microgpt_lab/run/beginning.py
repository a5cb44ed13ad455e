"""Build a run again as it was before its first step, to write it for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from microgpt_lab.core.trainer import Trainer
from microgpt_lab.errors import UserError
from microgpt_lab.options.config import converted_config
from microgpt_lab.options.older import CHECKPOINT, current, has_older_weights
from microgpt_lab.run.assemble import assemble, load_documents
from microgpt_lab.run.environment import documents_sha256
from microgpt_lab.run.folder import read, read_summary


class Beginning(NamedTuple):
    """A run before its first step.

    config: the configuration of the run.
    overrides: what was written on its command line.
    trainer: has the first weights, the documents in their order, and the generator that drew both. It
        computes with the python backend, whatever the run's.
    """

    config: dict[str, Any]
    overrides: list[str]
    trainer: Trainer


def load_beginning(folder: Path) -> Beginning:
    """Read the configuration of a run and build its trainer. UserError if it cannot be built as it was."""
    try:
        config, overrides = read(folder / "config.yaml") or {}, read(folder / "overrides.yaml") or []
        environment = read(folder / "environment.json")
    except FileNotFoundError as error:
        raise UserError(f"there is no run at {folder} (no {Path(str(error.filename)).name})") from None
    if has_older_weights(config):
        raise UserError(f"{folder} {CHECKPOINT}")
    if read_summary(folder)["status"] == "diverged":
        raise UserError(f"{folder} diverged: a program would, too")
    try:
        config = converted_config(current(config))
    except UserError as error:
        raise UserError(f"{folder / 'config.yaml'}: {error}") from None
    if config["init_from"]:
        raise UserError(
            f"{folder} starts from other weights, init_from={config['init_from']}: only a run that draws "
            "its weights can be written as a program"
        )
    documents = load_documents(config)
    if environment.get("documents_sha256") != documents_sha256(documents):
        name = config["dataset"]["name"]
        raise UserError(f"the documents of dataset={name} have changed since {folder} was trained on them")
    trainer = assemble(config | {"backend": {"name": "python"}}, documents)
    return Beginning(config, list(map(str, overrides)), trainer)
