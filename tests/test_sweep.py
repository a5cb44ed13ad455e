"""Notes of a sweep about the folders of its jobs."""

import pytest

from microgpt_lab.sweeps.folder import Place


@pytest.mark.parametrize("torn", ["", ".", "..", "../elsewhere", "/"])
def test_a_damaged_note_of_a_job_names_no_folder(tmp_path, torn):
    (tmp_path / "elsewhere").mkdir()
    place = Place(tmp_path / "sweep", {"seed": 1})
    place.path.parent.mkdir(parents=True)
    place.path.write_text(torn)
    assert place.folder is None
