"""Conducting a study: its runs side by side, each in a process of its own."""

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from waymarks.studies.execution import Execution, Interrupted, Progress
from waymarks.studies.experiment import Experiment
from waymarks.studies.provenance import COMMAND_VARIABLE, command
from waymarks.studies.run import Run
from waymarks.studies.study import RUNS, Study

PATIENCE = 60.0
"""Seconds that workers are given to save a checkpoint when they are asked to stop."""


@dataclass(frozen=True, eq=False)
class Job:
    """One run of a study."""

    arm: str
    experiment: Experiment
    run: Run


@dataclass(frozen=True)
class Event:
    """Something happened to a job.

    Attributes:
        kind: `skipped` (it was finished already), `started`, `progressed`, `finished`, `failed`.
        progress: with `progressed`.
        message: with `failed`, the reason.
    """

    kind: str
    job: Job
    progress: Progress | None = None
    message: str = ""


@dataclass
class _Worker:
    job: Job
    process: "subprocess.Popen[str]"
    complaints: deque[str] = field(default_factory=lambda: deque(maxlen=20))


def cores() -> int:
    """How many CPU cores this process may use."""
    with contextlib.suppress(AttributeError):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def default_jobs(execution: Execution) -> int:
    """How many runs go side by side unless told: one per core, or one on a GPU."""
    return 1 if execution.torch_device().type == "cuda" else cores()


def conduct(
    study: Study, folder: Path, execution: Execution, jobs: int | None = None
) -> Iterator[Event]:
    """Runs every arm of `study` with every seed, and says what happens.

    What is finished is skipped, what was half done goes on, and one run's failure stops no other.
    Closing the iterator, or Ctrl-C, asks the workers to save a checkpoint and waits for them.

    Args:
        study: what to run.
        folder: of the study: its `study.json`, and its runs by identity in `runs/`.
        execution: where and how; `threads` unless given is each run's share of the cores.
        jobs: how many runs side by side.

    Raises:
        UserError: the folder cannot be written, or the device is not there.
        Interrupted: Ctrl-C; every run that was going has saved a checkpoint.
    """
    jobs = jobs or default_jobs(execution)
    study.write(folder)
    share = max(1, cores() // jobs)
    execution = execution.model_copy(update={"threads": execution.threads or share})
    waiting = deque(_jobs(study, folder))
    for job in list(waiting):
        if job.run.is_finished:
            waiting.remove(job)
            yield Event("skipped", job)
    happened: queue.Queue[tuple[_Worker, str | None]] = queue.Queue()
    working: list[_Worker] = []
    try:
        while waiting or working:
            while waiting and len(working) < jobs:
                worker = _start(waiting.popleft(), folder / RUNS, execution, happened)
                working.append(worker)
                yield Event("started", worker.job)
            worker, line = happened.get()
            if line is not None:
                yield Event("progressed", worker.job, Progress(**json.loads(line)))
                continue
            working.remove(worker)
            yield _ended(worker)
    except KeyboardInterrupt:
        raise Interrupted(str(folder)) from None
    finally:
        _stop(working)


def _jobs(study: Study, folder: Path) -> Iterator[Job]:
    identities = set()
    for arm, experiment in study.experiments():
        if experiment.identity not in identities:
            identities.add(experiment.identity)
            yield Job(arm, experiment, Run(folder / RUNS / experiment.identity))


def _start(
    job: Job, root: Path, execution: Execution, happened: "queue.Queue[tuple[_Worker, str | None]]"
) -> _Worker:
    threads = str(execution.threads)
    process = subprocess.Popen(
        [sys.executable, "-m", "waymarks.studies.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": threads, COMMAND_VARIABLE: command()},
    )
    worker = _Worker(job, process)
    description: dict[str, Any] = {
        "experiment": job.experiment.model_dump(mode="json"),
        "root": str(root),
        "execution": execution.model_dump(mode="json"),
    }
    with contextlib.suppress(BrokenPipeError):
        assert process.stdin is not None
        process.stdin.write(json.dumps(description))
        process.stdin.close()
    threading.Thread(target=_listen, args=(worker, happened), daemon=True).start()
    return worker


def _listen(worker: _Worker, happened: "queue.Queue[tuple[_Worker, str | None]]") -> None:
    """Passes on a worker's lines, then None when it has ended."""

    def keep_complaints() -> None:
        assert worker.process.stderr is not None
        for line in worker.process.stderr:
            if line.strip():
                worker.complaints.append(line.strip())

    complaints = threading.Thread(target=keep_complaints, daemon=True)
    complaints.start()
    assert worker.process.stdout is not None
    for line in worker.process.stdout:
        happened.put((worker, line))
    worker.process.wait()
    complaints.join()
    happened.put((worker, None))


def _ended(worker: _Worker) -> Event:
    code = worker.process.returncode
    if code == 0:
        return Event("finished", worker.job)
    reason = worker.complaints[-1] if worker.complaints else f"its process ended with code {code}"
    if code < 0:
        reason = f"its process was killed by {signal.Signals(-code).name}"
    return Event("failed", worker.job, message=reason)


def _stop(working: list[_Worker]) -> None:
    """Asks the workers to save a checkpoint, and waits for them."""
    for worker in working:
        with contextlib.suppress(ProcessLookupError):
            worker.process.send_signal(signal.SIGTERM)
    for worker in working:
        try:
            worker.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            worker.process.kill()
