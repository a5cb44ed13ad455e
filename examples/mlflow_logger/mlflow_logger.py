import contextlib
import logging
import os
import tempfile
import time
from pathlib import Path

from microgpt_lab import between, hookimpl


def roman(*, largest: int = 800):
    """Numbers and their Roman numerals, such as 14=XIV, in order: a task.

    largest: the last number, at most 3999; above 887 they need block_size=21.
    """
    between(10, 3999, largest=largest)
    return [f"{n}={numeral(n)}" for n in range(1, largest + 1)]


roman.answer_after = "="


def numeral(n):
    """Write n, 1 to 3999, with the signs of its thousands, hundreds, tens and ones."""
    digits = zip(f"{n:04}", ("M  ", "CDM", "XLC", "IVX"))
    return "".join(
        PATTERNS[int(digit)].translate(dict(zip(map(ord, "ivx"), signs))) for digit, signs in digits
    )


PATTERNS = ("", "i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix")


class MlflowLogger:
    """Log the run to MLflow: its configuration, its metrics and its results, in a local SQLite file.

    database: the file; runs of a sweep may share it.
    experiment: the name of MLflow's experiment.
    """

    name = "mlflow_logger"

    def __init__(self, *, database: str = "mlflow.db", experiment: str = "microgpt_lab"):
        if not experiment.strip():
            raise ValueError("experiment must have a name")
        self.database, self.experiment = database, experiment
        self.client, self.run_id, self.logged, self.waiting = None, "", 0, []

    def check(self, run, trainer):
        """Refuse a run before it starts if MLflow or the folder of its database is missing."""
        try:
            import_mlflow()
        except ModuleNotFoundError as error:
            raise ValueError(f"the package {error.name} is missing: pip install mlflow") from None
        folder = Path(self.database).resolve().parent
        if not folder.is_dir():
            raise ValueError(f"database={self.database}: the folder {folder} does not exist")

    def run_started(self, run):
        self.run = run

    def step_finished(self, step, metrics):
        self.log(step, metrics)

    def measured(self, step, numbers):
        self.log(step, numbers)

    def log(self, step, numbers):
        """Keep numbers for MLflow, and write them once there are many. Steps that it has are left out."""
        if not self.client:
            self.open()  # not in run_started: a resumed run has its state only after that
        if step > self.logged:
            now = int(time.time() * 1000)
            self.waiting += [(key, value, now, step) for key, value in numbers.items()]
        if len(self.waiting) >= 500:
            self.write()

    def open(self):
        """Make a run in MLflow, or go on with that of a resumed run."""
        self.client = connected(Path(self.database).resolve())
        config = {key: str(value) for key, value in flat(self.run.config)}
        if not self.run_id:
            tags = {"folder": str(self.run.folder.resolve())}
            made = self.client.create_run(self.experiment_id(), run_name=self.run.name, tags=tags)
            self.run_id = made.info.run_id
            self.write(params=config)
        else:
            self.client.update_run(self.run_id, "RUNNING")
            params = self.client.get_run(self.run_id).data.params
            self.write(tags={key: text for key, text in config.items() if params.get(key) != text})
            history = self.client.get_metric_history(self.run_id, "loss/train")
            self.logged = max((metric.step for metric in history), default=0)

    def experiment_id(self):
        from mlflow.exceptions import MlflowException

        with contextlib.suppress(MlflowException):  # it exists
            self.client.create_experiment(self.experiment)
        return self.client.get_experiment_by_name(self.experiment).experiment_id

    def write(self, params=(), tags=()):
        """Write what waits, and parameters or tags, in as many calls as MLflow needs."""
        from mlflow.entities import Metric, Param, RunTag

        kinds = {
            "metrics": [Metric(*one) for one in self.waiting],
            "params": [Param(*one) for one in dict(params).items()],
            "tags": [RunTag(*one) for one in dict(tags).items()],
        }
        for kind, entries in kinds.items():
            for i in range(0, len(entries), 100):
                self.client.log_batch(self.run_id, **{kind: entries[i : i + 100]})
        self.waiting = []

    def run_finished(self, summary):
        if self.client:  # it made a step
            now, step = int(time.time() * 1000), summary["steps"]
            numbers = [(key, value) for key, value in flat(summary) if isinstance(value, (int, float))]
            self.waiting += [(f"summary/{key}", value, now, step) for key, value in numbers]
            self.write(tags={"summary/status": summary["status"]})
            self.client.set_terminated(self.run_id, STATUS.get(summary["status"], "FAILED"))

    def state_dict(self):
        if self.client:
            self.write()  # so that MLflow has all steps up to the checkpoint
        return {"run_id": self.run_id}

    def load_state_dict(self, state):
        self.run_id = state["run_id"]


STATUS = {"ok": "FINISHED", "interrupted": "KILLED"}


def connected(database):
    """Return a client of a database, which is made if it is missing, by one of the jobs that want it."""
    mlflow = import_mlflow()
    if not database.exists():
        with tempfile.TemporaryDirectory(dir=database.parent) as folder:
            new = Path(folder, "new.db")
            mlflow.MlflowClient(f"sqlite:///{new.as_posix()}").search_experiments()  # makes the tables
            with contextlib.suppress(FileExistsError):
                os.link(new, database)  # whole or not at all
    return mlflow.MlflowClient(f"sqlite:///{database.as_posix()}")


def import_mlflow():
    """Import MLflow, which takes a second, and keep it offline and quiet."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    import mlflow
    import sqlalchemy  # noqa: F401  mlflow-skinny comes without it

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    return mlflow


def flat(tree, prefix=""):
    """Yield the path of each value of nested dicts, such as optimizer.lr, and the value."""
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


MICROGPT_LAB_HOOKS = 6  # of microgpt_lab's versions


@hookimpl
def datasets():
    return [roman]


@hookimpl
def callbacks():
    return [MlflowLogger]
