"""Promise: a full disk or another limit of the machine is a one-line error, and nothing saved is lost."""

import json
import shlex
import subprocess
import sys

import pytest

from microgpt_lab.run import checkpoint

OPTIONS = "steps=400 train_docs=500 embed=8 eval_docs=5 samples=2 eval_every=20 backend=numpy"
OPTIONS += " callback.checkpoint.every=10"
LONGER = OPTIONS.replace("steps=400", "steps=600")
LAB = f"{shlex.quote(sys.executable)} -P -m microgpt_lab"


def run_with_mounts(script, folder):
    """Run a shell script that can mount a file system at `disk`. Skips the test if this is forbidden."""
    (folder / "disk").mkdir()
    command = ["unshare", "-rm", "bash", "-c", f"mount -t tmpfs -o size=4m none disk || exit 99\n{script}"]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
    except FileNotFoundError:
        pytest.skip("needs unshare")
    if done.returncode == 99 or "unshare:" in done.stderr:
        pytest.skip("this machine does not allow mounts")
    return done


def test_a_run_on_a_full_disk_ends_and_can_be_resumed(lab, tmp_path):
    script = f"""
mount -o remount,size=200k disk
{LAB} {OPTIONS} hydra.run.dir=disk/run >/dev/null; echo "status $?"
cp -r disk/run kept
mount -o remount,size=8m disk
{LAB} resume disk/run >/dev/null; echo "status $?"
cp disk/run/checkpoint.bin resumed.bin
"""
    done = run_with_mounts(script, tmp_path)
    assert done.stdout == "status 1\nstatus 0\n", done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ") and "No space left on device" in line
    assert f"resume {tmp_path}/disk/run" in line
    saved = checkpoint.read(tmp_path / "kept", pytest.fail)
    assert saved.facts["step"] >= 10 and not list((tmp_path / "kept").glob("*.part"))
    lab(*OPTIONS.split(), "hydra.run.dir=whole", check=0)
    whole = checkpoint.read(tmp_path / "whole", pytest.fail)
    (tmp_path / "resumed.bin").rename(tmp_path / "kept" / checkpoint.CURRENT)
    assert checkpoint.read(tmp_path / "kept", pytest.fail).numbers == whole.numbers


@pytest.mark.thorough
def test_a_sweep_on_a_full_disk_ends_and_can_be_resumed(tmp_path):
    script = f"""
mount -o remount,size=400k disk
{LAB} -m {OPTIONS} 'seed=range(2)' hydra.sweep.dir=disk/sweep >/dev/null; echo "status $?"
mount -o remount,size=32m disk
{LAB} -m {OPTIONS} 'seed=range(2)' hydra.sweep.dir=disk/sweep >/dev/null; echo "status $?"
"""
    done = run_with_mounts(script, tmp_path)
    assert done.stdout == "status 1\nstatus 0\n", done.stderr
    assert "No space left on device" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.thorough
def test_a_read_only_folder_is_a_one_line_error(lab, tmp_path):
    lab(*OPTIONS.split(), "steps=20", "hydra.run.dir=run", check=0)
    (tmp_path / "run" / "summary.json").unlink()
    script = f"""
mv run disk
mount -o remount,ro disk
{LAB} resume disk/run; echo "status $?"
{LAB} {OPTIONS} hydra.run.dir=disk/other; echo "status $?"
"""
    done = run_with_mounts(script, tmp_path)
    assert done.stdout == "status 1\nstatus 1\n", done.stderr
    assert [line.partition(": ")[0] for line in done.stderr.splitlines()] == ["error", "error"]
    assert done.stderr.count("Read-only file system") == 2


@pytest.mark.thorough
def test_a_run_beyond_the_file_size_limit_ends_and_can_be_resumed(lab, tmp_path):
    done = lab(command=["bash", "-c", f"ulimit -f 40; {LAB} {LONGER} hydra.run.dir=run"], check=1)
    assert "File too large" in done.stderr and "Traceback" not in done.stderr
    lab("resume", "run", check=0)
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["steps"] == 600


LEAK = """
import resource
from microgpt_lab import hookimpl

resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
files = []

@hookimpl
def step_finished(step):
    if step > 60:
        while True:
            files.append(open(__file__))
"""


@pytest.mark.thorough
def test_a_run_with_too_many_open_files_ends_and_can_be_resumed(lab, tmp_path):
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "leak.py").write_text(LEAK)
    env = {"MICROGPT_LAB_PLUGINS": str(tmp_path / "parts")}
    done = lab(*OPTIONS.split(), "hydra.run.dir=run", env=env, check=1)
    (line,) = done.stderr.splitlines()
    assert "Too many open files" in line and "resume" in line
    assert checkpoint.read(tmp_path / "run", pytest.fail).facts["step"] == 60
    lab("resume", "run", check=0)
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["steps"] == 400
