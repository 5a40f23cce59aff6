"""Studies: their runs side by side, what is skipped, what fails, and how a claim is judged."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from tests.builders import tiny_experiment

from waymarks.errors import UserError
from waymarks.studies import (
    Arm,
    Claim,
    Execution,
    Experiment,
    Outcome,
    Run,
    Solved,
    Solves,
    StaysBelow,
    Study,
    carry_out,
)
from waymarks.studies.conduct import conduct
from waymarks.studies.statistics import median_interval, median_time, survival

ON_ONE_THREAD = Execution(device="cpu", threads=1)


def study_of(seeds: tuple[int, ...] = (0, 1), **arms: Experiment) -> Study:
    return Study(
        name="trial",
        question="Does it?",
        arms=tuple(Arm(name=name, experiment=experiment) for name, experiment in arms.items()),
        seeds=seeds,
    )


def run_of(folder: Path, accuracies: list[float], state: str = "finished", **changed: Any) -> Run:
    """A run on disk whose parity accuracy took these values at updates 0, 10, 20, ..."""
    experiment = tiny_experiment(solved_accuracy=0.9, solved_evaluations=2, **changed)
    folder.mkdir(parents=True)
    content = {
        "schema": 1,
        "identity": experiment.identity,
        "experiment": experiment.model_dump(mode="json"),
    }
    (folder / "experiment.json").write_text(json.dumps(content))
    lines = [
        json.dumps({"update": 10 * number, "parity.accuracy": accuracy}) + "\n"
        for number, accuracy in enumerate(accuracies)
    ]
    (folder / "metrics.jsonl").write_text("".join(lines))
    (folder / "status.json").write_text(json.dumps({"state": state, "evaluations": len(lines)}))
    return Run.open(folder)


@pytest.mark.parametrize(
    ("accuracies", "solved"),
    [
        ([0.5, 0.9, 0.9], Solved(10, censored=False)),
        ([0.5, 0.9, 0.5, 0.95, 0.92, 0.1], Solved(30, censored=False)),
        ([0.5, 0.9, 0.89, 0.9], Solved(30, censored=True)),
        ([0.5, 0.5], Solved(10, censored=True)),
        ([], Solved(0, censored=True)),
    ],
)
def test_solved_is_where_the_accuracy_begins_to_stay(
    tmp_path: Path, accuracies: list[float], solved: Solved
) -> None:
    assert run_of(tmp_path / "run", accuracies).solved("parity") == solved


def judged(condition: Solves | StaysBelow, *runs: Run) -> str:
    return condition.judge(runs).judgement


def test_solves_is_judged_from_every_seed(tmp_path: Path) -> None:
    good = run_of(tmp_path / "good", [0.5, 0.9, 0.9])
    bad = run_of(tmp_path / "bad", [0.5, 0.9, 0.5], seed=1)
    going_on = run_of(tmp_path / "going on", [0.5], state="interrupted", seed=2)
    condition = Solves(arm="a", step="parity")
    assert judged(condition, good) == "borne out"
    assert judged(condition, good, bad) == "not borne out"
    assert judged(condition, good, going_on) == "undecided"
    assert judged(condition, bad, going_on) == "not borne out"
    assert judged(condition) == "undecided"
    assert judged(condition, good, Run(tmp_path / "not begun")) == "undecided"
    assert "1 of 2 seeds, at update 10" in condition.judge([good, bad]).numbers


def test_stays_below_looks_at_every_evaluation(tmp_path: Path) -> None:
    low = run_of(tmp_path / "low", [0.5, 0.6])
    once_above = run_of(tmp_path / "once above", [0.5, 0.61, 0.5], seed=1)
    going_on = run_of(tmp_path / "going on", [0.5], state="interrupted", seed=2)
    condition = StaysBelow(arm="a", step="parity", accuracy=0.6)
    assert judged(condition, low) == "borne out"
    assert judged(condition, low, once_above) == "not borne out"
    assert judged(condition, low, going_on) == "undecided"
    assert judged(condition, once_above, going_on) == "not borne out"
    assert "60.0%" in condition.judge([low]).numbers


def test_a_claim_fails_with_any_of_its_conditions(tmp_path: Path) -> None:
    good = run_of(tmp_path / "good", [0.5, 0.9, 0.9])
    low = run_of(tmp_path / "low", [0.5, 0.5])
    claim = Claim(
        text="a solves and b does not",
        conditions=(Solves(arm="a", step="parity"), StaysBelow(arm="b", step="parity")),
    )
    assert claim.judge({"a": [good], "b": [low]}).judgement == "borne out"
    assert claim.judge({"a": [good], "b": [good]}).judgement == "not borne out"
    assert claim.judge({"a": [good], "b": []}).judgement == "undecided"


def test_a_study_trains_every_arm_with_every_seed_and_then_skips_them(tmp_path: Path) -> None:
    study = study_of(half=tiny_experiment(), twice=tiny_experiment(updates=40))
    kinds = [event.kind for event in conduct(study, tmp_path, ON_ONE_THREAD, jobs=2)]
    assert kinds.count("started") == kinds.count("finished") == 4
    outcome = Outcome.open(tmp_path)
    assert outcome.study == study
    assert {arm: [run.state for run in runs] for arm, runs in outcome.runs.items()} == {
        "half": ["finished", "finished"],
        "twice": ["finished", "finished"],
    }
    again = [event.kind for event in conduct(study, tmp_path, ON_ONE_THREAD, jobs=2)]
    assert again == ["skipped"] * 4


def test_a_study_goes_on_after_a_run_failed(tmp_path: Path) -> None:
    wild = tiny_experiment(learning_rate=1e30, updates=40)
    study = study_of(seeds=(0,), wild=wild, good=tiny_experiment())
    events = list(conduct(study, tmp_path, ON_ONE_THREAD, jobs=1))
    (failed,) = [event for event in events if event.kind == "failed"]
    assert failed.job.arm == "wild"
    assert "is not finite" in failed.message
    outcome = Outcome.of(study, tmp_path)
    assert [outcome.runs[arm][0].state for arm in ("wild", "good")] == ["diverged", "finished"]


def test_a_worker_computes_what_this_process_would(tmp_path: Path) -> None:
    experiment = tiny_experiment()
    list(conduct(study_of(seeds=(0,), only=experiment), tmp_path, ON_ONE_THREAD, jobs=1))
    (by_worker,) = Outcome.open(tmp_path).runs["only"]
    here = carry_out(experiment, tmp_path / "here", ON_ONE_THREAD)
    columns = ["update", "train_loss", "parity.accuracy", "sum.mean_squared_error"]
    assert by_worker.curves[columns].equals(here.curves[columns])


def test_provenance_is_recorded(tmp_path: Path) -> None:
    record = carry_out(tiny_experiment(), tmp_path, ON_ONE_THREAD).record
    assert record["identity"] == tiny_experiment().identity
    assert record["execution"]["threads"] == 1
    for what in ("waymarks", "commit", "command", "machine", "torch", "started"):
        assert what in record["provenance"]


def test_running_from_python_gives_curves(tmp_path: Path) -> None:
    run = tiny_experiment().run(out=tmp_path, threads=1)
    assert list(run.curves["update"]) == [0, 10, 20]
    labels = run.curves["sum.labels_seen"] + run.curves["parity.labels_seen"]
    assert list(labels) == [0, 640, 1280] == list(run.curves["examples"])


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"device": "cuad"}, "did you mean cuda"),
        ({"device": "cuda:99"}, "CUDA devices"),
        ({"thread": 1}, "did you mean threads"),
        ({"threads": 0}, "threads"),
    ],
)
def test_an_execution_that_cannot_be_is_refused(
    tmp_path: Path, fields: dict[str, Any], said: str
) -> None:
    with pytest.raises(UserError) as refused:
        tiny_experiment().run(out=tmp_path / "runs", **fields)
    assert said in str(refused.value)
    assert not (tmp_path / "runs").exists()


def test_a_folder_that_cannot_be_written_is_a_users_mistake(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match="cannot write to"):
        tiny_experiment().run(out=tmp_path / "file" / "runs")
    with pytest.raises(UserError, match="cannot write to"):
        next(conduct(study_of(a=tiny_experiment()), tmp_path / "file" / "x", ON_ONE_THREAD))


def test_a_study_that_contradicts_itself_is_refused() -> None:
    arm = Arm(name="a", experiment=tiny_experiment())
    with pytest.raises(ValidationError, match="two arms"):
        Study(name="s", question="?", arms=(arm, arm), seeds=(0,))
    with pytest.raises(ValidationError, match="seed is there twice"):
        Study(name="s", question="?", arms=(arm,), seeds=(0, 0))
    claim = Claim(text="b", conditions=(Solves(arm="b", step="parity"),))
    with pytest.raises(ValidationError, match="unknown arm 'b'"):
        Study(name="s", question="?", arms=(arm,), seeds=(0,), claim=claim)


def test_the_interval_of_a_median_lies_within_the_values_and_around_it() -> None:
    values = [0.1, 0.4, 0.5, 0.9, 1.0]
    interval = median_interval(values)
    assert interval.median == 0.5
    assert 0.1 <= interval.low < 0.5 < interval.high <= 1.0
    assert median_interval(values) == interval
    alone = median_interval([0.3])
    assert (alone.low, alone.median, alone.high) == (0.3, 0.3, 0.3)


def test_the_survival_of_censored_runs_is_kaplan_meiers() -> None:
    """At 10, 1 of 4 solves (3/4 left); at 20 one is censored; at 30, 1 of 2 solves (3/8 left)."""
    times = [Solved(10, False), Solved(20, True), Solved(30, False), Solved(40, True)]
    updates, unsolved = survival(times)
    at = dict(zip(updates.tolist(), unsolved.tolist(), strict=True))
    assert at[10] == pytest.approx(3 / 4)
    assert at[30] == pytest.approx(3 / 8)
    assert median_time(times) == 30
    assert median_time([Solved(10, False), Solved(50, True), Solved(50, True)]) is None
    assert np.all(np.diff(unsolved) <= 0)
