"""Fixtures of all tests.

What a machine lacks (the real screens, Chromium) skips the tests that need it, and says so. Where
``LGEM_NO_SKIP`` is set, as in continuous integration, it fails them instead.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
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


# These files take minutes, longest first. Several workers begin with them (see `make test`), so
# that none is left alone with one at the end; files of unit tests fill up what is left.
LONGEST = (
    *("test_accuracy.py", "test_faults.py", "test_cluster.py", "test_conda.py", "test_run.py"),
    *("test_screens.py", "test_faults_disk.py", "test_figures_printed.py", "test_odd_data.py"),
    *("test_network_run.py", "test_network_updated.py", "test_leak.py", "test_models.py"),
    *("test_bad_input.py", "test_report.py", "test_network_input.py", "test_adjusted_effects.py"),
    *("test_contexts.py", "test_tutorial.py"),
)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Give the workers of pytest-xdist long files first; in one process all stay in their order."""
    if not hasattr(config, "workerinput"):
        return
    tests = Counter(item.path for item in items)

    def turn(item: pytest.Item) -> tuple[int, bool, int]:
        long = LONGEST.index(item.path.name) if item.path.name in LONGEST else len(LONGEST)
        return long, item.path.parent.name == "unit", -tests[item.path]

    items.sort(key=turn)


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
