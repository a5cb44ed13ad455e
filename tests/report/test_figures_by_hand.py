"""Numbers, rows, notes and verdicts of a report, compared with values computed by hand."""

import json
import math

import pytest

np = pytest.importorskip("numpy")
pandas = pytest.importorskip("pandas", reason="needs microgpt-lab[report]")
stats = pytest.importorskip("scipy.stats", reason="needs microgpt-lab[report]")

from microgpt_lab import UserError  # noqa: E402
from microgpt_lab.report import wording  # noqa: E402
from microgpt_lab.report.alignment import align  # noqa: E402
from microgpt_lab.report.analysis import Question, analyse  # noqa: E402
from microgpt_lab.report.comparison import (  # noqa: E402
    compare,
    critical_value,
    largest_gaps,
    seeds_needed,
)
from microgpt_lab.report.settings import Setting, group  # noqa: E402

NAN = math.nan


# Four seeds of three settings. The first is the best; the others' gaps at each seed:
TABLE = np.array([[1.0, 1.5, 1.25], [2.0, 2.25, 2.5], [3.0, 3.75, 3.0], [4.0, 4.5, 4.25]])
GAPS = [[0.5, 0.25, 0.75, 0.5], [0.25, 0.5, 0.0, 0.25]]
MEANS = [0.5, 0.25]
NOISE = math.sqrt(2 * 0.25**2 / 3)  # of both: two seeds are off by 0.25


def test_gaps_to_the_best_are_measured_in_their_noise():
    """With three degrees of freedom, the upper 75 % limit of the noise is √(3 / 1.2125) times the noise."""
    found = compare(TABLE)
    assert (found.reference, found.has_baseline, found.seeds, found.family) == (0, False, 4, 3)
    assert found.gap == pytest.approx([0.0, *MEANS])
    assert found.noise[1:] == pytest.approx([NOISE, NOISE]) and math.isnan(found.noise[0])
    assert found.typical_noise == pytest.approx(NOISE)
    scale = NOISE * math.sqrt(3 / 1.2125329)
    width = critical_value(3, 4, False) * scale / math.sqrt(4)
    for column, mean in enumerate(MEANS, start=1):
        t = mean * math.sqrt(4) / scale
        larger = sum(gap >= t for gap in largest_gaps(3, 4))
        assert found.p[column] == pytest.approx((1 + larger) / 10_001, rel=1e-9)
        assert found.significant[column] == (t > critical_value(3, 4, False))
        assert (found.low[column], found.high[column]) == pytest.approx((mean - width, mean + width))


def test_the_noise_of_a_gap_is_at_least_the_median_noise():
    """A setting whose seeds agree by chance proves no more than a typical setting."""
    table = np.array([[0.0, 1.0, 0.5, 2.0], [0.0, 2.0, 0.5, 4.0], [0.0, 3.0, 0.51, 6.0]])
    found = compare(table)
    assert found.reference == 0
    noise = [1.0, math.sqrt(0.01**2 / 3), 2.0]
    assert found.noise[1:] == pytest.approx(noise)
    width = (found.high - found.low)[1:] / 2
    margin = math.sqrt(2 / stats.chi2.ppf(0.25, 2))
    assert width / width[2] == pytest.approx([1.0 / 2.0, 1.0 / (2.0 * margin), 1.0])


def test_a_named_baseline_has_students_interval_for_two_comparisons():
    found = compare(TABLE, 0)
    width = stats.t.ppf(1 - 0.05 / 4, 3) * NOISE / 2
    assert found.has_baseline and (found.high - found.low)[1:] == pytest.approx([2 * width] * 2)
    raw = [2 * stats.t.sf(mean * 2 / NOISE, 3) for mean in MEANS]
    assert found.p[1:] == pytest.approx([2 * raw[0], max(2 * raw[0], raw[1])])
    assert found.significant[1:].tolist() == [p < 0.05 for p in found.p[1:]]


def test_the_smallest_p_value_is_one_in_ten_thousand():
    sure = compare(np.array([[0.0, 100.0], [0.0, 100.5], [0.0, 101.0]]))
    assert sure.p[1] == pytest.approx(1 / 10_001) and sure.significant[1]
    equal = compare(np.ones((3, 2)))
    assert equal.p[1] == 1.0 and equal.noise[1] == 0.0 and equal.low[1] == equal.high[1] == 0.0


def test_rounding_noise_is_a_twelfth_of_the_step_squared():
    assert compare(np.array([[0.5, 0.55]] * 3)).noise[1] == pytest.approx(0.05 / math.sqrt(6))
    assert compare(np.array([[0.5, 0.55, 0.65]] * 3)).noise[2] == pytest.approx(0.05 / math.sqrt(6))
    rounding = np.array([[0.3, 0.1 + 0.2]] * 3)  # is no step
    assert compare(rounding).noise[1] == 0.0


def test_seeds_needed_is_the_smallest_sufficient_number():
    """With a baseline: the quantile of t for the interval, and 0.84 for a power of 80 %."""
    found = compare(TABLE, 0)
    seeds = seeds_needed(1.0, 0.8, found)

    def reaches(n):
        return (stats.t.ppf(1 - 0.05 / 4, n - 1) + 0.8416212) <= 0.8 * math.sqrt(n)

    assert reaches(seeds) and not reaches(seeds - 1)
    assert seeds_needed(1.0, -0.8, found) == seeds
    assert seeds_needed(1e-9, 1.0, found) == 3
    assert seeds_needed(1.0, 0.8, found, most=seeds) == seeds
    assert seeds_needed(1.0, 0.8, found, most=seeds - 1) is None


def aligned(values, failed=None):
    values = np.asarray(values, float)
    found = align(values, np.zeros(values.shape, bool) if failed is None else failed)
    return found.settings.tolist(), found.combinations.tolist(), found.seeds.tolist()


def test_a_setting_that_would_cost_half_of_the_seeds_is_left_out():
    assert aligned([[[1, 1, 1, 1]], [[1, 1, NAN, NAN]]]) == ([True, False], [True], [True] * 4)
    assert aligned([[[1, 1, 1]], [[1, 1, NAN]]]) == ([True, True], [True], [True, True, False])
    three = [[[1, 1, 1]], [[1, 1, 1]], [[1, 1, NAN]]]  # two seeds would be too few to claim anything
    assert aligned(three) == ([True, True, False], [True], [True, True, True])


def test_a_combination_is_left_out_before_a_setting_that_lacks_as_many_runs():
    hole = np.ones((2, 2, 5))
    hole[0, 1] = NAN
    assert aligned(hole) == ([True, True], [True, False], [True] * 5)


def test_a_setting_counts_the_seeds_that_it_has_in_every_combination():
    """Half of the seeds are in one combination only: no setting loses them to another."""
    values = np.ones((2, 2, 6))
    values[:, 0, 3:] = NAN
    assert aligned(values) == ([True, True], [True, True], [True] * 3 + [False] * 3)


def frame(rows, swept=("activation", "seed")):
    table = pandas.DataFrame([{"status": "ok"} | row for row in rows])
    table.index = [f"run{i}" for i in range(len(table))]
    table.attrs |= {"swept": list(swept), "fixed": {}, "environments": []}
    return table


def rows(**losses):
    """`a=[…]`: the loss at each seed; None is a missing run."""
    return [
        {"activation": name, "seed": seed, "loss/val": loss}
        for name, values in losses.items()
        for seed, loss in enumerate(values)
        if loss is not None
    ]


def report(rows, swept=("activation", "seed"), folder=None, **question):
    return analyse(frame(rows, swept), Question(**question), folder)


def test_a_row_has_the_mean_and_the_deviation_over_its_seeds():
    first, second = report(rows(a=[1.0, 2.0, 3.0], b=[4.0, 6.0, 8.0])).rows
    assert (first.mean, first.deviation) == (2.0, 1.0) and (second.mean, second.deviation) == (6.0, 2.0)
    assert (first.gap, first.low, first.p, first.significant) == (None, None, None, False)
    assert second.gap == 4.0 and second.low < 4.0 < second.high
    (one,) = report(rows(a=[1.0])).rows
    assert (one.mean, one.deviation, one.verdict) == (1.0, None, "nothing to compare with")


def test_too_few_seeds_are_a_note():
    assert report(rows(a=[1.0, 2.0], b=[1.0, 2.0])).notes == ["No claim with 2 seeds: at least 3 are needed."]
    assert report(rows(a=[1.0], b=[1.0])).notes == ["No claim with 1 seed: at least 3 are needed."]
    assert report(rows(a=[1.0])).notes == []


def test_a_note_says_what_is_compared_if_something_is_left_out():
    found = report(rows(a=[1.0, 2.0, 3.0, 4.0], b=[2.0, 3.0, 4.5, None]))
    assert found.notes[0] == "The comparison uses only the 3 of 4 seeds that all compared rows have."
    both = [
        {"activation": a, "layers": n, "seed": s, "loss/val": s + n + (a == "b") * s / 9}
        for a in "ab"
        for n in (1, 2, 3)
        for s in range(4)
        if (a, n) != ("b", 2) and (a, s) != ("b", 3)
    ]
    assert report(both, ("activation", "layers", "seed"), by="activation").notes[0] == (
        "The comparison uses only the 3 of 4 seeds and the 2 of 3 combinations of the other keys that all "
        "compared rows have."
    )
    assert not any("uses only" in note for note in report(rows(a=[1.0, 2.0, 3.0], b=[2.0, 3.0, 4.5])).notes)
    failed = [{"activation": "a", "seed": s, "loss/val": NAN, "status": "diverged"} for s in range(3)]
    failed[0]["loss/val"] = 1.0
    assert report(failed).notes == [] and report(failed).rows[0].verdict == "set aside: 3 of 3 runs diverged"
    found = report(failed + [row | {"activation": "b"} for row in failed])
    assert found.reference is None and [row.verdict[:9] for row in found.rows] == ["set aside"] * 2


def test_an_unfinished_setting_shows_its_finished_seeds():
    """A seed that exists in only one of two combinations is shown."""
    full = [{"activation": "a", "layers": n, "seed": s, "loss/val": s + n} for n in (1, 2) for s in range(4)]
    unfinished = [
        {"activation": "b", "layers": 1, "seed": 0, "loss/val": 5.0},
        {"activation": "b", "layers": 2, "seed": 0, "loss/val": 7.0},
        {"activation": "b", "layers": 1, "seed": 1, "loss/val": 9.0},
    ]
    row = report(full + unfinished, ("activation", "layers", "seed"), by="activation").rows[-1]
    assert row.verdict == "unfinished: 3 of 8 runs" and row.figures == [6.0, 9.0] and row.column is None


def test_a_metric_per_step_is_read_from_metrics_jsonl(tmp_path):
    table = frame(rows(a=[1.0, 2.0, 3.0], b=[4.0, 6.0, 8.0]))
    for i, run in enumerate(table.index):
        (tmp_path / run).mkdir()
        (tmp_path / run / "metrics.jsonl").write_text(json.dumps({"step": 1, "optim/norm": float(i)}) + "\n")
    found = analyse(table, Question(metric="optim/norm"), tmp_path)
    assert [row.mean for row in found.rows] == [1.0, 4.0]
    with pytest.raises(UserError, match=r"^no run has 'optim/nrm' \(6 ok\); choose from loss/val$"):
        analyse(table, Question(metric="optim/nrm"), tmp_path)


@pytest.mark.parametrize("gap", [-0.1, 0.0, math.inf, NAN])
def test_a_gap_is_a_number(gap):
    with pytest.raises(UserError, match=f"--gap must be above 0, not {gap}"):
        report(rows(a=[1.0, 2.0, 3.0], b=[4.0, 6.0, 8.0]), gap=gap)


def test_a_baseline_that_does_not_match_one_row_is_an_error_with_the_rows():
    table = [
        {"activation": a, "layers": n, "seed": s, "loss/val": s + n}
        for a in "ab"
        for n in (1, 2)
        for s in (0, 1)
    ]
    keys = ("activation", "layers", "seed")
    message = (
        "matches 0 rows, not one: choose from activation=a,layers=1, activation=a,layers=2, activation=b"
    )
    with pytest.raises(UserError, match=message):
        report(table, keys, against="activation=c")
    with pytest.raises(
        UserError, match=r"matches 2 rows, not one: choose from .*=a,layers=1, .*=a,layers=2$"
    ):
        report(table, keys, against="activation=a")
    assert report(table, keys, against="activation=a,layers=2").baseline == 1


def test_the_same_configuration_twice_counts_with_its_mean():
    table = frame(rows(a=[1.0, 2.0]) + rows(a=[3.0, None]) + rows(b=[5.0, 7.0]))
    runs = group(table, "loss/val", ["activation"])
    assert runs.values.tolist() == [[[2.0, 2.0]], [[5.0, 7.0]]]
    assert runs.folders[0, 0, 0] == ["run0", "run2"] and runs.seeds == [0, 1]
    first, second = runs.settings
    assert (first.name, first.runs, first.statuses) == ("activation=a", 3, {"ok": 3}) and second.runs == 2


def test_runs_without_a_result_have_no_value_and_failed_runs_are_marked():
    table = frame(
        [
            {"activation": "a", "seed": 0, "loss/val": 1.0, "parameters": 10, "seconds": 2.0},
            {"activation": "a", "seed": 1, "loss/val": 9.0, "status": "diverged", "seconds": 50.0},
            {"activation": "a", "seed": 2, "loss/val": 9.0, "status": "unfinished", "parameters": 20},
            {"activation": "a", "seed": 3, "loss/val": NAN, "status": "failed"},
            {"activation": "a", "seed": 4, "loss/val": math.inf, "seconds": 4.0},
        ]
    )
    runs = group(table, "loss/val", ["activation"])
    assert runs.values[0, 0] == pytest.approx([1.0, NAN, NAN, NAN, NAN], nan_ok=True)
    assert runs.failed[0, 0].tolist() == [False, True, False, True, False]
    (setting,) = runs.settings
    assert (setting.failed, setting.parameters, setting.seconds) == (2, 15.0, 3.0)
    assert Setting({}, 1, {}, None, None, None).name == "all runs"


def setting(**statuses):
    return Setting({}, sum(statuses.values()), statuses, None, None, None)


def test_reasons_to_leave_a_setting_out():
    assert wording.left_out(setting(ok=3, diverged=2), 3, 5) == "set aside: 2 of 5 runs diverged"
    assert wording.left_out(setting(ok=3, failed=1, diverged=1), 3, 5) == "set aside: 2 of 5 runs failed"
    assert wording.left_out(setting(unfinished=2, refused=1), 0, 5) == "no result (2 unfinished, 1 refused)"
    assert wording.left_out(setting(ok=2, unfinished=3), 2, 5) == "unfinished: 2 of 5 runs"


def test_verdicts():
    """Half an interval has two digits; only a claim is 'better … by' or 'worse … by'."""
    best, named = compare(TABLE), compare(TABLE, 1)
    assert wording.decimals(best) == 2
    assert wording.verdict(best, 0) == ""
    low, high = best.low[2], best.high[2]
    span = f"between {-low:.2f} better and {high:.2f} worse"
    expected = f"indistinguishable from the best row with these 4 seeds ({span})"
    assert low < 0 < high and wording.verdict(best, 2) == expected
    sure = compare(np.array([[0.0, 1.5], [0.0, 1.4], [0.0, 1.6], [0.0, 1.5]]))
    assert wording.verdict(sure, 1) == f"worse than the best row by {sure.low[1]:.2f} to {sure.high[1]:.2f}"
    turned = compare(np.array([[1.5, 0.0], [1.4, 0.0], [1.6, 0.0], [1.5, 0.0]]), 0)
    near, far = -turned.high[1], -turned.low[1]
    assert wording.verdict(turned, 1) == f"better than the baseline by {near:.2f} to {far:.2f}"
    assert "indistinguishable from the baseline" in wording.verdict(named, 2)
