"""The quick-start notebook runs, and its committed outputs are what it shows; the lab in a Jupyter kernel."""

import json
import re
from pathlib import Path

import pytest

from microgpt_lab import UserError

ROOT = Path(__file__).parents[1]
QUICKSTART = ROOT / "examples" / "quickstart.ipynb"
CELLS = json.loads(QUICKSTART.read_text(encoding="utf-8"))["cells"]
SOURCES = ["".join(cell["source"]) for cell in CELLS if cell["cell_type"] == "code"]
OUTPUTS = [output for cell in CELLS for output in cell.get("outputs", ())]


@pytest.mark.thorough
def test_the_quick_start_runs(tmp_path, monkeypatch):
    """With fewer steps, outside of a notebook."""
    monkeypatch.chdir(tmp_path)
    names = {}
    for source in SOURCES:
        short = re.sub(r"steps=\d+\b(?!\")", "steps=2, eval_docs=4, samples=1, embed=8, heads=2", source)
        short = re.sub(r"range\(5\)", "range(2)", short).replace('steps=1000"', 'steps=2"')
        if "gleu" in source:
            with pytest.raises(UserError, match="did you mean 'gelu'"):
                exec(short, names)
        else:
            exec(short, names)
    assert names["gelu"].status == "ok" and names["activations"].statuses == {"ok": 4}


def test_its_outputs_are_complete_and_of_no_machine():
    assert [cell["execution_count"] for cell in CELLS if "outputs" in cell] == [*range(1, len(SOURCES) + 1)]
    errors = [output for output in OUTPUTS if output["output_type"] == "error"]
    assert [output["traceback"] for output in errors] == [
        ["error: activation=gleu is unknown; did you mean 'gelu'?"]
    ]
    text = json.dumps(OUTPUTS)
    assert len(text) < 100_000 and not re.search(r"/(tmp|home|root|Users)/|\\u001b", text)
    assert text.count("<polyline") == 3 * 2 and "seed" in text


def executed(sources, folder, **settings):
    """The cells of a notebook with these sources, run in a kernel."""
    pytest.importorskip("ipykernel", reason="needs microgpt-lab[dev]")
    nbclient, nbformat = (pytest.importorskip(name) for name in ("nbclient", "nbformat"))
    notebook = nbformat.v4.new_notebook(cells=list(map(nbformat.v4.new_code_cell, sources)))
    nbclient.NotebookClient(notebook, resources={"metadata": {"path": str(folder)}}, **settings).execute()
    return notebook.cells


SHORT = "steps=40, eval_every=10, eval_docs=4, samples=1, embed=8, heads=2, backend='numpy'"


@pytest.mark.thorough
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of Jupyter's packages
def test_a_notebook_shows_a_curve_and_a_mistake_as_a_line(tmp_path):
    sources = [f"from microgpt_lab import train\nrun = train({SHORT})", "run", "train('activation=gleu')"]
    curve, run, mistake = (
        cell.outputs[0] for cell in executed(sources, tmp_path, timeout=120, allow_errors=True)
    )
    assert curve.data["text/html"].count("<polyline") == 2 and "validation loss" in curve.data["text/plain"]
    assert "trigram" in run.data["text/html"] and run.data["text/plain"].startswith("Run('")
    assert mistake.traceback == ["error: activation=gleu is unknown; did you mean 'gelu'?"]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_quick_start_shows_the_same_numbers(tmp_path):
    cells = executed(SOURCES, tmp_path, timeout=300, allow_errors=True)

    def shown(outputs):
        texts = ["".join(output.get("data", {}).get("text/plain", "")) for output in outputs]
        return re.findall(r"\d\.\d{4,}", "".join(text for text in texts if "sd" not in text))

    assert shown([output for cell in cells for output in cell.outputs]) == shown(OUTPUTS) != []
