"""init_from: a run starts with the weights and the vocabulary of another."""

import shutil
from collections import OrderedDict

import pytest

from microgpt_lab import UserError
from microgpt_lab.checks.options import short_run
from microgpt_lab.commands import export
from microgpt_lab.options.compose import compose
from microgpt_lab.run import checkpoint, reuse
from microgpt_lab.run.assemble import assemble
from microgpt_lab.run.execute import execute
from microgpt_lab.run.folder import read_metric
from microgpt_lab.run.initial import check_tokenizer
from microgpt_lab.run.record import Run
from microgpt_lab.sweeps.prepare import prepare_shared

NAMES = ("backend=numpy", "train_docs=500", "eval_docs=20", "samples=2", "callback=[jsonl,checkpoint]")


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A run on names of 60 steps."""
    folder = tmp_path_factory.mktemp("source") / "run"
    execute(Run(compose([*NAMES, "steps=60"]), folder))
    return folder


@pytest.fixture
def few(tmp_path):
    """A file of documents with few of the characters of the names."""
    (tmp_path / "few.txt").write_text("anna\nada\nnada\n" * 30)
    return f"dataset.path={tmp_path / 'few.txt'}"


def test_a_run_starts_with_the_weights_of_another(source, tmp_path):
    saved = checkpoint.read(source, pytest.fail)
    trainer = assemble(compose([*NAMES, f"init_from={source}"]), ["anna", "bob", "emma"] * 20)
    weights = checkpoint.unflatten(saved.facts["tensors"]["weights"], iter(saved.numbers), list)
    assert {name: w.tolist() for name, w in trainer.weights.items()} == weights
    assert trainer.step == 0
    first = execute(Run(compose([*NAMES, "steps=0"]), tmp_path / "fresh"))["loss/val"]
    goes_on = execute(Run(compose([*NAMES, "steps=0", f"init_from={source}"]), tmp_path / "on"))["loss/val"]
    assert goes_on == read_metric(source / "metrics.jsonl")[60] < first - 0.5


def test_other_data_are_encoded_with_the_vocabulary_of_the_other_run(source, few, tmp_path):
    config = compose([*NAMES, "dataset=text", few, f"init_from={source}", "steps=20"])
    summary = execute(Run(config, tmp_path / "run"))
    assert summary["parameters"] == 4192
    assert checkpoint.read(tmp_path / "run", pytest.fail).facts["tokenizer"]["tokens"] == [
        *"abcdefghijklmnopqrstuvwxyz"
    ]


def test_a_run_that_started_from_another_resumes_to_the_same_bits_without_it(source, few, tmp_path):
    config = compose(
        [*NAMES, "dataset=text", few, f"init_from={source}", "callback.checkpoint.every=7", "steps=20"]
    )
    whole = execute(Run(config, tmp_path / "whole"))
    shutil.copytree(tmp_path / "whole", tmp_path / "stopped")
    (tmp_path / "stopped" / checkpoint.CURRENT).unlink()
    saved = checkpoint.read(tmp_path / "stopped", pytest.fail)
    moved = source.rename(source.with_name("moved"))
    try:
        again = execute(Run(config, tmp_path / "stopped", owns_folder=True), saved)
    finally:
        moved.rename(source)
    assert again["resumed"] == [14]
    assert {k: again[k] for k in ("loss/val", "samples")} == {k: whole[k] for k in ("loss/val", "samples")}


def test_jobs_of_a_sweep_over_init_from_give_the_same_results_as_the_same_runs_alone(tmp_path, monkeypatch):
    """In one process, on a stream that the two vocabularies encode differently."""
    texts = {"a": "the hat on the mat or\n", "b": "neat meat or rat\nhot\n", "new": "hat on mat\nneat rat\n"}
    for name, content in texts.items():
        (tmp_path / f"{name}.txt").write_text(content * 60)
    chosen = ("dataset=text", "dataset.unit=stream", "tokenizer=bpe", "tokenizer.vocab_size=14", "samples=2")
    chosen += ("backend=numpy", "embed=4", "heads=1", "steps=2", "callback=[checkpoint]")

    def train(name, text, *others):
        config = compose([*chosen, f"dataset.path={tmp_path / text}.txt", *others])
        prepare_shared(config)
        summary = execute(Run(config, tmp_path / name))
        return {key: value for key, value in summary.items() if key != "seconds"}

    for name in "ab":
        train(name, name)
    swept = [train("swept", "new", f"init_from={tmp_path / name}") for name in "ab"]
    for name, job in zip("ab", swept, strict=True):
        monkeypatch.setattr(reuse, "_documents", OrderedDict())
        assert job == train("alone", "new", f"init_from={tmp_path / name}")
    assert swept[0]["guessing"] != swept[1]["guessing"]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            "embed=32 mlp.ratio=2 init.std=0.1",
            r"init_from=.*run: wte is \(27, 16\), but in this model \(27, 32\); "
            "that run has embed=16 mlp.ratio=4.0$",
        ),
        ("layers=2", "init_from=.*run has no layer1.attention.wq, which .*; that run has layers=1$"),
        ("tie_embeddings=true", "init_from=.*run has lm_head, which this model does not have"),
        ("tokenizer=byte", "init_from=.*run has tokenizer=char, not byte: write tokenizer=char"),
        (
            "dataset=unicode_names",
            "init_from=.*run: not in the vocabulary: ' ' '-' .* and 28 more; "
            "leave these characters out of the data, or train both runs with tokenizer=byte$",
        ),
    ],
)
def test_weights_that_do_not_fit_are_refused_in_one_line(source, tmp_path, overrides, message):
    run = Run(compose([*NAMES, f"init_from={source}", *overrides.split()]), tmp_path / "other")
    with pytest.raises(UserError, match=message):
        execute(run)
    assert not (tmp_path / "other").exists()


def test_a_tokenizer_with_other_options_is_refused_with_those_to_write(tmp_path):
    config = compose(["tokenizer=bpe", "tokenizer.vocab_size=9", "init_from=other"])
    other = {"tokenizer": {"name": "bpe", "vocab_size": 12}}
    with pytest.raises(
        UserError, match=r"^other has tokenizer.vocab_size=12, not 9: write tokenizer.vocab_size=12$"
    ):
        check_tokenizer(other, config, "other")
    check_tokenizer({"tokenizer": {"name": "bpe"}}, config, "other")  # a run from before this option


def test_runs_that_have_nothing_to_start_from_are_refused_in_one_line(source, tmp_path):
    diverged = short_run(
        tmp_path / "diverged",
        optimizer={"name": "sgd", "lr": 1e70},
        callback={"checkpoint": {"name": "checkpoint"}},
    )
    assert diverged["status"] == "diverged"
    short_run(tmp_path / "bare")
    (tmp_path / "notes.txt").write_text("no weights")
    for name, message in {
        "diverged": "the run diverged: choose another one",
        "bare": "has no checkpoint",
        "nowhere": "is neither the folder of a run nor a safetensors file: write a path, such as runs/NAME",
        "notes.txt": "is neither the folder of a run nor a safetensors file",
    }.items():
        with pytest.raises(UserError, match=f"init_from=.*{name}:? {message}"):
            execute(Run(compose([*NAMES, f"init_from={tmp_path / name}"]), tmp_path / "other"))
    assert not (tmp_path / "other").exists()


def test_a_damaged_checkpoint_is_refused_in_one_line(source, tmp_path):
    content = (source / checkpoint.CURRENT).read_bytes()
    (tmp_path / "overrides.yaml").write_text("[]")
    for damaged in (content[:-8], content.replace(b"multihead", b"multiheaf"), b""):
        (tmp_path / checkpoint.CURRENT).write_bytes(damaged)
        with pytest.raises(UserError, match=r"checkpoint.bin is damaged"):
            execute(Run(compose([*NAMES, f"init_from={tmp_path}"]), tmp_path / "other"))
    assert not (tmp_path / "other").exists()


def test_a_run_starts_from_exported_weights_as_from_the_run_itself(source, few, tmp_path):
    pytest.importorskip("safetensors", reason="needs microgpt-lab[export]")
    file = tmp_path / "names.safetensors"
    assert export.main([str(source), "--safetensors", str(file)]) == 0
    shutil.copy(file, tmp_path / "renamed")
    losses = [
        execute(Run(compose([*NAMES, "dataset=text", few, f"init_from={path}", "steps=3"]), tmp_path / "a"))[
            "loss/val"
        ]
        for path in (source, file, tmp_path / "renamed")
    ]
    assert len(set(losses)) == 1
    with pytest.raises(UserError, match=r"names.safetensors has tokenizer=char, not byte"):
        assemble(compose([*NAMES, f"init_from={file}", "tokenizer=byte"]), ["anna"] * 20)
    with pytest.raises(UserError, match=r"wte is \(27, 16\), but in this model \(27, 32\)"):
        assemble(compose([*NAMES, f"init_from={file}", "embed=32"]), ["anna"] * 20)
    content = file.read_bytes()
    for damaged in (
        content[:-8],
        content[:6],
        content.replace(b"F64", b"I64"),
        content.replace(b"tokens", b"t0kens"),
    ):
        file.write_bytes(damaged)
        with pytest.raises(UserError, match=r"names.safetensors"):
            assemble(compose([*NAMES, f"init_from={file}"]), ["anna"] * 20)
