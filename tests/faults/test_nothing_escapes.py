"""Promise: a run writes only into its folder, prints no control characters, and reveals no environment."""
# ruff: noqa: E501  tables

import http.server
import json
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microgpt_lab import UserError, printable
from microgpt_lab.options.download import download, fetch
from microgpt_lab.options.overrides import run_name
from microgpt_lab.terminal import terminal

SHORT = (
    "steps=3",
    "train_docs=200",
    "embed=8",
    "eval_docs=3",
    "samples=2",
    "hydra.run.dir=run",
    "backend=numpy",
)


@settings(max_examples=500, deadline=None)
@given(st.lists(st.text(max_size=400), max_size=5))
def test_names_of_runs_stay_in_their_folder(overrides):
    name = run_name(overrides)
    assert "/" not in name and "\0" not in name and "\\" not in name
    assert name not in (".", "..") and not name.startswith((".", "-")) and len(name.encode()) <= 120
    assert (Path("runs") / f"x_{name}").parent == Path("runs")


@pytest.mark.parametrize(
    "value",
    ["../../up", "a/b", "x" * 300]
    + [pytest.param(v, marks=pytest.mark.slow) for v in ("CON", "nul", "a\\b", "~", "$HOME", "a;b", "-rf")],
)
def test_no_value_creates_a_folder_elsewhere(lab, tmp_path, value):
    (tmp_path / "inner").mkdir()
    (tmp_path / "data.txt").write_text("ab\nba\n" * 20)
    quoted = f"dataset.letters='{value}'"
    lab("steps=1", "embed=8", "eval_docs=2", "samples=1", "dataset=reverse", quoted, cwd=tmp_path / "inner")
    assert {path.name for path in tmp_path.iterdir()} <= {"inner", "data.txt", "home"}
    assert {file.parents[1] for file in tmp_path.rglob("config.yaml")} <= {tmp_path / "inner" / "runs"}


HOSTILE = [
    "\x1b[2Jclear\x1b]0;title\x07",
    "\u202eright to left",
    "</script><script>alert(1)</script>",
    "\x9b31mred",
    "a\rb",
]


def test_control_characters_of_the_data_are_escaped(lab, tmp_path):
    (tmp_path / "data.txt").write_text("\n".join(HOSTILE * 10))
    data = ("dataset=text", "dataset.path=data.txt", "block_size=40", "sampler.temperature=0.05")
    shown = lab(*SHORT, *data, "steps=60", "samples=8", "embed=16", check=0).stdout
    shown += lab("sample", "run", "-n", "20", "--prompt", "\x1b[2J", check=0).stdout
    shown += (tmp_path / "run" / "samples.txt").read_text()
    assert "\\x1b" in shown
    assert not {char for char in shown if not char.isprintable()} - {"\n", "\t"}


def test_emoji_codes_are_printed_literally(capsys):
    terminal().print(":smile:")
    assert capsys.readouterr().out == ":smile:\n"


@given(st.text())
def test_printable_text_is_printable(text):
    assert all(char.isprintable() or char in "\u200c\u200d" for char in printable(text))
    assert printable("emma été 名") == "emma été 名"


@pytest.mark.thorough
def test_a_run_writes_no_environment_variable(lab, tmp_path):
    value = "canary-5d41402abc4b"
    lab(*SHORT, env={"SECRET_TOKEN": value, "AWS_SECRET_ACCESS_KEY": value, "HOSTNAME": value}, check=0)
    lab("-m", *SHORT, "seed=0,1", "hydra.sweep.dir=sweep", env={"SECRET_TOKEN": value}, check=0)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 20
    assert not [path for path in files if value.encode() in path.read_bytes()]


AUDIT = """
import sys
seen = []
WATCHED = ("socket.bind", "socket.connect", "socket.sendto", "pickle.find_class", "os.system", "subprocess.Popen", "os.exec", "os.posix_spawn")
sys.addaudithook(lambda event, args: seen.append((event, repr(args)[:200])) if event.startswith(WATCHED) else None)
from microgpt_lab.commands import main
sys.argv = ["microgpt_lab"]
status = main({arguments!r})
import json
print("AUDIT" + json.dumps(seen))
sys.exit(status)
"""


@pytest.mark.thorough
@pytest.mark.parametrize(
    "arguments", [[*SHORT], ["resume", "run"], ["sample", "run"], ["plugins"]], ids=lambda a: a[0]
)
def test_no_command_listens_connects_or_unpickles(lab, tmp_path, arguments):
    if arguments[0] in ("resume", "sample"):
        lab(*SHORT, check=0)
    if arguments[0] == "resume":
        (tmp_path / "run" / "summary.json").unlink()
    done = lab(command=(sys.executable, "-P", "-c", AUDIT.format(arguments=arguments)), check=0)
    seen = json.loads(done.stdout.rpartition("AUDIT")[2])
    allowed = ("subprocess.Popen", "os.posix_spawn")  # for the commit and the processor
    assert [
        (event, args)
        for event, args in seen
        if not (event in allowed and ("'git'" in args or "'uname'" in args))
    ] == []


class LargeResponse(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/elsewhere":
            self.send_response(302)
            self.send_header("Location", "/large")
            self.end_headers()
            return
        self.send_response(200)
        self.end_headers()
        chunk = b"x" * 2**20
        try:
            for _ in range(200):
                self.wfile.write(chunk)
        except OSError:
            pass

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), LargeResponse)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_downloads_are_limited_in_size_and_follow_no_redirect(tmp_path, server):
    with pytest.raises(ValueError, match="larger than 100 MB"):
        fetch(f"{server}/large", tmp_path / "file", None)
    assert (tmp_path / "file").stat().st_size <= 100_000_000
    fetch(f"{server}/elsewhere", tmp_path / "file", None)
    assert (tmp_path / "file").stat().st_size == 0
    with pytest.raises(UserError, match="starts with https:"):
        download(f"{server}/large", "0" * 64, "file")
