"""Choosing a learning rate among candidates, by held-out examples that no test uses."""

import math
from collections.abc import Mapping, Sequence
from statistics import median

from waymarks.studies.run import Run

Trials = Mapping[float, Sequence[Run]]


def chosen_learning_rate(trials: Trials) -> float:
    """The candidate whose runs answer the final step best on the stream `evaluation`.

    Looks at the evaluation of the weights that a run keeps (its best where it keeps the best,
    else its last), never at the test stream. The median over seeds decides: of the accuracy,
    and of the loss where accuracies are equal. A run without an evaluation counts as worst, so
    that a candidate that diverges at once is not chosen.

    Args:
        trials: for each learning rate its runs, one per seed; at least one learning rate.
    """
    return max(trials, key=lambda rate: _merit(trials[rate]))


def _merit(runs: Sequence[Run]) -> tuple[float, float]:
    scores = [_score(run) for run in runs]
    return median(score[0] for score in scores), median(score[1] for score in scores)


def _score(run: Run) -> tuple[float, float]:
    """The accuracy of the final step where the run's weights were kept, and minus its loss."""
    evaluations = run.metrics()
    if not evaluations:
        return -math.inf, -math.inf
    final = run.experiment.task.steps[-1]
    accuracy, loss = f"{final.name}.accuracy", f"{final.name}.{final.kind.loss_name}"
    kept = evaluations[-1]
    if run.experiment.training.keep_best:
        kept = max(evaluations, key=lambda line: line[accuracy])
    return float(kept[accuracy]), -float(kept[loss])
