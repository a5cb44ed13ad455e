"""Notes of a sweep about its jobs and their folders."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from microgpt_lab.sweeps.folder import JOBS_FOLDER, JobEntry, count_job, start_counter


@pytest.mark.parametrize("torn", ["", ".", "..", "../elsewhere", "/"])
def test_a_damaged_note_of_a_job_names_no_folder(tmp_path, torn):
    (tmp_path / "elsewhere").mkdir()
    entry = JobEntry(tmp_path / "sweep", {"seed": 1})
    entry.path.parent.mkdir(parents=True)
    entry.path.write_text(torn)
    assert entry.folder is None


def test_many_sweeps_can_start_in_one_folder_at_once(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        for start in [pool.submit(start_counter, tmp_path, 6) for _ in range(100)]:
            start.result()
    assert [path.name for path in (tmp_path / JOBS_FOLDER).iterdir()] == ["ended"]
    assert count_job(tmp_path).startswith("[1/6")
