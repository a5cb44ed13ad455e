"""Leaderboards and paired differences, held to a textbook and to SciPy."""

import math
import random

import pytest

pandas = pytest.importorskip("pandas", reason="needs microgpt-lab[report]")
stats = pytest.importorskip("scipy.stats", reason="needs microgpt-lab[report]")

from microgpt_lab.comparison import best_of, compare, groups, interval, sentence  # noqa: E402


def frame(rows, swept):
    table = pandas.DataFrame([{"status": "ok"} | row for row in rows])
    table.attrs["swept"] = swept
    return table


def runs(means, seeds=range(5), noise=0.0, common=0.0):
    rng = random.Random(0)
    luck = [rng.gauss(0, common) for _ in seeds]
    return [
        {"activation": name, "seed": seed, "loss/val": mean + luck[i] + rng.gauss(0, noise)}
        for name, mean in means.items()
        for i, seed in enumerate(seeds)
    ]


def test_the_interval_is_students():
    """Student's sleep data, 1908: ten differences with mean 1.58 and 95 % interval 0.70 to 2.46."""
    mean, half_width = interval([1.2, 2.4, 1.3, 1.3, 0.0, 1.0, 1.8, 0.8, 4.6, 1.4])
    assert (mean - half_width, mean + half_width) == pytest.approx((0.700, 2.460), abs=1e-3)
    assert math.isnan(interval([1.0])[1])


def test_pairs_find_what_means_hide():
    """Luck that two settings share goes out of their difference."""
    table = frame(runs({"a": 2.0, "b": 2.01}, noise=0.001, common=0.1), ["activation", "seed"])
    first, second = groups(table, "loss/val", ["activation"])
    compare([first, second], first)
    assert first.setting == {"activation": "a"}
    assert first.half_width > 0.05
    assert second.difference.mean == pytest.approx(0.01, abs=0.002)
    assert second.difference.is_told
    assert sentence(second, first, "loss/val").startswith("worse by 0.0")
    a, b = ([row["loss/val"] for row in table.to_dict("records") if row["activation"] == x] for x in "ab")
    assert second.difference.p == pytest.approx(stats.ttest_rel(b, a).pvalue)


def test_ties_are_called_ties():
    table = frame(runs({"a": 2.0, "b": 2.001}, noise=0.05), ["activation", "seed"])
    found = groups(table, "loss/val", ["activation"])
    compare(found, found[0])
    assert sentence(found[1], found[0], "loss/val").startswith("a tie: ")


def test_many_comparisons_of_nothing_rarely_find_something():
    """Of 40 sweeps of 20 equal settings, the correction lets at most a few say that one differs."""
    rng, said = random.Random(1), 0
    for _ in range(40):
        rows = [{"lr": lr, "seed": s, "loss/val": rng.gauss(2, 0.1)} for lr in range(20) for s in range(5)]
        found = groups(frame(rows, ["lr", "seed"]), "loss/val", ["lr"])
        baseline = next(group for group in found if group.setting == {"lr": 0})
        compare(found, baseline)
        said += any(group.difference.is_told for group in found if group is not baseline)
    assert said <= 5


def test_only_seeds_that_both_have_are_compared():
    rows = runs({"a": 2.0}, seeds=[0, 1, 2]) + runs({"b": 3.0}, seeds=[2, 3])
    found = groups(frame(rows, ["activation", "seed"]), "loss/val", ["activation"])
    compare(found, found[0])
    assert found[1].difference is None
    assert sentence(found[1], found[0], "loss/val") == "cannot tell: fewer than two runs to compare"


def test_runs_without_a_result_are_counted_and_never_win():
    rows = runs({"a": 2.0}) + [
        {"activation": "b", "seed": s, "loss/val": math.nan, "status": "diverged"} for s in range(5)
    ]
    rows[0]["status"], rows[0]["loss/val"] = "failed", 0.0
    rows += runs({"c": 2.5})
    third, first, second = groups(frame(rows, ["activation", "seed"]), "loss/val", ["activation"])
    assert third.setting == {"activation": "c"}  # all of its runs have a result
    assert (first.setting["activation"], len(first.values), first.runs) == ("a", 4, 5)
    assert first.mean == 2.0
    assert second.statuses == {"diverged": 5}
    assert sentence(second, first, "loss/val") == "no run ended well"


def test_grouping_by_one_key_takes_a_seeds_mean_over_the_others():
    rows = [
        {"activation": a, "layers": n, "seed": s, "loss/val": 2 + (a == "b") * 0.1 - n + s / 10}
        for a in "ab"
        for n in (1, 2)
        for s in (0, 1)
    ]
    found = groups(frame(rows, ["activation", "layers", "seed"]), "loss/val", ["activation"])
    compare(found, found[0])
    assert found[1].difference.pairs == 2
    assert found[1].difference.mean == pytest.approx(0.1)


def test_higher_can_be_better():
    rows = [{"layers": n, "seed": s, "exact_match": n / 10 + s / 1000} for n in (1, 2, 3) for s in (0, 1, 2)]
    found = groups(frame(rows, ["layers", "seed"]), "exact_match", ["layers"])
    compare(found, found[1])
    assert [group.setting["layers"] for group in found] == [3, 2, 1]
    assert sentence(found[0], found[1], "exact_match").startswith("better")


def test_each_at_its_best():
    """A learning rate at which runs diverge is not the best one, however good those that are left."""
    best = {"adam": 0.01, "sgd": 1.0}
    rows = [
        {"optimizer": o, "optimizer.lr": lr, "seed": s, "loss/val": 2.0 + (best[o] != lr) + s / 100}
        for o in best
        for lr in (0.01, 0.1, 1.0)
        for s in range(3)
    ]
    rows += [
        {"optimizer": "adam", "optimizer.lr": 3.0, "seed": 0, "loss/val": 0.5},
        {"optimizer": "adam", "optimizer.lr": 3.0, "seed": 1, "loss/val": math.nan, "status": "diverged"},
    ]
    kept = best_of(frame(rows, ["optimizer", "optimizer.lr", "seed"]), "loss/val", "optimizer.lr")
    assert kept.groupby("optimizer")["optimizer.lr"].unique().map(list).to_dict() == {
        "adam": [0.01],
        "sgd": [1.0],
    }


def test_a_setting_may_lack_the_key_whose_best_is_taken():
    rows = [
        {"optimizer": "sgd", "momentum": m, "seed": s, "loss/val": 2.0 - m}
        for m in (0.0, 0.9)
        for s in (0, 1)
    ]
    rows += [{"optimizer": "adam", "momentum": math.nan, "seed": s, "loss/val": 1.0} for s in (0, 1)]
    kept = best_of(frame(rows, ["optimizer", "momentum", "seed"]), "loss/val", "momentum")
    found = groups(kept, "loss/val", ["optimizer", "momentum"])
    assert [(g.setting, g.good) for g in found] == [
        ({"optimizer": "adam", "momentum": None}, 2),
        ({"optimizer": "sgd", "momentum": 0.9}, 2),
    ]
