"""Machines that fail: disks that fill up, rights that are missing, processes that die."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.conftest import lacking
from tests.workflow.running import files

KILLER = Path(__file__).with_name("killer")
CAPABILITIES = "-dac_override,-dac_read_search"
# Starts a program for which the modes of files hold, even where root runs it.
ORDINARY = ("setpriv", "--bounding-set", CAPABILITIES, "--inh-caps", CAPABILITIES)


def ordinary() -> tuple[str, ...]:
    """Return what to start a program with, so that modes of files hold for it."""
    if os.geteuid() != 0:
        return ()
    try:
        subprocess.run([*ORDINARY, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        lacking("setpriv of util-linux cannot take root's rights away")
    return ORDINARY


@contextmanager
def small_disk(place: Path, size: str) -> Iterator[Path]:
    """Mount a file system of a few MiB or KiB at a place, as long as the block lasts."""
    place.mkdir(parents=True, exist_ok=True)
    try:
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", place],
            check=True,
            capture_output=True,
        )
    except (OSError, subprocess.CalledProcessError):
        lacking("no right to mount a small disk")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)


def enlarge(place: Path, size: str) -> None:
    """Give a small disk another size."""
    subprocess.run(["mount", "-o", f"remount,size={size}", place], check=True)


def hidden(folder: Path) -> set[str]:
    """Temporary files of results that are being written, or that a dead writer left."""
    return {name for name in files(folder) if re.search(r"(^|/)\.", name)}
