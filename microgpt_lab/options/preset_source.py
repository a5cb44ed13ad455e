"""Give presets of models to Hydra, so that their options hold for whichever parts are chosen.

In `model=llama norm=layernorm`, the gain that llama gives its norm is the layer norm's. In
`model=gpt2 activation=relu`, ReLU has no approximation to choose. So a preset is two configurations for
Hydra: its choices and keys, and its options of parts, which depend on all the choices.
"""

from __future__ import annotations

from typing import Any

from hydra.core.object_type import ObjectType
from hydra.plugins.config_source import ConfigLoadError, ConfigResult, ConfigSource
from omegaconf import OmegaConf

from microgpt_lab.options import files, presets
from microgpt_lab.registry.hookspecs import MODEL_KINDS

OPTIONS = "model_options"  # in conf/config.yaml: the names of the model and of its parts, with commas between


class Presets(ConfigSource):
    """A source of configurations for Hydra. It lists nothing, because the files of presets are listed."""

    @staticmethod
    def scheme() -> str:
        return "presets"

    def available(self) -> bool:
        return True

    def is_group(self, config_path: str) -> bool:
        return False

    def is_config(self, config_path: str) -> bool:
        group, _, name = config_path.removesuffix(".yaml").partition("/")
        return group == OPTIONS or (group == "model" and name in presets.presets())

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        return []

    def load_config(self, config_path: str) -> ConfigResult:
        group, _, name = config_path.removesuffix(".yaml").partition("/")
        if group == OPTIONS:
            model, *parts = name.split(",")
            content = presets.options_for(model, dict(zip(MODEL_KINDS, parts))) | {"model": model}
        else:
            if not (path := presets.presets().get(name)):
                raise ConfigLoadError(f"{config_path} does not exist")
            text = files.read_text(path)
            options = presets.parse(text, path).options
            content: Any = OmegaConf.to_container(OmegaConf.create(text))
            content = {key: value for key, value in content.items() if key not in options}
        return ConfigResult(
            self.provider, self.path, OmegaConf.create(content), header={"package": "_global_"}
        )
