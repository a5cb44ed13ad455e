"""Write report.md, report.html, report.json and the figures of a report into the folder of the sweep."""

from __future__ import annotations

import json
import re
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from microgpt_lab.errors import UserError
from microgpt_lab.report import wording
from microgpt_lab.report.analysis import Analysis, Row
from microgpt_lab.report.choice import without
from microgpt_lab.report.figures.curves import FEWEST_POINTS, MOST_CURVES, curves
from microgpt_lab.report.figures.forest import forest, seeds_shown
from microgpt_lab.report.pictures import FILES, pictures
from microgpt_lab.run.folder import read_json

if TYPE_CHECKING:
    import pandas

LONGEST_NAME = 50  # characters of the reference in a heading of the table


def write(analysis: Analysis, frame: pandas.DataFrame, sweep: Path) -> list[Path]:
    """Write all files of the report, and return their paths."""
    further = pictures(analysis, frame)
    looks = count_looks(analysis, sweep)
    figures = {"report.svg": forest(analysis), "report-curves.svg": curves(analysis, sweep)}
    if not analysis.same_tokenizer and not figures["report-curves.svg"]:
        analysis.notes.append(wording.no_curves(analysis.question.metric, FEWEST_POINTS))
    analysis.notes += [note for picture in further for note in picture.notes]
    facts = page(analysis, frame, sweep) | {
        "gaps": figures["report.svg"],
        "curves": figures["report-curves.svg"],
        "pictures": further,
    }
    figures |= dict.fromkeys(FILES, "") | {picture.file: picture.svg for picture in further}
    data = as_data(analysis) | {key: x for picture in further for key, x in picture.data.items()}
    files = {
        "report.md": render("report.md", facts),
        "report.html": render("report.html", facts),
        "report.json": json.dumps(data | {"looks": looks}, indent=1) + "\n",
    }
    for name, text in (files | figures).items():
        path = sweep / name
        if path.is_dir() and not path.is_symlink():
            raise UserError(f"{path} is a folder: the report cannot be written there")
        path.unlink(missing_ok=True)  # replace a link instead of writing to its target
        if text:
            path.write_text(text, encoding="utf-8")
    return [sweep / name for name, text in (files | figures).items() if text]


def count_looks(analysis: Analysis, sweep: Path) -> dict[str, list[int]]:
    """Record the number of seeds of this report, by question; add a note if there were earlier ones."""
    looks = read_json(sweep / "report.json").get("looks", {})
    if analysis.comparison:
        question = analysis.question
        key = f"{question.metric} by {','.join(analysis.keys)}"
        key += "".join(
            f" {name} {x}" for name, x in (("best", question.best), ("against", question.against)) if x
        )
        seeds = analysis.comparison.seeds
        counts = looks[key] = [*(n for n in looks.get(key, []) if n < seeds), seeds]
        allowed_for = analysis.rounds.until and seeds in analysis.rounds.looks  # by the intervals
        if len(counts) > 1 and not allowed_for:
            analysis.notes.append(wording.looks_note(counts, fresh_seeds(analysis)))
    return looks


def fresh_seeds(analysis: Analysis) -> str:
    """The override that runs the same number of new seeds."""
    used = [seed for seed in analysis.used_seeds if isinstance(seed, (int, float))]
    first = int(max(used, default=0)) + 1
    return f"'seed=range({first},{first + len(analysis.runs.seeds)})'"


def page(analysis: Analysis, frame: pandas.DataFrame, sweep: Path) -> dict[str, Any]:
    """The values that the templates show, by name."""
    counts = frame["status"].value_counts()
    seeds = [seed for seed in analysis.runs.seeds if seed is not None]
    title = " × ".join(without(analysis.keys, analysis.chosen) or ["one setting"])
    return {
        "title": f"{title}, {len(seeds)} seeds" if len(seeds) > 1 else title,
        "folder": sweep,
        "counts": f"{len(frame)} runs: " + ", ".join(f"{n} {status}" for status, n in counts.items()),
        "metric": analysis.question.metric,
        "better": "higher" if analysis.sign < 0 else "lower",
        "keys": analysis.keys,
        "rows": [row_cells(analysis, rank, row) for rank, row in enumerate(analysis.rows, start=1)],
        "compared_with": compared_with(analysis),
        "seeds_shown": seeds_shown(analysis),
        "notes": analysis.notes,
        "without_result": [
            missing_results(row) for row in analysis.rows if set(row.setting.statuses) - {"ok"}
        ]
        + damaged(frame),
        "swept": frame.attrs["swept"],
        "fixed": frame.attrs["fixed"],
        "environments": [describe_environment(environment) for environment in frame.attrs["environments"]],
        "curves_left_out": max(0, len(analysis.compared) - MOST_CURVES),
        "most_curves": MOST_CURVES,
    }


def compared_with(analysis: Analysis) -> str:
    if analysis.reference is None:
        return "comparison"
    name = analysis.reference.setting.name
    return f"compared with {analysis.reference_name}" + (f", {name}" if len(name) <= LONGEST_NAME else "")


def row_cells(analysis: Analysis, rank: int, row: Row) -> dict[str, Any]:
    """The cells of a row of the table, as text."""
    setting = row.setting
    return {
        "rank": str(rank) if row.column is not None else "",
        "keys": [str(setting.keys[key]) for key in analysis.keys],
        "mean": "" if row.mean is None else wording.amount(row.mean, 4),
        "deviation": "" if row.deviation is None else wording.amount(row.deviation, 4),
        "seeds": str(len(row.figures)),
        "parameters": f"{setting.parameters:,.0f}" if setting.parameters else "",
        "flops": f"{setting.flops_per_token:,.0f}" if setting.flops_per_token else "",
        "seconds": f"{setting.seconds:.1f}" if setting.seconds else "",
        "verdict": row.verdict,
        "p": "" if row.p is None else f"{row.p:.2g}" if row.p >= 0.0002 else "< 0.0002",
        "style": "aside" if row.column is None else "" if row.significant else "open",
    }


def missing_results(row: Row) -> str:
    """The number of runs of a setting that have no result, by status."""
    statuses = row.setting.statuses.items()
    counts = ", ".join(f"{n} {status}" for status, n in statuses if status != "ok")
    return f"{row.setting.name}: {counts} of {row.setting.runs}"


def damaged(frame: pandas.DataFrame) -> list[str]:
    """The folders of damaged runs, with the error."""
    rows = zip(frame["status"], frame.index, frame["error"]) if "error" in frame else ()
    return [f"{folder} is damaged: {error}" for status, folder, error in rows if status == "damaged"]


def describe_environment(environment: dict[str, Any]) -> str:
    """The commit, versions and system of runs, in one line."""
    packages = environment.get("packages") or {}
    commit = str(environment.get("git_commit") or "none")[:10]
    facts = [
        f"commit {commit}" + (" (dirty)" if environment.get("git_dirty") else ""),
        f"Python {str(environment.get('python', '?')).partition(' ')[0]}",
        *(f"{name} {version}" for name, version in packages.items() if version),
        str(environment.get("platform", "?")).partition("-")[0],
    ]
    return ", ".join(facts) + (f", {environment['cores']} cores" if "cores" in environment else "")


def as_data(analysis: Analysis) -> dict[str, Any]:
    """The report for report.json, with all digits."""
    comparison = analysis.comparison
    return {
        "metric": analysis.question.metric,
        "best": analysis.question.best,
        "baseline": analysis.question.against,
        "seeds": comparison.seeds if comparison else int(analysis.aligned.seeds.sum()),
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
            for row in analysis.rows
        ],
        "notes": analysis.notes,
    }


def render(name: str, facts: dict[str, Any]) -> str:
    """Render a template. All values are escaped, because a run may come from somebody else."""
    import jinja2
    from markupsafe import Markup

    html = name.endswith(".html")
    environment = jinja2.Environment(
        autoescape=html,
        trim_blocks=True,
        undefined=jinja2.StrictUndefined,
        finalize=None if html else as_markdown,
    )
    templates = resources.files("microgpt_lab.report") / "templates"
    svgs = {key: Markup(facts[key][facts[key].find("<svg") :]) for key in ("gaps", "curves") if facts[key]}
    environment.filters["inline"] = lambda svg: Markup(svg[svg.find("<svg") :])
    return environment.from_string((templates / name).read_text(encoding="utf-8")).render(facts | svgs)


def as_markdown(value: Any) -> str:
    """Escape the characters that Markdown or HTML would read as markup."""
    text = str(value).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*|\[\]])", r"\\\1", text)
