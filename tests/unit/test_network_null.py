"""False discovery rates by permutation: against a sort of all pairs, and on known truths."""

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lgem.network.census import BINS, Spread, spread_of
from lgem.network.covariance import standardise
from lgem.network.dense import DensePartial
from lgem.network.estimators import ESTIMATORS
from lgem.network.null import SIDE, discoveries, null_counts, null_of, q_values
from lgem.network.precision import invert


def spread_of_sizes(size, seed):
    """Count pairs of given |ρ|, their signs at random, as a pass over a network would."""
    rho = size * np.random.default_rng(seed).choice([-1, 1], len(size))
    counts = np.bincount(((rho + 1) * (BINS / 2)).astype(int), minlength=BINS)
    return Spread(counts, 0, float(size.sum()), float(size.max()))


def slow_q_values(size, null):
    """By a sort of all pairs: at every pair as a threshold, then the smallest rate from there."""
    rates = []
    for threshold in np.sort(size):
        chance = (np.sum(null >= threshold) + 1) / (len(null) + 1)
        rates.append(min(1, chance * len(size) / np.sum(size >= threshold)))
    smallest = np.minimum.accumulate(rates)
    return smallest[np.searchsorted(np.sort(size), size, side="right") - 1]


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    pairs=st.integers(1, 300),
    times=st.integers(1, 8),
    levels=st.sampled_from([5, 100, SIDE]),
    stronger=st.sampled_from([1, 2, 6]),
)
def test_q_values_are_those_of_a_sort_of_all_pairs(seed, pairs, times, levels, stronger):
    rng = np.random.default_rng(seed)
    # Sizes at the centres of the fine bins, so that nothing is lost by counting; few levels tie.
    size = (np.floor(levels * rng.beta(1, 9 / stronger, pairs)) + 0.5) / SIDE
    null = (np.floor(levels * rng.beta(1, 9, pairs * times)) + 0.5) / SIDE
    counts = np.bincount((null * SIDE).astype(int), minlength=SIDE)
    found = q_values(size, spread_of_sizes(size, seed), counts)
    np.testing.assert_allclose(found, slow_q_values(size, null), rtol=1e-12)
    assert ((found > 0) & (found <= 1)).all()
    for level in (0.05, 0.3, found.min(), 1):
        count = discoveries(spread_of_sizes(size, seed), counts, level)
        assert count == np.sum(found <= level)
    assert (np.diff(found[np.argsort(size)]) <= 0).all()


def test_an_edge_of_size_one_has_a_q_value():
    counts = np.bincount([0, 1, SIDE // 2], minlength=SIDE)
    observed = spread_of_sizes(np.array([0.1, 0.9999999]), 1)
    # Of three permuted pairs none is as strong, of two observed ones one is: (0 + 1) / (3 + 1) × 2.
    assert q_values(np.ones(1), observed, counts) == 0.5


def test_cells_are_permuted_within_batches_every_gene_for_itself():
    rng = np.random.default_rng(1)
    batch = np.repeat([0, 1, 2], [40, 25, 2])
    values = standardise(rng.normal(size=(67, 6)) + 5 * batch[:, None], batch).values
    seen = []

    def watched(permuted):
        seen.append(permuted.copy())
        return DensePartial(np.eye(6))

    untouched = values.copy()
    counts = null_counts(values, batch, watched, 3, seed=7)
    np.testing.assert_array_equal(values, untouched)
    assert (counts[0], counts.sum(), len(counts)) == (45, 45, SIDE)
    assert len(seen) == 3
    assert not np.array_equal(seen[0], seen[1])
    for permuted in seen:
        for level in range(3):
            members = batch == level
            np.testing.assert_array_equal(
                np.sort(permuted[members], axis=0), np.sort(values[members], axis=0)
            )
        orders = [np.argsort(column[batch == 0]).tolist() for column in permuted.T]
        assert len({tuple(order) for order in orders}) == 6
        # Still what an estimator is promised: centred within batches, of unit variance.
        np.testing.assert_allclose((permuted**2).mean(axis=0), 1)

    def counted(seed):
        return null_counts(values, batch, partial("ledoit_wolf", 0.2), 3, seed)

    np.testing.assert_array_equal(counted(7), counted(7))
    assert (counted(7) != counted(8)).any()


def partial(estimator, at):
    """From expression to partial correlations by one estimator, its choice made already."""
    estimate = ESTIMATORS[estimator]

    def estimated(values):
        found = estimate(values, at)
        return invert(found.covariance, found.precision).partial_correlations()

    return estimated


@pytest.mark.parametrize("form", ["dense", "implicit"])
@pytest.mark.parametrize("estimator", [name for name in ESTIMATORS if name != "graphical_lasso"])
def test_the_null_of_an_estimate_keeps_its_choice(estimator, form):
    rng = np.random.default_rng(2)
    panel = standardise(rng.normal(size=(50, 12)) + rng.normal(size=(50, 1)), [*"ab"] * 25)
    found = ESTIMATORS[estimator](panel.values)
    counts = null_of(panel, found, form, 3, seed=4)
    expected = null_counts(panel.values, panel.batch, partial(estimator, found.value), 3, 4)
    assert counts.sum() == expected.sum() == 3 * 66
    # But for rounding from one bin to the next, the same.
    assert np.abs(np.cumsum(counts) - np.cumsum(expected)).max() <= 2


def test_the_null_of_a_sparse_network_has_next_to_no_edges():
    values = planted(1)[0]
    panel = standardise(values, None)
    found = ESTIMATORS["graphical_lasso"](panel.values)
    counts = null_of(panel, found, "dense", 3, seed=4)
    assert counts.sum() == 3 * 780
    assert counts[0] >= 0.99 * counts.sum()
    assert np.count_nonzero(found.precision) > 40 + 20


def network(values, batch, permutations, seed, estimator="ledoit_wolf"):
    """Return |ρ| and q-value of every pair, and their positions."""
    estimate = partial(estimator, ESTIMATORS[estimator](values).value)
    rho = estimate(values)
    first, second = np.triu_indices(rho.genes, 1)
    size = np.abs(rho.matrix()[first, second])
    null = null_counts(values, batch, estimate, permutations, seed)
    return q_values(size, spread_of(rho, 0.15), null), first, second


def independent(seed, cells=60, genes=20):
    rng = np.random.default_rng(seed)
    batch = rng.integers(0, 3, cells)
    # Batches shift all genes together: left in, that would make everything an edge.
    values = rng.normal(size=(cells, genes)) + 3 * rng.normal(size=3)[batch][:, None]
    found = standardise(values, batch)
    return found.values, found.batch


@cache
def smallest_under_the_null():
    """The smallest q-value of each of 40 data sets of independent genes."""
    return np.array([network(*independent(seed), 20, seed)[0].min() for seed in range(40)])


def test_independent_genes_have_next_to_no_edges():
    smallest = smallest_under_the_null()
    assert np.mean(smallest < 0.05) <= 0.1
    assert np.median(smallest) > 0.3


def chain(genes, length, strength):
    """The covariance of a chain, every gene of which acts on the next; the others are alone."""
    links = (np.arange(genes - 1) < length - 1).astype(float) * strength
    return np.linalg.inv(np.eye(genes) - np.diag(links, 1) - np.diag(links, -1))


def planted(seed, cells=150, genes=40, length=25, strength=0.3):
    rng = np.random.default_rng(seed)
    root = np.linalg.cholesky(chain(genes, length, strength))
    batch = rng.integers(0, 2, cells)
    values = rng.normal(size=(cells, genes)) @ root.T + 2 * batch[:, None]
    found = standardise(values, batch)
    return found.values, found.batch


@cache
def found_and_false(estimator):
    """Edges found and false among them at q < .05 and q < .2, and true ones, of 15 data sets."""
    rows = []
    for seed in range(15):
        q, first, second = network(*planted(seed), 20, seed, estimator)
        true = (second == first + 1) & (second < 25)
        strict, loose = q < 0.05, q < 0.2
        rows.append([strict.sum(), (strict & ~true).sum(), loose.sum(), (loose & ~true).sum()])
    return np.array(rows), 24


@pytest.mark.parametrize("estimator", ["ledoit_wolf", "schaefer_strimmer"])
def test_a_chain_is_found_and_few_edges_besides(estimator):
    rows, links = found_and_false(estimator)
    strict, false_strict, loose, false_loose = rows.T
    assert ((strict - false_strict) / links).mean() > 0.6
    assert (loose >= strict).all()
    # The share of false ones, over all data sets, is what was asked for: not above, not far below.
    assert (false_strict / np.maximum(strict, 1)).mean() < 0.08
    assert 0.05 < (false_loose / np.maximum(loose, 1)).mean() < 0.25
