"""Shuffled labels: chance by relabelling the reference, exactly and without a second sort."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from lgem.errors import InputError
from lgem.network.reference import headline, score_network, within_reference
from lgem.network.shuffled import shuffled_scores

METRICS = ["auroc", "aupr", "aupr_ratio", "early_precision"]


def problem(seed, genes=25, share=0.1, signal=0.0, decimals=None):
    """Random symmetric scores, with a hub, and a random reference, with another one."""
    rng = np.random.default_rng(seed)
    first, second = np.triu_indices(genes, 1)
    true = rng.random(len(first)) < share + 0.3 * (first == 0)
    true[:2] = [True, False]
    values = rng.normal(size=len(first)) + signal * true + 0.5 * (second == genes - 1)
    rho = np.zeros((genes, genes))
    rho[first, second] = values if decimals is None else values.round(decimals)
    rho += rho.T
    names = np.array([f"g{i}" for i in range(genes)])
    edges = pd.DataFrame({"gene_a": names[first[true]], "gene_b": names[second[true]]})
    return rho, names.tolist(), edges


def relabelled(rho, genes, edges, draws, seed):
    """Scores of one relabelled reference after the other, by the slow way."""
    rng = np.random.default_rng(seed)
    tables = []
    for _ in range(draws):
        label = dict(zip(genes, np.array(genes)[rng.permutation(len(genes))], strict=True))
        shuffled = edges.apply(lambda column, label=label: column.map(label))
        tables.append(score_network(rho, genes, shuffled, draws=1, interval=0.9, seed=1)["value"])
    return np.array(tables)


@pytest.mark.parametrize("decimals", [None, 1, 0])
def test_a_draw_is_the_score_against_a_relabelled_reference(decimals):
    rho, genes, edges = problem(1, signal=0.7, decimals=decimals)
    table = shuffled_scores(rho, genes, edges, draws=30, interval=0.8, seed=5)
    slow = relabelled(rho, genes, edges, 30, 5)
    value = score_network(rho, genes, edges, draws=1, interval=0.9, seed=1)["value"].to_numpy()
    assert list(table["metric"]) == METRICS
    np.testing.assert_allclose(table["shuffled_mean"], slow.mean(axis=0), rtol=1e-12)
    bounds = np.quantile(slow, [0.1, 0.9], axis=0)
    np.testing.assert_allclose(table[["shuffled_lower", "shuffled_upper"]].T, bounds, rtol=1e-12)
    reached = (slow >= value - 1e-12).sum(axis=0)
    np.testing.assert_allclose(table["p_value"], (1 + reached) / 31, rtol=1e-12)


def test_one_draw_tells_the_mean_of_one():
    rho, genes, edges = problem(2)
    table = shuffled_scores(rho, genes, edges, draws=1, interval=0.9, seed=3)
    np.testing.assert_allclose(table["shuffled_mean"], relabelled(rho, genes, edges, 1, 3)[0])
    np.testing.assert_array_equal(table["shuffled_lower"], table["shuffled_upper"])
    assert set(table["p_value"]) <= {0.5, 1.0}


def test_three_genes_and_one_edge_have_three_equally_likely_places():
    rho = np.array([[1.0, 0.9, 0.5], [0.9, 1.0, 0.1], [0.5, 0.1, 1.0]])
    edges = pd.DataFrame({"gene_a": ["a"], "gene_b": ["b"]})
    table = shuffled_scores(rho, ["a", "b", "c"], edges, 3000, 0.9, 1).set_index("metric")
    # Its rank is 1, 2 or 3, with average precision 1, 1/2 or 1/3; the true place is the first.
    assert table.loc["aupr", "shuffled_mean"] == pytest.approx((1 + 1 / 2 + 1 / 3) / 3, abs=0.02)
    assert table.loc["auroc", "shuffled_mean"] == pytest.approx(0.5, abs=0.03)
    assert table["p_value"].to_numpy() == pytest.approx(1 / 3, abs=0.03)
    assert table.loc["aupr", "shuffled_lower"] == pytest.approx(1 / 3)
    assert table.loc["aupr", "shuffled_upper"] == pytest.approx(1.0)


def test_shuffled_labels_score_chance_however_good_the_network_is():
    rho, genes, edges = problem(4, genes=60, signal=4.0)
    table = shuffled_scores(rho, genes, edges, draws=400, interval=0.9, seed=1)
    value = score_network(rho, genes, edges, draws=1, interval=0.9, seed=1)["value"]
    both = table.assign(value=value).set_index("metric")
    ratio = both.loc["aupr_ratio"]
    assert ratio["shuffled_mean"] == pytest.approx(1.0, abs=0.1)
    assert ratio["shuffled_lower"] < 1 < ratio["shuffled_upper"] < ratio["value"]
    assert both.loc["auroc", "shuffled_mean"] == pytest.approx(0.5, abs=0.01)
    assert (both["p_value"] == 1 / 401).all()


def test_p_values_are_uniform_where_the_reference_is_random():
    p_values = []
    for seed in range(200):
        table = shuffled_scores(*problem(1000 + seed, genes=20), 99, 0.9, seed)
        p_values.append(table.set_index("metric").loc["aupr", "p_value"])
    assert min(p_values) >= 0.01
    assert stats.kstest(p_values, "uniform").pvalue > 0.01


def test_equal_scores_everywhere_reach_themselves_in_every_draw():
    rho, genes, edges = problem(6)
    table = shuffled_scores(np.ones_like(rho), genes, edges, 20, 0.9, 1)
    np.testing.assert_allclose(table["p_value"], 1.0)
    np.testing.assert_allclose(table["shuffled_lower"], table["shuffled_upper"], rtol=1e-12)


def test_the_order_of_edges_their_direction_and_signs_do_not_matter():
    rho, genes, edges = problem(7, signal=1.0)
    turned = edges.rename(columns={"gene_a": "gene_b", "gene_b": "gene_a"}).iloc[::-1]
    pd.testing.assert_frame_equal(
        shuffled_scores(-rho, genes, turned, 50, 0.9, 1),
        shuffled_scores(rho, genes, edges, 50, 0.9, 1),
    )


def test_the_seed_makes_the_draws():
    rho, genes, edges = problem(8, signal=1.0)
    first, same, other = (shuffled_scores(rho, genes, edges, 50, 0.9, seed) for seed in (1, 1, 2))
    pd.testing.assert_frame_equal(first, same)
    assert not first["shuffled_mean"].equals(other["shuffled_mean"])


def test_columns_stand_beside_the_scores_and_in_the_sentence():
    rho, genes, edges = problem(9, genes=40, signal=2.0)
    scores = score_network(rho, genes, edges, draws=50, interval=0.9, seed=1)
    plain = headline(scores, None, genes, edges, 0.9)
    table = scores.merge(shuffled_scores(rho, genes, edges, 200, 0.9, 1), on="metric")
    assert list(table.columns[:5]) == ["metric", "value", "chance", "lower", "upper"]
    assert len(table) == len(scores)
    ratio = table.set_index("metric").loc["aupr_ratio"]
    lowest, highest = ratio["shuffled_lower"], ratio["shuffled_upper"]
    told = f"; with shuffled labels {lowest:.1f} to {highest:.1f})."
    assert headline(table, None, genes, edges, 0.9) == plain.removesuffix(").") + told
    assert "shuffled" not in plain


def test_a_reference_with_no_edge_is_refused():
    rho, genes, edges = problem(10)
    with pytest.raises(InputError, match="0 true edges"):
        shuffled_scores(rho, genes, edges.iloc[:0], 5, 0.9, 1)


def test_genes_of_the_reference_are_those_with_an_edge_in_the_panel():
    edges = pd.DataFrame({"gene_a": ["d", "b", "a"], "gene_b": ["b", "c", "elsewhere"]})
    assert within_reference(["a", "b", "c", "d", "e"], edges).tolist() == [1, 2, 3]
    assert within_reference(["a", "e"], edges).tolist() == []


def test_scoring_the_genes_of_the_reference_alone_loses_no_edge():
    rho, genes, edges = problem(11, genes=40, share=0.02, signal=1.0)
    edges = edges[~edges.isin(["g3", "g7"]).any(axis=1)]
    kept = within_reference(genes, edges)
    assert {3, 7}.isdisjoint(kept)
    names = np.array(genes)[kept].tolist()
    whole = score_network(rho, genes, edges, 5, 0.9, 1).set_index("metric")
    part = score_network(rho[np.ix_(kept, kept)], names, edges, 5, 0.9, 1).set_index("metric")
    pairs = len(kept) * (len(kept) - 1) / 2
    assert part.loc["aupr", "chance"] == pytest.approx(len(edges) / pairs)
    assert part.loc["aupr", "chance"] > whole.loc["aupr", "chance"]
