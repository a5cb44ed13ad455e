"""Load compiled programs from the user's cache folder instead of compiling them again."""

from __future__ import annotations

import contextlib
import os
from importlib.metadata import version
from typing import Any

import jax
from jax.experimental import serialize_executable

from microgpt_lab.tensors import compiled

VARIABLES = ("XLA_FLAGS", "NPROC", "LIBTPU_INIT_ARGS")


def compile_cached(lowered: Any) -> Any:
    """Return `lowered.compile()`, or load it if this or another process has compiled the same before.

    A folder that cannot be used is not an error: the program is compiled. This cache is off if the user sets
    JAX's own (JAX_COMPILATION_CACHE_DIR) or wants none (JAX_ENABLE_COMPILATION_CACHE=0). JAX's own is not
    the default, because it warns in every run after an interrupted write, warns if it cannot write, and
    loads programs that were compiled for another number of threads and may round differently.
    """
    config = jax.config.values
    if config["jax_compilation_cache_dir"] or not config["jax_enable_compilation_cache"]:
        return lowered.compile()
    path = compiled.file("jax", lowered.as_text(), *settings())
    with contextlib.suppress(Exception):  # missing, damaged, not the user's own, or unusable
        serialized = compiled.load(path)
        return serialize_executable.deserialize_and_load(serialized, lowered.in_tree, lowered.out_tree)
    program = lowered.compile()
    with contextlib.suppress(Exception):  # a full disk, say, or a program that calls Python functions
        compiled.save(path, serialize_executable.serialize(program)[0])
    return program


def settings() -> tuple[Any, ...]:
    """Return what a compiled program depends on besides its source and the CPU: compiler and devices."""
    devices = [(device.platform, device.device_kind, device.id) for device in jax.devices()]
    variables = [os.environ.get(name) for name in VARIABLES]
    versions = version("jax"), version("jaxlib"), jax.devices()[0].client.platform_version
    return versions, variables, sorted(jax.config.values.items()), devices
