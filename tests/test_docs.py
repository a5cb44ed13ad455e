"""Examples in the documentation run, and its lists are complete."""

import doctest
import re
import types
from pathlib import Path

import pytest

from microgpt_lab import GPT, UserError
from microgpt_lab.options.compose import compose
from microgpt_lab.options.config import run_options
from microgpt_lab.registry.hookspecs import EVENTS, KINDS, MODEL_KINDS, hook_of
from microgpt_lab.registry.parts import options_of
from microgpt_lab.registry.plugins import registry
from microgpt_lab.run.assemble import assemble
from microgpt_lab.testing import check, parts_of

ROOT = Path(__file__).parents[1]
MODEL = (ROOT / "docs" / "model.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^python -m microgpt_lab (?!-m )(.*)", re.sub(r" \\\n +", " ", MODEL), flags=re.M)
REFUSED = re.findall(r"^\| `([^`]*=[^`]*)` \|", MODEL.partition("## What is refused")[2], flags=re.M)
README = (ROOT / "README.md").read_text(encoding="utf-8")


def block(containing):
    """Python block of the README that contains this text."""
    return next(b for b in re.findall(r"```python\n(.*?)```", README, flags=re.S) if containing in b)


def test_the_notebook_example_trains(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    train, *_ = block("train(").partition("\n\nfound")
    names = {}
    exec(train.replace("steps=200", "steps=3, eval_docs=2, embed=8, backend='numpy'"), names)
    assert names["run"].status == "ok"


def parts_in(page):
    """The parts that the Python blocks of a page define."""
    for source in re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), flags=re.S):
        if "@hookimpl" in source:
            module = types.ModuleType("example")
            exec(source, module.__dict__)
            yield from parts_of(module)


PARTS = [*parts_in("README.md"), *parts_in("docs/plugins.md"), *parts_in("docs/text.md")]
PARTS += parts_in("docs/authors.md")


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)
def test_the_examples_of_parts_pass_their_checks(part):
    check(part)


def test_the_examples_of_parts_are_complete():
    assert [part.name for part in PARTS] == [
        "swish",
        "gated",
        "distances",
        "shifted",
        "words",
        "beam",
        "swish2",
    ]
    for example, name in (("gated", "plugins"), ("beam", "text")):
        page = (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")
        assert (ROOT / "examples" / f"{example}.py").read_text(encoding="utf-8") in page


SESSIONS = {
    "from-microgpt": 35,
    "python": 42,
    "inside": 15,
    "text": 10,
}  # pages, with their smallest number of examples


@pytest.mark.parametrize("name", SESSIONS)
def test_the_session_of_a_page_gives_the_documented_output(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")
    session = "".join(re.findall(r"```pycon\n(.*?)```", page, flags=re.S))
    test = doctest.DocTestParser().get_doctest(session, {}, f"docs/{name}.md", None, 0)
    output = []
    doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test, out=output.append)
    assert len(test.examples) > SESSIONS[name] and not output, "".join(output)


def test_all_parts_of_the_model_and_their_options_are_documented():
    ours = [p for p in registry().parts.values() if p.first_party and p.kind in MODEL_KINDS[2:]]
    assert len(ours) > 20
    for each in ours:
        assert f"| `{each.name}` |" in MODEL, f"{each.kind}={each.name}"
        assert all(f"`{each.kind}.{name}`" in MODEL for name in each.options), f"{each.kind}={each.name}"
    assert all(f"`{key}`" in MODEL for key in options_of(GPT))


def trainer(words):
    """What a run with these overrides trains, on a few words."""
    return assemble(compose([*words.split(), "dataset=reverse"]), ["abc=cba", "bd=db", "e=e"] * 20)


@pytest.mark.parametrize("words", COMMANDS)
def test_the_commands_of_the_page_on_the_model_train(words):
    (metrics,) = trainer(words).advance()
    assert 0 < metrics["loss/train"] < 9


@pytest.mark.parametrize("words", REFUSED)
def test_what_the_page_on_the_model_calls_refused_is_one_line(words):
    with pytest.raises(UserError, match=r"^[^\n]+$"):
        trainer(words)


def test_every_key_hook_and_page_is_documented():
    configuration = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    plugins = (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8")
    assert all(f"`{key}`" in configuration for key in run_options())
    assert all(f"`{hook_of(kind)}`" in plugins for kind in KINDS)
    assert all(f"`{event}`" in plugins for event in EVENTS)
    assert all(f"docs/{page.name}" in README for page in (ROOT / "docs").glob("*.md"))


def test_every_link_has_a_target():
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "experiments").rglob("*.md")):
        for link in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
            assert link.startswith("https://") or (page.parent / link).exists(), f"{link} in {page}"
