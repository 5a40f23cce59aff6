"""Trackers: each real library holds what the run's folder holds, once; none can harm a run."""

import json
import logging
import os
import signal
import struct
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.builders import tiny_experiment
from tests.test_cli import call

from waymarks.errors import UserError
from waymarks.studies import Arm, Execution, Interrupted, Progress, Run, Study, carry_out
from waymarks.studies.conduct import conduct
from waymarks.trackers import Metrics, Subject, Tracker, trackers
from waymarks.trackers import tracking as tracking_module

EXPERIMENT = tiny_experiment(updates=40)
UPDATES = [0, 10, 20, 30, 40]


class Memory(Tracker):
    """A tracker that keeps what it is told, and goes on with it by the experiment's identity."""

    name = "memory"
    library = "json"
    runs: dict[str, list[Metrics]] = {}
    said: list[Any] = []

    def begin(self, subject: Subject, folder: Path) -> int:
        self.said.append(subject)
        self.run = self.runs.setdefault(subject.identity, [])
        return self.run[-1]["update"] if self.run else -1

    def log(self, metrics: Metrics) -> None:
        self.run.append(metrics)

    def end(self, state: str) -> None:
        self.said.append(state)


class Failing(Memory):
    """One that fails where `at` says."""

    name = "failing"
    at = "begin"

    def _fail(self, where: str) -> None:
        if self.at == where:
            raise OSError(28, "No space left on device")

    def begin(self, subject: Subject, folder: Path) -> int:
        self._fail("begin")
        return super().begin(subject, folder)

    def log(self, metrics: Metrics) -> None:
        self._fail("log")

    def end(self, state: str) -> None:
        self._fail("end")


class Hanging(Failing):
    """One that never comes back."""

    name = "hanging"

    def _fail(self, where: str) -> None:
        threading.Event().wait()


@pytest.fixture(autouse=True)
def memory() -> Iterator[type[Memory]]:
    yield Memory
    Memory.runs.clear()
    Memory.said.clear()


def execution(*track: str) -> Execution:
    return Execution(device="cpu", threads=1, track=track)


def interrupt_at(update: int) -> Any:
    def watch(progress: Progress) -> None:
        if progress.update == update:
            os.kill(os.getpid(), signal.SIGINT)

    return watch


def run_interrupted_and_begun_anew(root: Path, tracker: str) -> Run:
    """A run that is stopped at update 20, loses the checkpoints after update 0, and goes on: its
    evaluations up to update 20 are made twice."""
    with pytest.raises(Interrupted):
        carry_out(EXPERIMENT, root, execution(tracker), interrupt_at(20))
    run = Run(root / EXPERIMENT.identity)
    for checkpoint in run.folder.glob("checkpoint-*"):
        checkpoint.unlink()
    return carry_out(EXPERIMENT, root, execution())


def without_clocks(run: Run) -> list[dict[str, Any]]:
    return [{**line, "seconds": 0} for line in run.metrics()]


def test_a_tracker_is_told_every_evaluation_once(tmp_path: Path) -> None:
    run = run_interrupted_and_begun_anew(tmp_path, "memory")
    assert [line["update"] for line in Memory.runs[EXPERIMENT.identity]] == UPDATES
    states = [said for said in Memory.said if isinstance(said, str)]
    assert states == ["interrupted", "finished"]
    subject = Memory.said[0]
    assert subject.folder == run.folder
    assert subject.files == tmp_path / "trackers"
    assert subject.experiment == EXPERIMENT.model_dump(mode="json")
    assert (subject.study, subject.arm) == (None, None)


def test_a_tracker_asked_for_later_gets_what_came_before(tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        carry_out(EXPERIMENT, tmp_path, execution(), interrupt_at(20))
    run = carry_out(EXPERIMENT, tmp_path, execution("memory"))
    assert Memory.runs[EXPERIMENT.identity] == run.metrics()
    assert len(run.metrics()) == len(UPDATES)


def test_a_diverged_run_ends_as_such(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="not finite"):
        carry_out(tiny_experiment(learning_rate=1e30, updates=40), tmp_path, execution("memory"))
    assert Memory.said[-1] == "diverged"


def test_a_study_lends_its_names_and_its_folder(tmp_path: Path) -> None:
    arm = Arm(name="with sums", experiment=EXPERIMENT)
    Study(name="trial", question="?", arms=(arm,), seeds=(0, 1)).write(tmp_path)
    seeded = EXPERIMENT.model_copy(update={"seed": 1})
    carry_out(seeded, tmp_path / "runs", execution("memory"))
    subject = Memory.said[0]
    assert (subject.study, subject.arm, subject.title) == (
        "trial",
        "with sums",
        "with sums, seed 1",
    )
    assert subject.files == tmp_path / "trackers"


@pytest.mark.parametrize("at", ["begin", "log", "end"])
def test_a_tracker_that_fails_is_off_after_one_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    monkeypatch.setattr(Failing, "at", at)
    tracked = carry_out(EXPERIMENT, tmp_path / "tracked", execution("failing", "memory"))
    alone = carry_out(EXPERIMENT, tmp_path / "alone", execution())
    assert tracked.state == "finished"
    assert without_clocks(tracked) == without_clocks(alone)
    assert len(Memory.runs[EXPERIMENT.identity]) == len(UPDATES)
    (warning,) = caplog.records
    assert "tracker failing is off" in warning.message
    assert "No space left on device" in warning.message


def test_a_tracker_that_hangs_keeps_nobody_waiting(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracking_module, "PATIENCE", 0.05)
    assert carry_out(EXPERIMENT, tmp_path, execution("hanging")).state == "finished"
    (warning,) = caplog.records
    assert "has not answered" in warning.message


def test_a_folder_that_cannot_be_written_switches_trackers_off(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "trackers").write_text("in the way")
    assert carry_out(EXPERIMENT, tmp_path, execution("memory")).state == "finished"
    assert caplog.records[0].levelno == logging.WARNING


def test_an_unknown_tracker_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="did you mean tensorboard"):
        EXPERIMENT.run(out=tmp_path / "runs", track=["tensorbord"])
    assert not (tmp_path / "runs").exists()


def test_a_missing_library_is_said_before_anything_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(trackers()["wandb"], "library", "no_such_library")
    with pytest.raises(UserError, match=r"pip install 'waymarks\[wandb\]'"):
        EXPERIMENT.run(out=tmp_path / "runs", track=["wandb"])
    file = tmp_path / "experiment.json"
    file.write_text(EXPERIMENT.model_dump_json())
    assert call("run", file, "--track", "wandb", "--out", tmp_path / "runs") == 2
    assert "waymarks[wandb]" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_a_library_lost_since_the_run_was_begun_does_not_stop_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("wandb")
    with pytest.raises(Interrupted):
        carry_out(EXPERIMENT, tmp_path, execution("wandb"), interrupt_at(0))
    monkeypatch.setitem(sys.modules, "wandb", None)
    assert carry_out(EXPERIMENT, tmp_path, execution()).state == "finished"
    assert "tracker wandb is off" in caplog.messages[-1]


def test_tracking_is_no_part_of_what_an_experiment_is(tmp_path: Path) -> None:
    run = carry_out(EXPERIMENT, tmp_path, execution("memory"))
    assert run.folder.name == EXPERIMENT.identity
    assert run.record["execution"]["track"] == ["memory"]


def test_tensorboard_holds_every_evaluation_once(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = run_interrupted_and_begun_anew(tmp_path, "tensorboard")
    (folder,) = (tmp_path / "trackers" / "tensorboard").iterdir()
    assert folder.name.endswith(EXPERIMENT.identity)
    stored = EventAccumulator(str(folder)).Reload()
    for column in ("parity.accuracy", "train_loss", "sum.labels_seen", "flops"):
        expected = [
            (line["update"], line[column]) for line in run.metrics() if line[column] is not None
        ]
        events = [(event.step, event.value) for event in stored.Scalars(column)]
        assert [step for step, _ in events] == [step for step, _ in expected]
        assert [value for _, value in events] == pytest.approx([value for _, value in expected])
    (text,) = stored.Tensors("experiment/text_summary")
    assert b'"ParitySum"' in text.tensor_proto.string_val[0]


def test_tensorboard_goes_on_after_a_file_that_was_cut_off(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with pytest.raises(Interrupted):
        carry_out(EXPERIMENT, tmp_path, execution("tensorboard"), interrupt_at(20))
    (file,) = (tmp_path / "trackers" / "tensorboard").rglob("events.*")
    file.write_bytes(file.read_bytes()[:-3])
    run = carry_out(EXPERIMENT, tmp_path, execution())
    stored = EventAccumulator(str(file.parent)).Reload()
    final = max(name for name in run.metrics()[-1] if name.endswith(".accuracy"))
    assert [event.step for event in stored.Scalars(final)] == UPDATES


def test_mlflow_holds_every_evaluation_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    arm = Arm(name="with sums", experiment=EXPERIMENT)
    Study(name="trial", question="?", arms=(arm,), seeds=(0,)).write(tmp_path)
    run = run_interrupted_and_begun_anew(tmp_path / "runs", "mlflow")
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path}/trackers/mlflow/mlflow.db")
    (stored,) = client.search_runs([client.get_experiment_by_name("trial").experiment_id])
    assert stored.info.status == "FINISHED"
    assert stored.info.run_name == "with sums, seed 0"
    assert stored.data.tags["waymarks.identity"] == EXPERIMENT.identity
    assert stored.data.params["training.learning_rate"] == "0.001"
    for column in ("parity.accuracy", "sum.labels_seen"):
        history = client.get_metric_history(stored.info.run_id, column)
        assert [(metric.step, metric.value) for metric in history] == [
            (line["update"], line[column]) for line in run.metrics()
        ]
    assert {path.name for path in tmp_path.iterdir()} == {"study.json", "runs", "trackers"}


def records(file: Path) -> Iterator[Any]:
    """The records of a W&B file: W&B's own messages in LevelDB's log format."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, place, message = file.read_bytes(), 7, b""
    while place + 7 <= len(data):
        if 32768 - place % 32768 < 7:
            place += 32768 - place % 32768
            continue
        length, kind = struct.unpack("<HB", data[place + 4 : place + 7])
        message += data[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4) and place <= len(data):
            yield Record.FromString(message)
            message = b""


def whole(file: Path) -> list[Any]:
    """The same, once W&B's own process has written the last of them."""
    for _ in range(600):
        found = list(records(file))
        if found and found[-1].HasField("exit"):
            return found
        time.sleep(0.1)
    raise AssertionError(f"{file} has no end")


def test_wandb_holds_every_evaluation_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb")
    monkeypatch.delenv("WANDB_MODE", raising=False)
    monkeypatch.chdir(tmp_path)
    run = run_interrupted_and_begun_anew(tmp_path / "runs", "wandb")
    files = sorted((tmp_path / "runs" / "trackers" / "wandb").rglob("*.wandb"))
    stored = [record for file in files for record in whole(file)]
    begun = [record.run for record in stored if record.HasField("run")]
    assert {record.run_id for record in begun} == {EXPERIMENT.identity}
    config = {item.key: json.loads(item.value_json) for item in begun[0].config.update}
    assert config["task"] == {"type": "ParitySum", "bits": 6, "subset": 3}
    lines = [
        {".".join(item.nested_key) or item.key: json.loads(item.value_json) for item in r.item}
        for r in (record.history for record in stored if record.HasField("history"))
    ]
    assert [line["_step"] for line in lines] == UPDATES
    for line, recorded in zip(lines, run.metrics(), strict=True):
        assert line["parity.accuracy"] == recorded["parity.accuracy"]
        assert line["sum.labels_seen"] == recorded["sum.labels_seen"]
    assert {path.name for path in tmp_path.iterdir()} == {"runs"}


def test_wandb_goes_on_after_a_file_that_was_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("wandb")
    monkeypatch.delenv("WANDB_MODE", raising=False)
    with pytest.raises(Interrupted):
        carry_out(EXPERIMENT, tmp_path, execution("wandb"), interrupt_at(20))
    (cut,) = (tmp_path / "trackers" / "wandb").rglob("*.wandb")
    whole(cut)
    cut.write_bytes(cut.read_bytes()[:-200])
    carry_out(EXPERIMENT, tmp_path, execution())
    first, second = sorted((tmp_path / "trackers" / "wandb").rglob("*.wandb"))
    whole(second)
    assert first == cut
    assert (steps(first), steps(second)) == ([0, 10], [20, 30, 40])


def steps(file: Path) -> list[int]:
    """The updates of the evaluations in a W&B file."""
    return [
        json.loads(item.value_json)
        for record in records(file)
        for item in record.history.item
        if "_step" in item.nested_key
    ]


def test_the_workers_of_a_study_track_their_runs(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    arm = Arm(name="with sums", experiment=tiny_experiment())
    study = Study(name="trial", question="?", arms=(arm,), seeds=(0,))
    events = [event.kind for event in conduct(study, tmp_path, execution("tensorboard"), jobs=1)]
    assert events == ["started", *["progressed"] * (len(events) - 2), "finished"]
    (folder,) = (tmp_path / "trackers" / "tensorboard").iterdir()
    assert folder.name == f"with-sums-seed-0-{tiny_experiment().identity}"
