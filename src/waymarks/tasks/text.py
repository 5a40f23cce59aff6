"""Reading a program piece by piece, and naming the place of what is wrong in it."""

import re

from waymarks.errors import UserError

SPACE = re.compile(r"\s*")
WORD = re.compile(r"\w+")
OPERATOR = re.compile(r"[^\w\s;]+")
SEMICOLON = re.compile(";")
PIECE = re.compile(r"\w+|[^\w\s;]+|;")
LONGEST_QUOTE = 20


class Reader:
    """A place in a program's text, from which the next piece is taken.

    Attributes:
        position: how many characters lie before the next piece.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0
        self._skip_space()

    @property
    def at_end(self) -> bool:
        return self.position == len(self.text)

    @property
    def found(self) -> str:
        """What stands at the place, quoted for a message."""
        piece = PIECE.match(self.text, self.position)
        if piece is None:
            return "the end of the text"
        word = piece.group()
        return repr(word if len(word) <= LONGEST_QUOTE else word[:LONGEST_QUOTE] + "...")

    def finds(self, pattern: re.Pattern[str]) -> bool:
        """Whether the next piece matches."""
        return pattern.match(self.text, self.position) is not None

    def take(self, pattern: re.Pattern[str]) -> str | None:
        """The next piece if it matches, and moves on to the one after it."""
        piece = pattern.match(self.text, self.position)
        if piece is None:
            return None
        self.position = piece.end()
        self._skip_space()
        return piece.group()

    def take_semicolon(self, statement_began: int) -> None:
        """Moves past a semicolon.

        Raises:
            UserError: there is none after the statement that began at that position.
        """
        before = " ".join(self.text[statement_began : self.position].split())
        if self.take(SEMICOLON) is None:
            raise self.error(f"missing semicolon after {before!r}, found {self.found}")

    def error(self, message: str, position: int | None = None) -> UserError:
        """The error to raise for what stands at `position`, the present one unless given."""
        return UserError(
            f"{self.place(self.position if position is None else position)}: {message}"
        )

    def place(self, position: int) -> str:
        """Such as "line 1, column 8", both counted from 1."""
        before = self.text[:position]
        return f"line {before.count(chr(10)) + 1}, column {position - before.rfind(chr(10))}"

    def _skip_space(self) -> None:
        space = SPACE.match(self.text, self.position)
        self.position = space.end() if space else self.position
