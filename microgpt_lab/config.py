"""Signatures to typed Hydra configuration: what can be set, and what was set.

The keyword-only parameters of the model, the trainer and the parts are the configuration; no other
list of them exists. They go into Hydra's ConfigStore before Hydra composes, so that its help, its
completion and its errors know every part, third-party ones included.
"""

from __future__ import annotations

import re
import typing
from types import NoneType
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from omegaconf.nodes import AnyNode, BooleanNode, FloatNode, IntegerNode, StringNode, ValueNode

from microgpt_lab.data import Corpus
from microgpt_lab.errors import UserError, suggest
from microgpt_lab.model import GPT
from microgpt_lab.plugins import KINDS, Option, options_of, registry
from microgpt_lab.trainer import Trainer

NODES: dict[Any, type[ValueNode]] = {bool: BooleanNode, int: IntegerNode, float: FloatNode, str: StringNode}


def run_options() -> dict[str, Option]:
    """The top-level keys: options of the corpus, the model, the trainer and of sampling."""
    owners = (GPT, Corpus, Trainer, Trainer.sample)
    options = {name: option for owner in owners for name, option in options_of(owner).items()}
    return {name: option for name, option in options.items() if name not in KINDS}


def node(option: Option, default: Any) -> ValueNode:
    """A typed value: OmegaConf refuses what does not convert."""
    of = (
        [t for t in typing.get_args(option.type) if t is not NoneType]
        if NoneType in typing.get_args(option.type)
        else []
    )
    kind = of[0] if len(of) == 1 else str if option.choices else option.type
    return NODES.get(kind, AnyNode)(default, is_optional=bool(of) or default is None)


def store() -> None:
    """Fill Hydra's ConfigStore with the run's options and with a group for each kind of part."""
    cs = ConfigStore.instance()
    top = run_options()
    cs.store(
        name="run_options",
        node=DictConfig({k: node(o, o.default) for k, o in top.items()}),
        provider="microgpt_lab",
    )
    for part in registry().parts.values():
        # An option named like one of the run's (block_size, say) takes the run's value.
        values = {k: node(o, f"${{{k}}}" if k in top else o.default) for k, o in part.options.items()}
        package = f"callback.{part.name}" if part.kind == "callback" else None
        cs.store(
            group=part.kind,
            name=part.name,
            node=DictConfig({"name": StringNode(part.name, flags={"readonly": True})} | values),
            package=package,
            provider=part.provider,
        )


def plain(cfg: DictConfig) -> dict[str, Any]:
    """The composed configuration as plain values, checked for what Hydra lets pass."""
    missing = sorted(OmegaConf.missing_keys(cfg))
    if missing:
        raise UserError(f"must be set: {', '.join(f'{key}=…' for key in missing)}")
    config: dict[str, Any] = typing.cast(dict, OmegaConf.to_container(cfg, resolve=True))
    config.pop("experiment", None)
    known = {*run_options(), *KINDS}
    for key in config:
        if key not in known:
            raise UserError(f"'{key}' is unknown{suggest(key, known)}")
    for kind in KINDS:
        if config.get(kind) is None and kind != "callback":
            raise UserError(f"{kind} must be one of: {', '.join(registry().names(kind))}")
    config["callback"] = config.get("callback") or {}
    return config


def explain(error: Exception, arguments: list[str]) -> str:
    """Hydra's or OmegaConf's complaint as one line, with a suggestion for a near name."""
    for argument in arguments:
        key, equals, value = argument.partition("=")
        key = key.lstrip("+~").partition("@")[0]
        if not equals or argument.startswith("-") or key.startswith("hydra"):
            continue
        problem = wrong_name(key, value)
        if problem:
            return problem
    message = str(error.__cause__ if isinstance(error.__cause__, OmegaConfBaseException) else error)
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    full_key = getattr(error, "full_key", None) or next(
        (x[10:] for x in lines if x.startswith("full_key: ")), ""
    )
    first = lines[0] if lines else type(error).__name__
    return f"{full_key}: {first}" if full_key and full_key not in first else first


def wrong_name(key: str, value: str) -> str:
    """What is wrong with `key=value` if a name in it is unknown, else ''."""
    group, _, option = key.partition(".")
    if not option and group in KINDS:
        for name in re.findall(r"[\w.-]+", value) if re.fullmatch(r"[\[\]\w.,\s-]*", value) else ():
            if name not in registry().names(group) and name not in ("default", "null"):
                try:
                    registry().get(group, name)
                except UserError as error:
                    return str(error)
        return ""
    if option == "name" and group in KINDS:
        return f"{key} cannot be set; did you mean '{group}={value}'?"
    if not option and group in KINDS and value in ("null", ""):
        return f"{group} must be one of: {', '.join(registry().names(group))}"
    if group in KINDS or group == "experiment":
        names = {
            o for (k, _), part in registry().parts.items() if k == group for o in (*part.options, "name")
        }
        if option and group != "callback" and option not in names:
            return f"'{key}' is no option{suggest(key, {f'{group}.{name}' for name in names})}"
        return ""
    known = {*run_options(), *KINDS, "experiment"}
    return "" if group in known else f"'{key}' is unknown{suggest(key, known)}"
