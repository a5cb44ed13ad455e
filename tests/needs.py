import importlib

import pytest

from microgpt_lab.registry.plugins import registry


def needs(backend):
    """Skip a test where a backend cannot be used."""
    if backend == "jax":
        pytest.importorskip("jax", reason="needs microgpt-lab[jax]")
    registry()
    if backend == "c" and not importlib.import_module("microgpt_lab_plugins.backends.c.build").compiler():
        pytest.skip("needs a C compiler, or microgpt-lab[c]")
