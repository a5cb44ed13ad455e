"""load_sweep: the swept keys, the fixed keys, and the results of each run."""

import json

import pytest
import yaml

from microgpt_lab import UserError, load_sweep
from microgpt_lab.options.older import NEW
from microgpt_lab.options.overrides import flatten, parse_value
from microgpt_lab.sweeps.table import LAST_STEPS, curve, mean_of_last_steps

# Keys of environment.json that are not part of an environment in attrs.
DETAILS = {"documents": 3, "documents_long": 0, "documents_sha256": "a" * 64, "parts": {}, "core": "b" * 64}


def write(folder, overrides=(), config=None, environment=None, summary=None):
    """Write the given files of a run."""
    folder.mkdir(parents=True)
    (folder / "overrides.yaml").write_text(yaml.safe_dump(list(overrides)))
    if config is not None:
        (folder / "config.yaml").write_text(yaml.safe_dump(config))
    if environment is not None:
        (folder / "environment.json").write_text(json.dumps(environment))
    if summary is not None:
        (folder / "summary.json").write_text(json.dumps(summary))


def config(activation="relu", seed=42, **more):
    options = {"gelu": {"approximate": "none"}}.get(activation, {})
    rest = NEW | {"layers": 1, "block_size": 8, "optimizer": {"name": "adam", "lr": 0.01}} | more
    return {"activation": {"name": activation} | options, "seed": seed} | rest


@pytest.fixture
def sweep(tmp_path):
    """Two activations, two seeds."""
    pytest.importorskip("pandas", reason="needs microgpt-lab[report]")
    for i, (seed, activation) in enumerate([(0, "relu"), (0, "gelu"), (1, "relu"), (1, "gelu")]):
        write(
            tmp_path / f"run{i}",
            [f"seed={seed}", f"activation={activation}", "layers=1"],
            config(activation, seed),
            {"python": "3.11" if i < 3 else "3.12"} | DETAILS,
            {"status": "ok", "loss/val": 2.0 + i, "steps": 9, "samples": ["anna"], "label": "a\x1bb"},
        )
    return tmp_path


def test_a_row_per_run_and_a_column_per_metric(sweep):
    frame = load_sweep(sweep)
    assert list(frame.index) == ["run0", "run1", "run2", "run3"] and frame.index.name == "run"
    assert list(frame["loss/val"]) == [2.0, 3.0, 4.0, 5.0]
    assert list(frame["status"]) == ["ok"] * 4 and list(frame["steps"]) == [9] * 4
    assert list(frame["activation"]) == ["relu", "gelu"] * 2 and list(frame["seed"]) == [0, 0, 1, 1]
    assert "samples" not in frame and "optimizer.lr" not in frame
    assert load_sweep(str(sweep)).equals(frame)


def test_keys_that_differ_are_swept_seed_last_and_the_rest_is_fixed(sweep):
    """An option that only one activation has is neither swept nor fixed."""
    attrs = load_sweep(sweep).attrs
    assert attrs["swept"] == ["activation", "seed"]
    assert attrs["fixed"] == NEW | {
        "layers": 1,
        "block_size": 8,
        "optimizer": "adam",
        "optimizer.lr": 0.01,
    }


def test_a_key_that_differs_without_an_override_is_swept(sweep):
    """A search set it, or a default changed between the runs."""
    write(sweep / "run4", ["seed=0", "activation=relu"], config(seed=0, block_size=9), {}, {"status": "ok"})
    write(sweep / "a killed one", ["seed=1", "activation=relu", "layers=1"])
    attrs = load_sweep(sweep).attrs
    assert attrs["swept"] == ["activation", "block_size", "seed"]
    assert attrs["fixed"] == NEW | {"layers": 1, "optimizer": "adam", "optimizer.lr": 0.01}


def test_swept_keys_are_in_the_order_of_the_overrides(tmp_path):
    pytest.importorskip("pandas", reason="needs microgpt-lab[report]")
    for i in range(2):
        overrides = [f"+layers={i + 1}", f"seed={i}", f"dataset.letters=a={i}", f"activation=gelu{i}"]
        write(tmp_path / f"run{i}", overrides)
    frame = load_sweep(tmp_path)
    assert frame.attrs["swept"] == ["layers", "dataset.letters", "activation", "seed"]
    assert list(frame["dataset.letters"]) == ["a=0", "a=1"]


def test_options_that_differ_because_the_parts_do_are_neither_swept_nor_fixed(tmp_path):
    pytest.importorskip("pandas", reason="needs microgpt-lab[report]")
    for name, rate in (("adam", 0.01), ("sgd", 0.1)):
        parts = {"optimizer": {"name": name, "lr": rate}}
        write(tmp_path / name, [f"optimizer={name}"], config(**parts), {}, {"status": "ok"})
    attrs = load_sweep(tmp_path).attrs
    assert attrs["swept"] == ["optimizer"]
    assert attrs["fixed"] == NEW | {"activation": "relu", "seed": 42, "layers": 1, "block_size": 8}


def test_options_of_a_fixed_part_can_be_swept(tmp_path):
    pytest.importorskip("pandas", reason="needs microgpt-lab[report]")
    for i, rate in enumerate((0.1, 0.2)):
        parts = {"optimizer": {"name": "adam", "lr": rate}}
        write(tmp_path / f"run{i}", [f"optimizer.lr={rate}"], config(**parts), {}, {"status": "ok"})
    frame = load_sweep(tmp_path)
    assert frame.attrs["swept"] == ["optimizer.lr"] and list(frame["optimizer.lr"]) == [0.1, 0.2]
    assert frame.attrs["fixed"] == {
        "activation": "relu",
        "seed": 42,
        **NEW,
        "layers": 1,
        "block_size": 8,
        "optimizer": "adam",
    }
    parts = {"optimizer": {"name": "adam", "lr": 0.1, "beta1": 0.9}}
    write(tmp_path / "run2", ["optimizer.lr=0.1"], config(**parts), {}, {"status": "ok"})
    attrs = load_sweep(tmp_path).attrs
    assert attrs["swept"] == ["optimizer.lr"] and "optimizer.beta1" not in attrs["fixed"]


def test_options_that_only_some_callbacks_have_are_not_swept(tmp_path):
    pytest.importorskip("pandas", reason="needs microgpt-lab[report]")
    samples = {"samples": {"name": "samples", "number": 5}}
    write(tmp_path / "run0", ["callback=[samples]"], config(callback=samples), {}, {"status": "ok"})
    attrs = load_sweep(tmp_path).attrs
    assert attrs["swept"] == [] and attrs["fixed"]["callback.samples.number"] == 5
    write(tmp_path / "run1", ["callback=[]"], config(callback={}), {}, {"status": "ok"})
    assert load_sweep(tmp_path).attrs["swept"] == ["callback"]
    more = {"samples": {"name": "samples", "number": 6}}
    write(tmp_path / "run2", ["callback=[samples,console]"], config(callback=more), {}, {"status": "ok"})
    (tmp_path / "run1" / "config.yaml").write_text(yaml.safe_dump(config(callback=samples)))
    assert load_sweep(tmp_path).attrs["swept"] == ["callback"]
    for name in ("run0", "run1", "run2"):
        (tmp_path / name / "overrides.yaml").write_text("[]")
    (tmp_path / "run2" / "config.yaml").write_text(yaml.safe_dump(config(callback={})))
    assert load_sweep(tmp_path).attrs["swept"] == []


def test_each_environment_is_listed_once_without_details(sweep):
    write(sweep / "run4", ["seed=0"], config(seed=0), None, {"status": "ok"})
    environments = load_sweep(sweep).attrs["environments"]
    assert [environment["python"] for environment in environments] == ["3.11", "3.12"]
    assert not set(DETAILS) & environments[0].keys()
    write(sweep / "run5", ["seed=0"], config(seed=0), {"git_commit": "b", "python": "3.12"}, {"status": "ok"})
    write(sweep / "run6", ["seed=0"], config(seed=0), {"python": "3.12", "git_commit": "b"}, {"status": "ok"})
    assert len(load_sweep(sweep).attrs["environments"]) == 3  # whatever the order of their keys


def test_a_killed_run_is_a_row_with_its_overrides(sweep):
    """It has no summary, and perhaps no configuration: fixed keys come from the other runs."""
    write(sweep / "run4", ["+seed=2", "activation=silu", "layers=1"])
    frame = load_sweep(sweep)
    assert frame.loc["run4", "status"] == "unfinished" and frame.loc["run4", "seed"] == 2
    assert frame.loc["run4", "activation"] == "silu" and frame.isna().loc["run4", "loss/val"]
    assert frame.attrs["fixed"]["layers"] == 1 and len(frame.attrs["environments"]) == 2
    assert frame.attrs["swept"] == ["activation", "seed"]
    write(sweep / "a first one", ["seed=0", "activation=relu", "layers=2"])
    attrs = load_sweep(sweep).attrs
    assert attrs["swept"] == ["activation", "layers", "seed"]
    assert attrs["fixed"] == NEW | {"block_size": 8, "optimizer": "adam", "optimizer.lr": 0.01}


def test_empty_files_are_ignored(sweep):
    write(sweep / "run4")
    for name in ("overrides", "config"):
        (sweep / "run4" / f"{name}.yaml").write_text("")
    assert load_sweep(sweep).loc["run4", "status"] == "unfinished"


def test_a_sweep_in_which_no_run_has_a_configuration(tmp_path):
    pytest.importorskip("pandas", reason="needs microgpt-lab[report]")
    for layers in (1, 2):
        write(tmp_path / f"run{layers}", [f"layers={layers}"])
    frame = load_sweep(tmp_path)
    assert frame.attrs == {
        "swept": ["layers"],
        "changed": set(),
        "fixed": {},
        "environments": [],
        "sources": {},
    }
    assert list(frame["layers"]) == [1, 2]


def test_texts_from_files_have_no_control_characters(sweep):
    assert list(load_sweep(sweep)["label"]) == ["a\\x1bb"] * 4
    write(sweep / "run4", ["activation=relu"], config("re\x1blu"), {}, {"status": "ok"})
    assert load_sweep(sweep).loc["run4", "activation"] == "re\\x1blu"


def test_a_folder_without_runs_is_an_error(tmp_path):
    pytest.importorskip("pandas", reason="needs microgpt-lab[report]")
    with pytest.raises(UserError, match=r"contains no runs of a sweep$"):
        load_sweep(tmp_path)
    write(tmp_path / "run", [], config(), {}, {"status": "ok"})
    with pytest.raises(UserError, match=r"run contains no runs of a sweep, because it is a run itself$"):
        load_sweep(tmp_path / "run")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1), ("0.5", 0.5), ("true", True), ("null", None), ("relu", "relu"),
        ("[1,2]", "[1,2]"), ("{a: 1}", "{a: 1}"), ("'", "'"), ("'1'", "1"), ("2020-01-01", "2020-01-01"),
    ],
)  # fmt: skip
def test_values_of_overrides_are_parsed(text, value):
    assert parse_value(text) == value and type(parse_value(text)) is type(value)


def test_keys_are_written_as_in_overrides():
    nested = {
        "activation": {"name": "gelu", "approximate": "tanh"},
        "callback": {"samples": {"name": "samples", "number": 5}},
        "layers": 2,
        "name": "a run",
    }
    assert dict(flatten(nested)) == {
        "activation": "gelu",
        "activation.approximate": "tanh",
        "callback.samples.name": "samples",
        "callback.samples.number": 5,
        "layers": 2,
        "name": "a run",
    }


def test_a_curve_ends_before_a_truncated_line(tmp_path):
    rows = [{"step": 1, "loss/train": 3.5}, {"step": 2, "loss/train": 3.25, "loss/val": 3.0}]
    text = (
        "".join(json.dumps(row) + "\n" for row in rows) + '{"loss/train": 9.0}\n{"step": 3, "loss/train": 1'
    )
    (tmp_path / "metrics.jsonl").write_text(text)
    assert curve(tmp_path, "loss/train") == {1: 3.5, 2: 3.25}
    assert curve(tmp_path, "loss/val") == {2: 3.0}
    assert curve(tmp_path, "loss") == curve(tmp_path / "nowhere", "loss/train") == {}


def test_a_metric_per_step_is_the_mean_of_its_last_hundred_values(tmp_path):
    (tmp_path / "metrics.jsonl").write_text(
        "".join(json.dumps({"step": i, "x": float(i)}) + "\n" for i in range(1, 151))
    )
    assert LAST_STEPS == 100
    assert mean_of_last_steps(tmp_path, "x") == sum(range(51, 151)) / 100
    assert mean_of_last_steps(tmp_path, "y") is None


def test_integers_stay_integers_if_a_run_lacks_the_key(tmp_path):
    for i, overrides in enumerate((["layers=1", "seed=0"], ["layers=2", "seed=0"], ["seed=1"])):
        write(tmp_path / f"run{i}", overrides, summary={"status": "ok", "loss/val": 2.0})
    frame = load_sweep(tmp_path)
    assert [repr(value) for value in frame["layers"]] == ["1", "2", "None"]
    assert frame["seed"].tolist() == [0, 0, 1] and frame["seed"].dtype == "int64"


def test_the_number_of_steps_is_a_key_and_a_result(tmp_path):
    for steps in (100, 200):
        write(tmp_path / f"run{steps}", [f"steps={steps}"], summary={"status": "ok", "steps": steps})
    assert load_sweep(tmp_path).attrs["swept"] == ["steps"]


def test_an_override_named_like_a_metric_does_not_replace_it(tmp_path):
    for i in range(2):
        write(tmp_path / f"run{i}", [f"loss/val={i}", f"seed={i}"], summary={"status": "ok", "loss/val": 2.5})
    frame = load_sweep(tmp_path)
    assert frame.attrs["swept"] == ["seed"] and frame["loss/val"].tolist() == [2.5, 2.5]


def test_environments_that_differ_only_in_key_order_are_equal(tmp_path):
    for i, environment in enumerate(({"python": "3.11", "cores": 2}, {"cores": 2, "python": "3.11"})):
        write(tmp_path / f"run{i}", [f"seed={i}"], environment=environment, summary={"status": "ok"})
    (environment,) = load_sweep(tmp_path).attrs["environments"]
    assert environment["platform"] == "" and environment["cores"] == 2


def test_a_damaged_run_does_not_make_a_key_swept(tmp_path):
    for i in range(2):
        write(tmp_path / f"run{i}", ["layers=1", f"seed={i}"], summary={"status": "ok"})
    (tmp_path / "run2").mkdir()
    (tmp_path / "run2" / "overrides.yaml").write_text("{")
    assert load_sweep(tmp_path).attrs["swept"] == ["seed"]


def test_a_number_too_large_to_square_is_dropped_and_a_list_is_a_string(tmp_path):
    for i in range(2):
        more = config(seed=i, mine=[i])
        write(
            tmp_path / f"run{i}", [f"seed={i}", f"+mine=[{i}]"], more, summary={"status": "ok", "odd": 1e200}
        )
    frame = load_sweep(tmp_path)
    assert "odd" not in frame and frame["mine"].tolist() == ["[0]", "[1]"]
