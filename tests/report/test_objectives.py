"""Reports on runs whose training minimizes different losses, and the names of settings in figures."""

import json

import pytest

pytest.importorskip("numpy")
pandas = pytest.importorskip("pandas", reason="needs microgpt-lab[report]")
pytest.importorskip("scipy.stats", reason="needs microgpt-lab[report]")
pytest.importorskip("matplotlib", reason="needs microgpt-lab[report]")

from microgpt_lab.report import wording  # noqa: E402
from microgpt_lab.report.analysis import Question, analyse  # noqa: E402
from microgpt_lab.report.figures.curves import by_step, curves  # noqa: E402
from microgpt_lab.report.figures.style import label  # noqa: E402
from microgpt_lab.report.settings import Setting  # noqa: E402
from microgpt_lab.sweeps.table import curve, mean_of_last_steps  # noqa: E402

STEPS = range(1, 21)


@pytest.fixture
def sweep(tmp_path):
    """Three seeds of two losses: the cross-entropy is equal, and z_loss adds 1 to what is minimized."""
    runs = []
    for loss in ("cross_entropy", "z_loss"):
        for seed in range(3):
            name = f"loss={loss},seed={seed}"
            terms = {"loss/ce": 3.0 + seed, "loss/penalty": 1.0} if loss == "z_loss" else {}
            line = {"loss/train": sum(terms.values()) or 3.0 + seed} | terms
            (tmp_path / name).mkdir()
            text = "".join(json.dumps({"step": step, **line}) + "\n" for step in STEPS)
            (tmp_path / name / "metrics.jsonl").write_text(text)
            runs.append({"status": "ok", "loss": loss, "seed": seed, "loss/val": 2.0 + seed, "run": name})
    frame = pandas.DataFrame(runs).set_index("run")
    frame.attrs |= {"swept": ["loss", "seed"], "fixed": {}, "environments": []}
    return frame, tmp_path


def test_the_cross_entropy_in_training_is_the_loss_of_runs_that_minimize_nothing_else(sweep):
    _, folder = sweep
    for seed in range(3):
        for loss in ("cross_entropy", "z_loss"):
            run = folder / f"loss={loss},seed={seed}"
            assert curve(run, "loss/ce") == dict.fromkeys(STEPS, 3.0 + seed)
            assert mean_of_last_steps(run, "loss/ce") == 3.0 + seed


def test_curves_compare_the_cross_entropy_in_training(sweep):
    """The validation loss has no points here."""
    frame, folder = sweep
    analysis = analyse(frame, Question(), folder)
    steps, tables = by_step(analysis, folder, "loss/ce")
    assert steps == list(STEPS) and (tables[..., 0] == tables[..., 1]).all()
    assert "cross-entropy in training, mean over seeds" in curves(analysis, folder)


def test_a_title_that_would_be_cut_off_names_the_reference_briefly(sweep):
    frame, folder = sweep
    for more, title in (("", "gap to cross_entropy"), ("W" * 19, "gap to the best row")):
        named = frame.assign(loss=frame["loss"] + more)
        named.attrs |= frame.attrs
        drawn = curves(analyse(named, Question(), folder), folder)
        assert f">{title}, 95 % at each step<" in drawn


def test_a_report_says_what_is_compared_where_training_minimizes_more(sweep):
    frame, folder = sweep
    for metric, note in (("loss/val", wording.VALIDATION_LOSS), ("loss/train", wording.TRAINING_LOSS)):
        analysis = analyse(frame, Question(metric=metric), folder)
        assert note in analysis.notes
    rows = analyse(frame, Question(metric="loss/ce"), folder).rows
    assert [row.mean for row in rows] == [4.0, 4.0]
    plain = frame[frame["loss"] == "cross_entropy"].rename(columns={"loss": "activation"})
    plain.attrs |= {"swept": ["activation", "seed"], "fixed": {}, "environments": []}
    for metric in ("loss/val", "loss/train"):
        assert not {wording.VALIDATION_LOSS, wording.TRAINING_LOSS} & {
            *analyse(plain, Question(metric=metric), folder).notes
        }


@pytest.mark.parametrize(
    ("keys", "name"),
    [
        ({"position": "rope"}, "rope"),
        ({"mlp": "glu", "position": "rope"}, "mlp=glu, position=rope"),
        ({"attention.window": 4, "attention": "multihead"}, "window=4, attention=multihead"),
        ({"mlp.ratio": 2.0, "block.ratio": 1.0}, "mlp.ratio=2.0, block.ratio=1.0"),
        ({}, "all runs"),
    ],
)
def test_figures_name_a_setting_as_briefly_as_is_clear(keys, name):
    row = type("Row", (), {"setting": Setting(keys, 1, {}, None, None, None)})
    assert label(row) == name
