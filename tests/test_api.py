"""`train`, `sweep` and `load_run` from Python: the same runs as the command line's, and usable objects."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

import microgpt_lab
from microgpt_lab import UserError, load_run, sweep, train
from microgpt_lab.api.arguments import as_arguments
from microgpt_lab.inspection.replay import loaded
from microgpt_lab.options.compose import compose_run, written_out

SHORT = {
    "steps": 12,
    "eval_every": 4,
    "eval_docs": 4,
    "samples": 2,
    "embed": 8,
    "heads": 2,
    "backend": "numpy",
}
WORDS = [f"{key}={value}" for key, value in SHORT.items()]


@pytest.fixture(autouse=True)
def in_own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run."""
    return train("activation=gelu", folder=tmp_path_factory.mktemp("run") / "gelu", **SHORT)


def test_a_run_is_that_of_the_command_line(run, lab, tmp_path):
    lab("activation=gelu", *WORDS, check=0)
    (other,) = (tmp_path / "runs").iterdir()
    ours, theirs = run.summary, load_run(other).summary
    assert ours.pop("seconds") and theirs.pop("seconds") and ours == theirs and ours["status"] == "ok"
    assert run.config == load_run(other).config
    ours = train("activation=gelu", **SHORT | {"steps": 0})
    assert ours.folder.parent == tmp_path / "runs"
    end = other.name.partition("_activation")[2].replace("steps=12", "steps=0")
    assert re.fullmatch(r"[\d-]+_[\d-]+_activation" + re.escape(end), ours.folder.name)
    assert load_run().folder == ours.folder and ours.loss == ours.summary["loss/val"]


def test_losses_metrics_and_weights(run):
    assert list(run.metrics.index) == list(range(1, 13))
    assert run.metrics["loss/val"].dropna().index.tolist() == [4, 8, 12]
    assert run.loss == run.metrics["loss/val"].iloc[-1]
    weights = loaded(run.folder).weights
    assert run.weights.keys() == weights.keys() and run.weights["wte"].shape == (27, 8)
    assert all(np.array_equal(run.weights[name], w.tolist()) for name, w in weights.items())


def test_samples_are_those_of_the_command_line(run, lab):
    printed = lab(
        "sample", str(run.folder), "--prompt", "em", "-n", "3", "--seed", "1", "--top-k", "4", check=0
    )
    assert run.sample("em", samples=3, seed=1, top_k=4) == printed.stdout.splitlines()
    assert run.sample("em", samples=2, sampler="greedy")[0] == run.sample("em", samples=1, top_k=1)[0]


def test_evaluate_and_inspect_and_resume(run):
    assert run.evaluate().loss.value == pytest.approx(run.loss, rel=1e-12)
    emma = run.inspect("emma")
    assert emma.expected[0].nats == pytest.approx(
        -np.log(emma.replay.probabilities[0][emma.replay.targets[0]])
    )
    assert repr(emma).startswith("Inspection('emma', ") and "wte" in str(emma.tensor("wte").name)
    assert "logit lens" in emma._repr_html_() and "\x1b" not in emma._repr_html_()
    for view in (emma.expected, emma.lens, emma.attribution, emma.heads, emma.ablations, emma.health):
        lines = repr(view).splitlines()  # at a prompt: what a terminal shows, not thousands of numbers
        assert 4 < len(lines) < 100 and max(map(len, lines)) <= 80 and "\x1b" not in repr(view)
    again = train(folder="again", **SHORT)
    longer = again.resume(steps=15)
    assert longer.folder == again.folder and list(longer.metrics.index) == list(range(1, 16))
    assert again.resume().summary == longer.summary  # has ended: nothing to do


def test_reprs_are_a_line_and_a_page_without_code_of_strangers(run):
    assert re.fullmatch(r"Run\('activation=gelu,.*', loss=\d\.\d{4}, folder='.*'\)", repr(run))
    html = run._repr_html_()
    assert f"{run.loss:.4f}" in html and html.count("<polyline") == 2 and "trigram" in html
    hostile = "<script>alert(1)</script>\x1b[2J"
    summary = json.loads((run.folder / "summary.json").read_text()) | {"samples": [hostile], "error": hostile}
    strange = Path("strange")
    strange.mkdir()
    (strange / "summary.json").write_text(json.dumps(summary))
    (strange / "overrides.yaml").write_text(json.dumps([f"a={hostile}"]))
    html = load_run("strange")._repr_html_()
    assert "<script" not in html and "\x1b" not in html and "&lt;script&gt;" in html


MISTAKES = {
    "activation=gleu is unknown; did you mean 'gelu'?": lambda: train("activation=gleu"),
    "'steps' is set 2 times": lambda: train("steps=1", steps=2),
    "seed has several values: write one, or call sweep": lambda: train(seed=[0, 1]),
    "write one value": lambda: train("seed=0,1"),
    "jobs=2 is for a sweep": lambda: train(jobs=2),
    "--cfg is a flag of the command line": lambda: train("--cfg", "job"),
    "3 is no override": lambda: train(3),
    "optimizer is a dictionary": lambda: train(optimizer={"lr": 1}),
    "callback is a dictionary": lambda: train(callback={"watch": {"every": 5}}),
    "callback=3 is unknown": lambda: train(callback=3),
    "folder is empty": lambda: train(folder=""),
    "embed=16 must be divisible by heads=3": lambda: train(heads=3),
    "seed has no values": lambda: sweep(seed=[]),
    "did you mean 'layers'": lambda: sweep(layres=[1, 2]),
    "there is no run at nothing": lambda: load_run("nothing"),
}


@pytest.mark.parametrize("line", MISTAKES)
def test_a_mistake_is_one_line_and_leaves_nothing(line, tmp_path):
    with pytest.raises(UserError) as caught:
        MISTAKES[line]()
    (shown,) = caught.value._render_traceback_()  # by IPython, instead of a traceback
    assert line in shown and shown == f"error: {caught.value}" and "\n" not in shown
    assert not list(tmp_path.iterdir())


def test_a_mistake_about_a_run_is_one_line(run):
    with pytest.raises(UserError, match=r"^sample: not in the vocabulary: 'é'$"):
        run.sample("é")
    with pytest.raises(UserError, match=r"'sampler.temprature' is not.*'sampler.temperature'"):
        run.sample(temprature=2)
    with pytest.raises(UserError, match=r"^sample: the prompt fills the block of 16"):
        run.sample("a" * 16)
    with pytest.raises(UserError, match=r"^split=tset is unknown; did you mean 'test'"):
        run.evaluate("tset")
    with pytest.raises(UserError, match=r"has no checkpoint|no run with a checkpoint"):
        _ = train(callback=["jsonl"], **SHORT).weights


TEXTS = ["mlp=mlp layers=2", "a,b", "it's", "c:\\x\\", "[1]", "", " a ", "\\'", "a\\\\'b", "null", "${x}"]


def test_texts_arrive_as_they_are():
    for text in TEXTS:
        (written,) = as_arguments((), {"match_reference": text})
        assert str(OverridesParser.create().parse_overrides([written])[0].value()) == text
    given = {"match_reference": TEXTS[0], "samples": np.int64(3), "final_norm": True, "callback": ["jsonl"]}
    config = compose_run(written_out(as_arguments(["optimizer.lr=0.5"], given))).config
    assert config["match_reference"] == TEXTS[0] and config["final_norm"] is True
    assert list(config["callback"]) == ["jsonl"]
    assert config["samples"] == 3 and config["optimizer"]["lr"] == 0.5


def test_lists_and_ranges_are_the_values_of_a_sweep():
    given = {"activation": ["relu", "gelu"], "seed": range(2, 4), "layers": np.arange(2), "norm": "glob(*)"}
    written = as_arguments((), given | {"watch": ["wq[2,5]"]}, several=True)
    assert written[:2] == ["activation=relu,gelu", "seed=range(2,4,1)"]
    assert written[2:] == ["layers=0,1", "norm=glob(*)", "watch=[wq[2,5]]"]
    once = {"seed": (2 * i for i in range(3)), "steps": np.array(5)}
    assert as_arguments((), once, several=True) == ["seed=0,2,4", "steps=5"]


def test_a_hydra_application_can_train(tmp_path):
    (tmp_path / "config.yaml").write_text("optimizer: ours\nname: ${suffix:x}\n")
    OmegaConf.register_new_resolver("suffix", lambda x: f"{x} of the application", replace=True)
    argv, environment = list(sys.argv), dict(os.environ)
    store, before = ConfigStore.instance(), ConfigStore.instance().repo
    store.repo = {
        name: before[name] for name in ("hydra", "_dummy_empty_config_.yaml")
    }  # as in a fresh process
    store.store("adam", {"lr": "ours"}, "optimizer")
    try:
        with initialize_config_dir(str(tmp_path), version_base="1.3"):
            application = GlobalHydra.instance().hydra
            assert train(folder="run", **SHORT).config["optimizer"]["lr"] == 0.01
            assert GlobalHydra.instance().hydra is application
            cfg = hydra_compose("config", ["+optimizer@chosen=adam"])
            assert cfg.chosen.lr == "ours" and cfg.name == "x of the application"
        assert store is ConfigStore.instance() and "tokenizer" not in store.repo
    finally:
        OmegaConf.clear_resolver("suffix")
        store.repo = before
    changed = {name for name in os.environ if os.environ[name] != environment.get(name)}
    assert sys.argv == argv and changed <= {"CRC32C_SW_MODE", "KMP_DUPLICATE_LIB_OK"}  # of imported packages


def test_a_thread_can_train_and_signals_stay_as_they_are():
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    done = []
    thread = threading.Thread(target=lambda: done.append(train(folder="in_thread", **SHORT)))
    thread.start()
    thread.join()
    assert done[0].status == "ok"
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == handlers


INTERRUPTED = """
import os, signal, threading, time
from pathlib import Path
from microgpt_lab import load_run, sweep, train

signal.signal(signal.SIGINT, signal.default_int_handler)  # background jobs of a shell ignore it

def interrupt(pattern):
    def wait():
        while not any(file.stat().st_size for file in Path().glob(pattern)):
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)
    threading.Thread(target=wait).start()

long = dict(steps=10**6, eval_every=0, eval_docs=2, samples=1, embed=8, heads=2, backend="numpy")
long |= {"callback": ["jsonl", "checkpoint"]}
interrupt("run/metrics.jsonl")
run = train(folder="run", **long)
assert run.status == "interrupted" and load_run("run").sample("a", samples=1) and len(run.metrics) < 10**6
assert run.summary["steps"] == len(run.metrics) and "status='interrupted'" in repr(run)
interrupt("swept/*/metrics.jsonl")
found = sweep(folder="swept", seed=range(3), jobs=1, **long)
assert list(found.runs.status) == ["interrupted"], found
print("usable")
"""


@pytest.mark.thorough
def test_ctrl_c_leaves_a_usable_run_and_sweep(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0 and done.stdout.endswith("usable\n"), done.stdout + done.stderr
    assert re.search(
        r"^interrupted at step [\d,]+ of 1,000,000: run.resume\(\) continues$", done.stdout, re.M
    )
    again = "the same call with folder='swept' runs the missing jobs"
    assert f"interrupted, 0 runs have finished: {again}" in done.stdout


def test_a_sweep_has_runs_and_a_report(capsys, tmp_path):
    import matplotlib

    before = dict(matplotlib.rcParams)
    short = SHORT | {"steps": 2, "callback": ["console"]}
    found = sweep("activation=relu,gelu", seed=range(2), **short)
    assert capsys.readouterr().out.count("✓") == 4
    assert found.folder.parent == tmp_path / "runs" and found.folder.name.endswith("_sweep")
    assert found.runs.attrs["swept"] == ["activation", "seed"] and list(found.runs.status) == ["ok"] * 4
    assert repr(found) == f"Sweep(4 ok, folder='runs/{found.folder.name}')"
    assert "<table" in found._repr_html_() and found._repr_html_().count("<tr") >= 5
    report = found.report(against="activation=relu")
    assert "compared with" in repr(report) and "\x1b" not in repr(report)
    assert "<svg" in report._repr_html_() and (found.folder / "report.html").exists()
    assert dict(matplotlib.rcParams) == before
    again = sweep("activation=relu", seed=range(3), folder=found.folder, **short)
    assert capsys.readouterr().out.count("already finished") == 2 and again.statuses == {"ok": 5}
    with pytest.raises(UserError, match=r"^report has no option 'agianst'; did you mean 'against'"):
        found.report(agianst="")
    with pytest.raises(UserError, match=r"^'layers' was not swept"):
        found.report(by="layers")


def test_importing_the_lab_imports_no_hydra_and_knows_the_names():
    heavy = {"hydra", "rich", "pandas", "matplotlib"}
    code = f"import sys, microgpt_lab; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
    assert {"train", "sweep", "load_run"} < set(dir(microgpt_lab))
    with pytest.raises(AttributeError):
        _ = microgpt_lab.trian
