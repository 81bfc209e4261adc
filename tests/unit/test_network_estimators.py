"""Estimators of the covariance: each against its formula written out, and against the truth."""

import numpy as np
import pytest
from sklearn.covariance import ledoit_wolf_shrinkage
from sklearn.covariance import oas as oas_of_scikit_learn

from lgem.errors import InputError
from lgem.network.covariance import standardise
from lgem.network.estimators import (
    ESTIMATORS,
    FACTORS,
    PENALTY,
    SHRINKAGE,
    ledoit_wolf_intensity,
    oas_intensity,
    schaefer_strimmer_intensity,
    shrunk,
)
from lgem.network.lasso import graphical_lasso
from lgem.network.precision import invert
from lgem.network.structure import LowRank, dense

CHOICES = {
    "ledoit_wolf": SHRINKAGE,
    "oas": SHRINKAGE,
    "schaefer_strimmer": SHRINKAGE,
    "factor_model": FACTORS,
    "graphical_lasso": PENALTY,
}
INTENSITIES = {
    "ledoit_wolf": ledoit_wolf_intensity,
    "oas": oas_intensity,
    "schaefer_strimmer": schaefer_strimmer_intensity,
}
SHAPES = [(60, 12), (12, 12), (8, 20)]


def standardised(seed, cells, covariance):
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(cells, len(covariance))) @ np.linalg.cholesky(covariance).T
    return standardise(values, None).values


def chain(genes, strength=0.4):
    """The covariance of a chain: every gene acts on the next one alone."""
    precision = np.eye(genes) + strength * (np.eye(genes, k=1) + np.eye(genes, k=-1))
    return np.linalg.inv(precision)


def one_factor(genes):
    loading = np.linspace(0.2, 0.8, genes)
    return np.outer(loading, loading) + np.diag(1 - loading**2)


def test_every_estimator_says_what_it_chooses():
    assert set(ESTIMATORS) == set(CHOICES)


@pytest.mark.parametrize("name", CHOICES)
@pytest.mark.parametrize(("cells", "genes"), SHAPES)
def test_every_estimate_is_a_covariance_that_has_an_inverse(name, cells, genes):
    values = standardised(1, cells, chain(genes))
    untouched = values.copy()
    found = ESTIMATORS[name](values)
    np.testing.assert_array_equal(values, untouched)
    assert (found.estimator, found.choice) == (name, CHOICES[name])
    covariance = dense(found.covariance)
    assert covariance.shape == (genes, genes)
    np.testing.assert_allclose(covariance, covariance.T, atol=1e-12)
    assert np.linalg.eigvalsh(covariance).min() > 0
    # Partial correlations do not depend on the variances, but the units of updates do.
    tolerance = 0.006 if name == "factor_model" else 1e-6
    np.testing.assert_allclose(np.diag(covariance), 1, atol=tolerance)
    theta = invert(found.covariance, found.precision).matrix()
    np.testing.assert_allclose(theta @ covariance, np.eye(genes), atol=1e-6)


@pytest.mark.parametrize("name", CHOICES)
@pytest.mark.parametrize(("cells", "genes"), SHAPES)
def test_an_estimate_at_its_own_choice_is_the_same(name, cells, genes):
    values = standardised(1, cells, one_factor(genes))
    found = ESTIMATORS[name](values)
    for again in (ESTIMATORS[name](values), ESTIMATORS[name](values, at=found.value)):
        assert (again.estimator, again.choice, again.value) == (name, found.choice, found.value)
        np.testing.assert_array_equal(dense(again.covariance), dense(found.covariance))
        assert (again.precision is None) == (found.precision is None)


@pytest.mark.parametrize("name", CHOICES)
def test_a_choice_that_is_given_is_used(name):
    values = standardised(2, 80, one_factor(15))
    for at in (2, 4) if name == "factor_model" else (0.1, 0.3):
        found = ESTIMATORS[name](values, at=at)
        assert found.value == at
        if name == "factor_model":
            assert found.covariance.factor.shape == (15, at)
        elif name == "graphical_lasso":
            # The graph is that of the penalty; on its edges the fit is that of the data.
            graph = graphical_lasso(values, at).precision != 0
            np.testing.assert_array_equal(found.precision != 0, graph)
            sample = values.T @ values / 80
            np.testing.assert_allclose(found.covariance[graph], sample[graph], atol=1e-5)
        else:
            np.testing.assert_array_equal(dense(found.covariance), shrunk(values, at).dense())


@pytest.mark.parametrize("name", CHOICES)
def test_many_cells_lead_to_the_truth(name):
    # One factor is a truth that all of them can hold.
    found = ESTIMATORS[name](standardised(2, 40_000, one_factor(10)))
    # The lasso may stay as far from the sample as its penalty.
    bias = found.value if found.choice == PENALTY else 0.0
    assert bias < 0.05
    assert np.abs(dense(found.covariance) - one_factor(10)).max() < 0.02 + bias


@pytest.mark.parametrize("name", CHOICES)
def test_the_choice_is_said_in_words(name):
    found = ESTIMATORS[name](standardised(3, 50, chain(10)))
    words = name.replace("_", " ")
    assert found.in_words == f"{words} with {CHOICES[name]} {found.value:.3g}"


@pytest.mark.parametrize("name", ["ledoit_wolf", "oas", "schaefer_strimmer", "factor_model"])
def test_of_many_genes_no_table_is_formed(name):
    found = ESTIMATORS[name](standardised(4, 20, np.eye(50)))
    assert isinstance(found.covariance, LowRank)
    assert found.precision is None
    assert found.covariance.factor.shape[0] == 50
    assert found.covariance.factor.shape[1] <= 20


def test_the_lasso_hands_on_its_zeros():
    found = ESTIMATORS["graphical_lasso"](standardised(5, 400, chain(12)))
    off = found.precision[np.triu_indices(12, 1)]
    assert 0 < np.sum(off == 0) < len(off)
    rho = invert(found.covariance, found.precision).partial_correlations().matrix()
    np.testing.assert_array_equal(rho[np.triu_indices(12, 1)] == 0, off == 0)


@pytest.mark.parametrize("truth", [chain, np.eye, one_factor])
@pytest.mark.parametrize(("cells", "genes"), [*SHAPES, (300, 5), (3, 40), (500, 2)])
def test_ledoit_and_wolf_is_that_of_scikit_learn(cells, genes, truth):
    values = standardised(6, cells, truth(genes))
    expected = ledoit_wolf_shrinkage(values, assume_centered=True)
    assert ledoit_wolf_intensity(values) == pytest.approx(expected, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize(("cells", "genes"), SHAPES)
def test_ledoit_and_wolf_is_the_formula_cell_by_cell(cells, genes):
    values = standardised(7, cells, chain(genes))
    sample = values.T @ values / cells
    scatter = sum(np.sum((np.outer(cell, cell) - sample) ** 2) for cell in values) / cells**2
    target = np.trace(sample) / genes * np.eye(genes)
    expected = min(1, scatter / np.sum((sample - target) ** 2))
    assert ledoit_wolf_intensity(values) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize(("cells", "genes"), [*SHAPES, (300, 100)])
def test_oas_is_the_formula_of_the_paper(cells, genes):
    values = standardised(8, cells, chain(genes))
    n, p = values.shape
    sample = values.T @ values / n
    square, trace = np.trace(sample @ sample), np.trace(sample)
    intensity = ((1 - 2 / p) * square + trace**2) / ((n + 1 - 2 / p) * (square - trace**2 / p))
    assert oas_intensity(values) == pytest.approx(min(1, intensity), rel=1e-12)
    # scikit-learn leaves out the terms in 2 / p.
    assert oas_intensity(values) == pytest.approx(
        oas_of_scikit_learn(values, assume_centered=True)[1], rel=0.05
    )


@pytest.mark.parametrize(("cells", "genes"), [(25, 7), (9, 12)])
def test_schaefer_and_strimmer_is_the_formula_pair_by_pair(cells, genes):
    values = standardised(9, cells, chain(genes))
    variance = signal = 0.0
    for i in range(genes):
        for j in range(genes):
            if i != j:
                products = values[:, i] * values[:, j]
                variance += products.var(ddof=1) / cells
                signal += products.mean() ** 2
    found = schaefer_strimmer_intensity(values)
    assert found == pytest.approx(min(1, variance / signal), rel=1e-10)


@pytest.mark.parametrize("name", INTENSITIES)
def test_shrinkage_moves_correlations_towards_none_and_keeps_variances(name):
    values = standardised(10, 30, chain(15))
    sample = values.T @ values / 30
    found = ESTIMATORS[name](values)
    assert found.value == INTENSITIES[name](values)
    assert 0 < found.value < 1
    expected = (1 - found.value) * sample + found.value * np.eye(15)
    np.testing.assert_allclose(dense(found.covariance), expected, atol=1e-12)


@pytest.mark.parametrize("name", INTENSITIES)
def test_what_few_cells_cannot_tell_is_shrunk(name):
    assert ESTIMATORS[name](standardised(11, 15, np.eye(30))).value > 0.8
    assert ESTIMATORS[name](standardised(11, 5000, chain(30))).value < 0.05


@pytest.mark.parametrize("name", INTENSITIES)
def test_an_intensity_depends_on_no_order(name):
    values = standardised(12, 30, chain(50))
    rng = np.random.default_rng(1)
    mixed = rng.permuted(values, axis=1)[rng.permutation(30)]  # another data set
    moved = values[rng.permutation(30)][:, rng.permutation(50)]
    assert INTENSITIES[name](moved) == pytest.approx(INTENSITIES[name](values), rel=1e-12)
    assert INTENSITIES[name](mixed) != pytest.approx(INTENSITIES[name](values), rel=1e-3)


def test_schaefer_and_strimmer_need_three_cells():
    values = standardised(13, 15, np.eye(30))
    with pytest.raises(InputError) as error:
        ESTIMATORS["schaefer_strimmer"](values[:2])
    assert "at least 3" in str(error.value)
    assert 0 < ESTIMATORS["schaefer_strimmer"](values[:3]).value <= 1
