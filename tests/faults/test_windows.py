"""The lab under the rules of Windows, as far as `windows/sitecustomize.py` can impose them on Linux."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="imposes the rules of Windows on Linux")

SESSION = """
import sys
from microgpt_lab.commands import main

if __name__ == "__main__":  # workers import this file
    import microgpt_lab.commands.bench  # which takes longer to run

    for line in sys.stdin.read().splitlines():
        status = main(line.split())
        if status:
            sys.exit(f"{line}: exit status {status}")
"""
COMMANDS = """\
steps=5 hydra.run.dir=runs/one backend=numpy dropout=0.1 eval_docs=5 watch=[wte:0:0]
resume one steps=7
evaluate one
sample one -n 2
inspect one --html one.html
-m activation=relu,gelu,silu steps=3 eval_docs=5 backend=numpy jobs=2 hydra.sweep.dir=runs/swept
runs
runs prune runs/swept --status ok --yes
plugins activation
"""


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    """The folder and the process of a session of several commands."""
    folder = tmp_path_factory.mktemp("windows")
    (folder / "session.py").write_text(SESSION)
    rules = Path(__file__).with_name("windows")
    env = os.environ | {
        "PYTHONPATH": os.pathsep.join(filter(None, [str(rules), os.environ.get("PYTHONPATH")])),
        "PYTHONIOENCODING": "cp1252",  # of a pipe; it has no arrows and blocks
        "PYTHONWARNDEFAULTENCODING": "1",
        "PYTHONWARNINGS": "error::EncodingWarning:microgpt_lab",
    }
    command = [sys.executable, "session.py"]
    done = subprocess.run(
        command, cwd=folder, env=env, input=COMMANDS, capture_output=True, encoding="cp1252", timeout=300
    )
    return folder, done


@pytest.mark.thorough
def test_every_command_succeeds_without_fork_posix_signals_or_open_folders(session):
    folder, done = session
    assert done.returncode == 0, done.stderr
    assert "failed" not in done.stdout + done.stderr and "Error" not in done.stderr
    assert "3 ok in" in done.stdout and "removed 3 runs" in done.stdout
    assert not list(folder.glob("runs/swept/*=*"))
    assert json.loads((folder / "runs/one/summary.json").read_text())["steps"] == 7


@pytest.mark.thorough
def test_characters_that_a_pipe_lacks_are_question_marks(session):
    _, done = session
    assert "? [3/3]" in done.stdout, "the check mark of a job is not in cp1252"


def test_the_rules_are_imposed(tmp_path):
    """Each is broken once, so that the session above says something."""
    rules = Path(__file__).with_name("windows")
    lines = {
        "os.fork()": "AttributeError",
        "import resource": "ModuleNotFoundError",
        "open('a:b', 'w')": "not a file name",
        "open('AUX.txt', 'w')": "not a file name",
        "open('Lower', 'w'); open('lower')": "case only",
        "os.open('.', os.O_RDONLY)": "folder cannot be opened",
        "open('x', 'w').close(); f = open('x'); os.replace('x', 'y')": "open in this process",
        "open('x', 'w').close(); f = open('x'); os.remove('x')": "open in this process",
        "open('x', 'w').close(); f = open('x'); os.fsync(f.fileno())": "can be flushed",
    }
    tries = "\n".join(
        f"try:\n exec({line!r})\nexcept Exception as error:\n print(type(error).__name__, error)"
        f"\nelse:\n print('allowed')"
        for line in lines
    )
    done = subprocess.run(
        [sys.executable, "-c", f"import os\n{tries}"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(rules)},
        capture_output=True,
        text=True,
    )
    found = done.stdout.splitlines()
    assert len(found) == len(lines), done.stderr
    for line, expected, got in zip(lines, lines.values(), found, strict=True):
        assert expected in got, line
