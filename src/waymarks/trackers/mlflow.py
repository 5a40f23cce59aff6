"""MLflow: `mlflow ui --backend-store-uri sqlite:///<study>/trackers/mlflow/mlflow.db`."""

import logging
import os
import re
import time
from pathlib import Path
from typing import Any

import filelock

from waymarks.trackers.base import Metrics, Subject, Tracker, flattened, numbers

IDENTITY = "waymarks.identity"
"""The tag by which a run is found again."""

STATES = {"finished": "FINISHED", "diverged": "FAILED", "interrupted": "KILLED"}
PROBE = "examples"
PARAMETERS_AT_ONCE = 100
LONGEST_PARAMETER = 6000


class MLflow(Tracker):
    """A run in an MLflow experiment that is named like the study.

    It is kept where `MLFLOW_TRACKING_URI` says, in an SQLite file among the trackers' files
    unless it says anything. Names of columns may hold what MLflow allows; other characters
    become `_`.
    """

    name = "mlflow"
    library = "mlflow"

    def begin(self, subject: Subject, folder: Path) -> int:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        logging.getLogger("mlflow.store.db").setLevel(logging.WARNING)
        from mlflow import MlflowClient

        given = os.environ.get("MLFLOW_TRACKING_URI")
        # SQLite takes one writer at a time, and its tables must be made only once.
        self._lock = filelock.FileLock(folder / ".lock")
        with self._lock:
            self._client: Any = MlflowClient(
                tracking_uri=given or f"sqlite:///{folder.resolve() / 'mlflow.db'}"
            )
            artifacts = None if given else (folder.resolve() / "artifacts").as_uri()
            experiment = self._experiment(subject.study or "waymarks", artifacts)
            self._run = self._earlier_run(experiment, subject.identity)
            if self._run is None:
                self._run = self._new_run(experiment, subject)
                return -1
            self._client.update_run(self._run, "RUNNING")
            stored = self._client.get_metric_history(self._run, PROBE)
            return max((metric.step for metric in stored), default=-1)

    def log(self, metrics: Metrics) -> None:
        from mlflow.entities import Metric

        moment = int(time.time() * 1000)
        values = [
            Metric(_allowed(name), value, moment, metrics["update"])
            for name, value in numbers(metrics)
        ]
        with self._lock:
            self._client.log_batch(self._run, metrics=values)

    def end(self, state: str) -> None:
        with self._lock:
            self._client.set_terminated(self._run, STATES.get(state, "KILLED"))

    def _experiment(self, name: str, artifacts: str | None) -> str:
        known = self._client.get_experiment_by_name(name)
        identifier: str = (
            known.experiment_id
            if known
            else self._client.create_experiment(name, artifact_location=artifacts)
        )
        return identifier

    def _earlier_run(self, experiment: str, identity: str) -> str | None:
        found = self._client.search_runs(
            [experiment], filter_string=f"tags.`{IDENTITY}` = '{identity}'", max_results=1
        )
        return found[0].info.run_id if found else None

    def _new_run(self, experiment: str, subject: Subject) -> str:
        from mlflow.entities import Param

        tags = {IDENTITY: subject.identity, "waymarks.folder": str(subject.folder.resolve())}
        if subject.arm is not None:
            tags["waymarks.arm"] = subject.arm
        run: str = self._client.create_run(
            experiment, tags=tags, run_name=subject.title
        ).info.run_id
        parameters = [
            Param(_allowed(name), str(value)[:LONGEST_PARAMETER])
            for name, value in flattened(subject.experiment)
        ]
        for first in range(0, len(parameters), PARAMETERS_AT_ONCE):
            self._client.log_batch(run, params=parameters[first : first + PARAMETERS_AT_ONCE])
        return run


def _allowed(name: str) -> str:
    return re.sub(r"[^\w./: -]", "_", name)
