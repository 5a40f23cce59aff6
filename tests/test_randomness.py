"""Every draw comes from (seed, stream, index) and from nothing else."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from waymarks.randomness import Rng, seed_sequence
from waymarks.tasks import ParitySum

SEEDS = st.integers(0, 2**64)
STREAMS = st.sampled_from(["train", "evaluation", "initialisation"])
INDICES = st.integers(0, 10**9)


def draws(seed: int, stream: str, index: int) -> list[int]:
    generator = Rng.of(seed, stream, index).generator
    return torch.randint(2**62, (4,), generator=generator).tolist()


@given(SEEDS, STREAMS, INDICES)
def test_the_same_three_give_the_same_draws(seed: int, stream: str, index: int) -> None:
    assert draws(seed, stream, index) == draws(seed, stream, index)


@given(SEEDS, STREAMS, INDICES)
def test_a_change_of_any_of_the_three_changes_the_draws(seed: int, stream: str, index: int) -> None:
    here = draws(seed, stream, index)
    assert here != draws(seed + 1, stream, index)
    assert here != draws(seed, f"{stream}!", index)
    assert here != draws(seed, stream, index + 1)


def test_nothing_collides_among_neighbouring_seeds_streams_and_indices() -> None:
    """Seeds that were added up would collide here: seed 3, index 4 with seed 4, index 3."""
    names = ["train", "evaluation", "initialisation", "constant/hidden subset"]
    states = {
        tuple(seed_sequence(seed, stream, index).generate_state(2, np.uint64))
        for seed, stream, index in itertools.product(range(20), names, range(50))
    }
    assert len(states) == 20 * len(names) * 50


def test_global_generators_are_neither_read_nor_moved() -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = draws(0, "train", 0)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    np.random.seed(2)
    assert draws(0, "train", 0) == first


def test_a_constant_depends_on_the_seed_and_its_name_alone() -> None:
    def constant(seed: int, stream: str, index: int, name: str) -> int:
        return int(Rng.of(seed, stream, index).constant(name).integers(2**62))

    here = constant(0, "train", 0, "hidden subset")
    assert constant(0, "evaluation", 7, "hidden subset") == here
    assert constant(1, "train", 0, "hidden subset") != here
    assert constant(0, "train", 0, "another") != here


def examples(task: ParitySum, stream: str, batches: int, count: int) -> set[bytes]:
    found: set[bytes] = set()
    for index in range(batches):
        bits = task.sample(count, Rng.of(0, stream, index)).given["bits"]
        found |= {row.tobytes() for row in (bits.numpy() > 0)}
    return found


def test_training_never_meets_an_evaluation_example_where_inputs_are_many() -> None:
    """The paper's setting: 51,200 of the examples trained on, and 2,048 held out, of 2^50.

    By the birthday bound one in common has a chance below 1e-7 (over all of 100,000 updates,
    5e-5), so a common one means that the streams overlap.
    """
    task = ParitySum(bits=50)
    training = examples(task, "train", batches=200, count=256)
    held_out = examples(task, "evaluation", batches=1, count=2048)
    assert len(training) == 200 * 256
    assert len(held_out) == 2048
    assert not training & held_out
    assert task.distinct_inputs == 2**50


@pytest.mark.parametrize("bits", [4, 8])
def test_held_out_examples_are_met_in_training_where_inputs_are_few(bits: int) -> None:
    """2^bits inputs, as `distinct_inputs` says: there a good score shows no generalisation."""
    task = ParitySum(bits=bits)
    training = examples(task, "train", batches=40, count=256)
    assert examples(task, "evaluation", batches=1, count=2048) <= training
    assert len(training) == task.distinct_inputs
