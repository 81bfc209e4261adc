"""Figures of several datasets: legible for any number of them, drawn as tabled, none dropped."""

from functools import cache

import numpy as np
import pandas as pd
import pytest
from figure_cases import NOTHING, scores
from figure_cases_prediction import COMBINED, TWELVE, combined, errors, many, swapped
from figure_checks import assert_sound, drawing, ordered, said
from matplotlib.collections import PathCollection

from lgem.figures import across, doubles, gene_counts, prediction, swaps
from lgem.figures.across_doubles import all_doubles
from lgem.figures.across_errors import all_swaps, errors_by_genes, held_out_errors

NAMES = ["demo", "a_dataset_of_an_extraordinarily_long_name", *(f"set_{k}" for k in range(8))]
INPUT, NATURAL = "log units of the input", "natural log units"
NO_PERTURBATIONS = {"profiles": "no perturbations in its config"}


@cache
def held_out(k):
    models = [*TWELVE[:4], *TWELVE[6:8], "technical_duplicate"] if k else TWELVE
    return prediction.held_out_error(*scores(models, 5 + k, unscored=[TWELVE[3]]))[1]


@cache
def by_genes(k):
    table = errors(TWELVE, 60 * 4 ** min(k, 5), partial=["additive"])
    return gene_counts.error_by_genes(table, scored=100)[1]


@cache
def swap(k):
    return swapped(TWELVE, 4 + k, unscored=["ridge10"])[1]


@cache
def double(k):
    return combined(COMBINED if k == 1 else many(5 + 9 * k), genes=20)[1]


def drawn(draw, table, count, **kwargs):
    """Draw figures of datasets with two units between them."""
    tables = {name: table(k) for k, name in enumerate(NAMES[:count])}
    units = {name: INPUT if k == 1 else NATURAL for k, name in enumerate(NAMES)}
    return draw(tables, units, **kwargs)


EMPTY_TABLES = {
    held_out_errors: prediction.held_out_error(NOTHING, NOTHING)[1],
    errors_by_genes: gene_counts.error_by_genes(NOTHING)[1],
    all_swaps: swaps.embedding_swaps(NOTHING, NOTHING, "lgem")[1],
    all_doubles: doubles.doubles(NOTHING, NOTHING, NOTHING, "lgem")[1],
}
DRAW = {
    "held_out": (held_out_errors, held_out),
    "genes": (errors_by_genes, by_genes),
    "swaps": (all_swaps, swap),
    "doubles": (all_doubles, double),
}
CASES = {
    f"{name} {count}": lambda how=how, count=count: drawn(*how, count, missing=NO_PERTURBATIONS)
    for name, how in DRAW.items()
    for count in (1, 3, 4, len(NAMES))
}
# Datasets of one figure that have panels.
ROOM = {"held_out": 8, "genes": 8, "swaps": 8, "doubles": 4}


@pytest.fixture(scope="module")
def figures():
    """Return figure, table and texts of a case, each made once."""
    return drawing(CASES)


@pytest.mark.parametrize("name", CASES)
def test_every_number_of_datasets_is_legible_and_reads_back(name, tmp_path, figures):
    assert_sound(figures(name), tmp_path, widths=(170.0,))


@pytest.mark.parametrize("name", DRAW)
def test_every_dataset_stands_in_the_table_and_those_without_a_panel_are_named(name, figures):
    _, table, texts = figures(f"{name} {len(NAMES)}")
    assert list(dict.fromkeys(table["dataset"])) == NAMES
    words = said(texts)
    assert f"In the table alone: {', '.join(NAMES[ROOM[name] :])}." in words
    assert "Not shown: profiles (no perturbations in its config)." in words
    assert all(shown in words for shown in ("demo", *NAMES[2 : ROOM[name]]))


@pytest.mark.parametrize(("draw", "empty"), EMPTY_TABLES.items())
def test_a_dataset_without_scores_leaves_its_panel_out_with_a_word(draw, empty):
    table = next(table for own, table in DRAW.values() if own is draw)
    units = dict.fromkeys(("full", "empty"), NATURAL)
    figure, drawn_rows = draw({"full": table(0), "empty": empty}, units)
    words = " ".join(" ".join(text.get_text() for text in figure.texts).split())
    assert "Not shown: empty (no" in words
    assert set(drawn_rows["dataset"]) == {"full"}

    _, told = draw({"empty": empty}, units)
    assert told["mark"].tolist() == ["note"]
    assert "Not shown: empty (no" in told["note"].iloc[0]


def test_marks_of_errors_stand_where_the_table_says_in_one_order_of_models(figures):
    figure, table, _ = figures("held_out 3")
    rows = table[table["mark"] == "point"]
    marks = [m for m in figure.findobj(PathCollection) if m.get_gid() == "points"]
    drawn_at = np.concatenate([np.asarray(m.get_offsets(), dtype=float) for m in marks])
    np.testing.assert_array_equal(ordered(drawn_at), ordered(rows[["value", "position"]]))
    means = table[table["mark"] == "mean"]
    places = means[["model", "position"]].drop_duplicates()
    assert len(places) == means["model"].nunique()
    kinds = means.drop_duplicates("model").sort_values("position")["kind"]
    order = ["model", "baseline", "random embedding", "technical duplicate"]
    assert kinds.tolist() == sorted(kinds, key=order.index)


def test_the_numbers_are_those_of_the_figure_of_each_dataset(figures):
    table = figures("held_out 3")[1]
    for k, name in enumerate(NAMES[:3]):
        own = held_out(k)
        own = own[(own["mark"] == "mean") & (own["gene_set"] == "top")]
        found = table[(table["dataset"] == name) & (table["mark"] == "mean")]
        keys = ["model", "metric"]
        both = [part.set_index(keys)[["value", "n"]].sort_index() for part in (own, found)]
        pd.testing.assert_frame_equal(*(part.astype(float) for part in both))


def test_a_pearson_correlation_has_one_scale_for_all_datasets(figures):
    figure = figures("held_out 3")[0]
    below = [axes for axes in figure.axes if "Pearson" in axes.get_xlabel()]
    assert len(below) == 3
    assert len({axes.get_xlim() for axes in below}) == 1


def test_units_are_told_once_and_by_dataset_where_they_differ(figures):
    assert "Units:" not in said(figures("swaps 1")[2])
    words = said(figures("swaps 3")[2])
    assert f"{NAMES[1]}: {INPUT}" in words
    assert across.shared_unit({"a": INPUT, "b": INPUT}, ["a", "b"]) == (INPUT, "")


def test_a_combination_is_one_mark_whatever_was_seen_of_it():
    table = double(0)
    more = table[table["mark"] == "error"].assign(seen=2.0)
    figure, _ = all_doubles({"a": pd.concat([table, more])}, {"a": NATURAL})
    marks = [m for m in figure.findobj(PathCollection) if m.get_gid() == "points"]
    errors_drawn = [len(m.get_offsets()) for m in marks if m.axes is figure.axes[0]]
    combinations = table.loc[table["mark"] == "error", ["model", "perturbation"]].drop_duplicates()
    assert sum(errors_drawn) == len(combinations)


def test_means_of_combinations_are_over_those_that_all_models_score():
    table = double(0)
    rows = table[table["mark"] == "error"]
    lost = rows.index[(rows["model"] == "additive")][0]
    figure, _ = all_doubles({"a": table.drop(index=lost)}, {"a": NATURAL})
    gone = rows.loc[lost, "perturbation"]
    marks = [m for m in figure.findobj(PathCollection) if m.get_gid() == "means"]
    found = np.sort(np.concatenate([np.asarray(m.get_offsets())[:, 0] for m in marks]))
    kept = rows[rows["perturbation"] != gone].astype({"value": float})
    np.testing.assert_allclose(found, np.sort(kept.groupby("model")["value"].mean()))
    total = rows["perturbation"].nunique()
    assert figure.axes[0].get_title("left") == f"a\n{total - 1} of {total}"
