"""Promise: runs from before most parts of the model are listed, compared and reported as then.

Their checkpoints, in which weights have other names, are refused in one line.
"""

import json

import pytest
from foreign import encoded

from microgpt_lab import UserError
from microgpt_lab.checks.options import short_run
from microgpt_lab.commands import report, resume, runs, sample
from microgpt_lab.options import older as older_keys
from microgpt_lab.options.compose import compose
from microgpt_lab.options.untrusted import dump
from microgpt_lab.run import checkpoint
from microgpt_lab.run.folder import read_summary
from microgpt_lab.run.record import Run

CONFIG = """
layers: 1
heads: 4
embed: 16
block_size: 16
tie_embeddings: false
split: zero2hero
train_docs: 0
long_docs: truncate
seed: {seed}
steps: 2
batch_size: 1
eval_every: 100
eval_docs: 200
dropout: 0.0
grad_clip: 0.0
init_std: {std}
zero_init: {zero}
samples: 20
temperature: 0.5
activation: {{name: relu}}
norm: {{name: rmsnorm, eps: 1.0e-05, gain: false}}
optimizer: {{name: adam, lr: 0.01, beta1: 0.85, beta2: 0.99, eps: 1.0e-08}}
scheduler: {{name: linear, warmup: 0.0, final: 0.0}}
dataset: {{name: us_names}}
backend: {{name: python}}
callback: {{jsonl: {{name: jsonl}}}}
"""


@pytest.fixture
def older(tmp_path, monkeypatch):
    """A sweep of init_std over two seeds, and a run of the defaults, as that version left them."""
    monkeypatch.chdir(tmp_path)

    def write(folder, std=0.08, zero="false", seed=42, overrides=(), loss=2.5):
        folder.mkdir(parents=True)
        (folder / "config.yaml").write_text(CONFIG.format(std=std, zero=zero, seed=seed))
        (folder / "overrides.yaml").write_text(dump(list(overrides)))
        (folder / "summary.json").write_text(json.dumps({"status": "ok", "loss/val": loss, "steps": 2}))
        (folder / "metrics.jsonl").write_text('{"step": 1, "loss/train": 3.3}\n')

    write(tmp_path / "runs" / "one")
    (tmp_path / "runs" / "swept" / ".jobs").mkdir(parents=True)
    for std, loss in ((0.02, 2.25), (0.08, 2.75)):
        for seed in (0, 1):
            overrides = [f"init_std={std}", "zero_init=true", f"seed={seed}"]
            folder = tmp_path / "runs" / "swept" / ",".join(overrides)
            write(folder, std, "true", seed, overrides, loss + seed / 8)
    return tmp_path / "runs"


def test_older_runs_are_listed_with_the_keys_of_this_version(older, capsys):
    runs.main(["--json"])
    differs = {run["folder"]: run["differs"] for run in json.loads(capsys.readouterr().out)}
    few = {"steps": 2, "callback": "[jsonl]"}
    assert differs["runs/one"] == few
    assert differs["runs/swept/init_std=0.02,zero_init=true,seed=0"] == few | {
        "init.std": 0.02,
        "init.zero": True,
        "seed": 0,
    }
    runs.main(["init.std=0.02", "attention=multihead", "--csv"])
    assert len(capsys.readouterr().out.splitlines()) == 3


def test_an_older_run_equals_one_of_today_with_the_same_configuration(older, capsys):
    today = Run(compose(["steps=2", "callback=[jsonl]"]), older / "today")
    today.claim()
    today.write_summary({"status": "ok", "loss/val": 2.5, "steps": 2})
    (older / "today" / "metrics.jsonl").write_text('{"step": 1, "loss/train": 3.3}\n')
    runs.main(["diff", "one", "today"])
    assert "equal: configuration" in capsys.readouterr().out


def test_an_older_sweep_is_reported_with_the_keys_of_this_version(older, capsys):
    report.main(["swept"])
    output = capsys.readouterr().out
    assert "init.std, 2 seeds" in output and "init_std" not in output
    assert "init.zero=True" in (older / "swept" / "report.md").read_text()


def test_an_older_checkpoint_is_refused_in_one_line(older):
    saved = json.loads((older / "one" / "summary.json").read_text())
    config = {"init_std": 0.08, "zero_init": False, "layers": 1}
    content = checkpoint.encode(saved | {"config": config, "chars": ["a"]}, {"weights": {}})
    (older / "one" / checkpoint.CURRENT).write_bytes(content)
    why = "was made by an older version of microgpt_lab, whose weights have other names"
    for command in (sample.main, resume.main):
        with pytest.raises(UserError, match=f"runs/one.* {why}"):
            command(["one"])
    with pytest.raises(UserError, match=why):
        resume.main(["one", "steps=40", "--force"])


def test_a_checkpoint_from_before_tokenizers_is_sampled_and_resumed(tmp_path, capsys):
    """It has characters instead of a tokenizer, and `temperature` was a key of its own."""
    options = {"steps": 4, "train_docs": 50, "callback": {"checkpoint": {"name": "checkpoint"}}}
    short_run(tmp_path / "run", sampler={"name": "multinomial", "temperature": 0.25}, **options)
    sample.main([str(tmp_path / "run"), "-n", "5", "--seed", "1"])
    expected = capsys.readouterr().out
    file = tmp_path / "run" / checkpoint.CURRENT
    facts, numbers = checkpoint.decode(file.read_bytes())
    config = facts["config"] | {"temperature": 0.25}
    for key in ("tokenizer", "sampler", "eval_stride", "init_from", "model"):
        config.pop(key)
    then = {key: value for key, value in facts.items() if key not in ("tokenizer", "start")}
    then |= {"config": config, "chars": facts["tokenizer"]["tokens"]}
    file.write_bytes(encoded(then, numbers))
    (tmp_path / "run" / "config.yaml").write_text(dump(config))
    sample.main([str(tmp_path / "run"), "-n", "5", "--seed", "1"])
    assert capsys.readouterr().out == expected
    samples = read_summary(tmp_path / "run")["samples"]
    (tmp_path / "run" / "summary.json").unlink()
    assert resume.main([str(tmp_path / "run")]) == 0
    assert read_summary(tmp_path / "run")["samples"] == samples


@pytest.mark.thorough
def test_a_run_whose_precision_was_called_dtype_is_listed_reported_and_resumed(lab, tmp_path, capsys):
    sizes = ["steps=4", "train_docs=50", "eval_docs=5", "samples=1", "callback=[jsonl,checkpoint]"]
    lab("-m", *sizes, "backend=numpy", "backend.precision=float64,float32", "hydra.sweep.dir=swept", check=0)
    folders = [path.parent for path in (tmp_path / "swept").glob("*/checkpoint.bin")]
    for folder in folders:  # as that version left them
        facts, numbers = checkpoint.decode((folder / checkpoint.CURRENT).read_bytes())
        facts["config"]["backend"]["dtype"] = facts["config"]["backend"].pop("precision")
        (folder / checkpoint.CURRENT).write_bytes(encoded(facts, numbers))
        for file in (folder / name for name in ("config.yaml", "overrides.yaml", "summary.json")):
            file.write_text(file.read_text().replace("precision", "dtype"))
    runs.main(["backend.precision=float32", "--json", str(tmp_path)])
    (listed,) = json.loads(capsys.readouterr().out)
    assert listed["differs"]["backend.precision"] == "float32"
    report.main([str(tmp_path / "swept")])
    assert "backend.precision" in (shown := capsys.readouterr().out) and "dtype" not in shown
    single = next(folder for folder in folders if "float32" in folder.name)
    sample.main([str(single), "-n", "1"])
    single.rename(tmp_path / "single")
    lab(*sizes, "backend=numpy", "init_from=single", check=0)
    (tmp_path / "single" / "summary.json").unlink()
    lab("resume", "single", check=0)
    lab("resume", "single", "steps=6", check=0)
    assert "precision: float32" in (tmp_path / "single" / "config.yaml").read_text()


def test_the_option_dtype_of_another_backend_keeps_its_name():
    config = older_keys.NEW | {"backend": {"name": "theirs", "dtype": "float16"}}
    assert older_keys.current(config) == config
    assert older_keys.current_overrides(["backend.dtype=float16"], config) == ["backend.dtype=float16"]


def test_a_run_from_before_gradient_accumulation_is_sampled_and_resumed(tmp_path, capsys):
    options = {"steps": 4, "train_docs": 50, "callback": {"checkpoint": {"name": "checkpoint"}}}
    short_run(tmp_path / "run", **options)
    file, samples = tmp_path / "run" / checkpoint.CURRENT, read_summary(tmp_path / "run")["samples"]
    facts, numbers = checkpoint.decode(file.read_bytes())
    facts["config"].pop("accumulate")
    file.write_bytes(encoded(facts, numbers))
    (tmp_path / "run" / "config.yaml").write_text(dump(facts["config"]))
    (tmp_path / "run" / "summary.json").unlink()
    sample.main([str(tmp_path / "run"), "-n", "5", "--seed", "1"])
    assert resume.main([str(tmp_path / "run")]) == 0
    assert read_summary(tmp_path / "run")["samples"] == samples
