"""A run of a compiled backend is inspected where this backend cannot be used."""

import os
import subprocess
import sys

import pytest
from needs import needs

from microgpt_lab.checks.options import short_run

CALLBACKS = {name: {"name": name} for name in ("checkpoint", "diagnostics")}
WITHOUT = """
import sys
for name in ("jax", "jaxlib", "ziglang"):
    sys.modules[name] = None  # importing it raises ImportError
from microgpt_lab.commands import main
train, *inspect = sys.argv[1:]
assert main([train, "steps=1"]) == 2  # the backend cannot be used here
sys.exit(main(inspect))
"""


@pytest.mark.thorough
@pytest.mark.parametrize("backend", ["c", pytest.param("jax", marks=pytest.mark.slow)])
def test_neither_a_compiler_nor_jax_is_needed(tmp_path, backend):
    needs(backend)
    short_run(tmp_path / "run", backend={"name": backend}, callback=CALLBACKS, steps=2, eval_every=1)
    bare = {name: value for name, value in os.environ.items() if name != "CC"} | {"PATH": str(tmp_path)}
    command = [sys.executable, "-c", WITHOUT, f"backend={backend}", "inspect", "run", "--text", "ab"]
    found = subprocess.run(command, capture_output=True, text=True, env=bare, cwd=tmp_path)
    assert found.returncode == 0, found.stderr
    (error,) = found.stderr.splitlines()
    assert error.startswith(f"error: backend={backend} ")
    assert "logit lens" in found.stdout and "Loss by position" in found.stdout
