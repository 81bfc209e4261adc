"""A disk that fills up: told in one line, nothing partial, and the run goes on with more room."""

from __future__ import annotations

import shutil

import anndata
import matplotlib.pyplot as plt
import networkx as nx
import numpy as np
import pandas as pd
import pytest

from lgem import files as writers
from lgem.figures.style import save
from lgem.h5ad import write_h5ad
from lgem.network.edges import write_edges, write_graphml
from lgem.screen.differential import write_differential
from tests.workflow.faults import enlarge, hidden, small_disk
from tests.workflow.running import differing, ended_in_words, files, snakemake, succeed

pytestmark = pytest.mark.workflow

RANDOM = np.random.default_rng(0)
NOISE = RANDOM.random((300, 400))
FRAME = pd.DataFrame(NOISE, columns=[f"gene_{column}" for column in range(400)])
TEXT = "".join(map(chr, RANDOM.integers(97, 122, 500_000)))
MESSAGE = "found No space left on device; expected room for it"


def big_figure():
    figure = plt.figure(figsize=(3, 3))
    figure.add_subplot().imshow(RANDOM.random((600, 600)))
    return figure


# Each writes more than the disk of the test holds.
WRITERS = {
    "a.tsv": lambda path: writers.write_table(FRAME, path),
    "a.json": lambda path: writers.write_json({"text": TEXT}, path),
    "a.txt": lambda path: writers.write_text(TEXT, path),
    "a.npz": lambda path: writers.write_arrays(path, noise=NOISE),
    "a.h5ad": lambda path: write_h5ad(anndata.AnnData(NOISE.copy()), path, {"seed": 1}),
    "a.parquet": lambda path: writers.write_frame(FRAME, path),
    "edges.parquet": lambda path: write_edges(FRAME, path, {}),
    "differential.parquet": lambda path: write_differential([FRAME] * 3, path, {}),
    "a.graphml": lambda path: write_graphml(nx.complete_graph(200), path),
    "a.pdf": lambda path: save(big_figure(), FRAME, path.with_suffix("")),
}


def test_every_writer_that_finds_the_disk_full_names_its_file_and_leaves_nothing(tmp_path, capfd):
    with small_disk(tmp_path / "disk", "200k") as disk:
        for name, write in WRITERS.items():
            with pytest.raises(OSError, match="No space left on device") as told:
                write(disk / name)
            assert told.value.filename == str(disk / name)
            assert list(disk.iterdir()) == []
        enlarge(disk, "60m")
        for name, write in WRITERS.items():
            write(disk / name)
        assert {path.name for path in disk.iterdir()} == {*WRITERS, "a.png"} | {"a.tsv"}
    assert "Error" not in capfd.readouterr().err  # HDF5 complains on its own


def test_a_png_that_finds_the_disk_full_leaves_the_pdf_alone(tmp_path):
    figure = plt.figure(figsize=(8, 8))
    figure.text(0.5, 0.5, "a")
    axes = figure.add_subplot()
    axes.plot(RANDOM.random(3000), RANDOM.random(3000), linewidth=0.3)
    save(figure, FRAME.iloc[:2, :2], tmp_path / "a")
    pdf, png = ((tmp_path / f"a.{suffix}").stat().st_size for suffix in ("pdf", "png"))
    assert pdf + 20_000 < png
    with small_disk(tmp_path / "disk", f"{(pdf + png // 2) // 1024}k") as disk:
        with pytest.raises(OSError, match="No space left on device") as told:
            save(figure, FRAME, disk / "a")
        assert told.value.filename == str(disk / "a.png")
        assert [path.name for path in disk.iterdir()] == ["a.pdf"]


def test_a_run_on_a_full_disk_says_so_and_goes_on_when_there_is_room(whole_run, tmp_path):
    target = "results/tiny/pseudobulk.h5ad"
    with small_disk(tmp_path / "disk", "200k") as disk:
        shutil.copy(whole_run.folder / "config.yaml", disk)
        full = snakemake(disk, target)
        ended_in_words(full)
        assert full.errors == [error for error in full.errors if MESSAGE in error]
        assert len(full.errors) == 1
        assert full.errors[0].startswith("resources/tiny/")
        assert files(disk / "resources") == {}
        assert hidden(disk) == set()

        enlarge(disk, "20m")
        succeed(disk, target)
        made = files(disk / "resources") | files(disk / "results")
        whole = files(whole_run.folder / "resources") | files(whole_run.folder / "results")
        assert differing(made, {name: whole[name] for name in made}) == []
        assert "tiny/pseudobulk.h5ad" in made


def test_a_report_that_finds_no_room_says_so_and_is_made_when_there_is(whole_run, tmp_path):
    report = "results/tiny/report.html"
    with small_disk(tmp_path / "disk", "60m") as disk:
        shutil.copytree(whole_run.folder, disk / "run")
        size = (disk / "run" / report).stat().st_size
        (disk / "run" / report).unlink()
        room = 2**20
        assert size > 3 * room
        used = sum(path.stat().st_blocks * 512 for path in (disk / "run").rglob("*"))
        enlarge(disk, str(used + room))
        full = snakemake(disk / "run")
        ended_in_words(full)
        assert [error.partition("; ")[0] for error in full.errors] == [
            f"{report}: {MESSAGE.partition('; ')[0]}"
        ]
        assert not (disk / "run" / report).exists()
        assert hidden(disk / "run" / "results") == set()

        enlarge(disk, "60m")
        assert succeed(disk / "run").jobs == {"report": 1}
        assert (disk / "run" / report).stat().st_size > 3 * room
