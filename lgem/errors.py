"""The one kind of error that a user can cause, and the words in which it is told."""

from __future__ import annotations

import difflib
import errno
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

# What to do about a refusal of the system, by its number.
REMEDIES = {
    errno.ENOSPC: "room for it; free some and run again, what is finished stays",
    errno.EDQUOT: "room for it; free some and run again, what is finished stays",
    errno.EACCES: "the right to read it, or to write there; change its owner or mode (chmod)",
    errno.EPERM: "the right to read it, or to write there; change its owner or mode (chmod)",
    errno.EROFS: "a place that can be written to; run elsewhere with --directory",
}
# How HDF5 and others hide a file's name in their words.
NAMED = re.compile(r"name = '([^']+)'")

# The keys of some batches join nine fields.
LONGEST_NAME = 40


class InputError(ValueError):
    """Something that the user supplied is not usable.

    The message is one sentence made of fixed parts, so that every error of the project names the
    place, what stands there, what should stand there and, where there is one, the likely spelling.

    Parameters
    ----------
    place
        File, key or column at fault, as the user knows it: ``"screen.h5ad: obs column 'gene'"``.
    found
        What was found there.
    expected
        What would have been right, or what to do.
    nearest
        The valid spelling that is closest to what was found, if any is close.
    """

    def __init__(self, place: str, found: str, expected: str, nearest: str | None = None) -> None:
        hint = f"; did you mean '{nearest}'?" if nearest else ""
        message = f"{place}: found {found}; expected {expected}{hint}"
        # One line, whatever the user's file has in it.
        super().__init__(" ".join(message.splitlines()))


class JointInputError(ValueError):
    """Several problems of the user's input, to be told together.

    Parameters
    ----------
    problems
        Each of them.
    """

    def __init__(self, problems: Iterable[InputError]) -> None:
        self.problems = list(problems)
        super().__init__("\n".join(map(str, self.problems)))


@contextmanager
def about(place: str) -> Iterator[None]:
    """Say before the place of an InputError from the block where that place is."""
    try:
        yield
    except InputError as error:
        error.args = (f"{place}: {error}",)
        raise


def in_words(error: OSError) -> str:
    """Say what the system refused, of which file, and what to do: no message of a library does."""
    if error.errno not in REMEDIES:
        return str(error)
    hidden = NAMED.search(str(error))
    place = error.filename or (hidden[1] if hidden else "a file")
    return str(InputError(str(place), os.strerror(error.errno), REMEDIES[error.errno]))


def nearest(word: object, choices: Iterable[object]) -> str | None:
    """Return the choice spelled most like `word`, or None where none is close."""
    spelled = {str(choice).casefold(): str(choice) for choice in choices}
    matches = difflib.get_close_matches(str(word).casefold(), spelled, n=1, cutoff=0.6)
    return spelled[matches[0]] if matches else None


def counted(number: int, what: str) -> str:
    """Return a number with its noun: 1 cell, 2 cells."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def listing(values: Iterable[object], most: int = 10) -> str:
    """Join values for a message, at most `most` of them, saying how many more there are."""
    words = [str(value) for value in values]
    rest = len(words) - most
    return ", ".join(words[:most]) + (f" and {rest} more" if rest > 0 else "")


def clipped(name: str) -> str:
    """Shorten a name that is too long to read, in its middle, and quote what is left."""
    if len(name) <= LONGEST_NAME:
        return name
    half = (LONGEST_NAME - 1) // 2
    return f"'{name[:half]}…{name[-half:]}'"
