"""How long and how a network is trained: plain data."""

from typing import Annotated, Literal

from pydantic import Field

from waymarks.axes import Frozen

Count = Annotated[int, Field(ge=1, strict=True)]
Positive = Annotated[float, Field(gt=0)]


class Training(Frozen):
    """A training budget, and what is looked at on the way (paper, section B.1).

    A default never changes its value: an experiment's identity leaves defaults out, so that an
    experiment keeps its identity when a new field is added.

    Attributes:
        updates: at most so many updates of the weights.
        batch_size: examples in an update, each of them new.
        learning_rate: of Adam, which has betas .9 and .999 and epsilon 1e-8.
        precision: of the forward and backward pass; weights and Adam's state are float32.
        evaluate_every: updates from one evaluation to the next.
        evaluation_examples: how many held-out examples, the same ones every time.
        solved_accuracy, solved_evaluations: a step is solved at the first evaluation from which
            its accuracy stays at or above the one for as many evaluations as the other.
        stop_when_solved: whether to end once the final step is solved.
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
