"""Conducting a study: its runs side by side, in worker processes that take one after another."""

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from waymarks.errors import RunFailed
from waymarks.studies.execution import Execution, Interrupted, Progress
from waymarks.studies.experiment import Experiment
from waymarks.studies.provenance import COMMAND_VARIABLE
from waymarks.studies.provenance import command as command_given
from waymarks.studies.run import Run
from waymarks.studies.study import RUNS, Study
from waymarks.training.checkpoints import NAME as CHECKPOINT

PATIENCE = 60.0
"""Seconds that workers are given to save a checkpoint when they are asked to stop."""

LOOK_AGAIN = 2.0
"""Seconds from one look to the next at runs that another process is training."""

RETRIES = 2
"""How often a run whose process died is tried again without having come any further."""

WORKER = (sys.executable, "-m", "waymarks.studies.worker")
"""The command of a worker."""


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
        kind: `skipped` (it was finished already), `started`, `progressed`, `finished`, `failed`;
            `retried` (its process died, and it will go on in another one), `elsewhere` (another
            process is training it; it is looked at again).
        progress: with `progressed`.
        message: with `failed` and `retried`, the reason.
    """

    kind: str
    job: Job
    progress: Progress | None = None
    message: str = ""


@dataclass(frozen=True)
class _Message:
    """What a worker said, or None when it has died."""

    worker: "_Worker"
    said: dict[str, Any] | None


class _Worker:
    """A process that takes one job after another."""

    def __init__(
        self, command: Sequence[str], execution: Execution, heard: "queue.Queue[_Message]"
    ) -> None:
        threads = str(execution.threads)
        self.job: Job | None = None
        self.is_ready = False
        self.complaints: deque[str] = deque(maxlen=20)
        self.process = subprocess.Popen(
            list(command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
            env={**os.environ, "OMP_NUM_THREADS": threads, COMMAND_VARIABLE: command_given()},
        )
        threading.Thread(target=self._listen, args=(heard,), daemon=True).start()

    def give(self, job: Job, root: Path, execution: Execution) -> None:
        """Has it carry out a job."""
        self.job = job
        description = described(job, root, execution)
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # its death is heard of
            self.process.stdin.write(json.dumps(description) + "\n")
            self.process.stdin.flush()

    def _listen(self, heard: "queue.Queue[_Message]") -> None:
        complaints = threading.Thread(target=self._keep_complaints, daemon=True)
        complaints.start()
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with contextlib.suppress(ValueError):  # cut off as it died
                heard.put(_Message(self, json.loads(line)))
        self.process.wait()
        complaints.join()
        heard.put(_Message(self, None))

    def _keep_complaints(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            if line.strip():
                self.complaints.append(line.strip())

    def why_it_died(self) -> str:
        """One sentence."""
        code = self.process.returncode
        if code == 130:
            return "its process was asked to stop"
        if code == -signal.SIGKILL:
            return "its process was killed by SIGKILL, as the system does when memory runs out"
        if code < 0:
            return f"its process was killed by {signal.Signals(-code).name}"
        complaint = f": {self.complaints[-1]}" if self.complaints else ""
        return f"its process ended with code {code}{complaint}"


class _Crew:
    """The workers of a study.

    Attributes:
        folder: the study's.
        heard: what they said.
    """

    def __init__(self, command: Sequence[str], execution: Execution, folder: Path) -> None:
        self.folder = folder
        self.heard: queue.Queue[_Message] = queue.Queue()
        self._command, self._execution = command, execution
        self._workers: list[_Worker] = []

    @property
    def busy(self) -> int:
        """How many have a job."""
        return sum(worker.job is not None for worker in self._workers)

    def give(self, job: Job) -> None:
        """Has an idle worker carry out a job; starts one if there is none."""
        idle = [worker for worker in self._workers if worker.job is None]
        if not idle:
            idle = [_Worker(self._command, self._execution, self.heard)]
            self._workers += idle
        idle[0].give(job, self.folder / RUNS, self._execution)

    def dismiss(self, worker: _Worker) -> None:
        """Gives no more jobs to a worker that has died or is about to."""
        if worker in self._workers:
            self._workers.remove(worker)

    def stop(self) -> None:
        """Asks those with a job to save a checkpoint and waits for them; ends the others."""
        for worker in self._workers:
            worker.process.send_signal(signal.SIGTERM if worker.job else signal.SIGKILL)
        latest = time.monotonic() + PATIENCE
        for worker in self._workers:
            try:
                worker.process.wait(max(0.0, latest - time.monotonic()))
            except subprocess.TimeoutExpired:
                worker.process.kill()


def cores() -> int:
    """How many CPU cores this process may use."""
    with contextlib.suppress(AttributeError):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def default_jobs(execution: Execution) -> int:
    """How many runs go side by side unless told: one per core, or one on a GPU."""
    return 1 if execution.torch_device().type == "cuda" else cores()


def described(job: Job, root: Path, execution: Execution) -> dict[str, Any]:
    """A job as plain data, for `carry_out_job`."""
    return {
        "experiment": job.experiment.model_dump(mode="json"),
        "root": str(root),
        "execution": execution.model_dump(mode="json"),
    }


def jobs_of(study: Study, folder: Path) -> Iterator[Job]:
    """Every run of a study once, in the order in which they are begun."""
    identities = set()
    for arm, experiment in study.experiments():
        run = Run.of(experiment, folder / RUNS)
        if run.folder.name not in identities:
            identities.add(run.folder.name)
            yield Job(arm, experiment, run)


def settled(job: Job) -> Event | None:
    """What became of a job that is not to be trained any more: `skipped`, or `failed` where it
    diverged, as it would again."""
    if job.run.is_finished:
        return Event("skipped", job)
    if job.run.state == "diverged":
        return Event("failed", job, message=job.run.failure or "it diverged")
    return None


def conduct(
    study: Study,
    folder: Path,
    execution: Execution,
    jobs: int | None = None,
    worker: Sequence[str] = WORKER,
) -> Generator[Event, None, None]:
    """Runs every arm of `study` with every seed, and says what happens.

    What is finished is skipped, what was half done goes on, and one run's failure stops no other.
    A run whose process died is tried again; what another driver is training is left to it, and
    looked at again. Closing the iterator, or Ctrl-C, asks the workers to save a checkpoint and
    waits for them.

    Args:
        study: what to run.
        folder: of the study: its `study.json`, and its runs by identity in `runs/`.
        execution: where and how; `threads` unless given is each run's share of the cores.
        jobs: how many runs side by side.
        worker: the command of a process that behaves like `waymarks.studies.worker`.

    Raises:
        UserError: the folder cannot be written, or the device is not there.
        RunFailed: the disk is full or has become read-only, or no worker can be started.
        Interrupted: Ctrl-C; every run that was going has saved a checkpoint.
    """
    jobs = jobs or default_jobs(execution)
    study.write(folder)
    share = max(1, cores() // jobs)
    execution = execution.model_copy(update={"threads": execution.threads or share})
    waiting: deque[Job] = deque()
    crew = _Crew(worker, execution, folder)
    try:
        for job in jobs_of(study, folder):
            event = settled(job)
            if event:
                yield event
            else:
                waiting.append(job)
        yield from _work_off(waiting, crew, jobs)
    except KeyboardInterrupt:
        raise Interrupted(str(folder)) from None
    finally:
        crew.stop()


def _work_off(waiting: deque[Job], crew: _Crew, jobs: int) -> Iterator[Event]:
    """Has the crew do the jobs, at most so many at once."""
    elsewhere: deque[Job] = deque()
    retries = Retries()
    look_at = time.monotonic()
    while waiting or elsewhere or crew.busy:
        while waiting and crew.busy < jobs:
            job = waiting.popleft()
            crew.give(job)
            yield Event("started", job)
        with contextlib.suppress(queue.Empty):
            message = crew.heard.get(timeout=LOOK_AGAIN if elsewhere else None)
            event = _understood(message, crew, retries)
            if event:
                yield event
                if event.kind == "retried":
                    waiting.append(event.job)
                if event.kind == "elsewhere":
                    elsewhere.append(event.job)
        if elsewhere and time.monotonic() >= look_at:
            look_at = time.monotonic() + LOOK_AGAIN
            for job in [job for job in elsewhere if not job.run.is_being_trained]:
                elsewhere.remove(job)
                event = settled(job)
                if event:
                    yield event
                else:
                    waiting.append(job)


def _understood(message: _Message, crew: _Crew, retries: "Retries") -> Event | None:
    """What a worker's message means for its job."""
    worker, said = message.worker, message.said
    if said is None:
        return _death(worker, crew, retries)
    job = worker.job
    if "ready" in said or job is None:
        worker.is_ready = True
        return None
    if "progress" in said:
        return Event("progressed", job, Progress(**said["progress"]))
    ended = said["ended"]
    if ended["kind"] == "interrupted":
        return None  # its process was asked to stop by someone else, and is about to end
    worker.job = None
    if ended["last"]:
        crew.dismiss(worker)
    return event_of(job, ended, crew.folder)


def _death(worker: _Worker, crew: _Crew, retries: "Retries") -> Event | None:
    """What becomes of the job of a worker that has died."""
    crew.dismiss(worker)
    job, reason = worker.job, worker.why_it_died()
    worker.job = None
    if not worker.is_ready and worker.process.returncode > 0:
        raise RunFailed(f"no worker can be started: {reason}")
    if job is None:
        return None
    return retries.of(job, reason, "\n".join(worker.complaints))


def event_of(job: Job, ended: Mapping[str, Any], folder: Path) -> Event:
    """What happened to a job that `carry_out_job` says has `ended` so.

    Raises:
        RunFailed: the study's folder cannot be written any more.
    """
    if ended["kind"] == "unwritable":
        raise RunFailed(
            f"{folder}: cannot be written: {ended['message']}; what was finished or saved is "
            f"kept: mend that, then waymarks resume {folder}"
        )
    if ended["kind"] == "failed":
        return failed(job, ended["message"], ended.get("details", ""))
    return Event(ended["kind"], job)


def failed(job: Job, message: str, details: str = "") -> Event:
    """That a job failed, kept with its run where that can be written."""
    with contextlib.suppress(OSError):
        if job.run.state != "diverged":
            job.run.write_failure(message, details)
    return Event("failed", job, message=message)


class Retries:
    """Which runs are tried again: those that died for the first times since they got further."""

    def __init__(self) -> None:
        self._deaths: Counter[Job] = Counter()
        self._reached: dict[Job, int] = {}

    def of(self, job: Job, reason: str, details: str = "") -> Event:
        """Whether a job whose process died is `retried`, or `failed`."""
        reached = _saved_update(job.run)
        if reached > self._reached.get(job, -1):
            self._deaths[job] = 0
        self._reached[job] = reached
        self._deaths[job] += 1
        if self._deaths[job] > RETRIES:
            return failed(job, f"{reason}, {self._deaths[job]} times", details)
        return Event("retried", job, message=reason)


def _saved_update(run: Run) -> int:
    """The update of the newest checkpoint, whole or not; 0 where there is none."""
    with contextlib.suppress(OSError):
        matches = (CHECKPOINT.fullmatch(file.name) for file in run.folder.iterdir())
        return max((int(match[1]) for match in matches if match), default=0)
    return 0
