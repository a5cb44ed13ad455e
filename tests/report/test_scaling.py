"""A metric over a quantity: the lines of a sweep, and power laws with intervals that hold."""

import json

import pytest

np = pytest.importorskip("numpy")
pytest.importorskip("pandas", reason="needs microgpt-lab[report]")
pytest.importorskip("scipy.stats", reason="needs microgpt-lab[report]")
pytest.importorskip("matplotlib", reason="needs microgpt-lab[report]")

from test_analysis import frame  # noqa: E402

from microgpt_lab import UserError  # noqa: E402
from microgpt_lab.report.analysis import Question, analyse  # noqa: E402
from microgpt_lab.report.figures.scaling import draw_scaling, line_name  # noqa: E402
from microgpt_lab.report.pages import write  # noqa: E402
from microgpt_lab.report.powerlaw import Law, fit, jackknife  # noqa: E402
from microgpt_lab.report.scaling import Line, scaling  # noqa: E402
from microgpt_lab.sweeps.table import load_sweep  # noqa: E402

X = np.geomspace(1000, 100_000, 8)


def table(law, noise, seeds=5, x=X, seed=0):
    """Losses (seeds, points) that follow a law, half of their noise shared by the points of a seed."""
    rng = np.random.default_rng(seed)
    shared, own = rng.standard_normal((seeds, 1)), rng.standard_normal((seeds, len(x)))
    return law(x) + noise * (shared + own) / 2**0.5


@pytest.mark.parametrize("exponent", [0.1, 0.5, 1.5])
@pytest.mark.parametrize("floor", [0.5, 1.9])
def test_a_fit_without_noise_recovers_the_law(exponent, floor):
    law = Law(exponent, (0, 0), 0.6 * 1000**exponent, floor)
    found = fit(X, table(law, 0.0, seeds=3))
    assert found.exponent == pytest.approx(exponent, rel=1e-3) and found.floor == pytest.approx(
        floor, abs=2e-3
    )
    assert found(X) == pytest.approx(law(X), abs=1e-4)


def test_a_metric_that_rises_to_a_limit_has_a_negative_scale():
    law = Law(0.5, (0, 0), -0.8 * 1000**0.5, 0.95)
    found = fit(X, table(law, 1e-4))
    assert found.exponent == pytest.approx(0.5, abs=0.02) and found.floor == pytest.approx(0.95, abs=0.01)


def test_the_interval_of_the_exponent_contains_the_true_one_in_19_of_20_sweeps():
    law = Law(0.5, (0, 0), 0.6 * 1000**0.5, 1.9)
    found = [fit(X, table(law, 0.01, seed=seed)) for seed in range(200)]
    covered = np.mean([low <= 0.5 <= high for low, high in (each.interval for each in found)])
    floors = np.mean([low <= 1.9 <= high for low, high in (each.floor_interval for each in found)])
    assert 0.9 <= covered <= 0.99 and 0.9 <= floors <= 0.99  # a standard error of 1.5 %


def test_the_jackknife_of_a_mean_is_students_interval():
    values = np.array([[1.0], [2.0], [4.0]])
    low, high = jackknife(lambda y: y[0], values)
    half = 4.302653 * np.sqrt(7 / 3 / 3)
    assert (low, high) == pytest.approx((7 / 3 - half, 7 / 3 + half))


def test_a_law_without_a_limit_where_the_points_do_not_determine_one():
    straight = Law(0.1, (0, 0), 5.0)
    found = fit(X, table(straight, 0.003))
    assert found.floor == 0 and found.interval[0] <= 0.1 <= found.interval[1]
    noisy = fit(X[:5], table(Law(0.1, (0, 0), 3.0, 1.0), 0.05, x=X[:5]))
    assert noisy.floor_interval is None and noisy.interval[0] < noisy.exponent < noisy.interval[1]


@pytest.mark.parametrize(
    ("x", "losses", "why"),
    [
        (X[:4], np.ones((5, 4)), "4 points: a power law is fitted to 5 or more"),
        (X, np.ones((1, 8)), "no power law with 1 seed: 3 are needed"),
        (np.arange(8), np.ones((3, 8)), "no power law, because x is not above 0 everywhere"),
        (X, table(Law(1.0, (0, 0), 0.0, 2.0), 0.01), "flat: no trend that these seeds could tell from 0"),
        (X, table(lambda x: (np.log(x / 5000)) ** 2, 0.01), "no power law: the points do not follow one"),
    ],
)
def test_there_may_be_no_law(x, losses, why):
    assert fit(x, losses) == why


def sweep(seeds=5, noise=0.01, **more):
    """Two activations at five widths; the number of parameters and of FLOPs depends on the width alone."""
    rng = np.random.default_rng(0)
    rows = []
    for activation, scale in (("relu", 3.0), ("gelu", 2.5)):
        for embed in (8, 12, 16, 24, 48):
            for seed in range(seeds):
                loss = 2.0 + scale / embed + noise * rng.standard_normal()
                row = {"activation": activation, "embed": embed, "seed": seed, "loss/val": loss}
                rows.append(row | {"parameters": 16 * embed**2, "steps": 100} | more)
    return frame(rows, ["activation", "embed", "seed"])


def found_in(runs, **question):
    return scaling(analyse(runs, Question(**question), None), runs)


def test_a_key_that_changes_x_is_along_the_line_and_others_have_a_line_for_each_value():
    found = found_in(sweep(), x="parameters")
    assert found.along == ["embed"] and [line.keys["activation"] for line in found.lines] == ["relu", "gelu"]
    assert found.lines[0].x.tolist() == [16 * n**2 for n in (8, 12, 16, 24, 48)]
    runs = sweep()
    chosen = runs[(runs["activation"] == "gelu") & (runs["embed"] == 8)]
    assert found.lines[1].mean[0] == pytest.approx(chosen["loss/val"].mean())
    assert found.lines[1].half_width[0] == pytest.approx(2.776445 * chosen["loss/val"].std() / 5**0.5)
    assert found.lines[0].law.exponent == pytest.approx(0.5, abs=0.1)


def test_the_keys_of_the_lines_can_be_named():
    found = found_in(sweep(), x="parameters", by="embed")
    assert found.along == [] and [line.keys["embed"] for line in found.lines] == [8, 12, 16, 24, 48]
    (by_activation, other) = found_in(sweep(), x="embed", by="activation").lines
    assert by_activation.keys == {"activation": "relu"} and other.x.tolist() == [8, 12, 16, 24, 48]


def test_only_compared_runs_have_points():
    runs = sweep()
    runs.loc[(runs["embed"] == 12) & (runs["activation"] == "relu") & (runs["seed"] == 1), "status"] = (
        "diverged"
    )
    relu, gelu = found_in(runs, x="embed").lines
    assert relu.x.tolist() == [8, 16, 24, 48] and len(gelu.x) == 5
    assert relu.law.startswith("4 points")


def changes(folder, sizes):
    """Load a sweep of changes `layers=… embed=…` with 3 seeds each, from the files that are needed."""
    rng = np.random.default_rng(0)
    names = [f"layers={layers} embed={embed}" for layers, embed in sizes]
    folder.mkdir()
    text = json.dumps({"hydra": {"sweeper": {"changes": names}}})
    (folder / "multirun.yaml").write_text(text)  # JSON is YAML, too
    for number, name in enumerate(names):
        config = {key: int(x) for key, x in (override.split("=") for override in name.split())}
        for seed in range(3):
            run = folder / f"{number},seed={seed}"
            run.mkdir()
            loss = 2 + 3 / config["embed"] + 0.001 * rng.standard_normal()
            files = {
                "overrides.yaml": [*name.split(), f"seed={seed}"],
                "config.yaml": config | {"seed": seed},
                "summary.json": {"status": "ok", "loss/val": loss, "parameters": 16 * config["embed"] ** 2},
            }
            for file, content in files.items():
                (run / file).write_text(json.dumps(content))
    return load_sweep(folder)


SIZES = [(1, 8), (1, 12), (2, 16), (2, 24), (3, 48)]


@pytest.mark.parametrize("x", ["parameters", "embed"])
def test_changes_with_one_value_of_x_are_the_points_of_a_line(x, tmp_path):
    runs = changes(tmp_path / "sweep", SIZES)
    assert runs.attrs["swept"] == ["change", "seed"] and runs["layers"].tolist()[::6] == [1, 2, 3]
    found = found_in(runs, x=x)
    (line,) = found.lines
    embeds = np.array([embed for _, embed in SIZES])
    assert found.along == ["change"] and line.x.tolist() == [
        *(16 * embeds**2 if x == "parameters" else embeds)
    ]
    assert line.law.exponent == pytest.approx(0.5 if x == "parameters" else 1, rel=0.1)


def test_changes_beside_a_key_that_changes_x_have_a_line_each():
    rows = [
        {"change": change, "embed": embed, "seed": seed, "loss/val": 2 + seed / embed, "parameters": embed**2}
        for change in ("none", "bias=true")
        for embed in (8, 16, 32)
        for seed in range(3)
    ]
    found = found_in(frame(rows, ["change", "embed", "seed"]), x="parameters")
    assert found.along == ["embed"] and [line.keys["change"] for line in found.lines] == ["none", "bias=true"]


def test_a_key_of_the_changes_is_no_metric(tmp_path):
    runs = changes(tmp_path / "sweep", SIZES)
    with pytest.raises(UserError, match=r"no run has 'embed'.*choose from loss/val, parameters"):
        analyse(runs, Question(metric="embed"), tmp_path)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        ("steps", "--x steps does not vary: it is 100 in all runs"),
        ("layers", "--x layers does not vary: it is 1 in all runs"),
        ("paramters", "--x paramters is not in these runs; did you mean 'parameters'?"),
        ("seed", "--x seed is no quantity; choose from embed, loss/val, parameters"),
        ("activation", "--x activation is text; choose from embed, loss/val, parameters"),
    ],
)
def test_a_quantity_that_does_not_vary_is_refused_before_anything_is_written(x, message, tmp_path):
    runs = sweep()
    runs.attrs["fixed"] = {"layers": 1}
    with pytest.raises(UserError) as error:
        write(analyse(runs, Question(x=x), tmp_path), runs, tmp_path)
    assert str(error.value) == message and not list(tmp_path.iterdir())


def test_the_picture_names_exponents_and_has_digits_on_its_axes():
    svg = draw_scaling(found_in(sweep(), x="parameters"), "loss/val")
    assert "gelu: b = 0." in svg and ">10,000<" in svg and "var(--ink" in svg


def test_a_line_of_one_key_is_named_by_its_value_if_that_is_text():
    names = [line_name(Line(keys, [], [], "")) for keys in ({}, {"mlp": "glu"}, {"optimizer.lr": 0.01})]
    assert names == ["", "glu", "optimizer.lr=0.01"]


def test_the_report_has_the_law_in_all_its_files(tmp_path):
    runs = sweep()
    write(analyse(runs, Question(x="parameters"), tmp_path), runs, tmp_path)
    data = json.loads((tmp_path / "report.json").read_text())
    first = data["x"]["lines"][0]
    assert data["x"]["along"] == ["embed"] and first["law"]["exponent"] == pytest.approx(0.5, abs=0.1)
    assert any(note.startswith("relu: loss/val = ") for note in data["notes"])
    assert "(report-x.svg)" in (tmp_path / "report.md").read_text()
    assert (tmp_path / "report.html").read_text().count("<svg") == 2
    write(analyse(runs, Question(), tmp_path), runs, tmp_path)
    assert not (tmp_path / "report-x.svg").exists()  # a picture that the page no longer shows
