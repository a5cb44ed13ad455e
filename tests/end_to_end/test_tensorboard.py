"""What TensorBoard shows, read back with its own reader and over its HTTP interface."""

import json
import shutil
import socket
import subprocess
import sys
import time
import urllib.request

import pytest

SHORT = ("steps=4", "eval_docs=3", "samples=2", "embed=8", "eval_every=2")


@pytest.fixture
def events():
    accumulator = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", reason="needs microgpt-lab[board]"
    )

    def read(folder):
        sizes = {"scalars": 0, "histograms": 0, "tensors": 0, "images": 0}
        return accumulator.EventAccumulator(str(folder), size_guidance=sizes).Reload()

    return read


def test_scalars_texts_and_histograms_are_those_of_the_run(lab, tmp_path, events):
    lab(*SHORT, "callback.tensorboard.histograms=true", "hydra.run.dir=run", check=0)
    board = events(tmp_path / "run")
    rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    for tag in ("loss/train", "loss/val", "optim/lr", "optim/grad_norm", "perf/tokens_per_s"):
        shown = {event.step: event.value for event in board.Scalars(tag)}
        assert shown == pytest.approx({row["step"]: row[tag] for row in rows if tag in row}, rel=1e-6)
    texts = {
        tag: board.Tensors(tag)[-1].tensor_proto.string_val[0].decode() for tag in board.Tags()["tensors"]
    }
    assert "activation:" in texts["configuration/text_summary"]
    samples = json.loads((tmp_path / "run" / "summary.json").read_text())["samples"]
    assert all(sample in texts["samples/text_summary"] for sample in samples)
    assert {"weights/wte", "gradients/layer0.wo"} <= set(board.Tags()["histograms"])


KILLER = """
import os
from microgpt_lab import hookimpl

@hookimpl
def step_finished(step):
    if step == 3:
        os.kill(os.getpid(), 9)
"""


def test_a_killed_run_has_lost_nothing(lab, tmp_path, events):
    """Events are on disk when the step ends: what a kill -9 leaves is complete."""
    killer = tmp_path / "killer"
    killer.mkdir()
    (killer / "killer.py").write_text(KILLER)
    lab(*SHORT, "hydra.run.dir=run", env={"MICROGPT_LAB_PLUGINS": str(killer)}, check=-9)
    assert [event.step for event in events(tmp_path / "run").Scalars("loss/train")] == [1, 2, 3]


def get(port, path):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/data/{path}", timeout=10) as answer:
        return json.load(answer)


def post(port, path, body):
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/data/{path}",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


@pytest.fixture
def viewer(lab, tmp_path):
    """TensorBoard on a sweep of two; the port."""
    pytest.importorskip("tensorboard", reason="needs microgpt-lab[board]")
    lab("-m", "activation=relu,gelu", *SHORT, "hydra.sweep.dir=sweep", check=0)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    where = ["--logdir", "sweep", "--port", str(port), "--load_fast=false"]
    command = [sys.executable, "-m", "tensorboard.main", *where]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(120):
            try:
                if len(get(port, "runs")) == 2:
                    break
            except OSError:
                pass
            time.sleep(0.5)
        yield port
    finally:
        process.kill()
        process.wait()


def test_the_viewer_shows_a_run_a_job_with_swept_hyperparameters_first(viewer):
    assert all(run.startswith(("activation=relu,", "activation=gelu,")) for run in get(viewer, "runs"))
    experiment = post(viewer, "plugin/hparams/experiment", {"experimentName": ""})
    shown = [info["name"] for info in experiment["hparamInfos"] if info.get("differs", True)]
    assert "activation" in shown
    activation = next(info for info in experiment["hparamInfos"] if info["name"] == "activation")
    assert set(activation["domainDiscrete"]) == {"relu", "gelu"}
    assert "loss/val" in [info["name"]["tag"] for info in experiment["metricInfos"]]


def test_a_browser_shows_the_sweep(viewer, tmp_path):
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if not browser:
        pytest.skip("needs Chromium")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--dump-dom"]
    flags += [
        f"--user-data-dir={tmp_path / 'browser'}",
        "--virtual-time-budget=20000",
        "--window-size=1600,900",
    ]
    page = subprocess.run(
        [browser, *flags, f"http://127.0.0.1:{viewer}/#timeseries"],
        capture_output=True,
        text=True,
        timeout=90,
    ).stdout
    assert all(tag in page for tag in ("loss/train", "loss/val", "activation=relu,", "activation=gelu,"))
