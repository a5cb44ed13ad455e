"""Reports of settings at their best values, and of sweeps that ran in rounds."""

import re

import pytest

pandas = pytest.importorskip("pandas", reason="needs microgpt-lab[report]")
pytest.importorskip("scipy.stats", reason="needs microgpt-lab[report]")

from test_analysis import frame, report, sweep_of_rates  # noqa: E402

from microgpt_lab import UserError  # noqa: E402
from microgpt_lab.report.analysis import Question, analyse  # noqa: E402
from microgpt_lab.report.comparison import STOPPED_LEVEL  # noqa: E402
from microgpt_lab.report.pages import write  # noqa: E402
from microgpt_lab.report.pictures import pictures  # noqa: E402
from microgpt_lab.sweeps.rounds import Rounds, clear_rounds, looks, read_rounds  # noqa: E402

RATES = (0.01, 0.1, 1.0)


def tuned_sweep():
    """Two optimizers at three rates on seeds 10 and 11, and at their best rates on seeds 0 to 4.

    adam is best at 0.01, sgd at 1. On the seeds that are compared, all rates of adam would be better.
    """
    rows = [
        {"optimizer": o, "optimizer.lr": lr, "seed": seed, "loss/val": 2.0 + (best != lr) + seed / 100}
        for o, best in (("adam", 0.01), ("sgd", 1.0))
        for lr in RATES
        for seed in (0, 1, 2, 3, 4, 10, 11)
        if lr == best or seed >= 10
    ]
    noise = (0.0, 0.01, 0.03, 0.02, 0.01)
    for row in rows:
        row["loss/val"] += noise[row["seed"]] if row["seed"] < 5 and row["optimizer"] == "sgd" else 0.0
    return frame(rows, ["optimizer", "optimizer.lr", "seed"])


ROUNDS = Rounds(
    ["optimizer.lr"], [10, 11], [["optimizer=adam", "optimizer.lr=1e-2"], ["optimizer=sgd", "optimizer.lr=1"]]
)


def test_a_tuned_sweep_is_compared_on_the_other_seeds_without_counting_candidates(tmp_path):
    ROUNDS.write(tmp_path)
    found = analyse(tuned_sweep(), Question(), tmp_path)
    assert [row.setting.keys for row in found.rows] == [
        {"optimizer": "adam", "optimizer.lr": 0.01},
        {"optimizer": "sgd", "optimizer.lr": 1.0},
    ]
    assert found.comparison.family == 2 and found.comparison.seeds == 5
    assert "Each row is shown at its best optimizer.lr, chosen on 2 other seeds." in found.notes
    assert found.notes[-2] == (
        "A wider range may be better: optimizer=adam: the best optimizer.lr, 0.01, is the smallest tried; "
        "optimizer=sgd: the best optimizer.lr, 1, is the largest tried."
    )
    assert analyse(tuned_sweep(), Question(best="optimizer.lr"), tmp_path).notes == found.notes
    by = analyse(tuned_sweep(), Question(by="optimizer"), tmp_path)
    assert [row.setting.keys for row in by.rows] == [{"optimizer": "adam"}, {"optimizer": "sgd"}]
    with pytest.raises(UserError, match="because the sweep chooses one: leave it out of --by"):
        analyse(tuned_sweep(), Question(by="optimizer.lr"), tmp_path)


def test_fresh_seeds_are_fresh_for_tuning_too(tmp_path):
    ROUNDS.write(tmp_path)
    for seeds in (4, 5):
        table = tuned_sweep()
        some = table[(table["seed"] < seeds) | (table["seed"] >= 10)]
        some.attrs = table.attrs
        found = analyse(some, Question(), tmp_path)
        write(found, some, tmp_path)
    assert "'seed=range(12,17)'" in found.notes[-1]


def test_a_sweep_that_is_still_tuning_has_no_report(tmp_path):
    Rounds(["optimizer.lr"], [10, 11]).write(tmp_path)
    with pytest.raises(UserError, match=r"has not chosen optimizer.lr yet: repeat its command"):
        analyse(tuned_sweep(), Question(), tmp_path)


def rows_of_ten_seeds(lucky=-1):
    """Setting `a` has three values of `b`; the first is best, but on seed `lucky` the second is."""
    return [
        {
            "a": a,
            "b": b,
            "seed": seed,
            "loss/val": 2.0 + 0.1 * b + 0.01 * a + seed**2 % 7 / 1e3 - 9 * (lucky == seed and b == 1),
        }
        for a in (0, 1)
        for b in (0, 1, 2)
        for seed in range(10)
    ]


def test_with_ten_seeds_three_choose_the_best_value_and_seven_are_compared():
    found = report(rows_of_ten_seeds(), ("a", "b", "seed"), best="b")
    assert found.comparison.seeds == 7 and found.comparison.family == 2
    assert found.runs.seeds == list(range(7)) and found.used_seeds[:10] == list(range(10))
    assert any("chosen on 3 other seeds" in note for note in found.notes)
    assert {
        row.setting.keys["b"] for row in report(rows_of_ten_seeds(6), ("a", "b", "seed"), best="b").rows
    } == {0}
    assert {
        row.setting.keys["b"] for row in report(rows_of_ten_seeds(7), ("a", "b", "seed"), best="b").rows
    } == {1}


def test_a_run_without_a_readable_seed_does_not_choose():
    rows = [*rows_of_ten_seeds(), {"a": "x", "b": 0, "seed": None, "status": "unfinished"}]
    table = frame(rows, ["a", "b", "seed"])
    table["seed"] = pandas.Series(
        [row["seed"] for row in rows], table.index, object
    )  # as `load_sweep` has it
    found = analyse(table, Question(best="b"), None)
    assert any("chosen on 3 other seeds" in note for note in found.notes)


def test_with_nine_seeds_all_candidates_are_counted():
    rows = [row for row in rows_of_ten_seeds() if row["seed"] < 9]
    found = report(rows, ("a", "b", "seed"), best="b")
    assert found.comparison.seeds == 9 and found.comparison.family == 6
    assert any("allows for all 6 candidates" in note for note in found.notes)


def test_a_best_value_inside_of_its_range_needs_no_wider_one():
    found = analyse(sweep_of_rates((0.001, *RATES, 10.0)), Question(best="optimizer.lr"), None)
    assert not any("wider range" in note for note in found.notes)
    found = analyse(sweep_of_rates(RATES), Question(best="optimizer.lr"), None)
    assert any(
        "optimizer=sgd: the best optimizer.lr, 1, is the largest tried" in note for note in found.notes
    )


def test_intervals_of_a_sweep_that_chose_when_to_stop_allow_for_it(tmp_path):
    table = tuned_sweep()
    table = table[table["seed"] < 5]
    table.attrs = {"swept": ["optimizer", "seed"], "fixed": {}, "environments": []}
    fixed = analyse(table, Question(), tmp_path)
    Rounds(until=0.25, looks=[5, 10, 20]).write(tmp_path)
    found = analyse(table, Question(), tmp_path)
    assert found.comparison.level == STOPPED_LEVEL > fixed.comparison.level
    assert found.rows[1].high > fixed.rows[1].high
    note = next(note for note in found.notes if "rounds" in note)
    assert note.startswith("Seeds were added in rounds: the sweep could stop with 5 seeds, once no interval")
    assert f"The widest is ± {found.rows[1].half_width:.2g}." in note and "a level of 97 %" in note

    few = table[table["seed"] < 4]
    few.attrs = table.attrs
    for some in (few, table):
        found = analyse(some, Question(), tmp_path)
        write(found, some, tmp_path)
    assert not any("reported before" in note for note in found.notes)

    # Another sweep in the folder has added seeds: the intervals stay wider, but do not allow for this look.
    Rounds(until=0.25, looks=[3, 4]).write(tmp_path)
    clear_rounds(tmp_path)
    found = analyse(table, Question(), tmp_path)
    write(found, table, tmp_path)
    assert found.comparison.level == STOPPED_LEVEL
    assert any("reported before with fewer seeds (4, then 5)" in note for note in found.notes)


def test_a_report_says_what_its_seeds_can_tell():
    def power(gap, noise):
        rows = [
            {"a": a, "seed": seed, "loss/val": a * (gap + noise * (seed**3 % 5))}
            for a in (0, 1)
            for seed in range(10)
        ]
        return [note for note in report(rows, ("a", "seed")).notes if "about 3 of 4 sweeps claim" in note]

    (note,) = power(0.25, 0.01)
    detected, seeds = re.search(
        r"a true gap of (\S+) to .* Half of that needs (\d+) seeds in total", note
    ).groups()
    assert 0.01 < float(detected) < 0.03 and 30 < int(seeds) < 50
    assert power(0, 0) == []  # no noise is known


@pytest.mark.parametrize(
    "text", ["", "[]", '{"tune": 3, "until": "x", "chosen": {}}', '{"until": null, "new": 1}']
)
def test_damaged_rounds_are_none(tmp_path, text):
    (tmp_path / "rounds.json").write_text(text)
    assert read_rounds(tmp_path) == Rounds()


def test_looks_double_until_all_seeds():
    assert [looks(n) for n in (5, 6, 40, 100)] == [[5], [5, 6], [5, 10, 20, 40], [5, 10, 20, 40, 80, 100]]


def test_pictures_show_tuned_settings_by_their_other_keys(tmp_path):
    """Each size has its own best rate: the line over parameters goes through all of them."""
    rows = [
        {"embed": size, "norm": norm, "optimizer.lr": lr, "seed": seed, "parameters": 100 * size}
        | {"loss/val": 2 / size + abs(lr - best) + norm + (seed * size * (norm + 3)) % 7 / 1e3}
        for size, best in ((8, 0.1), (16, 0.03), (32, 0.01))
        for norm in (0, 1, 2)
        for lr in (0.01, 0.03, 0.1)
        for seed in range(10)
    ]
    table = frame(rows, ["embed", "norm", "optimizer.lr", "seed"])
    found = analyse(table, Question(best="optimizer.lr", x="parameters"), tmp_path)
    assert found.chosen == ["optimizer.lr"] and found.keys == ["embed", "norm", "optimizer.lr"]
    over, heatmap = pictures(found, table)
    assert [line["setting"] for line in over.data["x"]["lines"]] == [{"norm": 0}, {"norm": 1}, {"norm": 2}]
    assert over.data["x"]["lines"][0]["x"] == [800, 1600, 3200]
    assert heatmap.file == "report-heatmap.svg" and heatmap.title == "embed × norm"
