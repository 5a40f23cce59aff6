"""Tokens, with each step read at its own statement."""

from jaxtyping import Int
from torch import Tensor

from waymarks.errors import UserError
from waymarks.formats.base import Layout, Tokens
from waymarks.formats.statements import StatementFormat
from waymarks.tasks import Problems, Task


class TokenClassification(StatementFormat):
    """Each step is read at the first token of its own statement, all through one read-out
    (paper, sections 3.2 and 3.3)."""

    def layout(self, task: Task) -> Layout:
        notation = self.notation_of(task)
        if not notation.own:
            raise UserError(
                f"format TokenClassification reads each step at its own statement, "
                f"and the steps of {type(task).__name__} have none; use ClsToken"
            )
        steps = len(task.steps)
        return Layout(
            positions=notation.count * len(self.places(task)),
            features=len(self.symbols(task)),
            outputs=max(step.kind.outputs for step in task.steps),
            answer_of_step=tuple(range(steps)),
            tokens=True,
            reads=steps,
        )

    def write(self, task: Task, problems: Problems, asked: Int[Tensor, " batch"]) -> Tokens:
        written = self.write_statements(task, problems)
        first_tokens = problems.given["statement_of_step"].int() * written.shape[2]
        return Tokens(written.flatten(1), read_at=first_tokens)
