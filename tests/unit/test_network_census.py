"""One pass over all pairs by blocks, against the plain table of all pairs."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lgem.network import census as module
from lgem.network.census import BINS, Pairs, census, spread_of
from lgem.network.dense import DensePartial
from lgem.network.implicit import ImplicitPrecision
from lgem.network.precision import partial_correlations
from lgem.network.structure import LowRank


def symmetric(seed, genes, steps=None):
    """Any partial correlations; with `steps`, so coarse that most of them tie or are 0."""
    rho = np.random.default_rng(seed).uniform(-0.99, 0.99, (genes, genes))
    if steps:
        rho = np.round(rho * steps) / (steps + 1)
    upper = np.triu(rho, 1)
    return upper + upper.T + np.eye(genes)


def upper(rho):
    """Every pair once, by position."""
    return rho[np.triu_indices(len(rho), 1)]


def listed(pairs):
    columns = (pairs.first, pairs.second, pairs.before, pairs.after)
    return list(zip(*[column.tolist() for column in columns], strict=True))


def by_key(before, after, key, count):
    """The pairs of largest key, by a sort of all of them that leaves ties where they stand."""
    first, second = np.triu_indices(len(before), 1)
    order = [k for k in np.argsort(-key, kind="stable") if key[k] > 0][:count]
    pairs = Pairs(first, second, upper(before), upper(after))
    return listed(pairs.take(np.array(order, dtype=int)))


def check(before, after, threshold, top, most, changes=20):
    """Compare a census with the plain computation, numbers to the last bit."""
    same = after is before
    old = DensePartial(before)
    found = census(old, old if same else DensePartial(after), threshold, top, most, changes)
    for spread, rho in ((found.before, before), (found.after, after)):
        pairs = upper(rho)
        assert spread.pairs == len(pairs)
        assert spread.strong == np.sum(np.abs(pairs) > threshold)
        assert spread.total == pytest.approx(np.abs(pairs).sum(), rel=1e-12)
        assert spread.largest == np.abs(pairs).max()
        bounds = np.linspace(-1, 1, BINS + 1)
        np.testing.assert_array_equal(spread.counts, np.histogram(pairs, bounds)[0])
    size = np.maximum(np.abs(upper(before)), np.abs(upper(after)))
    assert found.strong == np.sum(size > threshold)
    count = min(max(found.strong, top), most)
    assert listed(found.edges) == by_key(before, after, size, count)
    change = np.abs(np.abs(upper(after)) - np.abs(upper(before)))
    assert listed(found.changed) == by_key(before, after, change, changes)
    return found


@settings(deadline=None, max_examples=120)
@given(
    seed=st.integers(0, 2**32 - 1),
    genes=st.integers(2, 40),
    block=st.integers(1, 700),
    steps=st.sampled_from([None, 3, 10]),
    threshold=st.sampled_from([0.0, 0.15, 0.6, 0.9, 1.0]),
    top=st.sampled_from([0, 1, 7, 60, 10_000]),
    most=st.sampled_from([0, 1, 7, 25, 10_000]),
    updated=st.booleans(),
)
def test_a_census_is_the_plain_table_of_all_pairs(
    seed, genes, block, steps, threshold, top, most, updated
):
    before = symmetric(seed, genes, steps)
    after = symmetric(seed + 1, genes, steps) if updated else before
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "BLOCK", block)
        found = check(before, after, threshold, top, most, changes=5)
        again = spread_of(DensePartial(after), threshold)
    np.testing.assert_array_equal(again.counts, found.after.counts)
    assert (again.strong, again.largest) == (found.after.strong, found.after.largest)


@pytest.mark.parametrize("block", [1, 90, 1000, 2**22])
def test_the_blocks_do_not_show(monkeypatch, block):
    monkeypatch.setattr(module, "BLOCK", block)
    check(symmetric(1, 90), symmetric(2, 90), 0.5, 100, 10_000)
    check(symmetric(3, 90, 2), symmetric(4, 90, 2), 0.5, 100, 700)


def rising(genes):
    """Partial correlations that grow along the pass: every pair is the strongest so far."""
    rho = np.eye(genes)
    pairs = genes * (genes - 1) // 2
    rho[np.triu_indices(genes, 1)] = np.arange(1, pairs + 1) / (pairs + 1)
    return np.maximum(rho, rho.T)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(("top", "most"), [(5, 50), (50, 50), (0, 5), (500, 600)])
def test_the_strongest_pairs_are_found_wherever_they_stand(monkeypatch, sign, top, most):
    monkeypatch.setattr(module, "BLOCK", 60)
    upwards = rising(40)
    downwards = np.where(np.eye(40) > 0, 1, 1 - upwards)
    for rho in (upwards, downwards):
        for threshold in (0.2, 0.95, 0.999):
            check(np.where(np.eye(40) > 0, 1, sign * rho), rho, threshold, top, most)


def test_an_edge_is_above_the_threshold_not_at_it():
    rho = np.array([[1, 0.15, -0.2], [0.15, 1, 0], [-0.2, 0, 1]])
    found = check(rho, rho, 0.15, 0, 10)
    assert listed(found.edges) == [(0, 2, -0.2, -0.2)]
    assert (found.strong, found.before.strong) == (1, 1)


def test_a_pair_without_partial_correlation_is_never_listed():
    found = check(np.eye(6), np.eye(6), 0.15, 100, 100)
    assert len(found.edges) == len(found.changed) == 0
    assert found.before.largest == 0.0
    after = np.eye(6)
    after[1, 4] = after[4, 1] = -0.01
    found = check(np.eye(6), after, 0.15, 100, 100)
    assert listed(found.edges) == listed(found.changed) == [(1, 4, 0.0, -0.01)]
    assert found.edges.change.tolist() == found.edges.strength.tolist() == [0.01]


def test_without_updates_nothing_changes_and_one_pass_serves_both():
    class Counted(DensePartial):
        asked = 0

        def block(self, rows, columns):
            self.asked += 1
            return super().block(rows, columns)

    rho = Counted(symmetric(5, 20))
    found = census(rho, rho, 0.15, 10, 100)
    assert rho.asked == 1
    np.testing.assert_array_equal(found.after.counts, found.before.counts)
    assert found.after.total == found.before.total > 0
    assert len(found.changed) == 0
    np.testing.assert_array_equal(found.edges.before, found.edges.after)


def test_a_sign_that_turns_is_no_change():
    rho = symmetric(6, 20)
    turned = np.where(np.eye(20) > 0, 1, -rho)
    found = check(rho, turned, 0.15, 10, 100)
    assert len(found.changed) == 0
    np.testing.assert_array_equal(found.edges.before, -found.edges.after)


def test_partial_correlations_of_one_in_size_are_counted():
    rho = np.array([[1, 1, -1], [1, 1, np.nextafter(1, 2)], [-1, np.nextafter(1, 2), 1]])
    counts = spread_of(DensePartial(rho), 0.5).counts
    assert (counts[0], counts[-1], counts.sum()) == (1, 2, 3)


def low_rank(seed, genes, rank):
    rng = np.random.default_rng(seed)
    return LowRank(rng.uniform(0.5, 2, genes), rng.normal(size=(genes, rank)) / np.sqrt(rank))


@pytest.mark.parametrize("block", [1, 100, 2**22])
def test_the_implicit_form_has_the_census_of_the_dense_one(monkeypatch, block):
    monkeypatch.setattr(module, "BLOCK", block)
    covariance = low_rank(7, 60, 4)
    x = np.random.default_rng(8).normal(size=(60, 2))
    form = ImplicitPrecision(covariance)
    before = form.partial_correlations()
    form.refactorise(x, np.empty((60, 0)))
    found = census(before, form.partial_correlations(), 0.1, 50, 1000)

    full = covariance.dense()
    first, second = np.linalg.inv(full), np.linalg.inv(full + x @ x.T)
    expected = census(
        DensePartial(partial_correlations(first)),
        DensePartial(partial_correlations(second)),
        0.1, 50, 1000,
    )  # fmt: skip
    assert found.strong == expected.strong
    for pairs, others in ((found.edges, expected.edges), (found.changed, expected.changed)):
        ends = list(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True))
        assert ends == list(zip(others.first.tolist(), others.second.tolist(), strict=True))
        np.testing.assert_allclose(pairs.before, others.before, atol=1e-12)
        np.testing.assert_allclose(pairs.after, others.after, atol=1e-12)
    for spread, other in ((found.before, expected.before), (found.after, expected.after)):
        assert (spread.strong, spread.pairs) == (other.strong, other.pairs)
        assert spread.total == pytest.approx(other.total, rel=1e-10)


def test_no_table_of_all_pairs_is_formed(monkeypatch):
    monkeypatch.setattr(module, "BLOCK", 2**17)
    genes, most = 3000, 2000
    form = ImplicitPrecision(low_rank(9, genes, 8))
    before = form.partial_correlations()
    form.refactorise(np.random.default_rng(10).normal(size=(genes, 1)), np.empty((genes, 0)))
    after = form.partial_correlations()
    tracemalloc.start()
    # Everything is strong: what is kept is limited by `most` alone.
    found = census(before, after, 1e-9, 1000, most)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(found.edges) == most
    assert found.strong > 4_000_000
    all_pairs = 8 * genes**2
    assert peak < all_pairs / 2
