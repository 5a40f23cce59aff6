"""A sequence of two vectors: which step is asked, then the bits."""

from functools import lru_cache

import torch
from jaxtyping import Int
from torch import Tensor

from waymarks.errors import UserError
from waymarks.formats.base import Format, Layout, PrefixedVectors
from waymarks.tasks import Problems, Task


class TaskVector(Format):
    """The paper's "sequence of two n-dimensional vectors" (section 3.1).

    The first is a one-hot vector that names the step asked (e1 the first step, e2 the second),
    the second the n raw bits. The answer to either is read at the last position, through one
    scalar that both steps share.
    """

    @property
    def asks_one_step(self) -> bool:
        return True

    def layout(self, task: Task) -> Layout:
        if any(step.kind.outputs != 1 for step in task.steps):
            raise UserError("format TaskVector reads one scalar, but a step of the task needs more")
        bits = getattr(task, "bits", None)
        if bits is None:
            raise UserError(f"format TaskVector writes bits, and {type(task).__name__} has none")
        if len(task.steps) > bits:
            raise UserError(
                f"format TaskVector names steps in {bits} places, too few for the task's"
            )
        return Layout(positions=2, features=bits, outputs=1, answer_of_step=(0,) * len(task.steps))

    def write(
        self, task: Task, problems: Problems, asked: Int[Tensor, " batch"]
    ) -> PrefixedVectors:
        bits = problems.given["bits"]
        names = _one_hot_names(problems.answers.shape[1], bits.shape[1], bits.device)
        return PrefixedVectors(beginnings=names, choice=asked, rest=bits)


@lru_cache(maxsize=16)
def _one_hot_names(steps: int, features: int, device: torch.device) -> Tensor:
    return torch.eye(steps, features, device=device)
