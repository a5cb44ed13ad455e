"""Write everything that a replay shows as one HTML file that needs nothing else: no network, no other file.

The facts are computed here and by the views. The scripts of the page compute gradients from the graph
(page/backward.js), and show the rest.
"""

from __future__ import annotations

import ast
import math
from importlib import resources
from typing import Any

from microgpt_lab.errors import printable
from microgpt_lab.inspection.ablation import Ablation, ablations
from microgpt_lab.inspection.against import Against
from microgpt_lab.inspection.attention import heads
from microgpt_lab.inspection.attribution import Attribution, attribution
from microgpt_lab.inspection.budget import Facts, dumps, fitted
from microgpt_lab.inspection.embeddings import embeddings
from microgpt_lab.inspection.expected import Lens, Prediction, expected, lens
from microgpt_lab.inspection.figures import ablation_table, against_table, embedding_maps, health_figures
from microgpt_lab.inspection.graph import graph
from microgpt_lab.inspection.health import Health
from microgpt_lab.inspection.rendering import Views
from microgpt_lab.inspection.replay import Replay, Rows
from microgpt_lab.inspection.source import GENERAL, PACKAGE

SCRIPTS = ("backward", "draw", "expected", "attention", "why", "code", "value", "figures", "main")
MOST_CANDIDATES = 27  # tokens of the vocabulary for which sums are shown, with the one that came
DIGITS = 5  # significant digits of numbers that are shown; those of the graph have all


def page(replay: Replay, run: str, health: Health, against: Against | None = None, other: str = "") -> str:
    """Return the page of a replay of the run with this name.

    against, other: what another run makes of the same text, and the name of that run.
    """
    sent = facts(replay, run) | {
        "health": rounded(health_figures(health)),
        "against": rounded([against_table(against, printable(run), printable(other))]) if against else None,
    }
    sent["texts"] |= {"health-note": "\n".join(health.notes)}
    return filled(fitted(sent))


def filled(facts: Facts) -> str:
    """Return the template with its style, its scripts, and these facts as JSON."""
    folder = resources.files("microgpt_lab.inspection") / "page"
    texts = {name: (folder / name).read_text("utf-8") for name in ("index.html", "style.css")}
    scripts = "\n".join((folder / f"{name}.js").read_text("utf-8") for name in SCRIPTS)
    data = dumps(facts).replace("<", "\\u003c")
    page = texts["index.html"].replace("/*STYLE*/", texts["style.css"]).replace("/*SCRIPTS*/", scripts)
    return page.replace("/*FACTS*/", data)


def facts(replay: Replay, run: str) -> Facts:
    """Return all that the page shows, as JSON."""
    explained, removed, found, model = attribution(replay), ablations(replay), expected(replay), replay.model
    early = lens(replay, explained)
    nats = [each.nats for each in found]
    attention, code = attention_facts(replay, explained, removed), code_facts(replay)
    size = f"layers={model.layers}, heads={model.heads}, embed={model.embed}"
    text = short(replay.text)
    return rounded(
        {
            "title": f"“{text}”, seen by {printable(run)}",
            "texts": {
                "title": f"“{text}”",
                "subtitle": f"{printable(run)}, {replay.loss.item():.4f} nats per token; {size}",
                "notes": "\n".join(replay.notes),
                "lens-note": early.note,
                "attention-note": attention["note"],
                "why-lead": explained.note,
                "counts": code["counts"],
            },
            "start": nats.index(max(nats)),
            "tokens": [replay.labels[i] for i in replay.ids],
            "labels": list(replay.labels),
            "predictions": [vars(each) | {"context": context(each)} for each in found],
            "lens": lens_facts(early),
            "attention": attention,
            "why": why_facts(explained),
            "embeddings": embedding_maps(embeddings(replay)),
            "ablation": [ablation_table(removed)] if removed else None,
        }
    ) | {"code": code}


def context(prediction: Prediction, most: int = 12) -> str:
    """The last tokens that the model had read."""
    return "".join(prediction.context[-most:])


def lens_facts(found: Lens) -> Facts:
    """For each place, the likeliest token of each prediction, and the probability of the one that came."""
    places = []
    for name, rows in zip(found.places, found.probabilities, strict=True):
        best = [row.index(max(row)) for row in rows]
        places.append(
            {
                "name": name,
                "likeliest": [[found.labels[c], row[c]] for c, row in zip(best, rows, strict=True)],
                "came": [row[c] for c, row in zip(found.came, rows, strict=True)],
            }
        )
    return {"places": places}


def attention_facts(replay: Replay, explained: Attribution, removed: Views[Ablation]) -> Facts:
    found, notes = [], []
    for head in heads(replay, explained, removed):
        notes.append(head.note)
        entry = {
            "name": f"head {head.head}"
            if replay.model.layers == 1
            else f"layer {head.layer} head {head.head}",
            "layer": head.layer,
            "pattern": triangle(head.pattern),
            "adds": triangle(head.adds),
            "without": head.without,
        }
        found.append(entry)
    added = [abs(x) for head in found for row in head["adds"] or () for x in row if x is not None]
    return {
        "heads": found,
        "top": max(added, default=1.0) or 1.0,
        "note": "\n".join(filter(None, dict.fromkeys(notes))),
    }


def triangle(rows: Rows | None) -> list[list[float | None]] | None:
    """Leave out what lies in the future."""
    if rows is None:
        return None
    return [[x if s <= t else None for s, x in enumerate(row)] for t, row in enumerate(rows)]


def why_facts(explained: Attribution) -> list[Facts]:
    """For each prediction, the sums of the likeliest tokens and of the one that came."""
    named, found = explained.by_name(), []
    for t, (p, came) in enumerate(zip(explained.probabilities, explained.came, strict=True)):
        order = sorted(range(len(p)), key=lambda c: -explained.logits[t][c])
        chosen = order[: MOST_CANDIDATES + 1]
        if came not in chosen:
            chosen[-1] = came
        found.append(
            {
                "came": chosen.index(came),
                "candidates": [[explained.labels[c], p[c]] for c in chosen],
                "logits": [explained.logits[t][c] for c in chosen],
                "parts": [
                    {"name": name, "adds": [sum(e.logits[t][c] for e in entries) for c in chosen]}
                    for name, entries in named.items()
                ],
                "sources": [
                    {
                        "name": name,
                        "adds": [[e.logits[t][c] for e in entries if (e.source or 0) <= t] for c in chosen],
                    }
                    for name, entries in named.items()
                    if entries[0].kind == "head"
                ],
            }
        )
    return found


def code_facts(replay: Replay) -> Facts:
    """The graph, and the lines of the functions that made its tensors, without their docstrings."""
    if not replay.has_gradients:
        return {"graph": None, "source": [], "counts": replay.notes[-1]}
    sent = graph(replay)
    hidden = {i for i, f in enumerate(sent["functions"]) if str(PACKAGE.parent / f["file"]) in GENERAL}
    for tensor in sent["tensors"]:
        lines = [each for each in tensor.pop("lines") if each[0] not in hidden]
        tensor["line"] = lines[0] if lines and (tensor["names"] or not tensor["is_view"]) else None
    source = [
        {"index": i, "name": f["name"], "file": f["file"], "lines": listing(f["first"], f["lines"])}
        for i, f in enumerate(sent.pop("functions"))
        if i not in hidden
    ]
    values, edges, tensors = (f"{sent['counts'][name]:,} {name}" for name in ("values", "edges", "tensors"))
    return {"graph": sent, "source": source, "counts": f"{values} in {tensors}, and {edges} between them"}


def listing(first: int, lines: tuple[str, ...]) -> list[tuple[int, str]]:
    """Number the lines of a function, without its docstring, empty lines and indentation."""
    indent = len(lines[0]) - len(lines[0].lstrip())
    text = [line[indent:] for line in lines]
    hidden: set[int] = set()
    function = ast.parse("\n".join(text)).body[0]
    if isinstance(function, ast.FunctionDef) and ast.get_docstring(function):
        hidden = set(range(function.body[0].lineno - 1, function.body[0].end_lineno or 0))
    return [(first + i, line) for i, line in enumerate(text) if line.strip() and i not in hidden]


def rounded(x: Any) -> Any:
    """Round all numbers to the digits that are shown. What is not finite becomes null."""
    if isinstance(x, float):
        return float(f"{x:.{DIGITS}g}") if math.isfinite(x) else None
    if isinstance(x, dict):
        return {key: rounded(each) for key, each in x.items()}
    return [rounded(each) for each in x] if isinstance(x, (list, tuple)) else x


def short(text: str, most: int = 40) -> str:
    text = printable(text)
    return text if len(text) <= most else f"{text[: most - 1]}…"
