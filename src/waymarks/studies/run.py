"""A run: what came of an experiment, in a folder of its own that any cut leaves usable."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import filelock

from waymarks.errors import UserError
from waymarks.studies.experiment import SCHEMA, Experiment
from waymarks.training.checkpoints import write_atomically

if TYPE_CHECKING:
    import pandas as pd

State = Literal["waiting", "running", "finished", "diverged", "interrupted"]

EXPERIMENT, METRICS, STATUS, TEST, LOCK = (
    "experiment.json",
    "metrics.jsonl",
    "status.json",
    "test.json",
    ".lock",
)
FAILURE = "failure.json"
"""Why nothing came of the last attempt; gone as soon as the run is taken up again."""


@dataclass(frozen=True)
class Solved:
    """When a step was solved, or for how long it was not.

    Attributes:
        update: of the first evaluation from which it stays solved; where it never was, the last
            evaluation (the run is censored there).
        censored: whether it never was.
    """

    update: int
    censored: bool


@dataclass(frozen=True)
class Run:
    """What came of an experiment, read from its folder."""

    folder: Path

    @classmethod
    def of(cls, experiment: Experiment, root: Path) -> "Run":
        """The run of an experiment in a folder of runs, begun or not."""
        run = cls(root / experiment.identity)
        run.__dict__["experiment"] = experiment  # where a cached property keeps what it has read
        return run

    @classmethod
    def open(cls, folder: Path) -> "Run":
        """The run in `folder`.

        Raises:
            UserError: there is none.
        """
        run = cls(folder)
        if "identity" not in run.record:
            raise UserError(f"{folder / EXPERIMENT}: is an experiment that has not been run")
        run.experiment  # noqa: B018 - reading it says whether it is one
        return run

    @cached_property
    def record(self) -> dict[str, Any]:
        """The content of `experiment.json`: the experiment, how it was executed, where and when.

        Raises:
            UserError: there is no such file, it is damaged, or a newer version wrote it.
        """
        return read_record(self.folder / EXPERIMENT)

    @cached_property
    def experiment(self) -> Experiment:
        """The experiment that was run."""
        return Experiment.parse(self.record["experiment"], str(self.folder / EXPERIMENT))

    @property
    def status(self) -> dict[str, Any]:
        """The content of `status.json`: `state`, and what goes with it."""
        try:
            status = json.loads((self.folder / STATUS).read_text())
        except (OSError, ValueError):
            return {"state": "waiting"}
        return status if isinstance(status, dict) else {"state": "waiting"}

    @property
    def state(self) -> State:
        """What the run is at: a run that was killed is `interrupted`, whatever it last wrote."""
        state: State = self.status.get("state", "waiting")
        if state == "running" and not self.is_being_trained:
            return "interrupted"
        return state

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will come of it."""
        return self.state in ("finished", "diverged")

    @property
    def is_being_trained(self) -> bool:
        """Whether some process holds the run's lock."""
        if not (self.folder / LOCK).exists():
            return False
        lock = self.lock()
        try:
            with lock.acquire(timeout=0):
                return False
        except filelock.Timeout:
            return True
        except OSError:
            return False

    @property
    def is_finished(self) -> bool:
        """Whether it came to its end, and all its evaluations are there to show it."""
        status = self.status
        if status.get("state") != "finished":
            return False
        try:
            lines = (self.folder / METRICS).read_bytes().count(b"\n")
        except OSError:
            return False
        if lines < int(status.get("evaluations", 0)):
            return False
        try:
            return not self.experiment.training.test_examples or self.test is not None
        except UserError:  # what it was of is lost, and has to be written down again
            return False

    @property
    def test(self) -> dict[str, Any] | None:
        """What the test stream showed at the end: every step's accuracy and loss, the `update`
        of the weights that were tested; None where it has not been looked at."""
        try:
            scores = json.loads((self.folder / TEST).read_text())
        except (OSError, ValueError):
            return None
        return scores if isinstance(scores, dict) else None

    @property
    def failure(self) -> str | None:
        """Why nothing came of the last attempt: it diverged, or its process told or died."""
        status = self.status
        if status.get("state") in ("finished", "diverged"):
            return status.get("message")
        try:
            return str(json.loads((self.folder / FAILURE).read_text())["message"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def write_failure(self, message: str, details: str = "") -> None:
        """Keeps the reason of a failure with the run; it is not a state: the run can be resumed.

        Raises:
            OSError: the folder cannot be written.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        content = {"message": message, "details": details}
        write_json(self.folder / FAILURE, content, flush=False)

    def lock(self) -> filelock.BaseFileLock:
        """The lock that a process holds while it trains this run; it goes with the process."""
        return filelock.FileLock(self.folder / LOCK)

    def metrics(self) -> list[dict[str, Any]]:
        """The whole lines of `metrics.jsonl`, up to the first that is not."""
        try:
            text = (self.folder / METRICS).read_text(errors="replace")
        except OSError:
            return []
        lines: list[dict[str, Any]] = []
        for line in text.split("\n")[:-1]:
            try:
                lines.append(json.loads(line))
            except ValueError:
                break
        return lines

    @property
    def curves(self) -> "pd.DataFrame":
        """One row per evaluation: update, examples, flops, seconds, train_loss, and for each step
        its `labels_seen`, its `accuracy` and its loss."""
        import pandas as pd

        return pd.DataFrame(self.metrics())

    def solved(
        self,
        step: str,
        accuracy: float | None = None,
        evaluations: Sequence[Mapping[str, Any]] | None = None,
    ) -> Solved:
        """When `step` was solved: the first evaluation from which its accuracy stays at or above
        `solved_accuracy` for `solved_evaluations` evaluations.

        Args:
            step: its name.
            accuracy: another one to reach than the experiment's `solved_accuracy`.
            evaluations: the run's, where they have been read already.
        """
        evaluations = self.metrics() if evaluations is None else evaluations
        if not evaluations:
            return Solved(0, censored=True)
        training = self.experiment.training
        needed = training.solved_evaluations
        accuracy = training.solved_accuracy if accuracy is None else accuracy
        good = [line[f"{step}.accuracy"] >= accuracy for line in evaluations]
        for first in range(len(good) - needed + 1):
            if all(good[first : first + needed]):
                return Solved(evaluations[first]["update"], censored=False)
        return Solved(evaluations[-1]["update"], censored=True)

    def write_status(self, state: State, **details: Any) -> None:
        """Replaces `status.json`; a run whose status was lost goes on from its last checkpoint."""
        write_json(self.folder / STATUS, {"state": state, **details}, flush=False)


def write_json(path: Path, content: Any, *, flush: bool = True) -> None:
    """Writes JSON, atomically; see `write_atomically` for `flush`."""
    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    write_atomically(path, text.encode(), flush=flush)


def read_json(path: Path) -> Any:
    """Reads a JSON file that a user named.

    Raises:
        UserError: it cannot be read, is not JSON (a pickle, say), or is cut off.
    """
    try:
        return json.loads(path.read_bytes().decode("utf-8"))
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: is not text; an experiment is a JSON file") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: is not whole JSON: {error}") from error


def read_experiment(path: Path) -> Experiment:
    """Reads an experiment from a file.

    Args:
        path: of an experiment as JSON, or of a run's `experiment.json`.

    Raises:
        UserError: it holds none.
    """
    return Experiment.parse(read_record(path)["experiment"], str(path))


def read_record(path: Path) -> dict[str, Any]:
    """Reads an experiment's file: a run's `experiment.json`, or a bare experiment.

    Raises:
        UserError: it is neither, or a newer version wrote it.
    """
    content = read_json(path)
    if not isinstance(content, dict):
        raise UserError(f"{path}: an experiment is a JSON object, not a {type(content).__name__}")
    schema = content.get("schema", SCHEMA)
    if not isinstance(schema, int) or isinstance(schema, bool) or schema < 1:
        raise UserError(f"{path}: schema is {schema!r}, which no version of waymarks wrote")
    if schema > SCHEMA:
        raise UserError(
            f"{path}: was written by a newer waymarks (schema {schema}, this one reads up to "
            f"{SCHEMA}); upgrade with pip install --upgrade waymarks"
        )
    return content if "experiment" in content else {"experiment": content}
