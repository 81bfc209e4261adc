"""Figures as files: what a printer needs of every PDF, and those of several datasets."""

from __future__ import annotations

import re
import shutil
import struct
import zlib
from pathlib import Path

import pandas as pd
import pytest
import yaml

from lgem.layout import ACROSS_FIGURES
from tests.workflow.running import Run, files, succeed, write_config

pytestmark = pytest.mark.workflow

MM = 72 / 25.4  # points
LEAST_POINTS = 5
PROFILES = "plain"


@pytest.fixture(scope="module")
def beside(whole_run, tmp_path_factory) -> Run:
    """The tiny screen and a table of profiles without perturbations, in the figures of both."""
    folder = tmp_path_factory.mktemp("across") / "run"
    shutil.copytree(whole_run.folder, folder)
    rows = {gene: [0.1 * k * n for k in range(6)] for n, gene in enumerate("abcd", start=1)}
    table = pd.DataFrame(rows, index=[f"s{k}" for k in range(6)])
    table.to_csv(folder / "plain.tsv", sep="\t", index_label="sample")
    config = yaml.safe_load((folder / "config.yaml").read_text("utf-8"))
    config["datasets"][PROFILES] = {
        "path": "plain.tsv",
        "kind": "profiles",
        "orientation": "samples_by_genes",
    }
    write_config(folder, **{**config, "dataset": ["tiny", PROFILES]})
    wanted = [f"results/figures/{name}.png" for name in ACROSS_FIGURES]
    return succeed(folder, *wanted)


def streams(pdf: bytes) -> list[bytes]:
    """Return the contents of a PDF's streams that are compressed text."""
    found = []
    for body in re.findall(rb"stream\r?\n(.*?)\r?\nendstream", pdf, re.DOTALL):
        try:
            found.append(zlib.decompress(body))
        except zlib.error:
            continue
    return found


def sizes_of_letters(pdf: bytes) -> list[float]:
    """Return the sizes in points of all fonts that the pages set text in."""
    pages = [text for text in streams(pdf) if b" Tf" in text]
    return [float(size) for text in pages for size in re.findall(rb"/F\d+ ([\d.]+) Tf", text)]


def printed(place: Path) -> list[Path]:
    found = sorted(place.glob("*.pdf"))
    assert found
    return found


def assert_printable(path: Path) -> None:
    """Check width, letters and fonts of a PDF, and that its PNG is as wide at 300 dots per inch."""
    pdf = path.read_bytes()
    left, bottom, right, top = map(
        float, re.search(rb"/MediaBox \[ ([^\]]+) \]", pdf).group(1).split()
    )
    assert (left, bottom) == (0, 0)
    width = right / MM
    assert min(abs(width - 85), abs(width - 170)) < 0.01, path.name
    assert top / MM < 260, path.name
    sizes = sizes_of_letters(pdf)
    assert sizes
    assert min(sizes) >= LEAST_POINTS, path.name
    assert b"/Type3" not in pdf, path.name
    descriptors = re.findall(rb"/Type /FontDescriptor", pdf)
    assert descriptors
    assert len(re.findall(rb"/FontFile2 \d+ 0 R", pdf)) == len(descriptors), path.name
    dots, _ = struct.unpack(">II", path.with_suffix(".png").read_bytes()[16:24])
    assert abs(dots - right / 72 * 300) <= 1, path.name


def test_every_figure_of_a_run_is_ready_to_print(whole_run):
    for path in printed(whole_run.folder / "results" / "tiny" / "figures"):
        assert_printable(path)


def test_figures_of_several_datasets_are_drawn_from_what_is_there_already(beside):
    assert beside.jobs == {"figure_across": len(ACROSS_FIGURES)}
    place = beside.folder / "results" / "figures"
    assert {path.stem for path in printed(place)} == set(ACROSS_FIGURES)
    for path in printed(place):
        assert_printable(path)
        drawn = beside.table(f"figures/{path.stem}.tsv")
        assert set(drawn["dataset"]) == {"tiny"}
        own = beside.table(f"tiny/figures/{path.stem}.tsv")
        # Notes are of one picture; so are half rows, since only the top genes stand side by side.
        marks, single = set(drawn["mark"]), set(own["mark"])
        assert marks - {"note"} == single - {"note", "blank"}


def test_they_belong_to_all_figures_where_several_datasets_are_asked_for(beside, whole_run):
    asked = succeed(beside.folder, "figures", "--dry-run").jobs
    assert asked["figure_network_graph"] == 1  # of the profiles; the others are up to date
    assert not {"figure_across", "figure_held_out_error"} & asked.keys()
    for path in (beside.folder / "results" / "figures").iterdir():
        path.unlink()
    assert succeed(beside.folder, "figures", "--dry-run").jobs["figure_across"] == 4
    assert "results/figures" not in "".join(files(whole_run.folder))
