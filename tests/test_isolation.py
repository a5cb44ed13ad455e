"""The tests do not depend on the plugins and settings of their user."""

import os
import subprocess
import sys
from pathlib import Path

from test_plugins import SWISH

TESTS = Path(__file__).parent


def test_tests_ignore_the_users_plugins_and_environment(tmp_path):
    """Plugins in the user's folder, as in README's "Write a part", are not tested."""
    for folder, name in ((".microgpt_lab/plugins", "mine"), ("named", "relu")):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / f"{name}.py").write_text(SWISH.replace("swish", name))
    env = {name: value for name, value in os.environ.items() if name != "MICROGPT_LAB_HOME"}
    env |= {"HOME": str(tmp_path), "MICROGPT_LAB_PLUGINS": str(tmp_path / "named")}
    command = [sys.executable, "-m", "pytest", "--collect-only", "-n", "0", "-p", "no:cacheprovider"]
    listed = subprocess.run(
        [*command, TESTS / "test_parts.py"], env=env, cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert listed.returncode == 0, listed.stdout + listed.stderr
    assert "activation=relu]" in listed.stdout and "activation=mine]" not in listed.stdout


def test_the_lab_folder_of_the_tests_is_empty():
    assert not list(Path(os.environ["MICROGPT_LAB_HOME"]).iterdir())
