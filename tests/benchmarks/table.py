"""`python tests/benchmarks/table.py`: time a step of four sizes on each backend, into docs/figures.json.

`python tests/figures` then writes the table of docs/backends.md. It takes about five minutes.
"""

import json
import os
import platform
import re
import subprocess
import sys
from datetime import date
from pathlib import Path

FIGURES = Path(__file__).parents[2] / "docs" / "figures.json"
BACKENDS = ("python", "numpy", "jax", "c")
SIZES = {
    "1 layer, width 16, batch 1": (),
    "1 layer, width 16, batch 32": ("batch_size=32",),
    "4 layers, width 64, block 32, batch 1": ("layers=4", "embed=64", "block_size=32"),
    "4 layers, width 64, block 32, batch 32": ("layers=4", "embed=64", "block_size=32", "batch_size=32"),
}


def bench(*overrides: str) -> tuple[dict[str, float], list[float]]:
    """µs per document by backend, and the largest differences of their losses, as `bench` prints them."""
    command = [sys.executable, "-m", "microgpt_lab", "bench", *overrides]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    times = {}
    for name in BACKENDS:
        found = re.search(rf"^{name} +([\d,.]+)", printed, flags=re.M)
        if found:
            micros = float(found[1].replace(",", ""))
            times[name] = round(micros) if micros >= 10 else micros
    return times, [float(x) for x in re.findall(r"(\S+) in [\d,]+ steps", printed)]


def speeds(figures: dict[str, dict[str, float]]) -> str:
    """The table of docs/backends.md."""
    lines = [f"| µs per document | {' | '.join(BACKENDS)} |", "|---|" + "---|" * len(BACKENDS)]
    for size, times in figures.items():
        lines.append(f"| {size} | {' | '.join(f'{times[name]:,}' for name in BACKENDS)} |")
    return "\n".join(lines)


def dumps(data: object) -> str:
    """JSON with one line for each innermost list or object."""
    text = json.dumps(data, indent=1, ensure_ascii=False)
    return re.sub(r"[\[{]\n[^][{}]*[]}]", lambda found: re.sub(r"\n *", " ", found[0]), text) + "\n"


def measure() -> None:
    stored = json.loads(FIGURES.read_text(encoding="utf-8"))
    entry = stored["measured"]["µs per document"]
    entry["losses_differ_by"] = {"1 layer": 0.0, "4 layers": 0.0}
    for size, overrides in SIZES.items():
        entry["figures"][size], differences = bench(*overrides)
        layers, _, _ = size.partition(",")
        entry["losses_differ_by"][layers] = max(entry["losses_differ_by"][layers], *differences)
    version = ".".join(platform.python_version_tuple()[:2])
    entry["machine"] = f"{platform.machine()}, {os.cpu_count()} cores, Python {version}, float64"
    entry["date"] = str(date.today())
    FIGURES.write_text(dumps(stored), encoding="utf-8")


if __name__ == "__main__":
    measure()
