"""Notes of a sweep about the folders of its jobs."""

import pytest

from microgpt_lab.sweeps.folder import JobEntry


@pytest.mark.parametrize("torn", ["", ".", "..", "../elsewhere", "/"])
def test_a_damaged_note_of_a_job_names_no_folder(tmp_path, torn):
    (tmp_path / "elsewhere").mkdir()
    entry = JobEntry(tmp_path / "sweep", {"seed": 1})
    entry.path.parent.mkdir(parents=True)
    entry.path.write_text(torn)
    assert entry.folder is None
