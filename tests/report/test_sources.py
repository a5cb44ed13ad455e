"""A report says when it compares runs that used different versions or sources of a part, or of the lab."""

import json

import pytest
import yaml

pytest.importorskip("pandas", reason="needs microgpt-lab[report]")
pytest.importorskip("scipy.stats", reason="needs microgpt-lab[report]")

from microgpt_lab import load_sweep
from microgpt_lab.commands import main
from microgpt_lab.report.analysis import Question, analyse
from microgpt_lab.run.folder import Stored
from microgpt_lab.run.sources import differing, names, sources

OURS, CORE = {"provider": "microgpt_lab_plugins.norms.rmsnorm", "sha256": "a" * 64}, "c" * 64


def package(version, sha256="b" * 64):
    return {
        "provider": "swish (swish-beta)",
        "distribution": "swish-beta",
        "version": version,
        "sha256": sha256,
    }


def file(sha256, **more):
    return {"provider": "microgpt_lab_user1.swish", "sha256": sha256 * 64} | more


def sweep(folder, swish, norm=(OURS,), core=(CORE,), callbacks=({},), failed=()):
    """Runs of swish and relu with five seeds. The last source of a list is that of all further runs."""

    def of(values, i):
        return values[min(i, len(values) - 1)]

    for name in ("swish", "relu"):
        for seed in range(5):
            run = folder / f"{name}{seed}"
            run.mkdir(parents=True)
            (run / "overrides.yaml").write_text(yaml.safe_dump([f"activation={name}", f"seed={seed}"]))
            activation = of(swish, seed) if name == "swish" else OURS
            environment = {
                "python": "3.11",
                "parts": {"activation": activation, "norm": of(norm, seed)},
                "callbacks": of(callbacks, seed),
                "core": of(core, seed),
            }
            (run / "environment.json").write_text(json.dumps(environment))
            config = {"activation": {"name": name}, "norm": {"name": "rmsnorm"}, "seed": seed}
            result = {"status": "ok", "loss/val": 2.0 + (name == "relu") + seed / 100 + seed % 2 / 1000}
            if (name, seed) in failed:
                result = {"status": "diverged"}
            (run / "summary.json").write_text(json.dumps(result | {"config": config}))
    return folder


def notes(folder):
    used = ("used", "The lab's own code")
    return [n for n in analyse(load_sweep(folder), Question(), folder).notes if any(w in n for w in used)]


OLD, NEW = package("0.1.0"), package("0.2.0")
SAID = "3 of 5 runs of activation=swish used swish-beta 0.1.0, the others swish-beta 0.2.0."
CASES = {
    "the same": ({"swish": [OLD]}, []),
    "two versions": ({"swish": [OLD, OLD, OLD, NEW]}, [SAID]),
    "three versions": (
        {"swish": [OLD, OLD, OLD, NEW, package("0.3.0")]},
        ["3 of 5 runs of activation=swish used swish-beta 0.1.0, 1 swish-beta 0.2.0, 1 swish-beta 0.3.0."],
    ),
    "one version, two sources": (
        {"swish": [OLD, package("0.1.0", "d" * 64)]},
        [
            "4 of 5 runs of activation=swish used swish-beta 0.1.0 (dddddddd), "
            "the others swish-beta 0.1.0 (bbbbbbbb)."
        ],
    ),
    "files": (
        {"swish": [file("d"), file("d"), file("e")]},
        ["3 of 5 runs of activation=swish used source eeeeeeee, the others source dddddddd."],
    ),
    "files with versions": (
        {"swish": [file("d", version="1"), file("e", version="2")]},
        ["4 of 5 runs of activation=swish used version 2, the others version 1."],
    ),
    "the same file in another folder": ({"swish": [file("d"), file("d") | {"provider": "elsewhere"}]}, []),
    "unrecorded": ({"swish": [{}, OLD]}, []),
    "not compared": ({"swish": [NEW, OLD], "failed": [("swish", 0)]}, []),
    "a callback": (
        {"swish": [OLD], "callbacks": [{"stopper": OLD}, {"stopper": OLD}, {"stopper": NEW}]},
        ["6 of 10 runs of callback=stopper used swish-beta 0.2.0, the others swish-beta 0.1.0."],
    ),
    "a callback of the lab": (
        {"swish": [OLD], "callbacks": [{"jsonl": OURS}, {"jsonl": OURS | {"sha256": "e"}}]}, [],
    ),
    "the lab": (
        {"swish": [OLD], "core": ["e" * 64, CORE], "norm": [OURS | {"sha256": "f" * 64}, OURS]},
        [
            "The lab's own code was not the same in all runs: "
            "core (8 of 10 runs source cccccccc, the others source eeeeeeee); "
            "norm=rmsnorm (8 of 10 runs source aaaaaaaa, the others source ffffffff)."
        ],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_different_sources_are_a_note(tmp_path, case):
    recorded, expected = CASES[case]
    assert notes(sweep(tmp_path, **recorded)) == expected


def test_all_forms_of_the_report_have_the_note(tmp_path, capsys):
    sweep(tmp_path, [OLD, OLD, OLD, NEW])
    assert main(["report", str(tmp_path)]) == 0
    assert f"\n{SAID}\n" in capsys.readouterr().out
    assert f"- {SAID}\n" in (tmp_path / "report.md").read_text()
    assert f"<li>{SAID}</li>" in (tmp_path / "report.html").read_text()
    assert SAID in json.loads((tmp_path / "report.json").read_text())["notes"]


def test_whatever_a_folder_says_of_sources_can_be_read():
    odd = {"a": 3, "b": None, "norm": {"sha256": 5}, "activation": {"sha256": "x", "version": [1]}}
    found = [
        sources(Stored("run", [], {"norm": 3, "activation": {"name": ["y"]}}, environment, {}))
        for environment in ({"parts": odd, "callbacks": odd, "core": 3}, {"parts": []}, {})
    ]
    assert [each.keys() for each in found] == [{"activation=['y']", "callback=activation"}, set(), set()]
    assert differing(dict(enumerate(found))) == {}
    assert list(names(found[0].values()).values()) == ["source x"]
