"""The wheel, installed into an empty folder and used from another folder."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.thorough
def test_an_installed_wheel_trains_from_any_folder(lab, tmp_path):
    build = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(tmp_path / "dist"), str(ROOT)]
    subprocess.run(build, check=True, timeout=300)
    (wheel,) = (tmp_path / "dist").iterdir()
    site = tmp_path / "site"
    install = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(site), str(wheel)]
    subprocess.run(install, check=True, timeout=300)
    assert {path.name for path in site.iterdir()} >= {"microgpt_lab", "microgpt_lab_plugins"}
    assert not {"plugins", "conf", "experiments", "tests"} & {path.name for path in site.iterdir()}
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    command, env = (sys.executable, "-P", "-m", "microgpt_lab"), {"PYTHONPATH": str(site)}
    short = ("steps=2", "eval_docs=2", "samples=1", "activation=gelu")
    lab(*short, command=command, cwd=elsewhere, env=env, check=0)
    assert len(list((elsewhere / "runs").glob("*/summary.json"))) == 1
    shown = lab("--help", command=command, cwd=elsewhere, env=env, check=0).stdout
    assert "microgpt-243" in shown
    lab("new", "norm", "of_mine", command=command, cwd=elsewhere, env=env, check=0)
    written = {path.relative_to(elsewhere / "of_mine").as_posix() for path in elsewhere.glob("of_mine/**/*")}
    assert {"of_mine.py", "tests/test_of_mine.py", ".github/workflows/ci.yml", ".gitignore"} <= written
