"""Tokens behind a `[CLS]`, at which all steps are read."""

import torch
from jaxtyping import Int
from torch import Tensor

from waymarks.formats.base import Layout, Tokens
from waymarks.formats.statements import CLS, StatementFormat
from waymarks.tasks import Problems, Task


class ClsToken(StatementFormat):
    """All steps are read at a `[CLS]` token before the statements, through a read-out for each
    (paper, section 3.3). A causal model sees nothing there, and is refused."""

    def layout(self, task: Task) -> Layout:
        notation = self.notation_of(task)
        steps = len(task.steps)
        return Layout(
            positions=1 + notation.count * len(self.places(task)),
            features=len(self.symbols(task)),
            outputs=max(step.kind.outputs for step in task.steps),
            answer_of_step=tuple(range(steps)),
            tokens=True,
            answers_per_read=steps,
            read_first=True,
        )

    def write(self, task: Task, problems: Problems, asked: Int[Tensor, " batch"]) -> Tokens:
        written = self.write_statements(task, problems).flatten(1)
        first = written.new_full((len(written), 1), self.symbols(task).index(CLS))
        return Tokens(torch.cat([first, written], dim=1), read_at=torch.zeros_like(first))
