"""Pages to open without an installation: a finished run, a report, and the page of `inspect`.

Each is what the lab writes for its users. The run is one of a recipe, trained again, and the report is made
again from the figures of a recipe.
"""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import tempfile
from pathlib import Path

from assembly import ROOT

RECIPE = ROOT / "experiments" / "activations"
SIZES = {"params": "parameters", "FLOPs/token": "flops_per_token", "s/run": "seconds"}
HEAD = """<!doctype html>
<html lang="en">
<meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
<title>A finished run</title>
<style>body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: auto; padding: 1rem }</style>
"""


def run(page: Path) -> None:
    """Write what a notebook shows of a run: the first run of the recipe `parts`, with samples."""
    from microgpt_lab import train

    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        recipe = "experiment=parts", "hydra.mode=RUN"
        trained = train(*recipe, seed=0, samples=20, callback=["jsonl"], folder="runs/parts")
        shown = trained._repr_html_()  # which reads the folder
    page.write_text(f"{HEAD}<h1>A finished run</h1>{shown}</html>\n", encoding="utf-8")


def inspected(page: Path) -> None:
    """Write the page of `inspect demo`."""
    from microgpt_lab.commands import inspect

    with contextlib.redirect_stdout(io.StringIO()):
        inspect.main(["demo", "--text", "emma", "--html", str(page)])


def report(page: Path) -> None:
    """Write the report of a recipe, without its curves. Its verdicts are those of the stored report."""
    import pandas

    from microgpt_lab.report.analysis import Question, analyse
    from microgpt_lab.report.pages import write

    stored = json.loads((RECIPE / "report.json").read_text(encoding="utf-8"))
    runs = [
        {**row["setting"], **size, "seed": seed, "status": "ok", stored["metric"]: figure}
        for row, size in zip(stored["rows"], sizes(), strict=True)
        for seed, figure in enumerate(row["figures"])
    ]
    frame = pandas.DataFrame(runs, index=pandas.Index([f"run {i}" for i in range(len(runs))], name="run"))
    frame.attrs |= {"swept": [*stored["rows"][0]["setting"], "seed"], "changed": set(), "fixed": {}}
    frame.attrs |= {"environments": [], "sources": {}}
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        sweep = Path("runs", RECIPE.name)
        sweep.mkdir(parents=True)
        analysis = analyse(frame, Question(against=stored["baseline"]), sweep)
        write(analysis, frame, sweep)
        shutil.copyfile(sweep / "report.html", page)
    if [row.verdict for row in analysis.rows] != [row["verdict"] for row in stored["rows"]]:
        raise ValueError(f"the report of {RECIPE.name} has other verdicts than its report.json")


def sizes() -> list[dict[str, float]]:
    """Return parameters, FLOPs and seconds of each setting of the recipe, from its report.md."""
    lines = (RECIPE / "report.md").read_text(encoding="utf-8").splitlines()
    head, _, *rows = (line.strip("| ").split(" | ") for line in lines if line.startswith("|"))
    return [
        {SIZES[name]: float(cell.replace(",", "")) for name, cell in zip(head, row) if name in SIZES}
        for row in rows
    ]


# What writes the files of the folder visits/ of the site.
PAGES = {"run.html": run, "inspect.html": inspected, "report.html": report}
