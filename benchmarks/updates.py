"""Updates per second: waymarks against the loop that one would otherwise write.

The other loop is `transformers.GPT2Model` of the same size with `inputs_embeds`,
`torch.optim.Adam` at its defaults, and the same examples made with torch on the fly. Both train
on the same batches from the same initial weights, in two processes that take turns, so that
whatever else the machine does falls on both.

    python benchmarks/updates.py                # two threads, with and without torch.compile
    python benchmarks/updates.py --threads 1 --rounds 10
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

CONTESTANTS = ("huggingface", "waymarks", "waymarks, compiled")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=8, help="turns of each contestant")
    parser.add_argument("--updates", type=int, default=10, help="updates in a turn")
    parser.add_argument("--bits", type=int, default=50)
    parser.add_argument("--contestant", choices=CONTESTANTS, help=argparse.SUPPRESS)
    return parser.parse_args()


def experiment_of(bits: int):
    """The paper's setting (section B.1) with p = 0.5."""
    from waymarks.recipes.parity import parity_experiment

    return parity_experiment(bits, p=0.5)


def waymarks_update(bits: int, compile: bool):
    """A function that makes one update and returns its loss: waymarks' own loop."""
    import torch

    from waymarks.training import Learner, train
    from waymarks.training.memory import keep_freed_memory

    keep_freed_memory()
    learner = Learner(experiment_of(bits), torch.device("cpu"))
    events = train(experiment_of(bits), learner, compile=compile)
    next(events)  # the evaluation before the first update

    def update() -> float:
        next(events)
        return float(learner.window[(learner.update - 1) % len(learner.window)])

    return update


def huggingface_update(bits: int):
    """The same with `transformers`, a plain loop, and the whole sequence of every example."""
    import torch
    import torch.nn.functional as F
    from torch import nn

    from waymarks.models.huggingface import to_gpt2
    from waymarks.randomness import Rng
    from waymarks.training import Learner

    experiment = experiment_of(bits)
    same_start = Learner(experiment, torch.device("cpu")).network
    gpt2 = to_gpt2(same_start)
    read_in, read_out = nn.Linear(bits, 128), nn.Linear(128, 1)
    read_in.load_state_dict(same_start.read_in.state_dict())
    read_out.load_state_dict(same_start.readouts[0].state_dict())
    parameters = [*gpt2.parameters(), *read_in.parameters(), *read_out.parameters()]
    adam = torch.optim.Adam([p for p in parameters if p.requires_grad], lr=2e-4)
    subset = experiment.task.hidden_subset(Rng.of(0, "train", 0))
    number = iter(range(10**9))

    def update() -> float:
        rng = Rng.of(0, "train", next(number))
        bits_given = experiment.task.sample(256, rng).given["bits"]
        asked = experiment.supervision.reveal(experiment.task, 256, rng).asked
        total = bits_given @ subset
        parity_is_plus = ((bits // 2 - total) / 2) % 2 == 0
        sequence = torch.stack([F.one_hot(asked, bits).float(), bits_given], dim=1)
        answer = read_out(gpt2(inputs_embeds=read_in(sequence)).last_hidden_state[:, -1])[:, 0]
        loss = torch.where(
            asked == 0,
            (answer - total / bits) ** 2,
            F.binary_cross_entropy_with_logits(answer, parity_is_plus.float(), reduction="none"),
        ).mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
        return float(loss)

    return update


def take_turns(contestant: str, options: argparse.Namespace) -> None:
    """A contestant's process: for each line on standard input, one turn."""
    import torch

    torch.set_num_threads(options.threads)
    if contestant == "huggingface":
        update = huggingface_update(options.bits)
    else:
        update = waymarks_update(options.bits, compile=contestant.endswith("compiled"))
    for _ in sys.stdin:
        started = time.perf_counter()
        losses = [update() for _ in range(options.updates)]
        seconds = time.perf_counter() - started
        print(json.dumps({"seconds": seconds, "losses": losses}), flush=True)


def matmul_peak(threads: int) -> float:
    """The machine's float32 matrix-multiply rate, in GFLOP/s: the best of large products."""
    import torch

    torch.set_num_threads(threads)
    left, right = torch.randn(1024, 1024), torch.randn(1024, 1024)
    best = float("inf")
    for _ in range(30):
        started = time.perf_counter()
        left @ right
        best = min(best, time.perf_counter() - started)
    return 2 * 1024**3 / best / 1e9


def main() -> None:
    options = arguments()
    if options.contestant:
        take_turns(options.contestant, options)
        return
    processes = {name: start(name, options) for name in CONTESTANTS}
    turns = {name: [] for name in CONTESTANTS}
    for number in range(options.rounds + 1):
        for name, process in processes.items():
            process.stdin.write("go\n")
            process.stdin.flush()
            turns[name].append(json.loads(process.stdout.readline()))
        print(f"round {number} of {options.rounds}", file=sys.stderr)
    for process in processes.values():
        process.stdin.close()
        process.wait()
    show(turns, options)


def start(name: str, options: argparse.Namespace) -> subprocess.Popen:
    numbers = ("threads", "rounds", "updates", "bits")
    given = [f"--{number}={getattr(options, number)}" for number in numbers]
    return subprocess.Popen(
        [sys.executable, __file__, "--contestant", name, *given],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": str(options.threads)},
    )


def show(turns: dict[str, list[dict]], options: argparse.Namespace) -> None:
    """Prints milliseconds, ratios with their spread, the share of the peak, and the losses' gap."""
    peak = matmul_peak(options.threads)
    needed = 3 * 256 * flops_per_example(options.bits) / 1e9
    print(f"n = {options.bits}, batch 256, float32, {options.threads} threads, ", end="")
    print(f"{options.rounds} turns of {options.updates} updates; matmul peak {peak:.0f} GFLOP/s")
    reference = [turn["seconds"] for turn in turns["huggingface"][1:]]
    for name, taken in turns.items():
        seconds = [turn["seconds"] for turn in taken[1:]]
        ratios = sorted(other / own for other, own in zip(reference, seconds, strict=True))
        update = statistics.median(seconds) / options.updates
        print(
            f"{name:20} {1e3 * update:6.1f} ms/update  {1 / update:5.1f} updates/s  "
            f"{statistics.median(ratios):.2f}x ({ratios[0]:.2f} to {ratios[-1]:.2f})  "
            f"{needed / update / peak:.0%} of the peak"
        )
    losses = {name: [x for turn in taken for x in turn["losses"]] for name, taken in turns.items()}
    for name in CONTESTANTS[1:]:
        pairs = zip(losses[name], losses["huggingface"], strict=True)
        gap = max(abs(own - other) for own, other in pairs)
        print(f"{name}: largest difference of a training loss from huggingface's {gap:.1e}")


def flops_per_example(bits: int) -> int:
    import torch

    from waymarks.training import Learner

    return Learner(experiment_of(bits), torch.device("cpu")).network.flops_per_example()


if __name__ == "__main__":
    main()
