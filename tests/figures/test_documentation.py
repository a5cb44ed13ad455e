"""Measured figures in README and docs come from docs/figures.json, and those of recipes from their folders.

There, `measured` has commands, machines and dates. `quoted` has figures that are not measured (limits,
defaults) or that another test holds, by page, with their source.
"""

import json
import re
from itertools import chain, product

import pytest
from benchmarks.table import FIGURES, SIZES, speeds
from recipes import NAMES, Recipe
from stated import ROOT, assert_has_table, assert_known, leaves, prose, quantities, unknown, unknown_times

STORED = json.loads(FIGURES.read_text(encoding="utf-8"))
MEASURED = STORED["measured"]
PAGES = ["README.md", *sorted(f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md"))]
PAGES.remove("docs/reports.md")  # tests/simulation holds its figures
WHOLE = {"docs/backends.md": ("How fast", "The middle size"), "docs/compiled.md": ("How fast",)}
CORE = [f"microgpt_lab/core/{name}.py" for name in ("autograd", "ops", "model", "trainer")]
TENSORS = [f"microgpt_lab/{name}.py" for name in ("tensors/tensor", "tensors/views", "core/floats")]
LINES = [
    ("README.md", "about 500 lines", CORE),
    ("README.md", "Another 500 lines", TENSORS),
    ("docs/backends.md", "300 lines to read", ["plugins/backends/numpy/*.py"]),
    ("docs/reports.md", "in 200 lines", ["microgpt_lab/report/comparison.py"]),
    ("docs/text.md", "60 lines", ["plugins/tokenizers/bpe/merges.py"]),
]
SOURCES = "docs/figures.json (`measured` or `quoted`)"


def text_of(page):
    return (ROOT / page).read_text(encoding="utf-8")


def known(page):
    """The figures that are stored for a page."""
    for measured in MEASURED.values():
        if page in measured["pages"]:
            yield from leaves({key: x for key, x in measured.items() if key not in ("date", "command")})
    yield from leaves([*STORED["quoted"].get(page, {}).values()])


def sentences(page):
    text = re.sub(r"```.*?```", "", text_of(page), flags=re.S)
    return re.split(r"(?<=[.:?!])\s+(?=[A-Z*`\[])|\n\s*\n", text)


def recipes(sentence):
    """The recipes to which a sentence links."""
    return [Recipe(name) for name in NAMES if f"experiments/{name}/" in sentence]


@pytest.mark.parametrize("page", PAGES)
def test_every_measured_figure_is_stored(page):
    found = quantities(prose("\n".join(each for each in sentences(page) if not recipes(each))))
    assert_known(ROOT / page, SOURCES, unknown(found, known(page), at_least=0))


@pytest.mark.parametrize(("page", "heading"), [(page, each) for page, all_ in WHOLE.items() for each in all_])
def test_every_number_of_a_section_on_speed_is_stored(page, heading):
    _, level, section = re.split(rf"^(#+) {heading}\n", text_of(page), flags=re.M)
    section = re.split(rf"^#{{1,{len(level)}}} ", section, flags=re.M)[0]
    assert_known(ROOT / page, SOURCES, unknown(prose(section), known(page), at_least=17))


@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_states_of_a_recipe_is_in_the_recipes_folder(page):
    for sentence in sentences(page):
        for recipe in recipes(sentence):
            stated = prose(sentence)
            lines = chain(unknown(stated, recipe.known()), unknown_times(stated, recipe.seconds()))
            assert_known(ROOT / page, f"the files in experiments/{recipe.name}", lines)


def test_the_table_of_speeds_has_the_stored_figures():
    figures = MEASURED["µs per document"]["figures"]
    assert figures.keys() == SIZES.keys()
    assert_has_table(ROOT / "docs" / "backends.md", speeds(figures))


@pytest.mark.parametrize(("page", "said", "files"), LINES)
def test_files_have_about_the_stated_number_of_lines(page, said, files):
    assert said in prose(text_of(page)), f"{page} no longer says {said!r}"
    count = sum(len(file.read_text().splitlines()) for pattern in files for file in ROOT.glob(pattern))
    stated = int(re.search(r"\d+", said)[0])
    assert stated * 0.9 <= count <= stated * 1.1, f"{page} states {said}; {', '.join(files)} have {count}"


def test_rounded_speeds_lie_within_the_measured_ranges():
    measured = MEASURED["times as fast as the published algorithm"]
    ranges = dict(measured["figures"])
    for name, against_python in measured["c_times_python"].items():
        products = [a * b for a, b in product(against_python, ranges["python"])]
        ranges[name] = [min(products), max(products)]
    for name, figure in measured["rounded"].items():
        assert ranges[name][0] <= figure <= ranges[name][1], (name, figure, ranges[name])
