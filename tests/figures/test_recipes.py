"""The figures in the README of a recipe are those of its report; experiments/README.md repeats its answer.

A figure with another source (a published one, a run that is not kept) is listed in the recipe's
expected.json, under `quoted`: {"makemore's transformer (Karpathy, 2022)": [1.92]}. Times are its keys that
end in `seconds`.
"""

import re
from itertools import chain

import pytest
from recipes import NAMES, TABLE, Recipe, table
from stated import (
    COUNT,
    assert_has_table,
    assert_known,
    prose,
    unknown,
    unknown_intervals,
    unknown_times,
    value,
)

SOURCES = "report.json, recipe.yaml and expected.json (others: its 'quoted', with their source)"
BY_SEED = "by seed"  # a paragraph or table that says so has gaps of single seeds


@pytest.fixture(scope="module", params=NAMES)
def recipe(request):
    return Recipe(request.param)


def assert_none(recipe, lines):
    assert_known(recipe.page, SOURCES, lines)


def test_every_figure_is_one_of_the_recipes_files(recipe):
    known = [*recipe.known()]
    paragraphs = prose(f"{recipe.text}\n\n{recipe.question()}").splitlines()
    by_seed = chain.from_iterable(recipe.intervals_by_seed()) if BY_SEED in recipe.text else ()
    known_by_seed = {*known, *by_seed}
    every = (unknown(each, known_by_seed if BY_SEED in each else known) for each in paragraphs)
    assert_none(recipe, chain.from_iterable(every))


def test_every_interval_is_that_of_a_row(recipe):
    paragraphs = prose(recipe.text).splitlines()
    every = (
        unknown_intervals(each, recipe.intervals_by_seed() if BY_SEED in each else recipe.intervals())
        for each in paragraphs
    )
    assert_none(recipe, chain.from_iterable(every))


def test_every_time_is_in_expected_json(recipe):
    assert_none(recipe, unknown_times(prose(recipe.text), recipe.seconds()))


def test_every_number_of_seeds_is_right(recipe):
    found = re.finditer(rf"(?i)({COUNT}) seeds?\b", prose(f"{recipe.text}\n\n{recipe.question()}"))
    wrong = [each[0] for each in found if value(each[1]) not in {1, *recipe.seeds()}]
    known = sorted(int(x) for x in recipe.seeds() if x % 1 == 0)
    assert_none(recipe, (f"{each!r}; known are {known}" for each in wrong))


def test_a_recipe_has_a_question_and_an_answer(recipe):
    assert "?" in recipe.question(), f"{recipe.name}/recipe.yaml: its second line is not a question"
    assert recipe.answer(), f"{recipe.page} needs a paragraph that begins with **Answer.**"
    assert "](" not in recipe.answer(), "the answer is copied into experiments/README.md: no links"


def test_the_table_of_all_recipes_has_their_answers():
    assert_has_table(TABLE, table())
