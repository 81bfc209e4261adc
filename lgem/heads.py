"""The beginnings of tables that config names: whether they can be tables at all.

Asked before anything runs, and of nothing but the standard library: Snakemake's own environment
has no more.
"""

from __future__ import annotations

import gzip
import zlib

from lgem.errors import InputError

READ = 1 << 16
EXPECTED = "a CSV or TSV table: text in UTF-8"


def problem(path: str, place: str) -> InputError | None:
    """Say why a file is no table, as far as its first bytes tell; None where they look like one.

    Parameters
    ----------
    path
        An existing file.
    place
        The key of the config that names it.
    """
    try:
        with gzip.open(path) if path.endswith(".gz") else open(path, "rb") as handle:  # noqa: PTH123
            head = handle.read(READ)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        return InputError(place, f"a file that cannot be unpacked, '{path}' ({error})", EXPECTED)
    if not head.strip():
        return InputError(place, f"an empty file, '{path}'", EXPECTED)
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError as error:
        # The last character may go on behind what was read.
        if len(head) == READ and error.start > READ - 4:
            return None
        found = f"a file that is no text in UTF-8, '{path}' (byte {error.start + 1})"
        return InputError(place, found, EXPECTED)
    if "\0" in text:
        found = f"a file that is no text in UTF-8, '{path}' (byte {text.index(chr(0)) + 1})"
        return InputError(place, found, EXPECTED)
    return None
