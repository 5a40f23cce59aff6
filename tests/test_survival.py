"""A run that is killed at any moment and resumed ends as one that was left alone."""

import json
import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.builders import tiny_experiment

from waymarks.errors import RunFailed
from waymarks.formats import ClsToken
from waymarks.models import BERT
from waymarks.studies import Execution, Experiment, Interrupted, Progress, Run, carry_out
from waymarks.studies import execution as carrying_out
from waymarks.studies.run import METRICS, TEST
from waymarks.supervision import SparseSteps
from waymarks.training.checkpoints import checkpoint_files, load_checkpoint

EXPERIMENT = tiny_experiment(updates=120, evaluate_every=15, stop_when_solved=False)
WITH_EVERYTHING = tiny_experiment(
    updates=400,
    evaluate_every=8,
    supervision=SparseSteps(rate=0.3),
    format=ClsToken(),
    model=BERT(width=16, depth=1, heads=2),
    batch_size=32,
    learning_rate=1e-2,
    dataset_examples=100,
    schedule="cosine",
    warmup=10,
    weight_decay=0.1,
    keep_best=True,
    patience=5,
    test_examples=50,
)
"""It gives up after five evaluations without a new best."""
AT_EVERY_UPDATE = Execution(device="cpu", threads=1, checkpoint_seconds=0)

CARRY_OUT = """
    import json, sys
    from pathlib import Path
    from waymarks.studies import Execution, Experiment, carry_out

    job = json.load(sys.stdin)
    experiment, execution = Experiment.parse(job["experiment"]), Execution(**job["execution"])
    carry_out(experiment, Path(job["root"]), execution, lambda it: print(it.update, flush=True))
"""
"""A process that carries out the job on its standard input and prints each update it tells of."""

Outcome = tuple[list[dict[str, Any]], dict[str, torch.Tensor], dict[str, Any] | None]


def outcome(run: Run) -> Outcome:
    """Metrics but for the clock, every tensor of the newest checkpoint, and what the test found."""
    lines = [{k: v for k, v in line.items() if k != "seconds"} for line in run.metrics()]
    checkpoint = load_checkpoint(checkpoint_files(run.folder)[0])
    assert checkpoint is not None
    return lines, dict(checkpoint.tensors), run.test


def assert_same(one: Outcome, other: Outcome) -> None:
    assert json.dumps(one[0]) == json.dumps(other[0])
    assert one[1].keys() == other[1].keys()
    for name, tensor in one[1].items():
        assert torch.equal(tensor, other[1][name]), name
    assert one[2] == other[2]


def left_alone(experiment: Experiment, root: Path) -> Outcome:
    return outcome(carry_out(experiment, root, Execution(device="cpu", threads=1)))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    return left_alone(EXPERIMENT, tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def with_everything(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    return left_alone(WITH_EVERYTHING, tmp_path_factory.mktemp("runs"))


def start_worker(
    root: Path, before: str = "", experiment: Experiment = EXPERIMENT
) -> "subprocess.Popen[str]":
    """A process that carries out the experiment, after running the code `before`."""
    code = textwrap.dedent(before) + textwrap.dedent(CARRY_OUT)
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    job = {
        "experiment": experiment.model_dump(mode="json"),
        "root": str(root),
        "execution": AT_EVERY_UPDATE.model_dump(mode="json"),
    }
    assert process.stdin is not None
    process.stdin.write(json.dumps(job))
    process.stdin.close()
    return process


def kill_at_random_moments(root: Path, experiment: Experiment, times: int) -> None:
    moments = random.Random(0)
    for _ in range(times):
        worker = start_worker(root, experiment=experiment)
        assert worker.stdout is not None
        for _ in range(moments.randint(1, 2)):
            worker.stdout.readline()
        time.sleep(moments.uniform(0, 0.03))
        worker.send_signal(signal.SIGKILL)
        worker.wait()


def test_killed_at_random_moments(tmp_path: Path, undisturbed: Outcome) -> None:
    kill_at_random_moments(tmp_path, EXPERIMENT, times=3)
    assert_same(outcome(carry_out(EXPERIMENT, tmp_path, AT_EVERY_UPDATE)), undisturbed)


def test_with_everything_killed_at_random_moments(tmp_path: Path, with_everything: Outcome) -> None:
    kill_at_random_moments(tmp_path, WITH_EVERYTHING, times=2)
    assert_same(outcome(carry_out(WITH_EVERYTHING, tmp_path, AT_EVERY_UPDATE)), with_everything)


def kill_at_renaming(root: Path, file: str, occasion: int, experiment: Experiment) -> None:
    """The process dies as it renames such a file: what it wrote is there, but not in its place."""
    deadly = f"""
        import os, signal
        rename, seen = os.replace, []
        def deadly(source, target):
            if os.path.basename(target).startswith({file!r}):
                seen.append(target)
                if len(seen) == {occasion}:
                    os.kill(os.getpid(), signal.SIGKILL)
            rename(source, target)
        os.replace = deadly
    """
    worker = start_worker(root, deadly, experiment)
    assert worker.stdout is not None
    worker.stdout.read()
    assert worker.wait() == -signal.SIGKILL
    assert list(root.rglob(f".{file}*.unfinished"))


@pytest.mark.parametrize(("file", "occasion"), [("checkpoint", 3), ("metrics", 1), ("status", 2)])
def test_killed_between_writing_and_renaming(
    tmp_path: Path, undisturbed: Outcome, file: str, occasion: int
) -> None:
    kill_at_renaming(tmp_path, file, occasion, EXPERIMENT)
    run = carry_out(EXPERIMENT, tmp_path, AT_EVERY_UPDATE)
    assert_same(outcome(run), undisturbed)
    assert not list(tmp_path.rglob("*.unfinished"))


@pytest.mark.parametrize(("file", "occasion"), [("test", 1), ("status", 2)])
def test_with_everything_killed_between_writing_and_renaming(
    tmp_path: Path, with_everything: Outcome, file: str, occasion: int
) -> None:
    """After the last update: before the test's scores are there, or before the run is said to be
    finished."""
    kill_at_renaming(tmp_path, file, occasion, WITH_EVERYTHING)
    run = Run(tmp_path / WITH_EVERYTHING.identity)
    assert run.state == "interrupted"
    assert (run.test is None) == (file != "status")
    carry_out(WITH_EVERYTHING, tmp_path, AT_EVERY_UPDATE)
    assert_same(outcome(run), with_everything)
    assert run.is_finished
    assert not list(tmp_path.rglob("*.unfinished"))


def test_with_everything_it_gives_up_and_tests_the_best_weights(with_everything: Outcome) -> None:
    lines, tensors, test = with_everything
    assert test is not None
    accuracies = [line["parity.accuracy"] for line in lines]
    best = accuracies.index(max(accuracies))
    assert 0 < best == len(lines) - 1 - 5
    assert lines[-1]["update"] < 400
    assert (test["update"], test["examples"]) == (lines[best]["update"], 50)
    assert test.keys() >= {"sum.accuracy", "parity.accuracy", "parity.cross_entropy"}
    assert {name.partition(".")[0] for name in tensors} >= {"best", "network", "optimiser"}


@pytest.mark.parametrize("damage", ["missing", "torn", "empty"])
def test_a_finished_run_without_the_tests_scores_is_tested_again_and_not_trained(
    tmp_path: Path, with_everything: Outcome, damage: str
) -> None:
    run = carry_out(WITH_EVERYTHING, tmp_path, Execution(device="cpu", threads=1))
    metrics = run.metrics()
    path = run.folder / TEST
    if damage == "missing":
        path.unlink()
    else:
        tear(path, 5 if damage == "torn" else path.stat().st_size)
    assert run.test is None
    assert not run.is_finished
    carry_out(WITH_EVERYTHING, tmp_path, AT_EVERY_UPDATE)
    assert run.is_finished
    assert run.metrics() == metrics
    assert_same(outcome(run), with_everything)


def test_a_finished_run_whose_metrics_were_torn_is_tested_again_too(
    tmp_path: Path, with_everything: Outcome
) -> None:
    run = carry_out(WITH_EVERYTHING, tmp_path, AT_EVERY_UPDATE)
    tear(run.folder / METRICS, 3)
    assert not run.is_finished
    carry_out(WITH_EVERYTHING, tmp_path, AT_EVERY_UPDATE)
    assert_same(outcome(run), with_everything)


@pytest.mark.parametrize("lost", ["experiment.json", "status.json"])
def test_a_finished_run_of_which_a_file_was_lost_is_completed_without_training(
    tmp_path: Path, with_everything: Outcome, lost: str
) -> None:
    execution = Execution(device="cpu", threads=1)
    run = carry_out(WITH_EVERYTHING, tmp_path, execution)
    metrics = run.metrics()
    (run.folder / lost).unlink()
    assert not Run(run.folder).is_finished
    again = carry_out(WITH_EVERYTHING, tmp_path, execution)
    assert again.is_finished
    assert Run.open(again.folder).experiment == WITH_EVERYTHING
    assert again.metrics() == metrics
    assert_same(outcome(again), with_everything)


def test_ctrl_c_while_the_tests_scores_are_written_loses_nothing(
    tmp_path: Path, with_everything: Outcome, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = carrying_out.write_json

    def interrupting(path: Path, content: Any, **options: Any) -> None:
        if path.name == TEST:
            os.kill(os.getpid(), signal.SIGINT)
        write(path, content, **options)

    monkeypatch.setattr(carrying_out, "write_json", interrupting)
    with pytest.raises(Interrupted):
        carry_out(WITH_EVERYTHING, tmp_path, AT_EVERY_UPDATE)
    monkeypatch.undo()
    run = carry_out(WITH_EVERYTHING, tmp_path, AT_EVERY_UPDATE)
    assert run.is_finished
    assert_same(outcome(run), with_everything)


def interrupted_run(root: Path, at_update: int, experiment: Experiment = EXPERIMENT) -> Run:
    def watch(progress: Progress) -> None:
        if progress.update >= at_update:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Interrupted):
        carry_out(experiment, root, AT_EVERY_UPDATE, watch)
    return Run(root / experiment.identity)


def tear(path: Path, size: int) -> None:
    os.truncate(path, path.stat().st_size - size)


@pytest.mark.parametrize("size", [1, 40, 400])
def test_torn_metrics_and_newest_checkpoint(
    tmp_path: Path, undisturbed: Outcome, size: int
) -> None:
    run = interrupted_run(tmp_path, at_update=60)
    tear(run.folder / METRICS, size)
    tear(checkpoint_files(run.folder)[0], size)
    resumed = carry_out(EXPERIMENT, tmp_path, AT_EVERY_UPDATE)
    assert_same(outcome(resumed), undisturbed)


@pytest.mark.parametrize("lost", ["metrics.jsonl", "status.json", "experiment.json"])
def test_a_lost_file(tmp_path: Path, undisturbed: Outcome, lost: str) -> None:
    run = interrupted_run(tmp_path, at_update=45)
    (run.folder / lost).unlink()
    assert_same(outcome(carry_out(EXPERIMENT, tmp_path, AT_EVERY_UPDATE)), undisturbed)


def test_a_finished_run_whose_metrics_were_torn_is_completed(
    tmp_path: Path, undisturbed: Outcome
) -> None:
    run = carry_out(EXPERIMENT, tmp_path, AT_EVERY_UPDATE)
    tear(run.folder / METRICS, 3)
    assert not run.is_finished
    assert_same(outcome(carry_out(EXPERIMENT, tmp_path, AT_EVERY_UPDATE)), undisturbed)


def test_ctrl_c_saves_a_checkpoint_at_the_update_where_it_stopped(tmp_path: Path) -> None:
    run = interrupted_run(tmp_path, at_update=45)
    assert run.state == "interrupted"
    checkpoint = load_checkpoint(checkpoint_files(run.folder)[0])
    assert checkpoint is not None
    assert checkpoint.counts["update"] == run.status["update"] >= 45


def test_a_finished_run_is_not_trained_again(tmp_path: Path) -> None:
    first = carry_out(EXPERIMENT, tmp_path, Execution(threads=1))
    written = (first.folder / METRICS).stat().st_mtime_ns

    def watch(progress: Progress) -> None:
        raise AssertionError("it was trained again")

    again = carry_out(EXPERIMENT, tmp_path, Execution(threads=1), watch)
    assert again.folder == first.folder
    assert (again.folder / METRICS).stat().st_mtime_ns == written


def test_two_processes_never_train_one_run_at_once(tmp_path: Path, undisturbed: Outcome) -> None:
    workers = [start_worker(tmp_path) for _ in range(2)]
    told = [worker.stdout.read() if worker.stdout else "" for worker in workers]
    assert [worker.wait() for worker in workers] == [0, 0]
    assert sorted(bool(text) for text in told) == [False, True]
    assert_same(outcome(Run(tmp_path / EXPERIMENT.identity)), undisturbed)


def test_a_diverged_run_says_when_and_keeps_its_last_good_checkpoint(tmp_path: Path) -> None:
    wild = tiny_experiment(updates=200, learning_rate=1e30, evaluate_every=1)
    with pytest.raises(RunFailed, match=r"loss of update \d+ is not finite"):
        carry_out(wild, tmp_path, AT_EVERY_UPDATE)
    run = Run(tmp_path / wild.identity)
    assert run.state == "diverged"
    checkpoint = load_checkpoint(checkpoint_files(run.folder)[0])
    assert checkpoint is not None
    assert checkpoint.counts["update"] < run.status["diverged_at"]


def test_a_full_disk_is_one_clear_error_and_loses_nothing(
    tmp_path: Path, undisturbed: Outcome, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = interrupted_run(tmp_path, at_update=45)

    def no_room(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_room)
    with pytest.raises(RunFailed, match=r"No space left.*waymarks resume"):
        carry_out(EXPERIMENT, tmp_path, AT_EVERY_UPDATE)
    monkeypatch.undo()
    assert_same(outcome(carry_out(EXPERIMENT, tmp_path, AT_EVERY_UPDATE)), undisturbed)
    assert run.is_finished


def test_a_run_that_was_stopped_before_its_first_update_starts_anew(
    tmp_path: Path, undisturbed: Outcome
) -> None:
    run = interrupted_run(tmp_path, at_update=0)
    assert run.state == "interrupted"
    assert not checkpoint_files(run.folder)
    assert_same(outcome(carry_out(EXPERIMENT, tmp_path, AT_EVERY_UPDATE)), undisturbed)
