"""A claim that steps are learned in the order of their dependency, or together."""

import json
from pathlib import Path

import pytest
from tests.builders import tiny_experiment

from waymarks.formats import TokenClassification
from waymarks.studies import Run, SolvedInOrder
from waymarks.supervision import EveryStep
from waymarks.tasks import Lego

EXPERIMENT = tiny_experiment(
    task=Lego(variables=3, names=3),
    format=TokenClassification(),
    supervision=EveryStep(),
    solved_evaluations=1,
)
STEPS = [step.name for step in EXPERIMENT.task.steps]
CLAIM = SolvedInOrder(arm="all", step=STEPS[-1])


def run_of(folder: Path, solved_at: list[int | None], seed: int = 0) -> Run:
    """A finished run of which each step is solved from an evaluation on, or never."""
    experiment = EXPERIMENT.model_copy(update={"seed": seed})
    folder = folder / experiment.identity
    folder.mkdir(parents=True)
    record = {
        "schema": 1,
        "identity": experiment.identity,
        "experiment": experiment.model_dump(mode="json"),
    }
    (folder / "experiment.json").write_text(json.dumps(record))
    lines = [
        {"update": update}
        | {
            f"{step}.accuracy": 1.0 if since is not None and update >= since else 0.5
            for step, since in zip(STEPS, solved_at, strict=True)
        }
        for update in range(0, 50, 10)
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "status.json").write_text(json.dumps({"state": "finished", "evaluations": 5}))
    return Run(folder)


@pytest.mark.parametrize("solved_at", [[10, 20, 30], [20, 20, 20], [0, 0, 40]])
def test_it_holds_one_after_the_other_and_together(tmp_path: Path, solved_at: list[int]) -> None:
    finding = CLAIM.judge([run_of(tmp_path, [*solved_at])])
    assert finding.judgement == "borne out"
    assert f"to variable 3, at {solved_at[-1]}" in finding.numbers


def test_it_fails_where_a_step_comes_after_one_that_depends_on_it(tmp_path: Path) -> None:
    runs = [run_of(tmp_path, [10, 20, 30]), run_of(tmp_path, [30, 20, 40], seed=1)]
    finding = CLAIM.judge(runs)
    assert finding.judgement == "not borne out"
    assert finding.numbers == "all: variable 1 is solved after variable 2 in seed 1"


def test_it_fails_where_a_step_is_never_solved(tmp_path: Path) -> None:
    finding = CLAIM.judge([run_of(tmp_path, [10, 20, None])])
    assert finding.judgement == "not borne out"
    assert finding.numbers == "all: variable 3 is not solved in seed 0"


def test_it_is_undecided_before_there_is_an_evaluation(tmp_path: Path) -> None:
    assert CLAIM.judge([Run(tmp_path / "nothing")]).judgement == "undecided"
