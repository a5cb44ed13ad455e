"""`python tests/inspection/pictures.py`: draw the pictures of docs/inspect.md, each in light and dark.

The first is the beginning of the page of the run `demo`. For the others it trains the runs that go wrong,
opens their pages in Chromium, and puts a curve of each below the same one of a run that trains well. The
colours of both modes become variables of one SVG.
"""

import html
import json
import re
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from browser import Browser

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
  .map((x) => [x.querySelector("svg").innerHTML, x.querySelector(".note").innerText])[0]"""
DEMO_WIDTH = 1280  # of the picture of the page
SECTIONS = """
(() => {
  const body = document.createElement("body"), main = body.appendChild(document.createElement("main"));
  const shown = ["#section-expected", "#section-attention"].map((name) => document.querySelector(name));
  main.append(...shown.map((section) => section.cloneNode(true)));
  const bottom = shown[1].getBoundingClientRect().bottom - shown[0].getBoundingClientRect().top;
  const xhtml = new XMLSerializer().serializeToString(body), style = document.querySelector("style");
  return [new XMLSerializer().serializeToString(style), xhtml, Math.ceil(bottom) + 90];
})()"""
WIDTH, HEIGHT, HEAD = 600, 260, 52  # of a curve in the page, and of the lines above it
LOOK = {"ink": ("#1d1c1a", "#e9e7e2"), "soft": ("#5d5a55", "#aaa7a0"), "line": ("#e5e1d9", "#3b434b")}
STYLE = """text { fill: var(--soft); font: 13px system-ui, sans-serif; }
text[style] { fill: var(--colour); }
.heading { fill: var(--ink); font-size: 15px; font-weight: 600; }
.middle { text-anchor: middle; }
line { stroke: var(--line); }
polyline { fill: none; stroke: var(--colour); stroke-width: 1.7; }"""


def page(folder: Path, changed: tuple[str, ...]) -> Path:
    """Train a run, unless it is there, and return its page."""
    lab, name = [sys.executable, "-m", "microgpt_lab"], re.sub(r"\W+", "-", "-".join(["run", *changed]))
    if not (folder / name).exists():
        subprocess.run([*lab, *RUN, *changed, f"hydra.run.dir={name}"], check=True, cwd=folder)
        subprocess.run([*lab, "inspect", name, "--html", f"{name}.html"], check=True, cwd=folder)
    return folder / f"{name}.html"


def demo(browser: Browser, folder: Path) -> str:
    """Return an SVG of the first sections of the page of `demo`, as text in the colours of both modes."""
    lab = [sys.executable, "-m", "microgpt_lab", "inspect", "demo", "--text", "emma"]
    subprocess.run([*lab, "--html", "demo.html"], check=True, cwd=folder, stdout=subprocess.DEVNULL)
    browser.open(folder / "demo.html")
    style, sections, height = browser.run(SECTIONS)
    size = f'width="{DEMO_WIDTH}" height="{height}"'
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {DEMO_WIDTH} {height}" {size}>'
    return f"{svg}\n<foreignObject {size}>\n{style}\n{sections}\n</foreignObject>\n</svg>\n"


def draw(browser: Browser, folder: Path, name: str) -> str:
    """Return an SVG with the curve of two runs, one below the other."""
    title, *runs = PICTURES[name]
    panels = []
    for place, changed in enumerate(runs):
        browser.open(page(folder, changed))
        lines, note = browser.run(CARD % json.dumps(title))
        heading = html.escape(f"{title}: {changed[0] if changed else 'the default'}")
        top = place * (HEAD + HEIGHT + 16)
        panels += [
            f'<text class="heading" x="4" y="{top + 18}">{heading}</text>',
            f'<text x="4" y="{top + 38}">{html.escape(note)}</text>',
            f'<g transform="translate(0 {top + HEAD})">{lines}</g>',
        ]
    panels, colors = with_variables("\n".join(panels))
    size = f'viewBox="0 0 {WIDTH} {2 * (HEAD + HEIGHT) + 16}" width="{WIDTH}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}>\n{style(LOOK | colors)}\n{panels}\n</svg>\n'


def with_variables(svg: str) -> tuple[str, dict[str, tuple[str, str]]]:
    """Replace each light-dark(…), which not all viewers know, by a variable. Return these too."""
    found = dict.fromkeys(re.findall(r"light-dark\((.+?\)), (.+?\))\)", svg))
    names = {colors: f"c{i}" for i, colors in enumerate(found)}
    for colors, name in names.items():
        svg = svg.replace(f"light-dark({', '.join(colors)})", f"var(--{name})")
    return svg, {name: colors for colors, name in names.items()}


def style(colors: dict[str, tuple[str, str]]) -> str:
    light, dark = ("; ".join(f"--{name}: {both[mode]}" for name, both in colors.items()) for mode in (0, 1))
    modes = f":root {{ {light} }}\n@media (prefers-color-scheme: dark) {{ :root {{ {dark} }} }}"
    return f"<style>\n{modes}\n{STYLE}\n</style>"


if __name__ == "__main__":
    with TemporaryDirectory() as folder, TemporaryDirectory() as profile:
        browser = Browser(profile)
        (IMAGES / "inspect.svg").write_text(demo(browser, Path(folder)), encoding="utf-8")
        for name in PICTURES:
            (IMAGES / f"inspect-{name}.svg").write_text(draw(browser, Path(folder), name), encoding="utf-8")
        browser.close()
