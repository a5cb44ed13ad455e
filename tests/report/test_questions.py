"""Questions to a report: baselines, options that do not fit, and the pages that it writes."""

import pytest
from test_analysis import frame, runs, sweep_of_rates

from microgpt_lab import UserError
from microgpt_lab.report.analysis import Question, analyse
from microgpt_lab.report.pages import as_markdown, write


@pytest.mark.parametrize(
    ("question", "message"),
    [
        ({"best": "optimizer.lr", "by": "optimizer,optimizer.lr"}, "leave it out of --by"),
        ({"against": "optimizer=nadam"}, "matches 0 rows"),
        ({"metric": "loss/vla"}, r"no run has 'loss/vla' \(18 ok\); did you mean 'loss/val'"),
    ],
)
def test_options_that_do_not_fit_the_sweep_are_errors(question, message, tmp_path):
    with pytest.raises(UserError, match=message):
        analyse(sweep_of_rates((0.01, 0.1, 1.0)), Question(**question), tmp_path)


def test_a_baseline_is_named_as_on_the_command_line():
    found = analyse(
        sweep_of_rates((0.01, 0.1, 1.0)), Question(against="optimizer=sgd,optimizer.lr=1e-1"), None
    )
    assert found.reference.setting.keys == {"optimizer": "sgd", "optimizer.lr": 0.1}


def test_a_baseline_may_have_an_empty_value():
    rows = runs({"": 2.0, "runs/names": 1.5}, noise=0.01)
    table = frame([row | {"init_from": row["activation"]} for row in rows], ["init_from", "seed"])
    found = analyse(table, Question(against="init_from="), None)
    assert found.reference.setting.keys == {"init_from": ""}


def test_a_page_has_a_row_per_setting_and_escapes_markup(tmp_path):
    rows = runs({"a": 2.0, "<script>alert(1)</script>|`x`": 2.5}, noise=0.01)
    table = frame(rows, ["activation", "seed"])
    table.attrs["fixed"] = {"<img onerror=x>": "[a](javascript:x)"}
    write(analyse(table, Question(), tmp_path), table, tmp_path)
    markdown, html = ((tmp_path / f"report.{kind}").read_text() for kind in ("md", "html"))
    for text in (markdown, html):
        assert "<script>alert" not in text and "<img" not in text
    assert r"\[a\](javascript:x)" in markdown and "`" not in markdown.replace(r"\`", "")
    assert as_markdown("layers=2, embed_x") == "layers=2, embed_x"
    assert html.count("<tr class=") == 2 and html.count("<svg") == 1
    assert "activation: gap to the best row" in (tmp_path / "report.svg").read_text()
