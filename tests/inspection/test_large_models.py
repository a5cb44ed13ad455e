"""What a terminal shows of a large model: what matters most, in its width, and how many there are."""

import io
import re
from functools import cache

import pytest
from replays import untrained
from rich.console import Console

from microgpt_lab.inspection.ablation import ablations
from microgpt_lab.inspection.attention import heads
from microgpt_lab.inspection.attribution import attribution
from microgpt_lab.inspection.expected import lens
from microgpt_lab.inspection.health import health
from microgpt_lab.inspection.rendering import MOST_ROWS, foremost
from microgpt_lab.inspection.replay import replay


@cache
def views():
    deep = replay(untrained(layers=8), "alexandra")
    explained, removed = attribution(deep), ablations(deep)
    return {
        "lens": lens(deep, explained),
        "why": explained,
        "attention": heads(deep, explained, removed),
        "without": removed,
        "health": health(deep),
    }


def shown(view, width):
    """The lines of a view in a terminal of so many columns."""
    console = Console(file=io.StringIO(), width=width, highlight=False, emoji=False)
    console.print(view)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


@pytest.mark.parametrize("width", [80, 200])
def test_each_view_fits_into_the_terminal(width):
    for name, view in views().items():
        lines = shown(view, width)
        assert max(map(len, lines)) <= width, name
        assert not re.search(r"[^[]…", "".join(lines)), name
        assert len(lines) <= (90 if name == "health" else 60), name  # a row for each matrix


def test_the_wider_the_terminal_the_more_is_shown():
    for name, said in [("lens", r"(\d+) of 17 places"), ("without", r"(\d+) of 10 predictions")]:
        narrow, wide = (" ".join(shown(views()[name], width)) for width in (60, 90))
        assert 1 < int(re.search(said, narrow)[1]) < int(re.search(said, wide)[1])
        assert not re.search(said, " ".join(shown(views()[name], 400)))


def number(cell):
    return float(cell.replace("−", "-"))


def test_a_sum_is_whole_though_its_smaller_terms_share_a_row():
    title, *rows = shown(views()["why"], 80)[:-2]
    assert title.startswith("after")
    table = [re.findall(r"(?<= )(?:[+−]\d+\.\d+|0)(?= |$)", line)[:2] for line in rows]
    *terms, logit = [row for row in table if len(row) == 2]
    assert len(terms) <= MOST_ROWS
    assert sum("smaller ones" in line for line in rows) == 1
    for column in (0, 1):
        total = sum(number(row[column]) for row in terms)
        assert total == pytest.approx(number(logit[column]), abs=0.005 * len(table))


def test_the_heads_that_matter_most_are_shown():
    found = views()["attention"]
    lines = shown(found, 80)
    drawn = re.findall(r"layer (\d) head (\d)", "\n".join(lines))
    most = sorted(found, key=lambda head: -abs(head.without))[: len(drawn)]
    assert len(drawn) == 8
    assert {(int(layer), int(head)) for layer, head in drawn} == {(each.layer, each.head) for each in most}
    assert "Shown are the 8 of 32 heads" in " ".join(lines)


def test_a_pattern_that_does_not_fit_is_drawn_smaller_or_not_at_all():
    found = heads(replay(untrained(layers=1, heads=2, block_size=64), "emma" * 14))
    assert max(map(len, shown(found, 200))) <= 200
    assert max(map(len, shown(found, 80))) <= 80
    assert "layer 0 head 0" in "\n".join(shown(found, 80))
    assert shown(found, 60)[0] == "A pattern of 57 tokens does not fit into 60 columns: --html"


def test_foremost_keeps_the_order():
    assert foremost([3, -9, 1, 5], abs, 2) == [-9, 5]
    assert foremost([1, 1, 1], abs, 2) == [1, 1]
