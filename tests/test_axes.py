"""A value of an axis is frozen data; a new one is known by name as soon as it is defined."""

import json

import pytest
import torch
from pydantic import ValidationError
from tests.builders import learner_of, tiny_experiment

from waymarks.axes import Axis
from waymarks.formats import Format, TaskVector
from waymarks.models import GPT2, Model
from waymarks.randomness import Rng
from waymarks.studies import Experiment
from waymarks.supervision import AskOne, FinalOnly, Supervision
from waymarks.tasks import Binary, ParitySum, Problems, Step, Task
from waymarks.tasks.parity_sum import fair_signs
from waymarks.training import Evaluated, train


class FirstBit(Task):
    """A task that a user adds: say what the first bit is."""

    bits: int

    @property
    def steps(self) -> tuple[Step, ...]:
        return (Step("first", Binary()),)

    @property
    def distinct_inputs(self) -> int:
        return 2**self.bits

    def sample(self, count: int, rng: Rng) -> Problems:
        signs = fair_signs(count, self.bits, rng)
        return Problems({"bits": signs}, signs[:, :1])


def test_a_new_task_is_usable_by_name_and_trains() -> None:
    file = tiny_experiment(task=FirstBit(bits=4), supervision=FinalOnly()).model_dump_json()
    assert json.loads(file)["task"] == {"type": "FirstBit", "bits": 4}
    experiment = Experiment.parse(json.loads(file))
    assert experiment.task == FirstBit(bits=4)
    last = list(train(experiment, learner_of(experiment)))[-1]
    assert isinstance(last, Evaluated)
    assert last.metrics["first.labels_seen"] == 20 * 64


@pytest.mark.parametrize(
    ("axis", "value"),
    [
        (Task, ParitySum(bits=9, subset=2)),
        (Format, TaskVector()),
        (Supervision, AskOne(sum=0.25, parity=0.75)),
        (Supervision, FinalOnly()),
        (Model, GPT2(width=64, depth=3, heads=8)),
    ],
)
def test_a_value_survives_a_file(axis: type[Axis], value: Axis) -> None:
    data = json.loads(value.model_dump_json())
    assert data["type"] == type(value).__name__
    assert axis.model_validate(data) == value
    assert type(value).model_validate(data) == value


def test_an_experiment_survives_a_file_with_its_identity() -> None:
    experiment = tiny_experiment(seed=3)
    again = Experiment.parse(json.loads(experiment.model_dump_json()))
    assert again == experiment
    assert again.identity == experiment.identity


@pytest.mark.parametrize(
    ("data", "what_is_said"),
    [
        ({"type": "ParitySums", "bits": 6}, "unknown task 'ParitySums'; did you mean ParitySum"),
        ({"type": "Chess"}, "unknown task 'Chess'; known: .*ParitySum"),
        ({"type": ["ParitySum"], "bits": 6}, "unknown task"),
        ({"type": None, "bits": 6}, "unknown task"),
        ({"bits": 6}, "needs a 'type', the name of a task"),
        ({"type": "GPT2"}, "unknown task 'GPT2'"),
        ({"type": "Task"}, "unknown task 'Task'"),
    ],
)
def test_an_unknown_type_is_refused_with_the_nearest_one(data: object, what_is_said: str) -> None:
    with pytest.raises(ValidationError, match=what_is_said):
        Task.model_validate(data)


def test_a_file_of_another_type_is_not_read_as_this_one() -> None:
    with pytest.raises(ValidationError, match="type 'FirstBit' is not ParitySum"):
        ParitySum.model_validate({"type": "FirstBit", "bits": 6})


def test_values_do_not_change() -> None:
    task = ParitySum(bits=6)
    with pytest.raises(ValidationError, match="frozen"):
        task.bits = 8
    assert task.bits == 6


@pytest.mark.parametrize("width", [0, -32, 2.0, "32", True])
def test_a_model_of_no_size_is_refused(width: object) -> None:
    with pytest.raises(ValidationError):
        Model.model_validate({"type": "GPT2", "width": width})
    with pytest.raises(ValidationError, match=r"width \(32\) is not a multiple of heads \(5\)"):
        GPT2(width=32, heads=5)


def test_what_an_axis_makes_is_fixed_by_its_values() -> None:
    layout = TaskVector().layout(ParitySum(bits=6))
    weights = [
        GPT2(width=32, depth=1, heads=2).build(layout, torch.Generator().manual_seed(5))
        for _ in range(2)
    ]
    pairs = zip(*(network.parameters() for network in weights), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)
