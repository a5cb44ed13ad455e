"""The output of the default run that pages show is what the run prints, writes and exports."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
START = (ROOT / "docs" / "start.md").read_text(encoding="utf-8")
EXPORT = (ROOT / "docs" / "export.md").read_text(encoding="utf-8")


def lines(page, pattern):
    return float(re.search(pattern, " ".join(page.split()))[1].replace(",", ""))


def test_the_default_run_gives_the_documented_figures(lab, tmp_path):
    """On numpy, which is faster and follows python to 1e-9."""
    printed = lab("backend=numpy", "hydra.run.dir=run", check=0).stdout
    assert re.search(r"^```\n( val loss.*?)^```", START, flags=re.M | re.S)[1] in printed
    points = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    losses = {p["step"]: p["loss/train"] for p in map(json.loads, points) if "loss/train" in p}
    for step, loss in re.findall(r"^ +step (\d+) loss ([\d.]+)$", EXPORT, flags=re.M):
        assert losses[int(step)] == pytest.approx(float(loss), abs=1e-9)
    lab("export", "run", "--c", "names", check=0)
    c = (tmp_path / "names" / "microgpt.c").read_text().splitlines()
    assert len(c) == pytest.approx(lines(EXPORT, r"The default run is ([\d,]+) lines"), rel=0.03)
