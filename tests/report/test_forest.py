"""The figure of gaps: calm and small with any number of seeds, and readable with long names."""

import json

import pytest

pytest.importorskip("pandas", reason="needs microgpt-lab[report]")
pytest.importorskip("scipy.stats", reason="needs microgpt-lab[report]")
pytest.importorskip("matplotlib", reason="needs microgpt-lab[report]")

from test_analysis import frame, runs

from microgpt_lab.commands.report import show
from microgpt_lab.report.analysis import Question, analyse
from microgpt_lab.report.figures.forest import MOST_DOTS, forest
from microgpt_lab.report.pages import write


def analysis(settings, seeds):
    means = {f"part{i}": 2 + i / 100 for i in range(settings)}
    rows = runs(means, seeds=range(seeds), noise=0.01)
    return analyse(frame(rows, ["activation", "seed"]), Question(), None)


def test_a_seed_has_a_dot_in_each_row():
    more, fewer = (forest(analysis(3, seeds)).count("<use ") for seeds in (MOST_DOTS, MOST_DOTS - 1))
    assert more - fewer == 2  # all rows but the best one


def test_many_seeds_have_bars_so_that_the_figure_stays_small():
    svg = forest(analysis(28, 100))
    assert len(svg) < 60_000
    assert svg.count("opacity: 0.22") == 2 * 27  # the central 50 % and 90 % of the seeds


@pytest.mark.parametrize(("seeds", "shown"), [(5, "a dot for each seed"), (31, "50 % and 90 % of its seeds")])
def test_the_caption_says_what_the_figure_shows_of_the_seeds(seeds, shown, tmp_path):
    rows = runs({"relu": 2.0, "gelu": 2.1}, seeds=range(seeds), noise=0.01)
    table = frame(rows, ["activation", "seed"])
    write(analyse(table, Question(), tmp_path), table, tmp_path)
    assert all(shown in (tmp_path / f"report.{kind}").read_text() for kind in ("html", "md"))


LONG = " ".join(f"kind{i}.option{i}=value{i}" for i in range(8))  # such as a change of eight keys


def test_a_long_name_is_short_in_figures_and_whole_in_tables(tmp_path):
    names = {"none": 2.0, "mlp=glu": 2.1, LONG: 2.2}
    rows = [
        {"change": row["activation"], "optimizer.lr": rate, "seed": row["seed"], "loss/val": row["loss/val"]}
        for row in runs(names, noise=0.01)
        for rate in (0.1, 0.2)
    ]
    table = frame(rows, ["change", "optimizer.lr", "seed"])
    found = analyse(table, Question(pairs=True, best="optimizer.lr"), tmp_path)
    write(found, table, tmp_path)
    for svg in ("report.svg", "report-pairs.svg"):
        text = (tmp_path / svg).read_text()
        assert "kind3.option3=value3 …" in text and "kind4" not in text, svg
        assert "none" in text and "change" not in text and "lr" not in text, svg
    assert all(LONG in (tmp_path / f"report.{kind}").read_text() for kind in ("html", "md"))
    settings = [
        row["setting"]["change"] for row in json.loads((tmp_path / "report.json").read_text())["rows"]
    ]
    assert settings == list(names)


def test_a_long_name_wraps_in_the_terminal(tmp_path, capsys):
    table = frame(runs({"none": 2.0, LONG: 2.2}), ["activation", "seed"])
    show(analyse(table, Question(), None), table, tmp_path)
    lines = capsys.readouterr().out.splitlines()
    assert any("kind0.option0=value0 kind1.option1=value1 " in line and "2.2000" in line for line in lines)
    assert all(len(line) < 200 for line in lines if "value" in line)
