"""What a run may read and write, asked before it costs anything."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from lgem.config import ConfigError
from lgem.errors import InputError


def check_access(files: Mapping[str, Iterable[str]], folders: Iterable[str]) -> None:
    """Raise a ConfigError that lists all that may not be read, or not be written to.

    Parameters
    ----------
    files
        Files to read, by the key of the config that names them. Missing ones are passed over.
    folders
        Folders to write in; those that are not there yet will be made.
    """
    problems = []
    for key, paths in files.items():
        barriers = {str(found) for found in map(barrier, paths) if found}
        expected = "the right to read it; change its owner or mode (chmod)"
        problems += [
            str(InputError(key, f"no permission to read '{place}'", expected))
            for place in sorted(barriers)
        ]
    closed = {str(found) for found in map(_closed, folders) if found}
    expected = "the right to write there (chmod), or a run elsewhere, with --directory"
    problems += [
        str(InputError(place, "a folder that may not be written to", expected))
        for place in sorted(closed)
    ]
    if problems:
        raise ConfigError(problems)


def barrier(path: str) -> Path | None:
    """Return what keeps a path from being read: itself or a folder above it; None if nothing."""
    place = Path(path)
    for folder in reversed(place.absolute().parents):
        if not os.access(folder, os.F_OK):
            return None
        if not os.access(folder, os.X_OK):
            return folder
    there = os.access(place, os.F_OK)
    return place if there and not os.access(place, os.R_OK) else None


def _closed(folder: str) -> Path | None:
    """Return the folder, or the one it would be made in, if nothing may be written there."""
    place = Path(folder)
    while not os.access(place, os.F_OK) and place != place.parent:
        place = place.parent
    return None if os.access(place, os.W_OK | os.X_OK) else place.absolute()
