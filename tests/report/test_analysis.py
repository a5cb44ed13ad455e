"""Reports of a sweep: ranking, claims, verdicts, and means over the same seeds."""

import math
import random
import re

import pytest

pandas = pytest.importorskip("pandas", reason="needs microgpt-lab[report]")
pytest.importorskip("scipy.stats", reason="needs microgpt-lab[report]")

from microgpt_lab import UserError  # noqa: E402
from microgpt_lab.report.analysis import Question, analyse  # noqa: E402
from microgpt_lab.report.choice import at_best  # noqa: E402
from microgpt_lab.report.pages import write  # noqa: E402


def frame(rows, swept):
    table = pandas.DataFrame([{"status": "ok"} | row for row in rows])
    table.index = [f"run{i}" for i in range(len(table))]
    table.attrs |= {"swept": swept, "fixed": {}, "environments": []}
    return table


def runs(means, seeds=range(5), noise=0.0, common=0.0):
    rng = random.Random(0)
    shared_noise = [rng.gauss(0, common) for _ in seeds]
    return [
        {"activation": name, "seed": seed, "loss/val": mean + shared_noise[i] + rng.gauss(0, noise)}
        for name, mean in means.items()
        for i, seed in enumerate(seeds)
    ]


def report(rows, swept=("activation", "seed"), folder=None, **question):
    return analyse(frame(rows, list(swept)), Question(**question), folder)


def verdict(found, **keys):
    return next(row.verdict for row in found.rows if row.setting.keys == keys)


def claims(found):
    """The rows with a claim: those whose verdict is 'better … by' or 'worse … by'."""
    words = {
        row.setting.name: bool(re.search(r"(better|worse) than .* by ", row.verdict)) for row in found.rows
    }
    assert words == {row.setting.name: row.significant for row in found.rows}
    return [name for name, claimed in words.items() if claimed]


def test_a_gap_is_paired_by_seed():
    """Noise that settings share at a seed does not hide a gap ten times smaller."""
    found = report(runs({"a": 2.0, "b": 2.01}, noise=0.0005, common=0.1))
    assert [row.setting.keys["activation"] for row in found.rows] == ["a", "b"]
    low, high = map(
        float,
        re.fullmatch(r"worse than the best row by (\S+) to (\S+)", verdict(found, activation="b")).groups(),
    )
    assert 0.003 < low < 0.01 < high < 0.017  # the shared noise is ten times the gap


def test_a_gap_that_could_be_chance_is_indistinguishable():
    found = report(runs({"a": 2.0, "b": 2.001}, noise=0.05))
    words = r"indistinguishable from the best row with these 5 seeds \(between 0.\d+ better and 0.\d+ worse\)"
    assert re.fullmatch(words, found.rows[1].verdict)
    assert claims(found) == []


def test_a_named_baseline_is_compared_in_both_directions():
    rows = runs({"a": 2.0, "b": 2.5, "c": 3.0}, noise=0.01)
    found = report(rows, against="activation=b")
    assert verdict(found, activation="a").startswith("better than the baseline by 0.4")
    assert verdict(found, activation="b") == "the baseline"
    assert verdict(found, activation="c").startswith("worse than the baseline by 0.4")


def test_two_seeds_are_too_few_for_a_claim():
    """Two seeds with the same difference: no noise is visible, but it cannot be excluded."""
    found = report(runs({"a": 2.0, "b": 2.01}, seeds=(0, 1)))
    assert found.rows[1].verdict == "no claim with 2 seeds: at least 3 are needed"
    assert [row.mean for row in found.rows] == pytest.approx([2.0, 2.01])


def test_three_seeds_come_with_a_note():
    assert any("9.5 %" in note for note in report(runs({"a": 2.0, "b": 2.1}, range(3), 0.01)).notes)
    assert not any("9.5 %" in note for note in report(runs({"a": 2.0, "b": 2.1}, noise=0.01)).notes)


def test_a_missing_combination_does_not_make_a_difference():
    """layers=1 lacks the easy embed=48: without that combination, layers has no effect."""
    rows = [
        {"layers": n, "embed": e, "seed": s, "loss/val": 3 - e / 48 + s / 100 + (7 * s + n) % 3 / 1000}
        for n in (1, 2)
        for e in (16, 32, 48)
        for s in range(5)
        if (n, e) != (1, 48)
    ]
    found = report(rows, ("layers", "embed", "seed"), by="layers")
    assert claims(found) == []
    assert abs(found.rows[0].mean - found.rows[1].mean) < 0.002
    assert any("2 of 3 combinations" in note for note in found.notes)


def test_by_averages_each_seed_over_the_other_keys():
    rows = [
        {
            "activation": a,
            "layers": n,
            "seed": s,
            "loss/val": 2 + (a == "b") * 0.1 - n + s / 10 + (s == n) / 100,
        }
        for a in "ab"
        for n in (1, 2)
        for s in range(4)
    ]
    found = report(rows, ("activation", "layers", "seed"), by="activation")
    assert found.rows[1].gap == pytest.approx(0.1)
    assert len(found.rows[1].figures) == 4


def test_surviving_runs_of_a_diverging_setting_are_not_compared():
    """Two of five runs diverged: the three surviving runs are better than all runs of the other setting."""
    rows = runs({"a": 2.0, "b": 1.9}, noise=0.01) + runs({"c": 2.0}, noise=0.01)
    for row in rows[5:7]:
        row |= {"status": "diverged", "loss/val": math.nan}
    found = report(rows)
    assert verdict(found, activation="b") == "set aside: 2 of 5 runs diverged"
    assert found.rows[-1].mean is None and found.reference.setting.keys != {"activation": "b"}
    with pytest.raises(UserError, match="cannot be the baseline: set aside: 2 of 5"):
        report(rows, against="activation=b")


def test_one_lucky_seed_of_an_interrupted_sweep_prevents_no_claim():
    rows = runs({"a": 2.0, "b": 2.5}, noise=0.01) + runs({"c": 1.0}, seeds=[0])
    rows += [{"activation": "c", "seed": 1, "loss/val": math.nan, "status": "unfinished"}]
    found = report(rows)
    assert found.reference.setting.keys == {"activation": "a"}
    assert claims(found) == ["activation=b"]
    assert found.rows[-1].verdict == "unfinished: 1 of 5 runs"


def test_a_killed_run_leaves_three_seeds_to_other_settings():
    """With three seeds, a setting that lacks one would leave the other settings too few for a claim."""
    found = report(runs({"a": 2.0, "b": 2.5}, range(3), 0.01) + runs({"c": 2.2}, range(2)))
    assert claims(found) == ["activation=b"]
    assert found.rows[-1].verdict == "unfinished: 2 of 3 runs"


def test_an_exploded_setting_prevents_no_claim():
    """A loss of 1e12 is finite: differences between the other losses do not count as its rounding."""
    found = report(runs({"a": 2.0, "b": 2.5, "c": 2.6}, noise=0.01) + runs({"d": 1e12}, noise=1e11))
    assert {"activation=b", "activation=c", "activation=d"} == set(claims(found))


def test_a_damaged_folder_is_named_and_prevents_no_claim(tmp_path):
    rows = runs({"a": 2.0, "b": 2.5}, noise=0.01)
    rows += [{"activation": None, "seed": None, "status": "damaged", "error": "summary.json is a pipe"}]
    table = frame(rows, ["activation", "seed"])
    found = analyse(table, Question(), tmp_path)
    assert claims(found) == ["activation=b"] and len(found.rows) == 2
    write(found, table, tmp_path)
    assert "run10 is damaged: summary.json is a pipe" in (tmp_path / "report.md").read_text()


def test_ranking_uses_the_seeds_that_all_have():
    """b lacks a hard seed: on the seeds that both settings have, b is not better."""
    rows = [
        {"activation": a, "seed": s, "loss/val": 2 + s + (a == "b") * 0.1} for a in "ab" for s in range(5)
    ]
    found = report([row for row in rows if (row["activation"], row["seed"]) != ("b", 4)])
    assert [row.setting.keys["activation"] for row in found.rows] == ["a", "b"]
    assert [row.mean for row in found.rows] == pytest.approx([3.5, 3.6])


def test_rounding_of_a_coarse_metric_is_noise():
    """exact_match on 20 documents: one more correct answer at each of three seeds is no evidence."""
    rows = [
        {"layers": n, "seed": s, "exact_match": 0.5 + 0.05 * (n == 2)} for n in (1, 2, 3) for s in range(3)
    ]
    found = report(rows, ("layers", "seed"), metric="exact_match")
    assert found.rows[0].setting.keys == {"layers": 2}  # higher is better
    assert claims(found) == []


def test_higher_can_be_better():
    rows = [
        {"layers": n, "seed": s, "exact_match": n / 10 + (3 * s + n) % 5 / 1000}
        for n in (1, 2, 3)
        for s in range(5)
    ]
    found = report(rows, ("layers", "seed"), metric="exact_match", against="layers=2")
    assert found.sign == -1 and [row.setting.keys["layers"] for row in found.rows] == [3, 2, 1]
    assert verdict(found, layers=3).startswith("better") and verdict(found, layers=1).startswith("worse")


def sweep_of_rates(values, extra=()):
    best = {"adam": 0.01, "sgd": 1.0}
    rows = [
        {"optimizer": o, "optimizer.lr": lr, "seed": s, "loss/val": 2.0 + (best[o] != lr) + s / 100}
        for o in best
        for lr in values
        for s in range(3)
    ]
    return frame([*rows, *extra], ["optimizer", "optimizer.lr", "seed"])


def test_best_takes_each_setting_at_its_best_value_and_counts_all_candidates():
    """A learning rate at which runs diverge is not the best, however good its other runs are."""
    more = [
        {"optimizer": "adam", "optimizer.lr": 3.0, "seed": 0, "loss/val": 0.5},
        {"optimizer": "adam", "optimizer.lr": 3.0, "seed": 1, "loss/val": math.nan, "status": "diverged"},
    ]
    choice = at_best(sweep_of_rates((0.01, 0.1, 1.0), more), "loss/val", "optimizer.lr")
    assert choice.frame.groupby("optimizer")["optimizer.lr"].unique().map(list).to_dict() == {
        "adam": [0.01],
        "sgd": [1.0],
    }
    assert choice.candidates == 7
    found = analyse(sweep_of_rates((0.01, 0.1, 1.0)), Question(best="optimizer.lr"), None)
    assert found.comparison.family == 6
    assert len(found.rows) == 2 and any("all 6 candidates" in note for note in found.notes)


def test_a_setting_may_lack_the_key_whose_best_is_taken():
    rows = [
        {"optimizer": "sgd", "momentum": m, "seed": s, "loss/val": 2.0 - m}
        for m in (0.0, 0.9)
        for s in (0, 1)
    ]
    rows += [{"optimizer": "adam", "momentum": math.nan, "seed": s, "loss/val": 1.0} for s in (0, 1)]
    found = report(rows, ("optimizer", "momentum", "seed"), best="momentum")
    assert [row.setting.keys for row in found.rows] == [
        {"optimizer": "adam", "momentum": None},
        {"optimizer": "sgd", "momentum": 0.9},
    ]


def test_gap_estimates_the_number_of_seeds():
    (note,) = (
        n for n in report(runs({"a": 2.0, "b": 2.01}, noise=0.01), gap=0.01).notes if "This report has" in n
    )
    assert "a true gap of 0.01" in note and "has 5 seeds" in note


def test_a_repeated_report_with_more_seeds_has_a_note(tmp_path):
    rows = runs({"a": 2.0, "b": 2.01}, seeds=range(8), noise=0.02)
    first = [row for row in rows if row["seed"] < 5]
    for some, looks in ((first, 0), (first, 0), (rows, 1)):
        table = frame(some, ["activation", "seed"])
        found = analyse(table, Question(), tmp_path)
        write(found, table, tmp_path)
        again = [note for note in found.notes if "reported before" in note]
        assert len(again) == looks
    assert "(5, then 8)" in again[0] and "'seed=range(8,16)'" in again[0]
    assert "reported before" in (tmp_path / "report.md").read_text()


def test_looks_at_a_named_baseline_count_too(tmp_path):
    rows = runs({"a": 2.0, "b": 2.01}, seeds=range(8), noise=0.02)
    for some in ([row for row in rows if row["seed"] < 5], rows):
        table = frame(some, ["activation", "seed"])
        found = analyse(table, Question(against="activation=a"), tmp_path)
        write(found, table, tmp_path)
    assert any("(5, then 8)" in note for note in found.notes)
