"""Ridge least squares in place of SGD: whether the features that the first step finds suffice."""

import numpy as np
from jaxtyping import Float

from waymarks.errors import UserError
from waymarks.randomness import seed_sequence
from waymarks.theory.collapsed import Collapsed
from waymarks.theory.procedure import Scores, take_first_step
from waymarks.theory.settings import Settings

RIDGE = 1e-14
"""The penalty, as a share of the largest eigenvalue of the features' second moment: as small as
least squares in double precision bears, since a larger one costs the paper's biases accuracy at
n = 50 (their weights reach 102/p)."""


def ridge_scores(settings: Settings, examples: int = 200_000) -> Scores:
    """The scores of (u, v) by ridge least squares after the first step of the procedure.

    The first step is taken as `settings` say. With the population step, what a neuron sees
    depends on (x0, s) alone, so both the fit and the scores are exact sums over those; after a
    sampled step the fit and the scores are each from `examples` fresh examples.

    Raises:
        UserError: `examples` is below 1.
    """
    if examples < 1:
        raise UserError(f"examples must be at least 1, not {examples}")
    form = Collapsed(settings)
    take_first_step(form, settings)
    if settings.first_batch is None:
        return _exact_scores(form, settings)
    return _sampled_scores(form, settings, examples)


def _exact_scores(form: Collapsed, settings: Settings) -> Scores:
    target, p = settings.mixture.target, settings.sum_fraction
    states = [
        (flag, float(p * (s - target.offset * flag)), float(target.label(flag, s)), float(chance))
        for flag in (1, -1)
        for s, chance in target.active_sums().items()
    ]
    flags, seen, labels, chances = (np.array(column) for column in zip(*states, strict=True))
    features = form.features(seen)
    weights = _ridge(features, labels, chances * np.where(flags == 1, p, 1 - p))
    outputs = features @ weights
    errors = np.square(outputs - labels) / 2
    on_parity = flags == -1
    right = ((outputs > 0) == (labels > 0))[on_parity]
    return Scores.of(
        p,
        float(errors[~on_parity] @ chances[~on_parity]),
        float(errors[on_parity] @ chances[on_parity]),
        float(chances[on_parity] @ right),
    )


def _sampled_scores(form: Collapsed, settings: Settings, examples: int) -> Scores:
    mixture, weights = settings.mixture, form.weights
    for index, stream in enumerate(("theory/ridge fit", "theory/ridge scores")):
        generator = np.random.default_rng(seed_sequence(settings.seed, stream, 0))
        drawn = mixture.sample(examples, generator)
        labels = mixture.labels(drawn)
        features = form.features(drawn.project(form.row()))
        if index == 0:
            weights = _ridge(features, labels, np.full(examples, 1 / examples))
    outputs = features @ weights
    errors = np.square(outputs - labels) / 2
    right = (outputs > 0) == (labels > 0)
    return Scores.of(
        settings.sum_fraction,
        float(errors[drawn.is_sum].mean()),
        float(errors[~drawn.is_sum].mean()),
        float(right[~drawn.is_sum].mean()),
    )


def _ridge(
    features: Float[np.ndarray, "count features"],
    labels: Float[np.ndarray, " count"],
    shares: Float[np.ndarray, " count"],
) -> Float[np.ndarray, " features"]:
    weighted = features * np.sqrt(shares)[:, None]
    largest = np.linalg.norm(weighted, 2)
    penalty = np.sqrt(RIDGE) * largest * np.eye(features.shape[1])
    rows = np.concatenate([weighted, penalty])
    values = np.concatenate([labels * np.sqrt(shares), np.zeros(features.shape[1])])
    solved: Float[np.ndarray, " features"] = np.linalg.lstsq(rows, values, rcond=None)[0]
    return solved
