"""What a learner is shown: new examples, or a data set read again and again."""

from collections import Counter
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.builders import CPU, RunningTotal, learner_of, tiny_experiment
from torch import Tensor

from waymarks.formats import ClsToken
from waymarks.models import BERT
from waymarks.randomness import Rng
from waymarks.studies import Experiment
from waymarks.supervision import (
    AskOne,
    EveryStep,
    FinalOnly,
    Shuffled,
    SparseSteps,
    Supervision,
)
from waymarks.tasks import ParitySum
from waymarks.training import Evaluated, train
from waymarks.training.evaluation import HeldOut
from waymarks.training.examples import Batch, examples_of

TASK = ParitySum(bits=50)
"""Of 2^50 inputs, none is drawn twice: the bits of an example tell which one it is."""


def reading(count: int | None, batch_size: int = 4, **changed: Any) -> Experiment:
    """An experiment that reads a data set of so many examples, or new ones."""
    fields = {"task": TASK, "batch_size": batch_size, "dataset_examples": count, **changed}
    return tiny_experiment(**fields)


def batches(experiment: Experiment, updates: int) -> list[Batch]:
    examples = examples_of(experiment, CPU)
    return [examples.batch(update) for update in range(updates)]


def names_of(bits: Tensor) -> list[tuple[float, ...]]:
    return [tuple(row) for row in bits.tolist()]


def read(experiment: Experiment, updates: int) -> list[tuple[float, ...]]:
    """Every example of so many updates, in order."""
    return [
        name
        for batch in batches(experiment, updates)
        for name in names_of(batch.problems.given["bits"])
    ]


def assert_same(one: Batch, other: Batch) -> None:
    for name, tensor in one.problems.given.items():
        assert tensor.equal(other.problems.given[name])
    assert one.problems.answers.equal(other.problems.answers)
    assert one.labels.equal(other.labels)
    assert one.revealed.mask.equal(other.revealed.mask)
    assert one.revealed.asked.equal(other.revealed.asked)
    assert one.newly_told.equal(other.newly_told)


@given(count=st.integers(1, 40), batch_size=st.integers(1, 12), seed=st.integers(0, 10**6))
def test_every_time_through_a_data_set_every_example_is_read_once(
    count: int, batch_size: int, seed: int
) -> None:
    batch_size = min(batch_size, count)
    experiment = reading(count, batch_size, seed=seed)
    seen = read(experiment, -(-3 * count // batch_size))
    assert all(len(batch.labels) == batch_size for batch in batches(experiment, 3))
    everything = set(seen[:count])
    assert len(everything) == count
    for epoch in (1, 2):
        assert set(seen[epoch * count : (epoch + 1) * count]) == everything


def test_the_order_is_another_each_time_and_for_each_seed() -> None:
    seen = read(reading(40), 30)
    orders = [seen[epoch * 40 : (epoch + 1) * 40] for epoch in range(3)]
    assert orders[0] != orders[1] != orders[2] != orders[0]
    places = [[orders[0].index(name) for name in order] for order in orders[1:]]
    other = read(reading(40, seed=1), 30)
    assert not set(seen) & set(other)
    assert [other[:40].index(name) for name in other[40:80]] != places[0]


@pytest.mark.parametrize("count", [None, 10, 40])
@pytest.mark.parametrize("supervision", [AskOne(sum=0.5, parity=0.5), FinalOnly()])
def test_a_batch_depends_on_the_seed_and_its_number_alone(
    count: int | None, supervision: Supervision
) -> None:
    """Whichever was asked for before."""
    experiment = reading(count, supervision=supervision)
    in_order = batches(experiment, 25)
    for update in (24, 3, 3, 0, 17):
        assert_same(examples_of(experiment, CPU).batch(update), in_order[update])
    jumping = examples_of(experiment, CPU)
    for update in (20, 1, 24, 2, 0, 24):
        assert_same(jumping.batch(update), in_order[update])


@pytest.mark.parametrize(
    "supervision",
    [AskOne(sum=0.5, parity=0.5), SparseSteps(rate=0.5), Shuffled(of=EveryStep())],
)
def test_what_is_told_of_an_example_of_a_data_set_is_the_same_each_time(
    supervision: Supervision,
) -> None:
    told: dict[tuple[float, ...], set[Any]] = {}
    form = ClsToken()
    for batch in batches(reading(10, supervision=supervision, format=form, model=BERT()), 20):
        for row, name in enumerate(names_of(batch.problems.given["bits"])):
            what = (batch.revealed.mask[row], batch.revealed.asked[row], batch.labels[row])
            told.setdefault(name, set()).add(str([part.tolist() for part in what]))
    assert len(told) == 10
    assert all(len(times) == 1 for times in told.values())


@pytest.mark.parametrize("count", [None, 40])
def test_answers_and_labels_belong_to_their_examples(count: int | None) -> None:
    subset = TASK.hidden_subset(Rng.of(0, "anything", 0))
    for batch in batches(reading(count, batch_size=8), 12):
        bits = batch.problems.given["bits"]
        assert batch.problems.answers[:, 0].allclose(bits @ subset / 50)
        assert batch.problems.answers[:, 1].equal(torch.where(subset > 0, bits, 1.0).prod(1))
        assert batch.labels.equal(batch.problems.answers)


def test_what_is_trained_on_evaluated_on_and_tested_on_are_all_different() -> None:
    """Of 2^50 inputs; of the 2^6 of a small task they could not be."""
    drawn = read(reading(None, 100), 10) + read(reading(1000, 100), 10)
    for stream in ("evaluation", "test"):
        rows = HeldOut.of(TASK, reading(None).format, 1000, 0, CPU, stream).problems
        drawn += names_of(rows.given["bits"])
    assert len(set(drawn)) == len(drawn) == 4000


def labels_seen(experiment: Experiment) -> list[list[int]]:
    """Of every step, at every evaluation."""
    names = [f"{step.name}.labels_seen" for step in experiment.task.steps]
    return [
        [int(event.metrics[name] or 0) for name in names]
        for event in train(experiment, learner_of(experiment))
        if isinstance(event, Evaluated)
    ]


def telling(supervision: Supervision, count: int | None, batch_size: int = 8) -> Experiment:
    return tiny_experiment(
        task=RunningTotal(names=4),
        supervision=supervision,
        format=ClsToken(),
        model=BERT(width=8, depth=1, heads=1),
        batch_size=batch_size,
        dataset_examples=count,
        updates=12,
        evaluate_every=1,
        evaluation_examples=1,
        stop_when_solved=False,
    )


REGIMES = [FinalOnly(), EveryStep(), SparseSteps(rate=0.3), Shuffled(of=SparseSteps(rate=0.3))]


@pytest.mark.parametrize("supervision", REGIMES)
def test_of_new_examples_every_label_that_is_told_counts(supervision: Supervision) -> None:
    experiment = telling(supervision, None)
    masks = [batch.revealed.mask.sum(0) for batch in batches(experiment, 12)]
    sums = torch.stack([torch.zeros_like(masks[0]), *masks]).cumsum(0)
    assert labels_seen(experiment) == sums.tolist()


@pytest.mark.parametrize("supervision", REGIMES)
@pytest.mark.parametrize(("count", "batch_size"), [(8, 8), (20, 8), (21, 5), (24, 8), (200, 8)])
def test_of_a_data_set_every_label_counts_when_it_is_told_for_the_first_time(
    supervision: Supervision, count: int, batch_size: int
) -> None:
    """Counted one by one, by which row of the data set it is: the second time through adds
    nothing, in a batch that has the end of the first time and the beginning of the second too."""
    experiment = telling(supervision, count, batch_size)
    rng = Rng.of(0, "dataset", 0)
    experiment.task.sample(count, rng)
    mask = supervision.reveal(experiment.task, count, rng).mask.tolist()
    order = [
        int(row)
        for epoch in range(13)
        for row in torch.randperm(count, generator=Rng.of(0, "order", epoch).generator)
    ]
    told: Counter[int] = Counter()
    read_rows: set[int] = set()
    expected = [[0] * 4]
    for update in range(12):
        for row in order[update * batch_size : (update + 1) * batch_size]:
            if row not in read_rows:
                read_rows.add(row)
                told.update(step for step in range(4) if mask[row][step])
        expected.append([told[step] for step in range(4)])
    assert labels_seen(experiment) == expected
    if 12 * batch_size >= count:
        assert expected[-1] == [sum(row[step] for row in mask) for step in range(4)]


def test_evaluations_are_of_true_answers_whatever_is_told() -> None:
    """Networks that have not been trained are the same, and are found the same."""
    told_truth, told_others = (
        next(iter(train(experiment, learner_of(experiment))))
        for experiment in (telling(EveryStep(), 40), telling(Shuffled(of=EveryStep()), 40))
    )
    assert isinstance(told_truth, Evaluated)
    assert isinstance(told_others, Evaluated)
    for name, value in told_truth.metrics.items():
        assert name == "seconds" or told_others.metrics[name] == value
