"""Gene embeddings by mixed forms: the axes of the fixed part, in gene space and in coordinates."""

import numpy as np
import pytest

from lgem.prediction.codes import CONSTRAINED, FREE, FormSettings, fit_codes, gene_scores
from lgem.prediction.embedding import LMF, PCA_UNADJUSTED, GeneEmbedding
from lgem.prediction.linear import Specification, space_of
from lgem.prediction.mixed_constrained import fit_constrained
from lgem.prediction.mixed_use import subspace_distance
from lgem.prediction.samples import Samples
from lgem.prediction.space import Columns
from lgem.screen.effects import GroupStatistics
from tests.unit.model_cases import SINGLES, UNMEASURED, sampled_statistics, sampled_training

NAMES = [*SINGLES, *UNMEASURED, "G3+G8"]
BOTH = pytest.mark.parametrize("codes", [FREE, CONSTRAINED])


def samples_of(batches=3, genes=30, seed=1):
    factors = ["batch"] if batches > 1 else []
    return Samples.of(sampled_statistics(genes, NAMES, batches, seed), factors)


def embedding(codes, dimensions=4):
    return GeneEmbedding(LMF, forms=FormSettings(dimensions=dimensions, codes=codes))


def up_to_signs(found, expected):
    """The columns of a matrix with the signs that another one has."""
    return found * np.sign(np.sum(found * expected, axis=0))


@BOTH
@pytest.mark.parametrize("genes", [7, 30, 80])
@pytest.mark.parametrize("batches", [1, 3])
def test_scores_are_the_right_side_of_the_fixed_part(codes, genes, batches):
    samples = samples_of(batches, genes)
    settings = FormSettings(dimensions=4, codes=codes)
    G, forms = gene_scores(samples, settings), fit_codes(samples, settings)
    _, s, right = np.linalg.svd(forms.K @ forms.alpha.T, full_matrices=False)
    assert G.shape == (genes, 4)
    np.testing.assert_allclose(np.linalg.norm(G, axis=0), s[:4], atol=1e-10 * s[0])
    expected = right[:4].T * s[:4]
    np.testing.assert_allclose(up_to_signs(G, expected), expected, atol=1e-8 * s[0])


@BOTH
def test_the_largest_entry_of_every_axis_is_positive(codes):
    G = gene_scores(samples_of(), FormSettings(dimensions=4, codes=codes))
    assert (G[np.abs(G).argmax(axis=0), np.arange(4)] > 0).all()


@BOTH
def test_the_axes_span_the_loadings(codes):
    samples, settings = samples_of(), FormSettings(dimensions=4, codes=codes)
    alpha = fit_codes(samples, settings).alpha
    assert subspace_distance(gene_scores(samples, settings), alpha) < 1e-8


def test_the_constrained_form_is_that_of_the_mixed_model():
    samples = samples_of()
    found = gene_scores(samples, FormSettings(dimensions=4, codes=CONSTRAINED))
    model = fit_constrained(samples.with_intercept(), 4)
    assert subspace_distance(found, model.alpha) < 1e-8
    assert model.ratio > 0  # batches are there
    # With as many codes as there are samples nothing is cut: fixed effects of the standard model.
    whole = gene_scores(samples, FormSettings(dimensions=99, codes=CONSTRAINED))
    model = fit_constrained(samples.with_intercept())
    fixed = samples.with_intercept().X @ model.fixed_effects
    np.testing.assert_allclose(whole @ whole.T, fixed.T @ fixed, atol=1e-8)


def test_free_and_constrained_codes_are_not_the_same():
    free, constrained = (
        gene_scores(samples_of(), FormSettings(dimensions=2, codes=codes))
        for codes in (FREE, CONSTRAINED)
    )
    assert subspace_distance(free, constrained) > 1e-3


@BOTH
@pytest.mark.parametrize("batches", [1, 2, 3])
def test_in_coordinates_the_embedding_is_that_of_gene_space(codes, batches):
    """Everything of a fit lies in the span of the profiles, so that nothing is lost.

    Where it stops is the same only up to rounding: the quasi-Newton steps of the free form carry
    the rounding of their start along, the search for the variance ratio of the constrained form
    knows a maximum to half of the digits.
    """
    training = sampled_training(80, NAMES, batches)
    training.samples.profiles[40:43] = 0.0  # never expressed: of no variance in coordinates either
    columns = Columns.of(training)
    source = embedding(codes)
    compressed = columns.compressed(columns.samples.profiles)
    assert compressed.basis is not None
    assert len(compressed.samples.profiles) == compressed.basis.shape[1] < 80
    expected = source.of(columns, 4)
    found = compressed.in_genes(source.of(compressed, 4))
    np.testing.assert_allclose(
        up_to_signs(found, expected), expected, atol=1e-5 * np.abs(expected).max()
    )


def test_the_variance_ratio_is_that_of_genes_also_in_coordinates():
    """In coordinates alone it would be another one: variances of residuals belong to genes."""
    columns = Columns.of(sampled_training(80, NAMES, 3))
    compressed = columns.compressed(columns.samples.profiles)
    settings = FormSettings(dimensions=4, codes=CONSTRAINED)
    expected = gene_scores(columns.samples, settings)
    with_genes, without = (
        compressed.in_genes(gene_scores(compressed.samples, settings, basis))
        for basis in (compressed.basis, None)
    )
    assert np.abs(up_to_signs(with_genes, expected) - expected).max() < 1e-6
    assert np.abs(up_to_signs(without, expected) - expected).max() > 1e-3


@pytest.mark.parametrize("batches", [1, 2, 3])
def test_in_coordinates_unadjusted_components_are_those_of_gene_space(batches):
    columns = Columns.of(sampled_training(80, NAMES, batches))
    compressed = columns.compressed(columns.samples.profiles)
    expected = GeneEmbedding(PCA_UNADJUSTED).of(columns, 5)
    found = compressed.in_genes(GeneEmbedding(PCA_UNADJUSTED).of(compressed, 5))
    np.testing.assert_allclose(
        up_to_signs(found, expected), expected, atol=1e-12 * np.abs(expected).max()
    )


@pytest.mark.parametrize(
    ("source", "kept"), [("lmf", True), ("pca_unadjusted", True), ("pca", False), ("random", False)]
)
def test_the_smallest_space_holds_the_samples_where_they_are_looked_at(source, kept):
    columns = Columns.of(sampled_training(80, NAMES, 2))
    genes = {"lmf": embedding(FREE), "random": GeneEmbedding("random", np.ones((80, 2)))}
    specification = Specification(genes.get(source, GeneEmbedding(source)), None, "tikhonov")
    found = space_of(columns, specification)
    assert (found.samples is not None) == kept
    spanning = [columns.effects] + ([columns.samples.profiles] if kept else [])
    for part in spanning:
        np.testing.assert_allclose(found.in_genes(found.coordinates(part)), part, atol=1e-12)


@BOTH
def test_fewer_dimensions_are_the_first_of_more_and_those_beyond_the_rank_are_zeros(codes):
    columns, source = Columns.of(sampled_training(30, NAMES, 2)), embedding(codes, 3)
    most = source.of(columns, 9)
    assert source.nested
    assert most.shape == (30, 9)
    assert not most[:, 3:].any()
    assert np.abs(most[:, :3]).max(axis=0).all()
    for dimensions in (1, 2, 3, 5):
        np.testing.assert_array_equal(source.of(columns, dimensions), most[:, :dimensions])


@BOTH
def test_a_fixed_part_of_low_rank_has_axes_of_zeros_beyond_it(codes):
    """Perturbations that all do the same have one axis, whatever the batches do."""
    statistics = sampled_statistics(30, NAMES, 3, seed=4)
    groups, rng = statistics.groups, np.random.default_rng(5)
    shifts = {name: rng.normal(size=30) for name in sorted(set(groups["batch"]))}
    effect = rng.normal(size=30)
    mean = np.array(
        [
            5 + shifts[row.batch] + effect * (row.perturbation != "control")
            for row in groups.itertuples()
        ]
    )
    exact = Samples.of(GroupStatistics(groups, mean, statistics.variance), ["batch"])
    G = gene_scores(exact, FormSettings(dimensions=6, codes=codes))
    forms = fit_codes(exact, FormSettings(dimensions=6, codes=codes))
    s = np.linalg.svd(forms.K @ forms.alpha.T, compute_uv=False)
    rank = np.linalg.matrix_rank(forms.K @ forms.alpha.T)
    assert rank < len(NAMES)
    np.testing.assert_allclose(np.linalg.norm(G, axis=0)[:rank], s[:rank], atol=1e-9 * s[0])
    np.testing.assert_array_equal(G[:, rank:], 0)


@BOTH
def test_where_nothing_moves_there_is_no_code_and_the_embedding_is_zeros(codes):
    statistics = sampled_statistics(30, NAMES, 2, seed=1)
    flat = GroupStatistics(statistics.groups, np.ones_like(statistics.mean), statistics.variance)
    samples = Samples.of(flat, ["batch"])
    assert gene_scores(samples, FormSettings(codes=codes)).shape == (30, 0)
    columns = Columns.of(sampled_training(30, NAMES, 2))
    still = Columns(0 * columns.effects, *list(vars(columns).values())[1:-1], samples)
    np.testing.assert_array_equal(embedding(codes).of(still, 3), np.zeros((30, 3)))


@pytest.mark.parametrize(
    ("genes", "names", "dimensions", "most"),
    [(30, NAMES, 10, 9), (30, NAMES, 4, 4), (7, NAMES, 10, 7), (30, NAMES[:2], 10, 2)],
)
def test_dimensions_end_at_genes_perturbations_or_codes(genes, names, dimensions, most):
    columns = Columns.of(sampled_training(30, names, 2))
    assert embedding(FREE, dimensions).most(columns, genes) == most
    assert GeneEmbedding(PCA_UNADJUSTED).most(columns, genes) == min(genes, len(names))


@BOTH
def test_what_is_fitted_is_what_config_says(codes):
    samples = samples_of()
    one, other = (
        gene_scores(samples, FormSettings(dimensions=3, codes=codes, penalty=penalty))
        for penalty in (0.01, 0.3)
    )
    assert np.array_equal(one, other) == (codes == CONSTRAINED)  # which has no penalty
    np.testing.assert_array_equal(
        one, gene_scores(samples, FormSettings(dimensions=3, codes=codes, penalty=0.01))
    )
