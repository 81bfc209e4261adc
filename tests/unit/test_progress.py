"""Progress: few lines in the log of long work, none of short work, and a bar on a terminal."""

import logging
import os
import pty
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from lgem import progress as module
from lgem.progress import progress

ROOT = Path(__file__).resolve().parents[2]
GIB = 2**30


@pytest.fixture
def clock(monkeypatch):
    """Time as the test says it."""
    now = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return now


@pytest.fixture
def log(caplog):
    caplog.set_level(logging.INFO, "lgem")
    return caplog


def test_a_line_per_tenth_of_the_work(log, clock):
    with progress("counting", 1000, "values") as advance:
        for _ in range(1000):
            clock[0] += 1
            advance(1)
    assert log.messages[:2] == [
        "counting: 10 % (100 of 1,000 values)",
        "counting: 20 % (200 of 1,000 values)",
    ]
    assert len(log.messages) == 10
    assert log.messages[-1] == "counting: 100 % (1,000 of 1,000 values)"


def test_lines_are_seconds_apart(log, clock):
    with progress("counting", 100, "values") as advance:
        for _ in range(100):
            clock[0] += module.EVERY / 32  # a binary fraction: sums are exact
            advance(1)
    assert [line.partition("%")[0] for line in log.messages] == [
        *("counting: 32 ", "counting: 64 ", "counting: 96 ")
    ]


def test_short_work_leaves_no_line(log, clock):
    with progress("counting", 10, "values") as advance:
        for _ in range(10):
            clock[0] += module.EVERY / 11
            advance(1)
    assert log.messages == []


@pytest.mark.parametrize(
    ("total", "done", "words"),
    [
        (3 * GIB, 1_300_000_000, "40 % (1.2 of 3.0 GiB)"),
        (5 * 2**20, 5 * 2**20, "100 % (5.0 of 5.0 MiB)"),
        (2048, 1024, "50 % (1.0 of 2.0 KiB)"),
        (1000, 500, "50 % (500 of 1000 B)"),
        (None, 3 * 2**20, "3.0 MiB"),
        (0, 0, "0 B"),
    ],
)
def test_bytes_are_scaled(log, clock, total, done, words):
    with progress("downloading X", total, "B") as advance:
        clock[0] += module.EVERY
        advance(done)
    assert log.messages == [f"downloading X: {words}"]


def test_an_unknown_whole_is_told_at_every_doubling(log, clock):
    with progress("downloading X", None, "B") as advance:
        for _ in range(1000):
            clock[0] += module.EVERY
            advance(1)
    amounts = [int(line.split()[-2]) for line in log.messages]
    assert amounts == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512]


WORK = """
import logging, sys
from lgem import progress as module
module.EVERY = 0.0
logging.basicConfig(level=logging.INFO, format="lgem: %(message)s")
with module.progress("downloading X", 4096, "B") as advance:
    advance(2048)
    advance(2048)
print("tqdm" in sys.modules)
"""


def work(stderr: int) -> str:
    done = subprocess.run(
        [sys.executable, "-c", WORK], cwd=ROOT, stdout=subprocess.PIPE, stderr=stderr, check=True
    )
    return done.stdout.decode().strip()


def test_a_terminal_shows_a_bar_and_whole_lines():
    ours, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (24, 100))
    try:
        assert work(terminal) == "True"
        shown = os.read(ours, 65536).decode()
    finally:
        os.close(ours)
        os.close(terminal)
    assert "downloading X:  50%|" in shown
    assert "2.00k/4.00k" in shown
    # A line of the log starts at the left edge, where the bar was wiped away before.
    assert "\rlgem: downloading X: 50 % (2.0 of 4.0 KiB)\r\n" in shown


def test_a_file_gets_lines_alone(tmp_path):
    with (tmp_path / "log").open("wb") as file:
        assert work(file.fileno()) == "False"
    assert (tmp_path / "log").read_text().splitlines() == [
        "lgem: downloading X: 50 % (2.0 of 4.0 KiB)",
        "lgem: downloading X: 100 % (4.0 of 4.0 KiB)",
    ]
