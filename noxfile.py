"""Run tools: `nox -s tests`, `lint`, `types`, `docs` or `build`. Without -s, the first three."""

import nox

nox.options.sessions = ["tests", "lint", "types"]
nox.options.reuse_venv = "yes"


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


@nox.session
def build(session: nox.Session) -> None:
    """Build the wheel and the source archive in dist/."""
    session.install("build>=1.2")
    session.run("python", "-m", "build")
