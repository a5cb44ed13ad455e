"""Explain a wrong command line in one line: what was written, and what to write in its place."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from hydra.errors import HydraException, OverrideParseException
from omegaconf.errors import OmegaConfBaseException

from microgpt_lab.errors import UserError, nearest, suggest
from microgpt_lab.options.config import wrong_type
from microgpt_lab.options.keys import defaults, experiments, run_options
from microgpt_lab.registry.extras import install
from microgpt_lab.registry.folders import home
from microgpt_lab.registry.hookspecs import KINDS
from microgpt_lab.registry.parts import Option
from microgpt_lab.registry.plugins import registry
from microgpt_lab.registry.synonyms import KEY_OF

# Hydra's flags, and ours. Any other is refused here, so that Hydra does not print its usage.
FLAGS = ("--cfg", "--dry", "--help", "--info", "--multirun", "--package", "--resolve", "--run", "--version")
SHORT = ("-c", "-h", "-i", "-m", "-p", "-r", "-sc", "--shell-completion")
MODES = ("--cfg", "-c", "--info", "-i", "--multirun", "-m", "--run", "-r")  # each a thing of its own to do
SHOWN = ("job", "hydra", "all")  # what --cfg shows
# Hydra's too, but they read YAML and pickles from anywhere.
REFUSED = ("--config-dir", "-cd", "--config-path", "-cp", "--config-name", "-cn", "--experimental-rerun")

# A value that does not convert, as OmegaConf has it.
UNFIT = re.compile(
    r"Value '(.*)' (?:of type '\w+' could not be converted|is not a valid bool)"
    r"|Cannot convert '\w+' to string: '(.*)'"
)

# Hydra's launchers and sweepers that an extra brings.
PRESETS = {
    "joblib": "joblib",
    "optuna": "optuna",
    "ray": "ray",
    "submitit_local": "slurm",
    "submitit_slurm": "slurm",
}
THERE = {
    "hydra/launcher": ["basic", "cores", *sorted({*PRESETS, "ray_cluster", "slurm_cores"} - {"optuna"})],
    "hydra/sweeper": ["basic", "grid", "optuna", "optuna_kept"],
}


def check_flags(arguments: list[str]) -> None:
    """UserError for a flag that there is not; `--steps 5` is told how a value is written."""
    for argument, following in zip(arguments, [*arguments[1:], ""]):
        flag, equals, value = argument.partition("=")
        if flag in REFUSED:
            raise UserError(f"{flag} is not offered: presets belong into {home() / 'conf'}")
        if flag == "--hydra-help":
            raise UserError("--hydra-help is not offered: see --help, and docs/configuration.md")
        if flag.startswith("-") and flag not in (*FLAGS, *SHORT):
            raise UserError(no_flag(flag, arguments, FLAGS))
        if flag in ("--cfg", "-c") and (value if equals else following) not in SHOWN:
            raise UserError(f"{flag} takes one of {', '.join(SHOWN)}: write --cfg job")
    if len(modes := [argument for argument in arguments if argument.partition("=")[0] in MODES]) > 1:
        raise UserError(f"{' and '.join(modes)} exclude each other: write one of them")


def no_flag(flag: str, arguments: list[str], flags: Iterable[str]) -> str:
    """What to write instead of the `--steps 5` among these arguments; the flags, if it is no key either."""
    key, known = flag.lstrip("-").replace("-", "_"), {*run_options(), *KINDS, "experiment"}
    if "." not in key:
        key = key if key in known else elsewhere(key) or nearest(key, known)
    if not key:
        return f"{flag} is no flag; choose from {', '.join(flags)}, and values are written key=value"
    value = "…"
    for argument, following in zip(arguments, [*arguments[1:], ""]):
        if argument.startswith(f"{flag}="):
            value = argument.partition("=")[2]
        elif argument == flag and following and "=" not in following:
            value = following
    return f"{flag} is no flag: write {key}={value}"


def check_twice(arguments: Iterable[str]) -> None:
    """UserError for a key that is set more than once, of which the last would count in silence."""
    said: dict[str, list[str]] = {}
    for argument in arguments:
        key, equals, _ = argument.partition("=")
        if equals and not key.startswith(("-", "hydra")):  # of Hydra's own, none changes a number
            said.setdefault(key.lstrip("+"), []).append(argument)
    for key, times in said.items():
        if len(times) > 1:
            several = f", or -m {key}=A,B for a run of each" if key in (*KINDS, *run_options()) else ""
            several = f", or {key}=[A,B] for several" if key == "callback" else several
            raise UserError(f"'{key}' is set {len(times)} times ({', '.join(times)}): write one{several}")


def explain(error: Exception, commands: Iterable[str] = ()) -> str:
    """Hydra's or OmegaConf's complaint as one line, with a suggestion for a name that is near."""
    if not isinstance(error, (HydraException, OmegaConfBaseException)):
        return str(error)
    message = str(error.__cause__ if isinstance(error.__cause__, OmegaConfBaseException) else error)
    if found := re.search(r"Could not (?:find|load) '(hydra/\w+)/([^']+)'", message):
        return unknown_preset(found[1], found[2])
    if found := re.search(r"Could not (?:find|load) '(\w+)/([^']+)'", message):
        return unknown_part(found[1], found[2])
    if found := re.search(r"Could not override '([\w./-]+)'", str(error)):
        return unknown_key(found[1])
    if said := wrong_sign(str(error)):
        return said
    if isinstance(error, OverrideParseException):
        return unreadable(error.override, commands)
    if "Ambiguous value" in message:
        return f"{message.partition(chr(10))[0]}: several values make a sweep, with -m"
    lines = [line.strip() for line in message.splitlines() if line.strip()] or [type(error).__name__]
    if lines[0].endswith("raised while composing config:") and len(lines) > 1:
        lines[0] = f"{lines[0].partition(':')[0]}: {lines[1]}"
    key = next(
        (line[10:] for line in lines if line.startswith("full_key: ")), getattr(error, "full_key", "") or ""
    )
    if key.endswith(".name") and "read-only" in lines[0]:
        choice = "callback=[A,B]" if key.startswith("callback.") else f"{key.removesuffix('.name')}=NAME"
        return f"{key} cannot be set: a part is chosen with {choice}"
    if said := unfit(key, lines[0]):
        return said
    return lines[0] if key in lines[0] else f"{key}: {lines[0]}"


def wrong_sign(complaint: str) -> str | None:
    """For +key=value of a key that is there, and ~key of one that is not or must stay; else None."""
    if found := re.search(r"remove \+ prefix: '(.*)'", complaint):
        return f"+{found[1]} adds a key that is there already: write {found[1]}"
    if found := re.match(r"Multiple values for ([\w/]+)\. .*'override \1: (.*)'", complaint):
        kind, name = found.groups()
        return f"{kind} is chosen already: write {kind}={name}, or '- override /{kind}: {name}' in a recipe"
    if found := re.match(r"Could not delete from config\. '([\w./-]+)' does not exist", complaint):
        return unknown_key(found[1])
    if found := re.match(r"Could not delete (?:from config\. The value of )?'([^'=]+)", complaint):
        instead = ": write callback=[A,B] for those to keep, or callback=[]" if found[1] == "callback" else ""
        return f"'{found[1]}' must not be taken away{instead}"
    return None


def unfit(key: str, complaint: str) -> str | None:
    """OmegaConf's words for a value of a wrong type, in ours; None if they are about something else."""
    where = re.match(r"In '([^']*)': ", complaint)
    if found := re.search(r"field '([\w.]+)' is not Optional", complaint):
        key, value = found[1], "null"
    elif found := UNFIT.search(complaint):
        value = found[2] if found[1] is None else found[1]
        value = value.lower() if value in ("True", "False") else value
    else:
        return None
    if not (option := option_of(key)):
        return None
    said = wrong_type(key, value, option)
    return f"in {where[1].replace('/', '=', 1)}, {said}" if where else said


def option_of(key: str) -> Option | None:
    """The option that a key sets: one of the run's, or of a part (of several, the one chosen by default)."""
    if key in run_options():
        return run_options()[key]
    (kind, _, _), name = key.partition("."), key.rpartition(".")[2]
    owners = [part for part in registry().parts.values() if part.kind == kind and name in part.options]
    owners.sort(key=lambda part: part.name not in defaults().get(kind, ()))
    return owners[0].options[name] if owners else None


def unreadable(word: str, commands: Iterable[str]) -> str:
    """For what is no key=value."""
    key, equals, _ = word.partition("=")
    if equals:
        return f"cannot read {word}: quote the value, as in \"{key}='a b'\""
    kinds = [part.kind for part in registry().parts.values() if part.name == word]
    if word in run_options():
        return f"cannot read '{word}': write {word}=VALUE"
    if kinds:
        return f"cannot read '{word}': write {' or '.join(f'{kind}={word}' for kind in kinds)}"
    if word == "train":
        return "cannot read 'train': training needs no command, only key=value"
    command = f", or a command{suggest(word, commands)}" if commands else ""
    return f"cannot read '{word}': write key=value{command}"


def unknown_preset(group: str, name: str) -> str:
    """For a launcher or a sweeper."""
    if name in PRESETS:
        return f"{group}={name} needs {install(PRESETS[name])}"
    return f"{group}={name} is unknown{suggest(name, THERE.get(group, PRESETS))}"


def unknown_part(group: str, name: str) -> str:
    if group == "experiment" and "/" in name:
        kind, _, part = name.partition("/")
        return f"in a recipe's defaults, parts are chosen with '- override /{kind}: {part}'"
    if group not in KINDS:
        return f"{group}={name} is unknown{suggest(name, experiments() if group == 'experiment' else [])}"
    try:
        registry().get(group, name)
    except UserError as error:
        return str(error)
    return f"{group}={name} could not be loaded"


def unknown_key(key: str) -> str:
    if (meant := key.replace("-", "_")) != key and option_of(meant):
        return f"'{key}' is unknown; did you mean '{meant}'?"
    group, _, option = key.partition(".")
    if key in (*KINDS, "experiment"):
        names = registry().names(key) if key in KINDS else experiments()
        return f"{key} must be chosen with {key}=NAME; choose from {', '.join(names)}"
    if not option and (said := elsewhere(meant)):
        return f"'{key}' is unknown; did you mean '{said}'?"
    if not option or group not in KINDS:
        return f"'{key}' is unknown{suggest(key, {*run_options(), *KINDS, 'experiment'})}"
    return unknown_option(group, option)


def unknown_option(kind: str, option: str) -> str:
    """For an option that the chosen part of a kind, or no part of it, has."""
    key, (chosen, _, name) = f"{kind}.{option}", option.rpartition(".")
    parts = [part for part in registry().parts.values() if part.kind == kind]
    if owners := [part.name for part in parts if name in part.options]:
        return f"'{key}' is an option of {kind}={' or '.join(owners)}, which is not chosen"
    of_chosen = [part for part in parts if kind == "callback" and part.name == chosen]
    names: dict[str, Any] = {name: None for part in of_chosen or parts for name in part.options}
    prefix = f"{kind}.{chosen}." if of_chosen else f"{kind}."
    others = {other: ours.removeprefix(f"{kind}.") for other, ours in KEY_OF.items() if f"{kind}." in ours}
    near = suggest(name.replace("-", "_"), names, others).replace("mean '", f"mean '{prefix}")
    return f"'{key}' is no option of the chosen {kind}{near}"


def elsewhere(key: str) -> str | None:
    """What other programs call it, or the option of a part that has this name."""
    if key in KEY_OF:
        return KEY_OF[key]
    parts = sorted(registry().parts.values(), key=lambda part: KINDS.index(part.kind))
    for part in parts:
        if key in part.options:
            return f"callback.{part.name}.{key}" if part.kind == "callback" else f"{part.kind}.{key}"
    return None
