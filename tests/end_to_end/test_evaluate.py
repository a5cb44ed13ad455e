"""`evaluate`: the loss of a run on a split, with its standard error."""

import json
import re
import shutil

import pytest

RUN = ("steps=30", "train_docs=500", "embed=8", "samples=1", "backend=numpy", "eval_docs=40")
RUN += ("callback=[checkpoint]", "hydra.run.dir=runs/run")
FIGURE = re.compile(r"(\d+\.\d{4})(?: ± (\d\.\d{4}))?")


@pytest.fixture(scope="module")
def finished(lab_in, tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluated")
    lab_in(folder, *RUN, "dataset=text", f"dataset.path={names(folder)}", "split=eureka", check=0)
    return folder


def names(folder):
    """A file of 2,600 words: 100 words that are there 21 times, and 500 that are there once."""
    words = [f"{a}{b}{c}" for a in "aeiou" for b in ("nn", "m", "l", "st") for c in "aeiou"]
    once = [f"{word}{end}" for word in words for end in ("n", "s", "t", "la", "mu")]
    file = folder / "names.txt"
    file.write_text("\n".join([*words * 21, *once]))
    return file


@pytest.fixture
def run(finished, tmp_path):
    return shutil.copytree(finished / "runs" / "run", tmp_path / "runs" / "run")


def figures(done):
    """The rows of the table, by name, as (loss, error, bits, error)."""
    rows = [line.split(maxsplit=1) for line in done.stdout.splitlines() if FIGURE.search(line)]
    return {name: [float(x or 0) for pair in FIGURE.findall(rest) for x in pair] for name, rest in rows}


def test_it_prints_the_losses_of_the_summary_with_their_errors(lab, run):
    summary = json.loads((run / "summary.json").read_text())
    done = lab("evaluate", check=0)
    assert done.stderr == "last: runs/run\n"
    shown = figures(done)
    loss, error, bits, error_in_bits = shown["model"]
    assert [loss, bits] == [round(summary["loss/val"], 4), round(summary["bits_per_char/val"], 4)]
    assert 0 < error < 0.2 and 0 < error_in_bits < 0.3
    for name, nats in summary["guessing"].items():
        assert shown[name] == [round(nats, 4), 0, round(summary["guessing_bits"][name], 4), 0]
    assert "40 of 1,000 validation documents of text" in done.stdout and "look" not in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert done.stdout == lab("evaluate", "runs/run", "--split", "validation", check=0).stdout
    assert not (run / "test_looks.json").exists()


@pytest.mark.thorough
def test_other_keys_evaluate_more_documents_on_another_backend(lab, run):
    done = lab("evaluate", "eval_docs=0", check=0)
    assert "1,000 of 1,000 validation documents" in done.stdout
    assert figures(done)["model"][1] < figures(lab("evaluate", check=0))["model"][1]
    expected = lab("evaluate", "run", "eval_docs=100", check=0).stdout
    assert lab("evaluate", "run", "eval_docs=100", "backend=python", check=0).stdout == expected


def test_each_look_at_the_test_split_is_counted_and_shown(lab, run):
    for look in ("first", "second"):
        done = lab("evaluate", "--split", "test", check=0)
        assert "1,000 of 1,000 test documents" in done.stdout
        assert done.stdout.splitlines()[-1] == f"test: {look} look"
    assert json.loads((run / "test_looks.json").read_text()) == {"looks": 2}
    (run / "test_looks.json").write_text('{"looks": "many"}')
    (line,) = lab("evaluate", "--split", "test", check=2).stderr.splitlines()[1:]
    assert line.startswith("error: runs/run/test_looks.json: expected int")


def test_unseen_leaves_out_what_training_has_seen(lab, run):
    summary = json.loads((run / "summary.json").read_text())
    done = lab("evaluate", "run", "--unseen", check=0)
    assert f"{summary['documents/val_unseen']} of 1,000 validation documents of text, unseen" in done.stdout
    assert 0 < summary["documents/val_unseen"] < 40
    assert figures(done)["model"][0] == round(summary["loss/val_unseen"], 4)
    (line,) = lab("evaluate", "run", "--unseen", "--split=train", check=2).stderr.splitlines()[1:]
    assert line == "error: --unseen leaves none of the 40 documents: training has seen all"


def test_documents_of_another_data_set_are_compared_with_counts_of_the_training_documents(lab, run, finished):
    (run.parents[1] / "others.txt").write_text("osta\nunnu\nalo\nxx\n")
    (line,) = lab("evaluate", "run", "dataset.test=others.txt", check=2).stderr.splitlines()[1:]
    assert (
        line == "error: dataset=text: the tokenizer has learned from other data: not in the vocabulary: 'x'"
    )
    (run.parents[1] / "others.txt").write_text("osta\nunnu\nalo\n")
    done = lab("evaluate", "run", "dataset.test=others.txt", "--split", "test", check=0)
    assert "3 of 3 test documents of text" in done.stdout
    assert figures(done)["bigram"][0] < figures(done)["unigram"][0] < figures(done)["uniform"][0]


def test_a_file_may_move_but_not_change(lab, run, finished):
    moved = shutil.copy(finished / "names.txt", run.parents[1] / "moved.txt")
    expected = lab("evaluate", check=0).stdout
    assert lab("evaluate", f"dataset.path={moved}", check=0).stdout == expected
    config = run / "environment.json"
    config.write_text(config.read_text().replace('documents_sha256": "', 'documents_sha256": "0'))
    (line,) = lab("evaluate", "run", check=2).stderr.splitlines()[1:]
    assert line == "error: the documents of dataset=text have changed since runs/run was trained on them"


def test_what_cannot_be_evaluated_is_one_line(lab, run):
    summary = run / "summary.json"
    (run / "checkpoint.bin").rename(run / "kept")
    (line,) = lab("evaluate", "runs/run", check=2).stderr.splitlines()
    assert line.endswith(
        ": train with callback=[checkpoint], which is on by default, or resume it if it was stopped"
    )
    (run / "kept").rename(run / "checkpoint.bin")
    summary.write_text(summary.read_text().replace('"status": "ok"', '"status": "diverged"'))
    (line,) = lab("evaluate", "runs/run", check=2).stderr.splitlines()
    assert line == "error: runs/run diverged, so that it has no final weights to evaluate: choose another run"
