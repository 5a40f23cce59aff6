"""Studies whose runs were never trained: records as training would have left them."""

import json
from itertools import product
from pathlib import Path

import numpy as np
from jaxtyping import Float

from waymarks.formats import TaskVector, TokenClassification
from waymarks.models import BERT, GPT2
from waymarks.studies import Arm, Claim, Experiment, Outcome, Run, Solves, Study
from waymarks.studies.run import write_json
from waymarks.supervision import AskOne, EveryStep, FinalOnly
from waymarks.tasks import Lego, ParitySum
from waymarks.tasks.base import Task
from waymarks.training import Training


def experiment(task: Task, p: float, updates: int = 1000) -> Experiment:
    """Of which nothing but its fields is looked at."""
    is_chain = isinstance(task, Lego)
    return Experiment(
        task=task,
        supervision=AskOne(sum=p, parity=1 - p) if p else FinalOnly(),
        format=TokenClassification() if is_chain else TaskVector(),
        model=BERT(width=8, depth=1, heads=1) if is_chain else GPT2(width=8, depth=1, heads=1),
        training=Training(updates=updates, evaluate_every=10, batch_size=10),
    )


def sweep(seeds: int = 5, bits: int = 6, shares: int = 10) -> Study:
    """Sizes against shares of intermediate labels."""
    sizes = [10 * (number + 1) for number in range(bits)]
    parts = [round(number / 20, 3) for number in range(shares)]
    arms = tuple(
        Arm(name=f"n = {n}, p = {p:g}", experiment=experiment(ParitySum(bits=n), p))
        for n, p in product(sizes, parts)
    )
    claim = Claim(
        text="With half of the labels on sums, ten bits are learned.",
        conditions=(Solves(arm=arms[-1].name, step="parity"),),
    )
    question = "From how many bits on does the parity need labels of the sum?"
    return Study(name="phase", question=question, arms=arms, seeds=tuple(range(seeds)), claim=claim)


def many_steps(seeds: int = 3) -> Study:
    """Twelve steps, told or not."""
    single = experiment(Lego(variables=12), 0)
    arms = (
        Arm(name="final label only", experiment=single),
        Arm(name="every label", experiment=single.model_copy(update={"supervision": EveryStep()})),
    )
    question = "Are the variables of a chain learned in order?"
    return Study(name="chain", question=question, arms=arms, seeds=tuple(range(seeds)))


def write_runs(study: Study, folder: Path, evaluations: int) -> Outcome:
    """Writes the study, and of each of its runs a record with so many evaluations."""
    study.write(folder)
    outcome = Outcome.open(folder)
    for arm in study.arms:
        for run, seed in zip(outcome.runs[arm.name], study.seeds, strict=True):
            planned = arm.experiment.model_copy(update={"seed": seed})
            _write(run, planned, evaluations)
    return outcome


def _write(run: Run, planned: Experiment, evaluations: int) -> None:
    accuracies = _curves(planned, evaluations)
    updates = np.linspace(0, planned.training.updates, evaluations).astype(int)
    lines = [
        _line(planned, int(update), row) for update, row in zip(updates, accuracies, strict=True)
    ]
    run.folder.mkdir(parents=True)
    record = {
        "schema": 1,
        "identity": planned.identity,
        "experiment": planned.model_dump(mode="json"),
        "execution": {"device": "cpu", "threads": 1},
        "provenance": {"commit": "0123456789ab", "machine": "2-core CPU", "started": "2030-01-01"},
    }
    write_json(run.folder / "experiment.json", record)
    (run.folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    status = {"state": "finished", "evaluations": len(lines)}
    if planned.seed == 2 and getattr(planned.task, "bits", 0) == 10:
        status |= {"state": "diverged", "message": "the loss of update 990 is not finite"}
    write_json(run.folder / "status.json", status)


def _curves(planned: Experiment, evaluations: int) -> Float[np.ndarray, "evaluations steps"]:
    """Accuracies that rise from chance, a step after the one before, later where told less."""
    steps = planned.task.steps
    random = np.random.default_rng(planned.seed)
    told = getattr(planned.supervision, "shares", {}).get("sum", 0.0)
    size = getattr(planned.task, "bits", 30)
    hardness = size / 100 / (0.15 + told) * random.uniform(0.8, 1.25)
    if isinstance(planned.supervision, EveryStep):
        hardness /= 4
    place = np.linspace(0, 1, evaluations)[:, None]
    middle = hardness * (0.2 + 0.8 * np.arange(1, len(steps) + 1) / len(steps))
    rising = 1 / (1 + np.exp(-40 * (place - middle)))
    noisy = 0.5 + 0.5 * rising + random.normal(0, 0.008, rising.shape)
    clipped: Float[np.ndarray, "evaluations steps"] = np.clip(noisy, 0, 1).round(5)
    return clipped


def _line(
    planned: Experiment, update: int, accuracies: Float[np.ndarray, " steps"]
) -> dict[str, float]:
    examples = update * planned.training.batch_size
    line = {
        "update": update,
        "examples": examples,
        "flops": examples * 1000,
        "seconds": round(update * (1 + planned.seed / 10) / 100, 3),
        "train_loss": 0.5,
    }
    for step, accuracy in zip(planned.task.steps, accuracies.tolist(), strict=True):
        line[f"{step.name}.labels_seen"] = examples // 2
        line[f"{step.name}.accuracy"] = accuracy
        line[f"{step.name}.{step.kind.loss_name}"] = round(1.001 - accuracy, 5)
    return line
