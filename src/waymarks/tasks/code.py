"""Programs of short statements on one variable, modulo a number."""

from collections.abc import Callable
from functools import lru_cache
from operator import add, floordiv, mul, sub
from typing import Annotated

import torch
from jaxtyping import Int64, UInt8
from pydantic import Field, ValidationError
from torch import Tensor

from waymarks.errors import from_validation
from waymarks.randomness import Rng
from waymarks.tasks.base import Classes, Problems, Statements, Step, Task
from waymarks.tasks.code_text import ASSIGN, DIVIDE, VARIABLE, read_instructions
from waymarks.tasks.draws import numbers_below

OPERATIONS: dict[str, Callable[[int, int], int]] = {
    ASSIGN: lambda _, number: number,
    "+=": add,
    "-=": sub,
    "*=": mul,
    DIVIDE: floordiv,
}
OPERATORS = tuple(OPERATIONS)


class Code(Task):
    """The value of x after each statement, as in `x = 7; x -= 1; x //= 2;` (paper, section 3.3).

    The first statement assigns; each other adds, subtracts, multiplies by or divides by a random
    number, all four as likely. Numbers are uniform over 0 <= number < modulus, divisors over
    1 <= divisor < modulus. After each statement x is reduced modulo `modulus`; a division is the
    integer division of that reduced value.

    A statement is written as two tokens, its operator and its number; the variable and the
    semicolon are the same in all. With modulus 10 that makes a vocabulary of 15, which a `[CLS]`
    brings to the 16 of the paper's section B.3.

    Steps: `x after 1`, `x after 2`, ..., each depending on the one before.

    Attributes:
        statements: how many there are, >= 1.
        modulus: 2 to 250, so that the number of a token fits a byte.
        reassign: whether a later statement can assign too, as likely as each other operation.
    """

    statements: Annotated[int, Field(ge=1, strict=True)] = 10
    modulus: Annotated[int, Field(ge=2, le=250, strict=True)] = 10
    reassign: Annotated[bool, Field(strict=True)] = False

    @property
    def steps(self) -> tuple[Step, ...]:
        names = [f"{VARIABLE} after {number + 1}" for number in range(self.statements)]
        return tuple(
            Step(name, Classes(self.modulus), depends_on=tuple(names[max(number - 1, 0) : number]))
            for number, name in enumerate(names)
        )

    @property
    def distinct_inputs(self) -> int:
        later = (3 + self.reassign) * self.modulus + self.modulus - 1
        return self.modulus * int(later ** (self.statements - 1))

    @property
    def notation(self) -> Statements:
        return Statements(
            symbols=(*self._numbers, *OPERATORS),
            count=self.statements,
            tokens=2,
            own=True,
            punctuated=(0, 1),
        )

    def sample(self, count: int, rng: Rng) -> Problems:
        """Draws examples.

        Returns:
            `given["statements"]` [count, statements, (operator, number)], of uint8.
            `given["statement_of_step"]` [count, steps], of int64: each step's own number. Answers
            [count, steps], whole numbers from 0 to modulus - 1.
        """
        later = _likely_instructions(self.modulus, self.reassign).to(rng.device)
        bounds = [self.modulus] + [len(later)] * (self.statements - 1)
        instructions = numbers_below(bounds, count, rng)
        instructions[1:] = later.take(instructions[1:])
        return self._problems(instructions)

    def render(self, problems: Problems) -> list[str]:
        """Each problem as text: `x = 7; x -= 1;`."""
        symbols = self.notation.symbols
        return [
            " ".join(
                f"{VARIABLE} {symbols[operator]} {symbols[number]};" for operator, number in program
            )
            for program in problems.given["statements"].tolist()
        ]

    @classmethod
    def parse(cls, text: str, modulus: int = 10) -> tuple["Code", Problems]:
        """A program such as `x = 7; x -= 1;`, as one problem of the task that it fits.

        Args:
            text: statements with any white space around their parts.
            modulus: what the values are reduced by, and what all numbers are below.

        Returns:
            The task, which reassigns if a later statement of the text does, and the problem.

        Raises:
            UserError: the text is no such program; says at which line and column, and why.
        """
        try:
            numbers = cls(modulus=modulus)._numbers
        except ValidationError as error:
            raise from_validation(error) from None
        program = read_instructions(text, OPERATORS, numbers)
        reassign = any(operator == ASSIGN for operator, _ in program[1:])
        task = cls(statements=len(program), modulus=modulus, reassign=reassign)
        instructions = [OPERATORS.index(operator) * modulus + int(n) for operator, n in program]
        return task, task._problems(torch.tensor(instructions).unsqueeze(1))

    @property
    def _numbers(self) -> tuple[str, ...]:
        return tuple(map(str, range(self.modulus)))

    def _problems(self, instructions: Int64[Tensor, "statements count"]) -> Problems:
        """The problems with these instructions, each numbered operator * modulus + number."""
        tokens = _tokens(self.modulus).to(instructions.device)
        results = _results(self.modulus).to(instructions.device)
        whole = tokens.view(torch.int16).take(instructions.T)
        own = torch.arange(self.statements, device=instructions.device)
        given = {
            "statements": whole.unsqueeze(-1).view(torch.uint8),
            "statement_of_step": own.expand(len(whole), -1),
        }
        rows, values = instructions * self.modulus, [instructions[0]]
        for row in rows[1:]:
            values.append(results.take(row + values[-1]))
        return Problems(given, torch.stack(values, dim=1).float())


@lru_cache(maxsize=16)
def _tokens(modulus: int) -> UInt8[Tensor, "instructions 2"]:
    """The (operator, number) tokens of each instruction."""
    operators = range(modulus, modulus + len(OPERATORS))
    tokens = [(operator, number) for operator in operators for number in range(modulus)]
    return torch.tensor(tokens, dtype=torch.uint8)


@lru_cache(maxsize=16)
def _results(modulus: int) -> Int64[Tensor, " instructions_and_values"]:
    """What x becomes: the entry instruction * modulus + x. Division by 0, never drawn, gives 0."""
    return torch.tensor(
        [
            0 if operator == DIVIDE and number == 0 else operate(x, number) % modulus
            for operator, operate in OPERATIONS.items()
            for number in range(modulus)
            for x in range(modulus)
        ]
    )


@lru_cache(maxsize=16)
def _likely_instructions(modulus: int, reassign: bool) -> Int64[Tensor, " cells"]:
    """The instructions of a later statement, each as often as it is likely: every operator
    modulus * (modulus - 1) times, shared evenly by the numbers that it can have."""
    cells = []
    for place, operator in enumerate(OPERATORS):
        if operator != ASSIGN or reassign:
            numbers = range(operator == DIVIDE, modulus)
            each = modulus * (modulus - 1) // len(numbers)
            cells += [place * modulus + number for number in numbers for _ in range(each)]
    return torch.tensor(cells)
