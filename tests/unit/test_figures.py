"""What holds for every figure: legible, drawn as tabled, honest about gaps, reproducible."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import matplotlib
import pytest
from figure_cases import (
    CASES,
    EMPTY,
    MODELS,
    case,
    drawn_texts,
    paired,
    said,
    texts,
    within,
)
from figure_checks import assert_sound
from matplotlib.collections import PathCollection
from PIL import Image

from lgem.figures import style, ticks


@pytest.mark.parametrize("name", CASES)
def test_every_case_is_legible_without_empty_panels_and_reads_back(name, tmp_path):
    assert_sound((*case(name), texts(name)), tmp_path)


@pytest.mark.parametrize("count", range(1, 8))
def test_square_panels_keep_their_labels_in_the_picture_for_any_number_of_models(count):
    # They shrink while the layout is computed; the fewer rows, the less room is left over.
    figure, _ = paired(MODELS[:count], 3, 20, unit="natural logarithm of expression")
    for text, box in drawn_texts(figure):
        assert within(box, figure.bbox), text


@pytest.mark.parametrize("name", [name for name in CASES if name.startswith("pairs ")])
def test_words_in_a_panel_of_pairs_cover_no_point(name):
    for axes in case(name)[0].axes:
        marks = axes.findobj(PathCollection)
        points = [axes.transData.transform(mark.get_offsets()) for mark in marks]
        for text in axes.texts if marks else []:
            box = text.get_window_extent()
            assert not any(box.count_contains(found) for found in points), text


@pytest.mark.parametrize(("name", "why"), EMPTY.items())
def test_a_figure_without_data_says_why_in_picture_and_table(name, why):
    figure, table = case(name)
    notes = table.loc[table["mark"] == "note", "note"].tolist()
    assert len(notes) == 1
    assert why in notes[0]
    assert why in said(name)
    assert [text.get_fontsize() for text, _ in texts(name)].count(style.TITLE) == 1
    assert not figure.findobj(PathCollection)


PROVENANCE = {"dataset": "demo", "seed": 1, "note": "β"}
FAST = ["on_target 3", "held_out 3", "pairs thinned", "partial"]


def saved(name, folder):
    figure, table = CASES[name]()
    style.save(figure, table, Path(folder) / "of.v1", PROVENANCE)
    files = {path.suffix: path.read_bytes() for path in sorted(Path(folder).glob("of.v1.*"))}
    return {suffix: hashlib.sha256(content).hexdigest() for suffix, content in files.items()}


def test_the_same_input_gives_the_same_bytes_in_every_process_and_without_pyplot(tmp_path):
    # Hashes of strings differ between processes, and with them the order of sets.
    code = (
        "import sys; sys.path[:0] = sys.argv[1:3]; import test_figures as t\n"
        "print({name: t.saved(name, f'{sys.argv[3]}/{name}') for name in t.FAST})\n"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    here = Path(__file__).parent
    command = [sys.executable, "-c", code, str(here), str(here.parents[1]), str(tmp_path / "there")]
    other = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONHASHSEED": "7"}
    )
    mine = {name: saved(name, tmp_path / "here" / name) for name in FAST}
    assert other.communicate()[0].strip() == str(mine)
    assert other.returncode == 0
    assert {tuple(files) for files in mine.values()} == {(".pdf", ".png", ".tsv")}


def test_the_users_settings_change_no_byte_and_stay_as_they_were(tmp_path):
    with matplotlib.rc_context({"axes.grid": True, "font.size": 20, "pdf.fonttype": 3}):
        before = dict(matplotlib.rcParams)
        odd = saved("held_out 3", tmp_path / "odd")
        assert dict(matplotlib.rcParams) == before
    assert odd == saved("held_out 3", tmp_path / "usual")


def test_files_embed_fonts_and_provenance_and_neither_date_nor_program(tmp_path):
    saved("partial", tmp_path)
    content = (tmp_path / "of.v1.pdf").read_bytes()
    assert all(wanted in content for wanted in (b"/FontFile2", b"DejaVuSans", b"demo", b"u03b2"))
    for absent in (b"/Type3", b"CreationDate", b"Producer", b"Creator"):
        assert absent not in content
    with Image.open(tmp_path / "of.v1.png") as image:
        assert json.loads(image.info["Description"]) == PROVENANCE
        assert "Software" not in image.info
        assert image.width == pytest.approx(85 / 25.4 * 300, abs=1)


@pytest.mark.parametrize("width", [5.0, 20.0, 60.0])
def test_shortened_names_and_wrapped_lines_fit_and_lose_nothing_needlessly(width):
    name = "transfer_of_perturbation_embeddings_from_another_dataset"
    short = style.shorten(name, width)
    assert style.text_width(short) <= width
    assert (short[0], short[-1], "…" in short) == ("t", "t", True)
    assert style.shorten(name, 200) == name
    lines = style.wrap("cell " * 50, width)
    assert " ".join(lines) == ("cell " * 50).strip()
    cut = style.wrap("cell " * 50, width, most=2)
    assert len(cut) == 2
    assert "…" in cut[1]
    assert max(map(style.text_width, [*lines, *cut])) <= width


def test_a_long_explanation_is_given_in_full():
    figure, table = style.empty_figure("cell " * 300, title="Cells", width="single")
    ((text, box),) = [found for found in drawn_texts(figure) if found[0] not in figure.texts]
    assert within(box, figure.bbox)
    assert text.get_text().split() == table["note"][0].split() == ["cell"] * 300


def test_numbers_on_axes_read_as_words():
    powers = [ticks.plain_powers(value, 0) for value in (0.1, 1, 10_000, 1e5, 1e12)]
    assert powers == ["0.1", "1", "10,000", "10⁵", "10¹²"]
    axis = style.new_figure().subplots().xaxis
    ticks.number_axis(axis)
    labels = axis.get_major_formatter().format_ticks
    assert labels([-0.5, 1e-17, 0.25]) == ["−0.50", "0.00", "0.25"]
    assert labels([0.0, 1e-8]) == ["0", "1e−08"]
    assert labels([1000, 1805]) == ["1000", "1805"]
