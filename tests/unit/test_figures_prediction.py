"""Figures of predictions: legible for any table, drawn as tabled, honest about gaps."""

import numpy as np
import pandas as pd
import pytest
from figure_cases import CONSTANT, NOTHING, drawn_texts
from figure_cases_prediction import (
    CASES,
    COMBINED,
    EMPTY,
    TWELVE,
    calibrated,
    combined,
    compared,
    drawn_calibration,
    errors,
    scored,
    splits_of,
    summarised,
)
from figure_checks import assert_sound, drawing, ordered, said
from matplotlib.collections import PathCollection

from lgem.errors import InputError
from lgem.figures import doubles, gene_counts, swaps, truth
from lgem.figures.looks import looks
from lgem.figures.prediction import held_out_error, kind_of


@pytest.fixture(scope="module")
def drawn():
    """Return figure, table and texts of a case, each made once."""
    return drawing(CASES)


def offsets(figure, gid):
    marks = [found for found in figure.findobj(PathCollection) if found.get_gid() == gid]
    points = np.concatenate([np.asarray(found.get_offsets(), dtype=float) for found in marks])
    return points[np.lexsort(points.T)]


@pytest.mark.parametrize("name", CASES)
def test_every_case_is_legible_without_empty_panels_and_reads_back(name, tmp_path, drawn):
    assert_sound(drawn(name), tmp_path)


@pytest.mark.parametrize(("name", "why"), EMPTY.items())
def test_a_figure_without_data_says_why_in_picture_and_table(name, why, drawn):
    figure, table, texts = drawn(name)
    assert table["mark"].tolist() == ["note"]
    assert why in table["note"].iloc[0]
    assert why in said(texts)
    assert not figure.findobj(PathCollection)


def test_every_model_looks_different_and_kinds_keep_their_colours():
    names = [*TWELVE, "same_effect", *(f"model_{k}" for k in range(10)), "technical_duplicate"]
    found = looks(names)
    assert len({(look.colour, look.dash, look.marker) for look in found.values()}) == len(names)
    strong = {found[name].colour for name in names if kind_of(name) == "model"}
    others = {found[name].colour for name in names if kind_of(name) != "model"}
    assert not strong & others
    assert found["mean"].colour == found["mean_on_target"].colour


def test_a_technical_duplicate_is_neither_model_nor_baseline():
    assert kind_of("technical_duplicate") == "technical duplicate"
    assert kind_of("same_effect") == "baseline"


def test_errors_by_genes_are_lines_through_the_tabled_means(drawn):
    figure, table, _ = drawn("genes 12 models")
    means = table[table["mark"] == "mean"]
    for axes, metric in zip(figure.axes, ("l2", "pearson_delta"), strict=True):
        lines = {line.get_gid(): line for line in axes.lines if line.get_gid() in TWELVE}
        for model, own in means[means["metric"] == metric].groupby("model"):
            rows = own[["genes", "mean"]].to_numpy(dtype=float)
            np.testing.assert_array_equal(lines[model].get_xydata(), rows)


def test_means_over_fewer_perturbations_are_named_and_undrawn_models_too(drawn):
    texts = said(drawn("genes 12 models")[2])
    assert "additive (3 of 20)" in texts
    assert "No Pearson, undefined or not predicted: no_change" in texts


def test_swaps_are_first_minus_other_whichever_way_they_were_compared():
    metrics = scored(["lgem", "paper"], 6)
    tables = [
        swaps.embedding_swaps(metrics, compared(metrics, backwards), "lgem")[1]
        for backwards in (False, True)
    ]
    marks = [table[table["mark"] == "mean"].drop(columns=["lower", "upper"]) for table in tables]
    pd.testing.assert_frame_equal(*marks)
    point = tables[0][tables[0]["mark"] == "point"].groupby(["gene_set", "metric"])["difference"]
    mean = marks[0].set_index(["gene_set", "metric"])["difference"]
    np.testing.assert_allclose(point.mean().sort_index(), mean.sort_index().astype(float))


@pytest.mark.parametrize("name", ["swaps 12 models", "swaps 2 backwards", "swaps 1 perturbation"])
def test_swaps_are_drawn_as_tabled_and_leave_baselines_out(name, drawn):
    figure, table, texts = drawn(name)
    for mark, gid in (("point", "points"), ("mean", "means")):
        rows = table.loc[table["mark"] == mark, ["difference", "position"]]
        np.testing.assert_array_equal(offsets(figure, gid), ordered(rows))
    assert {kind_of(other) for other in table["other"]} <= {"model", "random embedding"}
    assert "← lgem better" in said(texts)
    assert "lgem better →" in said(texts)


def test_what_one_gene_set_alone_lacks_is_said_in_the_foot():
    metrics = scored(["lgem", "paper", "lgem_random_P"], 6)
    gone = (metrics["model"] == "lgem_random_P") & (metrics["gene_set"] == "top_off_target")
    metrics.loc[gone & (metrics["metric"] == "pearson_delta"), ["value", "reason"]] = (
        np.nan,
        CONSTANT,
    )
    figure, table = swaps.embedding_swaps(metrics, compared(metrics), "lgem")
    told = "Target left out, no Pearson correlation of both: lgem_random_P."
    assert told in said(drawn_texts(figure))
    assert table.loc[table["mark"] == "blank", "note"].tolist() == [told]
    figure, table = held_out_error(metrics, NOTHING)
    told = table.loc[table["mark"] == "blank", "note"].item()
    assert told.startswith("Target left out, no Pearson correlation of effects: lgem_random_P (")
    assert told in said(drawn_texts(figure))
    full = scored(["lgem", "paper"], 6)
    for _, table in (
        swaps.embedding_swaps(full, compared(full), "lgem"), held_out_error(full, NOTHING),
    ):  # fmt: skip
        assert not (table["mark"] == "blank").any()


def test_lines_that_hide_one_another_are_named_by_metric():
    table = errors(["lgem", "paper", "mean"], 200)
    both = table[table["model"].isin(["lgem", "mean"])]
    twin = table[table["model"] == "lgem"].assign(model="lgem_random_P")
    twin.loc[twin["metric"] == "pearson_delta", "mean"] -= 0.2
    figure, drawn = gene_counts.error_by_genes(pd.concat([table, twin]))
    told = "L2, lines on one another: lgem, lgem_random_P"
    assert told in said(drawn_texts(figure))
    assert "Pearson, lines on one another" not in said(drawn_texts(figure))
    assert told in set(drawn["note"])
    assert "on one another" not in said(drawn_texts(gene_counts.error_by_genes(both)[0]))


def test_combinations_are_sorted_by_additive_within_what_training_saw(drawn):
    figure, table, texts = drawn("doubles 130")
    errors = table[table["mark"] == "error"]
    np.testing.assert_array_equal(offsets(figure, "errors"), ordered(errors[["position", "value"]]))
    for _, own in errors[errors["model"] == "additive"].groupby("seen"):
        assert own.sort_values("position")["value"].is_monotonic_increasing
    assert all(f"{count} seen" in said(texts) for count in ("0 genes", "1 gene", "2 genes"))


def test_a_combination_held_out_with_more_and_with_less_seen_stands_in_both_panels():
    metrics = scored(["lgem", "additive"], COMBINED[:1], repeats=3)
    table = doubles.doubles(metrics, splits_of(metrics, [0, 1, 2]), NOTHING, "lgem")[1]
    errors = table[table["mark"] == "error"]
    assert sorted(errors.loc[errors["model"] == "lgem", "seen"]) == [0, 1, 2]


def test_single_perturbations_are_not_among_combinations():
    table = combined([*COMBINED[:2], "STAT1"])[1]
    assert set(table["perturbation"].dropna()) == set(COMBINED[:2])


def test_calibration_is_drawn_as_tabled_and_says_what_is_blank(drawn):
    figure, table, texts = drawn("calibration 12 models")
    rows = table.loc[table["mark"] == "coverage", ["value", "position"]]
    np.testing.assert_array_equal(offsets(figure, "coverage"), ordered(rows))
    shown = table.loc[table["mark"] == "calibrated", "value"].astype(float)
    np.testing.assert_array_equal(np.sort(offsets(figure, "calibrated")[:, 0]), np.sort(shown))
    assert "fewer than 9 residuals" in said(texts)
    blank = "Blank for no_change: Pearson; Pearson, from mean (no perturbation with a value)."
    assert blank in said(texts)


def test_the_line_of_a_control_has_the_colour_of_its_model(drawn):
    figure, table, _ = drawn("calibration 12 models")
    ends = {
        line.get_xdata()[0]: line.get_color()
        for line in figure.axes[1].lines
        if len(set(line.get_xdata())) == 1
    }
    models = list(dict.fromkeys(table["model"].dropna()))
    assert ends[0.0] == looks(models)["mean"].colour != looks(models)["no_change"].colour


def test_a_mean_far_from_both_controls_is_an_arrow_at_the_border(drawn):
    _, table, texts = drawn("calibration far")
    assert (table["value"] == -3).any()
    assert "Arrows: beyond the scale." in said(texts)


def test_a_model_that_scores_fewer_perturbations_says_so_in_the_legend():
    summary = summarised(["lgem", "additive"])
    summary.loc[summary["model"] == "additive", "n"] = 8
    figure, _ = drawn_calibration(summary, NOTHING)
    assert "additive (8 of 20)" in said(drawn_texts(figure))


def test_the_fixed_negative_control_is_tabled_as_such():
    table = calibrated(TWELVE[:8])[1]
    own = table[table["metric"] == "pearson_delta_perturbed"]
    assert (own["negative"] == 0).all()


def test_correlations_with_the_truth_are_over_all_points_drawn_or_not(drawn):
    _, table, texts = drawn("truth thinned")
    panel = table[table["mark"] == "panel"].set_index("what").loc["predicted_effect"]
    assert panel["n"] == 18_000
    assert panel["n_drawn"] == (table["mark"] == "point").sum() == truth.MOST_POINTS
    assert "12,000 of 18,000 points drawn" in said(texts)
    assert (table["mark"] == "step").sum() <= 2 * truth.MOST_STEPS


def test_thinned_curves_keep_both_ends(drawn):
    _, table, _ = drawn("truth thinned")
    steps = table[(table["mark"] == "step") & (table["network"] == "after")]
    assert steps["recall"].iloc[[0, -1]].tolist() == [1 / 3000, 1.0]


def test_a_table_without_a_needed_column_is_refused_by_name():
    with pytest.raises(InputError, match="difference"):
        swaps.embedding_swaps(
            scored(["lgem", "paper"], 2),
            compared(scored(["lgem", "paper"], 2)).drop(columns="difference"),
            "lgem",
        )
    with pytest.raises(InputError, match="genes"):
        gene_counts.error_by_genes(pd.DataFrame({"model": ["lgem"], "gene": [3]}))
