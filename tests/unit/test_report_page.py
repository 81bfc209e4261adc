"""The report's page as text: what is in it, in which order, and that names do no harm."""

from __future__ import annotations

import html
import json
import re

import pytest

from lgem.config import TAKEN
from lgem.report import tables, words
from lgem.report.columns import MEANINGS, meaning
from lgem.report.page import (
    LONGEST_ALT,
    described,
    marked,
    nothing_drawn,
    png_description,
    provenance,
    render,
    size,
)
from lgem.report.sections import SECTIONS, Figure, Graph, Table
from tests.unit import report_cases as cases

SETTINGS = [
    {
        "title": "models: mine",
        "about": "One model.",
        "rows": [{"key": "k", "value": cases.HOSTILE, "meaning": "what", "chosen": True}],
    }
]


def page(files):
    return render(files, "x", SETTINGS, cases.SCORING)


@pytest.fixture(scope="module")
def screen(tmp_path_factory):
    return cases.screen_files(tmp_path_factory.mktemp("screen"))


@pytest.fixture(scope="module")
def text(screen):
    return page(screen)


def sections(text):
    return re.findall(r'<section id="(\w+)"', text)


def test_a_page_has_its_sections_in_order_and_says_what_is_absent(text):
    assert sections(text) == [
        *("try", "prediction", "screen", "network", "changes"),
        *("absent", "methods", "provenance", "repeat"),
    ]
    absent = text[text.index('<section id="absent"') : text.index('<section id="methods"')]
    assert "Mixed forms" in absent
    assert "No linear system was solved." in absent


def test_a_network_alone_makes_a_page_that_says_why_there_is_no_more(tmp_path):
    found = page(cases.network_files(tmp_path))
    assert sections(found) == ["network", "changes", "absent", "methods", "provenance", "repeat"]
    assert "there is nothing to hold out" in found


def test_a_warning_stands_with_the_predictions(text):
    assert (
        "Nothing specific to a gene was learned" in text[: text.index('<section id="prediction"')]
    )


def test_every_place_that_the_contents_name_is_there(text):
    named = re.findall(r'<a href="#(\w+)"', text)
    assert len(named) > 8
    assert [name for name in named if f'id="{name}"' not in text] == []


def test_names_of_the_user_are_words_and_nothing_else(screen, text):
    assert "hacked" in text
    assert cases.HOSTILE not in text
    assert "<script>hacked" not in text
    # Scripts: those that hold data, and the page's own.
    bodies = re.findall(r"<script[^>]*>(.*?)</script>", text, re.DOTALL)
    kept = [json.loads(body) for body in bodies[:-1]]
    assert screen["screen.tsv"].read_text("utf-8") in kept
    assert screen["network/strongest.tsv"].read_text("utf-8") in kept
    assert html.escape(cases.HOSTILE) in text


def test_the_page_asks_for_nothing_outside_itself(text):
    assert re.findall(r'(?:src|href)="(?!data:|#)([^"]*)"', text) == []
    assert "@import" not in text
    assert re.findall(r"\son\w+=", text) == []


def test_the_same_files_give_the_same_bytes(screen, text):
    assert page(dict(reversed(screen.items()))) == text


def test_provenance_comes_from_the_files_themselves(screen, text):
    origin = provenance(screen)
    assert origin["seeds"] == [7]
    assert origin["versions"] == {"a": "1"}
    assert origin["digests"] == {"0123456789abcdef": ["network_graph.png", "qc.json"]}
    assert png_description(screen["figures/network_graph.png"]) == cases.PROVENANCE
    assert "0123456789abcdef" in text


def test_a_picture_without_a_record_has_no_provenance(tmp_path):
    (tmp_path / "plain.png").write_bytes(cases.png())
    assert png_description(tmp_path / "plain.png") == {}


def test_a_picture_is_described_by_what_it_says_itself(tmp_path):
    figure = Figure("name", "A title", "caption")
    assert described(figure, None) == "A title. caption"
    (tmp_path / "drawn.tsv").write_text("mark\tnote\npoint\t\nnote\tr = 0.5\nnote\tr = 0.5\n")
    assert described(figure, tmp_path / "drawn.tsv") == "A title. r = 0.5"
    (tmp_path / "drawn.tsv").write_text("note\n" + 1000 * "x" + "\n")
    assert len(described(figure, tmp_path / "drawn.tsv")) == LONGEST_ALT


def test_a_picture_with_nothing_in_it_is_told_in_words(tmp_path):
    path = tmp_path / "drawn.tsv"
    path.write_text("mark\tvalue\tnote\nnote\t\tNone was held out.\n")
    assert nothing_drawn(path) == "None was held out."
    path.write_text("mark\tvalue\tnote\npoint\t1\t\nnote\t\tr = 0.5\n")
    assert nothing_drawn(path) == ""
    assert nothing_drawn(None) == ""


def test_every_name_that_is_scored_is_explained(text):
    found = words.explained(["mine", "theirs"], ["theirs"], TAKEN)
    assert {*TAKEN, "mine", "theirs", "L2"} - {"technical_duplicate"} <= set(found)
    assert "published" in found["theirs"]
    assert "published" not in found["mine"]
    listed = text[text.index('<details class="glossary"') : text.index('<section id="try"')]
    for name in ("L2", "technical duplicate", "mine", "no_change", "false discovery rate"):
        assert f"<dt>{name}</dt>" in listed


def test_the_page_says_how_much_was_measured(tmp_path):
    counts = {"cells": 12000, "control_cells": 3000, "batches": 1, "perturbations_asked": 68}
    path = tmp_path / "qc.json"
    path.write_text(json.dumps(counts))
    told = "3,000 of them control · 1 batch · 68 perturbations asked for"
    assert size({"qc.json": path}, []) == f"12,000 cells, {told}"
    bulk = [{"rows": [{"key": "kind", "value": "profiles"}]}]
    assert size({"qc.json": path}, bulk) == f"12,000 profiles, {told}"
    assert size({}, []) == ""


def test_captions_mark_code_and_columns_and_escape_the_rest():
    assert marked("`a<b` and *column* < 3 * 4") == (
        "<code>a&lt;b</code> and <em>column</em> &lt; 3 * 4"
    )


# Tables


def test_a_table_shows_its_first_rows_and_keeps_its_own_text(tmp_path):
    path = tmp_path / "screen.tsv"
    path.write_text("target\teffect_size\n" + "".join(f"G{k}\t{k}.123456\n" for k in range(30)))
    data = tables.read_for_page("screen.tsv", path)
    assert data.rows == 30
    assert data.shown[:2] == [["G0", "0.1235"], ["G1", "1.123"]]
    assert len(data.shown) == tables.ROWS_SHOWN
    assert data.text == path.read_text()
    assert [column.numeric for column in data.columns] == [False, True]
    assert data.columns[0].meaning.startswith("the gene")


def test_a_cell_may_name_thousands_of_perturbations(tmp_path):
    path = tmp_path / "design.tsv"
    path.write_text("system\taliased\n" + "effects\t" + "GENE, " * 30_000 + "\n", "utf-8")
    data = tables.read_for_page("design.tsv", path)
    assert data.rows == 1
    assert len(data.shown[0][1]) == 180_000


def test_a_table_that_is_too_large_stays_in_its_file(monkeypatch, screen, text):
    monkeypatch.setattr(tables, "MOST_BYTES", 40)
    data = tables.read_for_page("screen.tsv", screen["screen.tsv"])
    assert data.text is None
    assert data.rows == 3
    assert len(data.shown) == 3
    found = page(screen)
    assert "is too large for this page and stands in <code>screen.tsv</code>" in found
    assert "is too large" not in text


@pytest.mark.parametrize(
    ("cell", "shown"),
    [("0.000012345", "1.234e-05"), ("12345678", "12345678"), ("inf", "inf"), ("", "")],
)
def test_numbers_are_short_and_whole_ones_stay(cell, shown):
    assert tables.is_number(cell)
    assert tables.short(cell) == shown


@pytest.mark.parametrize("cell", ["G1", "nan", "1,5", "0x1"])
def test_words_are_no_numbers(cell):
    assert not tables.is_number(cell)


def test_tables_with_meanings_are_those_that_the_page_shows():
    parts = [part for section in SECTIONS for part in section.parts]
    assert {part.file for part in parts if isinstance(part, Table)} == set(MEANINGS)
    assert sum(isinstance(part, Graph) for part in parts) == 1
    assert meaning("mixed_forms/codes.tsv", "H3") == "code of batch and covariates, axis 3"
    assert meaning("qc.tsv", "H3") == ""
