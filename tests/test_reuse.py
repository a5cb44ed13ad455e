"""Documents and functions are shared among runs of one process by content, never by name alone."""

from microgpt_lab.options.compose import compose
from microgpt_lab.run import reuse
from microgpt_lab.run.assemble import assemble, load_documents


def test_a_file_that_changes_is_read_anew_and_functions_are_not_shared(tmp_path):
    path = tmp_path / "data.txt"
    path.write_text("anna\nbob\neve\n" * 20)
    small = ("backend=numpy", "embed=4", "heads=1", "steps=3")
    config = compose([*small, "dataset=text", f"dataset.path={path}"])
    first = load_documents(config)
    assert load_documents(config) is first
    like = assemble(config, first)
    reuse.keep_functions(like, config)
    assert reuse.has_functions(config, first) and assemble(config, first).train_scan is like.train_scan
    path.write_text("anna\nbob\neva\n" * 20)
    second = load_documents(config)
    assert "eva" in second and not reuse.has_functions(config, second)
    assert assemble(config, second).train_scan is not like.train_scan
