import sys
from unicodedata import ucd_3_2_0

from microgpt_lab import hookimpl

DERIVED = ("CJK UNIFIED IDEOGRAPH", "CJK COMPATIBILITY IDEOGRAPH", "HANGUL SYLLABLE")


def unicode_names():
    """The names of 12,886 characters of Unicode 3.2, the same in every version of Python.

    Characters whose name is derived (ideographs from their number, Hangul syllables from their parts) are
    left out.
    """
    names = (ucd_3_2_0.name(chr(code), "") for code in range(sys.maxunicode + 1))
    return [name for name in names if name and not name.startswith(DERIVED)]


@hookimpl
def datasets():
    return [unicode_names]
