"""The budget of a page: what a page of a large model, or of a long text, leaves out.

The page of 16 tokens through the default model has 0.6 MB. Above the budget, the page leaves out what takes
most and can be seen elsewhere, as little as it can, and says in a line of its notes what, and how to see it.
"""

from __future__ import annotations

import json
from typing import Any

Facts = dict[str, Any]
BUDGET = 1_450_000  # bytes of the facts: with style and scripts, the page has 1.5 MB
LINE = 200  # bytes of a line that says what is left out
FEWEST = 6  # tokens for which sums are shown, with the one that came


def fitted(facts: Facts) -> Facts:
    """Leave something out, and say so, if the facts of a page are above the budget."""
    for steps in ([], [fewer_sums], [no_code], [no_code, fewer_sums], [no_code, fewer_sums, fewer_heads]):
        found = {**facts, "texts": dict(facts["texts"])}
        for leave_out in steps:
            leave_out(found, size(found) - BUDGET)
        if size(found) <= BUDGET:
            break
    return found


def dumps(x: Any) -> str:
    return json.dumps(x, separators=(",", ":"), allow_nan=False)


def size(x: Any) -> int:
    return len(dumps(x))


def note(facts: Facts, line: str) -> None:
    """Add a line to the notes, which stand at the beginning of the page."""
    facts["texts"]["notes"] = "\n".join(filter(None, (facts["texts"]["notes"], line)))


def fewer_sums(facts: Facts, excess: int) -> None:
    """Keep the sums of fewer tokens: of the likeliest, and of the one that came."""
    sums, count = facts["why"], len(facts["why"][0]["candidates"])
    most, kept = size(sums) - excess - LINE, count
    while kept > FEWEST and size(facts["why"]) > most:
        kept -= 1
        facts["why"] = [fewer(each, kept) for each in sums]
    if kept < count:
        note(facts, f"Why shows {kept} tokens instead of {count}: a shorter --text leaves room for more.")


def fewer(sums: Facts, count: int) -> Facts:
    """Keep the first `count` tokens, with the one that came as the last if it would be left out."""
    came = sums["came"]
    kept = [*range(count)] if came < count else [*range(count - 1), came]

    def some(x: list[Any]) -> list[Any]:
        return [x[k] for k in kept]

    return {
        "came": kept.index(came),
        "candidates": some(sums["candidates"]),
        "logits": some(sums["logits"]),
        "parts": [part | {"adds": some(part["adds"])} for part in sums["parts"]],
        "sources": [source | {"adds": some(source["adds"])} for source in sums["sources"]],
    }


def no_code(facts: Facts, excess: int) -> None:
    """Leave out the code and its Values."""
    if not facts["code"]["graph"]:
        return
    line = f"The code and its numbers are left out: they would take {size(facts['code']) / 1e6:.1f} MB."
    facts["code"] = {"graph": None, "source": []}
    facts["texts"]["counts"] = line
    note(facts, f"{line} --explain and --print show each number; a shorter --text leaves room for all.")


def fewer_heads(facts: Facts, excess: int) -> None:
    """Keep the patterns of the heads without which the loss changes most."""
    found, room = facts["attention"]["heads"], size(facts["attention"]["heads"]) - excess - LINE
    kept: set[int] = set()
    for i in sorted(range(len(found)), key=lambda i: -abs(found[i]["without"] or 0.0)):
        if (room := room - size(found[i])) < 0:
            break
        kept.add(i)
    facts["attention"] = facts["attention"] | {"heads": [each for i, each in enumerate(found) if i in kept]}
    which = f"of {len(kept)} of {len(found)} heads, those without which the loss changes most"
    line = f"Attention shows the patterns {which}" if kept else "Attention shows no pattern"
    note(facts, f"{line}: --print layer0.attention.pattern shows all of a layer.")
