import unicodedata
from pathlib import Path

from microgpt_lab import hookimpl
from microgpt_lab.core.reading import lines

LETTERS = str.maketrans({"ð": "d", "þ": "th", "æ": "ae"})


def without_accents(name):
    return "".join(c for c in unicodedata.normalize("NFD", name) if not unicodedata.combining(c))


def icelandic_names(*, transliterate: bool = False):
    """3,742 Icelandic first names of men, then of women, in lower case (from the package Faker).

    transliterate: write ð as d, þ as th, æ as ae, and other letters without accents: 3,587 names of a–z.
    """
    names = lines(Path(__file__).with_name("icelandic_names.txt"))
    if not transliterate:
        return names
    return list(dict.fromkeys(without_accents(name.translate(LETTERS)) for name in names))


@hookimpl
def datasets():
    return [icelandic_names]
