"""The notation of programs in one variable, `x = 7; x //= 2;`: read into instructions."""

from collections.abc import Sequence

from waymarks.errors import unknown_name
from waymarks.tasks.text import LONGEST_QUOTE, OPERATOR, WORD, Reader

VARIABLE = "x"
ASSIGN = "="
DIVIDE = "//="


def read_instructions(
    text: str, operators: Sequence[str], numbers: Sequence[str]
) -> list[tuple[str, str]]:
    """The (operator, number) of every statement, of which there is one at least.

    Raises:
        UserError: the text is no program of statements with these operators and numbers; says
            where and why.
    """
    reader = Reader(text)
    if reader.at_end:
        raise reader.error("the program is empty; one reads 'x = 7; x += 5;'")
    instructions: list[tuple[str, str]] = []
    while not reader.at_end:
        began = reader.position
        _take_variable(reader)
        operator = _take_operator(reader, operators)
        if not instructions and operator != ASSIGN:
            raise reader.error(f"{VARIABLE} is used before it is assigned", began)
        instructions.append((operator, _take_number(reader, numbers, operator)))
        reader.take_semicolon(began)
    return instructions


def _take_variable(reader: Reader) -> None:
    position, found = reader.position, reader.found
    name = reader.take(WORD)
    if name is None:
        raise reader.error(f"{VARIABLE} belongs here, found {found}")
    if name != VARIABLE:
        raise reader.error(f"unknown name {found}; the only variable is {VARIABLE}", position)


def _take_operator(reader: Reader, operators: Sequence[str]) -> str:
    position, found = reader.position, reader.found
    operator = reader.take(OPERATOR)
    if operator is None:
        raise reader.error(f"an operator belongs here, found {found}")
    if operator not in operators:
        raise reader.error(unknown_name("operator", operator[:LONGEST_QUOTE], operators), position)
    return operator


def _take_number(reader: Reader, numbers: Sequence[str], operator: str) -> str:
    position, found = reader.position, reader.found
    number = reader.take(WORD)
    if number is None or number not in numbers:
        raise reader.error(
            f"a number from {numbers[0]} to {numbers[-1]} belongs here, found {found}", position
        )
    if operator == DIVIDE and int(number) == 0:
        raise reader.error("division by zero", position)
    return number
