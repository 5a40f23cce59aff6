"""The notation of LEGO programs, `j = -f; f = +1;`: read into clauses, and these into chains."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from waymarks.errors import UserError
from waymarks.tasks.text import OPERATOR, WORD, Reader

CONSTANT = "1"
EQUALS = re.compile("=")
SIGN = re.compile("[+-]")


@dataclass(frozen=True)
class Clause:
    """The assignment of one variable.

    Attributes:
        name: the variable that is assigned.
        sign: "+" or "-".
        source: the variable whose value it takes, or "1".
        name_at, source_at: where in the text the two stand.
    """

    name: str
    sign: str
    source: str
    name_at: int
    source_at: int


def read_clauses(reader: Reader, names: Sequence[str]) -> list[Clause]:
    """Every clause of a program in the order of the text, of which there is one at least.

    Raises:
        UserError: the text is not a sequence of clauses over `names`; says where and why.
    """
    if reader.at_end:
        raise reader.error("the program is empty; one reads 'a = +1; b = -a;'")
    clauses = []
    while not reader.at_end:
        clauses.append(_read_clause(reader, names))
    return clauses


def _read_clause(reader: Reader, names: Sequence[str]) -> Clause:
    began = reader.position
    name = _read_name(reader, names, "a variable")
    if reader.take(EQUALS) is None:
        raise _unexpected(reader, "'='")
    sign = reader.take(SIGN)
    if sign is None:
        raise _unexpected(reader, "'+' or '-'")
    source_at = reader.position
    source = _read_name(reader, [*names, CONSTANT], "a variable or 1")
    reader.take_semicolon(began)
    return Clause(name, sign, source, began, source_at)


def _unexpected(reader: Reader, expected: str) -> UserError:
    if reader.finds(OPERATOR):
        return reader.error(f"unknown operator {reader.found}; {expected} belongs here")
    return reader.error(f"{expected} belongs here, found {reader.found}")


def _read_name(reader: Reader, known: Sequence[str], expected: str) -> str:
    position, found = reader.position, reader.found
    name = reader.take(WORD)
    if name is None:
        raise reader.error(f"{expected} belongs here, found {found}")
    if name not in known:
        letters = [name for name in known if name != CONSTANT]
        raise reader.error(
            f"unknown name {found}; variables are called {letters[0]} to {letters[-1]}", position
        )
    return name


def chains_of(clauses: Sequence[Clause], reader: Reader) -> list[list[int]]:
    """The numbers of each chain's clauses, from its root to its end.

    The longest chain comes first; of chains of equal length, the one whose root is first in the
    text.

    Raises:
        UserError: the clauses are not chains of which one is the longest; says where and why.
    """
    after = _users(clauses, reader)
    chains = []
    for number, clause in enumerate(clauses):
        if clause.source == CONSTANT:
            chain = [number]
            while clauses[chain[-1]].name in after:
                chain.append(after[clauses[chain[-1]].name])
            chains.append(chain)
    _refuse_cycle(clauses, chains, reader)
    chains.sort(key=len, reverse=True)
    if len(chains) > 1 and len(chains[0]) == len(chains[1]):
        first, second = (clauses[chain[-1]] for chain in chains[:2])
        raise reader.error(
            f"the chains that end with {first.name} and {second.name} are both the longest "
            f"({len(chains[0])}), so neither is the final variable; one chain must be the longest",
            second.name_at,
        )
    return chains


def _users(clauses: Sequence[Clause], reader: Reader) -> dict[str, int]:
    """For each variable that another is computed from, the number of that other's clause."""
    assigned: dict[str, Clause] = {}
    for clause in clauses:
        if clause.name in assigned:
            earlier = reader.place(assigned[clause.name].name_at)
            raise reader.error(
                f"{clause.name} is assigned a second time, first at {earlier}", clause.name_at
            )
        assigned[clause.name] = clause
    users: dict[str, int] = {}
    for number, clause in enumerate(clauses):
        source, place = clause.source, clause.source_at
        if source == CONSTANT:
            continue
        if source not in assigned:
            raise reader.error(f"{source} is used but never assigned", place)
        if source in users:
            other = clauses[users[source]]
            raise reader.error(
                f"{source} is used a second time, first at {reader.place(other.source_at)}; in a "
                "chain each variable is used by one other at most",
                place,
            )
        users[source] = number
    return users


def _refuse_cycle(
    clauses: Sequence[Clause], chains: Sequence[Sequence[int]], reader: Reader
) -> None:
    resolved = {number for chain in chains for number in chain}
    stuck = [number for number in range(len(clauses)) if number not in resolved]
    if not stuck:
        return
    source_of = {clause.name: clause.source for clause in clauses}
    first = clauses[stuck[0]]
    cycle = [first.name, first.source]
    while cycle[-1] != first.name:
        cycle.append(source_of[cycle[-1]])
    raise reader.error(
        f"{first.name} cannot be resolved, there is a cycle: {' = '.join(cycle)}", first.name_at
    )
