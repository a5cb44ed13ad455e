"""The tutorial's commands run as written, and give its figures."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from benchmarks.reference import Reference, softmax

from microgpt_lab.commands import COMMANDS
from microgpt_lab.options.compose import compose
from microgpt_lab.registry.plugins import part

DOCS = Path(__file__).parents[2] / "docs"
NAMES = "from-microgpt", "ablation", "inspect", "authors"
PAGES = {name: (DOCS / f"{name}.md").read_text(encoding="utf-8") for name in NAMES}


def commands(page):
    """The commands of the lab in a page, as lists of words."""
    blocks = re.findall(r"```sh\n(.*?)```", PAGES[page], flags=re.S)
    lines = [line for block in blocks for line in block.splitlines()]
    return [shlex.split(line)[3:] for line in lines if line.startswith("python -m microgpt_lab ")]


def rows(text):
    """The rows of reports in a text: setting, mean, deviation, seeds, parameters and claim."""
    row = r"^\d  (\S+) +(\d\.\d+)  (\d\.\d+) +(\d+) +([\d,]+)(?: .*?)?  ([a-z].*)$"
    return re.findall(row, text, flags=re.M)


TRAINING = [words for page in NAMES[:3] for words in commands(page) if words[0] not in COMMANDS]


def test_the_commands_of_training_can_be_composed():
    assert len(TRAINING) >= 5
    for words in TRAINING:
        changes = [word for word in words if word.startswith("hydra.sweeper.changes")]
        keys = [word for word in words if word not in ("-m", *changes) and "range(" not in word]
        for change in re.findall(r'"(.*?)"', changes[0]) if changes else [""]:
            compose([*keys, *change.split()])


def test_a_graph_of_the_published_algorithm_has_the_stated_number_of_values():
    """Its numbers are those of the page's session, too: the same loss, from the same weights."""
    reference = Reference(part("dataset", "us_names")())
    tokens, keys, values = [26, 4, 12, 12, 0, 26], [[]], [[]]
    probs = [softmax(reference.logits(token, i, keys, values)) for i, token in enumerate(tokens[:-1])]
    loss = (1 / 5) * sum(-p[token].log() for p, token in zip(probs, tokens[1:], strict=True))
    found, waiting = set(), [loss]
    while waiting:
        node = waiting.pop()
        if node not in found:
            found.add(node)
            waiting += node.above
    page = PAGES["from-microgpt"]
    assert f"has 5,956 Values instead of {len(found):,}" in " ".join(page.split())
    assert f">>> round(loss.item(), 6)\n{loss.data:.6f}\n" in page


@pytest.mark.thorough
def test_the_first_ablation_gives_its_figures(lab):
    page = PAGES["ablation"]
    shown = "".join(lab(*words, exactly=True, check=0).stdout for words in commands("ablation"))
    assert len(rows(page)) == 10 and rows(page) == rows(shown)
    assert all(f"{loss} nats" in shown and loss in page for loss in ("2.3308", "2.3451"))
    tuned = re.search(r"^2  0\.01 +none .*worse than the best row by ([\d.]+ to [\d.]+)$", shown, flags=re.M)
    assert f"is worse by {tuned[1]}" in " ".join(page.split())


@pytest.mark.thorough
def test_a_changed_model_becomes_a_file_that_prints_its_losses(lab, tmp_path):
    *_, training, export = commands("from-microgpt")
    for words in (training, export):
        lab(*words, exactly=True, check=0)
    printed = subprocess.run(
        [sys.executable, "mine.py"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    (metrics,) = tmp_path.glob("runs/*/metrics.jsonl")
    last = json.loads(metrics.read_text().splitlines()[-1])
    assert f"| loss {last['loss/train']}\n" in printed.stdout


@pytest.mark.thorough
def test_the_runs_that_go_wrong_end_with_their_losses(lab):
    (training,) = (words for words in commands("inspect") if words[0] not in COMMANDS)
    stated = re.findall(r"^\| [^|]+ \| (?:`([^`]+)`)? *\| (\d\.\d\d) \|", PAGES["inspect"], flags=re.M)
    assert len(stated) == 4
    for changes, loss in stated:
        done = lab(*training, *changes.split(), exactly=True, check=0)
        assert f"{float(re.search(r'val loss +([0-9.]+)', done.stdout)[1]):.2f}" == loss, changes


@pytest.mark.thorough
def test_the_part_of_the_page_for_authors_gives_its_figures(lab, tmp_path):
    page = PAGES["authors"]
    blocks = re.findall(r"```python\n(.*?)```", page, flags=re.S)
    (source,) = (block for block in blocks if "@hookimpl" in block and "swish2" in block)
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "swish2.py").write_text(source, encoding="utf-8")
    env = {"MICROGPT_LAB_PLUGINS": str(tmp_path / "parts")}
    sweep, report = (words for words in commands("authors") if any("runs/swish2" in word for word in words))
    lab("check", "activation=swish2", env=env, check=0)
    lab(*sweep, env=env, exactly=True, check=0)
    shown = lab(*report, env=env, exactly=True, check=0).stdout
    assert len(rows(page)) == 3 and rows(page) == rows(shown)
