"""What holds for every figure: legible, drawn as tabled, honest about gaps, reproducible."""

import hashlib
import json
import os
import subprocess
import sys
from functools import cache
from itertools import combinations, product
from pathlib import Path
from unittest.mock import patch

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.patches import StepPatch
from matplotlib.text import Text
from PIL import Image

from lgem.errors import InputError
from lgem.figures import network, prediction, screen, style
from lgem.files import read_table, write_table

LONG = ["CTD-2196E14.4", "RP11-1094M14.11", "HES1+NKX2-5", "AC093323.1", "STAT1"]
MODELS = [
    "lgem", "no_change", "mean", "additive", "no_change_on_target", "mean_on_target",
    "lgem_random_P", "lgem_random_G", "paper", "mine_of_an_extraordinarily_long_name_of_a_model",
    "ridge10", "transfer_from_rpe1",
]  # fmt: skip
CONSTANT = "prediction or observation does not differ between genes"
UNMEASURED = "not_embeddable: the target is not measured in this panel"
SCORE_KEYS = ["model", "gene_set", "metric"]


def qc(n, missing=0.1):
    rng = np.random.default_rng(n)
    names = np.array((LONG + [f"GENE{k}" for k in range(n)])[:n])
    effect, error = rng.normal(-1, 0.6, n), rng.uniform(0.05, 0.3, n)
    gene, few = np.where(rng.random(n) < missing, "", names), rng.random(n) < missing
    table = pd.DataFrame({"perturbation": names, "n_cells": 90, "n_guides": 3})
    return table.assign(
        on_target_gene=gene,
        on_target_effect=np.where(gene == "", np.nan, effect),
        on_target_z=np.where(gene == "", np.nan, effect / error),
        status=np.where(few, "left_out", "kept"),
        reason=np.where(few, "7 cells, fewer than min_cells 10", None),
    )


def scores(models, perturbations, unscored=(), repeats=1):
    """Return metrics and summary; no_change has no correlation, `mean` misses each fifth."""
    rng, rows = np.random.default_rng(0), []
    sets = product(models, ("top", "top_off_target"), ("l2", "pearson_delta"))
    for (model, gene_set, metric), k in product(sets, range(perturbations * repeats)):
        value = rng.gamma(8, 0.15) if metric == "l2" else np.tanh(rng.normal(0.5, 0.4))
        constant = model == "no_change" and metric != "l2"
        reason = UNMEASURED if model in unscored else CONSTANT if constant else None
        repeat, k = divmod(k, perturbations)
        value = np.nan if reason or (model == "mean" and k % 5 == 0) else value
        rows.append((model, repeat, 0, f"P{k}", gene_set, metric, value, "predicted", reason))
    metrics = pd.DataFrame(rows, columns=prediction.METRICS_COLUMNS)
    grouped = metrics.groupby([*SCORE_KEYS, "perturbation"])["value"].mean().groupby(SCORE_KEYS)
    summary = grouped.agg(mean="mean", n="count", n_asked="size").reset_index()
    return metrics, summary.assign(lower=summary["mean"] - 0.1, upper=summary["mean"] + 0.1)


def pairs(models, perturbations, genes):
    rng, parts = np.random.default_rng(1), []
    for model, k in product(models, range(perturbations)):
        target = np.arange(genes) == k % genes
        observed = rng.standard_t(3, genes) * 0.1 - 1.4 * target
        predicted = 0.0 if model == "no_change" else 0.6 * observed + rng.normal(0, 0.1, genes)
        gene = [f"G{j}" for j in range(genes)]
        columns = [model, f"P{k}", gene, predicted, observed, target]
        parts.append(pd.DataFrame(dict(zip(prediction.PAIR_COLUMNS, columns, strict=True))))
    return pd.concat(parts, ignore_index=True)


def histogram(scale=0.03, n=5000):
    rng, bounds = np.random.default_rng(2), np.linspace(-1, 1, 161)
    before = rng.standard_t(4, n) * scale
    both = {"before": before, "after": before + rng.normal(0, scale / 2, n)}
    counts = {name: np.histogram(values, bounds)[0] for name, values in both.items()}
    return pd.DataFrame({"left": bounds[:-1], "right": bounds[1:], **counts})


def changes(n):
    change = np.sort(np.random.default_rng(n).exponential(0.05, n))[::-1] * np.resize([1, -1, 1], n)
    table = pd.DataFrame({"rank": range(1, n + 1), "gene_a": np.resize(LONG, n), "before": 0.2})
    return table.assign(
        gene_b=[f"RP11-{k}M14" for k in range(n)], after=0.2 + change, change=change
    )


def network_table(*estimators):
    known = zip(["auroc", "aupr", "aupr_ratio", "early_precision"], [0.7, 0.1, 6, 0.2], strict=True)
    rows = [(name, *metric) for name, metric in product(estimators, known)]
    table = pd.DataFrame(rows, columns=["estimator", "metric", "value"]).assign(chance=0.1)
    return table.assign(lower=table["value"] * 0.9, upper=table["value"] * 1.1)


def blank(table, *columns):
    return table.assign(**dict.fromkeys(columns, np.nan))


def held(*args, **kwargs):
    return prediction.held_out_error(*scores(*args, **kwargs))


def paired(models, *args, **kwargs):
    return prediction.observed_against_predicted(pairs(models, *args), **kwargs)


def partial(table, threshold=0.15):
    rows = [("strong_edges", 1, 1234), ("mean_abs_rho", 0.0049, 0.0053), ("density", 0.1, 0.2)]
    statistics = pd.DataFrame(rows, columns=network.STATISTICS_COLUMNS)
    return network.partial_correlations(table, threshold, statistics)


NOTHING = pd.DataFrame()
FIVE = ("ledoit_wolf", "oas", "schaefer_strimmer", "factor_model", "graphical_lasso")
CASES = {
    "on_target 1": lambda: screen.on_target(qc(1, 0)),
    "on_target 3": lambda: screen.on_target(qc(3)),
    "on_target 40": lambda: screen.on_target(qc(40)),
    "on_target 200": lambda: screen.on_target(qc(200)),
    "on_target 2000": lambda: screen.on_target(qc(2000)),
    "on_target no z": lambda: screen.on_target(blank(qc(60), "on_target_z")),
    "on_target equal": lambda: screen.on_target(qc(50, 0).assign(on_target_effect=0.0)),
    "on_target unmeasured": lambda: screen.on_target(qc(8, missing=1)),
    "on_target empty": lambda: screen.on_target(NOTHING),
    "held_out 1": lambda: held(["lgem"], 1),
    "held_out 3": lambda: held(MODELS[:4], 3, unscored=["additive"]),
    "held_out 12 models": lambda: held(MODELS, 25, unscored=[MODELS[9]]),
    "held_out 200": lambda: held(MODELS[:5], 200, repeats=2),
    "held_out unscored": lambda: held(MODELS[:3], 5, unscored=MODELS),
    "held_out empty": lambda: prediction.held_out_error(NOTHING, NOTHING),
    "pairs 1 model": lambda: paired(["lgem"], 3, 20),
    "pairs 1 point": lambda: paired(["lgem"], 1, 1),
    "pairs 5 of 12": lambda: paired(MODELS[:5], 5, 50, missing=dict.fromkeys(MODELS, UNMEASURED)),
    "pairs thinned": lambda: paired(MODELS[:2], 10, 300, most_points=500),
    "pairs no values": lambda: prediction.observed_against_predicted(
        blank(pairs(MODELS[:2], 2, 5), "predicted_effect")
    ),
    "pairs empty": lambda: prediction.observed_against_predicted(NOTHING),
    "partial": lambda: partial(histogram()),
    "partial tiny": lambda: partial(histogram(0.002, 300)),
    "partial same": lambda: partial(histogram().assign(after=histogram()["before"]), None),
    "partial one bin": lambda: partial(histogram().iloc[80:81]),
    "partial no counts": lambda: partial(blank(histogram(), "before", "after")),
    "partial empty": lambda: partial(NOTHING),
    "changes 20": lambda: network.largest_changes(changes(20)),
    "changes 1": lambda: network.largest_changes(changes(1)),
    "changes tiny": lambda: network.largest_changes(changes(3).assign(change=[4e-8, -1e-8, 0.0])),
    "changes no values": lambda: network.largest_changes(blank(changes(3), "change")),
    "changes empty": lambda: network.largest_changes(NOTHING),
    "scores 5": lambda: network.network_scores(network_table(*FIVE)),
    "scores 1": lambda: network.network_scores(network_table("oas").head(1)),
    "scores no values": lambda: network.network_scores(blank(network_table("oas"), "value")),
    "scores empty": lambda: network.network_scores(NOTHING),
}
EMPTY = {
    "on_target unmeasured": "Not measured, 8 of 8: target gene not measured",
    "on_target empty": "No perturbations",
    "held_out empty": "No held-out scores",
    "pairs empty": "No predicted effects",
    "partial no counts": "No partial correlations",
    "partial empty": "No partial correlations",
    "changes no values": "3 without a value",
    "changes empty": "no edge changed",
    "scores empty": "no reference network",
}


@style.styled
def drawn_texts(figure):
    """Draw a figure and return the texts that were really drawn, with their boxes in pixels."""
    drawn, draw = [], Text.draw

    def spy(text, *args, **kwargs):
        drawn.append(text)
        return draw(text, *args, **kwargs)

    with patch.object(Text, "draw", spy):
        figure.draw_without_rendering()
    return [(text, text.get_window_extent()) for text in drawn if text.get_text().strip()]


@cache
def case(name):
    return CASES[name]()


@cache
def texts(name):
    return drawn_texts(case(name)[0])


def said(name):
    return " ".join(" ".join(text.get_text() for text, _ in texts(name)).split())


def overlap(a, b):
    """Tell whether two boxes share more than a pixel in both directions."""
    return min(a.x1, b.x1) - max(a.x0, b.x0) > 1 and min(a.y1, b.y1) - max(a.y0, b.y0) > 1


def within(a, b):
    """Tell whether box a lies in box b, up to a pixel."""
    return min(a.x0 - b.x0, a.y0 - b.y0, b.x1 - a.x1, b.y1 - a.y1) >= -1


@pytest.mark.parametrize("name", CASES)
def test_every_text_is_whole_legible_and_in_its_place(name):
    figure, _ = case(name)
    width, height = figure.get_size_inches() * 25.4
    assert round(width, 6) in style.WIDTHS_MM.values()
    assert height < 260
    assert texts(name)
    for text, box in texts(name):
        assert text.get_fontsize() >= 6
        assert within(box, figure.bbox), text
        for axes in (axes for axes in figure.axes if axes.axison):
            inside = text in axes.texts
            assert within(box, axes.bbox) if inside else not overlap(box, axes.bbox), text
    for (one, box), (other, other_box) in combinations(texts(name), 2):
        assert not overlap(box, other_box), (one, other)


@pytest.mark.parametrize(("name", "why"), EMPTY.items())
def test_a_figure_without_data_says_why_in_picture_and_table(name, why):
    figure, table = case(name)
    notes = table.loc[table["mark"] == "note", "note"].tolist()
    assert len(notes) == 1
    assert why in notes[0]
    assert why in said(name)
    assert not figure.findobj(PathCollection)


@pytest.mark.parametrize("name", CASES)
def test_the_saved_table_reads_back_as_drawn(name, tmp_path):
    _, table = case(name)
    write_table(table, tmp_path / "drawn.tsv")
    read = read_table(tmp_path / "drawn.tsv")
    blanks = table.astype(object).where(table.notna() & (table != ""), np.nan)
    pd.testing.assert_frame_equal(read.astype(object), blanks, check_exact=True)


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


def test_on_target_intervals_are_196_standard_errors_and_missing_without_z():
    table = qc(5, 0)
    table.loc[2, "on_target_z"] = 0.0
    drawn = screen.on_target(table)[1].set_index("perturbation").loc[table["perturbation"]]
    error = (table["on_target_effect"] / table["on_target_z"]).abs().where(table.index != 2)
    np.testing.assert_allclose((drawn["upper"] - drawn["lower"]) / 2, 1.96 * error.to_numpy())


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
        (MODELS[9], "l2"): f"none scored: {UNMEASURED}",
        (MODELS[9], "pearson_delta"): f"none scored: {UNMEASURED}",
        ("no_change", "pearson_delta"): f"none scored: {CONSTANT}",
    }
    assert all(note in said("held_out 12 models") for note in notes.values())
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
    assert said("pairs 5 of 12").count("none scored: not_embeddable") == 7


def test_thinning_keeps_targets_and_the_same_pairs_in_any_order():
    table = pairs(MODELS[:3], 20, 100)
    thinned = prediction.thin(table, 900)
    assert thinned["model"].value_counts().to_dict() == dict.fromkeys(MODELS[:3], 300)
    assert thinned["is_target"].sum() == table["is_target"].sum() == 60
    parts = [part[["perturbation", "gene"]] for _, part in thinned.groupby("model")]
    assert len({tuple(map(tuple, part.to_numpy())) for part in parts}) == 1
    again = prediction.thin(table.sample(frac=1, random_state=3), 900)
    pd.testing.assert_frame_equal(again.sort_index(), thinned)
    uneven = pd.concat([pairs(["a"], 1, 10), pairs(["b", "c"], 10, 50)], ignore_index=True)
    counts = prediction.thin(uneven, 410)["model"].value_counts()
    assert counts.to_dict() == {"a": 10, "b": 200, "c": 200}
    assert len(prediction.thin(table, 6000)) == len(table) == 6000


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
    directions = case("changes tiny")[1]["direction"].tolist()
    assert directions == ["stronger", "weaker", "unchanged"]


def test_network_scores_are_drawn_as_tabled():
    figure, table = case("scores 5")
    assert_marks(figure, table[["value", "position"]])
    assert len(table) == 20
    assert said("scores no values").count("not scored") == 4
    assert case("scores no values")[1]["lower"].isna().all()


def test_a_misspelt_column_is_named_and_a_name_is_never_a_formula():
    with pytest.raises(InputError, match="did you mean 'on_target_genes'"):
        screen.on_target(qc(3).rename(columns={"on_target_gene": "on_target_genes"}))
    table = qc(3, 0).assign(perturbation=["A$1$", "B_{2}", "C^3"])
    shown = {text.get_text(): text for text, _ in drawn_texts(screen.on_target(table)[0])}
    assert not any(shown[name].get_parse_math() for name in table["perturbation"])


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


def test_numbers_on_axes_read_as_words():
    powers = [style.plain_powers(value, 0) for value in (0.1, 1, 10_000, 1e5, 1e12)]
    assert powers == ["0.1", "1", "10,000", "10⁵", "10¹²"]
    axis = style.new_figure().subplots().xaxis
    style.number_axis(axis)
    labels = axis.get_major_formatter().format_ticks
    assert labels([-0.5, 1e-17, 0.25]) == ["−0.50", "0.00", "0.25"]
    assert labels([0.0, 1e-8]) == ["0", "1e−08"]
    assert labels([1000, 1805]) == ["1000", "1805"]
