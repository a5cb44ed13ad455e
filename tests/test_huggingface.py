"""dataset=huggingface: with the package `datasets`, from a local folder, because tests have no network."""

import importlib.util
import json

import pytest

from microgpt_lab import Split, UserError
from microgpt_lab.options.keys import run_options
from microgpt_lab.run.assemble import build_documents

INSTALLED = bool(importlib.util.find_spec("datasets"))


def load(**options):
    """Return the documents of dataset=huggingface as a run gets them, with their split or as a list."""
    defaults = {name: option.default for name, option in run_options().items()}
    options = {"name": "huggingface", "column": "text", "config": "", "documents": 0} | options
    documents = build_documents(defaults | {"dataset": options})
    return documents.split("zero2hero") if documents.own_split else list(documents)


def test_huggingface_needs_the_name_of_a_data_set():
    with pytest.raises(UserError, match=r"^dataset=huggingface .* dataset\.repo=OWNER/NAME$"):
        load(repo="")
    with pytest.raises(UserError, match=r"dataset\.documents must be at least 0"):
        load(repo="a/b", documents=-1)


@pytest.mark.skipif(INSTALLED, reason="datasets is installed")
def test_without_the_package_datasets_the_error_says_what_to_install():
    with pytest.raises(
        UserError, match=r"^dataset=huggingface is unavailable: pip install .*\[datasets\]'?$"
    ):
        load(repo="roneneldan/TinyStories")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    pytest.importorskip("datasets")
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    rows = {
        "train": [" one\n", "two", "", "three"],
        "validation": ["four"],
        "test": ["five", "six"],
    }
    for name, texts in rows.items():
        lines = [json.dumps({"text": text, "number": i}) for i, text in enumerate(texts)]
        for part in ("all", *(("untrained",) if name != "train" else ("whole",))):
            (tmp_path / part).mkdir(exist_ok=True)
            (tmp_path / part / f"{name}.jsonl").write_text("\n".join(lines))
    (tmp_path / "empty").mkdir()
    return tmp_path


@pytest.mark.slow
def test_a_data_set_with_its_own_split(folder):
    assert load(repo=str(folder / "all")) == Split(["one", "two", "three"], ["four"], ["five", "six"])
    assert load(repo=str(folder / "whole")) == ["one", "two", "three"]
    assert load(repo=str(folder / "all"), documents=1) == Split(["one"], ["four"], ["five"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"repo": "empty"}, "doesn't contain any data files"),
        ({"repo": "absent"}, "Couldn't find any data file"),
        ({"repo": "untrained"}, "has no part called train, but validation, test"),
        ({"repo": "all", "config": "french"}, "'french' not found"),
        ({"repo": "all", "column": "story"}, "column=story is not a column of texts, which are text"),
        ({"repo": "all", "column": "number"}, "column=number is not a column of texts, which are text"),
    ],
    ids=str,
)
def test_what_cannot_be_loaded_is_an_error_in_one_line(folder, options, message):
    with pytest.raises(UserError) as caught:
        load(**options | {"repo": str(folder / options["repo"])})
    error = str(caught.value)
    assert message in error and error.startswith("dataset=huggingface: ") and "\n" not in error


@pytest.mark.slow
def test_more_than_a_hundred_megabytes_are_refused(folder, monkeypatch):
    monkeypatch.setattr("microgpt_lab.core.reading.MAX_FILE_BYTES", 14)
    with pytest.raises(UserError, match=r"more than 0 MB of text: .* dataset\.documents=NUMBER"):
        load(repo=str(folder / "all"))
    assert load(repo=str(folder / "all"), documents=1).train == ["one"]


@pytest.mark.slow
def test_a_hub_that_cannot_be_reached_is_an_error_in_one_line(folder, monkeypatch, capfd):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match=r"^dataset=huggingface: nobody/nothing: .*") as caught:
        load(repo="nobody/nothing", documents=3)
    assert "\n" not in str(caught.value) and not capfd.readouterr().err
