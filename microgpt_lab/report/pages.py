"""Write a report: report.md, report.html, report.json and the figures, into the sweep's folder."""

from __future__ import annotations

import json
import re
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from microgpt_lab.errors import UserError
from microgpt_lab.report import wording
from microgpt_lab.report.analysis import Analysis, Row
from microgpt_lab.report.figures import MOST_CURVES, curves, forest
from microgpt_lab.run.folder import read_json

if TYPE_CHECKING:
    import pandas


def write(found: Analysis, frame: pandas.DataFrame, sweep: Path) -> list[Path]:
    """Write all files of the report, and return them."""
    looks = count_looks(found, sweep)
    figures = {"report.svg": forest(found), "report-curves.svg": curves(found, sweep)}
    facts = page(found, frame, sweep) | {
        "gaps": figures["report.svg"],
        "curves": figures["report-curves.svg"],
    }
    files = {
        "report.md": render("report.md", facts),
        "report.html": render("report.html", facts),
        "report.json": json.dumps(figures_of(found) | {"looks": looks}, indent=1) + "\n",
    }
    for name, text in (files | figures).items():
        path = sweep / name
        if path.is_dir() and not path.is_symlink():
            raise UserError(f"{path} is a folder: the report cannot be written there")
        path.unlink(missing_ok=True)  # a link is not written through
        if text:
            path.write_text(text, encoding="utf-8")
    return [sweep / name for name, text in (files | figures).items() if text]


def count_looks(found: Analysis, sweep: Path) -> dict[str, list[int]]:
    """The seeds at each report of each question, this one added; with more than one, a note says so."""
    known = read_json(sweep / "report.json").get("looks", {})
    if found.comparison:
        question = found.question
        key = f"{question.metric} by {','.join(found.keys)}"
        key += "".join(
            f" {name} {x}" for name, x in (("best", question.best), ("against", question.against)) if x
        )
        seeds = found.comparison.seeds
        now = known[key] = [*(n for n in known.get(key, []) if n < seeds), seeds]
        if len(now) > 1:
            found.notes.append(wording.looks_note(now, fresh_seeds(found)))
    return known


def fresh_seeds(found: Analysis) -> str:
    """The override that runs as many seeds again, none of them used yet."""
    used = [seed for seed in found.runs.seeds if isinstance(seed, (int, float))]
    first = int(max(used, default=0)) + 1
    return f"'seed=range({first},{first + len(found.runs.seeds)})'"


def page(found: Analysis, frame: pandas.DataFrame, sweep: Path) -> dict[str, Any]:
    """What the templates show."""
    counts = frame["status"].value_counts()
    seeds = [seed for seed in found.runs.seeds if seed is not None]
    title = " × ".join(found.keys or ["one setting"])
    return {
        "title": f"{title}, {len(seeds)} seeds" if len(seeds) > 1 else title,
        "folder": sweep,
        "counts": f"{len(frame)} runs: " + ", ".join(f"{n} {status}" for status, n in counts.items()),
        "metric": found.question.metric,
        "better": "higher" if found.sign < 0 else "lower",
        "keys": found.keys,
        "rows": [shown(found, place, row) for place, row in enumerate(found.rows, start=1)],
        "compared_with": compared_with(found),
        "notes": found.notes,
        "troubles": [trouble(row) for row in found.rows if set(row.setting.statuses) - {"ok"}]
        + damaged(frame),
        "swept": frame.attrs["swept"],
        "fixed": frame.attrs["fixed"],
        "environments": [machine(environment) for environment in frame.attrs["environments"]],
        "curves_left_out": max(0, len(found.compared) - MOST_CURVES),
        "most_curves": MOST_CURVES,
    }


def compared_with(found: Analysis) -> str:
    if found.reference is None:
        return "comparison"
    return f"compared with {found.kind}, {found.reference.setting.name}"


def shown(found: Analysis, place: int, row: Row) -> dict[str, Any]:
    """A row of the table, as text."""
    setting = row.setting
    return {
        "place": str(place) if row.column is not None else "",
        "keys": [str(setting.keys[key]) for key in found.keys],
        "mean": "" if row.mean is None else wording.amount(row.mean, 4),
        "deviation": "" if row.deviation is None else wording.amount(row.deviation, 4),
        "seeds": str(len(row.figures)),
        "parameters": f"{setting.parameters:,.0f}" if setting.parameters else "",
        "seconds": f"{setting.seconds:.1f}" if setting.seconds else "",
        "verdict": row.verdict,
        "p": "" if row.p is None else f"{row.p:.2g}" if row.p >= 0.0002 else "< 0.0002",
        "style": "aside" if row.column is None else "" if row.significant else "open",
    }


def trouble(row: Row) -> str:
    statuses = row.setting.statuses.items()
    what = ", ".join(f"{n} {status}" for status, n in statuses if status != "ok")
    return f"{row.setting.name}: {what} of {row.setting.runs}"


def damaged(frame: pandas.DataFrame) -> list[str]:
    """The folders that cannot be read, and why."""
    rows = frame[frame["status"] == "damaged"]
    return [f"{folder} is damaged: {error}" for folder, error in rows["error"].items()] if len(rows) else []


def machine(environment: dict[str, Any]) -> str:
    """Where runs were made, in one line."""
    packages = environment.get("packages") or {}
    commit = str(environment.get("git_commit") or "none")[:10]
    facts = [
        f"commit {commit}" + (" (dirty)" if environment.get("git_dirty") else ""),
        f"Python {str(environment.get('python', '?')).partition(' ')[0]}",
        *(f"{name} {version}" for name, version in packages.items() if version),
        str(environment.get("platform", "?")),
    ]
    return ", ".join(facts) + (f", {environment['cores']} cores" if "cores" in environment else "")


def figures_of(found: Analysis) -> dict[str, Any]:
    """The report as data, with all digits."""
    comparison = found.comparison
    return {
        "metric": found.question.metric,
        "best": found.question.best,
        "baseline": found.question.against,
        "seeds": comparison.seeds if comparison else int(found.aligned.seeds.sum()),
        "rows": [
            {
                "setting": row.setting.keys,
                "mean": row.mean,
                "figures": row.figures,
                "compared": row.column is not None,
                "verdict": row.verdict,
                "gap": row.gap,
                "interval": None if row.low is None else [row.low, row.high],
                "p": row.p,
                "significant": row.significant,
                "statuses": row.setting.statuses,
            }
            for row in found.rows
        ],
    }


def render(name: str, facts: dict[str, Any]) -> str:
    """Fill a template; whatever a stranger's run holds is text in it."""
    import jinja2
    from markupsafe import Markup

    html = name.endswith(".html")
    environment = jinja2.Environment(
        autoescape=html,
        trim_blocks=True,
        undefined=jinja2.StrictUndefined,
        finalize=None if html else as_markdown,
    )
    texts = resources.files("microgpt_lab.report") / "templates"
    inline = {key: Markup(facts[key][facts[key].find("<svg") :]) for key in ("gaps", "curves") if facts[key]}
    return environment.from_string((texts / name).read_text(encoding="utf-8")).render(facts | inline)


def as_markdown(value: Any) -> str:
    """Text with what Markdown or HTML would read as marks escaped."""
    text = str(value).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*|\[\]])", r"\\\1", text)
