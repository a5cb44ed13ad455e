"""Compose the configuration of a run, or of what the jobs of a sweep have in common, with Hydra."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from microgpt_lab.errors import UserError
from microgpt_lab.options import automatic, config, mistakes, shorthand
from microgpt_lab.options.isolated import isolated
from microgpt_lab.options.overrides import run_name
from microgpt_lab.options.preset_source import Presets
from microgpt_lab.options.recipes import Recipes, SearchPath, check_presets
from microgpt_lab.registry.folders import CONF


class Composed(NamedTuple):
    """What Hydra composes for a run.

    folder: where the run is to be written, as hydra.run.dir names it.
    overrides: those of the configuration, without those of Hydra itself.
    """

    config: dict[str, Any]
    folder: Path
    overrides: list[str]


def written_out(arguments: Sequence[str]) -> list[str]:
    """Return the arguments of a training as Hydra gets them. UserError for what Hydra would not explain."""
    mistakes.check_flags(list(arguments))
    mistakes.check_twice(arguments)
    written = [each for argument in arguments for each in shorthand.expand(argument)]
    config.check(written)
    return written


def register() -> None:
    """Register the parts, the recipes and the resolvers for folder names with Hydra."""
    check_presets()
    config.store_options()
    automatic.stand_for("")
    OmegaConf.register_new_resolver("suffix", lambda o: f"_{run_name(o)}" if o else "", replace=True)
    OmegaConf.register_new_resolver("job_name", lambda o, num: run_name(o) or str(num), replace=True)
    OmegaConf.register_new_resolver("either", lambda name, other: name or other, replace=True)
    Plugins.instance().register(automatic.Automatic)
    Plugins.instance().register(Presets)
    Plugins.instance().register(Recipes)
    Plugins.instance().register(SearchPath)


def compose(overrides: list[str], auto: str = "") -> dict[str, Any]:
    """Compose the configuration of a run from overrides. UserError if they are not valid.

    auto: what `backend=auto` stands for; by default the fastest backend here.
    """
    with loaded(overrides, auto=auto) as cfg:
        return without_hydra(cfg)


def compose_run(overrides: list[str]) -> Composed:
    """Compose a run as the command line does: with its folder. UserError if the overrides are not valid."""
    with loaded(overrides) as cfg:
        folder, given = Path(cfg.hydra.run.dir).absolute(), list(cfg.hydra.overrides.task)
        return Composed(without_hydra(cfg), folder, given)


def sweep_folder(overrides: list[str]) -> Path:
    """Return the folder of a sweep with these overrides. UserError if they are not valid."""
    with loaded(overrides, RunMode.MULTIRUN) as cfg:
        return Path(cfg.hydra.sweep.dir).absolute()


@contextmanager
def loaded(overrides: list[str], mode: RunMode = RunMode.RUN, auto: str = "") -> Iterator[DictConfig]:
    """Have Hydra load a configuration, with its own settings in it, and lend it while it can be resolved."""
    config.check(overrides)
    try:
        with isolated():
            register()
            automatic.stand_for(auto)
            with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
                main: Any = GlobalHydra.instance().hydra
                cfg = main.compose_config("config", overrides, run_mode=mode, from_shell=False)
                HydraConfig.instance().set_config(cfg)  # for ${hydra:…} in names of folders
                yield cfg
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(mistakes.explain(error)) from None


def without_hydra(cfg: DictConfig) -> dict[str, Any]:
    """Return a configuration as plain values, without Hydra's own settings."""
    with open_dict(cfg):
        del cfg["hydra"]
    return config.plain(cfg)
