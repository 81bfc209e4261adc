"""Fixtures of all tests.

What a machine lacks (the real screens, Chromium) skips the tests that need it, and says so. Where
``LGEM_NO_SKIP`` is set, as in continuous integration, it fails them instead.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

# As in the workflow's jobs; threads of several tests at once would only wait for one another.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

ROOT = Path(__file__).resolve().parents[1]


def lacking(what: str) -> None:
    """Skip the test for want of something, or fail it where nothing may be skipped."""
    if os.environ.get("LGEM_NO_SKIP"):
        pytest.fail(f"{what}, and LGEM_NO_SKIP is set")
    pytest.skip(what)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder with the real screens."""
    place = os.environ.get("LGEM_REAL_DATA", "")
    if not place or not Path(place).is_dir():
        lacking("LGEM_REAL_DATA does not name the folder with the real screens")
    return Path(place)


@pytest.fixture(scope="session")
def parity(real_data: Path) -> Path:
    """The folder with predictions of the published code, beside the real screens."""
    return real_data.parent / "parity"


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of a Chromium browser."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if found := shutil.which(name):
            return found
    lacking("no Chromium on this machine")
    raise AssertionError
