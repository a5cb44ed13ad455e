"""Runs of one process share documents and functions with the same content, never by name alone."""

import os

from microgpt_lab import Corpus, Stream, Tokenizer, part
from microgpt_lab.core.documents import Documents
from microgpt_lab.options.compose import compose
from microgpt_lab.run import reuse
from microgpt_lab.run.assemble import assemble, load_documents


def test_a_changed_file_is_read_again_and_shares_no_functions(tmp_path):
    path = tmp_path / "data.txt"
    path.write_text("anna\nbob\neve\n" * 20)
    small = ("backend=numpy", "embed=4", "heads=1", "steps=3")
    config = compose([*small, "dataset=text", f"dataset.path={path}"])
    first = load_documents(config)
    assert load_documents(config) is first
    trainer = assemble(config, first)
    reuse.keep_functions(trainer, config)
    assert reuse.has_functions(config, first) and assemble(config, first).train_scan is trainer.train_scan
    path.write_text("anna\nbob\neva\n" * 20)
    second = load_documents(config)
    assert "eva" in second and not reuse.has_functions(config, second)
    assert assemble(config, second).train_scan is not trainer.train_scan


def test_functions_are_shared_only_if_the_vocabularies_have_the_same_size():
    """A vocabulary that is learned from few documents depends on the seed."""
    documents = Documents(["anna", "bob", "eve", "ada", "hannah", "otto", "nan", "elle", "mimi"])
    chosen = ("tokenizer=bpe", "tokenizer.vocab_size=30", "train_docs=3", "backend=numpy", "embed=4")
    configs = [compose([*chosen, "heads=1", "steps=3", f"seed={seed}"]) for seed in range(4)]
    alone = [assemble(config, Documents(list(documents))) for config in configs]
    assert len({trainer.corpus.vocab_size for trainer in alone}) > 1
    reuse.keep_functions(first := assemble(configs[0], documents), configs[0])
    for config, other in zip(configs, alone, strict=True):
        trainer = assemble(config, documents)
        same = trainer.corpus.vocab_size == first.corpus.vocab_size
        assert (trainer.train_scan is first.train_scan) == same
        assert trainer.advance(3)[-1]["loss/train"] == other.advance(3)[-1]["loss/train"]


def text(**options):
    return {"name": "text", "unit": "lines", **{name: str(path) for name, path in options.items()}}


def test_documents_of_several_files_are_read_again_if_any_of_them_changes(tmp_path):
    """The files of a folder, and those of dataset.validation and dataset.test, whatever their order."""
    for name in ("a.txt", "b.txt", "held_out", "other"):
        (tmp_path / "folder").mkdir(exist_ok=True)
        (tmp_path / ("folder" if name.endswith("txt") else "") / name).write_text(f"text of {name}\n")
    chosen = text(path=tmp_path / "folder", validation=tmp_path / "held_out", test=tmp_path / "other")
    keys = [reuse.content_key(chosen)]
    assert keys[0] == reuse.content_key(chosen)
    (tmp_path / "held_out").write_text("changed\n")
    keys.append(reuse.content_key(chosen))
    (tmp_path / "folder" / "b.txt").write_text("changed\n")
    keys.append(reuse.content_key(chosen))
    (tmp_path / "folder" / "b.txt").rename(tmp_path / "folder" / "c.txt")
    keys.append(reuse.content_key(chosen))
    (tmp_path / "folder" / "d.txt").write_text("new\n")
    keys.append(reuse.content_key(chosen))
    assert None not in keys and len(set(keys)) == len(keys)


def test_folders_of_folders_large_files_and_pipes_are_not_cached(tmp_path, monkeypatch):
    (tmp_path / "folder" / "inner").mkdir(parents=True)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "large").write_text("12345")
    assert reuse.content_key(text(path=tmp_path / "large"))
    monkeypatch.setattr(reuse, "MAX_FILE_BYTES", 4)
    for path in ("folder", "pipe", "large"):
        assert reuse.content_key(text(path=tmp_path / path)) is None
        assert reuse.content_key({"name": "huggingface", "repo": str(tmp_path / path)}) is None
    assert reuse.content_key({"name": "huggingface", "repo": "owner/name"})


class Lower(Tokenizer):
    """A tokenizer whose option is stored under another name, so that its repr does not show it.

    `small`: whether it learns no capitals, so that the options decide what it learns, or only how it encodes.
    """

    def __init__(self, *, lower: bool = False, small: bool = False):
        self._lower, self._small = lower, small

    def learn(self, documents, chars):
        self.tokens = sorted({char.lower() for char in chars}) if self._small else list(chars)

    def encode(self, text):
        return [self.tokens.index(char.lower() if self._lower else char) for char in text]


def test_corpora_of_the_same_documents_share_nothing_that_depends_on_what_their_tokenizers_learned():
    """As in a sweep over init_from, or over an option of a tokenizer."""
    documents = Documents(Stream(["The rat ate the hat on The maT\n" * 60]))
    tokenizers = [part("tokenizer", "bpe", vocab_size=20) for _ in "ab"]
    for tokenizer, text in zip(tokenizers, ("the rat ate on the mat\n", "hat neat meat\n"), strict=True):
        tokenizer.learn([text * 9], documents.chars)
    lowers = [Lower(lower=True), Lower(lower=False), Lower(lower=True, small=True)]
    for shared in (*tokenizers, *lowers):
        corpus = Corpus(documents, shared, block_size=8)
        alone = Corpus(Stream(documents), corpus.tokenizer, block_size=8)
        assert corpus.ids == alone.ids and corpus.vocab_size == alone.vocab_size
        assert corpus.guessing(corpus.held_out(1)) == alone.guessing(alone.held_out(1))
