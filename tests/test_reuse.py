"""Runs of one process share documents and functions with the same content, never by name alone."""

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
