"""`python tests/inspection/pictures.py`: draw the pictures of the runs that go wrong in docs/inspect.md.

It trains the runs of that page, opens their pages in Chromium, and saves a curve of each below the same curve
of a run that trains well.
"""

import json
import re
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from browser import Browser
from PIL import Image

IMAGES = Path(__file__).parents[2] / "docs" / "images"
RUN = "backend=c", "batch_size=32", "steps=600", "eval_every=50", "callback=[checkpoint,diagnostics]"
DEEP = "layers=8", "optimizer.lr=0.04"
PICTURES = {  # name: the curve; what is changed in the run that trains well, and in the other
    "rate": ("Share of hidden units that are always 0", (), ("optimizer.lr=0.5",)),
    "init": ("Entropy of attention weights, in nats", (), ("init.std=1",)),
    "post-norm": ("log₁₀ of gradients (rms)", ("block=pre_norm", *DEEP), ("block=post_norm", *DEEP)),
}
CARD = """
[...document.querySelectorAll("#health .card")].filter((x) => x.querySelector("h3").innerText === %s)
  .map((x) => { x.querySelector("h3").innerText = %s; return x.outerHTML; })[0]"""
SHOW = "document.body.innerHTML = '<main style=\"padding: 12px\"><div class=cards></div></main>'; "
SHOW += "document.querySelector('.cards').innerHTML = %s"


def page(folder: Path, changed: tuple[str, ...]) -> Path:
    """Train a run, unless it is there, and return its page."""
    lab, name = [sys.executable, "-m", "microgpt_lab"], re.sub(r"\W+", "-", "-".join(["run", *changed]))
    if not (folder / name).exists():
        subprocess.run([*lab, *RUN, *changed, f"hydra.run.dir={name}"], check=True, cwd=folder)
        subprocess.run([*lab, "inspect", name, "--html", f"{name}.html"], check=True, cwd=folder)
    return folder / f"{name}.html"


def draw(browser: Browser, folder: Path, name: str) -> None:
    title, *runs = PICTURES[name]
    cards = []
    for changed in runs:
        browser.open(page(folder, changed))
        heading = f"{title}: {changed[0] if changed else 'the default'}"
        cards.append(browser.run(CARD % (json.dumps(title), json.dumps(heading))))
    browser.run(SHOW % json.dumps("".join(cards)))
    file = IMAGES / f"inspect-{name}.png"
    browser.picture(file, whole=True)
    Image.open(file).convert("P", palette=Image.Palette.ADAPTIVE, colors=64).save(file, optimize=True)


if __name__ == "__main__":
    with TemporaryDirectory() as folder, TemporaryDirectory() as profile:
        browser = Browser(profile)
        browser.send("Emulation.setScrollbarsHidden", hidden=True)
        size = {"width": 640, "height": 400, "deviceScaleFactor": 1.5}
        browser.send("Emulation.setDeviceMetricsOverride", **size, mobile=False)
        for name in PICTURES:
            draw(browser, Path(folder), name)
        browser.close()
