"""Changes: a sweep compares settings that differ in different keys."""

import json

import pytest
from test_sweeps import SHORT

from microgpt_lab.errors import UserError
from microgpt_lab.sweeps.changes import change_of, split, with_changes

CHANGES = ["none", "activation=gelu", "activation=silu mlp=glu", "mlp=glu"]
SWEEP = ("-m", *SHORT, "steps=1", "samples=0", "callback=[]", "hydra.sweep.dir=sweep")
TUNE = ("hydra.sweeper.tune=[optimizer.lr]", "hydra.sweeper.tuning_seeds=1")


def test_each_job_is_run_with_each_change():
    jobs = with_changes([["seed=1"], ["seed=2"]], ["none", "layers=2 embed=8"])
    assert jobs == [
        ["seed=1"],
        ["seed=2"],
        ["layers=2", "embed=8", "seed=1"],
        ["layers=2", "embed=8", "seed=2"],
    ]


@pytest.mark.parametrize("change", CHANGES)
def test_the_change_of_a_run_is_the_one_with_the_most_of_its_overrides(change):
    changes = split(CHANGES)
    assert change_of(["seed=1", *reversed(changes[change]), "steps=3"], changes) == change


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (["none", "gelu"], "write 'gelu' as key=value"),
        (["none", "seed=3"], "seed=3 sets a key that the sweep sets too"),
        (["activation='gelu"], "activation='gelu: No closing quotation"),
        (["layers=1,2"], "layers=1,2 has several values: write a change for each"),
        (["dataset=../data"], "dataset=../data is refused"),
        (["layers=2 layers=3"], "'layers' is set 2 times"),
        (["hydra.sweeper.until=1"], "cannot differ between jobs"),
        ([""], "write a list of quoted texts"),
        ([None], "write a list of quoted texts"),
        ("activation=gelu", "hydra.sweeper.changes=activation=gelu: write a list of quoted texts"),
        ({"activation": "gelu"}, "write a list of quoted texts"),
    ],
)
def test_changes_that_cannot_be_are_refused(changes, expected):
    with pytest.raises(UserError, match=expected):
        with_changes([["seed=1"]], changes)


@pytest.mark.thorough
def test_a_report_compares_changes(lab, tmp_path):
    pytest.importorskip("pandas", reason="needs microgpt-lab[report]")
    given = "hydra.sweeper.changes=[none,'activation=gelu','mlp=glu activation=silu']"
    lab(*SWEEP, given, "optimizer.lr=0.01,1e-9", *TUNE, "seed=range(3)", check=0)
    assert lab("report", "sweep", "--against", "change=none", check=0).stdout.startswith("change, 3 seeds")
    rows = json.loads((tmp_path / "sweep" / "report.json").read_text())["rows"]
    settings = {row["setting"]["change"]: row["setting"]["optimizer.lr"] for row in rows}
    assert settings == dict.fromkeys(("none", "activation=gelu", "mlp=glu activation=silu"), 0.01)
    refused = lab(*SWEEP, given, "activation=relu,elu", "hydra.sweep.dir=other", check=2).stderr
    assert refused == "error: hydra.sweeper.changes: activation=gelu sets a key that the sweep sets too\n"
    assert not (tmp_path / "other").exists()


@pytest.mark.thorough
def test_two_changes_that_make_the_same_setting_are_refused(lab, tmp_path):
    given = "hydra.sweeper.changes=[none,'layers=1','layers=2']"
    refused = lab(*SWEEP, given, check=2).stderr
    expected = "hydra.sweeper.changes: 'none' and 'layers=1' are the same setting: leave one out"
    assert refused == f"error: {expected}\n" and not (tmp_path / "sweep").exists()
    # They differ for some of the presets.
    given = "hydra.sweeper.changes=[none,'activation=silu']"
    assert lab(*SWEEP, given, "model=microgpt,llama", "--dry", check=0)
