"""The command `inspect`: what it accepts, and what it refuses in one line."""

import pytest

from microgpt_lab.commands import main

TITLES = ("What it expected", "logit lens", "Why", "Attention", "Without a part", "Health")


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Run a command in an empty folder. Return its status, its output and its lines of errors."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        status = main(list(arguments))
        out, err = capsys.readouterr()
        return status, out, err.splitlines()

    return run


def test_the_demo_is_there_before_anyone_has_trained(run, tmp_path):
    status, out, err = run("inspect", "demo", "--html", "emma.html")
    assert (status, err) == (0, [])
    assert all(title in out for title in TITLES)
    assert "written: emma.html" in out
    assert (tmp_path / "emma.html").stat().st_size < 300_000
    status, out, _ = run("sample", "demo", "-n", "3")
    assert status == 0
    assert len(out.split()) == 3


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ([], "no run with a checkpoint below ./runs: name its folder, or train first, or name 'demo'"),
        (["nope"], "there is no run at nope"),
        (["demo", "--against", "nope"], "there is no run at nope"),
        (["demo", "--explain", "nothing:2"], "there is no tensor 'nothing'"),
        (["demo", "--explain", "wq:2:99"], "layer0.attention.wq: 99 is beyond axis 1, which has 16 numbers"),
        (["demo", "--print", "layer0.mlp.pst"], "did you mean 'layer0.mlp.post'?"),
        (["demo", "--html", "no/folder.html"], "--html no/folder.html: No such file or directory"),
        (["demo", "--print", "wq", "--html", "page.html"], "not allowed with"),
        (["demo", "--print", "wq", "--against", "demo"], "--against compares two runs"),
        (["demo", "--txt", "emma"], "did you mean '--text'?"),
    ],
    ids=lambda value: "" if isinstance(value, str) else " ".join(value),
)
def test_a_mistake_is_one_line(run, arguments, error):
    status, _, err = run("inspect", *arguments)
    assert status == 2
    (line,) = err
    assert error in line


@pytest.mark.thorough
@pytest.mark.parametrize("text", ["</script>emma", "em\x1b[31mma", "🙂emma\n", "e" * 10_000, ""])
def test_any_text_is_read(run, tmp_path, text):
    status, out, err = run("inspect", "demo", "--text", text, "--html", "page.html")
    assert (status, err) == (0, [])
    assert "\x1b" not in out
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "\x1b" not in page
    assert page.lower().count("</script>") == page.lower().count("<script")
    for char in "</>🙂":
        assert char not in text or f"'{char}'" in out  # what the vocabulary lacks is named
    assert len(text) < 100 or "do not fit into block_size=16" in out


def test_two_runs_are_compared(run):
    main(["steps=0", "eval_docs=5", "callback=[checkpoint]", "hydra.run.dir=other"])
    status, out, _ = run("inspect", "other", "--against", "demo")
    assert status == 0
    assert "the largest difference first" in out
    assert "step 0" in out
