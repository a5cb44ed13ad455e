"""List runs, and compare two of them."""

import csv
import io
import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from run_folders import dated, listed, made

ROOT = Path(__file__).parents[2]
ESCAPE = "\x1b[2J\u202e"

ALL = ["killed", "hot", "swept/seed=2", "swept/seed=1", "first"]


def test_a_pipe_gets_one_full_line_per_run_newest_first(lab, home):
    heading, *lines = lab("runs", check=0).stdout.splitlines()
    assert heading.split()[:6] == ["run", "status", "loss/val", "steps", "seconds", "age"]
    assert [re.split(r"  +", line)[0] for line in lines] == [f"runs/{name}" for name in ALL]
    assert re.split(r"  +", lines[0])[1:] == ["unfinished", "60s", "backend=numpy layers=2 steps=20"]
    assert lines[1].endswith("optimizer=sgd callback=[jsonl]  step 3: too large")
    assert re.split(r"  +", lines[4])[1:] == ["ok", "2.5000", "20", "1.5", "3d", "backend=numpy steps=20"]
    assert not any(line.endswith(" ") for line in lines)


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        ((), ALL),
        (("activation=gelu",), ["swept/seed=2", "swept/seed=1"]),
        (("activation=gelu,relu", "seed=1,42"), ["killed", "hot", "swept/seed=1", "first"]),
        (("layers=2",), ["killed"]),
        (("optimizer=adam", "optimizer.lr=1e-2", "steps=20", "seed=42"), ["killed", "first"]),
        (("tie_embeddings=false", "status=diverged,unfinished"), ["killed", "hot"]),
        (("callback=tensorboard", "layers=1"), ["swept/seed=2", "swept/seed=1", "first"]),
        (("callback=[jsonl]",), ["hot"]),
        (("optimizer.momentum=0.0",), ["hot"]),
        (("layers=7",), []),
        (("--sort", "loss/val"), ["swept/seed=1", "first", "swept/seed=2", "killed", "hot"]),
        (("--sort", "loss/val", "--reverse"), ["swept/seed=2", "first", "swept/seed=1", "killed", "hot"]),
        (("--sort", "seed", "-n", "2"), ["swept/seed=1", "swept/seed=2"]),
        (("--sort", "age", "--reverse"), ALL[::-1]),
        (("status=unfinished", "--sort", "loss/val"), ["killed"]),
        (("--since", "3h"), ["killed", "hot"]),
        (("--since", "0.5d"), ["killed", "hot", "swept/seed=2", "swept/seed=1"]),
        (("--since", "2min", "runs"), ["killed"]),
        (("runs/swept",), ["swept/seed=2", "swept/seed=1"]),
        (("runs/swept/seed=1",), ["swept/seed=1"]),
    ],
)
def test_a_list_contains_the_matching_runs_in_order(lab, home, arguments, names):
    assert listed(lab, *arguments) == names


def test_whole_numbers_are_listed_without_decimals(lab, tmp_path, config):
    sizes = {"parameters": 4192, "parameters_by_kind": {"mlp": 2048}, "flops_per_token": 24096}
    made(tmp_path / "runs" / "one", config, status="ok", steps=20, **sizes)
    for name, number in (("flops_per_token", "24096"), ("parameters_by_kind.mlp", "2048")):
        heading, line = lab("runs", "--sort", name, check=0).stdout.splitlines()
        assert name in heading.split() and number in line.split()


def test_json_and_csv_contain_the_same_values_with_all_digits(lab, home):
    objects = json.loads(lab("runs", "--json", check=0).stdout)
    rows = list(csv.DictReader(io.StringIO(lab("runs", "--csv", check=0).stdout)))
    assert [row["folder"] for row in rows] == [found["folder"] for found in objects]
    for row, found in zip(rows, objects):
        assert row["status"] == found["status"] and row["error"] == found.get("error", "")
        figures = {name: float(row[name]) for name in ("loss/val", "steps", "seconds") if row[name]}
        assert figures == found["figures"]
        assert all(row[key] == str(value) for key, value in found["differs"].items() if key != "steps")
    assert rows[4]["layers"] == "1"  # at its default, but not in all of them
    assert lab("runs", "layers=7", "--json", check=0).stdout == "[]\n"


def test_a_finished_run_is_listed_from_one_file(lab, tmp_path, config):
    """A thousand runs, newest first; their config.yaml is not read."""
    for i in range(1000):
        folder = tmp_path / "runs" / f"{i % 7}" / f"seed={i}"
        folder.mkdir(parents=True)
        (folder / "overrides.yaml").write_text("[]")
        (folder / "config.yaml").write_text("{")
        summary = {"status": "ok", "loss/val": 2 + i / 1000, "config": config | {"seed": i}}
        (folder / "summary.json").write_text(json.dumps(summary))
        dated(folder, 60 * i)
    lines = lab("runs", check=0).stdout.splitlines()[1:]
    assert [re.search(r"/seed=(\d+) +ok", line)[1] for line in lines] == [str(i) for i in range(1000)]
    assert "backend=numpy seed=7 steps=20" in lines[7]
    assert listed(lab, "seed=3,500") == ["3/seed=3", "3/seed=500"]


def test_config_yaml_is_read_if_the_summary_has_no_configuration(lab, tmp_path, config):
    """A run of an earlier version, one with an option that JSON cannot contain, and a refused one."""
    old = made(tmp_path / "runs" / "old", config, status="ok")
    summary = json.loads((old / "summary.json").read_text())
    assert summary.pop("config") == config
    (old / "summary.json").write_text(json.dumps(summary))
    made(tmp_path / "runs" / "infinite", config | {"grad_clip": math.inf}, status="diverged")
    made(tmp_path / "runs" / "refused", {}, overrides=["layers=-1", "+seed=3"], status="refused", error="no")
    assert set(listed(lab, "backend=numpy")) == {"old", "infinite"}
    assert listed(lab, "grad_clip=inf") == ["infinite"]
    assert listed(lab, "layers=-1", "seed=3") == ["refused"]


def test_a_run_with_a_missing_plugin_is_listed_with_its_options(lab, tmp_path, config):
    made(tmp_path / "runs" / "one", config | {"activation": {"name": "swish", "beta": 2.0}}, status="ok")
    assert "activation=swish backend=numpy activation.beta=2.0 steps=20" in lab("runs", check=0).stdout
    assert listed(lab, "activation=swish", "activation.beta=2") == ["one"]


DEEP = '{"status": "ok", "config": ' + '{"a": ' * 40 + "1" + "}" * 41
ODD_PARTS = {"activation": 3, "callback": [ESCAPE], "norm": {"name": 1}, "optimizer": {"name": ESCAPE}}
STRANGE = [
    ("summary.json", json.dumps({"status": ESCAPE, "error": ESCAPE, "config": {ESCAPE: ESCAPE}}), False),
    ("summary.json", json.dumps({"status": "ok", "config": ODD_PARTS}), False),
    *(("summary.json", text, True) for text in (DEEP, '{"status": 3}', "[]", '{"config": 3}')),
    *(("config.yaml", text, True) for text in ("{", "3", "a: &x [*x]", f"a: '{ESCAPE}'")),
    *(
        ("config.yaml", text, False)
        for text in ("", "callback: {a: {name: [1]}}", "activation: {name: '\\e[2J'}")
    ),
    *(("overrides.yaml", text, False) for text in ("{", "3", "[]")),
]


@pytest.mark.thorough
@pytest.mark.parametrize(("name", "text", "damaged"), STRANGE)
def test_a_malformed_run_is_a_row(lab, tmp_path, config, name, text, damaged):
    runs = tmp_path / "runs"
    made(runs / "sound", config, status="ok", **{"loss/val": 2.5})
    odd = made(runs / f"odd{ESCAPE}", config, age=9)
    (odd / name).write_text(text)
    for arguments in ((), ("--csv",), ("--sort", "loss/val"), ("diff", "sound", f"runs/{odd.name}")):
        done = lab("runs", *arguments, check=0)
        assert "runs/sound" in done.stdout, arguments
        assert all(char.isprintable() or char == "\n" for char in done.stdout + done.stderr)
    assert set(listed(lab)) == {"sound", odd.name}
    assert listed(lab, "status=damaged") == [odd.name] * damaged


def test_folders_that_are_not_runs_are_not_listed(lab, tmp_path, config):
    """Links, hidden folders, Hydra's own folders and a folder of notes are not; a run inside a run is."""
    runs = tmp_path / "runs"
    made(tmp_path / "elsewhere", config, status="ok")
    made(runs, config, status="ok")
    made(runs / "one", config, age=5, status="ok")
    (runs / "link").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    made(runs / ".trash", config, status="ok")
    (made(runs / "hydra", config, status="ok") / "hydra.yaml").write_text("")
    (runs / "notes").mkdir()
    (runs / "notes" / "summary.json").write_text("{}")
    assert listed(lab) == [".", "one"]
    assert "no runs below runs/notes" in lab("runs", "runs/notes", check=0).stderr


def test_a_terminal_gets_one_line_per_run(home):
    import pty

    (home / "runs" / "first").rename(home / "runs" / f"first_{'x' * 99}_end")
    for columns, left_out in ((80, True), (120, False)):
        main_end, other = pty.openpty()
        env = {
            "PATH": "/usr/bin:/bin",
            "TERM": "xterm",
            "COLUMNS": str(columns),
            "LINES": "40",
            "NO_COLOR": "1",
        }
        env |= {"MICROGPT_LAB_HOME": str(home / "home"), "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-P", "-m", "microgpt_lab", "runs"]
        subprocess.run(command, cwd=home, env=env, stdout=other, check=True, timeout=60)
        shown = os.read(main_end, 65536).decode()
        os.close(other)
        title, heading, *lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown).splitlines()
        assert title == "runs  3 ok, 1 unfinished, 1 diverged"
        assert re.match(r"first_x+…x+_end  ok ", lines[-1])
        assert ("seconds" not in heading) == left_out and len(lines) == 5
        assert all(len(line) <= columns for line in (title, heading, *lines))


# Two runs compared


def metrics(folder, losses):
    rows = ({"step": i, "loss/train": loss} for i, loss in enumerate(losses, start=1))
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


ENVIRONMENT = {
    "python": "3.11.2", "packages": {"numpy": "2.0"}, "documents": 100, "documents_sha256": "a" * 64,
    "core": "c" * 64, "parts": {"activation": {"sha256": "d" * 64}, "norm": {"sha256": "e" * 64}},
}  # fmt: skip


@pytest.fixture
def pair(tmp_path, config):
    for name, seconds in (("one", 1.0), ("two", 9.0)):
        folder = made(tmp_path / name, config, status="ok", seconds=seconds, **{"loss/val": 2.5})
        (folder / "environment.json").write_text(json.dumps(ENVIRONMENT))
        metrics(folder, [3.5, 3.25, 3.0])
    return tmp_path / "one", tmp_path / "two"


def compared(lab):
    return lab("runs", "diff", "one", "two", check=0).stdout


def test_equal_runs_are_called_equal_although_their_times_differ(lab, pair):
    assert compared(lab).splitlines() == [
        "A  one",
        "B  two",
        "equal: configuration, sources of parts, versions, data and results",
        "losses are equal at all 3 steps",
    ]


def test_the_first_step_with_different_losses_is_named(lab, pair):
    metrics(pair[1], [3.5, math.nextafter(3.25, 4), 2.5, 2.0])
    output = compared(lab)
    assert "losses first differ at step 2: 3.25 and 3.2500000000000004" in output
    assert "the largest difference is 0.5, at step 3" in output and "equal" not in output
    metrics(pair[1], [3.5, 3.25])
    output = compared(lab)
    assert (
        "losses are equal at all 2 steps that both runs have: A has 3 steps, B 2" in output
        and "equal:" not in output
    )
    (pair[1] / "metrics.jsonl").unlink()
    assert "no step has a loss in both runs: A has 3 steps, B 0" in compared(lab)


def test_each_difference_is_a_line_below_its_heading(lab, pair, config):
    two = made(pair[1].with_name("other"), config | {"layers": 2}, status="diverged", **{"loss/val": 2.25})
    parts = {"activation": {"sha256": "f" * 64}, "norm": {"sha256": "e" * 64}}
    changed = {"parts": parts, "packages": {"numpy": "2.1"}, "documents": 90, "core": "b" * 64}
    (two / "environment.json").write_text(json.dumps(ENVIRONMENT | changed))
    metrics(two, [3.5, 3.25, 3.0])
    lines = [line.split() for line in lab("runs", "diff", "one", "other", check=0).stdout.splitlines()[3:-1]]
    hashes = [
        ["the", "lab", "source", "cccccccc", "source", "bbbbbbbb"],
        ["activation=relu", "source", "dddddddd", "source", "ffffffff"],
    ]
    assert lines == [
        ["configuration"], ["layers", "1", "2", "+1"], ["sources"], *hashes,
        ["versions"], ["packages.numpy", "2.0", "2.1"], ["data"], ["documents", "100", "90", "-10"],
        ["results"], ["status", "ok", "diverged"], ["loss/val", "2.5", "2.25", "-0.25"],
    ]  # fmt: skip


def test_versions_of_a_part_are_shown_and_hashes_only_where_they_are_equal(lab, pair):
    for folder, version, digit in ((pair[0], "0.1.0", "d"), (pair[1], "0.2.0", "e")):
        source = {"provider": "x", "distribution": "swish-beta", "version": version, "sha256": digit * 64}
        norm = source | {"version": "1.0", "licence": folder.name}
        stored = ENVIRONMENT | {"parts": {"activation": source, "norm": norm}, "callbacks": {"mine": source}}
        (folder / "environment.json").write_text(json.dumps(stored))
    lines = [re.split("  +", line) for line in compared(lab).splitlines()[3:-1]]
    assert lines == [
        ["sources"],
        ["", "activation=relu", "swish-beta 0.1.0", "swish-beta 0.2.0"],
        ["", "norm=rmsnorm", "swish-beta 1.0 (dddddddd)", "swish-beta 1.0 (eeeeeeee)"],
        ["", "callback=mine", "swish-beta 0.1.0", "swish-beta 0.2.0"],
    ]


def test_sources_of_different_parts_are_not_compared(lab, pair, config):
    gelu = made(pair[1].with_name("gelu"), config | {"activation": {"name": "gelu"}}, status="ok")
    (gelu / "environment.json").write_text(
        json.dumps(ENVIRONMENT | {"parts": {"activation": {"sha256": "0"}}})
    )
    output = lab("runs", "diff", "one", "gelu", check=0).stdout
    assert re.search(r"activation +relu +gelu", output) and "dddd" not in output


def test_a_list_of_runs_with_different_tokenizers_shows_bits_per_character(lab, home, config):
    bpe = config | {"tokenizer": {"name": "bpe", "vocab_size": 100}}
    made(home / "runs" / "bpe", bpe, status="ok", **{"loss/val": 2.25, "bits_per_char/val": 3.125})
    for arguments, shown in (((), True), (("status=ok",), True), (("-n", "1"), False), (("seed=1",), False)):
        heading, *lines = lab("runs", *arguments, check=0, exactly=True).stdout.splitlines()
        assert ("bits_per_char/val" in heading) == shown
        assert any("3.1250" in line for line in lines) == shown
    longer, few = bpe | {"steps": 9}, bpe | {"train_docs": 9}
    for others, shown in ((longer, False), (few, True)):  # merges of other documents are another tokenizer
        made(home / "runs" / "another", others, status="ok", **{"loss/val": 2.25, "bits_per_char/val": 3.125})
        assert ("3.1250" in lab("runs", "tokenizer=bpe", check=0).stdout) == shown
