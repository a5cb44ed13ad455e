import json
import socket
import sys
from pathlib import Path

import mlflow_logger
import pytest

from microgpt_lab import UserError, train
from microgpt_lab.testing import tests_of

test_parts = tests_of(mlflow_logger)

SMALL = {"dataset": "roman", "backend": "numpy", "eval_docs": 5, "samples": 1}
LOGGED = {**SMALL, "callback": ["jsonl", "checkpoint", "mlflow_logger"]}


@pytest.fixture(autouse=True)
def offline(tmp_path, monkeypatch):
    """An empty folder, without a network."""
    monkeypatch.chdir(tmp_path)

    def connect(self, address):
        raise AssertionError(f"connects to {address}")

    monkeypatch.setattr(socket.socket, "connect", connect)


def runs():
    """The runs in mlflow.db, and the losses of each by step."""
    client = mlflow_logger.connected(Path("mlflow.db").resolve())
    experiment = client.get_experiment_by_name("microgpt_lab")
    found = client.search_runs([experiment.experiment_id])
    histories = [client.get_metric_history(run.info.run_id, "loss/train") for run in found]
    return found, [[(metric.step, metric.value) for metric in history] for history in histories]


def trained(run):
    """The losses of a run by step."""
    lines = (run.folder / "metrics.jsonl").read_text().splitlines()
    return [(each["step"], each["loss/train"]) for each in map(json.loads, lines) if "loss/train" in each]


@pytest.mark.parametrize(
    "n, numeral", [(1, "I"), (4, "IV"), (49, "XLIX"), (1994, "MCMXCIV"), (3888, "MMMDCCCLXXXVIII")]
)
def test_numerals(n, numeral):
    assert mlflow_logger.roman(largest=3999)[n - 1] == f"{n}={numeral}"


@pytest.mark.parametrize("largest, block_size", [(887, 16), (3999, 21)])
def test_tasks_fit_into_the_blocks_that_the_docstring_names(largest, block_size):
    assert max(map(len, mlflow_logger.roman(largest=largest))) == block_size - 1


def test_mlflow_has_what_the_run_has():
    run = train(**LOGGED, steps=6, folder="run")
    (logged,), (losses,) = runs()
    assert losses == trained(run)
    assert logged.data.params["optimizer.lr"] == str(run.config["optimizer"]["lr"])
    assert logged.data.metrics["summary/loss/val"] == run.loss
    assert logged.info.status == "FINISHED"


def test_a_resumed_run_goes_on_in_the_same_run_of_mlflow():
    run = train(**LOGGED, steps=6, folder="run").resume(steps=9)
    (logged,), (losses,) = runs()
    assert losses == trained(run)
    assert len(losses) == 9
    assert logged.data.params["steps"] == "6"  # MLflow never changes a parameter
    assert logged.data.tags["steps"] == "9"


def test_steps_that_are_made_again_are_logged_once():
    first, second = mlflow_logger.MlflowLogger(), mlflow_logger.MlflowLogger()
    run = train(**LOGGED, steps=3, folder="run")
    for callback, steps in (first, (1, 2, 3)), (second, (2, 3, 4)):  # killed; resumed from step 1
        callback.run_started(run)
        for step in steps:
            callback.step_finished(step, {"loss/train": float(step)})
        second.load_state_dict(callback.state_dict())
    _, histories = runs()
    assert [(n, float(n)) for n in (1, 2, 3, 4)] in histories


def test_without_mlflow_a_run_is_refused_in_a_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(
        UserError, match=r"^callback=mlflow_logger: the package mlflow is missing: pip install mlflow$"
    ):
        train(**LOGGED, steps=1, folder="run")
    assert not Path("run").exists()


def test_a_database_in_a_folder_that_does_not_exist_is_refused():
    with pytest.raises(
        UserError, match=r"callback.mlflow_logger.database=no/such.db: the folder .* does not exist"
    ):
        train("callback.mlflow_logger.database=no/such.db", **LOGGED, steps=1, folder="run")
