"""Read the figures that a page states, and look them up among known ones."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
NUMBER = r"(?<![\w.,^=-])(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:e-?\d+)?(?!\w|[.,]\d)"
WORDS = "one two three four five six seven eight nine ten eleven twelve"
COUNTS = {word: i for i, word in enumerate(WORDS.split(), 1)}
COUNT = rf"(?:{NUMBER}|\b(?:{'|'.join(COUNTS)})\b)"
UNITS = {"s": 1, "second": 1, "seconds": 1, "minute": 60, "minutes": 60, "hour": 3600, "hours": 3600}
SIGNS = {"both": [(-1, 1)], "better": [(-1, -1)], "worse": [(1, 1)], "unknown": [(-1, -1), (1, 1)]}
TIME = rf"(?i)({COUNT}|\bhalf an?)( and a half)? ({'|'.join(UNITS)})\b"


def prose(text: str) -> str:
    """The text without code and the targets of links, one line for each paragraph, item or table."""
    text = re.sub(r"```.*?```|<!--.*?-->", "", text, flags=re.S)
    text = re.sub(r"`[^`]*`", "", text)
    text = re.sub(r"\]\([^)]*\)", "]", text)
    return "\n".join(" ".join(part.split()) for part in re.split(r"\n\s*\n|\n(?=- |#)", text))


def value(token: str) -> float:
    """4192 for "4,192", 2 for "two"."""
    return COUNTS.get(token.lower()) or float(token.replace(",", ""))


def step(token: str) -> float:
    """Unit of the last digit: 0.001 for "2.093"."""
    if token.lower() in COUNTS:
        return 1.0
    digits, _, exponent = token.partition("e")
    return 10.0 ** (int(exponent or 0) - len(digits.partition(".")[2]))


def rounds_to(known: float, token: str) -> bool:
    """Whether a known figure, whatever its sign, is the stated one, rounded to the digits that are shown."""
    return abs(abs(known) - value(token)) <= 0.5000001 * step(token)


def is_year(token: str) -> bool:
    return bool(re.fullmatch(r"(19|20)\d\d", token))


def numbers(text: str) -> Iterator[float]:
    """All numbers of a text: a setting, a key, a line of YAML."""
    yield from (float(n.replace(",", "")) for n in re.findall(r"\d[\d,]*\d(?:\.\d+)?|\d+(?:\.\d+)?", text))


def leaves(data: object) -> Iterator[float]:
    """All numbers in the values and keys of parsed JSON or YAML, also those within strings."""
    if isinstance(data, dict):
        for key, each in data.items():
            yield from (*numbers(str(key)), *leaves(each))
    elif isinstance(data, list):
        for each in data:
            yield from leaves(each)
    elif isinstance(data, str):
        yield from numbers(data)
    elif isinstance(data, (int, float)):
        yield float(data)


def unknown(text: str, known: Iterable[float], at_least: float = 100) -> Iterator[str]:
    """A line for each decimal number, and each whole one from `at_least` on, that is no known figure."""
    known = {abs(x) for x in known}
    for found in re.finditer(rf"({NUMBER})( M| million)?\b", text):
        token, unit = found[1], 1e6 if found[2] else 1
        held = ("." in token or "e" in token or value(token) >= at_least) and not is_year(token)
        if held and not any(rounds_to(x / unit, token) for x in known):
            near = sorted(known, key=lambda x: abs(x - unit * value(token)))[:3]
            yield f"{token}; the nearest known figures are {', '.join(f'{x:.12g}' for x in near) or 'none'}"


def unknown_times(text: str, seconds: Iterable[float]) -> Iterator[str]:
    """A line for each time ("about four and a half minutes") to which none of the seconds round."""
    seconds = [*seconds]
    for found in re.finditer(TIME, text):
        half = found[1].lower().startswith("half")
        said = 0.5 if half else value(found[1]) + 0.5 * bool(found[2])
        within = 0.25 if half or found[2] else 0.5 * step(found[1])
        if not any(abs(x / UNITS[found[3].lower()] - said) <= within for x in seconds):
            yield f"{found[0]!r}; the known times are {', '.join(f'{x:g} s' for x in seconds) or 'none'}"


def intervals(text: str) -> Iterator[tuple[str, str, str, str]]:
    """(phrase, low, high, direction) of each interval; direction is better, worse, both or unknown."""
    number = f"({NUMBER})"
    for paragraph in text.splitlines():
        for found in re.finditer(rf"{number} better\W+(?:and |to )?{number} worse", paragraph):
            yield found[0], found[1], found[2], "both"
        for found in re.finditer(rf"(?<!from ){number} to {number}", paragraph):
            if "." in found[1] + found[2]:
                before = re.findall(r"(?i)better|worse", paragraph[: found.start()])
                yield found[0], found[1], found[2], before[-1].lower() if before else "unknown"


def unknown_intervals(text: str, known: Iterable[tuple[float, float]]) -> Iterator[str]:
    """A line for each interval that is neither that of a row nor the hull of those of two rows.

    A known interval is positive where a row is worse.
    """
    known = [*known]
    for phrase, low, high, direction in intervals(text):
        fits = []
        for a, b in SIGNS[direction]:
            ends = (low, high) if a * value(low) <= b * value(high) else (high, low)
            lows = [x for x in known if rounds_to(x[0], ends[0]) and x[0] * a >= -0.5 * step(low)]
            highs = [x for x in known if rounds_to(x[1], ends[1]) and x[1] * b >= -0.5 * step(high)]
            fits += [True for x in lows for y in highs if x == y or (x[0] <= y[0] and x[1] <= y[1])]
        if not fits:
            near = sorted(known, key=lambda x: abs(abs(x[0]) - value(low)) + abs(abs(x[1]) - value(high)))[:3]
            shown = "; ".join(f"{a:.4f} to {b:.4f}" for a, b in near) or "none"
            yield f"the interval {phrase!r} ({direction}); the nearest rows have (worse is positive) {shown}"


def quantities(text: str) -> str:
    """The numbers of a text with a unit, a factor or three decimals: "0.05 0.08" for "0.05 to 0.08 s"."""
    words = {**COUNTS, "half a": 0.5, "half an": 0.5, "about a": 1, "about an": 1}
    units = "|".join((*UNITS, "ms", "µs", "MB", "GB", "%", "times"))
    number = rf"{NUMBER}|\b(?:{'|'.join(words)})(?= (?:seconds?|minutes?|hours?)\b)"
    found = re.findall(rf"(?i)({number})(?:,? (?:to|and) ({NUMBER}))? ?(?:{units})(?!\w)", text)
    decimals = [token for token in re.findall(NUMBER, text) if step(token) < 0.01 and "e" not in token]
    return " ".join([*decimals, *(str(words.get(n.lower(), n)) for pair in found for n in pair if n)])


def assert_known(page: Path, sources: str, unknown_lines: Iterable[str]) -> None:
    """Raise AssertionError with a line for each figure without a source."""
    found = [f"{page.relative_to(ROOT)} states {line}" for line in unknown_lines]
    if found:
        raise AssertionError("\n".join(["", *found, f"Figures come from {sources}."]))


def assert_has_table(page: Path, table: str) -> None:
    text = page.read_text(encoding="utf-8")
    missing = [line for line in table.splitlines() if line not in text.splitlines()]
    if table not in text:
        lacks = "\n".join([f"{page.relative_to(ROOT)} lacks", *missing, "Run `python tests/figures`."])
        raise AssertionError(lacks)


def replace_table(page: Path, new: str) -> None:
    """Put a table in the place of the one with the same first line."""
    header = re.escape(new.partition("\n")[0])
    text = page.read_text(encoding="utf-8")
    text = re.sub(rf"^{header}\n(?:\|.*\n)*", lambda _: f"{new}\n", text, flags=re.M)
    page.write_text(text, encoding="utf-8")
