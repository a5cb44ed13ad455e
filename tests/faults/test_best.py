"""Promise: the checkpoint of the lowest validation loss is kept, whatever happens to the run."""

import json
import math
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
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

# Evaluated at steps 3, 6 … 24; each of 3, 6 and 18 is better than all before.
RUN = ("steps=24", "eval_every=3", "train_docs=20", "embed=8", "eval_docs=8", "samples=2", "backend=numpy")
RUN += ("optimizer.lr=0.05", "callback=[jsonl,samples,checkpoint]", "callback.checkpoint.best=true")


def train(folder, *changes):
    """The summary of a run with these changes."""
    chosen = {override.partition("=")[0]: override for override in (*RUN, *changes)}
    overrides = list(chosen.values())
    return execute(Run(compose(overrides), folder, overrides))


def go_on(folder, *arguments):
    assert resume.main([str(folder), *arguments]) == 0


def read_best(folder):
    return checkpoint.read(folder, pytest.fail, (BEST,))


def rows(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def ended(folder):
    return json.loads((folder / "summary.json").read_text())


def best_step(folder):
    """The step of the best checkpoint, which is what the files of the run say, and the weights too."""
    losses = {row["step"]: row["loss/val"] for row in rows(folder) if "loss/val" in row}
    summary, saved = ended(folder), read_best(folder)
    losses.setdefault(summary["steps"], summary.get("loss/val", math.inf))
    trainer = assemble(saved.facts["config"], load_documents(saved.facts["config"]))
    restore(trainer, saved)
    step = min(losses, key=losses.__getitem__)  # the first of equal ones
    assert (summary["best/step"], summary["best/loss/val"]) == (step, losses[step])
    assert (saved.facts["step"], trainer.validate()) == (step, losses[step])
    return step


def outcome(folder):
    """What a run has come to, to the bit."""
    kept = [checkpoint.read(folder, pytest.fail, (name,)) for name in (CURRENT, BEST)]
    facts = [{k: v for k, v in s.facts.items() if k not in ("seconds", "resumed")} for s in kept]
    summary = {k: v for k, v in ended(folder).items() if k not in ("seconds", "resumed")}
    metrics = [row | {"perf/tokens_per_s": 0} for row in rows(folder)]
    return facts, [s.numbers for s in kept], summary, metrics, (folder / "samples.txt").read_text()


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    folder = tmp_path_factory.mktemp("best") / "run"
    train(folder)
    return folder


@pytest.fixture
def run(ran, tmp_path):
    return Path(shutil.copytree(ran, tmp_path / "run"))


def test_it_is_that_of_the_lowest_validation_loss(ran):
    assert best_step(ran) == 18 and checkpoint.read(ran, pytest.fail).facts["step"] == 24


def test_of_equal_losses_the_first_is_best_and_no_number_is_never(tmp_path):
    train(tmp_path / "run", "optimizer.lr=0")
    assert best_step(tmp_path / "run") == 3
    assert not part("callback", "checkpoint", best=True).is_best({"loss/val": math.nan})


class StopsAt20:
    """Asks to stop where no evaluation is."""

    name = "stops"

    def should_stop(self, step):
        return step == 20


def test_the_end_counts_where_no_evaluation_was(tmp_path):
    config = compose([*RUN[:-3], "optimizer.lr=0.01", *RUN[-2:]])
    config["callback"]["stops"] = {"name": "stops"}
    with installed(Part("callback", "stops", StopsAt20, "tests")):
        execute(Run(config, tmp_path / "run"))
    assert ended(tmp_path / "run")["loss/val"] < min(row.get("loss/val", 9) for row in rows(tmp_path / "run"))
    assert ended(tmp_path / "run")["best/step"] == read_best(tmp_path / "run").facts["step"] == 20


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """What runs left that were killed before each of their renames, one after the other."""
    folder = tmp_path_factory.mktemp("killed")
    killing = Path(__file__).with_name("killing.py")
    subprocess.run([sys.executable, killing, "renames", *RUN], cwd=folder, check=True)
    *killed, ended = sorted(folder.iterdir(), key=lambda run: int(run.name))
    assert (ended / "summary.json").exists()
    return killed


def test_killed_before_any_rename_it_is_of_no_later_step_than_the_last(killed):
    found = []
    for folder in killed:
        last, best = checkpoint.read(folder, pytest.fail), read_best(folder)
        found.append((last and last.facts["step"], best and best.facts["step"]))
    assert all(last >= best for last, best in found if best)
    assert {(3, None), (3, 3), (6, 3), (6, 6), (18, 6), (18, 18), (24, 18)} <= set(found)


def test_killed_before_any_rename_a_run_ends_with_the_same(killed, ran, tmp_path):
    for folder in killed[2:]:  # the first two have no complete folder yet
        run = shutil.copytree(folder, tmp_path / folder.name)
        go_on(run)
        assert outcome(run) == outcome(ran)


def test_gone_on_with_otherwise_it_is_the_best_of_what_the_run_says_then(killed, tmp_path):
    steps = set()
    for folder in killed[4::2]:
        run = shutil.copytree(folder, tmp_path / folder.name)
        go_on(run, "optimizer.lr=0.2", "--force")
        steps.add(best_step(run))
    assert len(steps) > 2


def test_a_run_that_diverges_keeps_it(run):
    assert resume.main([str(run), "steps=40", "optimizer.lr=1e300", "--force"]) == 1
    assert ended(run)["status"] == "diverged" and ended(run)["best/step"] == 18
    go_on(run, "--best", "optimizer.lr=0.001", "--force")
    assert best_step(run) >= 18 and ended(run)["status"] == "ok"


def test_where_an_older_checkpoint_must_do_a_later_best_one_is_dropped_and_made_again(killed, ran, tmp_path):
    last = next(folder for folder in killed if (best := read_best(folder)) and best.facts["step"] == 18)
    run = shutil.copytree(last, tmp_path / "run")
    assert checkpoint.read(run, pytest.fail, (PREVIOUS,)).facts["step"] == 6
    (run / CURRENT).write_bytes((run / CURRENT).read_bytes()[:-1])
    go_on(run, "steps=24", "optimizer.lr=0.2", "--force")
    assert ended(run)["resumed"] == [6]
    best_step(run)
    again = shutil.copytree(last, tmp_path / "again")
    (again / CURRENT).write_bytes(b"")
    go_on(again)
    assert outcome(again) == outcome(ran)


LOST = {
    "is damaged": lambda file: file.write_bytes(file.read_bytes()[:-1]),
    "there is no best checkpoint": lambda file: file.unlink(),
    "": lambda file: file.write_bytes(rewound(file.read_bytes())),
}


def rewound(content):
    """As if it were of an earlier step."""
    facts, numbers = checkpoint.decode(content)
    return encoded(facts | {"step": 6}, numbers)


@pytest.mark.parametrize("said", LOST)
def test_one_that_is_lost_is_said_so_and_the_best_of_the_rest_is_kept(run, capsys, said):
    LOST[said](run / BEST)
    if said:
        with pytest.raises(UserError, match=said):
            sample.main([str(run), "--best"])
    go_on(run, "steps=30")
    assert "of step 18, is missing" in capsys.readouterr().err
    assert ended(run)["best/step"] == read_best(run).facts["step"] > 24


@pytest.mark.parametrize("lowest", [[18, math.nan], [18, "x"], "x", {}])
def test_what_a_strangers_checkpoint_says_of_it_ends_no_run(run, lowest):
    saved = checkpoint.read(run, pytest.fail)
    saved.facts["callbacks"]["checkpoint"]["lowest"] = lowest
    (run / CURRENT).write_bytes(encoded(saved.facts, saved.numbers))
    go_on(run, "steps=30")
    assert read_summary(run)["status"] == "ok"


def test_losses_on_other_documents_are_not_compared(run):
    go_on(run, "steps=30", "eval_docs=30", "--force")
    later = {row["step"]: row["loss/val"] for row in rows(run) if "loss/val" in row and row["step"] > 24}
    step = min(later, key=later.__getitem__)
    assert (ended(run)["best/step"], ended(run)["best/loss/val"]) == (step, later[step])
    assert min(row.get("loss/val", 9) for row in rows(run)) < later[step]  # on eight documents


def test_sampling_from_it(run, tmp_path, capsys):
    def sampled(folder, *arguments):
        assert sample.main([str(folder), "-n", "5", "--seed", "1", *arguments]) == 0
        return capsys.readouterr().out

    (tmp_path / "alone").mkdir()
    shutil.copy(run / BEST, tmp_path / "alone" / CURRENT)
    assert sampled(run, "--best") == sampled(tmp_path / "alone") != sampled(run)


def test_going_back_to_it(run, ran):
    """The steps after it are made again, and come out the same; changed, they are others."""
    go_on(run, "--best")
    assert ended(run)["resumed"] == [18] and outcome(run) == outcome(ran)
    (run / CURRENT).write_bytes(b"")
    go_on(run, "--best", "optimizer.lr=0.001", "--force")
    losses = [[row["loss/train"] for row in rows(folder)] for folder in (run, ran)]
    assert losses[0][:19] == losses[1][:19] and losses[0][19:] != losses[1][19:]
    best_step(run)


def test_no_resume_leaves_a_later_checkpoint(run, killed):
    """So that a kill right after it cannot bring back the steps that were dropped."""

    def opened(folder, saved):
        again = resume.reopen(folder, [], force=False)
        documents = load_documents(again.config)
        again.prepare_folder(documents, assemble(again.config, documents), saved)
        return {checkpoint.decode(file.read_bytes())[0]["step"] for file in folder.glob("checkpoint*")}

    assert opened(run, checkpoint.read_best(run)) == {18}
    shutil.copy(run / BEST, run / CURRENT)
    older = next(folder for folder in killed if (best := read_best(folder)) and best.facts["step"] == 6)
    shutil.copy(older / CURRENT, run / PREVIOUS)
    (run / CURRENT).write_bytes(b"")
    assert opened(run, checkpoint.read(run, lambda line: None)) == {6}


def test_who_has_none_is_told_how_to_get_one(lab, tmp_path):
    lab(*RUN, "callback.checkpoint.best=false", "hydra.run.dir=run", check=0)
    assert not (tmp_path / "run" / BEST).exists() and "best/step" not in ended(tmp_path / "run")
    before = (tmp_path / "run" / "summary.json").read_text()
    for command in ("sample", "resume"):
        (line,) = lab(command, "run", "--best", check=2).stderr.splitlines()
        assert line == (
            "error: there is no best checkpoint at run: a run keeps one with callback.checkpoint.best=true"
        )
    assert (tmp_path / "run" / "summary.json").read_text() == before


STOPPER = """
from microgpt_lab import hookimpl

class Patient:
    '''Never stops.'''
    turns_on = ("callback.checkpoint.best",)
    def should_stop(self):
        return False

@hookimpl
def callbacks():
    return [Patient]
"""


def test_early_stopping_turns_it_on_unless_it_is_set(tmp_path):
    def chosen(*overrides):
        run = Run(compose(list(overrides)), tmp_path)
        return run.config["callback"]["checkpoint"]["best"], "callback.checkpoint.best" in run.differences

    early = "callback=[early_stopping,checkpoint]"  # in any order
    assert chosen() == (False, False)
    assert chosen(early) == (True, False)  # as is usual with it
    assert chosen(early, "callback.checkpoint.best=false") == (False, True)
    assert chosen("callback.checkpoint.best=true") == (True, True)


def test_any_callback_may_turn_it_on(lab, tmp_path):
    (tmp_path / "home" / "plugins").mkdir(parents=True)
    (tmp_path / "home" / "plugins" / "patient.py").write_text(STOPPER)
    lab(*RUN[:-1], "callback=[jsonl,checkpoint,patient]", "hydra.run.dir=run", check=0)
    assert yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())["callback"]["checkpoint"]["best"]
    assert best_step(tmp_path / "run") == 18


def test_the_end_of_a_run_says_which_step_was_better(lab):
    shown = lab(*RUN, "callback=[checkpoint,console]", check=0).stdout
    assert "at step 18 (sample --best)" in shown
    assert "--best" not in lab(*RUN, "callback=[checkpoint,console]", "steps=6", check=0).stdout
