"""Samples of a long text are shown as text, and losses in bits per character beside nats per token."""

import math
import re
from importlib import import_module

import pytest

from microgpt_lab import Stream
from microgpt_lab.core.documents import Documents
from microgpt_lab.options.compose import compose
from microgpt_lab.registry.plugins import registry
from microgpt_lab.run.assemble import assemble, build
from microgpt_lab.run.execute import add_results
from microgpt_lab.run.record import Run
from microgpt_lab.run.watchers import Watchers

registry()
samples_file = import_module("microgpt_lab_plugins.callbacks.samples")
board = import_module("microgpt_lab_plugins.callbacks.tensorboard")

SMALL = ["backend=numpy", "embed=8", "steps=20", "eval_every=10", "eval_docs=3", "samples=4", "block_size=40"]
BOOK = Stream(["to be\nor not\n" * 200, "no\nmore\n" * 75])
NAMES = ["anna", "bob", "ella", "otto", "ada", "eve"] * 20


@pytest.fixture
def watched(tmp_path, capsys):
    """Run these documents with these overrides. Return the summary, and what the run prints in a pipe."""

    def run(documents, *overrides):
        overrides = [*SMALL, "callback=[console,samples]", *overrides]
        config, documents = compose(overrides), Documents(documents)
        trainer = assemble(config, documents)
        callbacks = [build("callback", chosen) for chosen in config["callback"].values()]
        trainer.watch = Watchers(callbacks, warn=pytest.fail)
        run = Run(config, tmp_path / "run", overrides)
        run.start_new(documents, trainer)
        trainer.watch("run_started", run=run, trainer=trainer)
        trainer.train()
        summary = {"status": "ok", "steps": trainer.step, "seconds": 1.0}
        add_results(summary, config, trainer)
        trainer.watch("run_finished", run=run, summary=summary)
        return summary, capsys.readouterr().out

    return run


def test_a_run_on_a_stream_counts_characters_and_shows_its_samples_as_text(watched):
    summary, shown = watched(BOOK)
    lines = shown.splitlines()
    (data,) = (line for line in lines if line.startswith("  data "))
    assert data.endswith("2 texts, 3,200 characters, split zero2hero 2,560/320/320")
    assert f" val loss    {summary['loss/val']:.4f} nats per token, on 300 characters" in lines
    assert not any(word in shown for word in ("documents", "unseen", "nll", "new"))
    start = lines.index("samples")
    texts = "\n".join(lines[start + 1 : lines.index("drawn at temperature 0.5; 3 of 4, all in samples.txt")])
    assert re.split(r"── \d ─+\n", texts + "\n") == ["", *(f"{text}\n" for text in summary["samples"][:3])]
    assert any("\n" in text for text in summary["samples"][:3])


def test_control_characters_in_samples_of_text_are_escaped(watched):
    _, shown = watched(Stream(["\x1b[31m\n" * 400]), "samples=3", "sampler.temperature=0")
    assert "\\x1b[31m" in shown and not {char for char in shown if not char.isprintable()} - {"\n"}


@pytest.mark.parametrize("tokenizer", ["char", "byte"])
def test_the_loss_and_the_baselines_are_in_both_units(watched, tokenizer):
    summary, shown = watched(NAMES, f"tokenizer={tokenizer}", "steps=200", "samples=2", "optimizer.lr=0.02")
    bits = summary["loss/val"] / math.log(2)  # of ASCII names, each byte is a character
    assert summary["bits_per_char/val"] == pytest.approx(bits)
    assert f"              {bits:.2f} bits per character" in shown.splitlines()
    rows = re.findall(r"^   (\w+) +(\d\.\d{4})  (\d\.\d\d) bits  (not )?beaten$", shown, flags=re.M)
    assert [name for name, *_ in rows] == ["uniform", "unigram", "bigram", "trigram"]
    for name, nats, in_bits, not_beaten in rows:
        assert float(nats) == pytest.approx(summary["guessing"][name], abs=1e-4)
        assert float(in_bits) == pytest.approx(summary["guessing_bits"][name], abs=1e-2)
        assert bool(not_beaten) == (summary["bits_per_char/val"] >= summary["guessing_bits"][name])
    facts = "tokenizer byte 257 tokens, 1.0 characters per token"
    assert (facts in shown) == (tokenizer == "byte")


def test_a_loss_on_beginnings_of_documents_is_not_mixed_with_bits_of_whole_ones(watched):
    summary, shown = watched(["ab" * 30, "ba" * 40, "aab" * 20] * 20, "samples=2")
    assert f"              {summary['bits_per_char/val']:.2f} bits per character, of whole documents" in shown
    warning = "warning: 60 of 60 documents are truncated at block_size=40: use a larger block_size"
    assert f"{warning} or long_docs=window" in shown.splitlines()
    rows = re.findall(r"^   (?:uni|bi|tri)\w+ +(\d\.\d{4})  (not )?beaten$", shown, flags=re.M)
    assert [bool(no) for _, no in rows] == [summary["loss/val"] >= x for x in summary["guessing"].values()]


def test_a_run_says_if_bits_are_of_the_beginnings_of_very_long_documents(watched):
    summary, shown = watched(["ab" * 600, "ba" * 20] * 10)
    assert f"{summary['bits_per_char/val']:.2f} bits per character, of the first 1,000 characters" in shown


def test_empty_samples_are_marked(watched):
    summary, shown = watched(["a", *[""] * 60] * 3, "sampler.temperature=0", "samples=2", "steps=40")
    assert summary["samples"] == ["", ""] and len(re.findall(r"^ [01]  \(empty\)  ", shown, flags=re.M)) == 2


def test_a_run_says_how_its_samples_were_drawn(watched):
    for sampler, words in (
        (["sampler.temperature=0.7"], "drawn at temperature 0.7; nll"),
        (["sampler.top_k=3", "sampler.min_p=0.05"], "drawn at temperature 0.5, top_k 3, min_p 0.05; nll"),
        (["sampler=greedy"], "drawn by greedy; nll"),
    ):
        _, shown = watched(NAMES, "steps=0", *sampler)
        assert words in shown


def samples_in(path):
    """The samples in samples.txt, with the step of each."""
    found = []
    for line in path.read_text().splitlines():
        step, _, text = line.partition("\t")
        if step:
            found.append((step, text))
        else:
            found[-1] = found[-1][0], f"{found[-1][1]}\n{text}"
    return found


def test_samples_txt_keeps_the_lines_of_a_text(watched, tmp_path):
    summary, _ = watched(BOOK)
    found = samples_in(tmp_path / "run" / "samples.txt")
    assert [step for step, _ in found] == ["10"] * 5 + ["20"] * 5 + ["end"] * 4
    assert [text for step, text in found if step == "end"] == summary["samples"]


def test_a_resumed_run_keeps_whole_texts_up_to_its_step(tmp_path):
    run = Run({}, tmp_path)
    kept = "2\ta\n\t7\tb\n\t\n\tc\n4\t\n4\td\n"
    for rest in ("6\te\n\tf\n", "end\tg\n\th\n", "6", "6\te\n\t", "10\tx\n\ty\nend\tz\n\t1\n"):
        (tmp_path / "samples.txt").write_text(kept + rest)
        run.drop_after("samples.txt", 4, samples_file.StepOfLine())
        assert (tmp_path / "samples.txt").read_text() == kept


def test_tensorboard_shows_text_as_blocks_of_code():
    plugin_util = pytest.importorskip("tensorboard.plugin_util", reason="needs microgpt-lab[board]")
    texts = ["To be, or\nnot `to` be:\n\n    <b>that</b>", "one line"]
    page = plugin_util.markdown_to_safe_html(board.sample_list(texts))
    assert page.count("<pre>") == 2 and page.count("<hr>") == 1
    assert "To be, or\nnot `to` be:\n\n    &lt;b&gt;that&lt;/b&gt;" in page
    assert board.sample_list(["anna", "bob"]) == "`anna` · `bob`"


def test_sample_prints_texts_of_any_length_with_a_line_between_them(lab):
    """The next command that a run on a stream prints is one for a longer text."""
    options = ("dataset=shakespeare", "callback=[console,checkpoint]", "hydra.run.dir=run")
    shown = lab(*SMALL, *options, "steps=3", "eval_docs=1", check=0).stdout
    assert re.search(r"^sample +python -m microgpt_lab sample run --length 500$", shown, flags=re.M)
    one, two = (
        lab("sample", "run", f"-n{n}", "--length=200", "--temperature=0", check=0).stdout for n in (1, 2)
    )
    assert two == f"{one}\n{one}" and len(one) > 2 * 40


@pytest.mark.thorough
def test_jobs_and_searches_that_choose_a_tokenizer_are_judged_in_bits_per_character(lab, tmp_path):
    quick = (*SMALL, "steps=2", "train_docs=50", "callback=[console]", "hydra.sweep.dir=sweep")
    for chosen, unit in (("tokenizer=char", " bits per character"), ("layers=2", "")):
        shown = lab("-m", chosen, "seed=1", *quick, check=0).stdout
        (line,) = (line for line in shown.splitlines() if line.startswith("✓"))
        assert re.search(rf" val \d\.\d{{4}}{unit}  \d", line)
    for name, override, objective in (
        ("bpe", "tokenizer=bpe", "bits_per_char/val"),
        ("bpe", "tokenizer.vocab_size=100", "bits_per_char/val"),
        ("mine", "+tokenizer.extra=1", "bits_per_char/val"),
        ("bpe", "optimizer.lr=1", "loss/val"),
        ("bpe", "init_from=other", "bits_per_char/val"),
        ("char", "init_from=other", "loss/val"),
    ):
        run = Run({"tokenizer": {"name": name}}, tmp_path, ["seed=1", override])
        assert run.objective == objective


def test_the_samples_in_the_line_of_a_job_are_short(watched, monkeypatch):
    monkeypatch.setattr(Run, "in_sweep", True)
    summary, shown = watched(BOOK, "samples=20")
    (line,) = shown.splitlines()
    words = " ".join(" ".join(summary["samples"][:3]).split())
    assert line.endswith(f"  {words[:59]}…")
