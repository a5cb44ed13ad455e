"""The command line as a user runs it: in a subprocess, in another folder."""

import json
import os
import re
import runpy
import shutil
import signal
import subprocess
import sys
import time

import pytest
import yaml

SHORT = ("steps=4", "eval_docs=3", "train_docs=100", "samples=2", "embed=8", "eval_every=2")


def only(folder):
    (entry,) = folder.iterdir()
    return entry


@pytest.fixture(scope="module")
def finished(lab_in, tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished")
    done = lab_in(folder, *SHORT, "activation=gelu", "layers=2", check=0)
    return only(folder / "runs"), done


def test_a_run_writes_all_its_files_into_its_folder(finished):
    run, _ = finished
    assert run.name.endswith(f"_{','.join(SHORT)},activation=gelu,layers=2")
    names = {path.name for path in run.iterdir() if not path.name.startswith("events.out.tfevents")}
    assert names == {
        "config.yaml", "overrides.yaml", "environment.json", "metrics.jsonl",
        "summary.json", "checkpoint.bin", "samples.txt", "log.txt", ".lock",
    }  # fmt: skip
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert config["layers"] == 2 and config["activation"] == {"name": "gelu", "approximate": "none"}
    environment = json.loads((run / "environment.json").read_text())
    assert {"python", "git_commit", "git_dirty", "documents_sha256"} <= set(environment)
    assert environment["callbacks"].keys() == config["callback"].keys()
    summary = json.loads((run / "summary.json").read_text())
    assert summary["status"] == "ok" and summary["documents/val"] == 3 and len(summary["samples"]) == 2
    assert sum(summary["parameters_by_kind"].values()) == summary["parameters"]
    assert summary["flops_per_token"] > 6 * summary["parameters_by_kind"]["mlp"]
    assert summary["flops"] % summary["flops_per_token"] == 0 < summary["flops"]
    assert set(summary["guessing"]) == {"uniform", "unigram", "bigram", "trigram"}
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [1, 2, 3, 4]
    assert [row["step"] for row in rows if "loss/val" in row] == [2, 4]
    assert rows[-1]["loss/val"] == summary["loss/val"]


def test_a_pipe_gets_plain_lines(finished):
    _, done = finished
    assert "\x1b" not in done.stdout and "\r" not in done.stdout
    assert "step 2/4  loss" in done.stdout and "step 4/4  loss" in done.stdout
    assert "on 3 documents" in done.stdout and "trigram" in done.stdout
    assert "tensorboard --logdir runs" in done.stdout


def test_a_second_run_in_the_same_folder_gets_a_new_one(lab, tmp_path):
    for _ in range(2):
        lab(*SHORT, "hydra.run.dir=same", check=0)
    assert (tmp_path / "same-2" / "summary.json").is_file()


def test_sample_draws_from_a_finished_run(finished, lab):
    run, _ = finished
    command = (
        "sample",
        str(run),
        "--prompt",
        "em",
        "--temperature",
        "0.5",
        "--top-k",
        "5",
        "-n",
        "7",
        "--seed",
        "1",
    )
    lines = lab(*command, check=0).stdout.splitlines()
    assert len(lines) == 7 and all(line.startswith("em") for line in lines)
    assert lines == lab(*command, check=0).stdout.splitlines()
    assert "'5' 'E'" in lab("sample", str(run), "--prompt", "E5", check=2).stderr
    assert "there is no run at nowhere" in lab("sample", "nowhere", check=2).stderr
    of_greedy = lab("sample", str(run), "--temperature", "0.5", "sampler=greedy", check=2).stderr
    assert "'sampler.temperature' is an option of sampler=multinomial, which is not chosen" in of_greedy


def test_long_overrides_make_a_valid_folder_name(lab, tmp_path):
    (tmp_path / ("x" * 100)).mkdir()
    (tmp_path / ("x" * 100) / ("y" * 200)).write_text("ab\nba\nbb\naa\n" * 5)
    lab("dataset=text", f"dataset.path={'x' * 100}/{'y' * 200}", *SHORT, check=0)


def test_a_diverged_run_ends_with_status_diverged(lab, tmp_path):
    done = lab(*SHORT, "steps=30", "optimizer=sgd", "optimizer.lr=1e9", "norm=none", "samples=1", check=1)
    summary = json.loads((only(tmp_path / "runs") / "summary.json").read_text())
    assert summary["status"] == "diverged" and "step" in summary["error"]
    assert not list(tmp_path.glob("runs/*/checkpoint.bin"))
    assert "Traceback" not in done.stderr


def test_a_pipe_that_closes_does_not_stop_the_run(lab, tmp_path):
    options = "steps=20 eval_every=2 eval_docs=2 samples=1 embed=8 hydra.run.dir=run"
    command = f"'{sys.executable}' -P -m microgpt_lab {options} | head -1"
    assert not lab(command=("bash", "-c", command), check=0).stderr
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["status"] == "ok"


def test_an_unexpected_error_is_a_traceback_with_status_failed(lab, tmp_path):
    (tmp_path / "home" / "plugins").mkdir(parents=True)
    broken = (
        "from microgpt_lab import hookimpl\ndef broken(step, steps):\n    return {0: 1, 2: 1, 3: 1}[step]\n"
    )
    broken += "@hookimpl\ndef schedulers():\n    return [broken]"
    (tmp_path / "home" / "plugins" / "broken.py").write_text(broken)
    assert "Traceback" in lab("scheduler=broken", *SHORT, check=1).stderr
    assert json.loads((only(tmp_path / "runs") / "summary.json").read_text())["status"] == "failed"


@pytest.mark.thorough
@pytest.mark.skipif(not shutil.which("script"), reason="needs the program `script` for a terminal")
def test_no_color_is_respected_on_a_terminal(lab):
    command = ("script", "-qec", f"'{sys.executable}' -P -m microgpt_lab {' '.join(SHORT)}", "/dev/null")
    plain = lab(command=command, env={"TERM": "xterm-256color", "NO_COLOR": "1"}).stdout
    coloured = lab(command=command, env={"TERM": "xterm-256color"}).stdout
    assert "━" in plain and "4/4" in plain
    colour = re.compile(r"\x1b\[(\d+;)*3\d[;m]")
    assert colour.search(coloured) and not colour.search(plain)


def test_early_stopping_ends_a_run(lab, tmp_path):
    callbacks = "callback=[early_stopping]"
    lab(
        "steps=50",
        "eval_every=1",
        "eval_docs=2",
        "optimizer.lr=1e-12",
        "samples=0",
        "callback.early_stopping.min_delta=1",
        callbacks,
        check=0,
    )
    assert json.loads((only(tmp_path / "runs") / "summary.json").read_text())["steps"] == 4


def test_a_task_reports_exact_matches(lab, tmp_path):
    lab("dataset=reverse", *SHORT, check=0)
    assert 0 <= json.loads((only(tmp_path / "runs") / "summary.json").read_text())["exact_match"] <= 1


def test_ctrl_c_loses_nothing(tmp_path):
    command = [sys.executable, "-P", "-m", "microgpt_lab", "steps=100000", "embed=8"]
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        env=os.environ | {"MICROGPT_LAB_HOME": str(tmp_path / "home")},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    for _ in range(300):
        metrics = list(tmp_path.glob("runs/*/metrics.jsonl"))
        if metrics and len(metrics[0].read_text().splitlines()) > 20:
            break
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130 and "Traceback" not in errors
    run = only(tmp_path / "runs")
    summary = json.loads((run / "summary.json").read_text())
    steps = len((run / "metrics.jsonl").read_text().splitlines())
    assert summary["status"] == "interrupted" and abs(summary["steps"] - steps) <= 1
    assert (run / "checkpoint.bin").is_file()


@pytest.mark.parametrize("imported", ["microgpt_lab.commands", "microgpt_lab.commands.tune"])
def test_ctrl_c_during_imports_ends_without_a_traceback(imported, monkeypatch):
    class PressCtrlC:
        @staticmethod
        def find_spec(name, path=None, target=None):
            if name == imported:
                raise KeyboardInterrupt

    monkeypatch.delitem(sys.modules, imported, raising=False)
    monkeypatch.setattr(sys, "meta_path", [PressCtrlC, *sys.meta_path])
    monkeypatch.setattr(sys, "argv", ["microgpt_lab", "tune"])
    monkeypatch.setattr(signal, "signal", lambda *_: None)  # the handlers of this process stay
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("microgpt_lab", run_name="__main__")
    assert ended.value.code == 130


def test_karpathy_names_offline_says_where_to_put_the_file(lab, tmp_path, karpathy_names):
    env = {
        "https_proxy": "http://127.0.0.1:9",
        "HTTPS_PROXY": "http://127.0.0.1:9",
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
    }
    (line,) = lab("dataset=karpathy_names", env=env, check=2).stderr.splitlines()
    assert (
        str(tmp_path / "cache" / "microgpt_lab" / "karpathy_names.txt") in line
        and "dataset.path=FILE" in line
    )
    (tmp_path / "cache" / "microgpt_lab").mkdir(parents=True, exist_ok=True)
    shutil.copy(karpathy_names, tmp_path / "cache" / "microgpt_lab" / "karpathy_names.txt")
    lab("dataset=karpathy_names", *SHORT, env=env, check=0)


def test_the_recipe_of_the_243_lines_is_configuration_alone(lab):
    shown = yaml.safe_load(lab("experiment=microgpt-243", "--cfg", "job", check=0).stdout)
    expected = {
        "block_size": 8,
        "init": {"name": "normal", "std": 0.02, "zero": True},
        "steps": 500,
        "split": "none",
    }
    assert shown == shown | expected
    assert (shown["activation"]["name"], shown["scheduler"]["name"]) == ("relu2", "cosine")
    assert (shown["optimizer"]["beta1"], shown["optimizer"]["beta2"]) == (0.9, 0.95)


def test_help_and_info_and_completion_know_the_parts(lab):
    shown = lab("--help", check=0).stdout
    assert "gelu" in shown and "muon" in shown and "layers=1" in shown
    lab("--info", "defaults", check=0)
    env = {"COMP_LINE": "microgpt-lab activation=ge", "COMP_POINT": "26"}
    assert "activation=gelu" in lab("-sc", "query=bash", env=env, check=0).stdout


def test_plugins_lists_every_part(lab):
    shown = lab("plugins", "optimizer", check=0).stdout
    assert "optimizer=muon" in shown and "activation" not in shown


@pytest.mark.thorough
def test_bench_compares_the_backends(lab):
    small = ("embed=8", "batch_size=2", "mlp.ratio=2", "steps=5", "--turns", "2", "--seconds", "0.05")
    output = lab("bench", *small, check=0).stdout
    assert output.startswith(
        "layers 1, embed 8, heads 4, block_size 16, batch_size 2, mlp.ratio 2.0, medians"
    )
    rows = {line.split()[0]: line for line in output.splitlines() if "MiB" in line}
    assert {"python", "numpy"} <= set(rows)
    differences = [
        float(line.split(" in ")[0].split()[-1]) for name, line in rows.items() if name != "python"
    ]
    assert all(difference < 1e-12 for difference in differences)


def test_bench_reports_mistakes_in_one_line(lab):
    assert "did you mean 'layers'" in lab("bench", "layres=2", check=2).stderr
    assert "turns must be at least 1" in lab("bench", "--turns", "0", check=2).stderr


def test_bench_compares_with_pytorch(lab):
    pytest.importorskip("torch")
    output = lab("bench", "embed=8", "--turns", "1", "--seconds", "0", "--against", "torch", check=0).stdout
    (line,) = [line for line in output.splitlines() if line.startswith("PyTorch")]
    assert float(line.split(" in ")[0].split()[-1]) < 1e-12
