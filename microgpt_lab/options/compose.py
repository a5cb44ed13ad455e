"""Compose the configuration of a run with Hydra."""

from __future__ import annotations

from typing import Any

import hydra
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from microgpt_lab.errors import UserError
from microgpt_lab.options import automatic, config
from microgpt_lab.options.mistakes import explain
from microgpt_lab.options.overrides import run_name
from microgpt_lab.options.preset_source import Presets
from microgpt_lab.options.recipes import Recipes, SearchPath, check_presets
from microgpt_lab.registry.folders import CONF


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
    config.check(overrides)
    register()
    automatic.stand_for(auto)
    try:
        with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
            return config.plain(hydra.compose("config", overrides))
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(explain(error)) from None
