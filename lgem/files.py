"""Reading and writing of result files: atomic, deterministic, with provenance.

A file under its final name is whole: everything is written beside it under a temporary name and
renamed. The same content gives the same bytes.
"""

from __future__ import annotations

import errno
import json
import os
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

# What storage says when it cannot take a file: no room, no right to write, no answer.
STORAGE = {
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EPERM, errno.EROFS),
    *(errno.EIO, errno.ESTALE),
}


@contextmanager
def atomic(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path in the folder of `path` that replaces `path` if the block succeeds.

    What writers of the same path have left, because they were killed, is removed: a run that goes
    on after a fault clears up behind it.

    Raises
    ------
    OSError
        Where the disk is full or not writable; it names `path`, whatever the writer knew of it.
    """
    final = Path(path)
    # The suffixes stay, since writers choose the format by them.
    start, end = f".{final.stem}-", "".join(final.suffixes[-2:])
    temporary = final.with_name(f"{start}{secrets.token_hex(4)}{end}")
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        # Names of other results may begin alike: only the random part may differ.
        left = re.compile(f"{re.escape(start)}[0-9a-f]{{8}}{re.escape(end)}")
        for entry in list(final.parent.iterdir()):
            if left.fullmatch(entry.name):
                entry.unlink(missing_ok=True)
        temporary.touch(exist_ok=False)
        yield temporary
        # Storage on a network may find only now that it has no room.
        with temporary.open("rb") as handle:
            os.fsync(handle.fileno())
        temporary.replace(final)
    except OSError as error:
        if error.errno in STORAGE and error.filename in (None, str(temporary)):
            raise OSError(error.errno, os.strerror(error.errno), str(final)) from None
        raise
    finally:
        with suppress(OSError):
            temporary.unlink()


def write_table(table: pd.DataFrame, path: str | os.PathLike[str]) -> None:
    """Write a table as TSV, without its index; floats with all their digits, missing as blank."""
    with atomic(path) as temporary:
        table.to_csv(temporary, sep="\t", index=False, lineterminator="\n")


def read_table(path: str | os.PathLike[str]) -> pd.DataFrame:
    """Read a TSV that `write_table` wrote.

    Only blanks are missing, and floats come back to the last bit: a gene may be called NA, and
    what is read here must equal what was computed. A column is numeric only where its numbers
    are spelled as this project spells them: batches 01 and 1, or 1.1 and 1.10, stay apart.
    """
    options: dict[str, Any] = {"sep": "\t", "keep_default_na": False, "na_values": [""]}
    table = pd.read_csv(path, float_precision="round_trip", **options)
    converted = list(table.select_dtypes(["number", "bool"]).columns)
    if not converted:
        return table
    texts = pd.read_csv(path, dtype=str, usecols=converted, **options)
    for column in converted:
        spelled = texts[column].dropna().unique()
        distinct = len({text.removesuffix(".0") for text in spelled}) == len(spelled)
        if not (distinct and all(map(_is_spelled_as_written, spelled))):
            table[column] = texts[column]
    return table


def _is_spelled_as_written(value: str) -> bool:
    if value in ("True", "False"):
        return True
    try:
        return value == str(int(value))
    except ValueError:
        pass
    try:
        return value == repr(float(value))
    except ValueError:
        return False


def write_frame(table: pd.DataFrame, path: str | os.PathLike[str]) -> None:
    """Write a table between two stages as Parquet, which keeps the type of every column."""
    with atomic(path) as temporary:
        table.to_parquet(temporary, index=False)


def write_json(content: Mapping[str, Any], path: str | os.PathLike[str]) -> None:
    """Write a mapping as indented JSON, in the order of its keys."""
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", "utf-8")


def read_json(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a JSON object."""
    content = json.loads(Path(path).read_text("utf-8"))
    if not isinstance(content, dict):
        raise TypeError(f"{path}: not a JSON object")
    return content


def write_text(text: str, path: str | os.PathLike[str]) -> None:
    """Write a text file."""
    with atomic(path) as temporary:
        temporary.write_text(text, "utf-8")


# Random-looking numbers shrink by a twentieth, and take a second per 30 MiB for that.
COMPRESSED = 2**26


def write_arrays(path: str | os.PathLike[str], **arrays: np.ndarray) -> None:
    """Write named arrays as ``.npz`` without pickles, compressed up to 64 MiB."""
    small = sum(values.nbytes for values in arrays.values()) <= COMPRESSED
    with atomic(path) as temporary, temporary.open("wb") as handle:
        (np.savez_compressed if small else np.savez)(handle, allow_pickle=False, **arrays)


def read_arrays(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Read the named arrays of an ``.npz`` file."""
    with np.load(path, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}
