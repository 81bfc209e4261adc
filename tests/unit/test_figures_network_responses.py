"""The figure of responses predicted from the network: legible, drawn as tabled, honest."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
from figure_cases import LONG, NOTHING, drawn_texts
from figure_checks import assert_sound, drawing, ordered, said
from matplotlib.collections import LineCollection, PathCollection

from lgem.errors import InputError
from lgem.figures import style
from lgem.figures.responses import network_responses

NETWORKS = {"network": 0.3, "updated": 0.4, "mean": 0.45, "shuffled": 0.0}
METRICS = ("pearson", "spearman")
CONSTANT = "the prediction does not differ between genes"
OUTSIDE = "the target is not in the panel of genes"


def responses(n, networks=tuple(NETWORKS), metrics=METRICS, unscored=(), missing=2):
    """Return scores of n perturbations and of some without their target, and the means."""
    rng, found = np.random.default_rng(n), []
    names = [*LONG, *(f"P{k}" for k in range(n))][:n]
    for network, metric, (k, name) in product(networks, metrics, enumerate(names)):
        value = np.tanh(rng.normal(NETWORKS.get(network, 0.2), 0.3))
        reason = CONSTANT if network in unscored else None
        value = np.nan if reason else value
        found.append((name, f"GENE{k}", network, metric, value, reason))
    for network, metric, k in product(networks, metrics, range(missing)):
        reason = f"{OUTSIDE}: Q{k}"
        found.append((f"Q{k}", None, network, metric, np.nan, reason))
    columns = ["perturbation", "gene", "network", "metric", "value", "reason"]
    table = pd.DataFrame(found, columns=columns)
    grouped = table.groupby(["network", "metric"])["value"]
    means = grouped.agg(mean="mean", n="count", n_asked="size").reset_index()
    return table, means.assign(lower=means["mean"] - 0.05, upper=means["mean"] + 0.06)


def draw(*args, **kwargs):
    return network_responses(*responses(*args, **kwargs))


def unscored():
    table, means = responses(5)
    return network_responses(
        table.assign(value=np.nan, reason=OUTSIDE), means.assign(mean=np.nan, n=0)
    )


def only_means():
    return network_responses(NOTHING, responses(5)[1])


CASES = {
    "forty": lambda: draw(40),
    "one": lambda: draw(1),
    "two hundred": lambda: draw(200),
    "one network": lambda: draw(12, networks=["network"]),
    "one metric": lambda: draw(12, metrics=["pearson"]),
    "another": lambda: draw(9, networks=[*NETWORKS, "a_network_of_an_extraordinarily_long_name"]),
    "another metric": lambda: draw(9, metrics=["pearson", "kendall"]),
    "mean unscored": lambda: draw(9, unscored=["mean"]),
    "no summary": lambda: network_responses(responses(9)[0], NOTHING),
    "only means": only_means,
    "zeros": lambda: network_responses(
        responses(3)[0].assign(value=0.0), responses(3)[1].assign(mean=0.0, lower=0.0, upper=0.0)
    ),
    "unscored": unscored,
    "empty": lambda: network_responses(NOTHING, NOTHING),
}


@pytest.fixture(scope="module")
def drawn():
    """Return figure, table and texts of a case, each made once."""
    return drawing(CASES)


def marks(axes, gid):
    found = [mark for mark in axes.findobj(PathCollection) if mark.get_gid() == gid]
    points = np.concatenate([np.ma.getdata(mark.get_offsets()) for mark in found])
    return ordered(points[np.isfinite(points).all(axis=1)])


@pytest.mark.parametrize("name", CASES)
def test_every_case_is_legible_without_empty_panels_and_reads_back(name, tmp_path, drawn):
    assert_sound(drawn(name), tmp_path)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("empty", "no perturbation has its target among the genes of the network"),
        ("unscored", f"{OUTSIDE} (7 of 7)"),
    ],
)
def test_where_nothing_was_scored_the_reason_is_given(name, why, drawn):
    figure, table, texts = drawn(name)
    assert table["mark"].tolist() == ["note"]
    assert table["note"].iloc[0] == f"No response was scored: {why}."
    assert why in said(texts)
    assert not figure.findobj(PathCollection)


@pytest.mark.parametrize("name", ["forty", "one", "two hundred", "another metric", "mean unscored"])
def test_scores_and_means_are_drawn_as_tabled(name, drawn):
    figure, table, _ = drawn(name)
    for axes, metric in zip(figure.axes, dict.fromkeys(table["metric"].dropna()), strict=True):
        own = table[table["metric"] == metric]
        for mark in ("point", "mean"):
            rows = own.loc[own["mark"] == mark, ["value", "position"]].dropna()
            np.testing.assert_array_equal(marks(axes, f"{mark}s"), ordered(rows))
        means = own[own["mark"] == "mean"].dropna(subset=["lower"])
        lines = [np.ravel(s) for m in axes.findobj(LineCollection) for s in m.get_segments()]
        intervals = means[["lower", "position", "upper", "position"]]
        drawn_lines = [line for line in lines if len(line) == 4 and np.isfinite(line).all()]
        np.testing.assert_array_equal(ordered(drawn_lines), ordered(intervals))
        low, high = axes.get_xlim()
        assert low < 0 < high
        assert own[["value", "lower", "upper"]].astype(float).min(axis=None) > low
        assert own[["value", "lower", "upper"]].astype(float).max(axis=None) < high
        assert [line.get_xdata()[0] for line in axes.lines] == [0]


def test_every_value_given_is_drawn_once_within_its_row():
    table, means = responses(40)
    found = network_responses(table, means)[1]
    points = found[found["mark"] == "point"]
    keys = ["perturbation", "network", "metric"]
    scored = table.dropna(subset=["value"]).set_index(keys)["value"].sort_index()
    pd.testing.assert_series_equal(points.set_index(keys)["value"].sort_index(), scored,
                                   check_dtype=False)  # fmt: skip
    row = points["network"].map(list(NETWORKS).index)
    assert ((points["position"] - row).abs() < 0.5).all()
    # A perturbation stands at the same height in every row and panel.
    shift = (points["position"] - row).astype(float).groupby(points["perturbation"])
    np.testing.assert_allclose(shift.max(), shift.min(), atol=1e-9)


def test_contenders_stand_in_one_order_whatever_that_of_the_table(drawn):
    table, means = responses(40)
    shuffled = network_responses(table[::-1], means[::-1])[0]
    for figure in (drawn("forty")[0], shuffled):
        left, right = ([t.get_text() for t in a.get_yticklabels()] for a in figure.axes)
        assert [label.rpartition(" ")[0] for label in left] == [
            "network", "updated network", "mean of the other responses",
            "network, shuffled targets",
        ]  # fmt: skip
        assert right == ["(40/42)"] * 4
    assert drawn("another")[0].axes[0].get_yticklabels()[-1].get_text().startswith("a_network")


def test_a_contender_without_scores_says_why(drawn):
    _, table, texts = drawn("mean unscored")
    notes = table[table["mark"] == "note"]
    assert notes["network"].tolist() == ["mean", "mean"]
    assert set(notes["note"]) == {f"none scored: {CONSTANT} (9 of 11)"}
    assert said(texts).count("none scored: the prediction does not") == 2
    table, means = responses(3)
    silent = table.assign(value=table["value"].where(table["network"] != "mean"), reason=None)
    means = means[means["network"] != "mean"]
    shown = said(drawn_texts(network_responses(silent, means)[0]))
    assert shown.count("none scored: no reason given") == 2
    lacking = table[(table["network"] != "mean") | (table["metric"] == "pearson")]
    assert "none scored: not computed" in said(drawn_texts(network_responses(lacking, means)[0]))


def test_an_interval_without_its_mean_is_not_drawn():
    table, means = responses(5)
    means["mean"] = means["mean"].where(means["network"] != "mean")
    found = network_responses(table, means)[1]
    row = found[(found["mark"] == "mean") & (found["network"] == "mean")]
    assert row[["lower", "upper"]].isna().all(axis=None)


def test_the_foot_names_the_interval(drawn):
    table, means = responses(5)
    shown = said(drawn_texts(network_responses(table, means, interval=0.95)[0]))
    assert "mean with 95 % interval" in shown
    assert "mean with 90 % interval" in said(drawn("forty")[2])
    assert drawn("one metric")[0].get_size_inches()[0] * 25.4 == pytest.approx(
        style.WIDTHS_MM["single"]
    )


def test_a_table_without_a_needed_column_is_refused_by_name():
    table, means = responses(3)
    with pytest.raises(InputError, match="did you mean 'networks'"):
        network_responses(table.rename(columns={"network": "networks"}), means)
    with pytest.raises(InputError, match="n_asked"):
        network_responses(table, means.drop(columns="n_asked"))
