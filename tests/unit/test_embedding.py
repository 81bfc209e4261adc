"""Gene embeddings against their definitions, and perturbation embeddings as sums."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lgem.errors import InputError
from lgem.prediction.components import principal_scores
from lgem.prediction.embedding import (
    GeneEmbedding,
    PerturbationEmbedding,
    choose_dimensions,
    pca_scores,
    random_genes,
    random_vector,
    target_embedding,
)
from lgem.prediction.space import Columns
from lgem.screen.labels import Target
from tests.unit.model_cases import part_of, pooled, sampled_training, training

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
    genes, samples = expression.shape
    most = min(genes - 1, samples)
    found, expected = pca_scores(expression, most), prcomp_scores(expression)[:, :most]
    signs = np.sign(np.sum(found * expected, axis=0))
    np.testing.assert_allclose(found, expected * signs, atol=1e-6 * np.abs(found).max())


@settings(deadline=None, max_examples=60)
@given(seed=seeds, shape=shapes)
def test_scores_are_orthogonal_and_carry_all_variance(seed, shape):
    expression = log_expression(seed, *shape)
    scores = pca_scores(expression, min(len(expression) - 1, expression.shape[1]))
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


def test_effects_are_taken_as_they_are_since_no_effect_is_the_origin():
    effects = training().effects + 5.0
    scores = GeneEmbedding("pca").of(Columns.of(training()), 9)
    np.testing.assert_allclose(scores @ scores.T, training().effects @ training().effects.T)
    assert np.linalg.norm(principal_scores(effects, 1)) == pytest.approx(
        np.linalg.norm(effects, ord=2)
    )


@pytest.mark.parametrize("batches", [1, 2])
def test_unadjusted_components_are_those_of_pooled_means(batches):
    known = sampled_training(30, training().perturbations, batches)
    found = GeneEmbedding("pca_unadjusted").of(Columns.of(known), 4)
    np.testing.assert_allclose(
        found, principal_scores(pooled(known.samples, known.perturbations), 4), atol=1e-12
    )
    adjusted = GeneEmbedding("pca").of(Columns.of(known), 4)
    assert (np.abs(found - adjusted).max() > 0.01) == (batches > 1)


def test_components_of_samples_follow_the_columns_not_the_order_of_samples():
    known = sampled_training(30, training().perturbations, 2)
    columns = Columns.of(known)
    turned = columns.only([4, 1, 0])
    assert set(turned.samples.perturbations) == {"control", *turned.perturbations}
    expected = principal_scores(pooled(known.samples, turned.perturbations), 3)
    np.testing.assert_allclose(GeneEmbedding("pca_unadjusted").of(turned, 3), expected, atol=1e-12)


@pytest.mark.parametrize("source", ["pca", "pca_expression"])
@pytest.mark.parametrize("dimensions", [1, 3, 7])
def test_fewer_dimensions_are_the_first_of_more(source, dimensions):
    columns = Columns.of(training())
    embedding = GeneEmbedding(source)
    assert embedding.nested
    np.testing.assert_array_equal(
        embedding.of(columns, dimensions), embedding.of(columns, 9)[:, :dimensions]
    )


@pytest.mark.parametrize("rank", [1, 3])
def test_components_beyond_the_rank_are_exactly_zero(rank):
    rng = np.random.default_rng(3)
    level = rng.normal(size=6)  # constant over the genes: centring takes it away
    expression = rng.normal(size=(20, rank)) @ rng.normal(size=(rank, 6)) + level
    for scores in (pca_scores(expression, 6), principal_scores(expression - level, 6)):
        assert not scores[:, rank:].any()
        assert np.abs(scores[:, :rank]).max(axis=0).all()


def test_profiles_and_control_together_are_the_published_embedding():
    known = training()
    profiles = np.column_stack([known.control[:, None] + known.effects, known.control])
    embedding = GeneEmbedding("pca_expression")
    np.testing.assert_allclose(
        embedding.of(Columns.of(known), 4), pca_scores(profiles, 4), atol=1e-12
    )
    assert embedding.most(Columns.of(known), 30) == min(29, profiles.shape[1]) == 10


@pytest.mark.parametrize(
    ("source", "genes", "most"),
    [("pca", 30, 9), ("pca", 5, 5), ("pca_expression", 30, 10), ("pca_expression", 5, 4)],
)
def test_components_end_at_perturbations_or_at_genes(source, genes, most):
    assert GeneEmbedding(source).most(Columns.of(training()), genes) == most


def test_a_gene_table_or_the_identity_has_the_dimensions_that_it_has():
    columns = Columns.of(training())
    table = GeneEmbedding("file", np.arange(90.0).reshape(30, 3))
    assert not table.nested
    assert not GeneEmbedding("identity").nested
    assert table.most(columns, 30) == 3
    assert GeneEmbedding("identity").most(columns, 30) == 30
    np.testing.assert_array_equal(table.of(columns, 1), table.values)


def test_random_genes_are_the_same_in_every_training_set_and_nested():
    drawn = random_genes(30, 50, seed=4)
    assert drawn.nested
    assert drawn.values.shape == (30, 50)
    np.testing.assert_array_equal(drawn.values[:, :7], random_genes(30, 7, seed=4).values)
    known = training()
    few = drawn.of(Columns.of(part_of(known, [0, 1, 2])), 5)
    np.testing.assert_array_equal(few, drawn.of(Columns.of(known), 5))
    assert np.abs(random_genes(30, 7, seed=5).values - drawn.values[:, :7]).max() > 1
    assert np.std(drawn.values) == pytest.approx(1, abs=0.05)


def test_random_vectors_belong_to_a_gene_and_a_seed_and_are_nested():
    vector = random_vector("STAT1", 6, seed=2)
    np.testing.assert_array_equal(random_vector("STAT1", 50, seed=2)[:6], vector)
    assert not np.isclose(random_vector("STAT2", 6, seed=2), vector).any()
    assert not np.isclose(random_vector("STAT1", 6, seed=3), vector).any()


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


@pytest.mark.parametrize("source", ["target", "pca"])
def test_what_is_looked_up_among_the_genes_needs_its_targets_measured(source):
    embedding = PerturbationEmbedding(source)
    assert embedding.by_gene
    assert embedding.why_not("A", Target((3,))) == ""
    assert embedding.why_not("A+X", Target(None, "target not measured: X")) == (
        "target not measured: X"
    )


@pytest.mark.parametrize("source", ["file", "dataset"])
def test_a_table_needs_a_row_for_the_combination_or_for_each_of_its_genes(source):
    table = {"A": np.array([1.0, 2]), "B": np.array([10.0, 20]), "A+C": np.array([5.0, 6])}
    embedding = PerturbationEmbedding(source, table)
    unmeasured = Target(None, "target not measured: A")
    assert not embedding.by_gene
    assert embedding.width == 2
    for name, vector in {"A": [1, 2], "A+B": [11, 22], "A+C": [5, 6]}.items():
        assert embedding.why_not(name, unmeasured) == ""
        np.testing.assert_array_equal(embedding.vector(name, 2), vector)
    for name, missing in {"C": "C", "B+C": "C", "C+D": "C, D"}.items():
        assert embedding.why_not(name, Target((0,))) == (
            f"not in the perturbation embedding: {missing}"
        )


def test_components_of_a_dataset_can_be_cut_to_fewer_and_a_users_table_cannot():
    table = {"A": np.array([1.0, 2, 3])}
    np.testing.assert_array_equal(PerturbationEmbedding("dataset", table).vector("A", 2), [1, 2])
    np.testing.assert_array_equal(PerturbationEmbedding("file", table).vector("A", 2), [1, 2, 3])
    assert PerturbationEmbedding("dataset", table).nested
    assert not PerturbationEmbedding("file", table).nested


def test_random_perturbations_need_nothing_and_combinations_are_sums():
    embedding = PerturbationEmbedding("random", seed=3)
    assert embedding.why_not("X+Y", Target(None, "target not measured: X, Y")) == ""
    first, second = (random_vector(gene, 4, 3) for gene in "XY")
    np.testing.assert_array_equal(embedding.vector("X+Y", 4), first + second)
    assert embedding.width == 0


def test_dimensions_asked_for_are_taken_or_refused_with_the_most_there_can_be():
    assert choose_dimensions(6, 6, 10, "4 genes") == 6
    with pytest.raises(InputError) as error:
        choose_dimensions(7, 6, 10, "30 genes, 6 training perturbations")
    assert str(error.value) == (
        "dimensions: found 7; expected at most 6 (30 genes, 6 training perturbations), or auto"
    )


@pytest.mark.parametrize(("most", "chosen"), [(4, 4), (10, 10), (25, 10)])
def test_auto_takes_the_preferred_dimensions_or_as_many_as_there_can_be(most, chosen):
    assert choose_dimensions(None, most, 10, "") == chosen


def test_a_target_without_a_row_in_the_table_cannot_be_looked_up():
    embedding = PerturbationEmbedding("target", unknown=frozenset({4}))
    assert embedding.why_not("G4", Target((4,))) == "target not in the gene embedding"
    assert embedding.why_not("G3+G4", Target((3, 4))) == "target not in the gene embedding"
    assert embedding.why_not("G3", Target((3,))) == ""
