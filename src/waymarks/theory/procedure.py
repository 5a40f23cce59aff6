"""Theorem 1's procedure: one step on W, then SGD on (u, v), averaged.

It is written against a `Form` of the network, of which there are two: the k-neuron network
(`full.py`) and its collapsed simulation (`collapsed.py`).
"""

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from jaxtyping import Float

from waymarks.axes import Frozen
from waymarks.randomness import seed_sequence
from waymarks.theory.distributions import Examples, Mixture
from waymarks.theory.settings import Settings

FIRST_STEP_DRAW = 100_000
"""At most so many examples of the first batch are held at once."""
LATER_DRAW = 16_384
"""About so many examples of later batches are held at once."""
STEP_SIZE_EXAMPLES = 8_192
"""From so many examples the eigenvalue is measured that sets the step size."""
SCORED_EXAMPLES = 50_000
"""So many examples of each task are scored."""

Labels = Float[np.ndarray, " count"]
Iterate = Literal["last", "average"]


class Scores(Frozen):
    """How well a network does on fresh examples.

    Attributes:
        mix, sum, parity: half the mean squared error on the mixture, on Sum, on Parity; chance
            on Parity is .5.
        parity_accuracy: the share of Parity examples whose sign is right; chance is .5.
    """

    mix: float
    sum: float
    parity: float
    parity_accuracy: float

    @classmethod
    def of(cls, sum_fraction: float, sums: float, parities: float, accuracy: float) -> "Scores":
        """The loss on each task, and with them that on the p-mixture."""
        mix = sum_fraction * sums + (1 - sum_fraction) * parities
        return cls(mix=mix, sum=sums, parity=parities, parity_accuracy=accuracy)


class Point(Frozen):
    """The scores after so many updates; `average` is None before averaging begins."""

    updates: int
    last: Scores
    average: Scores | None


class Outcome(Frozen):
    """What came of the procedure.

    Attributes:
        form: what went through it: `"Collapsed"` or `"FullNetwork"`.
        relevant, irrelevant: root mean square entry of W's row after the first step, over the
            active bits and over the others; the population values are p and 0.
        last, average: the scores of the last iterate and of the averaged parameters.
        curve: the scores on the way.
        seconds_first_step, seconds_updates: wall-clock time with drawing, without scoring.
    """

    settings: Settings
    form: str
    relevant: float
    irrelevant: float
    last: Scores
    average: Scores
    curve: tuple[Point, ...]
    seconds_first_step: float
    seconds_updates: float


class Form(ABC):
    """A form of the network that can go through the procedure."""

    @abstractmethod
    def first_step(self, batches: Iterator[tuple[Examples, Labels]]) -> None:
        """A step of size 1 on W (and v, if not frozen) from the mean gradient of all batches."""

    @abstractmethod
    def population_first_step(self, mixture: Mixture) -> None:
        """The same from the population gradient of Lemma 2."""

    @abstractmethod
    def choose_step_size(self, examples: Examples) -> None:
        """Sets the step size of the updates from the largest eigenvalue on these examples."""

    @abstractmethod
    def descend(self, examples: Examples, labels: Labels, averaged_from: int) -> None:
        """One update on (u, v) for each batch of the examples in turn; the iterates that these
        lead to, from the one numbered `averaged_from`, go into the average."""

    @abstractmethod
    def row(self) -> Float[np.ndarray, " inputs"]:
        """The mean row of W."""

    @abstractmethod
    def outputs(self, examples: Examples, iterate: Iterate) -> Float[np.ndarray, " count"]:
        """g of each example, with the last parameters or with the averaged ones."""


@dataclass
class Scoring:
    """Fresh examples of each task by itself, and the seconds spent on scoring."""

    mixture: Mixture
    seed: int
    seconds: float = 0.0
    tasks: list[tuple[Examples, Labels]] = field(default_factory=list)

    def __post_init__(self) -> None:
        for index, fraction in enumerate((1.0, 0.0)):
            task = Mixture(target=self.mixture.target, sum_fraction=fraction)
            self.tasks.append(_draw(task, SCORED_EXAMPLES, self.seed, "evaluation", index))

    def scores(self, form: Form, iterate: Iterate) -> Scores:
        """The scores of one iterate."""
        started = time.perf_counter()
        (sums, sum_labels), (parities, parity_labels) = self.tasks
        answers = form.outputs(parities, iterate)
        scores = Scores.of(
            self.mixture.sum_fraction,
            float(np.mean(np.square(form.outputs(sums, iterate) - sum_labels))) / 2,
            float(np.mean(np.square(answers - parity_labels))) / 2,
            float(np.mean((answers > 0) == (parity_labels > 0))),
        )
        self.seconds += time.perf_counter() - started
        return scores


def run(
    settings: Settings,
    make: Callable[[Settings], Form],
    points: int = 20,
    on_progress: Callable[[Point], None] | None = None,
) -> Outcome:
    """Goes through the whole procedure.

    Args:
        make: the form of the network: `FullNetwork` or `Collapsed`.
        points: how many points the curve has at most; 0 for none.
        on_progress: called with each point of the curve.
    """
    form, mixture = make(settings), settings.mixture
    scoring = Scoring(mixture, settings.seed)
    started = time.perf_counter()
    take_first_step(form, settings)
    stepped = time.perf_counter()
    curve: list[Point] = []
    for done in _updates(form, settings):
        if done * points < (len(curve) + 1) * settings.updates:
            continue
        averaging = done > settings.first_averaged
        average = scoring.scores(form, "average") if averaging else None
        curve.append(Point(updates=done, last=scoring.scores(form, "last"), average=average))
        if on_progress:
            on_progress(curve[-1])
    ended = time.perf_counter()
    active = mixture.target.indicator == 1
    seen = form.row()[1:]
    return Outcome(
        settings=settings,
        form=type(form).__name__,
        relevant=_root_mean_square(seen[active]),
        irrelevant=_root_mean_square(seen[~active]),
        seconds_first_step=stepped - started,
        seconds_updates=ended - stepped - scoring.seconds,
        last=scoring.scores(form, "last"),
        average=scoring.scores(form, "average"),
        curve=tuple(curve),
    )


def take_first_step(form: Form, settings: Settings) -> None:
    """The first step, from a sampled batch or from the population gradient."""
    if settings.first_batch is None:
        form.population_first_step(settings.mixture)
    else:
        sizes = _shares(settings.first_batch, FIRST_STEP_DRAW)
        form.first_step(_batches(settings, "first step", sizes))


def _updates(form: Form, settings: Settings) -> Iterator[int]:
    """Makes the updates; yields how many are done, now and then."""
    form.choose_step_size(
        _draw(settings.mixture, STEP_SIZE_EXAMPLES, settings.seed, "step size", 0)[0]
    )
    per_draw = max(LATER_DRAW // settings.batch, 1)
    shares = _shares(settings.updates, per_draw)
    done = 0
    sizes = [share * settings.batch for share in shares]
    for share, (examples, labels) in zip(shares, _batches(settings, "train", sizes), strict=True):
        form.descend(examples, labels, max(settings.first_averaged - done, 0))
        done += share
        yield done


def _shares(total: int, most: int) -> list[int]:
    return [min(most, total - begun) for begun in range(0, total, most)]


def _batches(
    settings: Settings, stream: str, sizes: list[int]
) -> Iterator[tuple[Examples, Labels]]:
    mixture = settings.mixture
    for index, size in enumerate(sizes):
        yield _draw(mixture, size, settings.seed, stream, index)


def _draw(
    mixture: Mixture, count: int, seed: int, stream: str, index: int
) -> tuple[Examples, Labels]:
    generator = np.random.default_rng(seed_sequence(seed, f"theory/{stream}", index))
    examples = mixture.sample(count, generator)
    return examples, mixture.labels(examples)


def _root_mean_square(values: Float[np.ndarray, " count"]) -> float:
    return math.sqrt(np.mean(np.square(values)))
