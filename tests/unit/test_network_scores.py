"""Scores against a reference: the weighted formulas against scikit-learn and plain counting."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from lgem.errors import InputError
from lgem.network.reference import _scores, headline, rank_pairs, score_network

METRICS = ["auroc", "aupr", "aupr_ratio", "early_precision"]


def problem(seed, genes=30, share=0.1, signal=1.0, decimals=None):
    """Random scores in which the true edges stand out by `signal`; rounding makes ties."""
    rng = np.random.default_rng(seed)
    first, second = np.triu_indices(genes, 1)
    true = rng.random(len(first)) < share
    true[:2] = [True, False]
    rho = np.zeros((genes, genes))
    values = rng.normal(size=len(first)) + signal * true * rng.choice([-1, 1], len(first))
    rho[first, second] = values if decimals is None else values.round(decimals)
    rho += rho.T
    names = [f"g{i}" for i in range(genes)]
    edges = pd.DataFrame(
        {"gene_a": np.array(names)[first[true]], "gene_b": np.array(names)[second[true]]}
    )
    return rho, names, edges, np.abs(rho[first, second]), true


def point(rho, names, edges):
    return score_network(rho, names, edges, draws=5, interval=0.9, seed=1).set_index("metric")


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 2**32 - 1),
    genes=st.integers(3, 30),
    share=st.floats(0.01, 0.9),
    decimals=st.sampled_from([None, 1, 0]),
)
def test_areas_are_those_of_scikit_learn_with_and_without_ties(seed, genes, share, decimals):
    rho, names, edges, score, true = problem(seed, genes, share, decimals=decimals)
    table = point(rho, names, edges)
    assert table.loc["auroc", "value"] == pytest.approx(roc_auc_score(true, score), rel=1e-12)
    aupr = average_precision_score(true, score)
    assert table.loc["aupr", "value"] == pytest.approx(aupr, rel=1e-12)
    assert table.loc["aupr_ratio", "value"] == pytest.approx(aupr / true.mean(), rel=1e-12)
    assert list(table["chance"]) == pytest.approx([0.5, true.mean(), 1, true.mean()])


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**32 - 1), decimals=st.sampled_from([None, 1, 0]))
def test_a_draw_weighs_every_pair_by_the_product_of_its_genes(seed, decimals):
    rho, names, edges, score, true = problem(seed, 15, 0.3, decimals=decimals)
    weights = np.random.default_rng(seed + 1).multinomial(15, np.full(15, 1 / 15))
    first, second = np.triu_indices(15, 1)
    pairs = weights[first] * weights[second]
    # The same by listing every drawn pair as often as it was drawn.
    listed_true, listed_score = np.repeat(true, pairs), np.repeat(score, pairs)
    values, prevalence = _scores(rank_pairs(rho, names, edges), weights)
    if 0 < listed_true.sum() < len(listed_true):
        assert prevalence == pytest.approx(listed_true.mean(), rel=1e-12)
        assert values[0] == pytest.approx(roc_auc_score(listed_true, listed_score), rel=1e-12)
        aupr = average_precision_score(listed_true, listed_score)
        assert values[1] == pytest.approx(aupr, rel=1e-12)
        assert values[2] == pytest.approx(aupr / prevalence, rel=1e-12)
        assert values[3] == pytest.approx(slow_early_precision(listed_true, listed_score))
    else:
        assert np.isnan(values).all()


def slow_early_precision(true, score):
    """Fill the top places run by run, a run that does not fit by its share of true pairs."""
    places, hits = true.sum(), 0.0
    for value in np.unique(score)[::-1]:
        run = true[score == value]
        taken = min(len(run), places)
        hits += taken * run.mean()
        places -= taken
    return hits / true.sum()


def test_early_precision_counts_the_true_among_as_many_top_pairs():
    rho, names, edges, score, true = problem(3)
    best = np.argsort(-score)[: true.sum()]
    value = point(rho, names, edges).loc["early_precision", "value"]
    assert value == pytest.approx(true[best].mean())


def test_of_all_scores_equal_early_precision_is_the_share_of_true_pairs():
    rho, names, edges, _, true = problem(4)
    table = point(np.ones_like(rho), names, edges)
    assert table.loc["early_precision", "value"] == pytest.approx(true.mean())
    assert table.loc["aupr", "value"] == pytest.approx(true.mean())
    assert table.loc["auroc", "value"] == pytest.approx(0.5)


def test_a_draw_of_every_gene_once_is_the_point_value():
    rho, names, edges, *_ = problem(5)
    values, _ = _scores(rank_pairs(rho, names, edges), np.ones(30, dtype=int))
    assert values == list(point(rho, names, edges)["value"])


def test_a_perfect_network_scores_one():
    rho, names, edges, *_ = problem(6, signal=100.0)
    assert list(point(rho, names, edges).loc[["auroc", "aupr", "early_precision"], "value"]) == (
        pytest.approx([1, 1, 1])
    )


def test_permuted_genes_score_about_chance():
    rho, names, edges, *_ = problem(7, genes=60, signal=2.0)
    rng = np.random.default_rng(8)
    shuffled = []
    for _ in range(40):
        order = rng.permutation(60)
        shuffled.append(point(rho[np.ix_(order, order)], names, edges))
    mean = sum(table["value"] for table in shuffled) / 40
    chance = shuffled[0]["chance"]
    assert mean["auroc"] == pytest.approx(0.5, abs=0.02)
    assert mean["aupr"] == pytest.approx(chance["aupr"], rel=0.15)
    assert mean["early_precision"] == pytest.approx(chance["early_precision"], rel=0.25)
    assert point(rho, names, edges).loc["aupr_ratio", "value"] > 3


def test_intervals_hold_the_value_and_grow_with_their_level():
    rho, names, edges, *_ = problem(9, genes=40)
    narrow = score_network(rho, names, edges, draws=300, interval=0.5, seed=1)
    wide = score_network(rho, names, edges, draws=300, interval=0.95, seed=1)
    assert list(narrow["metric"]) == METRICS
    for table in (narrow, wide):
        assert (table["lower"] < table["value"]).all()
        assert (table["value"] < table["upper"]).all()
    assert (wide["lower"] < narrow["lower"]).all()
    assert (wide["upper"] > narrow["upper"]).all()


def test_intervals_are_as_wide_as_the_spread_over_fresh_networks():
    # 40 networks from one law: their AUROCs spread about as the bootstrap of each claims.
    values, widths = [], []
    for seed in range(40):
        rho, names, edges, *_ = problem(100 + seed, genes=40)
        table = score_network(rho, names, edges, draws=100, interval=0.9, seed=1)
        row = table.set_index("metric").loc["auroc"]
        values.append(row["value"])
        widths.append(row["upper"] - row["lower"])
    spread = np.std(values) * 2 * 1.645
    assert 0.6 < np.mean(widths) / spread < 1.8


def test_draws_without_a_true_edge_are_left_out():
    rho, names, edges, *_ = problem(14, genes=12)
    single = edges.iloc[:1]
    table = score_network(rho, names, single, draws=100, interval=0.9, seed=1)
    assert np.isfinite(table[["lower", "upper"]].to_numpy()).all()
    draws = np.random.default_rng(1).multinomial(12, np.full(12, 1 / 12), size=100)
    ends = [names.index(single.iloc[0][end]) for end in ("gene_a", "gene_b")]
    assert (draws[:, ends].prod(axis=1) == 0).any()
    # Three genes and one draw, which may be useless: then there is no interval.
    rho, names, edges, *_ = problem(15, genes=3, share=0.0)
    lower = [score_network(rho, names, edges, 1, 0.9, seed)["lower"].iloc[0] for seed in range(20)]
    assert 0 < np.isnan(lower).sum() < 20


def test_the_same_seed_gives_the_same_intervals():
    rho, names, edges, *_ = problem(10)
    first, same, other = (
        score_network(rho, names, edges, draws=50, interval=0.9, seed=seed) for seed in (1, 1, 2)
    )
    pd.testing.assert_frame_equal(first, same)
    assert not first["lower"].equals(other["lower"])


def test_sign_direction_and_repeated_edges_do_not_matter():
    rho, names, edges, *_ = problem(11)
    turned = edges.rename(columns={"gene_a": "gene_b", "gene_b": "gene_a"})
    both = pd.concat([edges, turned], ignore_index=True)
    pd.testing.assert_frame_equal(point(-rho, names, both), point(rho, names, edges))


def test_reference_genes_beyond_the_network_are_ignored():
    rho, names, edges, *_ = problem(12)
    extra = pd.DataFrame({"gene_a": ["g0", "elsewhere"], "gene_b": ["elsewhere", "far away"]})
    pd.testing.assert_frame_equal(
        point(rho, names, pd.concat([edges, extra])), point(rho, names, edges)
    )


def test_the_result_is_told_in_a_sentence_that_says_how_many_edges_are_known():
    rho, names, edges, score, true = problem(16)
    table = score_network(rho, names, edges, draws=50, interval=0.9, seed=1)
    ratio = table.set_index("metric").loc["aupr_ratio"]
    precision = average_precision_score(true, score)
    told = (
        f"Against {true.sum()} known edges the network of 30 genes has, before its updates, an "
        f"average precision of {precision:.3f}, {precision / true.mean():.1f} × chance "
        f"(90 % interval {ratio['lower']:.1f} to {ratio['upper']:.1f})."
    )
    assert headline(table, None, names, edges, 0.9) == told
    for factor, word in ((0.5, "worse"), (2.0, "better"), (1.0, "as good")):
        after = table.assign(value=factor * table["value"])
        more = f" Updated, it is {word}: {factor * precision / true.mean():.1f} × chance."
        assert headline(table, after, names, edges, 0.9) == told + more


def test_a_reference_with_no_edge_or_every_edge_is_refused():
    rho, names, edges, *_ = problem(13, genes=4)
    every = [(a, b) for a in names for b in names if a < b]
    with pytest.raises(InputError, match="6 true edges among 6 pairs"):
        point(rho, names, pd.DataFrame(every, columns=["gene_a", "gene_b"]))
    with pytest.raises(InputError, match="0 true edges among 6 pairs"):
        point(rho, names, edges.iloc[:0])
