"""What a sweep notes of its jobs."""

import pytest

from microgpt_lab.sweeps.folder import JobEntry


@pytest.mark.parametrize("torn", ["", ".", "..", "../elsewhere", "/"])
def test_a_torn_note_of_a_jobs_folder_deletes_nothing(tmp_path, torn):
    (tmp_path / "elsewhere").mkdir()
    entry = JobEntry(tmp_path / "sweep", {"seed": 1})
    entry.path.parent.mkdir(parents=True)
    entry.path.write_text(torn)
    assert entry.folder is None
