"""Examples in the documentation run, and its lists are complete."""

import doctest
import re
from pathlib import Path

import pytest

from microgpt_lab.options.config import run_options
from microgpt_lab.registry.hookspecs import EVENTS, KINDS
from microgpt_lab.testing import check, parts_of

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def block(containing):
    """Python block of the README that contains this text."""
    return next(b for b in re.findall(r"```python\n(.*?)```", README, flags=re.S) if containing in b)


def test_the_notebook_example_trains(capsys):
    exec(block("Trainer(").replace("steps=100", "steps=3, eval_docs=2"), {})
    assert re.match(r"\d\.\d+ \[", capsys.readouterr().out)


def test_the_example_of_a_part_passes_its_check():
    import types

    module = types.ModuleType("swish_plugin")
    exec(block("swish"), module.__dict__)
    (swish,) = parts_of(module)
    check(swish)


SESSIONS = {"python": 30, "inside": 15}  # pages, with their smallest number of examples


@pytest.mark.parametrize("name", SESSIONS)
def test_the_session_of_a_page_gives_the_documented_output(name):
    page = (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")
    session = "".join(re.findall(r"```pycon\n(.*?)```", page, flags=re.S))
    test = doctest.DocTestParser().get_doctest(session, {}, f"docs/{name}.md", None, 0)
    output = []
    doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test, out=output.append)
    assert len(test.examples) > SESSIONS[name] and not output, "".join(output)


def test_every_key_hook_and_page_is_documented():
    configuration = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    plugins = (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8")
    assert all(f"`{key}`" in configuration for key in run_options())
    assert all(f"`{kind}s`" in plugins for kind in KINDS)
    assert all(f"`{event}`" in plugins for event in EVENTS)
    assert all(f"docs/{page.name}" in README for page in (ROOT / "docs").glob("*.md"))


def test_every_link_has_a_target():
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "experiments").rglob("*.md")):
        for link in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
            assert link.startswith("https://") or (page.parent / link).exists(), f"{link} in {page}"
