"""What a study is at: its runs finished, running, failed and waiting, read from their folders."""

import json
import shlex
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

from waymarks.studies.conduct import Job, jobs_of
from waymarks.studies.execution import Progress
from waymarks.studies.run import METRICS
from waymarks.studies.study import Study

Standing = Literal["finished", "running", "failed", "waiting"]
STANDINGS: tuple[Standing, ...] = get_args(Standing)

TAIL = 16_384
"""Bytes at the end of `metrics.jsonl` that are read of a run that is going on."""


@dataclass(frozen=True)
class RunStatus:
    """What one run of a study is at.

    Attributes:
        job: which run.
        standing: `failed` has a reason; `waiting` has not begun, or was interrupted and goes on
            from its last checkpoint.
        update: how far it is: as of its newest evaluation while it runs.
        updates_per_second: between its two newest evaluations, while it runs; None before those.
        reason: with `failed`.
        diverged: whether that is why it failed; it would again.
    """

    job: Job
    standing: Standing
    update: int = 0
    updates_per_second: float | None = None
    reason: str = ""
    diverged: bool = False

    @property
    def updates(self) -> int:
        """The run's budget."""
        return self.job.experiment.training.updates

    @property
    def seconds_left(self) -> float | None:
        """At most, at the present pace; None where that is not known."""
        if not self.updates_per_second:
            return None
        return (self.updates - self.update) / self.updates_per_second

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "run": self.job.run.folder.name,
            "arm": self.job.arm,
            "seed": self.job.experiment.seed,
            "state": self.standing,
            "update": self.update,
            "updates": self.updates,
            "seconds_left": self.seconds_left,
            "reason": self.reason or None,
        }


@dataclass(frozen=True)
class StudyStatus:
    """What the runs of a study are at."""

    study: Study
    runs: tuple[RunStatus, ...]

    @cached_property
    def counts(self) -> dict[Standing, int]:
        """How many runs are at what."""
        counted = Counter(run.standing for run in self.runs)
        return {standing: counted[standing] for standing in STANDINGS}

    def at(self, standing: Standing) -> list[RunStatus]:
        """The runs that are there."""
        return [run for run in self.runs if run.standing == standing]

    @property
    def missing(self) -> list[RunStatus]:
        """The runs that are not finished."""
        return [run for run in self.runs if run.standing != "finished"]

    @property
    def seconds_left(self) -> float | None:
        """For all of it, at most: the updates that are missing at the pace of the runs that are
        going on; None where that is not known."""
        paces = [run.updates_per_second for run in self.at("running")]
        known = [pace for pace in paces if pace]
        if not known or len(known) < len(paces):
            return None
        going_on = self.at("running") + self.at("waiting")
        return sum(run.updates - run.update for run in going_on) / sum(known)

    def in_short(self) -> str:
        """`12 finished, 2 running, 1 failed, 45 waiting`."""
        return ", ".join(f"{count:,} {standing}" for standing, count in self.counts.items())

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "study": self.study.name,
            "counts": self.counts,
            "seconds_left": self.seconds_left,
            "runs": [run.as_dict() for run in self.runs],
        }


def status_of(study: Study, folder: Path) -> StudyStatus:
    """What the runs of `study` in `folder` are at."""
    return StudyStatus(study, tuple(_status(job) for job in jobs_of(study, folder)))


def open_status(folder: Path) -> StudyStatus:
    """What the study in `folder` is at.

    Raises:
        UserError: there is none.
    """
    return status_of(Study.open(folder), folder)


def _status(job: Job) -> RunStatus:
    run = job.run
    status = run.status
    state, update = status["state"], int(status.get("update", 0))
    if state == "finished" and run.is_finished:
        return RunStatus(job, "finished", update)
    if state == "running" and run.is_being_trained:
        progress = progress_of(job)
        if progress is None:
            return RunStatus(job, "running", update)
        pace = progress.updates_per_second or None
        return RunStatus(job, "running", max(progress.update, update), pace)
    reason = None if state == "finished" else run.failure
    if state == "diverged":
        return RunStatus(job, "failed", update, reason=reason or "it diverged", diverged=True)
    if reason:
        return RunStatus(job, "failed", update, reason=reason)
    return RunStatus(job, "waiting", update)


def progress_of(job: Job) -> Progress | None:
    """How far a run is, from its two newest evaluations (with one, the pace is 0); None where
    there is none yet."""
    lines = _last_lines(job.run.folder / METRICS)
    if not lines:
        return None
    before, newest = lines[0], lines[-1]
    seconds = newest["seconds"] - before["seconds"]
    pace = (newest["update"] - before["update"]) / seconds if seconds > 0 else 0.0
    return Progress(newest["update"], job.experiment.training.updates, pace, newest)


def _last_lines(path: Path) -> list[dict[str, Any]]:
    """The two newest whole evaluations, or as many as there are."""
    try:
        with open(path, "rb") as file:
            file.seek(max(0, path.stat().st_size - TAIL))
            texts = file.read().split(b"\n")[:-1]
        return [json.loads(text) for text in texts[-2:]]
    except (OSError, ValueError):
        return []


def what_is_missing(status: StudyStatus, most: int = 20) -> list[str]:
    """One line for each run that is missing, up to so many."""
    missing = status.missing
    lines = []
    for run in missing[:most]:
        place = f"{run.job.arm}, seed {run.job.experiment.seed}"
        reached = f", at update {run.update:,} of {run.updates:,}" if run.update else ""
        reason = f": {first_line(run.reason)}" if run.reason else ""
        lines.append(f"{run.standing}: {place}{reached}{reason}")
    if len(missing) > most:
        lines.append(f"and {len(missing) - most:,} more")
    return lines


def what_to_do(status: StudyStatus, again: str) -> str:
    """What completes a study of which runs are missing, `again` being the command to go on."""
    if all(run.diverged for run in status.missing):
        return "they diverged, as they would again: a smaller learning rate, say, may not"
    return f"to complete it: {again}"


def first_line(text: str) -> str:
    """The first line of a text."""
    return text.strip().split("\n")[0]


def resume_command(folder: Path) -> str:
    """The command that goes on with a study."""
    return f"waymarks resume {shlex.quote(str(folder))}"
