"""`python -m microgpt_lab report SWEEP`: what a sweep's runs have in common, and which are better."""

from __future__ import annotations

import math
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from microgpt_lab.commands import Parser
from microgpt_lab.comparison import HIGHER_IS_BETTER, Group, best_of, compare, groups, sentence
from microgpt_lab.errors import UserError, suggest
from microgpt_lab.results import last, load_sweep, scalar

if TYPE_CHECKING:
    import pandas

DRAWN = 10  # curves that can still be told apart


def main(arguments: list[str]) -> int:
    parser = Parser("microgpt_lab report", description="Compare the runs of a sweep.")
    parser.add_argument("sweep", type=Path, help="its folder")
    parser.add_argument("--metric", default="loss/val", help="default: %(default)s")
    parser.add_argument("--by", metavar="KEYS", help="only tell these swept keys apart: layers,embed")
    parser.add_argument("--best", metavar="KEY", help="each setting at its best value of this key")
    parser.add_argument("--against", metavar="KEY=VALUE,…", help="the baseline; default: the first row")
    options = parser.parse_args(arguments)
    try:
        frame = load_sweep(options.sweep)
        report = analyse(frame, options)
        write(report, frame, options.sweep)
    except ModuleNotFoundError as error:
        raise UserError(f"report needs {error.name}: pip install 'microgpt-lab[report]'") from None
    show(report)
    names = (options.sweep / f"report.{kind}" for kind in ("md", "html", "svg"))
    print(f"written: {', '.join(str(file) for file in names if file.exists())}")
    return 0


def analyse(frame: pandas.DataFrame, options: Any) -> dict[str, Any]:
    """Everything that a report says, by the names that the templates use."""
    metric, swept = options.metric, frame.attrs["swept"]
    if metric not in frame:
        frame[metric] = [last(options.sweep / run, metric) for run in frame.index]
    figures = [name for name in frame.select_dtypes("number") if name not in swept]
    if metric not in figures or not len(frame[metric].dropna()):
        raise UserError(f"no run has '{metric}'{suggest(metric, figures)}")
    by = [key for key in swept if key != "seed"]
    for key in [options.best, *(options.by or "").split(",")]:
        if key and key not in by:
            raise UserError(f"'{key}' was not swept{suggest(key, by)}")
    if options.best:
        frame = best_of(frame, metric, options.best)
    if options.by:
        by = [key for key in by if key in options.by.split(",")]
    found = groups(frame, metric, by)
    baseline = chosen(found, options.against) if options.against else found[0]
    compare(found, baseline)
    counts = frame["status"].value_counts()
    return {
        "title": " × ".join(by or ["one setting"]) + seeds(frame),
        "folder": options.sweep,
        "counts": f"{len(frame)} runs: " + ", ".join(f"{n} {status}" for status, n in counts.items()),
        "metric": metric,
        "better": "higher" if metric in HIGHER_IS_BETTER else "lower",
        "units": "seeds" if "seed" in swept else "runs",
        "best": options.best,
        "keys": by,
        "baseline": baseline,
        "rows": [row(place, group, baseline, metric) for place, group in enumerate(found, start=1)],
        "troubles": [trouble(group) for group in found if set(group.statuses) - {"ok"}],
        "swept": swept,
        "fixed": frame.attrs["fixed"],
        "environments": [machine(environment) for environment in frame.attrs["environments"]],
        "shown": min(DRAWN, len(found)),
        "left_out": max(0, len(found) - DRAWN),
    }


def seeds(frame: pandas.DataFrame) -> str:
    return f", {frame['seed'].nunique()} seeds" if "seed" in frame.attrs["swept"] else ""


def chosen(found: list[Group], against: str) -> Group:
    """The group that `key=value,…` describes."""
    wanted = {key: scalar(value) for key, _, value in (part.partition("=") for part in against.split(","))}
    fitting = [g for g in found if all(g.setting.get(key) == value for key, value in wanted.items())]
    if len(fitting) != 1:
        names = ", ".join(group.name.replace(", ", ",") for group in (fitting or found)[:6])
        raise UserError(f"--against {against} describes {len(fitting)} rows, not one; there is {names}")
    return fitting[0]


def row(place: int, group: Group, baseline: Group, metric: str) -> dict[str, Any]:
    tie = group.difference is not None and not group.difference.is_told
    values = group.values.values()
    best = (max if metric in HIGHER_IS_BETTER else min)(values) if values else math.nan
    plus = "" if math.isnan(group.half_width) else f" ± {group.half_width:.4f}"
    mean = f"{group.mean:.4f}" if values else "none"
    return {
        "group": group,
        "place": f"{place} ≈" if tie else str(place),
        "mean": mean,
        "plus": plus,
        "value": mean + plus,
        "n": f"{group.good}/{group.runs}",
        "best": f"{best:.4f}" if values else "",
        "parameters": f"{group.parameters:,.0f}" if group.parameters else "",
        "seconds": f"{group.seconds:.1f}" if group.seconds else "",
        "sentence": sentence(group, baseline, metric),
    }


def trouble(group: Group) -> str:
    what = ", ".join(f"{n} {status}" for status, n in group.statuses.items() if status != "ok")
    return f"{group.name}: {what} of {group.runs}"


def machine(environment: dict[str, Any]) -> str:
    packages = ", ".join(f"{name} {version}" for name, version in environment["packages"].items() if version)
    commit = (environment["git_commit"] or "none")[:10] + (" (dirty)" if environment["git_dirty"] else "")
    python = environment["python"].partition(" ")[0]
    cores = f", {environment['cores']} cores" if "cores" in environment else ""
    return f"commit {commit}, Python {python}, {packages}, {environment['platform']}{cores}"


def write(report: dict[str, Any], frame: pandas.DataFrame, sweep: Path) -> None:
    """report.md, report.html and the figure, beside the runs."""
    import jinja2
    from markupsafe import Markup

    from microgpt_lab.figures import curves

    figure = curves([r["group"] for r in report["rows"][:DRAWN]], sweep, report["metric"])
    (sweep / "report.svg").unlink(missing_ok=True)
    if figure:
        (sweep / "report.svg").write_text(figure, encoding="utf-8")
    texts = resources.files("microgpt_lab") / "templates"
    for name in ("report.md", "report.html"):
        html = name.endswith(".html")
        environment = jinja2.Environment(autoescape=html, trim_blocks=True, undefined=jinja2.StrictUndefined)
        template = environment.from_string((texts / name).read_text(encoding="utf-8"))
        inline = Markup(figure[figure.index("<svg") :]) if figure else ""
        (sweep / name).unlink(missing_ok=True)  # not through a link
        (sweep / name).write_text(template.render(report, figure=inline), encoding="utf-8")


def show(report: dict[str, Any]) -> None:
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 200
    console.print(f"[bold]{escape(report['title'])}[/]  {escape(report['counts'])}", soft_wrap=True)
    table = Table(box=None, pad_edge=False)
    table.add_column("#", justify="right")
    for key in report["keys"]:
        table.add_column(escape(key), style="cyan")
    for heading in (report["metric"], "n", "params", "s/run"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column(f"against {escape(report['baseline'].name)}")
    for r in report["rows"]:
        setting = [escape(str(r["group"].setting[key])) for key in report["keys"]]
        value = f"[bold]{r['mean']}[/]{r['plus']}"
        table.add_row(r["place"], *setting, value, r["n"], r["parameters"], r["seconds"], r["sentence"])
    console.print(table)
    for line in report["troubles"]:
        console.print(f"[red]without a result[/] {escape(line)}", soft_wrap=True)
