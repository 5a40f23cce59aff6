"""A sequence of two vectors: which step is asked, then the bits."""

import dataclasses

import pytest
import torch

from waymarks.errors import UserError
from waymarks.formats import TaskVector
from waymarks.randomness import Rng
from waymarks.tasks import Binary, Kind, ParitySum, Problems, Step, Task


@dataclasses.dataclass(frozen=True)
class Pair(Binary):
    """A kind whose answer takes two numbers."""

    @property
    def outputs(self) -> int:
        return 2


class OddOneOut(Task):
    """A task with steps that can be chosen, and bits or none."""

    kinds: tuple[Kind, ...]

    @property
    def steps(self) -> tuple[Step, ...]:
        return tuple(Step(f"step {number}", kind) for number, kind in enumerate(self.kinds))

    @property
    def distinct_inputs(self) -> int:
        return 1

    def sample(self, count: int, rng: Rng) -> Problems:
        return Problems({}, torch.zeros(count, len(self.kinds)))


class WithBits(OddOneOut):
    """One that has bits."""

    bits: int


def test_the_layout_is_the_papers_two_vectors_and_one_scalar() -> None:
    layout = TaskVector().layout(ParitySum(bits=50))
    assert (layout.positions, layout.features, layout.tokens) == (2, 50, False)
    assert (layout.reads, layout.answers_per_read, layout.answers, layout.outputs) == (1, 1, 1, 1)
    assert layout.answer_of_step == (0, 0)


def test_the_first_vector_names_the_step_asked_and_the_second_is_the_bits() -> None:
    task = ParitySum(bits=4)
    problems = task.sample(3, Rng.of(0, "train", 0))
    written = TaskVector().write(task, problems, torch.tensor([1, 0, 1])).written_out().vectors
    assert written.shape == (3, 2, 4)
    assert written[:, 0].tolist() == [[0, 1, 0, 0], [1, 0, 0, 0], [0, 1, 0, 0]]
    assert torch.equal(written[:, 1], problems.given["bits"])


def test_only_the_beginning_tells_one_question_from_another() -> None:
    task = ParitySum(bits=6)
    problems = task.sample(8, Rng.of(0, "train", 0))
    of_sum, of_parity = (
        TaskVector().write(task, problems, torch.full((8,), asked)).written_out().vectors
        for asked in (0, 1)
    )
    assert torch.equal(of_sum[:, 1], of_parity[:, 1])
    assert (of_sum[:, 0] != of_parity[:, 0]).any(1).all()


@pytest.mark.parametrize(
    ("task", "what_is_said"),
    [
        (OddOneOut(kinds=(Binary(),)), "writes bits, and OddOneOut has none"),
        (WithBits(bits=2, kinds=(Binary(),) * 3), "in 2 places"),
        (WithBits(bits=4, kinds=(Binary(), Pair())), "reads one scalar"),
    ],
)
def test_a_task_that_cannot_be_written_so_is_refused(task: Task, what_is_said: str) -> None:
    with pytest.raises(UserError, match=what_is_said):
        TaskVector().layout(task)
