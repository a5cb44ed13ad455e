"""Compose the configuration of each job of a sweep: what Hydra composes, in a fiftieth of the time.

Hydra composes in two steps: it merges files (chosen by the overrides that name an option of a group),
then it sets values (`key=value`) in the result. The first step takes nearly all the time, and is the
same for all jobs that differ in values alone. So Hydra makes it once for each choice of files, and
Hydra's own function sets the values of each job.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, flag_override
from omegaconf.errors import OmegaConfBaseException

from microgpt_lab.errors import UserError
from microgpt_lab.options import config
from microgpt_lab.options.mistakes import explain
from microgpt_lab.options.overrides import run_name

OF_HYDRA = "${hydra:"  # what is set for each job
KEPT = 64  # choices of files
PLAIN_NAME = "${job_name:${hydra.overrides.task},${hydra.job.num}}"  # conf/config.yaml's hydra.sweep.subdir


class Composer:
    """Composes jobs as `loader` does for the sweep whose own configuration is `master`."""

    last: Composer | None = None

    def __init__(self, loader: Any, master: DictConfig):
        self.loader, self.master = loader, master
        parser = OverridesParser.create()
        self.parsed = functools.lru_cache(10_000)(lambda line: parser.parse_overrides([line])[0])
        self.is_group = functools.cache(loader.repository.group_exists)
        self.merged = functools.lru_cache(KEPT)(self.merge)

    @classmethod
    def of(cls, loader: Any, master: DictConfig) -> Composer:
        """That of the sweep that is under way: the sweeper validates with it, the launcher composes."""
        if not cls.last or cls.last.master is not master:
            cls.last = cls(loader, master)
        return cls.last

    def parted(self, overrides: Sequence[str]) -> tuple[tuple[str, ...], list[Override]]:
        """The overrides that choose files, and those that set a value."""
        files, values = [], []
        for line in overrides:
            override = self.parsed(line)
            named = override.package is not None or self.is_group(override.key_or_group)
            if override.is_hydra_override() or (named and not isinstance(override.value(), dict)):
                files.append(line)
            else:
                values.append(override)
        return tuple(files), values

    def merge(self, files: tuple[str, ...]) -> tuple[DictConfig, bool]:
        """The configuration of these files, and whether it is all that a job's depends on."""
        own = self.loader.load_sweep_config(self.master, list(files))
        raw: Any = OmegaConf.to_container(own, resolve=False)
        alone = raw.pop("hydra")["sweep"]["subdir"] == PLAIN_NAME and OF_HYDRA not in str(raw)
        with flag_override(own, ["struct", "readonly"], False):
            del own["hydra"]
        return own, alone

    def validate(self, jobs: Sequence[Sequence[str]]) -> None:
        """Raise what Hydra would raise for any of them.

        A value is right or wrong whatever the other values are, so each is tried once for its files.
        """
        tried: dict[tuple[str, ...], set[str | None]] = {}
        for overrides in jobs:
            files, values = self.parted(overrides)
            base, known = self.merged(files)[0], tried.setdefault(files, set())
            if new := [value for value in values if value.input_line not in known]:
                ConfigLoaderImpl._apply_overrides_to_config(new, copy.deepcopy(base))
                known.update(value.input_line for value in new)

    def compose(self, overrides: Sequence[str], number: int) -> tuple[dict[str, Any], str]:
        """A job's configuration as plain values, and the name of its folder. UserError if it is not valid."""
        try:
            return self.composed(overrides, number)
        except (HydraException, OmegaConfBaseException) as error:
            raise UserError(explain(error)) from None

    def composed(self, overrides: Sequence[str], number: int) -> tuple[dict[str, Any], str]:
        files, values = self.parted(overrides)
        own, alone = self.merged(files)
        if not alone or any(OF_HYDRA in line for line in overrides):
            return self.whole(overrides, number)
        own = copy.deepcopy(own)
        ConfigLoaderImpl._apply_overrides_to_config(values, own)
        return config.plain(own), run_name(list(overrides)) or str(number)

    def whole(self, overrides: Sequence[str], number: int) -> tuple[dict[str, Any], str]:
        """The same by Hydra alone."""
        whole = self.loader.load_sweep_config(self.master, list(overrides))
        with flag_override(whole, ["struct", "readonly"], False):
            whole.hydra.job.num = whole.hydra.job.id = number
        HydraConfig.instance().set_config(whole)  # for ${hydra:…}
        name = str(OmegaConf.select(whole, "hydra.sweep.subdir"))
        if Path(name).name != name:
            raise UserError(f"hydra.sweep.subdir={name}: a job has one folder in that of the sweep")
        with flag_override(whole, ["struct", "readonly"], False):
            del whole["hydra"]
        return config.plain(whole), name
