"""What the formats that write a task's statements as tokens have in common."""

from functools import lru_cache

import torch
from jaxtyping import Int
from torch import Tensor

from waymarks.errors import UserError
from waymarks.formats.base import Format
from waymarks.tasks import Problems, Statements, Task

CLS = "[CLS]"
"""The symbol that a format adds to a task's own."""


class StatementFormat(Format):
    """Writes a task's statements one after the other, a token each for their parts.

    Attributes:
        punctuation: whether the marks that are the same in every statement (the `=` and `;` of
            `j = -f;`) are written too. They tell nothing and cost a position each.
    """

    punctuation: bool = False

    def notation_of(self, task: Task) -> Statements:
        """How the task's problems are written.

        Raises:
            UserError: they cannot be written as statements.
        """
        if task.notation is None:
            raise UserError(
                f"format {type(self).__name__} writes statements of tokens, "
                f"and {type(task).__name__} has none"
            )
        return task.notation

    def places(self, task: Task) -> tuple[int | str, ...]:
        """What stands in each place of a statement: the number of a token, or a mark."""
        notation = self.notation_of(task)
        return notation.punctuated if self.punctuation else tuple(range(notation.tokens))

    def symbols(self, task: Task) -> tuple[str, ...]:
        """The vocabulary: the task's symbols, `[CLS]`, and the marks that are written."""
        marks = dict.fromkeys(place for place in self.places(task) if isinstance(place, str))
        return (*self.notation_of(task).symbols, CLS, *marks)

    def write_statements(
        self, task: Task, problems: Problems
    ) -> Int[Tensor, "batch statements places"]:
        """Each statement's tokens, punctuation included where it is written."""
        statements = problems.given["statements"].int()
        if not self.punctuation:
            return statements
        symbols, places = self.symbols(task), self.places(task)
        template = _template(symbols, places, statements.device)
        written = template.expand(*statements.shape[:2], -1).clone()
        for place, part in enumerate(places):
            if isinstance(part, int):
                written[:, :, place] = statements[:, :, part]
        return written


@lru_cache(maxsize=16)
def _template(
    symbols: tuple[str, ...], places: tuple[int | str, ...], device: torch.device
) -> Tensor:
    numbers = [symbols.index(place) if isinstance(place, str) else 0 for place in places]
    return torch.tensor(numbers, dtype=torch.int32, device=device)
