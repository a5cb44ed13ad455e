"""The page of a replay: its gradients, its size, and what stands in the file."""

import json
import re
import shutil
import subprocess
from importlib import resources

import numpy as np
import pytest
from replays import LETTERS, page_of, untrained

from microgpt_lab.inspection import budget

FOLDER = resources.files("microgpt_lab.inspection") / "page"
SCRIPTS = sorted(file.name for file in FOLDER.iterdir() if file.name.endswith(".js"))
GRADIENTS = """
const graph = unpack(JSON.parse(require("fs").readFileSync(0, "utf8")));
const weights = graph.tensors.filter((tensor) => tensor.op === "");
const of = (grad) => Object.fromEntries(weights.map((w) => [w.name, Array.from(w.values, grad)]));
const ledgers = weights.flatMap((w) => Array.from(w.values, (v) => ledger(graph, v).difference));
const count = graph.shares.length;
const each = graph.shares.map((_, t) => of((v) => graph.each[v * count + t]));
console.log(JSON.stringify({ whole: of((v) => graph.grad[v]), each, ledgers }));
"""
MODELS = {
    "default": {},
    "llama": {
        "norm": "layernorm", "position": "rope", "mlp": "glu", "activation": "silu", "final_norm": True,
        "attention": ("multihead", {"kv_heads": 1}), "embed_norm": False,
    },
    "others": {"position": "sinusoidal", "block": "parallel", "activation": "gelu", "attention": "linear"},
}  # fmt: skip


def facts_in(html):
    return json.loads(re.search(r'id="facts">(.*?)</script>', html, re.DOTALL)[1])


def node(*arguments, **options):
    program = shutil.which("node") or pytest.skip("needs Node.js")
    return subprocess.run([program, *arguments], capture_output=True, text=True, timeout=60, **options)


@pytest.fixture(scope="module")
def small():
    return page_of(untrained(embed=8, heads=2, block_size=8), "emma")


@pytest.mark.parametrize("name", MODELS)
def test_gradients_of_the_page_equal_those_of_python(name, tmp_path):
    html, replay = page_of(untrained(chars="aem", embed=8, heads=2, **MODELS[name]), "emma")
    graph = facts_in(html)["code"]["graph"]
    (tmp_path / "run.js").write_text((FOLDER / "backward.js").read_text("utf-8") + GRADIENTS)
    found = json.loads(node(str(tmp_path / "run.js"), input=json.dumps(graph), check=True).stdout)
    expected = {name: [value.grad for value in w.data] for name, w in replay.weights.items()}
    assert found["whole"].keys() == expected.keys()
    for name, gradients in expected.items():
        assert found["whole"][name] == pytest.approx(gradients, rel=1e-12, abs=1e-15)
    for name, w in replay.weights.items():
        shares = [each[name] for each in found["each"]]
        by_value = [list(row) for row in zip(*shares, strict=True)]
        assert by_value == pytest.approx(
            np.array(replay.gradients_by_prediction(w.data)), rel=1e-12, abs=1e-15
        )
    assert max(map(abs, found["ledgers"])) < 1e-15


def test_the_scripts_are_short_and_well_formed(tmp_path):
    texts = {name: (FOLDER / name).read_text("utf-8") for name in SCRIPTS}
    assert sum(len(text.splitlines()) for text in texts.values()) <= 600
    for name, text in texts.items():
        assert max(map(len, text.splitlines())) <= 110, name
        assert not re.search(r"HTML\s*=|insertAdjacentHTML|document\.write|eval\(|</script", text), name
        assert not re.search(r"^\s*var |[^=!]==[^=]", text, re.MULTILINE), name
    (tmp_path / "page.js").write_text("\n".join(['"use strict";', *texts.values()]))
    assert node("--check", str(tmp_path / "page.js")).stderr == ""


def test_the_page_is_one_file_that_needs_no_network(small):
    html, _ = small
    assert "default-src 'none'" in html
    assert not re.search(r"<(?:script|link|img|iframe)[^>]* (?:src|href)=|@import|url\(", html)
    addresses = set(re.findall(r"https?://[^\"']*", html))
    assert addresses == {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xhtml"}  # names, not fetched


def test_every_view_is_in_the_page(small):
    html, replay = small
    facts = facts_in(html)
    assert facts["tokens"] == ["·", "e", "m", "m", "a"]
    assert len(facts["predictions"]) == len(facts["why"]) == 5
    assert [head["name"] for head in facts["attention"]["heads"]] == ["head 0", "head 1"]
    assert facts["lens"]["places"][0]["name"] == "embedding"
    assert {figure["title"] for figure in facts["health"]} >= {"Weights", "Activations"}
    assert facts["embeddings"] and facts["ablation"] and facts["against"] is None
    shown = {name for tensor in facts["code"]["graph"]["tensors"] for name in tensor["names"]}
    assert shown >= {*replay.weights, *replay.inside, "losses"}


def test_sums_of_the_page_add_up_to_its_logits(small):
    for at in facts_in(small[0])["why"]:
        for k, logit in enumerate(at["logits"]):
            assert sum(part["adds"][k] for part in at["parts"]) == pytest.approx(logit, abs=1e-4)


def test_each_tensor_stands_at_the_line_that_made_it(small):
    facts = facts_in(small[0])
    lines = {f"{f['index']}:{number}": text for f in facts["code"]["source"] for number, text in f["lines"]}
    made = {
        name: lines[":".join(map(str, tensor["line"]))]
        for tensor in facts["code"]["graph"]["tensors"]
        if tensor["line"]
        for name in tensor["names"]
    }
    assert '"pattern"' in made["layer0.attention.mixed"] or "mixed" in made["layer0.attention.mixed"]
    assert "relu" in made["layer0.mlp.post"]
    assert not [text for text in lines.values() if '"""' in text]


def test_sixteen_tokens_of_the_default_size_fit_into_1_5_megabytes():
    html, replay = page_of(untrained(), "christopherjame")
    assert len(replay) == 16
    assert len(html.encode()) < 1_500_000


@pytest.mark.slow
def test_eight_layers_fit_too_with_fewer_sums():
    html, _ = page_of(untrained(layers=8), "christoph")
    facts = facts_in(html)
    assert len(html.encode()) < 1_500_000
    assert facts["code"]["graph"] and len(facts["attention"]["heads"]) == 32
    assert facts["texts"]["notes"] == (
        f"Why shows {len(facts['why'][0]['candidates'])} tokens instead of 27: "
        "a shorter --text leaves room for more."
    )


@pytest.mark.parametrize(
    ("share", "said"),
    [
        (1.0, []),
        (0.95, ["Why shows"]),
        (0.2, ["The code and its numbers are left out"]),
        (0.1, ["The code", "Why shows"]),
        (0.07, ["The code", "Why shows 6 tokens", r"Attention shows the patterns of \d of 6 heads"]),
    ],
)
def test_a_page_leaves_out_no_more_than_it_must(monkeypatch, share, said):
    whole = facts_in(page_of(untrained(layers=3, heads=2), "emma")[0])
    monkeypatch.setattr(budget, "BUDGET", int(share * budget.size(whole)))
    less = budget.fitted(whole)
    assert budget.size(less) <= budget.BUDGET
    lines = less["texts"]["notes"].splitlines()
    assert len(lines) == len(said) and all(map(re.match, said, lines))
    for at, before in zip(less["why"], whole["why"], strict=True):  # the likeliest stay, and what came
        kept = [before["candidates"].index(each) for each in at["candidates"]]
        assert kept[:-1] == [*range(len(kept) - 1)] and kept[at["came"]] == before["came"]
        assert at["logits"] == [before["logits"][k] for k in kept]
        assert at["parts"][0]["adds"] == [before["parts"][0]["adds"][k] for k in kept]
    changes = [abs(head["without"]) for head in whole["attention"]["heads"]]
    kept = [abs(head["without"]) for head in less["attention"]["heads"]]
    assert sorted(kept, reverse=True) == sorted(changes, reverse=True)[: len(kept)]


def test_a_large_model_shows_less_and_says_so():
    letters = [chr(0x4E00 + i) for i in range(2400)]
    html, replay = page_of(untrained(chars=letters, embed=64, block_size=4), letters[0] * 3)
    facts = facts_in(html)
    assert not replay.has_gradients and facts["code"]["graph"] is None
    assert "more than 300,000" in facts["texts"]["counts"]
    assert len(facts["why"][0]["candidates"]) == 28
    assert facts["attention"]["heads"][0]["pattern"]


@pytest.mark.parametrize(
    "text", ["</script><b>", "\x1b[31mred", "🙂é", LETTERS * 400], ids=["script", "escape", "emoji", "long"]
)
def test_text_that_is_not_trusted_stays_text(text):
    html, replay = page_of(untrained(chars=sorted(set(text)), embed=4, heads=1, block_size=8), text)
    data = re.search(r'id="facts">(.*?)</script>', html, re.DOTALL)[1]
    assert "<" not in data and "\x1b" not in html
    facts = json.loads(data)
    assert len(facts["texts"]["title"]) < 50 and len(html) < 200_000
    assert len(facts["tokens"]) == min(8, len(text) + 1) == len(replay)
