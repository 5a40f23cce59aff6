"""Carrying out one experiment: device, lock, checkpoints, signals."""

import contextlib
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Self

import filelock
import torch
from pydantic import Field, ValidationError, field_validator

from waymarks.axes import Frozen
from waymarks.errors import RunFailed, UserError, from_validation, unknown_name
from waymarks.studies.experiment import SCHEMA, Experiment
from waymarks.studies.provenance import now, provenance
from waymarks.studies.run import EXPERIMENT, FAILURE, METRICS, TEST, Run, read_json, write_json
from waymarks.trackers import Subject, Tracking, require_libraries, tracker_named
from waymarks.training import Diverged, Evaluated, Learner, Tested, train
from waymarks.training.checkpoints import save_checkpoint, whole_checkpoints, write_atomically
from waymarks.training.memory import keep_freed_memory


class Interrupted(Exception):  # noqa: N818 - an outcome
    """The run was asked to stop, and has saved a checkpoint. Exit code 130."""


class BeingTrained(Exception):  # noqa: N818 - an outcome
    """Another process is training the run."""


class Execution(Frozen):
    """Where and how an experiment is executed: what it costs, not what it is.

    A run keeps the execution that it was begun with when it is resumed: another number of
    threads adds up floating-point sums in another order.

    Attributes:
        device: `auto` (CUDA where there is one), `cpu`, `cuda` or `cuda:1`.
        compile: whether to use `torch.compile`; it takes up to a minute at the start.
        threads: of the CPU; torch's own choice unless given.
        checkpoint_seconds: from one checkpoint to the next.
        track: names of trackers that are shown the run (see `waymarks.trackers`); a run that is
            resumed keeps those that it was begun with unless there are others.
    """

    device: str = "auto"
    compile: bool = False
    threads: Annotated[int, Field(ge=1)] | None = None
    checkpoint_seconds: Annotated[float, Field(ge=0)] = 30.0
    track: tuple[str, ...] = ()

    @field_validator("track")
    @classmethod
    def _trackers_are_known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            tracker_named(name)
        return tuple(dict.fromkeys(names))

    @classmethod
    def of(cls, **fields: Any) -> Self:
        """Like the class itself.

        Raises:
            UserError: a field is unknown or does not suit.
        """
        try:
            return cls(**fields)
        except ValidationError as error:
            raise UserError(str(from_validation(error, list(cls.model_fields)))) from error

    def torch_device(self) -> torch.device:
        """The device meant.

        Raises:
            UserError: there is no such device, on this machine or at all.
        """
        kind, _, number = self.device.partition(":")
        if kind not in ("auto", "cpu", "cuda") or (number and not number.isdecimal()):
            raise UserError(unknown_name("device", self.device, ["auto", "cpu", "cuda", "cuda:0"]))
        available = torch.cuda.device_count()
        if self.device == "auto":
            return torch.device("cuda", 0) if available else torch.device("cpu")
        if kind == "cuda" and int(number or 0) >= available:
            raise UserError(f"device {self.device}: this machine has {available} CUDA devices")
        return torch.device(self.device)


@dataclass(frozen=True)
class Progress:
    """How far a run is.

    Attributes:
        update: updates so far, and `updates` of them at most.
        updates_per_second: lately, evaluations included.
        metrics: of the newest evaluation, if there was one yet.
    """

    update: int
    updates: int
    updates_per_second: float
    metrics: dict[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


Watch = Callable[[Progress], None]


class _Pace:
    """Updates per second over the last ten to twenty seconds."""

    def __init__(self, moment: float, update: int) -> None:
        self._older = self._newer = (moment, update)

    def at(self, moment: float, update: int) -> float:
        if moment - self._newer[0] > 10:
            self._older, self._newer = self._newer, (moment, update)
        return (update - self._older[1]) / max(moment - self._older[0], 1e-9)


def carry_out(
    experiment: Experiment,
    root: Path,
    execution: Execution | None = None,
    watch: Watch | None = None,
    wait: bool = True,
) -> Run:
    """Trains an experiment in `root/<identity>`, or finds it trained there.

    Goes on from the newest whole checkpoint.

    Args:
        experiment: what to train.
        root: the folder of runs; made where it is missing.
        execution: where and how; a run that is resumed keeps the one that it was begun with.
        watch: is told of progress a few times a second.
        wait: whether to wait where another process is training it.

    Raises:
        UserError: the device or a tracker's library is not there, or the folder cannot be written.
        RunFailed: it diverged, could not be written, or the memory did not suffice.
        Interrupted: SIGINT or SIGTERM came; a checkpoint is saved.
        BeingTrained: another process is training it, and `wait` is false.
    """
    execution = execution or Execution()
    execution.torch_device()
    require_libraries(execution.track)
    run = Run(root / experiment.identity)
    if run.is_finished:
        return run
    try:
        run.folder.mkdir(parents=True, exist_ok=True)
        lock = run.lock().acquire(timeout=-1 if wait else 0)
    except filelock.Timeout:
        raise BeingTrained(str(run.folder)) from None
    except OSError as error:
        raise UserError(f"cannot write to {run.folder}: {error.strerror or error}") from error
    with lock, _plain_reasons(run):
        if not run.is_finished:
            (run.folder / FAILURE).unlink(missing_ok=True)
            execution = _begin(run, experiment, execution)
            tracking = _tracking(run, experiment, execution)
            try:
                _train_under_lock(
                    run, experiment, execution, watch or (lambda progress: None), tracking
                )
            finally:
                state = run.status["state"]
                tracking.end(state if state in ("finished", "diverged") else "interrupted")
    return run


def _tracking(run: Run, experiment: Experiment, execution: Execution) -> Tracking:
    """The trackers asked for; their files lie beside the runs: in the study's folder, if the run
    belongs to a study, which then lends it the names of the study and the arm."""
    from waymarks.studies.study import STUDY, Study

    if not execution.track:
        return Tracking((), None)
    root, study, arm = run.folder.parent, None, None
    if (root.parent / STUDY).exists():
        root = root.parent
        with contextlib.suppress(UserError, ValidationError, KeyError, TypeError):
            asked = Study.model_validate(read_json(root / STUDY)["study"])
            study, arm = asked.name, asked.arm_of(experiment)
    subject = Subject(
        run.folder.name,
        experiment.model_dump(mode="json"),
        run.folder,
        root / "trackers",
        study,
        arm,
    )
    return Tracking([tracker_named(name) for name in execution.track], subject)


def _begin(run: Run, experiment: Experiment, execution: Execution) -> Execution:
    """Writes `experiment.json`; where there is one, returns the execution it was begun with."""
    try:
        begun = Execution.of(**Run(run.folder).record["execution"])
        begun.torch_device()
        changed = {
            "checkpoint_seconds": execution.checkpoint_seconds,
            "track": execution.track or begun.track,
        }
        return begun.model_copy(update=changed)
    except (UserError, KeyError, TypeError):
        pass
    device = execution.torch_device()
    settled = execution.model_copy(
        update={"device": str(device), "threads": execution.threads or torch.get_num_threads()}
    )
    write_json(
        run.folder / EXPERIMENT,
        {
            "schema": SCHEMA,
            "identity": experiment.identity,
            "experiment": experiment.model_dump(mode="json"),
            "execution": settled.model_dump(mode="json"),
            "provenance": provenance(device),
        },
        flush=False,
    )
    return settled


def _train_under_lock(
    run: Run, experiment: Experiment, execution: Execution, watch: Watch, tracking: Tracking
) -> None:
    torch.set_num_threads(execution.threads or torch.get_num_threads())
    keep_freed_memory()
    learner = Learner(experiment, execution.torch_device())
    try:
        _restore(run, learner)
        run.write_status("running", update=learner.update, process=os.getpid())
        tracking.begin(run.metrics())
        with _stop_requests() as stop:
            _follow(run, experiment, learner, execution, watch, tracking, stop)
    except Diverged as diverged:
        _end(run, learner, "diverged", diverged_at=diverged.update, message=str(diverged))
        raise RunFailed(f"{run.folder}: {diverged}; its last good checkpoint is kept") from diverged
    except Interrupted:
        if learner.update:
            save_checkpoint(run.folder, *_state(run, learner))
        _end(run, learner, "interrupted")
        raise
    save_checkpoint(run.folder, *_state(run, learner))
    _end(run, learner, "finished")


@contextlib.contextmanager
def _plain_reasons(run: Run) -> Iterator[None]:
    """A disk or a memory that did not suffice, said in one sentence."""
    try:
        yield
    except OSError as error:
        raise RunFailed(
            f"{run.folder}: cannot be written: {error.strerror or error}; what was saved is kept: "
            f"mend that, then waymarks resume {run.folder}"
        ) from error
    except (MemoryError, RuntimeError) as error:
        if not _is_out_of_memory(error):
            raise
        raise RunFailed(
            f"{run.folder}: out of memory; have fewer runs side by side, a smaller model or batch"
        ) from error


def _is_out_of_memory(error: BaseException) -> bool:
    """Whether it is Python's, CUDA's or, a plain RuntimeError, the CPU allocator's complaint."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return "DefaultCPUAllocator" in str(error)


def _follow(
    run: Run,
    experiment: Experiment,
    learner: Learner,
    execution: Execution,
    watch: Watch,
    tracking: Tracking,
    stop: threading.Event,
) -> None:
    """Trains to the end, writing metrics and checkpoints and telling `watch` and `tracking`."""
    metrics: dict[str, Any] = (run.metrics() or [{}])[-1]
    saved_at = told_at = time.monotonic()
    pace = _Pace(told_at, learner.update)
    with open(run.folder / METRICS, "a", encoding="utf-8") as lines:
        for event in train(experiment, learner, compile=execution.compile):
            if isinstance(event, Evaluated):
                metrics = event.metrics
                lines.write(json.dumps(metrics) + "\n")
                lines.flush()
                tracking.log(metrics)
            if isinstance(event, Tested):
                write_json(run.folder / TEST, event.scores)
            moment = time.monotonic()
            if moment - saved_at >= execution.checkpoint_seconds and learner.update:
                if learner.first_bad_update() is None:
                    os.fsync(lines.fileno())
                    save_checkpoint(run.folder, *_state(run, learner))
                saved_at = time.monotonic()
            if moment - told_at >= 0.25 or isinstance(event, Evaluated):
                rate = pace.at(moment, learner.update)
                watch(Progress(learner.update, experiment.training.updates, rate, metrics))
                told_at = moment
            if stop.is_set():
                raise Interrupted(str(run.folder))


def _state(run: Run, learner: Learner) -> tuple[dict[str, Any], dict[str, float | int]]:
    return learner.tensors(), {**learner.counts(), "evaluations": len(run.metrics())}


def _restore(run: Run, learner: Learner) -> None:
    """Loads the newest whole checkpoint whose evaluations are all still there, and drops the
    evaluations after it; from the start where there is no such checkpoint."""
    lines = run.metrics()
    kept: list[dict[str, Any]] = []
    for checkpoint in whole_checkpoints(run.folder):
        evaluations = int(checkpoint.counts["evaluations"])
        if len(lines) >= evaluations:
            learner.load(checkpoint.tensors, checkpoint.counts)
            kept = lines[:evaluations]
            break
    text = "".join(json.dumps(line) + "\n" for line in kept)
    write_atomically(run.folder / METRICS, text.encode())


def _end(run: Run, learner: Learner, state: Any, **details: Any) -> None:
    run.write_status(
        state,
        update=learner.update,
        evaluations=len(run.metrics()),
        seconds=round(learner.seconds, 3),
        ended=now(),
        **details,
    )


@contextlib.contextmanager
def _stop_requests() -> Iterator[threading.Event]:
    """An event that SIGINT and SIGTERM set instead of breaking off an update half-way."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    former = {
        number: signal.signal(number, lambda *_: stop.set())
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield stop
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
