"""The collapsed simulation of Theorem 1's procedure against the k-neuron network.

    python benchmarks/theory.py [--bits 30] [--rounds 15]

Both make the same updates on the same examples, drawing included, by turns in one process on one
thread. Prints the seconds of an update of each, and their ratio with its spread over the rounds;
ends with exit code 1 if the two do not compute the same function, or if the ratio at n = 30 is
below 20.
"""

import argparse
import statistics
import sys
import time

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


def seconds_per_update(form: Form, settings: Settings, round_number: int, draws: int) -> float:
    """Mean time of an update, with the examples drawn and labelled as part of it."""
    started = time.perf_counter()
    for draw in range(draws):
        index = round_number * 1000 + draw
        generator = np.random.default_rng(seed_sequence(0, "benchmark/train", index))
        examples = settings.mixture.sample(DRAWN_UPDATES * settings.batch, generator)
        form.descend(examples, settings.mixture.labels(examples), 0)
    return (time.perf_counter() - started) / (draws * DRAWN_UPDATES)


def difference(one: Form, other: Form, settings: Settings) -> float:
    """The largest difference of their outputs, over the largest output."""
    generator = np.random.default_rng(seed_sequence(0, "benchmark/evaluation", 0))
    examples = settings.mixture.sample(2000, generator)
    outputs = [form.outputs(examples, "average") for form in (one, other)]
    return float(np.abs(outputs[0] - outputs[1]).max() / np.abs(outputs[1]).max())


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
    ratios = sorted(full / collapsed for collapsed, full in times)
    ratio = statistics.median(ratios)
    apart = difference(forms[0], forms[1], settings)
    for name, column in (("collapsed", 0), ("full network", 1)):
        milliseconds = 1000 * statistics.median(pair[column] for pair in times)
        print(f"{name:>13}: {milliseconds:8.4f} ms an update")
    print(f"        ratio: {ratio:.1f} (from {ratios[0]:.1f} to {ratios[-1]:.1f})")
    print(f"   difference: {apart:.1e} of the largest output")
    print(f"n = {asked.bits}, k = {settings.width}, B = {settings.batch}, {asked.rounds} rounds")
    fast = asked.bits != 30 or ratio >= LEAST_RATIO
    return 0 if fast and apart < 1e-10 else 1


if __name__ == "__main__":
    sys.exit(main())
