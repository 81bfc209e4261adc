"""The constrained form: a standard mixed model where nothing is cut, and what the cut to k does."""

import warnings

import numpy as np
import pytest
from scipy import linalg, optimize
from statsmodels.regression.mixed_linear_model import MixedLM

from lgem.prediction.mixed_constrained import (
    Constrained,
    Contrasts,
    fit_constrained,
    variance_ratio,
)
from lgem.prediction.mixed_fit import fit_forms
from lgem.prediction.mixed_forms import Modalities


def grouped(seed, sizes, covariates=1, deviation=0.8, genes=1):
    """Return an intercept and covariates, one random effect a group, and residuals of 1."""
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(len(sizes)), sizes)
    n = len(groups)
    X = np.column_stack([np.ones(n), rng.normal(size=(n, covariates))])
    Z = np.eye(len(sizes))[groups]
    effects = rng.normal(size=(covariates + 1, genes))
    random = deviation * rng.normal(size=(len(sizes), genes))
    return Modalities(X @ effects + Z @ random + rng.normal(size=(n, genes)), X, Z), groups


def dense(data, ratio):
    """Return β̂, its covariance over σ², û, σ² and restricted log-likelihood, by V itself.

    The textbook formulas, for full-rank X: V = I + ratio ZZᵀ and its plain inverse.
    """
    n, p = data.X.shape
    V = np.eye(n) + ratio * data.Z @ data.Z.T
    inverse = np.linalg.inv(V)
    information = data.X.T @ inverse @ data.X
    covariance = np.linalg.inv(information)
    fixed = covariance @ data.X.T @ inverse @ data.Y
    misfit = data.Y - data.X @ fixed
    random = ratio * data.Z.T @ inverse @ misfit
    squares = np.sum(misfit * (inverse @ misfit), axis=0)
    variance = squares / (n - p)
    determinants = np.linalg.slogdet(V)[1] + np.linalg.slogdet(information)[1]
    normal = (n - p) * (np.log(2 * np.pi * variance) + 1)
    likelihood = -0.5 * np.sum(normal + determinants)
    return fixed, covariance, random, variance, likelihood


def by_statsmodels(data, groups, **how):
    """Return its REML fit; near the boundary it warns, and may stop short of the maximum."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return MixedLM(data.Y[:, 0], data.X, groups).fit(reml=True, **how)


# Seed, sizes of the groups, covariates, deviation of the random effects.
SIMULATED = [
    (0, [10] * 6, 1, 0.8),
    (1, [3, 14, 5, 9, 2, 20], 1, 0.8),
    (2, [5] * 12, 2, 1.5),
    (3, [1, 2, 30, 4, 7, 7, 12], 2, 0.5),
    (4, [25] * 4, 1, 2.0),
    (5, [4] * 25, 2, 0.4),
    (6, [6, 6, 6, 40, 2], 1, 3.0),
    (7, [10] * 30, 2, 0.1),
    (9, [3, 9, 27], 2, 1.0),
    (10, [10] * 30, 1, 0.1),
]


@pytest.mark.parametrize(("seed", "sizes", "covariates", "deviation"), SIMULATED)
def test_it_is_the_mixed_model_of_statsmodels(seed, sizes, covariates, deviation):
    data, groups = grouped(seed, sizes, covariates, deviation)
    ours, theirs = fit_constrained(data), by_statsmodels(data, groups, gtol=1e-10, method="bfgs")
    their_ratio = float(theirs.cov_re[0, 0] / theirs.scale)
    at_ours, at_theirs = dense(data, ours.ratio)[-1], dense(data, their_ratio)[-1]
    assert at_theirs == pytest.approx(theirs.llf, abs=1e-8)
    # Both are at the maximum, so that the numbers can be compared.
    assert at_ours == pytest.approx(at_theirs, abs=1e-9)
    assert ours.ratio == pytest.approx(their_ratio, rel=1e-6)
    assert ours.residual_variance[0] == pytest.approx(theirs.scale, rel=1e-7)
    np.testing.assert_allclose(ours.fixed_effects[:, 0], theirs.fe_params, rtol=0, atol=1e-7)
    random = [effect.iloc[0] for effect in theirs.random_effects.values()]
    np.testing.assert_allclose(ours.random_effects[:, 0], random, rtol=0, atol=1e-6)
    # Theirs are from the Hessian in all parameters, ours from that in the fixed effects.
    np.testing.assert_allclose(ours.standard_errors()[:, 0], theirs.bse_fe, rtol=0.03)


@pytest.mark.parametrize(("seed", "sizes", "covariates", "deviation"), SIMULATED)
def test_it_is_generalised_least_squares_at_the_ratio(seed, sizes, covariates, deviation):
    data, _ = grouped(seed, sizes, covariates, deviation, genes=2)
    ours = fit_constrained(data)
    fixed, covariance, random, variance, _ = dense(data, ours.ratio)
    np.testing.assert_allclose(ours.fixed_effects, fixed, atol=1e-11)
    np.testing.assert_allclose(ours.random_effects, random, atol=1e-11)
    np.testing.assert_allclose(ours.residual_variance, variance, rtol=1e-11)
    slow = np.sqrt(np.outer(np.diag(covariance), variance))
    np.testing.assert_allclose(ours.standard_errors(), slow, rtol=1e-11)


def test_where_statsmodels_answers_otherwise_it_has_stopped_below_the_maximum():
    """300 samples in 30 groups of small effects: .026 here, .049 there."""
    data, groups = grouped(21, [10] * 30, 1, 0.1)
    ours, theirs = fit_constrained(data), by_statsmodels(data, groups)
    their_ratio = float(theirs.cov_re[0, 0] / theirs.scale)
    assert ours.ratio == pytest.approx(0.0260, abs=1e-4)
    at_ours, at_theirs = dense(data, ours.ratio)[-1], dense(data, their_ratio)[-1]
    assert at_ours >= at_theirs
    if abs(their_ratio - ours.ratio) > 1e-3:
        assert at_ours > at_theirs + 0.01
        assert not theirs.converged


@pytest.mark.parametrize(("seed", "sizes"), [(8, [8] * 5), (5, [4] * 12), (3, [2, 9, 30, 4, 7])])
def test_where_random_effects_do_not_help_the_ratio_is_zero_and_fixed_effects_least_squares(
    seed, sizes
):
    data, groups = grouped(seed, sizes, deviation=0.0)
    ours, theirs = fit_constrained(data), by_statsmodels(data, groups, method="bfgs")
    assert ours.ratio == 0.0
    assert not ours.random_effects.any()
    np.testing.assert_allclose(
        ours.fixed_effects, np.linalg.lstsq(data.X, data.Y)[0], rtol=0, atol=1e-12
    )
    at_zero = dense(data, 0.0)[-1]
    assert at_zero >= dense(data, float(theirs.cov_re[0, 0] / theirs.scale))[-1]
    assert all(at_zero > dense(data, ratio)[-1] for ratio in np.geomspace(1e-6, 1e3, 30))


@pytest.mark.parametrize("deviation", [0.0, 0.3, 2.0])
def test_several_genes_share_the_ratio_that_is_most_likely_for_all(deviation):
    data, _ = grouped(20, [4, 9, 5, 12, 6], 2, deviation, genes=5)
    data.Y[:, 1] *= 100.0  # its own residual variance: the units of a gene do not decide
    found = variance_ratio(Contrasts.of(data))
    grid = np.concatenate([[0.0], np.geomspace(1e-6, 1e3, 91)])
    values = [dense(data, ratio)[-1] for ratio in grid]
    best = int(np.argmax(values))
    bounds = (grid[max(best - 1, 0)], grid[best + 1])
    slow = optimize.minimize_scalar(
        lambda ratio: -dense(data, ratio)[-1], bounds=bounds, method="bounded"
    )
    assert found == pytest.approx(slow.x, rel=1e-4, abs=1e-6)
    assert dense(data, found)[-1] >= max(values)


def test_the_likelihood_is_the_textbook_one_up_to_a_constant():
    data, _ = grouped(21, [4, 9, 5, 12, 6], 2, genes=3)
    contrasts = Contrasts.of(data)
    ratios = [0.0, 1e-3, 0.4, 7.0, 1e3]
    gaps = [contrasts.likelihood(ratio) - dense(data, ratio)[-1] for ratio in ratios]
    np.testing.assert_allclose(gaps, gaps[0], atol=1e-9)
    for ratio in ratios:
        freedom = contrasts.freedom
        slow = dense(data, ratio)[3] * freedom
        np.testing.assert_allclose(contrasts.squares(ratio), slow, rtol=1e-11)


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_the_units_of_the_random_features_do_not_decide(scale):
    data, _ = grouped(22, [4, 9, 5, 12, 6], genes=3)
    plain = fit_constrained(data)
    scaled = fit_constrained(Modalities(data.Y, data.X, scale * data.Z))
    assert scaled.ratio * scale**2 == pytest.approx(plain.ratio, rel=1e-5)
    np.testing.assert_allclose(scaled.fixed_effects, plain.fixed_effects, atol=1e-6)
    np.testing.assert_allclose(scaled.random_effects * scale, plain.random_effects, atol=1e-5)


def test_the_units_of_a_covariate_do_not_decide():
    data, _ = grouped(23, [4, 9, 5, 12, 6], genes=3)
    units = np.array([1.0, 1e9])
    plain = fit_constrained(data)
    scaled = fit_constrained(Modalities(data.Y, data.X * units, data.Z))
    assert scaled.ratio == pytest.approx(plain.ratio, rel=1e-6)
    np.testing.assert_allclose(
        scaled.fixed_effects * units[:, None], plain.fixed_effects, rtol=0, atol=1e-7
    )


@pytest.mark.parametrize("k", [1, 2, 3, 4])
def test_codes_are_the_best_approximation_of_the_fitted_values(k):
    data, _ = grouped(24, [4, 9, 5, 12, 6], 2, genes=10)
    whole, cut = fit_constrained(data), fit_constrained(data, k)
    fitted = data.X @ whole.fixed_effects + data.Z @ whole.random_effects
    U, s, V = linalg.svd(fitted, full_matrices=False)
    found = data.X @ cut.fixed_effects + data.Z @ cut.random_effects
    np.testing.assert_allclose(found, U[:, :k] * s[:k] @ V[:k], atol=1e-11)
    assert linalg.norm(fitted - found) == pytest.approx(linalg.norm(s[k:]), rel=1e-9)
    np.testing.assert_allclose(cut.alpha.T @ cut.alpha, np.eye(k), atol=1e-12)
    assert (cut.alpha[np.abs(cut.alpha).argmax(axis=0), np.arange(k)] > 0).all()
    np.testing.assert_array_equal(cut.residual_variance, whole.residual_variance)
    np.testing.assert_array_equal(cut.standard_errors(), whole.standard_errors())


def test_its_forms_are_codes_made_of_the_features():
    data, _ = grouped(25, [4, 9, 5, 12, 6], 2, genes=10)
    found = fit_constrained(data, 3)
    forms = found.forms(data)
    np.testing.assert_array_equal(forms.K, data.X @ found.A)
    np.testing.assert_array_equal(forms.H, data.Z @ found.C)
    fixed, random = data.X @ found.fixed_effects, data.Z @ found.random_effects
    np.testing.assert_allclose(forms.code @ forms.alpha.T, fixed + random, atol=1e-12)
    for code, loaded, block in ((forms.K, forms.beta, data.X), (forms.H, forms.u, data.Z)):
        np.testing.assert_allclose(loaded.T, np.linalg.lstsq(code, block)[0], atol=1e-9)


def test_dependent_fixed_features_change_nothing_but_their_coefficients():
    data, _ = grouped(26, [4, 9, 5, 12, 6], 2, genes=4)
    twice = Modalities(data.Y, np.hstack([data.X, data.X[:, :2] @ [[1.0], [2.0]]]), data.Z)
    plain, found = fit_constrained(data), fit_constrained(twice)
    assert found.ratio == pytest.approx(plain.ratio, rel=1e-6)
    np.testing.assert_allclose(
        twice.X @ found.fixed_effects, data.X @ plain.fixed_effects, atol=1e-7
    )
    np.testing.assert_allclose(found.random_effects, plain.random_effects, atol=1e-7)
    np.testing.assert_allclose(found.residual_variance, plain.residual_variance, rtol=1e-6)
    V = np.eye(36) + found.ratio * data.Z @ data.Z.T
    slow = np.linalg.pinv(twice.X.T @ np.linalg.inv(V) @ twice.X) @ twice.X.T
    np.testing.assert_allclose(found.fixed_effects, slow @ np.linalg.inv(V) @ data.Y, atol=1e-9)


def test_more_random_features_than_samples():
    rng = np.random.default_rng(27)
    X, Z = np.ones((20, 1)), rng.normal(size=(20, 50))
    data = Modalities(X + Z @ rng.normal(size=(50, 3)) / 7 + rng.normal(size=(20, 3)), X, Z)
    found = fit_constrained(data)
    fixed, _, random, variance, best = dense(data, found.ratio)
    np.testing.assert_allclose(found.fixed_effects, fixed, atol=1e-10)
    np.testing.assert_allclose(found.random_effects, random, atol=1e-10)
    np.testing.assert_allclose(found.residual_variance, variance, rtol=1e-10)
    # A flat likelihood: equal values are found to rounding, and none is higher.
    ratios = found.ratio * np.geomspace(1e-4, 1e4, 41)
    assert best >= max(dense(data, ratio)[-1] for ratio in ratios) - 1e-9


@pytest.mark.parametrize("value", [0.0, 3.7])
def test_a_gene_that_does_not_vary_tells_nothing_of_the_ratio(value):
    data, _ = grouped(28, [4, 9, 5, 12, 6], genes=3)
    constant = np.full((36, 1), value)
    more = Modalities(np.hstack([data.Y, constant]), data.X, data.Z)
    plain, found = fit_constrained(data), fit_constrained(more)
    assert found.ratio == pytest.approx(plain.ratio, rel=1e-5)
    assert found.residual_variance[3] == 0.0
    np.testing.assert_allclose(found.fixed_effects[:, 3], [value, 0.0], atol=1e-12)
    np.testing.assert_allclose(found.random_effects[:, 3], 0.0, atol=1e-12)
    np.testing.assert_allclose(found.fixed_effects[:, :3], plain.fixed_effects, atol=1e-6)


def test_a_level_for_every_sample_leaves_the_ratio_open_and_it_is_zero():
    data, _ = grouped(29, [1] * 20, genes=3)
    assert fit_constrained(data).ratio == 0.0


def test_without_random_or_fixed_features_or_responses_what_is_left_is_fitted():
    data, _ = grouped(30, [4, 9, 5, 12, 6], 2, genes=4)
    no_random = fit_constrained(Modalities(data.Y, data.X, data.Z[:, :0]))
    assert no_random.ratio == 0.0
    np.testing.assert_allclose(
        no_random.fixed_effects, np.linalg.lstsq(data.X, data.Y)[0], atol=1e-12
    )
    no_fixed = Modalities(data.Y, data.X[:, :0], data.Z)
    found = fit_constrained(no_fixed)
    np.testing.assert_allclose(found.random_effects, dense(no_fixed, found.ratio)[2], atol=1e-11)
    nothing = fit_constrained(Modalities(0 * data.Y, data.X, data.Z))
    assert nothing.alpha.shape == (4, 0)
    assert not nothing.fixed_effects.any()


def test_arrays_hold_all_there_is():
    data, _ = grouped(31, [4, 9, 5, 12, 6], genes=3)
    found = fit_constrained(data, 2)
    other = Constrained.from_arrays(found.arrays())
    assert isinstance(other.ratio, float)
    for part, array in found.arrays().items():
        assert np.array_equal(other.arrays()[part], array), part


def test_a_ratio_that_is_given_is_kept():
    data, _ = grouped(32, [4, 9, 5, 12, 6], genes=3)
    found = fit_constrained(data, ratio=2.5)
    assert found.ratio == 2.5
    np.testing.assert_allclose(found.random_effects, dense(data, 2.5)[2], atol=1e-11)


def free_against_constrained(rho, confounded):
    """Return how far apart the fixed parts of both forms are, whole and centred, and the truth.

    96 samples of 12 perturbations in 4 batches, 40 genes, effects of both of rank 3, residuals of
    deviation 0.5; blocks scaled to a mean square length of 1. A share of the samples stands not in
    the batch that a balanced design gives it but in one that its perturbation chooses.

    Returns
    -------
    float
        Fixed part of the free form against that of the mixed model, relative to the latter.
    float
        The same with the parts centred over the samples.
    float, float
        Centred fixed parts of the free form and of the mixed model against the truth.
    """
    rng = np.random.default_rng(33)
    perturbation = np.tile(np.arange(12), 8)
    moved = rng.uniform(size=96) < confounded
    batch = np.where(moved, perturbation % 4, np.repeat(np.arange(4), 24))
    X, Z = np.eye(12)[perturbation], np.eye(4)[batch]
    alpha = rng.normal(size=(40, 3))
    fixed = X @ rng.normal(size=(12, 3)) @ alpha.T
    Y = fixed + Z @ rng.normal(size=(4, 3)) @ alpha.T + 0.5 * rng.normal(size=(96, 40))
    data = Modalities(*(np.sqrt(96) * M / linalg.norm(M) for M in (Y, X, Z)))
    both = fit_forms(data, 3, rho).forms, fit_constrained(data, 3).forms(data)
    free, other = (form.K @ form.alpha.T for form in both)
    truth = np.sqrt(96) * fixed / linalg.norm(Y)

    def apart(one, two):
        return linalg.norm(one - two) / linalg.norm(two)

    centred = [part - part.mean(axis=0) for part in (free, other, truth)]
    return (
        apart(free, other),
        apart(centred[0], centred[1]),
        apart(centred[0], centred[2]),
        apart(centred[1], centred[2]),
    )


@pytest.mark.parametrize("rho", [1e-4, 1e-3, 1e-2, 1e-1, 1.0])
def test_the_free_form_does_not_agree_with_the_mixed_model(rho):
    """What X and Z can both explain is shared out otherwise; without it, balanced parts are near.

    At ρ = 0.01: 0.42 apart, 0.045 centred; 0.076 and 0.061 from the truth.
    """
    whole, centred, free_error, error = free_against_constrained(rho, 0.0)
    assert whole > 0.3
    assert centred > 0.03
    assert free_error > error


@pytest.mark.parametrize("rho", [1e-2, 1e-1, 1.0])
def test_where_batches_and_perturbations_go_together_the_mixed_model_is_nearer_to_the_truth(rho):
    """At ρ = 0.01, 0.1 and 1: 0.17, 0.30 and 0.43 apart; 0.18, 0.31, 0.43 and 0.05 from it."""
    _, centred, free_error, error = free_against_constrained(rho, 0.8)
    assert centred > 0.1
    assert free_error > 2 * error
