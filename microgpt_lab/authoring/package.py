"""The files of a new part, made of the templates: parts/KIND.py, and what is in package/ around it.

In a template, `my_part` and `MyPart` stand for the part's name, so that each part of parts/ runs as it is.
`@kind@` and the like stand for other words. The names in package/ end in .txt, so that no tool takes its
files for those of the lab.
"""

from __future__ import annotations

import datetime
import json
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from microgpt_lab.options.keys import defaults
from microgpt_lab.registry.versions import HOOKS
from microgpt_lab.registry.versions import NAME as HOOKS_OF_MODULE

TEMPLATES = Path(__file__).with_name("templates")
SEEDS = "'seed=range(20)' backend=auto hydra.sweep.dir=runs/my_part"
LEARNING_RATES = "optimizer.lr=0.001,0.003,0.01,0.03"
# Commands that show what a part is good for, by kind; for other kinds, a sweep with the default part.
COMPARISONS = {
    "optimizer": f"tune optimizer.lr {LEARNING_RATES} optimizer=@default@,my_part {SEEDS}",
    "dataset": f"-m dataset=my_part activation=relu,gelu {SEEDS}",
    "sampler": "sample sampler=my_part",
    "backend": "bench",
    "callback": "",
}


class Author(NamedTuple):
    """Who writes a part: a person, with or without an e-mail address, or several people."""

    name: str
    email: str = ""
    person: bool = True


def class_name(name: str) -> str:
    """Return the name of the class of a part: SwishBeta for swish_beta."""
    return "".join(word.capitalize() for word in name.split("_"))


def filled(text: str, words: Mapping[str, str]) -> str:
    """Return the text of a template with other words in their places. They are not searched again."""
    return re.sub(r"my_part|my-part|MyPart|@\w+@", lambda found: words[found[0]], text)


def own_words(name: str) -> dict[str, str]:
    """Return what stands for the name of a part in the templates."""
    return {"my_part": name, "my-part": name.replace("_", "-"), "MyPart": class_name(name)}


def part_source(kind: str, name: str) -> str:
    """Return the module of a new part, which states the version of the hooks that it is written for."""
    text = filled((TEMPLATES / "parts" / f"{kind}.py").read_text(encoding="utf-8"), own_words(name))
    return text.replace(
        "\n@hookimpl", f"\n{HOOKS_OF_MODULE} = {HOOKS}  # of microgpt_lab's versions\n\n\n@hookimpl"
    )


def package(kind: str, name: str, author: Author, version: str) -> dict[str, str]:
    """Return the text of each file of a new package, by its path. `version` is that of the lab."""
    today, source = datetime.date.today(), part_source(kind, name)
    words = own_words(name) | {"@kind@": kind, "@default@": defaults()[kind][0]}
    words |= {"@date@": today.isoformat(), "@year@": str(today.year), "@author@": author.name}
    words |= {"@author_toml@": author_toml(author), "@author_cff@": author_cff(author)}
    words |= {"@summary@": summary(source), "@versions@": versions(version), "@use@": override(kind, name)}
    words["@compare@"] = comparison(kind, words)
    files = {filled(path, words): filled(text, words) for path, text in around().items()}
    return {f"{name}.py": source} | files


def around() -> dict[str, str]:
    """Return the templates of all files of a package but the part, by path. Hidden files come last."""
    folder = TEMPLATES / "package"
    files = {path.relative_to(folder).as_posix().removesuffix(".txt"): path for path in folder.rglob("*.txt")}
    shown = sorted(files, key=lambda name: (name.startswith("."), name))
    return {name: files[name].read_text(encoding="utf-8") for name in shown}


def override(kind: str, name: str) -> str:
    """Return how a part is chosen on the command line."""
    return f"'callback=[...,{name}]'" if kind == "callback" else f"{kind}={name}"


def comparison(kind: str, words: Mapping[str, str]) -> str:
    """Return the section of the README that compares the part with others; '' for a callback."""
    command = COMPARISONS.get(kind, f"-m {kind}=@default@,my_part {SEEDS}")
    if not command:
        return ""
    report = "python -m microgpt_lab report runs/my_part\n" if SEEDS in command else ""
    lines = f"python -m microgpt_lab {command}\n{report}"
    return filled(f"## Compare\n\n```sh\n{lines}```\n\n", words)


def summary(source: str) -> str:
    """Return the first line of the docstring of a part, which comes first in its module."""
    return source.partition('"""')[2].partition("\n")[0].removesuffix('"""')


def versions(version: str) -> str:
    """Return the versions of the lab that a part runs with which was written for one.

    >>> versions("0.1.0"), versions("2.3.1")
    ('>=0.1,<0.2', '>=2.3,<3')
    """
    major, minor = map(int, version.split(".")[:2])
    return f">={major}.{minor},<{major + 1 if major else f'0.{minor + 1}'}"


def author_of(name: str, folder: Path) -> Author:
    """Return the author that git knows in a folder; "The NAME authors" without git, or without a name."""

    def setting(key: str) -> str:
        command = ["git", "config", "--get", key]
        try:
            done = subprocess.run(
                command, cwd=folder, capture_output=True, encoding="utf-8", errors="replace"
            )
        except OSError:
            return ""
        return "".join(char for char in done.stdout.strip() if char.isprintable())

    person, email = setting("user.name"), setting("user.email")
    if not person:
        return Author(f"The {name} authors", person=False)
    return Author(person, email if re.fullmatch(r"[\w.+-]+@[\w.-]+", email, re.ASCII) else "")


def author_toml(author: Author) -> str:
    """Return an author as an inline table of TOML."""
    email = f", email = {quoted(author.email)}" if author.email else ""
    return f"{{ name = {quoted(author.name)}{email} }}"


def author_cff(author: Author) -> str:
    """Return an author as an entry of a CITATION.cff. The last name of a person is the family name."""
    given, _, family = author.name.rpartition(" ")
    if not author.person or not given:
        return f"  - name: {quoted(author.name)}"
    return f"  - given-names: {quoted(given)}\n    family-names: {quoted(family)}"


def quoted(text: str) -> str:
    """Return a text as a string of TOML and of YAML."""
    return json.dumps(text, ensure_ascii=False)
