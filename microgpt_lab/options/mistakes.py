"""Explain mistakes on the command line: one line that says what is wrong and what to write instead."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, OverrideParseException
from omegaconf.errors import OmegaConfBaseException

from microgpt_lab.errors import UserError, nearest, suggest
from microgpt_lab.options.config import wrong_type
from microgpt_lab.options.keys import CHOSEN, defaults, is_default, names_of, run_options
from microgpt_lab.options.presets import presets
from microgpt_lab.registry.extras import install
from microgpt_lab.registry.folders import home
from microgpt_lab.registry.hookspecs import KINDS, MODEL_KINDS
from microgpt_lab.registry.parts import Option
from microgpt_lab.registry.plugins import registry
from microgpt_lab.registry.synonyms import KEY_OF, PART_OF

# The flags of Hydra and of the lab. Others are refused here, because Hydra would print its own usage.
FLAGS = ("--cfg", "--dry", "--help", "--info", "--multirun", "--package", "--resolve", "--run", "--version")
SHORT = ("-c", "-h", "-i", "-m", "-p", "-r", "-sc", "--shell-completion")
MODES = ("--cfg", "-c", "--info", "-i", "--multirun", "-m", "--run", "-r")  # exclude each other
CFG_CHOICES = ("job", "hydra", "all")
# Flags of Hydra that read YAML and pickles from any folder.
REFUSED = ("--config-dir", "-cd", "--config-path", "-cp", "--config-name", "-cn", "--experimental-rerun")

# OmegaConf's messages for a value of a wrong type.
WRONG_TYPE = re.compile(
    r"Value '(.*)' (?:of type '\w+' could not be converted|is not a valid bool)"
    r"|Cannot convert '\w+' to string: '(.*)'"
)

# The launchers and sweepers that an extra installs.
EXTRA_OF = {
    "joblib": "joblib",
    "optuna": "optuna",
    "ray": "ray",
    "submitit_local": "slurm",
    "submitit_slurm": "slurm",
}
AVAILABLE = {
    "hydra/launcher": ["basic", "cores", *sorted({*EXTRA_OF, "ray_cluster", "slurm_cores"} - {"optuna"})],
    "hydra/sweeper": ["basic", "grid", "optuna", "optuna_kept"],
}


def check_flags(arguments: list[str]) -> None:
    """Raise UserError for an unknown flag. For `--steps 5`, it says to write `steps=5`."""
    for argument, following in zip(arguments, [*arguments[1:], ""]):
        flag, equals, value = argument.partition("=")
        if flag in REFUSED:
            raise UserError(f"{flag} is not supported: put presets into {home() / 'conf'}")
        if flag == "--hydra-help":
            raise UserError("--hydra-help is not supported: see --help and docs/configuration.md")
        if flag.startswith("-") and flag not in (*FLAGS, *SHORT):
            raise UserError(unknown_flag(flag, arguments, FLAGS))
        if flag in ("--cfg", "-c") and (value if equals else following) not in CFG_CHOICES:
            raise UserError(f"{flag} takes one of {', '.join(CFG_CHOICES)}: write --cfg job")
    if len(modes := [argument for argument in arguments if argument.partition("=")[0] in MODES]) > 1:
        raise UserError(f"{' and '.join(modes)} cannot be combined: write one of them")


def unknown_flag(flag: str, arguments: list[str], flags: Iterable[str]) -> str:
    """Return a message that says how to write `--steps 5`, or that lists the flags if it is not a key."""
    key, known = flag.lstrip("-").replace("-", "_"), {*run_options(), *CHOSEN}
    if "." not in key:
        key = key if key in known else full_key(key) or nearest(key, known)
    if not key:
        return f"{flag} is not a flag; choose from {', '.join(flags)}, or write key=value"
    value = "…"
    for argument, following in zip(arguments, [*arguments[1:], ""]):
        if argument.startswith(f"{flag}="):
            value = argument.partition("=")[2]
        elif argument == flag and following and "=" not in following:
            value = following
    return f"{flag} is not a flag: write {key}={value}"


def check_twice(arguments: Iterable[str]) -> None:
    """Raise UserError for a key that is set more than once, because the last one would silently win."""
    settings: dict[str, list[str]] = {}
    for argument in arguments:
        key, equals, _ = argument.partition("=")
        if equals and not key.startswith(("-", "hydra")):  # Hydra's own keys do not change results
            settings.setdefault(key.lstrip("+"), []).append(argument)
    for key, given in settings.items():
        if len(given) > 1:
            several = f", or -m {key}=A,B to run each value" if key in (*KINDS, *run_options()) else ""
            several = f", or {key}=[A,B] for several" if key == "callback" else several
            raise UserError(f"'{key}' is set {len(given)} times ({', '.join(given)}): write it once{several}")


def has_several_values(override: str) -> bool:
    """Return whether an override would make several jobs of a sweep, such as 'layers=1,2'."""
    return OverridesParser.create().parse_overrides([override])[0].is_sweep_override()


def explain(error: Exception, commands: Iterable[str] = ()) -> str:
    """Return the error of Hydra or OmegaConf as one line, with a suggestion for a misspelled name.

    commands: the names of all commands, if the error is one of training, which also has -m.
    """
    if not isinstance(error, (HydraException, OmegaConfBaseException)):
        return str(error)
    message = str(error.__cause__ if isinstance(error.__cause__, OmegaConfBaseException) else error)
    if match := re.search(r"Could not (?:find|load) '(hydra/\w+)/([^']+)'", message):
        return unknown_launcher(match[1], match[2])
    if match := re.search(r"Could not (?:find|load) '(\w+)/([^']+)'", message):
        return unknown_part(match[1], match[2])
    if match := re.search(r"Could not override '([\w./-]+)'", str(error)):
        return unknown_key(match[1])
    if explanation := wrong_prefix(str(error)):
        return explanation
    if match := re.match(r"Error resolving interpolation .*possible interpolation keys: (.*)", str(error)):
        listed = match[1].split(", ")  # of the keys in the defaults list: all that have one name
        return unknown_key(next(key for key in ("model", *MODEL_KINDS) if key not in listed))
    if isinstance(error, OverrideParseException):
        return unreadable(error.override, commands)
    if "Ambiguous value" in message:
        instead = "add -m to run a sweep over several values" if commands else "write one value"
        return f"{message.partition(chr(10))[0]}: {instead}"
    lines = [line.strip() for line in message.splitlines() if line.strip()] or [type(error).__name__]
    if lines[0].endswith("raised while composing config:") and len(lines) > 1:
        lines[0] = f"{lines[0].partition(':')[0]}: {lines[1]}"
    key = next(
        (line[10:] for line in lines if line.startswith("full_key: ")), getattr(error, "full_key", "") or ""
    )
    if key.endswith(".name") and "read-only" in lines[0]:
        choice = "callback=[A,B]" if key.startswith("callback.") else f"{key.removesuffix('.name')}=NAME"
        return f"{key} cannot be set: choose a part with {choice}"
    if key == "model":
        return unknown_key(key)
    if explanation := wrong_value(key, lines[0]):
        return explanation
    return lines[0] if key in lines[0] else f"{key}: {lines[0]}"


def wrong_prefix(error: str) -> str | None:
    """Explain +key for a key that exists, and ~key for one that does not or is required; else None."""
    if match := re.search(r"remove \+ prefix: '(.*)'", error):
        return f"+{match[1]} adds a key that already exists: write {match[1]}"
    if match := re.match(r"Multiple values for ([\w/]+)\. .*'override \1: (.*)'", error):
        kind, name = match.groups()
        return f"{kind} is already chosen: write {kind}={name}, or '- override /{kind}: {name}' in a recipe"
    if match := re.match(r"(\w+) appears more than once in the final defaults list", error):
        return f"{match[1]} is already chosen: write {match[1]}=NAME"
    if match := re.match(r"Could not delete from config\. '([\w./-]+)' does not exist", error):
        return unknown_key(match[1])
    if match := re.match(r"Could not delete (?:from config\. The value of )?'([^'=]+)", error):
        instead = (
            ": write callback=[A,B] with those to keep, or callback=[]" if match[1] == "callback" else ""
        )
        return f"'{match[1]}' cannot be removed{instead}"
    return None


def wrong_value(key: str, error: str) -> str | None:
    """Explain a value of a wrong type; None if the error of OmegaConf is about something else."""
    where = re.match(r"In '([^']*)': ", error)
    if match := re.search(r"field '([\w.]+)' is not Optional", error):
        key, value = match[1], "null"
    elif match := WRONG_TYPE.search(error):
        value = match[2] if match[1] is None else match[1]
        value = value.lower() if value in ("True", "False") else value
    else:
        return None
    if not (option := option_of(key)):
        return None
    message = wrong_type(key, value, option)
    if not where:
        return message
    file = re.sub("^model_options/([^,]*).*", r"model/\1", where[1])  # the options of a preset
    return f"in {file.replace('/', '=', 1)}, {message}"


def option_of(key: str) -> Option | None:
    """Return the option that a key sets, of the run or of a part. A default part comes before the others."""
    if key in run_options():
        return run_options()[key]
    (kind, _, _), name = key.partition("."), key.rpartition(".")[2]
    owners = [part for part in registry().parts.values() if part.kind == kind and name in part.options]
    owners.sort(key=lambda part: part.name not in defaults().get(kind, ()))
    return owners[0].options[name] if owners else None


def unreadable(word: str, commands: Iterable[str]) -> str:
    """Explain an argument that is not key=value."""
    key, equals, value = word.partition("=")
    if value.startswith("["):
        return f"cannot read {word}: quote the texts in the list, as in '{key}=[\"a b\"]'"
    if equals:
        return f"cannot read {word}: quote the value, as in \"{key}='a b'\""
    kinds = [part.kind for part in registry().parts.values() if part.name == word]
    kinds = ["model", *kinds] if word in presets() else kinds
    if word in run_options():
        return f"cannot read '{word}': write {word}=VALUE"
    if kinds:
        return f"cannot read '{word}': write {' or '.join(f'{kind}={word}' for kind in kinds)}"
    for kind, names in PART_OF.items():
        if word in names:
            return f"cannot read '{word}'; did you mean {kind}={names[word]}?"
    if word == "train":
        return "cannot read 'train': training needs no command, only key=value"
    command = f", or a command{suggest(word, commands)}" if commands else ""
    return f"cannot read '{word}': write key=value{command}"


def unknown_launcher(group: str, name: str) -> str:
    """Explain the name of a launcher or sweeper that Hydra cannot find."""
    if name in EXTRA_OF:
        return f"{group}={name} needs {install(EXTRA_OF[name])}"
    return f"{group}={name} is unknown{suggest(name, AVAILABLE.get(group, EXTRA_OF))}"


def unknown_part(group: str, name: str) -> str:
    """Explain the name of a part or a recipe that Hydra cannot find."""
    if group == "experiment" and "/" in name:
        kind, _, part = name.partition("/")
        return f"a recipe's defaults cannot have '- {kind}: {part}': write '- override /{kind}: {part}'"
    if group == "dataset" and ("." in name or Path(name).exists()):
        return f"dataset={name} is unknown: to read a file, write dataset=text dataset.path={name}"
    if group not in KINDS:
        names = names_of(group) if group in CHOSEN else []
        return f"{group}={name} is unknown{suggest(name, names, PART_OF.get(group))}"
    try:
        registry().get(group, name)
    except UserError as error:
        return str(error)
    return f"{group}={name} could not be loaded"


def unknown_key(key: str) -> str:
    """Explain a key that does not exist."""
    if key in ("hydra.sweeper.tune", "hydra.sweeper.tuning_seeds", "hydra.sweeper.until"):
        return f"'{key}' is an option of hydra/sweeper=grid, which is not chosen"
    if (meant := key.replace("-", "_")) != key and option_of(meant):
        return f"'{key}' is unknown; did you mean '{meant}'?"
    group, _, option = key.partition(".")
    if key in CHOSEN:
        return f"{key} must be chosen with {key}=NAME; choose from {', '.join(names_of(key))}"
    if not option and (suggestion := full_key(meant)):
        return f"'{key}' is unknown; did you mean '{suggestion}'?"
    if not option or group not in KINDS:
        return f"'{key}' is unknown{suggest(key, {*run_options(), *CHOSEN})}"
    return unknown_option(group, option)


def unknown_option(kind: str, option: str) -> str:
    """Explain an option that the chosen part of a kind does not have."""
    key, (chosen, _, name) = f"{kind}.{option}", option.rpartition(".")
    parts = [part for part in registry().parts.values() if part.kind == kind]
    if owners := [part.name for part in parts if name in part.options]:
        return f"'{key}' is an option of {kind}={' or '.join(owners)}, which is not chosen"
    if name in run_options():
        return f"'{key}' is not an option of the chosen {kind}; did you mean '{name}'?"
    of_chosen = [part for part in parts if kind == "callback" and part.name == chosen]
    names: dict[str, Any] = {name: None for part in of_chosen or parts for name in part.options}
    prefix = f"{kind}.{chosen}." if of_chosen else f"{kind}."
    synonyms = {word: ours.removeprefix(f"{kind}.") for word, ours in KEY_OF.items() if f"{kind}." in ours}
    if near := nearest(name.replace("-", "_"), names, synonyms):
        return f"'{key}' is not an option of the chosen {kind}; did you mean '{prefix}{near}'?"
    return f"'{key}' is not an option of the chosen {kind}; python -m microgpt_lab plugins {kind} lists them"


def full_key(key: str) -> str | None:
    """Return the key for a name that other programs use, or for the bare name of an option; else None.

    Of two parts with such an option, a default part comes first.
    """
    if key in KEY_OF:
        return KEY_OF[key]
    parts = sorted(registry().parts.values(), key=lambda part: (not is_default(part), KINDS.index(part.kind)))
    for part in parts:
        if key in part.options:
            return f"callback.{part.name}.{key}" if part.kind == "callback" else f"{part.kind}.{key}"
    return None
