"""Reports on runs with different tokenizers, whose losses per token cannot be compared."""

import json

import pytest

pytest.importorskip("numpy")
pandas = pytest.importorskip("pandas", reason="needs microgpt-lab[report]")
pytest.importorskip("scipy.stats", reason="needs microgpt-lab[report]")
pytest.importorskip("matplotlib", reason="needs microgpt-lab[report]")

from microgpt_lab.report import wording  # noqa: E402
from microgpt_lab.report.analysis import Question, analyse  # noqa: E402
from microgpt_lab.report.pages import write  # noqa: E402
from microgpt_lab.report.settings import direction  # noqa: E402

NATS, BITS = {"char": 2.4, "byte": 1.9}, {"char": 3.4, "byte": 3.6}


def sweep(folder, evaluations=20):
    """Three seeds of two tokenizers: byte has the lower loss per token, char the lower one per character."""
    runs = []
    for tokenizer in ("char", "byte"):
        for seed in range(3):
            name, noise = f"tokenizer={tokenizer},seed={seed}", seed + 0.01 * seed * (tokenizer == "byte")
            figures = {"loss/val": NATS[tokenizer] + noise, "bits_per_char/val": BITS[tokenizer] + noise}
            (folder / name).mkdir()
            lines = [{"step": step, "loss/train": 3.0} for step in range(1, 21)]
            for line in lines[:evaluations]:
                line |= figures
            (folder / name / "metrics.jsonl").write_text("".join(json.dumps(x) + "\n" for x in lines))
            runs.append({"run": name, "status": "ok", "tokenizer": tokenizer, "seed": seed, **figures})
    frame = pandas.DataFrame(runs).set_index("run")
    frame.attrs |= {"swept": ["tokenizer", "seed"], "fixed": {}, "environments": []}
    return frame


def files(frame, folder, **question):
    """The report's files, by ending, and the analysis."""
    analysis = analyse(frame, Question(**question), folder)
    written = {path.name: path.read_text() for path in write(analysis, frame, folder)}
    return written, analysis


def test_tokenizers_are_compared_in_bits_per_character(tmp_path):
    written, analysis = files(sweep(tmp_path), tmp_path)
    assert [row.setting.keys["tokenizer"] for row in analysis.rows] == ["char", "byte"]
    assert analysis.rows[0].mean == pytest.approx(4.4) and direction("bits_per_char/val") == 1
    found = json.loads(written["report.json"])
    assert found["metric"] == "bits_per_char/val" and found["notes"][0] == wording.PER_CHARACTER
    for page in ("report.md", "report.html"):
        assert (
            "bits_per_char/val, lower is better" in written[page] and wording.PER_CHARACTER in written[page]
        )
    assert "bits_per_char/val, mean over seeds" in written["report-curves.svg"]


@pytest.mark.parametrize(("metric", "best"), [("loss/val", "byte"), ("bits_per_char/val", "char")])
def test_a_metric_that_is_asked_for_is_compared_with_a_warning_where_it_is_not_fair(tmp_path, metric, best):
    written, analysis = files(sweep(tmp_path), tmp_path, metric=metric)
    assert analysis.rows[0].setting.keys["tokenizer"] == best
    for text in (written["report.md"], written["report.html"], *analysis.notes[:1]):
        assert (wording.PER_TOKEN in text) == (metric == "loss/val")
    assert f"{metric}, mean over seeds" in written["report-curves.svg"]


def test_too_few_evaluations_give_no_curves_of_losses_per_token(tmp_path):
    written, analysis = files(sweep(tmp_path, evaluations=9), tmp_path)
    assert "report-curves.svg" not in written
    assert (
        "There are no curves, because the runs do not all have bits_per_char/val at 10" in analysis.notes[-1]
    )


def test_a_sweep_over_what_a_tokenizer_learns_from_is_compared_in_bits_per_character(tmp_path):
    """From scratch or not, with merges of another run or of its own."""
    frame = sweep(tmp_path).rename(columns={"tokenizer": "init_from"})
    for tokenizer, metric in (("bpe", "bits_per_char/val"), ("char", "loss/val")):
        frame.attrs |= {"swept": ["init_from", "seed"], "fixed": {"tokenizer": tokenizer}, "environments": []}
        assert analyse(frame, Question(), tmp_path).question.metric == metric
