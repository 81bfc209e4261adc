"""The network as users configure it, without updates: tables, panels, estimators, speed."""

from __future__ import annotations

import json
import shutil

import networkx as nx
import numpy as np
import pandas as pd
import pytest

from benchmarks import network as bench
from benchmarks.timing import COLUMNS, measure
from tests.workflow.network_screens import (
    PANEL,
    are_inverses,
    arrays_of,
    edges_of,
    estimate_of,
    log_of,
    network_config,
    partial,
    rerun,
    result,
)
from tests.workflow.running import files, succeed

pytestmark = pytest.mark.workflow

# --- without updates -----------------------------------------------------------------------------


def test_without_updates_nothing_changes_and_tables_and_figures_say_so(network_run):
    arrays = arrays_of(network_run)
    are_inverses(arrays["covariance"], arrays["before"])
    assert arrays["before"].tobytes() == arrays["after"].tobytes()
    assert arrays["loadings"].shape == arrays["removed"].shape == (PANEL, 0)
    updates = network_run.table("mine/network/updates.tsv")
    assert updates.empty
    assert updates.columns.tolist() == [
        *("order", "source", "operation", "rank", "drift", "limit", "refactorised")
    ]
    changes = network_run.table("mine/network/changes.tsv")
    assert changes.empty
    assert changes.columns.tolist()[:4] == ["update", "rank", "gene_a", "gene_b"]
    edges = edges_of(network_run)
    assert (edges["before"] == edges["after"]).all()
    assert (edges["change"] == 0).all()
    statistics = network_run.table("mine/network/statistics.tsv").set_index("metric")
    both = statistics.drop(index=["shrinkage", "edges_fdr_0.05"])
    assert both["before"].equals(both["after"])
    scores = network_run.table("mine/network/scores.tsv")
    before, after = (
        scores[scores["network"] == stage].drop(columns="network").reset_index(drop=True)
        for stage in ("before", "after")
    )
    pd.testing.assert_frame_equal(before, after)
    drawn = network_run.table("mine/figures/largest_changes.tsv")
    assert drawn["note"].tolist() == ["No changes to draw: no edge changed."]
    bins = network_run.table("mine/figures/partial_correlations.tsv").query("mark == 'bin'")
    assert bins["before"].equals(bins["after"])
    assert bins["before"].sum() == PANEL * (PANEL - 1) / 2
    networks = network_run.table("mine/network/responses_summary.tsv")["network"]
    assert set(networks) == {"network", "mean", "shuffled"}
    assert "figure_rewired" not in succeed(network_run.folder, "figures", "--dry-run").jobs


def test_edges_are_the_strongest_pairs_of_the_precision_with_their_false_discovery_rates(
    network_run,
):
    edges, arrays = edges_of(network_run), arrays_of(network_run)
    assert edges.columns.tolist() == [
        *("gene_a", "gene_b", "before", "after", "change", "selected_by", "q_value"),
        *("symbol_a", "symbol_b"),
    ]
    rho = partial(arrays["before"])
    genes = arrays["genes"].tolist()
    assert genes == sorted(genes)
    first, second = (pd.Index(genes).get_indexer(edges[f"gene_{end}"]) for end in "ab")
    np.testing.assert_allclose(edges["before"], rho[first, second], atol=1e-12)
    assert (first < second).all()
    size = edges["before"].abs()
    assert size.is_monotonic_decreasing
    strongest = np.sort(np.abs(rho[np.triu_indices(len(rho), 1)]))[::-1]
    np.testing.assert_allclose(size, strongest[: len(edges)], atol=1e-12)
    strong = int((strongest > 0.15).sum())
    assert edges["selected_by"].tolist() == ["threshold"] * strong + ["top"] * (60 - strong)
    assert edges["q_value"].between(0, 1).all()
    assert edges["q_value"].is_monotonic_increasing
    assert edges["q_value"].iloc[0] < 0.05 < edges["q_value"].iloc[-1]
    statistics = network_run.table("mine/network/statistics.tsv").set_index("metric")["before"]
    assert statistics["strong_edges"] == strong
    assert statistics["edges_fdr_0.05"] == (edges["q_value"] <= 0.05).sum()
    assert 0 < statistics["shrinkage"] < 1


def test_genes_and_graph_agree_with_the_edges(network_run):
    edges, genes = edges_of(network_run), network_run.table("mine/network/genes.tsv")
    assert genes["gene"].tolist() == arrays_of(network_run)["genes"].tolist()
    graph = nx.read_graphml(network_run.folder / "results/mine/network/network.graphml")
    assert set(graph.nodes) == set(genes["gene"])
    assert {frozenset(pair) for pair in graph.edges} == {
        frozenset(pair) for pair in edges[["gene_a", "gene_b"]].itertuples(index=False)
    }
    strong = edges[edges["before"].abs() > 0.15]
    for gene in genes.itertuples():
        own = strong[(strong["gene_a"] == gene.gene) | (strong["gene_b"] == gene.gene)]
        listed = edges[(edges["gene_a"] == gene.gene) | (edges["gene_b"] == gene.gene)]
        assert gene.degree_before == gene.degree_after == len(own)
        assert gene.strength_after == pytest.approx(listed["after"].abs().sum())
        node = graph.nodes[gene.gene]
        assert node["degree_after"] == gene.degree_after
        assert node["symbol"] == gene.symbol
        assert node.get("module") == (None if pd.isna(gene.module) else int(gene.module))
    sizes = genes["module"].value_counts().sort_index()
    assert sizes.index.tolist() == list(range(1, len(sizes) + 1))
    assert sizes.is_monotonic_decreasing
    assert (sizes >= 3).all()
    weights = [data["weight"] for *_, data in graph.edges(data=True)]
    assert sorted(weights) == pytest.approx(sorted(edges["after"].abs()))


def test_responses_are_scored_with_a_reason_where_they_are_not(network_run):
    table = network_run.table("mine/network/responses.tsv")
    several = table["perturbation"].str.contains("+", regex=False)
    assert table.loc[several, "value"].isna().all()
    assert set(table.loc[several, "reason"]) == {"several targets"}
    assert table.loc[~several, "reason"].isna().all()
    summary = network_run.table("mine/network/responses_summary.tsv")
    asked = table["perturbation"].nunique()
    assert (summary["n_asked"] == asked).all()
    assert (summary["n"] == asked - table.loc[several, "perturbation"].nunique()).all()
    assert (summary["lower"] <= summary["mean"]).all()
    assert (summary["mean"] <= summary["upper"]).all()
    sentence = (network_run.folder / "results/mine/network/responses_headline.txt").read_text()
    assert f"several targets: {table.loc[several, 'perturbation'].nunique()}" in sentence


def test_scores_stand_beside_those_of_shuffled_labels(network_run):
    scores = network_run.table("mine/network/scores.tsv")
    assert (scores["estimator"] == "ledoit_wolf").all()
    assert (scores["shuffled_lower"] <= scores["shuffled_mean"]).all()
    assert (scores["shuffled_mean"] <= scores["shuffled_upper"]).all()
    assert scores["p_value"].between(0.0099, 1).all()
    # A network that was simulated is found.
    assert (scores["value"] > scores["shuffled_upper"]).all()


def test_a_threshold_asks_for_the_tables_again_and_for_no_estimate(network_run, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(network_run.folder, folder)
    kept = files(folder / "results/mine/network", {".npz"})
    network_config(folder, threshold=0.25)
    run = succeed(folder, *result("statistics.tsv", "responses_summary.tsv", "scores.tsv"))
    assert run.jobs == {"network_tables": 1}
    statistics = run.table("mine/network/statistics.tsv").set_index("metric")["before"]
    assert statistics["strong_edges"] == (edges_of(network_run)["before"].abs() > 0.25).sum()
    assert files(folder / "results/mine/network", {".npz"}) == kept
    drawn = succeed(folder, "figures", "--dry-run").jobs
    assert {"figure_partial_correlations", "figure_network_graph"} <= drawn.keys()


# --- panels and estimators -----------------------------------------------------------------------


def test_a_panel_by_list_by_another_shrinkage_and_no_more_edges_than_asked_for(
    network_run, tmp_path
):
    folder = tmp_path / "run"
    shutil.copytree(network_run.folder, folder)
    listed = [f"G{number:02}" for number in range(20, 5, -1)]
    (folder / "panel.tsv").write_text("\n".join(["Symbol\tnote", *(f"{g}\tx" for g in listed)]))
    network_config(
        folder, panel="panel.tsv", estimator="oas", threshold=0.01, top_edges=4, max_edges=9
    )
    run = succeed(folder, *result("edges.parquet", "responses.tsv"))
    arrays = arrays_of(run)
    assert arrays["symbols"].tolist() == sorted(listed)
    assert arrays["genes"].tolist() == [f"ENSG{int(name[1:]) - 1:02}" for name in sorted(listed)]
    edges = edges_of(run)
    assert len(edges) == 9
    strong = run.table("mine/network/statistics.tsv").set_index("metric").loc["strong_edges"]
    assert strong["before"] > 9
    told = f"{strong['before']:.0f} strong edges, the strongest 9 listed"
    assert told in log_of(run, "network_tables")
    responses = run.table("mine/network/responses.tsv")
    elsewhere = ~responses["gene"].isin(arrays["genes"])
    single = ~responses["gene"].str.contains("+", regex=False)
    assert (elsewhere & single).any()
    assert set(responses.loc[elsewhere & single, "reason"]) == {"target not in the panel"}
    assert "oas with shrinkage" in log_of(run, "network_estimate")


def test_a_panel_of_all_genes_without_permutations(network_run, tmp_path):
    run = rerun(
        network_run,
        tmp_path / "run",
        "edges.parquet",
        **{"panel": "all", "estimator": "schaefer_strimmer", "permutations": 0},
    )
    genes = len(arrays_of(run)["genes"])
    assert genes > PANEL
    assert json.loads((run.folder / "results/mine/network/panel.json").read_text()) == {
        **{"cells": 300, "cells_alone_in_batch": 0, "batches": 2, "genes": genes},
        "genes_constant": 0,
    }
    edges = edges_of(run)
    assert edges["q_value"].isna().all()
    statistics = run.table("mine/network/statistics.tsv").set_index("metric")
    assert "edges_fdr_0.05" not in statistics.index
    assert statistics.loc["genes", "before"] == genes
    estimators = run.table("mine/network/estimators.tsv").set_index("estimator")
    assert estimators.index.tolist() == ["independent_genes", "schaefer_strimmer"]
    assert statistics.loc["shrinkage", "before"] == estimators.loc["schaefer_strimmer", "value"]
    assert estimators.loc["schaefer_strimmer", "value"] != estimate_of(network_run)["value"]


def test_the_graphical_lasso_has_exact_zeros_and_lists_no_edge_for_them(network_run, tmp_path):
    settings = {"estimator": "graphical_lasso", "top_edges": 1000}
    run = rerun(network_run, tmp_path / "run", "edges.parquet", **settings)
    before = arrays_of(run)["before"]
    are_inverses(arrays_of(run)["covariance"], before)
    upper = before[np.triu_indices(PANEL, 1)]
    assert 0 < np.count_nonzero(upper) < len(upper)
    edges = edges_of(run)
    assert len(edges) == np.count_nonzero(upper)
    assert (edges["before"] != 0).all()
    assert edges["q_value"].between(0, 1).all()
    statistics = run.table("mine/network/statistics.tsv").set_index("metric")
    assert 0 < statistics.loc["penalty", "before"] < 1
    graph = nx.read_graphml(run.folder / "results/mine/network/network.graphml")
    assert graph.number_of_edges() == len(edges)


def test_a_factor_model_has_a_diagonal_and_factors(network_run, tmp_path):
    run = rerun(network_run, tmp_path / "run", "scores.tsv", estimator="factor_model")
    estimate = estimate_of(run)
    told = run.table("mine/network/estimators.tsv").set_index("estimator").loc["factor_model"]
    assert told["choice"] == "factors"
    count = told["value"]
    assert count == estimate["value"] == estimate["covariance_factor"].shape[1]
    assert 0 < count < PANEL
    factor = estimate["covariance_factor"]
    covariance = np.diag(estimate["covariance_diagonal"]) + factor @ factor.T
    np.testing.assert_allclose(arrays_of(run)["covariance"], covariance, atol=1e-12)
    are_inverses(covariance, arrays_of(run)["before"])
    assert (run.table("mine/network/scores.tsv")["estimator"] == "factor_model").all()


# --- the benchmark -------------------------------------------------------------------------------


def test_the_benchmark_measures_what_it_says_on_small_panels():
    rows = measure(bench.dense_update(60), 2)
    assert [row["contender"] for row in rows][-1] == "numpy.linalg.inv of the new covariance"
    assert all(np.isfinite(row["median_s"]) and row["median_s"] > 0 for row in rows)
    genome = bench.whole_genome(2, genes=300, inverted=(50, 80))
    assert {key for row in rows + genome for key in row} <= {*COLUMNS, "genes"}
    assert all(set(COLUMNS) <= row.keys() for row in rows + genome)
    extrapolated = genome[1]
    sizes = {row["genes"]: row["median_s"] for row in genome[2:]}
    assert extrapolated["median_s"] == pytest.approx(
        min((300 / size) ** 3 * seconds for size, seconds in sizes.items())
    )
    assert genome[0]["ratio"] == pytest.approx(extrapolated["median_s"] / genome[0]["median_s"])
    assert genome[0]["contender"].endswith("44,850 edges")


def test_the_benchmark_of_updates_is_drawn_by_its_rule(tmp_path):
    speed = bench.update_speed((20, 40), 2)
    assert speed.columns.tolist() == bench.SPEED_COLUMNS
    assert speed["genes"].tolist() == [20, 40]
    times = speed.filter(like="_s")
    assert (times > 0).all(axis=None)
    assert (speed["largest_difference"] < 1e-8).all()
    network_config(tmp_path)
    for name in ("mine", "other"):
        (tmp_path / f"{name}.h5ad").write_bytes(b"never opened")
    (tmp_path / "reference.tsv").write_text("never opened")
    (tmp_path / "results").mkdir()
    speed.to_csv(tmp_path / "results/bench_updates.tsv", sep="\t", index=False)
    figure = "results/figures/update_speed"
    run = succeed(tmp_path, f"{figure}.pdf", "--allowed-rules", "figure_update_speed")
    assert run.jobs == {"figure_update_speed": 1}
    assert (tmp_path / f"{figure}.pdf").read_bytes().startswith(b"%PDF-")
    drawn = pd.read_csv(tmp_path / f"{figure}.tsv", sep="\t")
    assert {20, 40} <= set(drawn["genes"].dropna())
