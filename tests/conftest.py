import os
import subprocess
import sys
from pathlib import Path

import pytest

# What JAX compiles in tests runs for a moment only: optimising it takes longer. Subprocesses inherit it.
if "--benchmark-only" not in sys.argv:
    os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")

ROOT = Path(__file__).parents[1]
SHARED = Path(os.environ.get("MICROGPT_LAB_TEST_DATA") or ROOT.parent / "shared" / "data")


@pytest.fixture
def karpathy_names():
    """The file that microgpt.py trains on. The project does not contain it."""
    path = SHARED / "karpathy_names.txt"
    if not path.is_file():
        pytest.skip("needs karpathy_names.txt in the folder that MICROGPT_LAB_TEST_DATA names")
    return path


@pytest.fixture
def lab(tmp_path):
    """Runs the command line as a user would, in another folder; returns the finished process."""

    def run(
        *arguments, cwd=tmp_path, env=None, check=None, command=(sys.executable, "-P", "-m", "microgpt_lab")
    ):
        clean = {
            k: v for k, v in os.environ.items() if not k.startswith(("MICROGPT_LAB", "HYDRA", "COLUMNS"))
        }
        clean["MICROGPT_LAB_HOME"] = str(tmp_path / "home")
        done = subprocess.run(
            [*command, *arguments],
            cwd=cwd,
            env=clean | (env or {}),
            capture_output=True,
            text=True,
            timeout=120,
        )
        if check is not None:
            assert done.returncode == check, done.stdout + done.stderr
        return done

    return run
