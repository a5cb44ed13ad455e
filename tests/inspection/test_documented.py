"""docs/inspect.md shows what `inspect` prints, and its Python runs."""

import re
import shlex
from pathlib import Path

import pytest

from microgpt_lab.commands import main

PAGE = (Path(__file__).parents[2] / "docs" / "inspect.md").read_text(encoding="utf-8")
CONSOLE = re.findall(r"```console\n\$ python -m microgpt_lab ([^\n]*)\n(.*?)```", PAGE, flags=re.S)


@pytest.mark.parametrize(("command", "shown"), CONSOLE, ids=range(len(CONSOLE)))
def test_the_page_shows_what_inspect_prints(command, shown, capsys):
    assert main(shlex.split(command)) == 0
    printed = capsys.readouterr().out
    for piece in filter(None, shown.split("…\n")):
        assert piece in printed


def test_the_python_of_the_page_runs():
    names = {}
    for source in re.findall(r"```python\n(.*?)```", PAGE, flags=re.S):
        exec(source, names)
    assert f"{100 * names['expected'](names['emma'])[2].probability:.1f} %" in PAGE
    assert f"It is {names['change']['layer0 head 1']:.3f}." in PAGE
    (before, (after,)) = names["expected"](names["emma"])[2].nats, names["nats"].tolist()[2]
    assert f"costs {after:.2f} nats\nin place of {before:.2f}:" in PAGE


def test_the_page_shows_enough():
    assert len(CONSOLE) == 5
