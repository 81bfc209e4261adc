"""Every figure draws what its table says."""

import numpy as np
import pandas as pd
import pytest
from figure_cases import (
    CONSTANT,
    LONG,
    MODELS,
    SCORE_KEYS,
    UNMEASURED,
    case,
    changes,
    drawn_texts,
    histogram,
    pairs,
    qc,
    said,
    scores,
    texts,
)
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.patches import StepPatch

from lgem.errors import InputError
from lgem.figures import network, prediction, screen
from lgem.figures.pairs import thin


def in_order(points):
    points = np.asarray(points, dtype=float)
    points = points[np.isfinite(points).all(axis=1)]
    return points[np.lexsort(points.T)]


def assert_marks(figure, rows, gid="points"):
    """Assert that the marks of this name stand where the two columns say."""
    marks = [found for found in figure.findobj(PathCollection) if found.get_gid() == gid]
    drawn = np.concatenate([np.asarray(found.get_offsets(), dtype=float) for found in marks])
    assert len(rows)
    np.testing.assert_array_equal(in_order(drawn), in_order(rows))


def assert_intervals(figure, rows):
    """Assert that the lines drawn have the ends that the four columns say."""
    lines = [s for found in figure.findobj(LineCollection) for s in found.get_segments()]
    drawn = [line.ravel() for line in lines if line.shape == (2, 2)]
    np.testing.assert_array_equal(in_order(drawn), in_order(rows))


@pytest.mark.parametrize("name", ["on_target 40", "on_target 200", "on_target 2000"])
def test_on_target_effects_are_drawn_as_tabled(name):
    figure, table = case(name)
    points = table[table["mark"] == "point"]
    if len(points) <= screen.MOST_LABELS:
        assert_marks(figure, points[["value", "position"]])
        assert_intervals(figure, points[["lower", "position", "upper", "position"]])
    else:
        assert_marks(figure, points[["position", "value"]])
        assert_intervals(figure, points[["position", "lower", "position", "upper"]])
        assert (points.sort_values("value")["label"] != "").to_numpy().nonzero()[0].tolist() == [
            0, 1, 2, len(points) - 3, len(points) - 2, len(points) - 1
        ]  # fmt: skip
    assert all(label in said(name) for label in points["label"])


@pytest.mark.parametrize(
    "name", ["on_target 200", "on_target equal", "on_target wide", "on_target below"]
)
def test_names_of_extremes_cover_neither_an_interval_nor_the_line_of_no_effect(name):
    figure, table = case(name)
    points = table[table["mark"] == "point"].fillna({"lower": table["value"]})
    to_data = figure.axes[0].transData.inverted()
    names = [box.transformed(to_data) for text, box in texts(name) if text in figure.axes[0].texts]
    assert len(names) == 2
    for box in names:
        under = points[points["position"].between(box.x0, box.x1)]
        assert len(under)
        assert not ((under["lower"] < box.y1) & (under["upper"] > box.y0)).any()
        assert not box.y0 < 0 < box.y1


def test_on_target_intervals_are_196_standard_errors_and_missing_without_z():
    table = qc(5, 0)
    table.loc[2, "on_target_z"] = 0.0
    drawn = screen.on_target(table)[1].set_index("perturbation").loc[table["perturbation"]]
    error = (table["on_target_effect"] / table["on_target_z"]).abs().where(table.index != 2)
    np.testing.assert_allclose((drawn["upper"] - drawn["lower"]) / 2, 1.96 * error.to_numpy())


def test_effects_without_an_interval_are_counted_named_and_explained():
    names = ", ".join(sorted(qc(30)["perturbation"].head(3)))
    explained = said("on_target few z")
    assert "No interval, 3 of 30: standard error unknown, as of a single sample" in explained
    assert all(name in explained for name in names.split(", "))
    assert "No interval" not in said("on_target 3")


def test_on_target_counts_and_names_what_was_not_measured_and_tells_statuses_apart():
    _, table = case("on_target 40")
    missing = table.loc[table["mark"] == "not_measured", "perturbation"]
    assert 0 < len(missing) <= 6
    assert f"Not measured, {len(missing)} of 40: target gene not" in said("on_target 40")
    assert all(word in said("on_target 40") for word in [*missing, "kept", "left out"])


@pytest.mark.parametrize("name", ["held_out 1", "held_out 12 models", "held_out 200"])
def test_held_out_errors_are_drawn_as_tabled(name):
    figure, table = case(name)
    means = table[table["mark"] == "mean"]
    assert_marks(figure, table.loc[table["mark"] == "point", ["value", "position"]])
    assert_marks(figure, means[["value", "position"]], gid="means")
    assert_intervals(figure, means[["lower", "position", "upper", "position"]])


def test_held_out_points_are_means_over_repeats():
    metrics, summary = scores(["lgem", "mean"], 7, repeats=3)
    table = prediction.held_out_error(metrics, summary)[1]
    keys = [*SCORE_KEYS, "perturbation"]
    points = table[table["mark"] == "point"].set_index(keys)["value"].sort_index().astype(float)
    pd.testing.assert_series_equal(points, metrics.groupby(keys)["value"].mean().dropna())


def test_best_model_is_at_the_top_and_each_tells_how_many_it_scored():
    figure, table = case("held_out 12 models")
    means = table[(table["mark"] == "mean") & (table["gene_set"] == "top")].set_index("metric")
    means = means.loc["l2"].sort_values("position")
    assert means["value"].iloc[:11].is_monotonic_increasing
    assert means["model"].iloc[-1] == MODELS[9]
    left, right = ([text.get_text() for text in axes.get_yticklabels()] for axes in figure.axes)
    assert "mean (20/25)" in left
    assert right[left.index("no_change (25/25)")] == "(0/25)"


def test_a_model_without_scores_says_why():
    table = case("held_out 12 models")[1]
    notes = table[table["mark"] == "note"].set_index(["model", "metric"])["note"].to_dict()
    assert notes == {
        (MODELS[9], "l2"): f"none scored: {UNMEASURED} (25 of 25)",
        (MODELS[9], "pearson_delta"): f"none scored: {UNMEASURED} (25 of 25)",
        ("no_change", "pearson_delta"): f"none scored: {CONSTANT} (25 of 25)",
    }
    shown = said("held_out 12 models")
    assert f"none scored: {CONSTANT}" in shown
    assert shown.count("none scored: the target is not") == 2
    metrics, summary = scores(["lgem"], 3)
    silent = metrics.assign(value=np.nan, status=None), summary.assign(mean=np.nan, n=0)
    shown = [text.get_text() for text, _ in drawn_texts(prediction.held_out_error(*silent)[0])]
    assert shown.count("none scored: no reason given") == 2


def test_models_baselines_and_random_embeddings_have_colours_of_their_own():
    names = ["no_change_on_target", "mean + on_target", "mean_field", "lgem_random_P"]
    kinds = ["baseline", "baseline", "model", "random embedding"]
    assert [prediction.kind_of(name) for name in names] == kinds
    figure, table = case("held_out 12 models")
    marks = [k for k in figure.findobj(PathCollection) if k.get_gid() == "points"]
    assert len({tuple(k.get_facecolor()[0][:3]) for k in marks}) == 3
    assert table["kind"].dropna().nunique() == 3


def test_the_best_baseline_is_one_that_scored_as_much_as_any_other():
    metrics, summary = scores(["lgem", "no_change", "mean"], 25)
    summary.loc[(summary["model"] == "mean") & (summary["metric"] == "l2"), "mean"] = 0.1
    table = prediction.held_out_error(metrics, summary)[1]
    best = table[table["mark"] == "best_baseline"].set_index("metric")["model"]
    assert best.to_dict() == {"l2": "no_change", "pearson_delta": "mean"}  # `mean` lacks a fifth


def test_means_over_shared_perturbations_are_not_mixed_with_those_over_scored_ones():
    metrics, summary = scores(["lgem", "mean"], 10)
    shared = summary.assign(mean=99.0, n=1, perturbations="shared")
    both = pd.concat([summary.assign(perturbations="scored"), shared], ignore_index=True)
    one, other = (prediction.held_out_error(metrics, table)[1] for table in (summary, both))
    pd.testing.assert_frame_equal(one, other)


def test_a_mean_over_fewer_without_the_target_says_over_how_many():
    metrics, summary = scores(["lgem", "mean"], 10)
    assert "are over fewer" not in foot(metrics, summary)
    fewer = (summary["model"] == "lgem") & (summary["metric"] == "pearson_delta")
    fewer &= summary["gene_set"] == "top_off_target"
    told = foot(metrics, summary.assign(n=summary["n"].mask(fewer, 3)))
    assert "Open marks (target left out) are over fewer for lgem (Pearson: 3)." in told


def foot(metrics, summary):
    shown = drawn_texts(prediction.held_out_error(metrics, summary)[0])
    return " ".join(" ".join(text.get_text() for text, _ in shown).split())


def test_one_failed_prediction_does_not_squeeze_the_others():
    metrics, summary = scores(["lgem"], 10)
    failed = metrics.assign(value=metrics["value"].where(metrics.index != 3, 1000.0))
    for table, scale in ((metrics, "linear"), (failed, "log")):
        assert prediction.held_out_error(table, summary)[0].axes[0].get_xscale() == scale


@pytest.mark.parametrize("name", ["pairs 1 model", "pairs 5 of 12", "pairs thinned"])
def test_pairs_are_drawn_as_tabled(name):
    figure, table = case(name)
    points, models = (table[table["mark"] == mark] for mark in ("point", "model"))
    assert_marks(figure, points[["predicted_effect", "observed_effect"]])
    drawn = models.set_index("model")["n_drawn"]
    assert drawn[drawn > 0].to_dict() == points["model"].value_counts().to_dict()


def test_correlation_is_that_of_all_pairs_though_few_are_drawn():
    table, drawn = pairs(MODELS[:2], 10, 300), case("pairs thinned")[1]
    lgem, constant = drawn[drawn["mark"] == "model"].to_dict("records")
    own = table[table["model"] == "lgem"]
    r = np.corrcoef(own["predicted_effect"], own["observed_effect"])[0, 1]
    assert lgem["r"] == pytest.approx(r, abs=1e-12)
    assert (lgem["n"], lgem["n_drawn"]) == (3000, 250)
    assert "n = 3,000, 250 drawn" in said("pairs thinned")
    assert constant["note"].startswith("r undefined (constant)")
    assert said("pairs 5 of 12").count("none scored: the target is not") == 7


def test_thinning_keeps_targets_and_the_same_pairs_in_any_order():
    table = pairs(MODELS[:3], 20, 100)
    thinned = thin(table, 900)
    assert thinned["model"].value_counts().to_dict() == dict.fromkeys(MODELS[:3], 300)
    assert thinned["is_target"].sum() == table["is_target"].sum() == 60
    parts = [part[["perturbation", "gene"]] for _, part in thinned.groupby("model")]
    assert len({tuple(map(tuple, part.to_numpy())) for part in parts}) == 1
    again = thin(table.sample(frac=1, random_state=3), 900)
    pd.testing.assert_frame_equal(again.sort_index(), thinned)
    uneven = pd.concat([pairs(["a"], 1, 10), pairs(["b", "c"], 10, 50)], ignore_index=True)
    counts = thin(uneven, 410)["model"].value_counts()
    assert counts.to_dict() == {"a": 10, "b": 200, "c": 200}
    assert len(thin(table, 6000)) == len(table) == 6000


def test_histogram_is_drawn_as_tabled_and_leaves_out_no_pair():
    figure, table = case("partial")
    bins = table[table["mark"] == "bin"]
    for when in ("before", "after"):
        (steps,) = [k for k in figure.findobj(StepPatch) if k.get_gid() == when]
        np.testing.assert_array_equal(steps.get_data().values, bins[when].astype(float))
        np.testing.assert_array_equal(steps.get_data().edges[:-1], bins["left"])
        assert bins[when].sum() == histogram()[when].sum() > 0
    lines = [line.get_xdata()[0] for line in figure.axes[0].lines]
    assert lines == table.loc[table["mark"] == "threshold", "left"].tolist() == [-0.15, 0.15]
    low, high = case("partial tiny")[0].axes[0].get_xlim()
    assert low < -0.15 < 0.15 < high
    assert "before: 1 strong edge, |ρ| > 0.15; mean |ρ| 0.0049" in said("partial")
    assert "after: 1,234 strong edges, |ρ| > 0.15; mean |ρ| 0.0053" in said("partial")
    assert "No update changed the network" in said("partial same")
    assert "threshold" not in said("partial same")


def test_changes_are_drawn_as_tabled_in_order_of_rank():
    figure, table = case("changes 20")
    axes = figure.axes[0]
    np.testing.assert_allclose([bar.get_width() for bar in axes.patches], table["change"])
    colours = zip(table["direction"], [bar.get_facecolor() for bar in axes.patches], strict=True)
    assert len(set(colours)) == table["direction"].nunique() == 2
    labels = [text.get_text() for text in axes.get_yticklabels()]
    assert labels == table["label"].tolist()
    assert labels[0] == "CTD-2196E14.4–RP11-0M14"
    shuffled = network.largest_changes(changes(40).sample(frac=1, random_state=0))[1]
    assert shuffled["rank"].tolist() == list(range(1, 21))
    assert case("changes symbols")[1]["label"].tolist() == [
        "recA–umuD", f"{LONG[1]}–umuD", "lexA–umuD"
    ]  # fmt: skip
    directions = case("changes tiny")[1]["direction"].tolist()
    assert directions == ["stronger", "weaker", "unchanged"]


def test_network_scores_are_drawn_as_tabled():
    figure, table = case("scores 5")
    assert_marks(figure, table[["value", "position"]])
    assert len(table) == 20
    assert "Edges before the update against the reference network" in said("scores 5")
    assert "Bars: 95 % interval" in said("scores 5")
    assert "before" not in said("scores 1")
    assert said("scores no values").count("not scored") == 4
    assert case("scores no values")[1]["lower"].isna().all()


def test_a_misspelt_column_is_named_and_a_name_is_never_a_formula():
    with pytest.raises(InputError, match="did you mean 'on_target_genes'"):
        screen.on_target(qc(3).rename(columns={"on_target_gene": "on_target_genes"}))
    table = qc(3, 0).assign(perturbation=["A$1$", "B_{2}", "C^3"])
    shown = {text.get_text(): text for text, _ in drawn_texts(screen.on_target(table)[0])}
    assert not any(shown[name].get_parse_math() for name in table["perturbation"])
