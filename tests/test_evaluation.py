"""How well each step is answered, by networks whose answers are known."""

import pytest
import torch
import torch.nn.functional as F
from tests.builders import CPU, RunningTotal
from torch import Tensor

from waymarks.formats import (
    Format,
    Inputs,
    Layout,
    PrefixedVectors,
    TaskVector,
    TokenClassification,
    Tokens,
    Vectors,
)
from waymarks.models import Network
from waymarks.randomness import Rng
from waymarks.tasks import ParitySum, Problems, Task
from waymarks.training.evaluation import CHUNK, HeldOut, Stream

TASK = ParitySum(bits=6)
STREAMS: tuple[Stream, ...] = ("evaluation", "test")


class Answers(Network):
    """Answers what the bits say, plus or times an error that is known; counts what it reads.

    Attributes:
        sum_error: added to the true sum.
        logit: of a true parity; negative where it is always wrong.
    """

    def __init__(self, sum_error: float = 0.0, logit: float = 20.0, seed: int = 0) -> None:
        super().__init__()
        self.sum_error, self.logit = sum_error, logit
        self.subset = TASK.hidden_subset(Rng.of(seed, "anything", 0))
        self.batches: list[int] = []

    def forward(self, inputs: Inputs) -> Tensor:
        assert isinstance(inputs, PrefixedVectors)
        self.batches.append(len(inputs.rest))
        counted = inputs.rest * self.subset
        total = counted.sum(1) / TASK.bits + self.sum_error
        parity = torch.where(self.subset > 0, inputs.rest, 1.0).prod(1)
        return torch.where(inputs.choice == 0, total, self.logit * parity)[:, None, None]

    def flops_per_example(self) -> int:
        return 0


def held_out(examples: int = 500, task: Task = TASK) -> HeldOut:
    return HeldOut.of(task, TaskVector(), examples, seed=0, device=CPU)


def test_a_network_that_knows_everything_scores_everything() -> None:
    assert held_out().evaluate(Answers()) == {
        "sum.accuracy": 1,
        "sum.mean_squared_error": pytest.approx(0, abs=1e-12),
        "parity.accuracy": 1,
        "parity.cross_entropy": pytest.approx(0, abs=1e-8),
    }


def test_each_step_is_scored_by_itself() -> None:
    """Sums that are off by .1 are still nearest to the true one of a third apart; parities that
    are all wrong with logit 2 cost ln(1 + e^2) each."""
    scores = held_out().evaluate(Answers(sum_error=0.1, logit=-2))
    assert scores["sum.accuracy"] == 1
    assert scores["sum.mean_squared_error"] == pytest.approx(0.01, rel=1e-4)
    assert scores["parity.accuracy"] == 0
    assert scores["parity.cross_entropy"] == pytest.approx(2.126928, rel=1e-6)


def test_a_sum_nearer_to_its_neighbour_is_wrong() -> None:
    """Off by .2 where attainable sums are a third apart: only the largest has no neighbour."""
    problems = held_out().problems
    largest = problems.answers[:, 0].isclose(torch.tensor(0.5)).float().mean()
    scores = held_out().evaluate(Answers(sum_error=0.2))
    assert scores["sum.accuracy"] == pytest.approx(float(largest))
    assert 0 < scores["sum.accuracy"] < 0.3


def test_the_accuracy_is_the_share_of_examples_that_are_right() -> None:
    """One who always says +1 is right wherever the parity is."""
    network = Answers()
    network.subset = torch.zeros(6)
    evaluated = held_out()
    positive = (evaluated.problems.answers[:, 1] == 1).float().mean()
    scores = evaluated.evaluate(network)
    assert scores["parity.accuracy"] == pytest.approx(float(positive))
    assert 0.3 < scores["parity.accuracy"] < 0.7


@pytest.mark.parametrize("examples", [1, CHUNK // 2, CHUNK // 2 + 1, CHUNK + 7])
def test_every_example_is_asked_every_step_however_many_there_are(examples: int) -> None:
    network = Answers()
    scores = held_out(examples).evaluate(network)
    assert sum(network.batches) == 2 * examples
    assert scores["parity.accuracy"] == 1
    assert scores["sum.accuracy"] == 1


def test_the_held_out_examples_are_the_same_every_time_and_others_for_another_seed() -> None:
    bits = held_out().problems.given["bits"]
    assert torch.equal(bits, held_out().problems.given["bits"])
    other = HeldOut.of(TASK, TaskVector(), 500, seed=1, device=CPU).problems.given["bits"]
    assert not torch.equal(bits, other)


class AllAtOnce(Format):
    """A format whose input does not say which step is asked: each has an answer of its own."""

    def layout(self, task: Task) -> Layout:
        return Layout(1, 6, outputs=1, answer_of_step=(1, 0), answers_per_read=2)

    def write(self, task: Task, problems: Problems, asked: Tensor) -> Vectors:
        return Vectors(problems.given["bits"][:, None])


class ReadsOutBoth(Answers):
    """Its first answer is the parity and its second the sum."""

    def forward(self, inputs: Inputs) -> Tensor:
        assert isinstance(inputs, Vectors)
        asked = (torch.full((len(inputs.vectors),), step) for step in (1, 0))
        beginnings, bits = torch.eye(2, 6), inputs.vectors[:, 0]
        answers = [
            super(ReadsOutBoth, self).forward(PrefixedVectors(beginnings, step, bits))
            for step in asked
        ]
        return torch.cat(answers, dim=1)


def test_where_all_steps_are_read_at_once_each_is_read_where_the_layout_says() -> None:
    network = ReadsOutBoth(sum_error=0.1)
    scores = HeldOut.of(TASK, AllAtOnce(), 300, seed=0, device=CPU).evaluate(network)
    assert network.batches == [300, 300]
    assert scores["sum.mean_squared_error"] == pytest.approx(0.01, rel=1e-4)
    assert scores["sum.accuracy"] == scores["parity.accuracy"] == 1


class KnowsItAll(Network):
    """Reads names and digits as they were written, and is sure and right but for one step.

    Attributes:
        wrong: the number of the step at which it is sure and wrong.
    """

    def __init__(self, task: RunningTotal, wrong: int) -> None:
        super().__init__()
        self.task, self.wrong = task, wrong
        self.shapes: list[torch.Size] = []

    def forward(self, inputs: Inputs) -> Tensor:
        assert isinstance(inputs, Tokens)
        self.shapes.append(inputs.tokens.shape)
        names, digits = inputs.tokens[:, ::2], inputs.tokens[:, 1::2] - self.task.names
        totals = digits.gather(1, names.argsort(1)).cumsum(1)
        totals[:, self.wrong] += 1
        return 20.0 * F.one_hot(totals.long() % self.task.modulus, self.task.modulus)

    def flops_per_example(self) -> int:
        return 0


@pytest.mark.parametrize("wrong", range(3))
def test_steps_that_are_all_answered_at_once_are_each_scored_by_themselves(wrong: int) -> None:
    """Each example is read once, in batches of so many positions; a sure and wrong one costs 20."""
    task, examples = RunningTotal(names=3, modulus=4), CHUNK // 6 + 3
    network = KnowsItAll(task, wrong)
    held_out = HeldOut.of(task, TokenClassification(), examples, seed=0, device=CPU)
    scores = held_out.evaluate(network)
    assert network.shapes == [(CHUNK // 6, 6), (3, 6)]
    for number, step in enumerate(task.steps):
        assert scores[f"{step.name}.accuracy"] == (number != wrong)
        loss = 20 if number == wrong else 0
        assert scores[f"{step.name}.cross_entropy"] == pytest.approx(loss, abs=1e-6)


def test_the_examples_of_the_test_are_others_than_those_of_the_evaluations() -> None:
    """Of 2^50 inputs, none is drawn twice."""
    task = ParitySum(bits=50)
    drawn = [
        HeldOut.of(task, TaskVector(), 1000, seed, CPU, stream).problems.given["bits"]
        for seed in (0, 1)
        for stream in STREAMS
    ]
    assert len(torch.cat(drawn).unique(dim=0)) == 4000
