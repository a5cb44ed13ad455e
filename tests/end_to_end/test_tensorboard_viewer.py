"""TensorBoard itself shows a sweep: through its HTTP interface and in a browser."""

import json
import shutil
import socket
import subprocess
import sys
import time
import urllib.request

import pytest

SHORT = ("steps=4", "eval_docs=3", "train_docs=100", "samples=2", "embed=8", "eval_every=2")


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


@pytest.fixture(scope="module")
def viewer(lab_in, tmp_path_factory):
    """Port of a TensorBoard that shows a sweep of two jobs."""
    pytest.importorskip("tensorboard", reason="needs microgpt-lab[board]")
    folder = tmp_path_factory.mktemp("viewed")
    lab_in(folder, "-m", "activation=relu,gelu", *SHORT, "hydra.sweep.dir=sweep", check=0)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    where = ["--logdir", "sweep", "--port", str(port), "--load_fast=false"]
    command = [sys.executable, "-m", "tensorboard.main", *where]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
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


def test_the_viewer_shows_a_run_per_job_and_swept_hyperparameters_first(viewer):
    assert all(run.startswith(("activation=relu,", "activation=gelu,")) for run in get(viewer, "runs"))
    experiment = post(viewer, "plugin/hparams/experiment", {"experimentName": ""})
    shown = [info["name"] for info in experiment["hparamInfos"] if info.get("differs", True)]
    assert "activation" in shown
    activation = next(info for info in experiment["hparamInfos"] if info["name"] == "activation")
    assert set(activation["domainDiscrete"]) == {"relu", "gelu"}
    results = [info["name"]["tag"] for info in experiment["metricInfos"]]
    assert results[:2] == ["eval/loss", "eval/loss_bits_per_char"] and "loss/val" in results
    assert {"size.parameters", "size.flops"} <= {info["name"] for info in experiment["hparamInfos"]}


def test_a_browser_shows_the_sweep(viewer, tmp_path):
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if not browser:
        pytest.skip("needs Chromium")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--dump-dom"]
    flags += [
        f"--user-data-dir={tmp_path / 'browser'}",
        "--virtual-time-budget=20000",
        "--window-size=1600,2400",  # cards are created when they become visible
    ]
    page = subprocess.run(
        [browser, *flags, f"http://127.0.0.1:{viewer}/#timeseries"],
        capture_output=True,
        text=True,
        timeout=90,
    ).stdout
    wanted = ("eval/loss", "loss/train_mean", "loss/val", "activation=relu,", "activation=gelu,")
    assert [word for word in wanted if word not in page] == []
