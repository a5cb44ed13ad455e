"""Give `backend=auto` to Hydra: it is composed as the backend that it stands for.

So the configuration of a run, which identifies a job of a sweep and is recorded in config.yaml, names that
backend, and `auto` is only in the overrides.
"""

from __future__ import annotations

from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.object_type import ObjectType
from hydra.plugins.config_source import ConfigResult, ConfigSource

from microgpt_lab.registry.automatic import AUTO, fastest
from microgpt_lab.registry.plugins import registry

STANDS_FOR = "automatic"  # an entry of the ConfigStore with the name of the backend, or "" before it is found


class Automatic(ConfigSource):
    """A source of one configuration for Hydra, `backend/auto`."""

    @staticmethod
    def scheme() -> str:
        return "automatic"

    def available(self) -> bool:
        return True

    def is_group(self, config_path: str) -> bool:
        return config_path == AUTO.kind

    def is_config(self, config_path: str) -> bool:
        return config_path.removesuffix(".yaml") == f"{AUTO.kind}/{AUTO.name}"

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        return [AUTO.name] if config_path == AUTO.kind and results_filter != ObjectType.GROUP else []

    def load_config(self, config_path: str) -> ConfigResult:
        found: Any = ConfigStore.instance().load(f"{STANDS_FOR}.yaml").node
        if not found.name:
            found.name = fastest(registry().parts)
            stand_for(found.name)
        node: Any = ConfigStore.instance().load(f"{AUTO.kind}/{found.name}.yaml").node
        return ConfigResult(self.provider, self.path, node, header={"package": AUTO.kind})


def stand_for(name: str) -> None:
    """Let `backend=auto` stand for this backend; with "", for the fastest, which is found when it is needed.

    Hydra's launchers give their workers the ConfigStore, so a sweep finds it once.
    """
    ConfigStore.instance().store(STANDS_FOR, {"name": name}, provider="microgpt_lab")
