"""Run tools: `nox -s tests`, `lint`, `types`, `docs` or `build`. Without -s, the first three."""

import shutil
import tempfile
from pathlib import Path

import nox

nox.options.sessions = ["tests", "lint", "types"]
nox.options.reuse_venv = "yes"
# What is run with an installed wheel: README's first command, and what reads files of the package.
USED = (
    [],
    ["--help"],
    ["plugins"],
    ["experiments"],
    [
        "-m",
        "activation=relu,gelu",
        "seed=range(3)",
        "steps=200",
        "backend=auto",
        "hydra.sweep.dir=runs/sweep",
    ],
    ["report"],
    ["inspect", "demo", "--html", "emma.html"],
    ["new", "activation", "swish2"],
)


@nox.session
def tests(session: nox.Session) -> None:
    """Run the tests: `nox -s tests -- tests/test_model.py -n 0` runs some of them."""
    session.install("-e", ".[dev]")
    session.run("pytest", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check format and style."""
    session.install("ruff>=0.14")
    session.run("ruff", "format", "--check", ".")
    session.run("ruff", "check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Check types."""
    session.install("-e", ".[dev]")
    session.run("pyright")


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation site in build/site."""
    session.install("-e", ".[docs]")
    session.run("python", "docs/site")


@nox.session(reuse_venv=False)
def build(session: nox.Session) -> None:
    """Build the source archive and its wheel in dist/, and use the wheel in an empty folder."""
    session.install("build>=1.2", "twine>=6.1")
    shutil.rmtree("dist", ignore_errors=True)
    session.run("python", "-m", "build")
    session.run("twine", "check", "--strict", *map(str, Path("dist").iterdir()))
    (wheel,) = Path("dist").resolve().glob("*.whl")
    with tempfile.TemporaryDirectory() as elsewhere:
        session.run("python", "-m", "build", "--wheel", "--outdir", elsewhere)
        if wheel.read_bytes() != Path(elsewhere, wheel.name).read_bytes():
            session.error("the wheel of the source archive is not that of the checkout")
        session.install(f"microgpt-lab[board,report] @ {wheel.as_uri()}")
        with session.chdir(elsewhere):
            for arguments in USED:
                session.run("python", "-m", "microgpt_lab", *arguments)
            session.run("microgpt-lab", "--version")
