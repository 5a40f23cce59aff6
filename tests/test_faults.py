"""Faults in the middle of a study: what was finished stays, the rest goes on, and one says so."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.builders import tiny_experiment

from waymarks.errors import RunFailed
from waymarks.models import GPT2
from waymarks.studies import Arm, Execution, Experiment, Outcome, Run, Study, carry_out
from waymarks.studies.conduct import RETRIES, Event, conduct
from waymarks.studies.status import status_of, what_to_do

ALWAYS_SAVING = Execution(device="cpu", threads=1, checkpoint_seconds=0)
SMALL = GPT2(width=8, depth=1, heads=2)


def small(**changed: object) -> Experiment:
    return tiny_experiment(**{"model": SMALL, "stop_when_solved": False, **changed})


def study_of(seeds: int = 1, **arms: Experiment) -> Study:
    return Study(
        name="trial",
        question="Does it survive?",
        arms=tuple(Arm(name=name, experiment=experiment) for name, experiment in arms.items()),
        seeds=tuple(range(seeds)),
    )


TRIAL = study_of(seeds=3, short=small(updates=40), long=small(updates=60))


def results(study: Study, folder: Path) -> dict[str, str]:
    """The metrics of every run there, clocks aside, byte for byte."""
    found = {}
    for _, experiment in study.experiments():
        lines = Run(folder / "runs" / experiment.identity).metrics()
        without_clock = [{k: v for k, v in line.items() if k != "seconds"} for line in lines]
        found[experiment.identity] = json.dumps(without_clock)
    return found


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("undisturbed")
    execution = Execution(device="cpu", threads=1)
    events = list(conduct(TRIAL, folder, execution, jobs=1))
    assert [event.kind for event in events].count("finished") == 6
    return results(TRIAL, folder)


def kinds(events: list[Event]) -> list[str]:
    return [event.kind for event in events]


def kill(run: Run) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(run.status["process"], signal.SIGKILL)


def test_runs_whose_process_is_killed_go_on_from_their_checkpoint(
    tmp_path: Path, undisturbed: dict[str, str]
) -> None:
    victims, events = set(), []
    for event in conduct(TRIAL, tmp_path, ALWAYS_SAVING, jobs=2):
        events.append(event)
        is_under_way = event.progress is not None and event.progress.update >= 10
        if is_under_way and len(victims) < 2 and event.job not in victims:
            victims.add(event.job)
            kill(event.job.run)
    assert 1 <= kinds(events).count("retried") <= 2
    assert "failed" not in kinds(events)
    assert results(TRIAL, tmp_path) == undisturbed
    assert len(list((tmp_path / "runs").iterdir())) == 6


def stand_in(code: str) -> tuple[str, ...]:
    """The command of a worker that says it is ready and then does `code` with the job it reads."""
    program = """
        import json, os, signal, sys
        print(json.dumps({"ready": True}), flush=True)
        job = json.loads(sys.stdin.readline())
    """
    return (sys.executable, "-c", textwrap.dedent(program) + textwrap.dedent(code))


def test_a_run_that_kills_its_process_again_and_again_is_given_up_with_the_reason(
    tmp_path: Path,
) -> None:
    study = study_of(a=small())
    worker = stand_in("os.kill(os.getpid(), signal.SIGKILL)")
    events = list(conduct(study, tmp_path, ALWAYS_SAVING, jobs=1, worker=worker))
    assert kinds(events) == ["started", "retried"] * RETRIES + ["started", "failed"]
    status = status_of(study, tmp_path)
    (failed,) = status.at("failed")
    assert "killed by SIGKILL" in failed.reason
    assert f"{RETRIES + 1} times" in failed.reason
    assert what_to_do(status, "again") == "to complete it: again"


def test_a_run_that_gets_further_each_time_is_not_given_up(tmp_path: Path) -> None:
    study = study_of(a=small())
    (_, experiment) = next(study.experiments())
    folder = tmp_path / "runs" / experiment.identity
    worker = stand_in(f"""
        folder = {str(folder)!r}
        os.makedirs(folder, exist_ok=True)
        number = len(os.listdir(folder))
        if number == 5:
            print(json.dumps({{"ended": {{"kind": "finished", "last": True}}}}), flush=True)
        else:
            open(f"{{folder}}/checkpoint-{{number + 1:012d}}.safetensors", "w").close()
            os.kill(os.getpid(), signal.SIGKILL)
    """)
    events = list(conduct(study, tmp_path, ALWAYS_SAVING, jobs=1, worker=worker))
    assert kinds(events).count("retried") == 5
    assert kinds(events)[-1] == "finished"


def test_workers_that_cannot_start_end_the_study_at_once(tmp_path: Path) -> None:
    worker = (sys.executable, "-c", "raise SystemExit('no such library')")
    with pytest.raises(RunFailed, match=r"no worker can be started.*no such library"):
        list(conduct(TRIAL, tmp_path, ALWAYS_SAVING, jobs=1, worker=worker))


def test_nan_and_lack_of_memory_in_some_arms_leave_the_others_alone(tmp_path: Path) -> None:
    study = study_of(
        wild=small(learning_rate=1e30), huge=small(batch_size=10**15), good=small(updates=10)
    )
    events = list(conduct(study, tmp_path, ALWAYS_SAVING, jobs=1))
    assert kinds(events).count("finished") == 1
    status = status_of(study, tmp_path)
    reasons = {run.job.arm: run.reason for run in status.at("failed")}
    assert set(reasons) == {"wild", "huge"}
    assert "is not finite" in reasons["wild"]
    assert "out of memory" in reasons["huge"]
    states = {arm: runs[0].state for arm, runs in Outcome.of(study, tmp_path).runs.items()}
    assert states == {"wild": "diverged", "huge": "interrupted", "good": "finished"}
    assert what_to_do(status, "again") == "to complete it: again"

    only_wild = study_of(wild=small(learning_rate=1e30), good=small(updates=10))
    again = list(conduct(only_wild, tmp_path, ALWAYS_SAVING, jobs=1))
    assert sorted(kinds(again)) == ["failed", "skipped"], "what diverged is not trained again"
    assert "smaller learning rate" in what_to_do(status_of(only_wild, tmp_path), "again")


def test_a_run_that_failed_and_is_taken_up_again_is_not_called_failed_any_more(
    tmp_path: Path,
) -> None:
    study = study_of(a=small())
    (job_run,) = Outcome.of(study, tmp_path).runs["a"]
    job_run.write_failure("its process was killed")
    assert status_of(study, tmp_path).counts["failed"] == 1
    carry_out(next(study.experiments())[1], tmp_path / "runs", ALWAYS_SAVING)
    assert status_of(study, tmp_path).counts["finished"] == 1
    assert job_run.failure is None


def mount(*arguments: str) -> None:
    done = subprocess.run(["mount", *arguments], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"mounting is not allowed here: {done.stderr.strip()}")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a megabyte."""
    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        pytest.skip("a file system of one's own takes root on Linux")
    folder = tmp_path / "disk"
    folder.mkdir()
    mount("-t", "tmpfs", "-o", "size=1m", "none", str(folder))
    yield folder
    subprocess.run(["umount", "--recursive", "--lazy", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """A file that leaves no room."""
    filler = folder / "filler"
    with contextlib.suppress(OSError), open(filler, "wb", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)
    return filler


def until_the_second_run(folder: Path, disturb: Callable[[], object]) -> str:
    """Conducts the trial, calls `disturb` in the middle of its second run; what the error said."""

    def disturbed() -> None:
        finished = 0
        for event in conduct(TRIAL, folder, ALWAYS_SAVING, jobs=1):
            finished += event.kind == "finished"
            if finished == 1 and event.progress is not None and event.progress.update == 10:
                disturb()

    with pytest.raises(RunFailed) as failed:
        disturbed()
    assert status_of(TRIAL, folder).missing
    return str(failed.value)


def test_a_full_disk_is_one_error_and_the_study_goes_on_once_there_is_room(
    small_disk: Path, undisturbed: dict[str, str]
) -> None:
    folder = small_disk / "study"
    said = until_the_second_run(folder, lambda: fill(small_disk))
    assert "No space left on device" in said
    assert f"waymarks resume {folder}" in said
    assert status_of(TRIAL, folder).counts["finished"] >= 1
    assert status_of(TRIAL, folder).counts["failed"] == 0
    (small_disk / "filler").unlink()
    assert "finished" in kinds(list(conduct(TRIAL, folder, ALWAYS_SAVING, jobs=1)))
    assert results(TRIAL, folder) == undisturbed


def test_a_folder_that_becomes_read_only_is_one_error_and_loses_nothing(
    small_disk: Path, undisturbed: dict[str, str]
) -> None:
    folder = small_disk / "study"

    def make_read_only() -> None:
        mount("--bind", str(folder), str(folder))
        mount("-o", "remount,ro,bind", str(folder))

    said = until_the_second_run(folder, make_read_only)
    assert "Read-only file system" in said
    assert status_of(TRIAL, folder).counts["finished"] >= 1
    with pytest.raises(RunFailed, match="Read-only file system"):
        list(conduct(TRIAL, folder, ALWAYS_SAVING, jobs=1))
    subprocess.run(["umount", str(folder)], check=True)
    assert "finished" in kinds(list(conduct(TRIAL, folder, ALWAYS_SAVING, jobs=1)))
    assert results(TRIAL, folder) == undisturbed


DRIVER = """
    import sys
    from pathlib import Path
    from waymarks.studies import Execution, Study
    from waymarks.studies.conduct import conduct

    study = Study.model_validate_json(sys.argv[2])
    execution = Execution(device="cpu", threads=1, checkpoint_seconds=0)
    for event in conduct(study, Path(sys.argv[1]), execution, jobs=1):
        if event.kind != "progressed":
            print(event.kind, event.job.run.folder.name, flush=True)
"""


def start(program: str, *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        start_new_session=True,
    )


def test_two_drivers_on_one_folder_share_its_runs(
    tmp_path: Path, undisturbed: dict[str, str]
) -> None:
    drivers = [start(DRIVER, str(tmp_path), TRIAL.model_dump_json()) for _ in range(2)]
    said = [driver.communicate(timeout=200)[0] for driver in drivers]
    assert [driver.returncode for driver in drivers] == [0, 0]
    trained = [line for text in said for line in text.splitlines() if line.startswith("finished")]
    assert sorted(trained) == sorted(f"finished {identity}" for identity in undisturbed)
    assert results(TRIAL, tmp_path) == undisturbed


RACER = """
    import json, sys
    from waymarks.studies.worker import carry_out_job

    for line in sys.stdin:
        print(json.dumps([carry_out_job(job)["kind"] for job in json.loads(line)]), flush=True)
"""


def test_two_processes_started_together_twenty_times_train_no_run_twice(tmp_path: Path) -> None:
    experiment = small(updates=4, evaluate_every=2, batch_size=8, evaluation_examples=8)
    seeds = [experiment.model_copy(update={"seed": seed}) for seed in range(2)]
    racers = [start(RACER) for _ in range(2)]
    execution = Execution(device="cpu", threads=1).model_dump()
    contents = []
    for turn in range(20):
        root = tmp_path / str(turn)
        jobs = [
            {"experiment": seed.model_dump(mode="json"), "root": str(root), "execution": execution}
            for seed in seeds
        ]
        for racer in racers:
            assert racer.stdin is not None
            racer.stdin.write(json.dumps(jobs) + "\n")
            racer.stdin.flush()
        told = [json.loads(racer.stdout.readline()) for racer in racers if racer.stdout]
        for outcomes in zip(*told, strict=True):
            assert sorted(outcomes)[-1] in ("elsewhere", "finished", "skipped")
            assert outcomes.count("finished") == 1, "trained exactly once"
        runs = [Run(root / seed.identity) for seed in seeds]
        assert all(run.is_finished for run in runs)
        contents.append([[line["train_loss"] for line in run.metrics()] for run in runs])
    assert all(content == contents[0] for content in contents)
    for racer in racers:
        racer.communicate(timeout=60)


def test_a_driver_that_is_killed_leaves_no_lock_and_its_workers_save_and_stop(
    tmp_path: Path,
) -> None:
    study = study_of(a=small(updates=1_000_000))
    driver = start(DRIVER, str(tmp_path), study.model_dump_json())
    (run,) = Outcome.of(study, tmp_path).runs["a"]
    while len(run.metrics()) < 3:
        assert driver.poll() is None
        time.sleep(0.05)
    assert run.is_being_trained
    driver.kill()
    driver.communicate()
    while run.is_being_trained:
        time.sleep(0.05)
    assert run.state == "interrupted"
    assert run.status["state"] == "interrupted", "the worker noticed and saved a checkpoint"


def test_a_clock_that_jumps_changes_nothing(
    tmp_path: Path, undisturbed: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    moments = iter(range(2_000_000_000, 0, -100_000))
    monkeypatch.setattr(time, "time", lambda: float(next(moments)))
    monkeypatch.setattr(time, "time_ns", lambda: next(moments) * 10**9)
    for _, experiment in TRIAL.experiments():
        experiment.run(out=tmp_path / "runs", threads=1, device="cpu", checkpoint_seconds=0)
    assert results(TRIAL, tmp_path) == undisturbed


def test_an_error_of_a_users_own_code_is_kept_with_its_run(
    tmp_path: Path,
) -> None:
    worker = stand_in("""
        import waymarks.studies.worker as real
        def broken(*arguments, **options):
            raise ValueError("the third bit is missing")
        job_ended = real.carry_out_job(job, carry_out=broken)
        job_ended.pop("unsound")
        print(json.dumps({"ended": {**job_ended, "last": True}}), flush=True)
    """)
    study = study_of(a=small())
    events = list(conduct(study, tmp_path, ALWAYS_SAVING, jobs=1, worker=worker))
    assert events[-1].message == "ValueError: the third bit is missing"
    (run,) = Outcome.of(study, tmp_path).runs["a"]
    assert run.failure == "ValueError: the third bit is missing"
    assert "Traceback" in (run.folder / "failure.json").read_text()
