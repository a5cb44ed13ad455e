"""The documentation site has every page, its links lead somewhere, and it is built without a warning."""

import importlib.util
import json
import os
import re
import sys
from pathlib import Path

import pytest

import microgpt_lab
from microgpt_lab import backends, ops, testing
from microgpt_lab.options.keys import is_default
from microgpt_lab.registry.hookspecs import KINDS
from microgpt_lab.registry.plugins import registry

sys.path.append(str(Path(__file__).parents[1] / "docs" / "site"))

import assembly
import curves
import kinds
import prose
from contents import assembled
from links import is_local, links, rewrite
from visits import PAGES

ROOT = Path(__file__).parents[1]
KINDS_WITH_CURVES = sorted(
    {"position", "attention", "weighting", "mlp", "block", "activation", "norm", "init", "loss"}
    | {"optimizer", "scheduler", "tokenizer"}
)


@pytest.fixture(scope="module")
def site():
    return assembled()


def paths(navigation):
    return [
        path
        for section in navigation
        for pages in section.values()
        for page in pages
        for path in page.values()
    ]


def headings(text):
    """The anchors of a page, as Markdown makes them from headings."""
    for heading in re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S), flags=re.M):
        words = re.sub(r"[^\w\s-]", "", re.sub(r"\]\(.*?\)", "", heading), flags=re.ASCII)
        yield re.sub(r"[-\s]+", "-", words.strip().lower())


def test_every_link_leads_to_a_page_and_a_heading_of_it_or_to_a_file(site):
    pages, files = site[0].pages, {*site[0].files, *(f"visits/{name}" for name in PAGES)}
    anchors = {path: set(headings(text)) for path, text in pages.items()}
    assert len(pages) > 200
    assert not [path for path in pages if path.startswith(".") or "/." in path], "hidden pages are not built"
    for path, text in pages.items():
        for link in links(text):
            name, _, anchor = link.partition("#")
            target = os.path.normpath(Path(path).parent / name) if name else path
            if is_local(name or "."):
                assert target in pages or target in files, f"{link} in {path}"
                assert not anchor or anchor in anchors[target], f"{link} in {path}"


def test_every_page_is_in_the_navigation_once(site):
    shown = paths(site[1])
    assert len(shown) == len(set(shown)) and set(shown) <= site[0].pages.keys()
    assert {page.name for page in (ROOT / "docs").glob("*.md")} <= set(shown)
    assert {
        f"answers/{folder.parent.name}/index.md" for folder in ROOT.glob("experiments/*/recipe.yaml")
    } <= set(shown)
    assert [next(iter(section)) for section in site[1]] == [
        "Start", "Tutorial", "How to", "Parts", "Internals", "Reference", "Answers"
    ]  # fmt: skip
    assert (
        next(path for path in shown if path.startswith("answers/w"))
        == shown[shown.index("answers/index.md") + 1]
    )


def test_a_link_to_nothing_is_refused():
    page = assembly.Site()
    page.write("a.md", "# A\n\n[b](docs/nothing.md)")
    with pytest.raises(ValueError, match=r"a\.md links to docs/nothing\.md, which does not exist"):
        page.finish()


def test_code_is_not_rewritten():
    text = "[`a`](b) and `[a](b)`\n\n```\n[a](b)\n```\n\n![a](b)\n"
    assert rewrite(text, str.upper) == "[`a`](B) and `[a](b)`\n\n```\n[a](b)\n```\n\n![a](B)\n"


def test_every_part_is_shown_with_its_formula_its_options_and_its_source(site):
    parts = [part for part in registry().parts.values() if part.first_party]
    assert len(parts) > 80
    for part in parts:
        page = site[0].pages[f"parts/{kinds.hook_of(part.kind)}.md"]
        section = page.partition(f"\n## {part.name}\n")[2].partition("\n## ")[0]
        assert prose.first_line(part.make.__doc__.strip()) in section and "\nSource: [" in section, part
        assert all(re.search(rf"^\| `[\w.]*\.{name}` \|", section, re.M) for name in part.options), part


def test_a_part_names_the_recipes_that_choose_it():
    found = {
        choice: {folder.name for folder in folders} for choice, folders in kinds.recipes_by_part().items()
    }
    assert {"activations", "which-parts-matter", "microgpt-243"} <= found["activation", "relu2"]
    assert "shakespeare" in found["position", "rope"]  # through model=llama
    assert found["dataset", "reverse"] == {"reversing"}


@pytest.mark.parametrize("kind", KINDS_WITH_CURVES)
def test_the_page_of_a_kind_shows_its_curves_and_says_where_they_end(site, kind):
    page = site[0].pages[f"parts/{kinds.hook_of(kind)}.md"]
    (alt,) = re.findall(rf"!\[([^\]]*)\]\(\.\./answers/parts/{kind}\.svg\)", page)
    assert page.index(alt) < page.index("\n## "), "the curves are above the parts"
    drawn = (ROOT / "experiments" / "parts" / f"{kind}.svg").read_text(encoding="utf-8")
    ends = dict(re.findall(r">(\w+) (\d\.\d{3})</text>", drawn))
    (default,) = {part.name for part in kinds.own_parts()[kind] if is_default(part)}
    said = alt.partition("At the end, ")[2].replace(", the default,", "")
    lowest, least, highest, most = re.match(
        r"(\w+) is lowest \((.*?)\) and (\w+) highest \((.*?)\)", said
    ).groups()
    assert ends[lowest] == least == min(ends.values()) and ends[highest] == most == max(ends.values()), alt
    assert default in (lowest, highest) or said.endswith(f"; {default} has {ends[default]}"), alt


def test_kinds_that_change_no_loss_have_no_curves(site):
    for kind in {*KINDS} - {*KINDS_WITH_CURVES}:
        assert "![" not in site[0].pages[f"parts/{kinds.hook_of(kind)}.md"], kind


def test_a_recipe_with_rates_that_are_tuned_stands_beside_the_curves():
    recipes = kinds.recipes_by_part()
    found = {kind: curves.tuned(kind, recipes).name for kind in ("activation", "init", "loss", "tokenizer")}
    assert [*found.values()] == ["activations", "inits", "which-parts-matter", "tokenizers"]
    assert curves.tuned("sampler", recipes) is None


def test_the_alt_text_of_a_picture_says_what_it_shows(site):
    for path, text in site[0].pages.items():
        for alt in re.findall(r"!\[([^\]]*)\]", re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.S)):
            assert len(alt.split()) >= 5 or Path(path).name.startswith("report"), f"{alt!r} in {path}"


def test_every_public_name_key_and_hook_is_in_the_reference(site):
    text = site[0].pages["reference/python.md"]
    for module, name in (
        (microgpt_lab, "python"),
        (backends, "backends"),
        (ops, "ops"),
        (testing, "testing"),
    ):
        page = site[0].pages[f"reference/{name}.md"]
        assert all(re.search(rf"\n## {each}\n\n.", page) for each in module.__all__), name
    assert "\n## hookimpl\n\nThe decorator of a function that implements a hook.\n" in text
    assert "\n\nIts keys: `weights`, `length-free`, " in site[0].pages["reference/testing.md"]
    assert "```python\nAt.rotate(x: Array) -> Array\n```" in text
    assert "train(\n    *overrides: str,\n    folder: str | os.PathLike[str] | None = None," in text
    hooks = site[0].pages["reference/hooks.md"]
    assert all(f"\n### {name}\n" in hooks for name in ("activations", "step_finished"))
    assert "| `layers` | `1` | number of transformer blocks. |" in site[0].pages["reference/keys.md"]


def test_the_reference_has_what_the_page_on_python_shows_of_a_run_and_a_sweep(site):
    """The attributes and methods with what they return, and what each is for."""
    text = site[0].pages["reference/results.md"]
    assert "```python\nRun.loss: float | None\n```\n\nThe last validation loss" in text
    assert "```python\nSweep.report(**options: Any) -> Report\n```\n\nCompare" in text
    page = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    used = [
        f"{kind}.{name}"
        for var, kind in (("run", "Run"), ("found", "Sweep"))
        for name in re.findall(rf"\b{var}\.(\w+)", page)
    ]
    assert {"Run.weights", "Run.inspect", "Sweep.runs", "Sweep.report"} <= set(used)
    for each in set(used) - {"Run.folder", "Sweep.folder"}:
        assert re.search(rf"\n### {each}\n\n```python\n{each}[:(]", text), each
    views = site[0].pages["reference/views.md"]
    assert "```python\nInspection.heads: Views[Head]\n```\n\nWhere each attention head looked." in views
    assert "\n- `probability, nats`: of that token" in views


def test_docstrings_become_lists_and_examples():
    text = "A * B.\n\nx: one\n    of two.\ny: another.\n\n>>> f(1)  # doctest: +SKIP\n2"
    assert prose.markdown(text) == (
        "A \\* B.\n\n- `x`: one\n  of two.\n- `y`: another.\n\n```pycon\n>>> f(1)\n2\n```"
    )
    assert prose.markdown(text, frozenset("x")) == "A \\* B.\n\n- `y`: another.\n\n```pycon\n>>> f(1)\n2\n```"


def test_the_run_to_open_is_that_of_its_recipe(tmp_path):
    """Its loss is the figure of the first seed in the recipe's report, on whichever backend."""
    PAGES["run.html"](tmp_path / "run.html")
    shown = (tmp_path / "run.html").read_text(encoding="utf-8")
    report = json.loads((ROOT / "experiments" / "parts" / "report.json").read_text(encoding="utf-8"))
    (default,) = (row for row in report["rows"] if row["setting"] == {"change": "none"})
    assert f">{default['figures'][0]:.4f}</td>" in shown and "<polyline" in shown


@pytest.mark.slow
def test_the_site_is_built_without_a_warning_and_needs_no_network(tmp_path, capfd):
    if not importlib.util.find_spec("zensical"):
        pytest.skip("needs Zensical")
    from making import make

    assert make(tmp_path) == 0, capfd.readouterr()
    pages = list((tmp_path / "site").rglob("*.html"))
    assert len(pages) > 200
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert not re.search(
            r'<(?:script|img|iframe)[^>]* src="(?:https?:)?//|<link[^>]* href="(?:https?:)?//', text
        ), page
