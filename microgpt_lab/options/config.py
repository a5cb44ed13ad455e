"""Turn signatures into typed Hydra configuration, and check composed configurations.

The keyword-only parameters of the model, the trainer and the parts are the keys. No other list of keys
exists. They are put into Hydra's ConfigStore before Hydra composes, so that Hydra's help, completion and
errors know every part, also those of other authors.
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
from microgpt_lab.options.keys import CHOSEN, names_of, run_options, shared_keys, turned_on_by
from microgpt_lab.options.overrides import parse_value
from microgpt_lab.options.presets import DEFAULT
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

LAUNCHERS = "hydra_plugins.microgpt_lab"  # Hydra accepts launchers and sweepers only from such a package
REFUSED = tuple(f"hydra.{word}" if word == "callbacks" else word for word in untrusted.CODE if word != "()")
FOLDER_RESOLVERS = re.compile(r"\$\{(now|hydra):[^${}]*\}")  # allowed, because names of folders need them
filled: dict[str, Any] = {}  # the ConfigStore that has the parts, and these
TYPE_NAMES = {bool: "true or false", int: "an integer", float: "a number", str: "a string"}


def node(option: Option, default: Any) -> ValueNode:
    """Return a typed node, for which OmegaConf refuses values that it cannot convert."""
    return NODES[str if option.choices else option.type](default, is_optional=False)


def store_options() -> None:
    """Fill Hydra's ConfigStore with the options of a run and a group for each kind of part, if it is not."""
    cs, parts = ConfigStore.instance(), list(registry().parts.values())
    if (cs, parts) == (filled.get("store"), filled.get("parts")):
        return
    # Hydra copies the whole store for each lookup. Sharing it instead is faster and safe, because Hydra also
    # copies each entry that it takes out.
    cs.__deepcopy__ = lambda memo: cs  # type: ignore
    cs.store(
        "cores", {"_target_": f"{LAUNCHERS}.Cores", "jobs": 0}, "hydra/launcher", provider="microgpt_lab"
    )
    rounds = {"tune": None, "tuning_seeds": 3, "until": None}
    grid = {"_target_": f"{LAUNCHERS}.Grid", "params": None, "changes": None, **rounds}
    cs.store("grid", grid, "hydra/sweeper", provider="microgpt_lab")
    top, turned_on = run_options(), turned_on_by()
    cs.store(
        name="run_options",
        node=DictConfig({"model": StringNode(DEFAULT)} | {k: node(o, o.default) for k, o in top.items()}),
        provider="microgpt_lab",
    )
    for part in parts:
        package = f"callback.{part.name}" if part.kind == "callback" else None
        values = {k: o.default for k, o in part.options.items()}
        # An option with the name of a top-level key, such as block_size, defaults to the value of that key.
        values |= {k: f"${{{k}}}" for k in shared_keys(part) & top.keys()}
        for option in values:
            if callbacks := turned_on.get(f"{package}.{option}"):
                values[option] = f"${{chosen:{','.join(callbacks)}}}"
        nodes = {k: node(part.options[k], value) for k, value in values.items()}
        cs.store(
            group=part.kind,
            name=part.name,
            node=DictConfig({"name": StringNode(part.name, flags={"readonly": True})} | nodes),
            package=package,
            provider=part.provider,
        )
    filled.update(store=cs, parts=parts)


def chosen(*callbacks: str, _root_: DictConfig) -> bool:
    """Return whether a run has one of these callbacks."""
    return any(name in (_root_.get("callback") or {}) for name in callbacks)


OmegaConf.register_new_resolver("chosen", chosen, replace=True)  # at import, for each worker


def plain(cfg: DictConfig) -> dict[str, Any]:
    """Return the composed configuration as plain values. UserError for mistakes that Hydra accepts."""
    try:
        config: Any = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)
    except MissingMandatoryValue:
        missing = sorted(OmegaConf.missing_keys(cfg))
        assignments = " ".join(f"{key}=VALUE" for key in missing)
        raise UserError(f"{', '.join(missing)} must be set: write {assignments}") from None
    if config.pop("experiment", None) is not None:
        raise UserError("a recipe must start with the line '# @package _global_'")
    return converted_config({"callback": {}} | config)  # Hydra omits the key for callback=[]


def converted_config(config: dict[str, Any]) -> dict[str, Any]:
    """Return the configuration with each value converted to the type of its option.

    UserError for a wrong top-level key, an unknown part, or a value of a wrong type.
    """
    config = {"model": DEFAULT} | config  # a run from before presets has none
    known = {"model", *run_options(), *KINDS}
    for key in config:
        if key not in known:
            meant = {KEY_OF[key]} if key in KEY_OF else known  # an option of a part, say
            raise UserError(f"'{key}' is unknown{suggest(key, meant, KEY_OF)}")
    for key in known - set(config):
        raise UserError(f"'{key}' is required")
    for kind in KINDS:
        parts = (
            config[kind].values() if kind == "callback" and isinstance(config[kind], dict) else [config[kind]]
        )
        if not all(isinstance(p, dict) and "name" in p and all(isinstance(k, str) for k in p) for p in parts):
            raise UserError(f"{kind} must be chosen with {kind}=NAME (a preset needs 'defaults: [NAME]')")
        for part in parts:
            chosen = registry().get(kind, str(part["name"]))
            part |= {"name": chosen.name} | converted(part, chosen.options, f"{kind}.")
    values, options = converted(config, run_options()), run_options()
    for key, value in values.items():  # a part checks its own
        if options[key].choices and value not in options[key].choices:
            raise UserError(f"{key}={value} is unknown{suggest(value, options[key].choices)}")
    return config | values


def converted(values: dict[str, Any], options: Mapping[str, Option], prefix: str = "") -> dict[str, Any]:
    """Return the values of options, converted to their types. UserError for a value of a wrong type."""
    result = {}
    for key in [key for key in options if key in values]:
        target = str if options[key].choices else options[key].type
        if not is_convertible(values[key], target):
            raise UserError(wrong_type(prefix + key, repr(values[key]), options[key]))
        result[key] = target(values[key])
    return result


def wrong_type(key: str, given: str, option: Option) -> str:
    """Return an error message that says what to write instead of a value of a wrong type."""
    given = f"{key}={given:.60}"
    if option.choices:
        return f"{given}: write one of {', '.join(option.choices)}"
    example = f", such as {key}={option.default}" if option.default != "" and option.type is not bool else ""
    return f"{given}: write {TYPE_NAMES[option.type]}{example}"


def is_convertible(value: Any, target: type) -> bool:
    """Return whether a value converts to a type without loss. YAML reads 1e-3 as a string."""
    if target is float and isinstance(value, (int, str)) and not isinstance(value, bool):
        try:
            float(value)
        except (ValueError, OverflowError):
            return False
        return True
    if target is str:
        return isinstance(value, (str, int, float))
    return isinstance(value, target) and (target is bool or not isinstance(value, bool))


def is_number(text: str) -> bool:
    """Return whether Hydra reads a text as a number. YAML reads nan and 0E0 as strings."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def check(arguments: list[str]) -> None:
    """Refuse arguments that make Hydra fail with a traceback, run code, or read arbitrary files."""
    for argument in arguments:
        key, _, value = argument.partition("=")
        group = key.lstrip("+~").partition("@")[0]
        names = [name.strip() for name in value.strip("[]").split(",")]
        if group == "callback" and (twice := next((n for n in names if names.count(n) > 1), None)):
            raise UserError(f"{argument} names '{twice}' twice")
        if group in (*KINDS, "model") and group != "callback" and value in ("", "null"):
            raise UserError(f"{group} must be one of: {', '.join(names_of(group))}")
        numbers = [n for n in names if not isinstance(parse_value(n or "text"), str) or is_number(n)]
        if group in CHOSEN and numbers:
            raise UserError(
                f"{group}={value} is unknown{suggest(value, names_of(group), PART_OF.get(group))}"
            )
        if any(word in argument for word in REFUSED):
            raise UserError(f"{argument} is refused: a configuration can only name parts, not code")
        if untrusted.RESOLVER.search(FOLDER_RESOLVERS.sub("", argument)):
            raise UserError(
                f"{argument} is refused: an interpolation can only name a key, such as ${{layers}}"
            )
        names_file = group in CHOSEN or "/" in group
        if names_file and (".." in value or "/" in value or "\\" in value):
            instead = f": write dataset=text dataset.path={value}" if group == "dataset" else ", write a name"
            raise UserError(f"{argument} is refused: {value} is a path{instead}")
