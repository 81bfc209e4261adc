"""What every figure has to meet: legible, no panel empty, a table that says what was drawn."""

from functools import cache
from itertools import combinations

import numpy as np
import pandas as pd
from figure_cases import drawn_texts, overlap, within
from matplotlib.collections import PathCollection

from lgem.figures import style
from lgem.files import read_table, write_table

WIDTHS = tuple(style.WIDTHS_MM.values())


def drawing(cases):
    """Return a function that gives figure, table and texts of a case, each made once."""

    @cache
    def get(name):
        figure, table = cases[name]()
        return figure, table, drawn_texts(figure)

    return get


def said(texts):
    """Return all words of a figure in one line."""
    return " ".join(" ".join(text.get_text() for text, _ in texts).split())


def ordered(rows):
    """Return rows of numbers in an order that does not depend on how they were drawn."""
    rows = np.asarray(rows, dtype=float)
    return rows[np.lexsort(rows.T)]


def assert_legible(figure, texts, widths=WIDTHS):
    """Check that every text is whole, large enough, in its place, and on no other."""
    width, height = figure.get_size_inches() * 25.4
    assert round(width, 6) in widths
    assert height < 260
    assert texts
    for text, box in texts:
        assert text.get_fontsize() >= 6
        assert within(box, figure.bbox), text
        for axes in (axes for axes in figure.axes if axes.axison):
            inside = text in axes.texts
            assert within(box, axes.bbox) if inside else not overlap(box, axes.bbox), text
    for (one, box), (other, other_box) in combinations(texts, 2):
        assert not overlap(box, other_box), (one, other)


def assert_no_empty_panel(figure):
    """Check that every panel has marks or words."""
    for axes in (axes for axes in figure.axes if axes.axison):
        marks = [np.ma.getdata(found.get_offsets()) for found in axes.findobj(PathCollection)]
        drawn = any(np.isfinite(mark).all(axis=1).any() for mark in marks)
        assert drawn or axes.lines or axes.texts or axes.patches


def assert_reads_back(table, folder):
    """Check that the table of a figure is the same after it was written."""
    write_table(table, folder / "drawn.tsv")
    read = read_table(folder / "drawn.tsv")
    blanks = table.astype(object).where(table.notna() & (table != ""), np.nan)
    pd.testing.assert_frame_equal(read.astype(object), blanks, check_exact=True)


def assert_sound(drawn, folder, widths=WIDTHS):
    """Check figure, table and texts of a case for all of the above."""
    figure, table, texts = drawn
    assert_legible(figure, texts, widths)
    assert_no_empty_panel(figure)
    assert_reads_back(table, folder)
