"""A learning rate is chosen by held-out examples, and never by those of the test."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.builders import tiny_experiment

from waymarks.studies import Arm, Experiment, Outcome, Run, Study
from waymarks.studies.selection import chosen_learning_rate

RATES = (1e-4, 1e-3, 1e-2)


def run_of(
    folder: Path,
    accuracies: list[float],
    losses: list[float] | None = None,
    tested: float | None = None,
    **changed: Any,
) -> Run:
    """A finished run whose parity took these accuracies and losses at its evaluations."""
    experiment = tiny_experiment(test_examples=64, **changed)
    return written(Run(folder / experiment.identity), experiment, accuracies, losses, tested)


def written(
    run: Run,
    experiment: Experiment,
    accuracies: list[float],
    losses: list[float] | None = None,
    tested: float | None = None,
) -> Run:
    run.folder.mkdir(parents=True)
    record = {
        "schema": 1,
        "identity": experiment.identity,
        "experiment": experiment.model_dump(mode="json"),
    }
    (run.folder / "experiment.json").write_text(json.dumps(record))
    lines = [
        {"update": 10 * number, "parity.accuracy": accuracy, "parity.cross_entropy": loss}
        for number, (accuracy, loss) in enumerate(
            zip(accuracies, losses or [0.5] * len(accuracies), strict=True)
        )
    ]
    (run.folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    status = {"state": "finished", "evaluations": len(lines)}
    (run.folder / "status.json").write_text(json.dumps(status))
    if tested is not None:
        (run.folder / "test.json").write_text(json.dumps({"parity.accuracy": tested}))
    return run


def test_the_median_over_seeds_of_the_last_evaluation_decides(tmp_path: Path) -> None:
    trials = {
        1e-3: [run_of(tmp_path, [0.5, 0.9], seed=s) for s in (0, 1)]
        + [run_of(tmp_path, [0.5, 0.1], seed=2)],
        1e-2: [run_of(tmp_path / "b", [0.99, 0.8], seed=s) for s in (0, 1, 2)],
    }
    assert chosen_learning_rate(trials) == 1e-3


def test_where_the_best_weights_are_kept_it_is_their_evaluation(tmp_path: Path) -> None:
    trials = {
        1e-3: [run_of(tmp_path / "a", [0.5, 0.9], keep_best=True)],
        1e-2: [run_of(tmp_path / "b", [0.99, 0.8], keep_best=True)],
    }
    assert chosen_learning_rate(trials) == 1e-2


def test_equal_accuracies_are_decided_by_the_loss(tmp_path: Path) -> None:
    trials = {
        1e-3: [run_of(tmp_path / "a", [0.9], [0.3])],
        1e-2: [run_of(tmp_path / "b", [0.9], [0.2])],
    }
    assert chosen_learning_rate(trials) == 1e-2


def test_a_run_that_diverged_before_any_evaluation_is_not_chosen(tmp_path: Path) -> None:
    trials = {
        1e-3: [Run(tmp_path / "nothing")],
        1e-2: [run_of(tmp_path, [0.1])],
    }
    assert chosen_learning_rate(trials) == 1e-2


@pytest.mark.parametrize("tested", [(0.0, 1.0), (1.0, 0.0)])
def test_the_test_stream_plays_no_part(tmp_path: Path, tested: tuple[float, float]) -> None:
    trials = {
        1e-3: [run_of(tmp_path / "a", [0.9], tested=tested[0])],
        1e-2: [run_of(tmp_path / "b", [0.8], tested=tested[1])],
    }
    assert chosen_learning_rate(trials) == 1e-3


def study_with_rates() -> Study:
    return Study(
        name="rates",
        question="Which?",
        arms=(Arm(name="arm", experiment=tiny_experiment(), learning_rates=RATES),),
        seeds=(0, 1),
    )


def test_every_candidate_is_run_with_every_seed() -> None:
    planned = list(study_with_rates().experiments())
    rates = [(experiment.seed, experiment.training.learning_rate) for _, experiment in planned]
    assert sorted(rates) == sorted((seed, rate) for seed in (0, 1) for rate in RATES)
    assert len({experiment.identity for _, experiment in planned}) == 6


def test_an_outcome_stands_for_the_candidate_that_was_chosen(tmp_path: Path) -> None:
    study = study_with_rates()
    for _, experiment in study.experiments():
        accuracy = 0.9 if experiment.training.learning_rate == 1e-2 else 0.6
        written(Run(tmp_path / "runs" / experiment.identity), experiment, [0.5, accuracy])
    outcome = Outcome.of(study, tmp_path)
    chosen = [run.experiment.training.learning_rate for run in outcome.runs["arm"]]
    assert chosen == [1e-2, 1e-2]
    assert {rate: len(runs) for rate, runs in outcome.trials["arm"].items()} == dict.fromkeys(
        RATES, 2
    )


def test_a_learning_rate_that_is_given_is_not_chosen() -> None:
    given = study_with_rates().with_field("training.learning_rate", 5e-4)
    rates = {experiment.training.learning_rate for _, experiment in given.experiments()}
    assert rates == {5e-4}
