"""The collapsed simulation of Theorem 1's procedure against the k-neuron network.

    python benchmarks/theory.py [--bits 30] [--rounds 15]

Both make the same updates on the same examples, by turns in one process on one thread. Prints the
time of an update of each without and with the drawing of its examples, which is the same for both,
and their ratios with the spread over the rounds; ends with exit code 1 if the two do not compute
the same function, or if the ratio of the updates themselves at n = 30 is below 20.
"""

import argparse
import os
import statistics
import sys
import time

os.environ["OMP_NUM_THREADS"] = "1"  # before numpy is imported

import numpy as np
import torch

from waymarks.randomness import seed_sequence
from waymarks.theory.collapsed import Collapsed
from waymarks.theory.full import FullNetwork
from waymarks.theory.procedure import STEP_SIZE_EXAMPLES, Form, take_first_step
from waymarks.theory.settings import Settings, practical

DRAWN_UPDATES = 64
"""So many updates are drawn at once, as the procedure draws them."""
LEAST_RATIO = 20.0


def prepared(form: Form, settings: Settings) -> Form:
    """The form after the first step, ready for updates."""
    take_first_step(form, settings)
    generator = np.random.default_rng(seed_sequence(0, "benchmark/step size", 0))
    form.choose_step_size(settings.mixture.sample(STEP_SIZE_EXAMPLES, generator))
    return form


def seconds_per_update(
    form: Form, settings: Settings, round_number: int, draws: int
) -> tuple[float, float]:
    """Mean time of an update: by itself, and with drawing and labelling its examples."""
    descending, started = 0.0, time.perf_counter()
    for draw in range(draws):
        index = round_number * 1000 + draw
        generator = np.random.default_rng(seed_sequence(0, "benchmark/train", index))
        examples = settings.mixture.sample(DRAWN_UPDATES * settings.batch, generator)
        labels = settings.mixture.labels(examples)
        drawn = time.perf_counter()
        form.descend(examples, labels, 0)
        descending += time.perf_counter() - drawn
    whole, updates = time.perf_counter() - started, draws * DRAWN_UPDATES
    return descending / updates, whole / updates


def difference(one: Form, other: Form, settings: Settings) -> float:
    """The largest difference of their outputs, over the largest output."""
    generator = np.random.default_rng(seed_sequence(0, "benchmark/evaluation", 0))
    examples = settings.mixture.sample(2000, generator)
    outputs = [form.outputs(examples, "average") for form in (one, other)]
    return float(np.abs(outputs[0] - outputs[1]).max() / np.abs(outputs[1]).max())


def show(what: str, times: list[tuple[float, float]]) -> float:
    """Prints the median times of both and their ratio; returns the median ratio."""
    collapsed, full = (1000 * statistics.median(column) for column in zip(*times, strict=True))
    ratios = sorted(full / collapsed for collapsed, full in times)
    ratio = statistics.median(ratios)
    print(f"{what}: collapsed {collapsed:.4f} ms, full network {full:.4f} ms: ", end="")
    print(f"{ratio:.1f}x (from {ratios[0]:.1f} to {ratios[-1]:.1f})")
    return ratio


def main() -> int:
    """Runs the benchmark; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--bits", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--draws", type=int, default=2, help=f"of {DRAWN_UPDATES} updates each")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    settings = practical(asked.bits, 0.5).model_copy(update={"first_batch": 100_000})
    forms = [prepared(make(settings), settings) for make in (Collapsed, FullNetwork)]
    times = [
        [seconds_per_update(form, settings, number, asked.draws) for form in forms]
        for number in range(asked.rounds)
    ]
    ratio = show("update", [(collapsed[0], full[0]) for collapsed, full in times])
    show("update and drawing", [(collapsed[1], full[1]) for collapsed, full in times])
    apart = difference(forms[0], forms[1], settings)
    print(f"   difference: {apart:.1e} of the largest output")
    print(f"n = {asked.bits}, k = {settings.width}, B = {settings.batch}, {asked.rounds} rounds")
    fast = asked.bits != 30 or ratio >= LEAST_RATIO
    return 0 if fast and apart < 1e-10 else 1


if __name__ == "__main__":
    sys.exit(main())
