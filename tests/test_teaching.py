"""The pages that answer "How do I …?", the one for teachers and their worksheet: commands and figures."""

import importlib
import re
import shlex
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

from microgpt_lab import load_run, train
from microgpt_lab.commands import COMMANDS
from microgpt_lab.options.compose import compose, written_out
from microgpt_lab.sweeps.table import load_sweep

DOCS = Path(__file__).parents[1] / "docs"
PAGES = {
    name: (DOCS / f"{name}.md").read_text(encoding="utf-8") for name in ("how-to", "teaching", "worksheet")
}
START = "python -m microgpt_lab "
ROW = r"^\| (\d) \| `(.+?)` \| (\d\.\d+) \| (\d\.\d+) \| (\d\.\d+) to (\d\.\d+) \|$"
ANSWERS = [
    (int(n), key, *map(float, rest)) for n, key, *rest in re.findall(ROW, PAGES["teaching"], flags=re.M)
]


def commands(page):
    """The commands of the lab in a page, as lists of words."""
    blocks = re.findall(r"```(?:sh|bat)\n(.*?)```", PAGES[page], flags=re.S)
    lines = [line for block in blocks for line in block.splitlines()]
    return [shlex.split(line)[3:] for line in lines if line.startswith(START)]


EVERY = [words for page in PAGES for words in commands(page)]
TRAINING = [words for words in EVERY if words[0] not in COMMANDS]


def setting(words):
    """Overrides of one job: of a sweep, the last value of each key. Composing each would take seconds."""
    for key, _, value in (word.partition("=") for word in words if not word.startswith("hydra")):
        if key != "seed" and key[0] != "-":
            yield f"{key}={value.split(',')[-1]}"


def test_the_commands_that_train_can_be_composed():
    jobs = {tuple(setting(written_out([word for word in words if word != "-m"]))) for words in TRAINING}
    assert len(TRAINING) > 14 and len(jobs) > 9
    for job in jobs:
        compose([*job])
    of_hydra = {word.partition("=")[0] for words in TRAINING for word in words if word.startswith("hydra")}
    assert of_hydra == {"hydra.sweep.dir", "hydra/launcher"}


def test_the_launcher_is_one_that_the_lab_documents():
    chosen = {word for words in EVERY for word in words if word.startswith("hydra/launcher=")}
    page = (DOCS / "sweeps.md").read_text(encoding="utf-8")
    assert len(chosen) == 1 and all(f"`{word}`" in page or f"`{word[15:]}`" in page for word in chosen)


@pytest.mark.parametrize("command", sorted({words[0] for words in EVERY if words[0] in COMMANDS} - {"tune"}))
def test_the_other_commands_name_existing_flags(command, capsys):
    with pytest.raises(SystemExit):
        importlib.import_module(f"microgpt_lab.commands.{command}").main(["--help"])
    shown = capsys.readouterr().out
    flags = {word for words in EVERY if words[0] == command for word in words if word.startswith("-")}
    assert all(re.search(rf"{flag}\b", shown) for flag in flags), flags


@pytest.mark.thorough
def test_the_lines_for_a_notebook_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (lines,) = re.findall(r"```python\n(.*?)```", PAGES["how-to"], flags=re.S)
    short = 'steps=3, eval_docs=2, samples=0, callback=["jsonl", "checkpoint"], backend="numpy"'
    exec(lines.replace('steps=200, backend="auto"', short), names := {})
    assert names["run"].status == "ok" and len(names["run"].metrics) == 3


def test_the_worksheet_needs_no_particular_shell():
    """PowerShell splits words at commas, the Command Prompt does not know single quotes."""
    lines = [line for line in PAGES["worksheet"].splitlines() if line.startswith(START)]
    assert len(lines) == len(commands("worksheet")) > 12
    for line in lines:
        assert not re.search(r"['$`|;&<>~()*%^]", line)
        assert all(word[0] == word[-1] == '"' for word in line.split() if "," in word)


def test_each_question_has_predictions_and_an_answer():
    parts = re.split(r"^## \d\. ", PAGES["worksheet"], flags=re.M)[1:]
    assert len(parts) == 8
    for part in parts:
        assert part.count("\n- [ ] ") >= 3 and "\n**Look**" in part and "\n**Explain**" in part
    answers = PAGES["teaching"].partition("\n## Answers\n")[2]
    assert re.findall(r"^(\d)\. \*\*", answers, flags=re.M) == list("12345678")
    assert {question for question, *_ in ANSWERS} == set(range(1, 8))


def test_an_untrained_model_has_the_loss_of_the_answers(tmp_path):
    run = train("steps=0", backend="numpy", callback=["jsonl"], samples=0, folder=tmp_path / "zero")
    (answer,) = [row for row in ANSWERS if row[0] == 1]
    assert run.loss == pytest.approx(answer[2], abs=answer[3])
    assert "ln 27 = 3.296" in PAGES["teaching"] and run.summary["guessing"]["uniform"] == pytest.approx(
        3.2958, abs=1e-4
    )


@pytest.mark.thorough
def test_names_that_a_run_does_not_reach_do_not_change_it(tmp_path):
    short = {"steps": 20, "eval_docs": 20, "backend": "numpy", "callback": ["jsonl"], "samples": 0}
    losses = [train(**short, train_docs=n, folder=tmp_path / str(n)).loss for n in (0, 20, 10)]
    assert losses[0] == losses[1] != losses[2]


def test_the_demo_is_surprised_as_the_answers_say():
    worst, second = sorted(load_run("demo").inspect("emma").expected, key=lambda row: -row.nats)[:2]
    assert (worst.context, round(worst.nats, 2), f"{worst.probability:.1%}") == (["·"], 3.03, "4.9%")
    assert (second.came, round(second.nats, 2), second.likeliest[0][0]) == ("·", 2.6, "r")


@pytest.mark.slow
def test_the_worksheet_gives_the_figures_of_the_answers(lab, tmp_path):
    done = [lab(*words, exactly=True, check=0) for words in commands("worksheet")]
    (answers_of_last,) = [each.stdout for each in done if "fach=" in each.stdout]
    assert "fach=hcaf" not in answers_of_last
    swept = {number: load_sweep(tmp_path / f"runs/{name}") for number, name in enumerate(
        ("rate", "layers", "names", "dropout", "places"), 3)}  # fmt: skip
    single = {path.parent.name.split("_", 2)[2]: path.parent for path in tmp_path.glob("runs/*/summary.json")}
    for number, setting, mean, within, low, high in ANSWERS:
        if number in swept:
            key, _, value = setting.partition("=")
            frame = swept[number]
            losses = [*frame.loc[frame[key].astype(str).isin([value, f"{value}.0"]), "loss/val"]]
        else:
            (folder,) = [path for name, path in single.items() if ("steps=0" in name) == (number == 1)]
            losses = [load_run(str(folder)).loss]
        assert len(losses) in (1, 3, 5)
        assert statistics.fmean(losses) == pytest.approx(mean, abs=within), setting
        assert low <= min(losses) and max(losses) <= high, setting
    right = swept[7].groupby("position")["exact_match"]
    assert right.max()["none"] == 0 and right.min()["learned"] > 0.9
    wins = swept[4].pivot(index="seed", columns="layers", values="loss/val")
    assert wins.loc[4, 2] < wins.loc[4, 1] and wins.loc[2, 1] < wins.loc[2, 2]
    assert swept[4].loc[swept[4]["layers"] == 2, "loss/val"].std() > 0.005
    claims = [each.stdout for each in done if "compared with" in each.stdout]
    assert [text.count("worse than") > 0 for text in claims] == [True, False, True, True, True, True]


@pytest.mark.slow
def test_a_class_writes_into_one_sweep_at_once(tmp_path):
    short = ["steps=20", "eval_docs=20", "backend=numpy", "jobs=1", "hydra.sweep.dir=class"]
    line = [sys.executable, "-P", "-m", "microgpt_lab", "-m", "layers=1,2", *short]
    students = [
        subprocess.Popen([*line, f"seed={i % 5}"], cwd=tmp_path) for i in range(6)
    ]  # two have the same
    assert {student.wait(timeout=120) for student in students} <= {0, 1}  # 1: others are unfinished
    frame = load_sweep(tmp_path / "class")
    assert len(frame) == 10 and set(frame["status"]) == {"ok"}
    assert sorted(zip(frame["layers"], frame["seed"])) == [(n, seed) for n in (1, 2) for seed in range(5)]
