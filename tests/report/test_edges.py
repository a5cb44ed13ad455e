"""Edge cases of a report: nothing in common, rounding, two corrections that disagree, odd tables."""

import math

import pytest

np = pytest.importorskip("numpy")
pandas = pytest.importorskip("pandas", reason="needs microgpt-lab[report]")
pytest.importorskip("scipy.stats", reason="needs microgpt-lab[report]")

from microgpt_lab import UserError  # noqa: E402
from microgpt_lab.report import wording  # noqa: E402
from microgpt_lab.report.alignment import align  # noqa: E402
from microgpt_lab.report.analysis import Question, analyse  # noqa: E402
from microgpt_lab.report.choice import at_best  # noqa: E402
from microgpt_lab.report.comparison import compare, critical_value, rounding_noise  # noqa: E402
from microgpt_lab.report.pages import write  # noqa: E402
from microgpt_lab.report.settings import direction  # noqa: E402

NAN = math.nan


def rows(**figures):
    """Rows of runs by activation and seed, one per value."""
    return [
        {"activation": name, "seed": seed, "loss/val": figure}
        for name, several in figures.items()
        for seed, figure in enumerate(several)
    ]


def frame(rows):
    table = pandas.DataFrame([{"status": "ok"} | row for row in rows])
    table.index = [f"run{i}" for i in range(len(table))]
    table.attrs |= {"swept": ["activation", "seed"], "fixed": {}, "environments": []}
    return table


def test_settings_without_a_common_combination_are_not_compared():
    """One setting has only the first combination, the other setting only the second."""
    found = align(np.array([[[1.0] * 3, [NAN] * 3], [[NAN] * 3, [1.0] * 3]]), np.zeros((2, 2, 3), bool))
    assert found.settings.sum() == 1 and found.seeds.sum() == 3


def test_rounding_noise_comes_from_the_smallest_real_step():
    """A difference of 1e-12 is floating-point rounding, not a step of the metric."""
    table = np.array([[1.0, 1.5], [1.0, 1.5], [1.0 + 1e-12, 1.5]])
    assert rounding_noise(table) == pytest.approx(0.5 / math.sqrt(6))
    assert rounding_noise(np.ones((3, 2))) == 0.0


def test_holms_claim_beyond_bonferronis_interval_ends_at_zero():
    """Three gaps whose p-values are just above 0.05 / 3, below 0.05: Holm claims them after the first."""
    gaps = np.array([[1.0, 0.9, 1.1, 1.0, 1.05], [0.9, 0.2, 0.8, 0.3, 0.7], [0.8, 0.1, 0.9, 0.3, 0.6]]).T
    for sign in (1, -1):
        found = compare(np.c_[np.zeros(5), sign * gaps], 0)
        assert found.significant[1:].all()
        width = critical_value(4, 5, True) * found.noise / math.sqrt(5)
        outside = np.abs(found.gap) - width
        assert (outside[2:] < 0).any()  # Bonferroni's interval alone would hold 0
        near = found.low if sign > 0 else -found.high
        assert near[1:] == pytest.approx(np.maximum(outside, 0)[1:])


def test_higher_is_better_for_answers_new_samples_and_speed():
    metrics = ("loss/val", "exact_match", "samples_new", "perf/tokens_per_s")
    assert [direction(metric) for metric in metrics] == [1, -1, -1, -1]


def test_the_value_with_the_fewest_failures_is_the_best_if_all_have_some():
    table = frame(
        [
            {"activation": a, "seed": s, "loss/val": 1.0, "status": "diverged" if s < bad else "ok"}
            for a, bad in (("a", 3), ("b", 1))
            for s in range(3)
        ]
    )
    assert set(at_best(table, "loss/val", "activation").frame["activation"]) == {"b"}


def test_the_noisiest_row_is_named_only_where_it_needs_more():
    same = compare(np.array([[0.0, 1.0, 1.5], [0.0, 2.0, 2.5], [0.0, 3.0, 3.5]]))
    assert "noisiest" not in wording.gap_note(same, 1.0)


def test_a_metric_without_values_is_not_compared():
    table = frame(rows(a=[1.0, 2.0], b=[3.0, 4.0]))
    table["loss/train"] = NAN
    with pytest.raises(UserError, match="no run has 'loss/train'"):
        analyse(table, Question(metric="loss/train"), None)


def test_a_damaged_run_with_known_overrides_belongs_to_its_setting():
    table = frame([*rows(a=[1.0, 2.0, 3.0], b=[3.0, 4.0, 5.5])])
    table.loc["run6"] = {"status": "damaged", "activation": "b", "seed": 3, "loss/val": NAN}
    table.attrs |= {"swept": ["activation", "seed"], "fixed": {}, "environments": []}
    found = analyse(table, Question(), None)
    assert [row.setting.runs for row in found.rows] == [3, 4]


def test_a_noisy_row_may_need_more_than_500_seeds():
    table = np.random.default_rng(0).normal(0, [1, 1, 1, 1e4], (6, 4))
    found = compare(table, 0)
    assert "seeds in total (more than 500 for the noisiest). This report has 6 seeds." in wording.gap_note(
        found, 1.0
    )
    assert wording.gap_note(found, 1e-9) == "To claim a gap of 1e-09, more than 500 seeds are needed."


def test_a_report_is_not_written_into_a_folder_of_its_name(tmp_path):
    (tmp_path / "report.md").mkdir()
    table = frame(rows(a=[1.0, 2.0], b=[3.0, 4.0]))
    with pytest.raises(UserError, match=r"report\.md is a folder"):
        write(analyse(table, Question(), tmp_path), table, tmp_path)


def test_settings_that_share_no_seed_are_not_compared():
    found = align(np.array([[[1.0] * 3 + [NAN] * 3], [[NAN] * 3 + [1.0] * 3]]), np.zeros((2, 1, 6), bool))
    assert found.settings.sum() == 1 and found.combinations.tolist() == [True] and found.seeds.sum() == 3


def test_a_note_about_left_out_seeds_appears_beside_failed_settings():
    table = [*rows(a=[1.0, 2.0, 3.0, 4.0, 5.0], b=[2.0, 3.0, 4.0, 5.5, NAN]), *rows(c=[NAN])]
    table[-1]["status"] = "diverged"
    notes = analyse(frame(table), Question(), None).notes
    assert "The comparison uses only the 4 of 5 seeds that all compared rows have." in notes


def test_without_seeds_a_setting_has_one_run():
    table = frame([{"activation": name, "loss/val": loss} for name, loss in (("a", 1.0), ("b", 2.0))])
    table.attrs["swept"] = ["activation"]
    found = analyse(table, Question(), None)
    assert [row.verdict for row in found.rows] == [
        "the best row",
        "no claim with 1 seed: at least 3 are needed",
    ]


def test_large_numbers_have_no_decimals():
    assert wording.decimals(compare(1e5 * np.random.default_rng(0).random((5, 3)))) == 0


def test_very_large_numbers_are_short():
    assert [wording.amount(x, 3) for x in (2.0, 999_999.0, 1.25e12)] == ["2.000", "999999.000", "1.25e+12"]


TABLE = np.array([[1.0, 1.5, 1.25], [2.0, 2.25, 2.5], [3.0, 3.75, 3.0], [4.0, 4.5, 4.25]])
PAIRED = (
    "are paired by seed (4 seeds). The 95 % intervals are simultaneous: in 19 of 20 sweeps, all intervals of "
    "the table contain the true gaps."
)


def test_notes_of_a_comparison_with_the_best_row():
    assert list(wording.notes(compare(TABLE))) == [
        f"Gaps to the best row {PAIRED}",
        "A gap is claimed if it is larger, in units of its noise, than the largest gap in 95 % of simulated "
        "sweeps in which all settings are equal and the best row is chosen in the same way.",
        "With 4 seeds, up to 8 % of sweeps (instead of 5 %) claim a gap by chance if some settings are much "
        "noisier than others. Intervals fail as often. Use at least 5 seeds.",
    ]


def test_the_first_note_is_the_answer():
    (to_best,) = wording.answer(compare([[0, 1, 0.1], [0.2, 1.2, 0.1], [0, 1.1, 0.2], [0.1, 1, 0]]))
    assert to_best == "Of the 2 rows beside the best row, 1 is worse than it, 1 is indistinguishable from it."
    (to_baseline,) = wording.answer(compare([[1, 2, 0], [1.1, 2.2, 0], [1, 2, 0.1], [1, 2, 0.1]], 0))
    expected = "1 is better than it, 1 is worse than it, 0 are indistinguishable from it."
    assert to_baseline == f"Of the 2 rows beside the baseline, {expected}"
    assert list(wording.answer(compare([[0, 1], [0, 1.1], [0, 1]]))) == []


def test_notes_of_a_comparison_with_a_baseline():
    assert list(wording.notes(compare(TABLE, 0))) == [
        f"Gaps to the baseline {PAIRED}",
        "A baseline must be named before the runs. If it was picked after looking at the table, leave out "
        "--against, or confirm the claims with fresh seeds.",
        "Claims use Holm's correction, intervals use Bonferroni's, which is stricter. An interval that would "
        "contain 0 although the gap is claimed ends at 0.",
    ]
