"""Gene embeddings against the definition of R's prcomp, and perturbation embeddings as sums."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lgem.errors import InputError
from lgem.prediction.embedding import (
    choose_dimensions,
    most_dimensions,
    pca_scores,
    target_embedding,
)

seeds = st.integers(0, 2**32 - 1)
shapes = st.tuples(st.integers(4, 40), st.integers(2, 12))


def log_expression(seed, genes, samples):
    """Genes that differ much in level, samples that differ little, as in a screen."""
    rng = np.random.default_rng(seed)
    return rng.gamma(2.0, size=(genes, 1)) + 0.3 * rng.normal(size=(genes, samples))


def prcomp_scores(expression):
    """Scores as prcomp defines them, the slow way: rotate the centred matrix by the eigenvectors
    of the covariance of its columns."""
    centred = expression - expression.mean(axis=0)
    covariance = centred.T @ centred / (len(expression) - 1)
    _, vectors = np.linalg.eigh(covariance)
    return centred @ vectors[:, ::-1]


@settings(deadline=None, max_examples=60)
@given(seed=seeds, shape=shapes)
def test_scores_are_those_of_prcomp(seed, shape):
    expression = log_expression(seed, *shape)
    most = most_dimensions(expression)
    found, expected = pca_scores(expression, most), prcomp_scores(expression)[:, :most]
    signs = np.sign(np.sum(found * expected, axis=0))
    np.testing.assert_allclose(found, expected * signs, atol=1e-6 * np.abs(found).max())


@settings(deadline=None, max_examples=60)
@given(seed=seeds, shape=shapes)
def test_scores_are_orthogonal_and_carry_all_variance(seed, shape):
    expression = log_expression(seed, *shape)
    scores = pca_scores(expression, most_dimensions(expression))
    products = scores.T @ scores
    size = products.max()
    np.testing.assert_allclose(products - np.diag(np.diag(products)), 0, atol=1e-12 * size)
    assert (np.diff(np.diag(products)) <= 1e-12 * size).all()
    variance = np.sum((expression - expression.mean(axis=0)) ** 2)
    assert np.trace(products) == pytest.approx(variance)


@settings(deadline=None, max_examples=60)
@given(seed=seeds, shape=shapes)
def test_signs_are_fixed_by_the_largest_entry(seed, shape):
    expression = log_expression(seed, *shape)
    scores = pca_scores(expression, 1)
    assert scores[np.abs(scores).argmax(), 0] > 0
    np.testing.assert_array_equal(pca_scores(-expression, 1), scores)


@settings(deadline=None, max_examples=60)
@given(seed=seeds, shape=shapes)
def test_scores_do_not_depend_on_the_order_or_the_level_of_samples(seed, shape):
    expression = log_expression(seed, *shape)
    rng = np.random.default_rng(seed + 1)
    moved = expression[:, rng.permutation(shape[1])] + rng.normal(size=shape[1])
    scores = pca_scores(expression, 1)
    np.testing.assert_allclose(pca_scores(moved, 1), scores, atol=1e-8 * np.abs(scores).max())


def test_samples_are_not_scaled():
    expression = log_expression(1, 30, 5)
    louder = expression * np.array([10.0, 1, 1, 1, 1])
    first = pca_scores(louder, 1)[:, 0]
    centred = louder[:, 0] - louder[:, 0].mean()
    assert np.corrcoef(first, centred)[0, 1] > 0.999
    assert np.linalg.norm(first) == pytest.approx(np.linalg.norm(centred), rel=0.02)


def test_fewer_dimensions_are_the_first_of_more():
    expression = log_expression(2, 30, 8)
    np.testing.assert_array_equal(pca_scores(expression, 3), pca_scores(expression, 8)[:, :3])


@pytest.mark.parametrize("rank", [1, 3])
def test_components_beyond_the_rank_are_exactly_zero(rank):
    rng = np.random.default_rng(3)
    level = rng.normal(size=6)  # constant over the genes: centring takes it away
    expression = rng.normal(size=(20, rank)) @ rng.normal(size=(rank, 6)) + level
    scores = pca_scores(expression, 6)
    assert not scores[:, rank:].any()
    assert np.abs(scores[:, :rank]).max(axis=0).all()


@settings(deadline=None, max_examples=40)
@given(seed=seeds, genes=st.integers(3, 12), dimensions=st.integers(1, 5))
def test_a_perturbation_is_the_sum_of_its_targets_and_control_is_zero(seed, genes, dimensions):
    G = np.random.default_rng(seed).normal(size=(genes, dimensions))
    P = target_embedding(G, [(1,), (0, 2), (), (2, 0)])
    assert P.shape == (4, dimensions)
    np.testing.assert_array_equal(P[0], G[1])
    np.testing.assert_array_equal(P[1], G[0] + G[2])
    np.testing.assert_array_equal(P[2], np.zeros(dimensions))
    np.testing.assert_array_equal(P[3], P[1])


@pytest.mark.parametrize(("genes", "samples", "most"), [(100, 6, 6), (5, 30, 4), (7, 7, 6)])
def test_dimensions_end_at_samples_or_at_genes_less_one(genes, samples, most):
    expression = log_expression(4, genes, samples)
    assert choose_dimensions(most, expression) == most
    assert np.linalg.matrix_rank(expression - expression.mean(axis=0)) == most
    with pytest.raises(InputError) as error:
        choose_dimensions(most + 1, expression)
    message = str(error.value)
    assert message.startswith(f"dimensions: found {most + 1}; expected at most {most}")
    assert f"{genes} genes, {samples} training profiles" in message


@pytest.mark.parametrize(("samples", "chosen"), [(4, 4), (10, 10), (25, 10)])
def test_auto_takes_ten_dimensions_or_as_many_as_there_can_be(samples, chosen):
    assert choose_dimensions(None, log_expression(5, 40, samples)) == chosen
