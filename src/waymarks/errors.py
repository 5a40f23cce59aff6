"""The one error that a user's mistake raises, and how it names what would be right."""

import difflib
from collections.abc import Iterable, Sequence
from typing import Any

from pydantic import ValidationError


class UserError(Exception):
    """A mistake in what was asked: what was wrong, where, and what would be right.

    The command line prints it as one line and exits with code 2.
    """


class RunFailed(Exception):  # noqa: N818 - an outcome, reported as such
    """A run that was rightly asked for did not come to its end. Exit code 1."""


def unknown_name(what: str, name: object, known: Iterable[str]) -> str:
    """One sentence for a name that is not known, with the nearest names that are."""
    names = sorted(known)
    near = difflib.get_close_matches(str(name), names, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(names)}"
    return f"unknown {what} {str(name)!r}; {hint}"


def _sentence(error: Any, fields: Sequence[str]) -> str:
    place = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        return unknown_name("field", place.rsplit(".", 1)[-1], fields) + f" (at {place})"
    message = str(error["msg"]).removeprefix("Value error, ")
    given = error["input"]
    if place and isinstance(given, (str, int, float, bool, type(None))):
        message += f", not {given!r}"
    return f"{place}: {message}" if place else message


def from_validation(error: ValidationError, fields: Sequence[str] = ()) -> UserError:
    """The first of pydantic's complaints as one sentence.

    Args:
        error: what pydantic raised.
        fields: the names of fields that would have been accepted where one was not.
    """
    first = error.errors(include_url=False)[0]
    more = error.error_count() - 1
    text = _sentence(first, fields)
    return UserError(f"{text} (and {more} more)" if more else text)
