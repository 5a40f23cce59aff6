"""Conducting a study on a Ray cluster, through the `ray` extra.

Ray schedules, places and retries; a run is idempotent by its identity, so that a task that Ray
starts again goes on from the last checkpoint in the folder, which all machines share.
"""

import os
import socket
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from waymarks.errors import UserError
from waymarks.studies.conduct import (
    PATIENCE,
    Event,
    Job,
    Retries,
    described,
    event_of,
    jobs_of,
    settled,
)
from waymarks.studies.execution import Execution, Interrupted
from waymarks.studies.provenance import COMMAND_VARIABLE, command
from waymarks.studies.status import first_line, progress_of
from waymarks.studies.study import RUNS, Study
from waymarks.studies.worker import carry_out_job

LOOK = 1.0
"""Seconds from one look at the runs that are going on to the next."""

RAYS_RETRIES = 3
"""How often Ray starts a run again whose process or machine died."""


@dataclass(frozen=True)
class Resources:
    """What each run asks of the cluster: CPUs, and GPUs or a fraction of one."""

    cpus: float = 1.0
    gpus: float = 0.0


def conduct_on_ray(
    study: Study,
    folder: Path,
    execution: Execution,
    address: str,
    resources: Resources | None = None,
) -> Generator[Event, None, None]:
    """Runs every arm of `study` with every seed on a Ray cluster; like `conduct`.

    Args:
        study: what to run.
        folder: of the study, at the same path on every machine.
        execution: where and how; `threads` unless given is each run's share of CPUs.
        address: of the cluster; `auto` for the one that this machine belongs to, `local` to start
            one on this machine.
        resources: what each run asks for.

    Raises:
        UserError: Ray is not installed, no cluster answers, it never has what a run asks for, or
            the folder cannot be written.
        RunFailed: the disk is full or has become read-only.
        Interrupted: Ctrl-C; every run that was going has saved a checkpoint.
    """
    ray = _import_ray()
    resources = resources or Resources()
    folder = folder.resolve()
    threads = execution.threads or max(1, int(resources.cpus))
    execution = execution.model_copy(update={"threads": threads})
    study.write(folder)
    is_ours = not ray.is_initialized()
    if is_ours:
        _connect(ray, address)
    try:
        _check_resources(ray, resources)
        tasks = _Tasks(ray, folder, execution, resources)
        try:
            for job in jobs_of(study, folder):
                event = settled(job)
                if event:
                    yield event
                else:
                    tasks.give(job)
            yield from _work_off(tasks)
        finally:
            tasks.stop()
    except KeyboardInterrupt:
        raise Interrupted(str(folder)) from None
    finally:
        if is_ours:
            ray.shutdown()


def _import_ray() -> Any:
    try:
        import ray
    except ImportError as error:
        raise UserError("Ray is not installed: pip install 'waymarks[ray]'") from error
    return ray


def _connect(ray: Any, address: str) -> None:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "error"}
    if address == "local":
        options |= {"include_dashboard": False, "object_store_memory": 100 * 2**20}
    try:
        ray.init(address=address, **options)
    except (ConnectionError, ValueError, RuntimeError, OSError) as error:
        raise UserError(
            f"no Ray cluster answers at {address!r} ({first_line(str(error))}); start one with "
            "ray start --head, or say --ray local"
        ) from error


def _check_resources(ray: Any, resources: Resources) -> None:
    """Refuses what no machine of the cluster has, which Ray would wait for without end."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    for name, asked in (("CPU", resources.cpus), ("GPU", resources.gpus)):
        most = max((node.get(name, 0.0) for node in nodes), default=0.0)
        if asked > most:
            raise UserError(
                f"each run asks for {asked:g} {name}s; the largest machine of the cluster has "
                f"{most:g}"
            )


def carry_out_remotely(description: dict[str, Any]) -> dict[str, Any]:
    """What Ray executes: one job, on whatever machine it chose; says how it ended."""
    if not Path(description["root"]).is_dir():
        machine = socket.gethostname()
        reason = f"it is not there on {machine}; all machines must see it at the same path"
        return {"kind": "unwritable", "message": reason}
    os.environ[COMMAND_VARIABLE] = description["command"]
    return carry_out_job(description)


class _Tasks:
    """The runs that Ray was given and that have not ended, in the order in which they were."""

    def __init__(self, ray: Any, folder: Path, execution: Execution, resources: Resources) -> None:
        self.ray, self.folder = ray, folder
        self._execution = execution
        asked: dict[str, Any] = {"num_cpus": resources.cpus, "num_gpus": resources.gpus}
        if execution.compile:  # torch.compile compiles less and less in one process
            asked["max_calls"] = 1
        self._remote = ray.remote(max_retries=RAYS_RETRIES, **asked)(carry_out_remotely)
        self._jobs: dict[Any, Job] = {}
        self._shown: dict[Job, int] = {}
        self._at_once = _at_once(ray, resources)

    def __len__(self) -> int:
        return len(self._jobs)

    def give(self, job: Job) -> None:
        """Has Ray carry out a job when there is room."""
        description = described(job, self.folder / RUNS, self._execution)
        self._jobs[self._remote.remote({**description, "command": command()})] = job

    def ended(self) -> list[tuple[Job, dict[str, Any]]]:
        """Those that have ended, and how; waits a moment for them."""
        references = list(self._jobs)
        done, _ = self.ray.wait(references, num_returns=len(references), timeout=LOOK)
        return [(self._jobs.pop(reference), self._how(reference)) for reference in done]

    def _how(self, reference: Any) -> dict[str, Any]:
        try:
            ended: dict[str, Any] = self.ray.get(reference)
        except self.ray.exceptions.RayError as error:
            details = str(error)
            return {"kind": "failed", "message": first_line(details), "details": details}
        return ended

    def news(self) -> Iterator[Event]:
        """What the folders of the runs that may be going on show of their progress."""
        for job in list(self._jobs.values())[: self._at_once]:
            progress = progress_of(job) if job.run.status["state"] == "running" else None
            if progress is None or progress.update <= self._shown.get(job, -1):
                continue
            if job not in self._shown:
                yield Event("started", job)
            self._shown[job] = progress.update
            yield Event("progressed", job, progress)

    def stop(self) -> None:
        """Drops what has not begun, asks the others to save a checkpoint, and waits for them."""
        references = list(self._jobs)
        for reference in references:
            self.ray.cancel(reference, force=False)
        if references:
            self.ray.wait(references, num_returns=len(references), timeout=PATIENCE)


def _at_once(ray: Any, resources: Resources) -> int:
    """How many runs the cluster may have going at once, and some more."""
    total = ray.cluster_resources()
    rooms = [
        total.get(name, 0) / asked
        for name, asked in (("CPU", resources.cpus), ("GPU", resources.gpus))
        if asked
    ]
    return 2 * int(min(rooms, default=1)) + 8


def _work_off(tasks: _Tasks) -> Iterator[Event]:
    """Says what happens until every job has ended."""
    elsewhere: list[Job] = []
    retries = Retries()
    while tasks or elsewhere:
        if not tasks:
            time.sleep(LOOK)
        for job, ended in tasks.ended() if tasks else ():
            if ended["kind"] == "interrupted":
                event = retries.of(job, "its process was asked to stop")
            else:
                event = event_of(job, ended, tasks.folder)
            yield event
            if event.kind == "retried":
                tasks.give(job)
            if event.kind == "elsewhere":
                elsewhere.append(job)
        yield from tasks.news()
        for job in [job for job in elsewhere if not job.run.is_being_trained]:
            elsewhere.remove(job)
            tasks.give(job)
