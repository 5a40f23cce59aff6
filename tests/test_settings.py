"""How fast a network is trained: schedules and decay, by torch's own; and what is refused."""

import warnings
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from tests.builders import CPU, learner_of, tiny_experiment
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, LRScheduler

from waymarks.models import GPT2
from waymarks.training import Training, train
from waymarks.training.examples import examples_of
from waymarks.training.objective import revealed_loss

SMALL = GPT2(width=16, depth=1, heads=2)


def optimiser() -> torch.optim.SGD:
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(()))], lr=3e-4)


def rates_of(scheduler: LRScheduler, updates: int) -> list[float]:
    rates = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it is stepped without an update
        for _ in range(updates):
            rates.append(scheduler.get_last_lr()[0])
            scheduler.step()
    return rates


def rates_found(**fields: Any) -> list[float]:
    training = Training(learning_rate=3e-4, **fields)
    return [training.learning_rate_at(update) for update in range(training.updates)]


@given(st.integers(1, 200))
def test_cosine_is_torchs(updates: int) -> None:
    expected = rates_of(CosineAnnealingLR(optimiser(), T_max=updates), updates)
    assert rates_found(updates=updates, schedule="cosine") == pytest.approx(expected, abs=1e-12)


@given(st.integers(1, 100), st.integers(1, 100))
def test_warming_up_is_torchs_and_the_rest_as_without_it(warmup: int, rest: int) -> None:
    rising = LinearLR(optimiser(), start_factor=1 / (warmup + 1), total_iters=warmup)
    up = rates_of(rising, warmup)
    down = rates_of(CosineAnnealingLR(optimiser(), T_max=rest), rest)
    found = rates_found(updates=warmup + rest, warmup=warmup, schedule="cosine")
    assert found == pytest.approx(up + down, abs=1e-12)
    constant = rates_found(updates=warmup + rest, warmup=warmup)
    assert constant == pytest.approx(up + [3e-4] * rest, abs=1e-12)


def test_by_hand() -> None:
    found = rates_found(updates=7, warmup=3, schedule="cosine")
    shares = [0.25, 0.5, 0.75, 1, 0.853553, 0.5, 0.146447]
    assert found == pytest.approx([3e-4 * share for share in shares], rel=1e-5)
    assert rates_found(updates=4) == [3e-4] * 4


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_a_first_update_is_the_one_that_one_computes_by_hand(decay: float) -> None:
    """Adam's first is rate * g / (|g| + epsilon), whatever the betas; weights decay by
    rate * decay of themselves, apart from that."""
    experiment = tiny_experiment(updates=1, learning_rate=1e-2, weight_decay=decay, model=SMALL)
    learner = learner_of(experiment)
    with torch.no_grad():
        for parameter in learner.network.parameters():
            parameter += 0.1
    before = [parameter.detach().clone() for parameter in learner.network.parameters()]
    list(train(experiment, learner))
    for old, new in zip(before, learner.network.parameters(), strict=True):
        assert new.grad is not None
        step = new.grad / (new.grad.abs() + 1e-8)
        torch.testing.assert_close(new.detach(), old * (1 - 1e-2 * decay) - 1e-2 * step)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"weight_decay": 0.3},
        {"schedule": "cosine"},
        {"schedule": "cosine", "weight_decay": 0.3, "dataset_examples": 100},
    ],
)
def test_it_is_a_plain_loop_of_torchs_optimiser_and_schedule(fields: dict[str, Any]) -> None:
    experiment = tiny_experiment(updates=25, learning_rate=1e-2, model=SMALL, **fields)
    learner, plain = learner_of(experiment), learner_of(experiment).network
    list(train(experiment, learner))

    task, layout = experiment.task, experiment.format.layout(experiment.task)
    kind = torch.optim.AdamW if "weight_decay" in fields else torch.optim.Adam
    decay = {"weight_decay": fields["weight_decay"]} if "weight_decay" in fields else {}
    theirs = kind(plain.parameters(), lr=1e-2, foreach=False, fused=False, **decay)
    cosine = CosineAnnealingLR(theirs, T_max=25)
    examples = examples_of(experiment, CPU)
    for update in range(25):
        batch = examples.batch(update)
        outputs = plain(experiment.format.write(task, batch.problems, batch.revealed.asked))
        theirs.zero_grad()
        revealed_loss(outputs, batch.labels, batch.revealed.mask, task.steps, layout).backward()
        theirs.step()
        if "schedule" in fields:
            cosine.step()
    for (name, ours), expected in zip(
        learner.network.named_parameters(), plain.parameters(), strict=True
    ):
        if not name.endswith("attention_in.bias"):  # a key's has no gradient but rounding's
            torch.testing.assert_close(ours, expected, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    ("fields", "what_is_said"),
    [
        ({"batch_size": 64, "dataset_examples": 63}, r"dataset_examples \(63\) is smaller than"),
        ({"dataset_examples": 0}, "dataset_examples"),
        ({"dataset_examples": 512.0}, "dataset_examples"),
        ({"updates": 10, "warmup": 10}, r"warmup \(10\) leaves none of 10 updates"),
        ({"updates": 10, "warmup": 11}, r"warmup \(11\) leaves none"),
        ({"warmup": -1}, "greater than or equal to 0"),
        ({"schedule": "linear"}, "'constant' or 'cosine'"),
        ({"weight_decay": -0.1}, "greater than or equal to 0"),
        ({"weight_decay": float("nan")}, "finite"),
        ({"patience": 0}, "greater than or equal to 1"),
        ({"test_examples": -1}, "greater than or equal to 0"),
        ({"keep_best": "now and then"}, "boolean"),
    ],
)
def test_a_budget_that_does_not_fit_together_is_refused(
    fields: dict[str, Any], what_is_said: str
) -> None:
    with pytest.raises(ValidationError, match=what_is_said):
        Training(**fields)


def test_what_just_fits_is_not_refused() -> None:
    Training(batch_size=64, dataset_examples=64)
    Training(updates=10, warmup=9, schedule="cosine")


def test_what_is_left_as_it_was_does_not_change_an_experiments_identity() -> None:
    spelled_out = {
        "dataset_examples": None,
        "weight_decay": 0.0,
        "schedule": "constant",
        "warmup": 0,
        "patience": None,
        "keep_best": False,
        "test_examples": 0,
    }
    assert tiny_experiment(**spelled_out).identity == tiny_experiment().identity
    changes = [(name, tiny_experiment(**{name: value}).identity) for name, value in CHANGED.items()]
    assert len({identity for _, identity in changes} | {tiny_experiment().identity}) == 8


CHANGED = {
    "dataset_examples": 640,
    "weight_decay": 0.1,
    "schedule": "cosine",
    "warmup": 5,
    "patience": 3,
    "keep_best": True,
    "test_examples": 10,
}
