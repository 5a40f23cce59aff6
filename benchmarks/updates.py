"""Updates per second: waymarks against the loop that one would otherwise write.

Three settings: the paper's GPT-2 on parity, and BERT on LEGO chains at the laptop's size and at
width 256. The other loop is `transformers.GPT2Model` with `inputs_embeds` and `torch.optim.Adam`,
or `transformers.BertForTokenClassification` and `torch.optim.AdamW`, all at their defaults but
for dropout, which is 0 on both sides. Both train on the same batches from the same initial
weights, in processes that take turns, so that whatever else the machine does falls on both.

    python benchmarks/updates.py                # two threads, with and without torch.compile
    python benchmarks/updates.py --threads 1 --rounds 10 --setting bert-laptop
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time

CONTESTANTS = ("huggingface", "waymarks", "waymarks, compiled")


def parity():
    """The paper's setting (section B.1) with p = 0.5."""
    from waymarks.recipes.parity import parity_experiment

    return parity_experiment(50, p=0.5)


def lego(variables: int, names: int, batch: int, **sizes: int):
    """Every variable of one chain told, each read at its own clause."""
    from waymarks.formats import TokenClassification
    from waymarks.models import BERT
    from waymarks.studies import Experiment
    from waymarks.supervision import EveryStep
    from waymarks.tasks import Lego
    from waymarks.training import Training

    return Experiment(
        task=Lego(variables=variables, names=names),
        format=TokenClassification(),
        supervision=EveryStep(),
        model=BERT(**sizes),
        training=Training(batch_size=batch, learning_rate=1e-3, weight_decay=0.01),
        seed=0,
    )


def bert_at_laptop_size():
    return lego(variables=6, names=6, batch=256, width=64, depth=6, heads=4)


def bert_at_width_256():
    return lego(variables=12, names=26, batch=64, width=256, depth=6, heads=8)


SETTINGS = {
    "gpt2": parity,
    "bert-laptop": bert_at_laptop_size,
    "bert-256": bert_at_width_256,
}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=8, help="turns of each contestant")
    parser.add_argument("--updates", type=int, default=10, help="updates in a turn")
    parser.add_argument("--setting", choices=SETTINGS, action="append", help="default: all")
    parser.add_argument("--contestants", choices=CONTESTANTS, nargs="+", default=CONTESTANTS)
    parser.add_argument("--turns-of", choices=CONTESTANTS, help=argparse.SUPPRESS)
    return parser.parse_args()


def waymarks_update(experiment, compile: bool):
    """A function that makes one update and returns its loss: waymarks' own loop."""
    import torch

    from waymarks.training import Learner, train
    from waymarks.training.memory import keep_freed_memory

    keep_freed_memory()
    learner = Learner(experiment, torch.device("cpu"))
    events = train(experiment, learner, compile=compile)
    next(events)  # the evaluation before the first update

    def update() -> float:
        next(events)
        return float(learner.window[(learner.update - 1) % len(learner.window)])

    return update


def huggingface_update(experiment):
    """The same with `transformers` in a plain loop, all positions of every example computed."""
    from waymarks.models import GPT2

    plain = plain_gpt2 if isinstance(experiment.model, GPT2) else plain_bert
    parameters, optimiser, loss_of = plain(experiment)
    training = experiment.training
    given = {"weight_decay": training.weight_decay} if training.weight_decay else {}
    steps = optimiser(parameters, lr=training.learning_rate, **given)
    number = iter(range(10**9))

    def update() -> float:
        from waymarks.randomness import Rng

        loss = loss_of(Rng.of(0, "train", next(number)))
        steps.zero_grad()
        loss.backward()
        steps.step()
        return float(loss.detach())

    return update


def plain_gpt2(experiment):
    """Its parameters, optimiser, and the loss of a batch."""
    import torch
    import torch.nn.functional as F
    from torch import nn

    from waymarks.models.huggingface import to_transformers
    from waymarks.randomness import Rng
    from waymarks.training import Learner

    bits, batch = experiment.task.bits, experiment.training.batch_size
    same_start = Learner(experiment, torch.device("cpu")).network
    gpt2 = to_transformers(same_start)
    read_in, read_out = nn.Linear(bits, 128), nn.Linear(128, 1)
    read_in.load_state_dict(same_start.read_in.state_dict())
    read_out.load_state_dict(same_start.readout.state_dict())
    subset = experiment.task.hidden_subset(Rng.of(0, "train", 0))

    def loss_of(rng):
        bits_given = experiment.task.sample(batch, rng).given["bits"]
        asked = experiment.supervision.reveal(experiment.task, batch, rng).asked
        total = bits_given @ subset
        parity_is_plus = ((bits // 2 - total) / 2) % 2 == 0
        sequence = torch.stack([F.one_hot(asked, bits).float(), bits_given], dim=1)
        answer = read_out(gpt2(inputs_embeds=read_in(sequence)).last_hidden_state[:, -1])[:, 0]
        return torch.where(
            asked == 0,
            (answer - total / bits) ** 2,
            F.binary_cross_entropy_with_logits(answer, parity_is_plus.float(), reduction="none"),
        ).mean()

    parameters = [*gpt2.parameters(), *read_in.parameters(), *read_out.parameters()]
    return parameters, torch.optim.Adam, loss_of


def plain_bert(experiment):
    """Its parameters, optimiser, and the loss of a batch: the mean of all labelled positions'."""
    import torch
    import torch.nn.functional as F
    import transformers

    from waymarks.models.huggingface import to_transformers
    from waymarks.training import Learner

    task, batch = experiment.task, experiment.training.batch_size
    same_start = Learner(experiment, torch.device("cpu")).network
    encoder = to_transformers(same_start)
    encoder.config.num_labels = 1
    bert = transformers.BertForTokenClassification(encoder.config).train()
    bert.bert.load_state_dict(encoder.state_dict())
    bert.bert.embeddings.token_type_embeddings.requires_grad_(False)  # the other side has none
    bert.classifier.load_state_dict(same_start.readout.state_dict())
    unlabelled = -100.0

    def loss_of(rng):
        problems = task.sample(batch, rng)
        tokens = problems.given["statements"].flatten(1).long()
        first_tokens = 3 * problems.given["statement_of_step"].long()
        labels = torch.full(tokens.shape, unlabelled)
        labels.scatter_(1, first_tokens, (problems.answers > 0).float())
        logits = bert(input_ids=tokens).logits[..., 0]
        labelled = labels != unlabelled
        return F.binary_cross_entropy_with_logits(logits[labelled], labels[labelled])

    learned = [parameter for parameter in bert.parameters() if parameter.requires_grad]
    return learned, torch.optim.AdamW, loss_of


def take_turns(contestant: str, options: argparse.Namespace) -> None:
    """A contestant's process: for each line on standard input, one turn."""
    import torch

    torch.set_num_threads(options.threads)
    experiment = SETTINGS[options.setting[0]]()
    if contestant == "huggingface":
        update = huggingface_update(experiment)
    else:
        update = waymarks_update(experiment, compile=contestant.endswith("compiled"))
    for _ in sys.stdin:
        started, busy = time.perf_counter(), time.process_time()
        losses = [update() for _ in range(options.updates)]
        seconds = {"wall": time.perf_counter() - started, "cpu": time.process_time() - busy}
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps({**seconds, "mebibytes": peak, "losses": losses}), flush=True)


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
    if options.turns_of:
        take_turns(options.turns_of, options)
        return
    for setting in options.setting or SETTINGS:
        compare(setting, options)


def compare(setting: str, options: argparse.Namespace) -> None:
    """Lets the contestants take turns, a first time unmeasured, and shows what came of it."""
    processes = {name: start(name, setting, options) for name in options.contestants}
    turns = {name: [] for name in processes}
    for number in range(options.rounds + 1):
        for name, process in processes.items():
            process.stdin.write("go\n")
            process.stdin.flush()
            turns[name].append(json.loads(process.stdout.readline()))
        print(f"{setting}: round {number} of {options.rounds}", file=sys.stderr)
    for process in processes.values():
        process.stdin.close()
        process.wait()
    show(setting, turns, options)


def start(name: str, setting: str, options: argparse.Namespace) -> subprocess.Popen:
    given = [f"--{number}={getattr(options, number)}" for number in ("threads", "updates")]
    return subprocess.Popen(
        [sys.executable, __file__, "--turns-of", name, "--setting", setting, *given],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": str(options.threads)},
    )


def show(setting: str, turns: dict[str, list[dict]], options: argparse.Namespace) -> None:
    """Prints milliseconds, ratios with their spread, the share of the peak, memory, and how far
    the losses are from those of the first contestant."""
    import torch

    from waymarks.training import Learner

    experiment = SETTINGS[setting]()
    learner = Learner(experiment, torch.device("cpu"))
    peak = matmul_peak(options.threads)
    batch = experiment.training.batch_size
    needed = 3 * batch * learner.network.flops_per_example() / 1e9
    print(f"{setting}: {experiment.model!r}, {experiment.task!r}, batch {batch}, float32")
    print(
        f"{options.threads} threads, {options.rounds} turns of {options.updates} updates; ", end=""
    )
    print(f"matmul peak {peak:.0f} GFLOP/s, an update needs {needed:.2f} GFLOP")
    reference, *others = turns
    for name in turns:
        wall, cpu = (ratios(turns[reference], turns[name], of) for of in ("wall", "cpu"))
        update = statistics.median(turn["wall"] for turn in turns[name][1:]) / options.updates
        print(
            f"{name:20} {1e3 * update:6.1f} ms/update  {1 / update:5.1f} updates/s  "
            f"{wall}, of CPU time {cpu}  {needed / update / peak:.0%} of the peak  "
            f"{turns[name][-1]['mebibytes']:.0f} MiB"
        )
    losses = {name: [x for turn in taken for x in turn["losses"]] for name, taken in turns.items()}
    for name in others:
        gaps = [abs(a - b) for a, b in zip(losses[name], losses[reference], strict=True)]
        print(
            f"{name}: largest difference of a training loss from that of {reference} "
            f"{max(gaps[: options.updates]):.1e} in the first {options.updates} updates, "
            f"{max(gaps):.1e} in all {len(gaps)}"
        )


def ratios(reference: list[dict], own: list[dict], of: str) -> str:
    """How many times as long the reference took, turn by turn: the median, and the spread."""
    found = sorted(a[of] / b[of] for a, b in zip(reference[1:], own[1:], strict=True))
    return f"{statistics.median(found):.2f}x ({found[0]:.2f} to {found[-1]:.2f})"


if __name__ == "__main__":
    main()
