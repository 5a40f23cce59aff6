"""Chains of signed variables, assigned in random order (LEGO)."""

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from math import factorial, perm, prod
from string import ascii_lowercase
from typing import Annotated, Any

import torch
from jaxtyping import Float, UInt8
from pydantic import Field, ValidationError, field_validator, model_validator
from torch import Tensor

from waymarks.errors import from_validation
from waymarks.randomness import Rng
from waymarks.tasks.base import Binary, Problems, Statements, Step, Task
from waymarks.tasks.draws import arrangements, fair_bits
from waymarks.tasks.lego_text import CONSTANT, Clause, chains_of, read_clauses
from waymarks.tasks.text import Reader


class Lego(Task):
    """Variables assigned from one another with a sign, in random order (paper, section 3.2, B.2).

    `b = -a; c = +b; a = +1;` is a chain of three: each clause assigns a variable plus or minus the
    constant 1 (the root of a chain) or plus or minus the variable before it in the chain. Names
    are different random letters, signs are fair, and every order of the clauses is as likely.

    With one chain the final value is the product of all signs, whatever the order: a shortcut
    past every other variable. With several chains it is not, since only the signs of the longest
    chain count and these have to be found first.

    Steps: one per variable, by depth, and at equal depth the shorter chains first (of chains of
    equal length the one with the higher number). Each depends on the one before it in its chain.
    The final step is the end of the longest chain. With one chain they are called `variable 1`,
    `variable 2`, ...; with several, `variable 1 of chain 2`, ... Chains are numbered from the
    longest, and of equal length by which root comes first in the text.

    Attributes:
        variables: how many there are, >= 1.
        chains: how many chains, or their lengths, the longest first and longer than any other.
            From a number, the first chain is as short as it can be while longer than every other,
            and the rest is spread evenly over the others: 12 variables in 2 chains are (7, 5), in
            3 chains (5, 4, 3). Lengths that a number would give are kept as that number.
        names: how many letters there are to name variables by, `variables` to 26.
    """

    variables: Annotated[int, Field(ge=1, strict=True)] = 12
    chains: int | tuple[int, ...] = 1
    names: Annotated[int, Field(ge=1, le=26, strict=True)] = 26

    @field_validator("chains", mode="before")
    @classmethod
    def _chains_fit(cls, chains: Any, info: Any) -> int | tuple[int, ...]:
        if not _is_number(chains) and not (
            isinstance(chains, (list, tuple)) and chains and all(map(_is_number, chains))
        ):
            raise ValueError("should be a number of chains, or the length of each, all >= 1")
        if "variables" not in info.data:
            return 1
        variables: int = info.data["variables"]
        if isinstance(chains, int):
            if chains > 1 and variables <= chains:
                raise ValueError(
                    f"{chains} chains, one of them the longest, need {chains + 1} variables or more"
                )
            return chains
        lengths = tuple(chains)
        if sum(lengths) != variables:
            raise ValueError(f"the lengths {lengths} sum to {sum(lengths)}, not to {variables}")
        if list(lengths) != sorted(lengths, reverse=True) or lengths[:1] == lengths[1:2]:
            raise ValueError(
                f"of the lengths {lengths}, the first must be the longest, longer than any other, "
                "and none may be longer than the one before it"
            )
        return len(lengths) if lengths == _spread(variables, len(lengths)) else lengths

    @model_validator(mode="after")
    def _names_suffice(self) -> "Lego":
        if self.variables > self.names:
            raise ValueError(f"variables ({self.variables}) are more than names ({self.names})")
        return self

    @property
    def lengths(self) -> tuple[int, ...]:
        """The length of each chain, the longest first."""
        if isinstance(self.chains, tuple):
            return self.chains
        return _spread(self.variables, self.chains)

    @property
    def steps(self) -> tuple[Step, ...]:
        names = [""] * self.variables
        before: dict[int, int] = {}
        for number, chain in enumerate(_steps_of_chains(self.lengths), start=1):
            suffix = f" of chain {number}" if len(self.lengths) > 1 else ""
            for depth, step in enumerate(chain, start=1):
                names[step] = f"variable {depth}{suffix}"
            before.update({step: earlier for earlier, step in pairwise(chain)})
        return tuple(
            Step(name, Binary(), depends_on=(names[before[step]],) if step in before else ())
            for step, name in enumerate(names)
        )

    @property
    def distinct_inputs(self) -> int:
        alike = prod(factorial(self.lengths.count(length)) for length in set(self.lengths))
        labelled = (
            perm(self.names, self.variables) * int(2**self.variables) * factorial(self.variables)
        )
        return labelled // alike

    @property
    def notation(self) -> Statements:
        return Statements(
            symbols=self._symbols,
            count=self.variables,
            tokens=3,
            own=True,
            punctuated=(0, "=", 1, 2, ";"),
        )

    def sample(self, count: int, rng: Rng) -> Problems:
        """Draws examples.

        Returns:
            `given["statements"]` [count, variables, (name, sign, source)], of uint8: the clauses
            in the order of the text, a source being a name or the constant 1.
            `given["statement_of_step"]` [count, steps], of int64: where in that order the step's
            variable is assigned. Answers [count, steps] of +-1.
        """
        chains = _steps_of_chains(self.lengths)
        drawn = arrangements(self.variables, (self.names, self.variables), count, rng)
        names, places = drawn.unbind(dim=1)
        _number_equal_chains_by_roots(places, chains)
        minus = fair_bits(self.variables, count, rng)
        statement_of_step = places.T.contiguous().long()
        clauses = torch.stack(
            [names, minus + self.names, self._sources(names, chains), torch.zeros_like(names)], -1
        )
        given = {
            "statements": _in_order(clauses, statement_of_step),
            "statement_of_step": statement_of_step,
        }
        minuses = minus.float().T @ _signs_that_count(self.lengths).to(rng.device)
        odd = minuses.to(torch.uint8).bitwise_and_(1)
        return Problems(given, odd.float().mul_(-2).add_(1))

    def render(self, problems: Problems) -> list[str]:
        """Each problem in the paper's notation: `b = -a; a = +1;`."""
        symbols = self._symbols
        return [
            " ".join(f"{symbols[a]} = {symbols[sign]}{symbols[b]};" for a, sign, b in clauses)
            for clauses in problems.given["statements"].tolist()
        ]

    @classmethod
    def parse(cls, text: str, names: int = 26) -> tuple["Lego", Problems]:
        """A program in the paper's notation, as one problem of the task whose chains it has.

        In the paper's printed example (section 3.2) the chain from `i` is the longer one, of
        eight, and ends with `l`; the paper calls `v` its final variable, which ends the chain of
        four from `t`.

        Args:
            text: clauses such as `b = -a;`, with any white space between them.
            names: how many letters variables can have for names.

        Raises:
            UserError: the text is no such program; says at which line and column, and why.
        """
        try:
            known = cls(variables=1, names=names)._symbols[:names]
        except ValidationError as error:
            raise from_validation(error) from None
        reader = Reader(text)
        clauses = read_clauses(reader, known)
        chains = chains_of(clauses, reader)
        task = cls(variables=len(clauses), chains=tuple(map(len, chains)), names=names)
        return task, task._problem(clauses, chains)

    def _problem(self, clauses: Sequence[Clause], chains: Sequence[Sequence[int]]) -> Problems:
        """The one problem whose text has these clauses, and these numbers of them as chains."""
        values: dict[str, float] = {CONSTANT: 1.0}
        answers, statement_of_step = [0.0] * len(clauses), [0] * len(clauses)
        for chain, steps in zip(chains, _steps_of_chains(self.lengths), strict=True):
            for number, step in zip(chain, steps, strict=True):
                clause = clauses[number]
                values[clause.name] = values[clause.source] * (1 if clause.sign == "+" else -1)
                answers[step], statement_of_step[step] = values[clause.name], number
        token = {symbol: number for number, symbol in enumerate(self._symbols)}
        statements = [[token[c.name], token[c.sign], token[c.source]] for c in clauses]
        given = {
            "statements": torch.tensor([statements], dtype=torch.uint8),
            "statement_of_step": torch.tensor([statement_of_step]),
        }
        return Problems(given, torch.tensor([answers]))

    @property
    def _symbols(self) -> tuple[str, ...]:
        return (*ascii_lowercase[: self.names], "+", "-", CONSTANT)

    def _sources(
        self, names: UInt8[Tensor, "steps count"], chains: tuple[tuple[int, ...], ...]
    ) -> UInt8[Tensor, "steps count"]:
        sources = torch.full_like(names, self.names + 2)
        for chain in chains:
            sources[list(chain[1:])] = names[list(chain[:-1])]
        return sources


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _spread(variables: int, chains: int) -> tuple[int, ...]:
    """The lengths of so many chains: see `Lego.chains`."""
    if chains == 1:
        return (variables,)
    first = 1 + -(-(variables - 1) // chains)
    each, longer = divmod(variables - first, chains - 1)
    return (first, *(each + (number < longer) for number in range(chains - 1)))


@lru_cache(maxsize=64)
def _steps_of_chains(lengths: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
    """The numbers of each chain's steps, from its root to its end: see `Lego`."""
    steps: list[list[int]] = [[] for _ in lengths]
    number = 0
    for depth in range(lengths[0]):
        for chain in reversed(range(len(lengths))):
            if depth < lengths[chain]:
                steps[chain].append(number)
                number += 1
    return tuple(map(tuple, steps))


@lru_cache(maxsize=64)
def _signs_that_count(lengths: tuple[int, ...]) -> Float[torch.Tensor, "steps steps"]:
    """1 where the sign of the row's step counts for the value of the column's."""
    counts = torch.zeros(sum(lengths), sum(lengths))
    for chain in _steps_of_chains(lengths):
        for depth, step in enumerate(chain):
            counts[list(chain[: depth + 1]), step] = 1
    return counts


def _number_equal_chains_by_roots(
    places: UInt8[Tensor, "steps count"], chains: tuple[tuple[int, ...], ...]
) -> None:
    """Exchanges the places of chains of equal length so that their roots are in order: else
    which of them a step belongs to could not be told from the text."""
    for length in {len(chain) for chain in chains}:
        alike = torch.tensor([chain for chain in chains if len(chain) == length])
        if len(alike) > 1:
            of_chains = places[alike]
            order = of_chains[:, :1].argsort(dim=0)
            places[alike] = of_chains.gather(0, order.expand(-1, length, -1))


def _in_order(
    clauses: UInt8[Tensor, "steps count 4"], statement_of_step: Tensor
) -> UInt8[Tensor, "count steps 3"]:
    """The clauses of the steps, each moved to its place in the text; the last of its four bytes,
    there so that a clause moves as one number, is dropped."""
    whole = clauses.view(torch.int32).squeeze(-1).T.contiguous()
    moved = torch.empty_like(whole).scatter_(1, statement_of_step, whole)
    return moved.unsqueeze(-1).view(torch.uint8)[..., :3].contiguous()
