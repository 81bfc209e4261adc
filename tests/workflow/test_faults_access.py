"""Files that may not be read, folders that may not be written to: told before anything runs."""

from __future__ import annotations

import pytest

from tests.workflow.faults import ordinary
from tests.workflow.running import (
    copy_repository,
    ended_in_words,
    files,
    snakemake,
    succeed,
    write_config,
)
from tests.workflow.screens import CELLS, cells_of

pytestmark = pytest.mark.workflow
TARGET, CLOSED = "results/mine/work/cells.parquet", "results/mine/work"


@pytest.fixture
def folder(tmp_path):
    """A screen, ready to be run; what a test locks is opened again behind it."""
    place = tmp_path / "run"
    (place / "data").mkdir(parents=True)
    (place / CLOSED).mkdir(parents=True)
    cells_of().write_h5ad(place / "data" / "mine.h5ad")
    entry = {**CELLS, "path": "data/mine.h5ad"}
    (place / "panel.txt").write_text("GENE1\nGENE2\nGENE3\n", "utf-8")
    write_config(place, dataset="mine", datasets={"mine": entry}, network={"panel": "panel.txt"})
    yield place
    for path in (place, place / "data", place / CLOSED, place / "data" / "mine.h5ad"):
        path.chmod(0o755)


def test_everything_that_may_not_be_read_or_written_is_told_at_once(folder):
    (folder / "data" / "mine.h5ad").chmod(0)
    (folder / "panel.txt").chmod(0)
    (folder / CLOSED).chmod(0o555)
    run = snakemake(folder, TARGET, before=ordinary())
    ended_in_words(run)
    expected = "expected the right to read it; change its owner or mode (chmod)"
    for key, path in (("datasets.mine.path", "data/mine.h5ad"), ("network.panel", "panel.txt")):
        assert f"{key}: found no permission to read '{path}'; {expected}" in run.output
    there = "expected the right to write there (chmod), or a run elsewhere, with --directory"
    closed = f"{folder}/{CLOSED}: found a folder that may not be written to; {there}"
    assert closed in run.output
    assert files(folder / "results") == {}


def test_a_folder_that_may_not_be_entered_is_named(folder):
    (folder / "data").chmod(0)
    run = snakemake(folder, TARGET, before=ordinary())
    ended_in_words(run)
    assert f"datasets.mine.path: found no permission to read '{folder}/data'" in run.output


def test_a_working_folder_that_is_read_only_is_named(folder):
    folder.chmod(0o555)
    run = snakemake(folder, TARGET, before=ordinary())
    ended_in_words(run)
    assert f"{folder}: found a folder that may not be written to" in run.output


def test_a_source_folder_that_is_read_only_is_enough(folder, tmp_path):
    repository = copy_repository(tmp_path / "repository")
    places = [repository, *repository.rglob("*")]
    for path in places:
        path.chmod(path.stat().st_mode & 0o555)
    (folder / "data" / "mine.h5ad").chmod(0o444)
    before = sorted(places)
    succeed(folder, TARGET, repository=repository, before=ordinary())
    assert sorted([repository, *repository.rglob("*")]) == before
    for path in places:
        path.chmod(0o755)
