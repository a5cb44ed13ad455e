import gzip
from pathlib import Path

from microgpt_lab import Stream, hookimpl


def shakespeare():
    """Ten plays by Shakespeare in modern spelling: a stream of 1,372,663 characters (65 different ones)."""
    plays = gzip.decompress(Path(__file__).with_name("plays.txt.gz").read_bytes())
    return Stream(plays.decode().split("\f"))


@hookimpl
def datasets():
    return [shakespeare]
