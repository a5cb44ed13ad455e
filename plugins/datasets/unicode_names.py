import sys
from unicodedata import ucd_3_2_0

from microgpt_lab import hookimpl

NUMBERED = ("CJK UNIFIED IDEOGRAPH", "CJK COMPATIBILITY IDEOGRAPH", "HANGUL SYLLABLE")


def unicode_names():
    """The names of 12,886 characters of Unicode 3.2, the same in every Python; without those that are
    made of a number or of parts.
    """
    names = (ucd_3_2_0.name(chr(code), "") for code in range(sys.maxunicode + 1))
    return [name for name in names if name and not name.startswith(NUMBERED)]


@hookimpl
def datasets():
    return [unicode_names]
