"""`python -m microgpt_lab [key=value …]`: train, once or (with -m) in a sweep. Hydra composes."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import sys
from math import prod
from pathlib import Path
from typing import Any

import hydra
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.hydra_config import HydraConfig
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob, Override
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from hydra.experimental.callback import Callback
from hydra.plugins.config_source import ConfigLoadError, ConfigResult, ConfigSource
from hydra.plugins.search_path_plugin import SearchPathPlugin
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from microgpt_lab import config
from microgpt_lab.commands import COMMANDS
from microgpt_lab.errors import UserError
from microgpt_lab.plugins import CHECKOUT, HERE, home, registry
from microgpt_lab.run import Run, execute

CONF = CHECKOUT / "conf" if CHECKOUT else HERE / "conf"
EXPERIMENTS = CHECKOUT / "experiments" if CHECKOUT else HERE / "experiments"
JOBS = "MICROGPT_LAB_JOBS"  # how many a sweep has, for its workers
finished: list[dict[str, Any]] = []  # summaries of this process's jobs
absent: list[Path] = []  # folders that a single run makes


class Recipes(ConfigSource):
    """`recipes:///folder`: each folder/<name>/recipe.yaml is experiment=<name>."""

    @staticmethod
    def scheme() -> str:
        return "recipes"

    def _file(self, config_path: str) -> Path:
        group, _, name = config_path.removesuffix(".yaml").partition("/")
        return Path(self.path) / (name if group == "experiment" and name else "-") / "recipe.yaml"

    def available(self) -> bool:
        return Path(self.path).is_dir()

    def is_group(self, config_path: str) -> bool:
        return config_path in ("", "experiment")

    def is_config(self, config_path: str) -> bool:
        return self._file(config_path).is_file()

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        if config_path == "":
            return [] if results_filter == ObjectType.CONFIG else ["experiment"]
        if config_path != "experiment" or results_filter == ObjectType.GROUP:
            return []
        return sorted(file.parent.name for file in Path(self.path).glob("*/recipe.yaml"))

    def load_config(self, config_path: str) -> ConfigResult:
        file = self._file(config_path)
        if not file.is_file():
            raise ConfigLoadError(f"there is no {file}")
        text = file.read_text(encoding="utf-8")
        header = self._get_header_dict(text[:512])
        return ConfigResult(self.provider, str(file), OmegaConf.create(text), header=header)


def experiments() -> list[str]:
    """The names of all recipes."""
    return sorted(
        f.parent.name
        for folder in (EXPERIMENTS, home() / "experiments")
        for f in folder.glob("*/recipe.yaml")
    )


class SearchPath(SearchPathPlugin):
    """Our recipes, and the configuration and recipes of the user's own lab folder."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        search_path.append("microgpt_lab", f"recipes://{EXPERIMENTS}")
        search_path.append("home", f"file://{home() / 'conf'}")
        search_path.append("home", f"recipes://{home() / 'experiments'}")


class Prepare(Callback):
    """Before Hydra makes folders: note which are not there, and let jobs know how many they are."""

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        folder = Path(config.hydra.run.dir).absolute()
        absent[:] = [path for path in (folder, *folder.parents) if not path.exists()]

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        params = [f"{key}={value}" for key, value in (config.hydra.sweeper.params or {}).items()]
        swept = OverridesParser.create().parse_overrides([*config.hydra.overrides.task, *params])
        os.environ[JOBS] = str(prod(map(values, swept)))


def values(override: Override) -> int:
    """How many values a sweep takes from an override."""
    value = override.value()
    if isinstance(value, Glob):
        return len(value.filter(registry().names(override.key_or_group)))
    return len(list(override.sweep_string_iterator())) if override.is_sweep_override() else 1


def run_name(overrides: list[str]) -> str:
    """The overrides as part of a folder's name: without what file systems dislike, and not too long."""
    name = re.sub(r"[^\w.,=+-]+", "-", ",".join(o.lstrip("+") for o in overrides)).strip(".-")
    if len(name.encode()) <= 120:
        return name
    return f"{name.encode()[:110].decode(errors='ignore')}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def register() -> None:
    """Tell Hydra of the parts, the recipes and the names of folders."""
    config.store()
    OmegaConf.register_new_resolver("suffix", lambda o: f"_{run_name(o)}" if o else "", replace=True)
    OmegaConf.register_new_resolver("job_name", lambda o, num: run_name(o) or str(num), replace=True)
    Plugins.instance().register(Recipes)
    Plugins.instance().register(SearchPath)


def composed(overrides: list[str]) -> dict[str, Any]:
    """The configuration of a run, for other commands."""
    config.check(overrides)
    register()
    try:
        with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
            return config.plain(hydra.compose("config", overrides))
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(config.explain(error, experiments(), COMMANDS)) from None


@hydra.main(config_path=str(CONF), config_name="config", version_base="1.3")
def job(cfg: DictConfig) -> float | None:
    """One run. Returns the held-out loss, which a sweeper may minimise."""
    hc = HydraConfig.get()
    folder = Path(hc.runtime.output_dir)
    swept = hc.mode == RunMode.MULTIRUN
    number = (hc.job.num + 1, int(os.environ.get(JOBS, "0"))) if swept else None
    try:
        run = Run(config.plain(cfg), folder, list(hc.overrides.task), number)
        summary = execute(run)
    except (UserError, OmegaConfBaseException, KeyboardInterrupt) as error:
        for empty in [folder] if swept else absent:
            with contextlib.suppress(OSError):
                empty.rmdir()  # nothing half-made stays behind
        if isinstance(error, KeyboardInterrupt):
            raise
        message = (
            config.explain(error, experiments(), COMMANDS)
            if isinstance(error, OmegaConfBaseException)
            else str(error)
        )
        if swept:
            print(f"error: {','.join(hc.overrides.task)}: {message}", file=sys.stderr)
        finished.append({"status": "refused", "error": message})
        return None
    finished.append(summary)
    if summary["status"] == "interrupted" and swept:
        raise KeyboardInterrupt
    return summary.get("loss/val")


def main(arguments: list[str]) -> int:
    finished.clear()
    for plugin, why in registry().skipped.items():
        print(f"warning: plugin {plugin} is skipped: {why}", file=sys.stderr)
    for clash in registry().clashes.values():
        print(f"warning: {clash}", file=sys.stderr)
    config.check(arguments)
    register()
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra raises, and the message is made here
    sys.argv = ["microgpt_lab", *arguments]
    try:
        job()
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(config.explain(error, experiments(), COMMANDS)) from None
    except OSError as error:
        raise UserError(f"{error.filename}: {error.strerror}") from None
    refused = [summary["error"] for summary in finished if summary["status"] == "refused"]
    if refused:
        raise UserError(
            refused[0] if len(finished) == 1 else f"{len(refused)} of {len(finished)} jobs were refused"
        )
    if any(summary["status"] == "diverged" for summary in finished):
        return 1
    return 130 if any(summary["status"] == "interrupted" for summary in finished) else 0
