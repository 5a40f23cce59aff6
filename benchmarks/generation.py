"""Examples per second of the generators, against plain loops over examples.

Both make the same kind of examples as the same tensors, with the whole trace, on one core, taking
turns. Time is the process's own, so that whatever else the machine does is not counted.

    python benchmarks/generation.py
    python benchmarks/generation.py --bits 100 --batch 4096
"""

import argparse
import random
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from waymarks.randomness import Rng
from waymarks.tasks import Code, Lego, ParitySum, Problems, Task

MakesBatch = Callable[[int], object]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--bits", type=int, default=50, help="of ParitySum")
    parser.add_argument("--variables", type=int, default=12, help="of Lego, in one chain")
    parser.add_argument("--statements", type=int, default=10, help="of Code")
    parser.add_argument("--batch", type=int, nargs="+", default=[256, 1024, 4096])
    parser.add_argument("--rounds", type=int, default=15)
    return parser.parse_args()


def parities_one_by_one(task: ParitySum, count: int) -> MakesBatch:
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


def chains_one_by_one(task: Lego, count: int) -> MakesBatch:
    """The same for a chain of variables, in plain Python."""
    plus, minus, one = task.names, task.names + 1, task.names + 2

    def example(rng: random.Random) -> tuple[list[tuple[int, int, int]], list[int], list[float]]:
        names = rng.sample(range(task.names), task.variables)
        places = list(range(task.variables))
        rng.shuffle(places)
        clauses = [(0, 0, 0)] * task.variables
        values, source, value = [], one, 1.0
        for name, place in zip(names, places, strict=True):
            if rng.random() < 0.5:
                clauses[place] = (name, plus, source)
            else:
                clauses[place] = (name, minus, source)
                value = -value
            values.append(value)
            source = name
        return clauses, places, values

    def make(number: int) -> Problems:
        rng = random.Random(number)
        return as_problems([example(rng) for _ in range(count)])

    return make


def programs_one_by_one(task: Code, count: int) -> MakesBatch:
    """The same for programs in one variable, in plain Python."""
    modulus, places = task.modulus, list(range(task.statements))

    def example(rng: random.Random) -> tuple[list[tuple[int, int]], list[int], list[float]]:
        x = int(rng.random() * modulus)
        program, values = [(modulus, x)], [float(x)]
        for _ in range(task.statements - 1):
            operator = 1 + int(rng.random() * 4)
            if operator == 4:
                number = 1 + int(rng.random() * (modulus - 1))
                x //= number
            else:
                number = int(rng.random() * modulus)
                if operator == 1:
                    x = (x + number) % modulus
                elif operator == 2:
                    x = (x - number) % modulus
                else:
                    x = (x * number) % modulus
            program.append((modulus + operator, number))
            values.append(float(x))
        return program, places, values

    def make(number: int) -> Problems:
        rng = random.Random(number)
        return as_problems([example(rng) for _ in range(count)])

    return make


def as_problems(examples: list[tuple[list[tuple[int, ...]], list[int], list[float]]]) -> Problems:
    statements, places, answers = zip(*examples, strict=True)
    given: dict[str, Tensor] = {
        "statements": torch.from_numpy(np.array(statements, dtype=np.uint8)),
        "statement_of_step": torch.from_numpy(np.array(places)),
    }
    return Problems(given, torch.from_numpy(np.array(answers, dtype=np.float32)))


def seconds_of(make: MakesBatch, number: int) -> float:
    started = time.process_time()
    make(number)
    return time.process_time() - started


def compare(task: Task, count: int, plain: MakesBatch, rounds: int) -> str:
    def ours(number: int) -> Problems:
        return task.sample(count, Rng.of(0, "train", number))

    times = [(seconds_of(ours, i), seconds_of(plain, i)) for i in range(rounds + 1)][1:]
    ratios = sorted(theirs / own for own, theirs in times)
    rates = [count / statistics.median(column) for column in zip(*times, strict=True)]
    return (
        f"{rates[0]:,.0f} examples/s, example by example {rates[1]:,.0f}: "
        f"{statistics.median(ratios):.0f}x ({ratios[0]:.0f} to {ratios[-1]:.0f})"
    )


def main() -> None:
    options = arguments()
    torch.set_num_threads(1)
    parity = ParitySum(bits=options.bits)
    lego = Lego(variables=options.variables)
    code = Code(statements=options.statements)
    for count in options.batch:
        for name, task, plain in (
            (f"ParitySum({options.bits})", parity, parities_one_by_one(parity, count)),
            (f"Lego({options.variables})", lego, chains_one_by_one(lego, count)),
            (f"Code({options.statements})", code, programs_one_by_one(code, count)),
        ):
            compared = compare(task, count, plain, options.rounds)
            print(f"{name}, batches of {count}, one core: {compared}", flush=True)


if __name__ == "__main__":
    main()
