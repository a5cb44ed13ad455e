"""Promise: the best checkpoint has the lowest validation loss, whatever happens to the run."""

import json
import math
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from foreign import encoded

from microgpt_lab import UserError, part
from microgpt_lab.checks.options import installed
from microgpt_lab.commands import resume, sample
from microgpt_lab.options.compose import compose
from microgpt_lab.registry.parts import Part
from microgpt_lab.run import checkpoint
from microgpt_lab.run.assemble import assemble, load_documents
from microgpt_lab.run.checkpoint import BEST, CURRENT, PREVIOUS
from microgpt_lab.run.execute import execute
from microgpt_lab.run.folder import read_summary
from microgpt_lab.run.record import Run
from microgpt_lab.run.resume import restore

# Evaluations are at steps 3, 6 … 24. The validation losses at steps 3, 6 and 18 are lower than all before.
RUN = ("steps=24", "eval_every=3", "train_docs=20", "embed=8", "eval_docs=8", "samples=2", "backend=numpy")
RUN += ("optimizer.lr=0.05", "callback=[jsonl,samples,checkpoint]", "callback.checkpoint.best=true")


def train(folder, *changes):
    """Train a run with these overrides, and return its summary."""
    chosen = {override.partition("=")[0]: override for override in (*RUN, *changes)}
    overrides = list(chosen.values())
    return execute(Run(compose(overrides), folder, overrides))


def resume_run(folder, *arguments):
    assert resume.main([str(folder), *arguments]) == 0


def read_best(folder):
    return checkpoint.read(folder, pytest.fail, (BEST,))


def rows(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def summary_of(folder):
    return json.loads((folder / "summary.json").read_text())


def best_step(folder):
    """Step of the best checkpoint, after a check that the files of the run and the weights agree with it."""
    losses = {row["step"]: row["loss/val"] for row in rows(folder) if "loss/val" in row}
    summary, saved = summary_of(folder), read_best(folder)
    losses.setdefault(summary["steps"], summary.get("loss/val", math.inf))
    trainer = assemble(saved.facts["config"], load_documents(saved.facts["config"]))
    restore(trainer, saved)
    step = min(losses, key=losses.__getitem__)  # the first of equal losses
    assert (summary["best/step"], summary["best/loss/val"]) == (step, losses[step])
    assert (saved.facts["step"], trainer.validate()) == (step, losses[step])
    return step


def outcome(folder):
    """All results of a run that must be the same to the bit."""
    kept = [checkpoint.read(folder, pytest.fail, (name,)) for name in (CURRENT, BEST)]
    facts = [{k: v for k, v in s.facts.items() if k not in ("seconds", "resumed")} for s in kept]
    summary = {k: v for k, v in summary_of(folder).items() if k not in ("seconds", "resumed")}
    metrics = [row | {"perf/tokens_per_s": 0} for row in rows(folder)]
    return facts, [s.numbers for s in kept], summary, metrics, (folder / "samples.txt").read_text()


@pytest.fixture(scope="module")
def finished_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("best") / "run"
    train(folder)
    return folder


@pytest.fixture
def run(finished_run, tmp_path):
    return Path(shutil.copytree(finished_run, tmp_path / "run"))


def test_the_best_checkpoint_has_the_lowest_validation_loss(finished_run):
    assert best_step(finished_run) == 18 and checkpoint.read(finished_run, pytest.fail).facts["step"] == 24


def test_the_first_of_equal_losses_is_the_best_and_nan_never_is(tmp_path):
    train(tmp_path / "run", "optimizer.lr=0")
    assert best_step(tmp_path / "run") == 3
    assert not part("callback", "checkpoint", best=True).is_best({"loss/val": math.nan})


class StopsAt20:
    """Stops at a step without an evaluation."""

    name = "stops"

    def should_stop(self, step):
        return step == 20


def test_the_last_step_counts_even_if_no_evaluation_was_due(tmp_path):
    config = compose([*RUN[:-3], "optimizer.lr=0.01", *RUN[-2:]])
    config["callback"]["stops"] = {"name": "stops"}
    with installed(Part("callback", "stops", StopsAt20, "tests")):
        execute(Run(config, tmp_path / "run"))
    assert summary_of(tmp_path / "run")["loss/val"] < min(
        row.get("loss/val", 9) for row in rows(tmp_path / "run")
    )
    assert summary_of(tmp_path / "run")["best/step"] == read_best(tmp_path / "run").facts["step"] == 20


@pytest.fixture(scope="module")
def killed_runs(tmp_path_factory):
    """Folders of runs that were killed before their first rename of a file, before their second, etc."""
    folder = tmp_path_factory.mktemp("killed")
    killing = Path(__file__).with_name("killing.py")
    subprocess.run([sys.executable, killing, "renames", *RUN], cwd=folder, check=True)
    *killed, finished = sorted(folder.iterdir(), key=lambda run: int(run.name))
    assert (finished / "summary.json").exists()
    return killed


@pytest.mark.thorough
def test_after_a_kill_the_best_checkpoint_is_not_later_than_the_last(killed_runs):
    found = []
    for folder in killed_runs:
        last, best = checkpoint.read(folder, pytest.fail), read_best(folder)
        found.append((last and last.facts["step"], best and best.facts["step"]))
    assert all(last >= best for last, best in found if best)
    assert {(3, None), (3, 3), (6, 3), (6, 6), (18, 6), (18, 18), (24, 18)} <= set(found)


@pytest.mark.thorough
def test_a_run_killed_before_any_rename_ends_with_the_same_result(killed_runs, finished_run, tmp_path):
    for folder in killed_runs[2:]:  # the first two folders are not complete yet
        run = shutil.copytree(folder, tmp_path / folder.name)
        resume_run(run)
        assert outcome(run) == outcome(finished_run)


@pytest.mark.thorough
def test_resumed_with_changes_the_best_checkpoint_matches_the_metrics(killed_runs, tmp_path):
    steps = set()
    for folder in killed_runs[4::2]:
        run = shutil.copytree(folder, tmp_path / folder.name)
        resume_run(run, "optimizer.lr=0.2", "--force")
        steps.add(best_step(run))
    assert len(steps) > 2


def test_a_diverged_run_keeps_its_best_checkpoint(run):
    assert resume.main([str(run), "steps=40", "optimizer.lr=1e300", "--force"]) == 1
    assert summary_of(run)["status"] == "diverged" and summary_of(run)["best/step"] == 18
    resume_run(run, "--best", "optimizer.lr=0.001", "--force")
    assert best_step(run) >= 18 and summary_of(run)["status"] == "ok"


@pytest.mark.thorough
def test_resuming_from_an_older_checkpoint_drops_a_later_best_checkpoint(killed_runs, finished_run, tmp_path):
    last = next(folder for folder in killed_runs if (best := read_best(folder)) and best.facts["step"] == 18)
    run = shutil.copytree(last, tmp_path / "run")
    assert checkpoint.read(run, pytest.fail, (PREVIOUS,)).facts["step"] == 6
    (run / CURRENT).write_bytes((run / CURRENT).read_bytes()[:-1])
    resume_run(run, "steps=24", "optimizer.lr=0.2", "--force")
    assert summary_of(run)["resumed"] == [6]
    best_step(run)
    again = shutil.copytree(last, tmp_path / "again")
    (again / CURRENT).write_bytes(b"")
    resume_run(again)
    assert outcome(again) == outcome(finished_run)


LOST = {
    "is damaged": lambda file: file.write_bytes(file.read_bytes()[:-1]),
    "there is no best checkpoint": lambda file: file.unlink(),
    "": lambda file: file.write_bytes(as_of_an_earlier_step(file.read_bytes())),
}


def as_of_an_earlier_step(content):
    """Content of a checkpoint with an earlier step in its facts."""
    facts, numbers = checkpoint.decode(content)
    return encoded(facts | {"step": 6}, numbers)


@pytest.mark.parametrize("message", LOST)
def test_a_lost_best_checkpoint_is_reported_and_the_best_later_one_is_kept(run, capsys, message):
    LOST[message](run / BEST)
    if message:
        with pytest.raises(UserError, match=message):
            sample.main([str(run), "--best"])
    resume_run(run, "steps=30")
    assert "of step 18, is missing" in capsys.readouterr().err
    assert summary_of(run)["best/step"] == read_best(run).facts["step"] > 24


@pytest.mark.parametrize("lowest", [[18, math.nan], [18, "x"], "x", {}])
def test_an_invalid_lowest_loss_in_a_checkpoint_stops_no_run(run, lowest):
    saved = checkpoint.read(run, pytest.fail)
    saved.facts["callbacks"]["checkpoint"]["lowest"] = lowest
    (run / CURRENT).write_bytes(encoded(saved.facts, saved.numbers))
    resume_run(run, "steps=30")
    assert read_summary(run)["status"] == "ok"


def test_losses_on_other_documents_are_not_compared(run):
    resume_run(run, "steps=30", "eval_docs=30", "--force")
    later = {row["step"]: row["loss/val"] for row in rows(run) if "loss/val" in row and row["step"] > 24}
    step = min(later, key=later.__getitem__)
    assert (summary_of(run)["best/step"], summary_of(run)["best/loss/val"]) == (step, later[step])
    assert min(row.get("loss/val", 9) for row in rows(run)) < later[step]  # earlier, on 8 documents


def test_sample_best_uses_the_best_checkpoint(run, tmp_path, capsys):
    def sampled(folder, *arguments):
        assert sample.main([str(folder), "-n", "5", "--seed", "1", *arguments]) == 0
        return capsys.readouterr().out

    (tmp_path / "alone").mkdir()
    shutil.copy(run / BEST, tmp_path / "alone" / CURRENT)
    assert sampled(run, "--best") == sampled(tmp_path / "alone") != sampled(run)


def test_resume_best_goes_back_to_the_best_checkpoint(run, finished_run):
    """The later steps run again with the same results, or with other results after a change."""
    resume_run(run, "--best")
    assert summary_of(run)["resumed"] == [18] and outcome(run) == outcome(finished_run)
    (run / CURRENT).write_bytes(b"")
    resume_run(run, "--best", "optimizer.lr=0.001", "--force")
    losses = [[row["loss/train"] for row in rows(folder)] for folder in (run, finished_run)]
    assert losses[0][:19] == losses[1][:19] and losses[0][19:] != losses[1][19:]
    best_step(run)


@pytest.mark.thorough
def test_resume_leaves_no_later_checkpoint(run, killed_runs):
    """Otherwise a kill right after `resume` could bring back the dropped steps."""

    def opened(folder, saved):
        again = resume.reopen(folder, [], force=False)
        documents = load_documents(again.config)
        again.prepare_folder(documents, assemble(again.config, documents), saved)
        return {checkpoint.decode(file.read_bytes())[0]["step"] for file in folder.glob("checkpoint*")}

    assert opened(run, checkpoint.read_best(run)) == {18}
    shutil.copy(run / BEST, run / CURRENT)
    older = next(folder for folder in killed_runs if (best := read_best(folder)) and best.facts["step"] == 6)
    shutil.copy(older / CURRENT, run / PREVIOUS)
    (run / CURRENT).write_bytes(b"")
    assert opened(run, checkpoint.read(run, lambda line: None)) == {6}
