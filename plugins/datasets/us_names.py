from pathlib import Path

from microgpt_lab import hookimpl
from microgpt_lab.core.reading import lines


def us_names():
    """32,257 first names of people born in the United States in 2018 (Social Security Administration)."""
    return lines(Path(__file__).with_name("us_names.txt"))


@hookimpl
def datasets():
    return [us_names]
