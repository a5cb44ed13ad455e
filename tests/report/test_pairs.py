"""All pairs of settings, the heat map of two keys, and the files for papers."""

import io
import json

import pytest

np = pytest.importorskip("numpy")
pandas = pytest.importorskip("pandas", reason="needs microgpt-lab[report]")
pytest.importorskip("scipy.stats", reason="needs microgpt-lab[report]")
pytest.importorskip("matplotlib", reason="needs microgpt-lab[report]")

from test_analysis import frame, runs  # noqa: E402

from microgpt_lab import UserError  # noqa: E402
from microgpt_lab.report.analysis import Question, analyse  # noqa: E402
from microgpt_lab.report.comparison import SIMULATED, compare  # noqa: E402
from microgpt_lab.report.export import escape, export_csv, export_latex  # noqa: E402
from microgpt_lab.report.figures.heatmap import draw_heatmap, strengths  # noqa: E402
from microgpt_lab.report.pages import write  # noqa: E402
from microgpt_lab.report.pairs import compare_pairs, largest_pairs  # noqa: E402
from microgpt_lab.report.pictures import pictures  # noqa: E402

# Four seeds of three settings. Gaps of the second to the first: 0.5, 0.25, 0.75, 0.5.
TABLE = np.array([[1.0, 1.5, 1.25], [2.0, 2.25, 2.5], [3.0, 3.75, 3.0], [4.0, 4.5, 4.25]])


def test_gaps_of_pairs_by_hand():
    """The upper 75 % limit of a standard deviation over four seeds is √(3 / 1.2125) times it."""
    found = compare_pairs(TABLE)
    assert found.gap.tolist() == [[0, -0.5, -0.25], [0.5, 0, 0.25], [0.25, -0.25, 0]]
    own = np.std(TABLE - np.median(TABLE, 1, keepdims=True), 0, ddof=1)
    critical = max(np.quantile(largest_pairs(n, 4), 0.95) for n in ((1.0,) * 3, tuple(own / own.max())))
    noise = np.std(TABLE[:, 1] - TABLE[:, 0], ddof=1)
    width = critical * noise * np.sqrt(3 / 1.2125329) / 2
    assert (found.low[1, 0], found.high[1, 0]) == pytest.approx((0.5 - width, 0.5 + width))
    assert (found.low[0, 1], found.high[0, 1]) == pytest.approx((-0.5 - width, -0.5 + width))
    assert found.significant[1, 0] == (width < 0.5) and not found.significant.diagonal().any()


def test_two_settings_are_one_pair_and_the_interval_is_about_students():
    table = np.random.default_rng(0).standard_normal((10, 2))
    pair, best = compare_pairs(table), compare(table)
    other = 1 - best.reference
    assert pair.high[other, best.reference] == pytest.approx(best.high[other], rel=0.02)
    half = pair.high[1, 0] - pair.gap[1, 0]
    assert half == pytest.approx(2.262 * np.std(table[:, 1] - table[:, 0], ddof=1) / 10**0.5, rel=0.03)


@pytest.mark.parametrize("noise", [(1.0,) * 6, (1,) * 8 + (10,) * 4], ids=["equal", "unequal"])
def test_when_all_are_equal_one_report_in_twenty_claims_a_gap(noise, monkeypatch):
    monkeypatch.setattr("microgpt_lab.report.pairs.SIMULATED", 1000)
    largest_pairs.cache_clear()
    rng = np.random.default_rng(1)
    false = [
        compare_pairs(rng.standard_normal((3, len(noise))) * noise).significant.any() for _ in range(160)
    ]
    largest_pairs.cache_clear()
    assert np.mean(false) < 0.11  # a standard error of 1.7 %


def test_more_pairs_need_wider_intervals():
    critical = [np.quantile(largest_pairs((1.0,) * n, 5), 0.95) for n in (2, 3, 6)]
    assert critical[0] < critical[1] < critical[2] and len(largest_pairs((1.0,) * 2, 5)) == SIMULATED


@pytest.mark.slow
def test_settings_chosen_from_more_candidates_need_wider_intervals():
    few, more = compare_pairs(TABLE), compare_pairs(TABLE, candidates=12)
    assert more.gap.tolist() == few.gap.tolist() and (more.high - few.high)[np.triu_indices(3, 1)].min() > 0
    rows = [
        {"optimizer": name, "lr": rate, "seed": seed, "loss/val": 2 + seed / 9 + rate * seed / 99}
        for name, rates in (("adam", range(60)), ("sgd", (1,)))
        for rate in rates
        for seed in range(4)
    ]
    table = frame(rows, ["optimizer", "lr", "seed"])
    with pytest.raises(UserError, match="--pairs compares at most 60 candidates of --best, not 61"):
        pictures(analyse(table, Question(best="lr", pairs=True), None), table)


def test_without_noise_nothing_is_claimed_and_with_too_few_seeds_nothing_is_compared():
    assert compare_pairs(TABLE[:2]) is None and compare_pairs(TABLE[:, :1]) is None
    equal = compare_pairs(np.ones((3, 3)))
    assert not equal.significant.any() and (equal.p == 1).all() and (equal.high == 0).all()


def test_a_report_has_every_pair_once(tmp_path):
    table = frame(runs({"a": 2.0, "b": 2.5, "c": 2.502}, noise=0.01), ["activation", "seed"])
    write(analyse(table, Question(pairs=True), tmp_path), table, tmp_path)
    pairs = json.loads((tmp_path / "report.json").read_text())["pairs"]
    names = [(pair["setting"]["activation"], pair["against"]["activation"]) for pair in pairs]
    assert {frozenset(name) for name in names} == {frozenset(x) for x in ("ab", "ac", "bc")}
    assert all(pair["gap"] >= 0 for pair in pairs), "the worse setting is the row"
    assert sum(pair["significant"] for pair in pairs) == 2
    assert "(report-pairs.svg)" in (tmp_path / "report.md").read_text()


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("means", "seeds", "message"),
    [
        ({"a": 2.0, "b": 2.5}, 2, "--pairs needs at least 2 settings and 3 seeds, not 2 and 2"),
        (
            {str(i): 2.0 for i in range(61)},
            3,
            "--pairs compares at most 60 settings, not 61: name fewer keys",
        ),
    ],
)
def test_pairs_that_cannot_be_compared_are_refused(means, seeds, message, tmp_path):
    table = frame(runs(means, seeds=range(seeds), noise=0.01), ["activation", "seed"])
    with pytest.raises(UserError, match=message):
        write(analyse(table, Question(pairs=True), tmp_path), table, tmp_path)
    assert not list(tmp_path.iterdir())


def grid(rates=(0.1, 0.01, 1.0), widths=(8, 16, 32), seeds=3):
    rng = np.random.default_rng(0)
    return frame(
        [
            {
                "lr": lr,
                "embed": n,
                "seed": s,
                "loss/val": abs(np.log10(lr) + 1) + n / 99 + rng.normal(0, 1e-3),
            }
            for lr in rates
            for n in widths
            for s in range(seeds)
        ],
        ["lr", "embed", "seed"],
    )


def drawn(table, **question):
    return draw_heatmap(analyse(table, Question(**question), None))


def test_two_keys_with_three_numbers_each_have_a_heat_map():
    svg = drawn(grid())
    positions = [svg.index(f">{value}<") for value in ("8", "16", "32")]
    assert positions == sorted(positions), "in ascending order"
    assert svg.count("font-weight: 700") == 1, "the best is bold"
    assert not drawn(grid(widths=(8, 16))) and not drawn(grid(), by="lr")
    texts = grid()
    texts["embed"] = texts["embed"].astype(str)
    assert not drawn(texts) and drawn(texts, by="lr,embed"), "texts have no order unless they are asked for"


def test_a_cell_with_failed_runs_is_hatched_and_an_unfinished_one_has_a_dash():
    table = grid()
    table.loc[(table["lr"] == 1.0) & (table["embed"] == 8) & (table["seed"] == 0), "status"] = "diverged"
    svg = drawn(table)
    assert svg.count("<pattern") == 1 and ">–<" not in svg
    table = grid()
    gone = (table["lr"] == 1.0) & (table["embed"] == 8) & (table["seed"] > 0)
    table.loc[gone, "status"] = "unfinished"
    assert "<pattern" not in drawn(table) and ">–<" in drawn(table)


def test_a_deeper_colour_is_better():
    found = analyse(grid(), Question(), None)
    depths = [strengths(found)[row.index] for row in found.rows]
    assert depths == sorted(depths, reverse=True) and depths[0] == pytest.approx(0.6)


def test_csv_has_a_row_per_run_and_survives_pandas(tmp_path):
    table = frame(runs({"a,b": 2.0, 'quote"': 2.5}, noise=0.01), ["activation", "seed"])
    table.index.name = "run"
    back = pandas.read_csv(io.StringIO(export_csv(table, tmp_path).read_text()), index_col="run")
    assert list(back) == ["activation", "seed", "status", "loss/val"]
    assert back["loss/val"].tolist() == table["loss/val"].tolist()
    assert back["activation"].tolist() == table["activation"].tolist() and list(back.index) == list(
        table.index
    )


def test_latex_has_a_row_per_setting_and_escapes_its_characters(tmp_path):
    table = frame(runs({r"100%_\$&#{}~^": 2.0, "b": 2.5}, noise=0.01), ["init_from", "seed"])
    table["init_from"] = [row["activation"] for row in runs({r"100%_\$&#{}~^": 2.0, "b": 2.5})]
    text = export_latex(analyse(table, Question(), None), tmp_path).read_text()
    assert r"100\%\_\textbackslash{}\$\&\#\{\}\textasciitilde{}\textasciicircum{} & $" in text
    assert r"init\_from & loss/val & sd" in text and text.count(r"\\") == 3
    cells = [line.count(" & ") for line in text.splitlines() if line.endswith(r"\\")]
    assert set(cells) == {6} and text.count("{") == text.count("}") + text.count(r"\{") - text.count(r"\}")
    assert r"$\mathbf{0." in text, "a claimed gap is bold"


def test_latex_escapes_every_special_character_once():
    assert escape("a_b") == r"a\_b" and escape("\\{") == r"\textbackslash{}\{"
    assert escape("[1, 2]") == "{[}1, 2]" and escape("*") == "{*}"  # no option of the row above
    assert escape("loss/val, lr=0.1") == "loss/val, lr=0.1"
