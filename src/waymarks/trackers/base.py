"""What every tracker can do: begin a run or go on with it, log an evaluation, end."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

Metrics = Mapping[str, Any]
"""One line of a run's `metrics.jsonl`."""


@dataclass(frozen=True)
class Subject:
    """The run that is tracked.

    Attributes:
        identity: of its experiment: by it a tracker finds the run again that it began earlier.
        experiment: as plain data.
        folder: the run's own, which holds the record.
        files: where trackers keep their files, each in a folder of its name.
        study, arm: their names, where the run is part of a study.
    """

    identity: str
    experiment: Mapping[str, Any]
    folder: Path
    files: Path
    study: str | None = None
    arm: str | None = None

    @property
    def title(self) -> str:
        """What a person would call the run: `p = 0.5, seed 1`."""
        return f"{self.arm or self.identity}, seed {self.experiment['seed']}"


class Tracker(ABC):
    """One run as another tool keeps it.

    Its methods are called one after another in a thread of the tracker's own. Any exception
    switches the tracker off for this run, with a warning, and leaves the run alone.

    Attributes:
        name: as after `--track`, and the name of the extra that installs it.
        library: the module it needs, which it imports in `begin` and not before.
    """

    name: ClassVar[str]
    library: ClassVar[str]

    @abstractmethod
    def begin(self, subject: Subject, folder: Path) -> int:
        """Begins the run, or goes on with it where an earlier process left it.

        Args:
            subject: the run.
            folder: for this tracker's files; it is there.

        Returns:
            The update of the newest evaluation that is there already, -1 if none is: that one
            and earlier ones are not logged again.
        """

    @abstractmethod
    def log(self, metrics: Metrics) -> None:
        """Logs one evaluation."""

    @abstractmethod
    def end(self, state: str) -> None:
        """Ends the run for now: it is `finished`, `diverged` or `interrupted`."""


def numbers(metrics: Metrics) -> Iterator[tuple[str, float]]:
    """An evaluation's numbers by name, without its update and without what is not known."""
    for name, value in metrics.items():
        if name != "update" and value is not None:
            yield name, value


def flattened(data: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The leaves of nested data by their dotted names: `training.learning_rate`."""
    for name, value in data.items():
        if isinstance(value, Mapping):
            yield from flattened(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
