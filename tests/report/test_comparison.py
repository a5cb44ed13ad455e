"""Comparison of settings, on arrays: Student's test, Holm's correction, and false claims."""

import math

import pytest

np = pytest.importorskip("numpy")
stats = pytest.importorskip("scipy.stats", reason="needs microgpt-lab[report]")

from microgpt_lab.report.alignment import align  # noqa: E402
from microgpt_lab.report.comparison import (  # noqa: E402
    compare,
    critical_value,
    detectable_gap,
    holm,
    seeds_needed,
)


def sweep(seeds, settings, seed=0, worse=0.0):
    """Settings share noise at a seed; all but the first are worse by `worse`."""
    random = np.random.default_rng(seed)
    shared = random.standard_normal((seeds, 1))
    return shared + random.standard_normal((seeds, settings)) + worse * (np.arange(settings) > 0)


def test_students_sleep_data():
    """Student, 1908: ten paired differences, mean 1.58, 95 % interval 0.70 to 2.46, p = 0.00283."""
    hours = np.array([1.2, 2.4, 1.3, 1.3, 0.0, 1.0, 1.8, 0.8, 4.6, 1.4])
    found = compare(np.c_[np.zeros(10), hours], 0)
    assert found.gap[1] == pytest.approx(1.58)
    assert (found.low[1], found.high[1]) == pytest.approx((0.700, 2.460), abs=1e-3)
    assert found.p[1] == pytest.approx(0.00283, abs=1e-5)


@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_two_settings_are_students_paired_test(seeds):
    for table in (sweep(seeds, 2, k) for k in range(20)):
        found = compare(table)
        other = 1 - found.reference
        student = stats.ttest_rel(table[:, other], table[:, found.reference])
        interval = student.confidence_interval()
        assert found.p[other] == pytest.approx(student.pvalue, abs=0.02)
        assert (found.low[other], found.high[other]) == pytest.approx(interval, rel=0.1, abs=0.05)


def test_a_baseline_is_corrected_by_holm():
    """Holm, 1979, section 3: the smallest of k p-values times k, the next times k - 1 …"""
    assert holm(np.array([0.01, 0.04, 0.03]), 3) == pytest.approx([0.03, 0.06, 0.06])
    table = sweep(8, 4, worse=1.0)
    raw = np.array([stats.ttest_rel(table[:, k], table[:, 0]).pvalue for k in (1, 2, 3)])
    assert compare(table, 0).p[1:] == pytest.approx(holm(raw, 3))
    assert compare(table, 0, candidates=8).p[1:] == pytest.approx(holm(raw, 7))


def test_noise_that_settings_share_cancels():
    random = np.random.default_rng(1)
    table = random.normal(0, 0.1, (5, 1)) + random.normal(0, 0.001, (5, 2)) + [2.0, 2.01]
    found = compare(table)
    assert found.reference == 0 and found.significant[1]
    assert found.low[1] > 0.005 and found.high[1] < 0.015


@pytest.mark.parametrize("baseline", [None, 0])
def test_a_claim_is_an_interval_without_zero(baseline):
    for k in range(30):
        found = compare(sweep(6, 5, k, worse=1.5), baseline)
        outside = (found.low > 0) | (found.high < 0)
        if baseline is None:
            assert (outside == found.significant).all()
            assert ((found.p < 0.0501) == found.significant).all()
        assert (found.significant | ~outside).all() and not found.significant[found.reference]
        others = np.arange(5) != found.reference
        assert (found.low <= found.gap)[others].all() and (found.gap <= found.high)[others].all()


def test_the_order_of_settings_and_the_unit_do_not_matter():
    table, turn = sweep(5, 6, 3, worse=2.0), np.array([3, 1, 5, 0, 2, 4])
    found, turned = compare(table), compare(table[:, turn] + 100 * np.arange(5)[:, None])
    assert np.allclose(found.p[turn], turned.p, equal_nan=True)
    assert (found.significant[turn] == turned.significant).all()
    assert np.allclose(3 * found.low, compare(3 * table).low, equal_nan=True)


@pytest.mark.parametrize("baseline", [None, 0])
def test_few_seeds_and_coarse_steps_are_not_enough_for_a_claim(baseline):
    assert compare(sweep(2, 4), baseline) is None and compare(sweep(5, 1), baseline) is None
    same = compare(np.ones((5, 3)), baseline)
    assert not same.significant.any() and np.nanmin(same.p) > 0.9
    assert not compare(np.array([[0.5, 0.55]] * 3), baseline).significant.any()  # one step, three times
    found = compare(np.array([[0.5, 0.55]] * 10), baseline)
    assert found.significant[1] and found.p[1] > 0


def test_equal_settings_are_told_apart_once_in_twenty():
    wrong = np.mean([compare(sweep(5, 8, k)).significant.any() for k in range(1000)])
    assert 0.03 < wrong < 0.07


def test_more_candidates_widen_the_interval():
    table = sweep(5, 3, 2)
    few, many = compare(table), compare(table, candidates=40)
    other = 1 if few.reference != 1 else 2
    assert many.high[other] - many.low[other] > 1.2 * (few.high[other] - few.low[other])
    assert many.p[other] > few.p[other]


def test_more_noise_or_a_smaller_gap_need_more_seeds():
    found = compare(sweep(10, 5, worse=1.0))
    few, many = (seeds_needed(found.typical_noise, gap, found) for gap in (2.0, 0.5))
    assert 3 <= few < many
    assert seeds_needed(2 * found.typical_noise, 2.0, found) > few
    assert seeds_needed(found.typical_noise, 1e-9, found) is None


@pytest.mark.parametrize("baseline", [None, 0])
def test_the_gap_that_is_detected_needs_as_many_seeds(baseline):
    found = compare(sweep(10, 5, worse=1.0), baseline)
    gap = detectable_gap(found.typical_noise, 10, found)
    assert seeds_needed(found.typical_noise, 1.0001 * gap, found) == 10
    assert seeds_needed(found.typical_noise, 0.9999 * gap, found) == 11


@pytest.mark.parametrize("baseline", [None, 0])
def test_a_higher_level_widens_intervals_and_claims_less(baseline):
    narrow, wide = (
        [compare(sweep(10, 5, k, worse=1.5), baseline, level=level) for k in range(20)]
        for level in (0.95, 0.97)
    )
    for few, many in zip(narrow, wide):
        widths = [np.nanmedian(found.high - found.low) for found in (few, many)]
        assert 1.02 < widths[1] / widths[0] < 1.25
        assert (few.significant >= many.significant).all()
        outside = (many.low > 0) | (many.high < 0)
        assert (many.significant | ~outside).all()
    assert sum(f.significant.sum() for f in narrow) > sum(f.significant.sum() for f in wide)


def test_the_seeds_that_are_advised_suffice_in_three_of_four_sweeps():
    """At a gap of 1.5 standard deviations of a paired difference."""
    found = compare(sweep(200, 5))
    noise = math.sqrt(2.0)
    seeds = seeds_needed(noise, 1.5 * noise, found)
    random = np.random.default_rng(3)
    gap = 1.5 * noise * (np.arange(5) > 0)
    claimed = [compare(random.standard_normal((seeds, 5)) + gap).significant[1] for _ in range(300)]
    assert 0.65 < np.mean(claimed) < 0.92


def test_critical_values_are_reproducible():
    """The simulation has a fixed seed: the same table has the same answer everywhere."""
    assert critical_value(10, 5, False) == pytest.approx(3.3929, abs=1e-4)
    assert critical_value(2, 10, True) == pytest.approx(2.262, abs=1e-3)  # Student's t, 9 degrees, 97.5 %


def aligned(values, failed=None):
    values = np.asarray(values, float)
    found = align(values, np.zeros(values.shape, bool) if failed is None else failed)
    return found.settings.tolist(), found.combinations.tolist(), int(found.seeds.sum())


def test_a_failed_run_sets_its_setting_aside():
    values, failed = np.ones((4, 1, 10)), np.zeros((4, 1, 10), bool)
    values[3, 0, 2], failed[3, 0, 2] = np.nan, True
    assert aligned(values, failed) == ([True, True, True, False], [True], 10)


def test_a_missing_run_costs_a_seed_and_a_setting_that_just_started_costs_none():
    values = np.ones((4, 1, 10))
    values[3, 0, 2] = np.nan
    assert aligned(values) == ([True] * 4, [True], 9)
    values[3, 0, 1:] = np.nan
    assert aligned(values) == ([True, True, True, False], [True], 10)


def test_a_hole_in_the_grid_leaves_its_combination_out():
    values = np.ones((2, 3, 5))
    values[0, 1] = np.nan
    assert aligned(values) == ([True, True], [True, False, True], 5)
    assert aligned(np.full((2, 2, 3), np.nan))[2] == 0
