"""Every update against a fresh inverse, and the certificate that guards the updates."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lgem.errors import InputError
from lgem.network.updates import (
    PROBES,
    DensePrecision,
    drift,
    response_loadings,
    sherman_morrison,
    woodbury,
)


def covariance(seed, genes, condition=1e2):
    rng = np.random.default_rng(seed)
    axes = np.linalg.qr(rng.normal(size=(genes, genes)))[0]
    matrix = (axes * np.geomspace(1, condition, genes)) @ axes.T
    return (matrix + matrix.T) / 2


def relative_error(found, expected):
    return np.abs(found - expected).max() / np.abs(expected).max()


cases = st.tuples(st.integers(0, 2**32 - 1), st.integers(2, 60), st.integers(1, 12))


@settings(deadline=None, max_examples=60)
@given(case=cases, size=st.sampled_from([1e-3, 1.0, 30.0]))
def test_woodbury_equals_a_fresh_inverse(case, size):
    seed, genes, rank = case
    sigma = covariance(seed, genes)
    x = size * np.random.default_rng(seed + 1).normal(size=(genes, rank))
    updated = woodbury(np.linalg.inv(sigma), x)
    assert relative_error(updated, np.linalg.inv(sigma + x @ x.T)) <= 1e-9


@settings(deadline=None, max_examples=40)
@given(case=cases)
def test_sherman_morrison_is_woodbury_of_rank_one(case):
    seed, genes, _ = case
    theta = np.linalg.inv(covariance(seed, genes))
    x = np.random.default_rng(seed + 1).normal(size=genes)
    assert relative_error(sherman_morrison(theta, x), woodbury(theta, x[:, None])) <= 1e-13


@settings(deadline=None, max_examples=40)
@given(case=cases)
def test_updates_keep_exact_symmetry_and_definiteness(case):
    seed, genes, rank = case
    model = DensePrecision(covariance(seed, genes), seed=1)
    x = np.random.default_rng(seed + 1).normal(size=(genes, rank))
    for theta in (woodbury(model.precision, x), sherman_morrison(model.precision, x[:, 0])):
        np.testing.assert_array_equal(theta, theta.T)
        assert np.linalg.eigvalsh(theta)[0] > 0


@settings(deadline=None, max_examples=25)
@given(case=cases)
def test_updates_one_by_one_or_in_any_order_or_at_once_are_the_same(case):
    seed, genes, rank = case
    theta = np.linalg.inv(covariance(seed, genes))
    x = np.random.default_rng(seed + 1).normal(size=(genes, rank))
    at_once, forwards, backwards = woodbury(theta, x), theta, theta
    for column in x.T:
        forwards = sherman_morrison(forwards, column)
    for column in x.T[::-1]:
        backwards = sherman_morrison(backwards, column)
    assert relative_error(forwards, at_once) <= 1e-10
    assert relative_error(backwards, at_once) <= 1e-10


def test_nothing_added_changes_nothing():
    theta = np.linalg.inv(covariance(0, 20))
    np.testing.assert_array_equal(woodbury(theta, np.zeros((20, 3))), theta)
    np.testing.assert_array_equal(sherman_morrison(theta, np.zeros(20)), theta)


def test_five_pathways_on_a_panel_of_500_genes():
    """Source 4's experiment: a factor model, five dense pathways, direct against updated."""
    rng = np.random.RandomState(42)
    loadings = rng.randn(500, 10) * 0.1
    sigma = loadings @ loadings.T + np.diag(rng.uniform(0.01, 0.05, 500))
    assert np.linalg.cond(sigma) == pytest.approx(612.6, abs=0.1)
    x = rng.randn(500, 5) * 0.05
    direct = np.linalg.inv(sigma + x @ x.T)
    assert np.abs(woodbury(np.linalg.inv(sigma), x) - direct).max() <= 1e-11
    model = DensePrecision(sigma, seed=1)
    record = model.update(x, "pathways")
    assert np.abs(model.precision - direct).max() <= 1e-11
    assert (record.source, record.rank, record.refactorised) == ("pathways", 5, False)


@pytest.mark.parametrize("condition", [1e1, 1e3, 1e6])
def test_many_updates_stay_within_the_certificate(condition):
    sigma = covariance(1, 80, condition)
    model = DensePrecision(sigma, seed=2)
    steps = np.random.default_rng(3).normal(size=(150, 80, 1))
    records = [model.update(x, f"step {i}") for i, x in enumerate(steps)]
    assert not any(record.refactorised for record in records)
    assert all(0 < record.drift <= record.limit for record in records)
    assert model.loadings.shape == (80, 150)
    fresh = np.linalg.inv(sigma + model.loadings @ model.loadings.T)
    assert relative_error(model.precision, fresh) <= 1e-13 * condition
    np.testing.assert_array_equal(model.precision, model.precision.T)


def test_the_limit_follows_the_condition_of_the_updated_covariance():
    sigma, x = covariance(4, 60, 1e3), 5 * np.random.default_rng(5).normal(size=(60, 2))
    record = DensePrecision(sigma, seed=1).update(x, "two")
    full = 100 * np.linalg.cond(sigma + x @ x.T) * np.finfo(float).eps
    assert 0.5 * full <= record.limit <= full


@pytest.mark.parametrize("damage", [1e-8, 1e-3, 10.0])
def test_a_damaged_precision_is_found_and_replaced(damage):
    sigma = covariance(6, 70)
    model = DensePrecision(sigma, seed=7)
    model.update(np.random.default_rng(8).normal(size=(70, 2)), "sound")
    model.precision[3, 3] += damage * np.abs(model.precision).max()
    x = np.random.default_rng(9).normal(size=(70, 3))
    record = model.update(x, "after damage")
    assert record.refactorised
    assert record.drift > record.limit
    fresh = np.linalg.inv(sigma + model.loadings @ model.loadings.T)
    assert relative_error(model.precision, fresh) <= 1e-12
    assert not model.update(x, "again").refactorised


def test_drift_is_the_distance_from_the_identity_on_the_probes():
    sigma = covariance(10, 40)
    x = np.random.default_rng(11).normal(size=(40, 4))
    theta = np.linalg.inv(sigma + x @ x.T) + np.diag(np.random.default_rng(13).random(40))
    probes = np.random.default_rng(12).normal(size=(40, 5))
    error = theta @ (sigma + x @ x.T) - np.eye(40)
    expected = max(np.linalg.norm(error @ v) / np.linalg.norm(v) for v in probes.T)
    assert drift(theta, sigma, x, probes) == pytest.approx(expected, rel=1e-10)


def test_the_certificate_forms_no_further_matrix_of_the_panel():
    genes = 600
    sigma = np.eye(genes)
    x, probes = np.zeros((genes, 5)), np.ones((genes, PROBES))
    tracemalloc.start()
    try:
        drift(sigma, sigma, x, probes)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < sigma.nbytes / 10


def test_equal_seeds_give_equal_records():
    sigma, x = covariance(13, 30), np.random.default_rng(14).normal(size=(30, 3))
    first, second, other = (DensePrecision(sigma, seed).update(x, "x") for seed in (1, 1, 2))
    assert first == second
    assert first.drift != other.drift


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.full((10, 1), np.nan), "not finite"),
        (np.full((10, 2), np.inf), "not finite"),
        (np.ones((9, 2)), r"shape \(9, 2\).*10 genes"),
        (np.ones(10), r"shape \(10,\)"),
        (np.full((10, 1), 1e200), "1e\\+200.*strength"),
        (np.full((10, 2), 1e200), "1e\\+200.*strength"),
        (np.full((10, 1), 1e30), "1e\\+30.*not positive definite"),
        (np.full((10, 1), 1e150), "1e\\+150.*not positive definite"),
    ],
)
def test_unusable_loadings_are_refused_and_leave_no_trace(x, message):
    model = DensePrecision(covariance(15, 10), seed=1)
    before = model.precision.copy()
    with pytest.raises(InputError, match=f"network update 'bad'.*{message}"):
        model.update(x, "bad")
    np.testing.assert_array_equal(model.precision, before)
    assert model.loadings.shape == (10, 0)


@pytest.mark.parametrize("rank", [1, 3])
def test_a_capacitance_that_is_not_positive_definite_is_refused(rank):
    model = DensePrecision(np.eye(6), seed=1)
    model.precision = -model.precision
    with pytest.raises(InputError, match=r"network update 'x'.*strength"):
        model.update(2 * np.eye(6)[:, :rank], "x")


def test_the_base_covariance_never_changes():
    sigma = covariance(16, 12)
    copy = sigma.copy()
    DensePrecision(sigma, seed=1).update(np.ones((12, 2)), "x")
    np.testing.assert_array_equal(sigma, copy)


def test_response_loadings_add_the_mean_square_of_the_standardised_responses():
    rng = np.random.default_rng(17)
    responses, scale = rng.normal(size=(7, 5)), rng.uniform(0.5, 2, 5)
    x = response_loadings(responses, scale, 0.5)
    assert x.shape == (5, 7)
    standardised = [row / scale for row in responses]
    expected = 0.25 * np.mean([np.outer(row, row) for row in standardised], axis=0)
    np.testing.assert_allclose(x @ x.T, expected, rtol=1e-12)


def test_responses_that_were_not_predicted_are_refused():
    responses = np.zeros((3, 4))
    responses[1, 2] = np.nan
    with pytest.raises(InputError, match=r"1 of 3 .*number 2"):
        response_loadings(responses, np.ones(4), 1.0)
    with pytest.raises(InputError, match="at least one perturbation"):
        response_loadings(np.empty((0, 4)), np.ones(4), 1.0)
