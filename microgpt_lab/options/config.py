"""Signatures to typed Hydra configuration: what can be set, and what was set.

The keyword-only parameters of the model, the trainer and the parts are the configuration; no other
list of them exists. They go into Hydra's ConfigStore before Hydra composes, so that its help, its
completion and its errors know every part, third-party ones included.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue
from omegaconf.nodes import BooleanNode, FloatNode, IntegerNode, StringNode, ValueNode

from microgpt_lab.errors import UserError, suggest
from microgpt_lab.options import untrusted
from microgpt_lab.options.keys import experiments, run_options, turned_on
from microgpt_lab.options.overrides import parse_value
from microgpt_lab.registry.hookspecs import KINDS
from microgpt_lab.registry.parts import Option
from microgpt_lab.registry.plugins import registry
from microgpt_lab.registry.synonyms import KEY_OF, PART_OF

NODES: dict[Any, Callable[..., ValueNode]] = {
    bool: BooleanNode,
    int: IntegerNode,
    float: FloatNode,
    str: StringNode,
}

LAUNCHERS = "hydra_plugins.microgpt_lab"  # Hydra takes launchers and sweepers of such a package only
REFUSED = tuple(f"hydra.{word}" if word == "callbacks" else word for word in untrusted.CODE if word != "()")
NOW = re.compile(r"\$\{(now|hydra):[^${}]*\}")  # for names of folders
# What a value of each type is called, where another was given.
WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}


def node(option: Option, default: Any) -> ValueNode:
    """A typed value: OmegaConf refuses what does not convert."""
    return NODES[str if option.choices else option.type](default, is_optional=False)


def store() -> None:
    """Fill Hydra's ConfigStore with the run's options and with a group for each kind of part."""
    cs = ConfigStore.instance()
    # Hydra copies its sources, and with them the store, for each question that it asks of them. It copies
    # what it takes out of the store as well, so that the store itself need not be copied.
    cs.__deepcopy__ = lambda memo: cs  # type: ignore
    cs.store(
        "cores", {"_target_": f"{LAUNCHERS}.Cores", "jobs": 0}, "hydra/launcher", provider="microgpt_lab"
    )
    grid = {"_target_": f"{LAUNCHERS}.Grid", "params": None}
    cs.store("grid", grid, "hydra/sweeper", provider="microgpt_lab")
    top, on = run_options(), turned_on()
    cs.store(
        name="run_options",
        node=DictConfig({k: node(o, o.default) for k, o in top.items()}),
        provider="microgpt_lab",
    )
    for part in registry().parts.values():
        package = f"callback.{part.name}" if part.kind == "callback" else None
        values = {k: o.default for k, o in part.options.items()}
        # An option named like one of the run's (block_size, say) takes the run's value.
        values |= {k: f"${{{k}}}" for k in values.keys() & top.keys()}
        values |= {k: f"${{chosen:{','.join(on[key])}}}" for k in values if (key := f"{package}.{k}") in on}
        nodes = {k: node(part.options[k], value) for k, value in values.items()}
        cs.store(
            group=part.kind,
            name=part.name,
            node=DictConfig({"name": StringNode(part.name, flags={"readonly": True})} | nodes),
            package=package,
            provider=part.provider,
        )


def chosen(*callbacks: str, _root_: DictConfig) -> bool:
    """Whether a run has one of these callbacks."""
    return any(name in (_root_.get("callback") or {}) for name in callbacks)


OmegaConf.register_new_resolver("chosen", chosen, replace=True)  # in each process that composes


def plain(cfg: DictConfig) -> dict[str, Any]:
    """The composed configuration as plain values, checked for what Hydra lets pass."""
    try:
        config: Any = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)
    except MissingMandatoryValue:
        missing = sorted(OmegaConf.missing_keys(cfg))
        raise UserError(f"must be set: {', '.join(f'{key}=…' for key in missing)}") from None
    if config.pop("experiment", None) is not None:
        raise UserError("a recipe must begin with the line '# @package _global_'")
    return complete({"callback": {}} | config)  # callback=[] leaves no such key


def complete(config: dict[str, Any]) -> dict[str, Any]:
    """The configuration, if it has all keys, parts by name, and values of their types."""
    known = {*run_options(), *KINDS}
    for key in config:
        if key not in known:
            raise UserError(f"'{key}' is unknown{suggest(key, known, KEY_OF)}")
    for key in known - set(config):
        raise UserError(f"'{key}' must not be taken away")
    for kind in KINDS:
        parts = (
            config[kind].values() if kind == "callback" and isinstance(config[kind], dict) else [config[kind]]
        )
        if not all(isinstance(p, dict) and "name" in p and all(isinstance(k, str) for k in p) for p in parts):
            raise UserError(f"{kind} must be chosen with {kind}=NAME (a preset needs 'defaults: [NAME]')")
        for part in parts:
            part |= typed(part, registry().get(kind, str(part["name"])).options, f"{kind}.")
    return config | typed(config, run_options())


def typed(values: dict[str, Any], options: Mapping[str, Option], prefix: str = "") -> dict[str, Any]:
    """Those values that are options, as their types have them."""
    found = {}
    for key in [key for key in options if key in values]:
        kind = str if options[key].choices else options[key].type
        if not fits(values[key], kind):
            raise UserError(wrong_type(prefix + key, repr(values[key]), options[key]))
        found[key] = kind(values[key])
    return found


def wrong_type(key: str, given: str, option: Option) -> str:
    """What to write in place of a value of another type."""
    given = f"{key}={given:.60}"
    if option.choices:
        return f"{given}: write one of {', '.join(option.choices)}"
    like = f", such as {key}={option.default}" if option.default != "" and option.type is not bool else ""
    return f"{given}: write {WORDS[option.type]}{like}"


def fits(value: Any, kind: type) -> bool:
    """Whether a value is of this type, or converts to it without loss. YAML has 1e-3 as a text."""
    if kind is float and isinstance(value, (int, str)) and not isinstance(value, bool):
        try:
            float(value)
        except (ValueError, OverflowError):
            return False
        return True
    if kind is str:
        return isinstance(value, (str, int, float))
    return isinstance(value, kind) and (kind is bool or not isinstance(value, bool))


def is_number(text: str) -> bool:
    """Whether Hydra reads it as one: nan and 0E0 are words in YAML."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def check(arguments: list[str]) -> None:
    """Refuse what Hydra would answer with a traceback, and what would have it run code or read any file."""
    for argument in arguments:
        key, _, value = argument.partition("=")
        group = key.lstrip("+~").partition("@")[0]
        names = [name.strip() for name in value.strip("[]").split(",")]
        if group == "callback" and (twice := next((n for n in names if names.count(n) > 1), None)):
            raise UserError(f"{argument} names '{twice}' twice")
        if group in KINDS and group != "callback" and value in ("", "null"):
            raise UserError(f"{group} must be one of: {', '.join(registry().names(group))}")
        numbers = [n for n in names if not isinstance(parse_value(n or "text"), str) or is_number(n)]
        if group in (*KINDS, "experiment") and numbers:
            known = registry().names(group) if group in KINDS else experiments()
            raise UserError(f"{group}={value} is unknown{suggest(value, known, PART_OF.get(group))}")
        if any(word in argument for word in REFUSED):
            raise UserError(f"{argument} is refused: a configuration names parts, not code")
        if untrusted.RESOLVER.search(NOW.sub("", argument)):
            raise UserError(f"{argument} is refused: interpolations name keys, such as ${{layers}}")
        named = group in (*KINDS, "experiment") or "/" in group
        if named and (".." in value or "/" in value or "\\" in value):
            raise UserError(f"{argument}: {value} is a path, not a name")
