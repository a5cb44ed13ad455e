"""Read recipes: `experiment=NAME` is the file experiments/NAME/recipe.yaml."""

from __future__ import annotations

import os
from pathlib import Path

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.object_type import ObjectType
from hydra.plugins.config_source import ConfigLoadError, ConfigResult, ConfigSource
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import OmegaConf

from microgpt_lab.options import config, files, untrusted
from microgpt_lab.registry.folders import EXPERIMENTS, home


class Recipes(ConfigSource):
    """A source of configurations for Hydra, with addresses such as `recipes:///folder`."""

    @staticmethod
    def scheme() -> str:
        return "recipes"

    def _file(self, config_path: str) -> Path:
        group, _, name = config_path.removesuffix(".yaml").partition("/")
        is_name = group == "experiment" and name == Path(name).name and name not in ("", "..")
        return Path(self.path) / (name if is_name else "-") / "recipe.yaml"

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
            raise ConfigLoadError(f"{file} does not exist")
        text = files.read_text(file)
        content = untrusted.check(text, file)
        for key in ("hydra", "sweeper", "params"):
            content = content.get(key) if isinstance(content, dict) else None
        config.check(
            [f"{key}={value}" for key, value in content.items()] if isinstance(content, dict) else []
        )
        header = self._get_header_dict(text[:512])
        return ConfigResult(self.provider, str(file), OmegaConf.create(text), header=header)


def check_presets() -> None:
    """Raise UserError for a file in the user's conf/ that could run code."""
    for folder, _, names in os.walk(home() / "conf", followlinks=True):
        for file in (Path(folder, name) for name in sorted(names) if name.endswith((".yaml", ".yml"))):
            untrusted.check(files.read_text(file), file)


class SearchPath(SearchPathPlugin):
    """Let Hydra find the lab's recipes, and the presets and recipes of the user's own lab folder."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        search_path.prepend("microgpt_lab", "presets://model")
        search_path.prepend("microgpt_lab", "automatic://backend")
        search_path.append("microgpt_lab", f"recipes://{EXPERIMENTS}")
        search_path.append("home", f"file://{home() / 'conf'}")
        search_path.append("home", f"recipes://{home() / 'experiments'}")
