"""When a run keeps a best checkpoint, and what it says of it."""

import yaml
from test_best import RUN, best_step, summary_of

from microgpt_lab.options.compose import compose
from microgpt_lab.run.checkpoint import BEST
from microgpt_lab.run.record import Run


def test_a_missing_best_checkpoint_is_an_error_that_names_the_option(lab, tmp_path):
    lab(*RUN, "callback.checkpoint.best=false", "hydra.run.dir=run", check=0)
    assert not (tmp_path / "run" / BEST).exists() and "best/step" not in summary_of(tmp_path / "run")
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


def test_early_stopping_turns_on_the_best_checkpoint_unless_it_is_set(tmp_path):
    def chosen(*overrides):
        run = Run(compose(list(overrides)), tmp_path)
        return run.config["callback"]["checkpoint"]["best"], "callback.checkpoint.best" in run.differences

    early = "callback=[early_stopping,checkpoint]"  # the order does not matter
    assert chosen() == (False, False)
    assert chosen(early) == (True, False)  # not a difference, because it is the default with early stopping
    assert chosen(early, "callback.checkpoint.best=false") == (False, True)
    assert chosen("callback.checkpoint.best=true") == (True, True)


def test_any_callback_may_turn_on_the_best_checkpoint(lab, tmp_path):
    (tmp_path / "home" / "plugins").mkdir(parents=True)
    (tmp_path / "home" / "plugins" / "patient.py").write_text(STOPPER)
    lab(*RUN[:-1], "callback=[jsonl,checkpoint,patient]", "hydra.run.dir=run", check=0)
    assert yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())["callback"]["checkpoint"]["best"]
    assert best_step(tmp_path / "run") == 18


def test_the_end_of_a_run_names_the_best_step(lab):
    shown = lab(*RUN, "callback=[checkpoint,console]", check=0).stdout
    assert "at step 18 (sample --best)" in shown
    assert "--best" not in lab(*RUN, "callback=[checkpoint,console]", "steps=6", check=0).stdout
