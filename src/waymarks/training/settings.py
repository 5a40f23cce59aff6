"""How long and how a network is trained: plain data."""

import math
from typing import Annotated, Literal

from pydantic import Field, model_validator

from waymarks.axes import Frozen

Count = Annotated[int, Field(ge=1, strict=True)]
Positive = Annotated[float, Field(gt=0)]


class Training(Frozen):
    """A training budget, and what is looked at on the way (paper, section B.1).

    A default never changes its value: an experiment's identity leaves defaults out, so that an
    experiment keeps its identity when a new field is added.

    Attributes:
        updates: at most so many updates of the weights.
        batch_size: examples in an update.
        dataset_examples: how many examples are drawn once and read again and again, in a new
            order each time; unless given, every example of every update is new.
        learning_rate: of Adam, which has betas .9 and .999 and epsilon 1e-8; its highest where
            it follows a schedule.
        weight_decay: decoupled, of all parameters (AdamW).
        schedule: `constant`, or `cosine`: falls along half a cosine to 0, where an update after the
            last would have it.
        warmup: over how many updates the learning rate first rises, evenly, to its highest.
        precision: of the forward and backward pass; weights and Adam's state are float32.
        evaluate_every: updates from one evaluation to the next.
        evaluation_examples: how many held-out examples, the same ones every time.
        solved_accuracy, solved_evaluations: a step is solved at the first evaluation from which
            its accuracy stays at or above the one for as many evaluations as the other.
        stop_when_solved: whether to end once the final step is solved.
        loss_average: over all labels revealed in an update alike; or `steps`, of each step by
            itself and then over the steps, so that one that is seldom told weighs as much.
        patience: after how many evaluations without a new best accuracy of the final step to
            end; never for that reason unless given.
        keep_best: whether the weights of the evaluation with the best accuracy of the final step
            are kept beside the newest, and tested.
        test_examples: how many examples, drawn apart from those of the evaluations, are looked
            at once, at the end.
    """

    updates: Count = 100_000
    batch_size: Count = 256
    learning_rate: Positive = 2e-4
    precision: Literal["float32", "bfloat16"] = "float32"
    evaluate_every: Count = 500
    evaluation_examples: Count = 2048
    solved_accuracy: Annotated[float, Field(gt=0, le=1)] = 0.99
    solved_evaluations: Count = 3
    stop_when_solved: bool = True
    dataset_examples: Count | None = None
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    schedule: Literal["constant", "cosine"] = "constant"
    warmup: Annotated[int, Field(ge=0, strict=True)] = 0
    loss_average: Literal["labels", "steps"] = "labels"
    patience: Count | None = None
    keep_best: bool = False
    test_examples: Annotated[int, Field(ge=0, strict=True)] = 0

    @model_validator(mode="after")
    def _fits_together(self) -> "Training":
        if self.dataset_examples is not None and self.dataset_examples < self.batch_size:
            raise ValueError(
                f"dataset_examples ({self.dataset_examples}) is smaller than "
                f"batch_size ({self.batch_size})"
            )
        if self.warmup and self.warmup >= self.updates:
            raise ValueError(f"warmup ({self.warmup}) leaves none of {self.updates} updates")
        return self

    def learning_rate_at(self, update: int) -> float:
        """The learning rate of an update, counted from 0."""
        if update < self.warmup:
            return self.learning_rate * (update + 1) / (self.warmup + 1)
        if self.schedule == "constant":
            return self.learning_rate
        done = (update - self.warmup) / (self.updates - self.warmup)
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * done))
