"""Examples per second of the generators, against a plain loop with NumPy over examples.

Both make the same kind of examples with the whole trace, on one core, taking turns.

    python benchmarks/generation.py
    python benchmarks/generation.py --bits 100 --batch 4096
"""

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch

from waymarks.randomness import Rng
from waymarks.tasks import ParitySum


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--bits", type=int, default=50)
    parser.add_argument("--batch", type=int, nargs="+", default=[256, 4096])
    parser.add_argument("--rounds", type=int, default=15)
    return parser.parse_args()


def example_by_example(task: ParitySum, count: int) -> Callable[[int], object]:
    """A function of the batch's number that makes a batch with one NumPy draw per example."""
    subset = task.hidden_subset(Rng.of(0, "train", 0)).numpy() == 1

    def make(number: int) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng(number)
        bits = np.empty((count, task.bits), dtype=np.float32)
        answers = np.empty((count, 2), dtype=np.float32)
        for row in range(count):
            bits[row] = rng.choice((-1.0, 1.0), size=task.bits)
            active = bits[row][subset]
            answers[row] = active.sum() / task.bits, active.prod()
        return bits, answers

    return make


def seconds_of(make: Callable[[int], object], number: int) -> float:
    started = time.perf_counter()
    make(number)
    return time.perf_counter() - started


def main() -> None:
    options = arguments()
    torch.set_num_threads(1)
    task = ParitySum(bits=options.bits)
    for count in options.batch:
        ours = lambda number, count=count: task.sample(count, Rng.of(0, "train", number))  # noqa: E731
        plain = example_by_example(task, count)
        times = [(seconds_of(ours, i), seconds_of(plain, i)) for i in range(options.rounds + 1)][1:]
        ratios = sorted(theirs / own for own, theirs in times)
        rates = [count / statistics.median(column) for column in zip(*times, strict=True)]
        print(
            f"ParitySum({options.bits}), batches of {count}, one core: "
            f"{rates[0]:,.0f} examples/s, NumPy example by example {rates[1]:,.0f}: "
            f"{statistics.median(ratios):.0f}x ({ratios[0]:.0f} to {ratios[-1]:.0f})"
        )


if __name__ == "__main__":
    main()
