"""What an update refuses, what that leaves behind, and how little memory an update takes."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from lgem.errors import InputError
from lgem.network.structure import LowRank
from lgem.network.updates import LARGEST_DRIFT
from tests.unit.network_cases import factors, forms, normal, relative_error, removable, updated


def assert_refused(model, operation, x, message):
    """An update is refused in words, and the model goes on as if it had never been asked."""
    added, removed, before = model.added, model.removed, model.form.matrix()
    with pytest.raises(InputError, match=rf"network update 'bad'.*{message}"):
        getattr(model, operation)(x, "bad")
    np.testing.assert_array_equal(model.added, added)
    np.testing.assert_array_equal(model.removed, removed)
    assert relative_error(model.form.matrix(), before) <= 1e-12
    assert model.drift() <= LARGEST_DRIFT * 1e-6


UNUSABLE = [
    (np.full((10, 1), np.nan), "not finite"),
    (np.full((10, 2), np.inf), "not finite"),
    (np.ones((9, 2)), r"shape \(9, 2\).*10 genes"),
    (np.ones(10), r"shape \(10,\)"),
]


@forms
@pytest.mark.parametrize("operation", ["add", "remove"])
@pytest.mark.parametrize(("x", "message"), UNUSABLE)
def test_unusable_loadings_are_refused_and_leave_no_trace(form, operation, x, message):
    model = updated(factors(15, 10), form)
    model.add(normal(16, 10, 2), "sound")
    assert_refused(model, operation, x, message)


@forms
@pytest.mark.parametrize("rank", [1, 2])
@pytest.mark.parametrize("size", [1e8, 1e10, 1e30, 1e100, 1e150, 1e200, 1e300])
def test_loadings_beyond_what_can_be_inverted_are_refused(form, rank, size):
    """Even where every formula returns numbers: a fresh inverse has to pass the certificate."""
    model = updated(factors(15, 10), form)
    x = np.full((10, rank), size)
    assert_refused(model, "add", x, r"as large as 1e\+.*cannot be inverted.*strength")
    assert_refused(model, "remove", x, "not positive definite")


@forms
def test_no_update_that_is_accepted_is_wrong(form):
    """One gene or all of them, however large: refused, or the inverse to what is promised."""
    base = factors(23, 12)
    accepted = 0
    for x in (np.ones((12, 1)), np.eye(12)[:, [3]]):
        for size in np.geomspace(1, 1e16, 17):
            model = updated(base, form)
            try:
                model.add(size * x, "x")
            except InputError:
                continue
            accepted += 1
            error = model.form.matrix() @ (base.dense() + size**2 * x @ x.T) - np.eye(12)
            assert np.linalg.norm(error) / np.sqrt(12) <= 2 * LARGEST_DRIFT
            assert model.form.diagonal().min() > 0
            assert np.abs(model.form.partial_correlations().matrix()).max() <= 1 + 1e-9
    assert accepted >= 10


@forms
@pytest.mark.parametrize("share", [1 - 1e-14, 1.0, 1.0 + 1e-9, 2.0, 1e6])
@pytest.mark.parametrize("rank", [1, 3])
def test_a_removal_that_would_lose_definiteness_is_refused(form, share, rank):
    base = factors(17, 30)
    model = updated(base, form)
    model.add(normal(18, 30, 2), "sound")
    sigma = base.dense() + model.added @ model.added.T
    y = removable(19, sigma, rank, share)
    assert_refused(model, "remove", y, "a removal after which .* not positive definite")
    y = removable(19, sigma, rank, 0.5)
    model.remove(y, "half of it")
    assert relative_error(model.form.matrix(), np.linalg.inv(sigma - y @ y.T)) <= 1e-11


@forms
def test_a_removal_that_leaves_less_than_rounding_can_tell_is_refused(form):
    """Positive definite on paper, of a condition number beyond any inverse."""
    base = factors(20, 30, condition=1e6)
    for left, refused in ((1e-9, True), (1e-5, False)):
        model = updated(base, form)
        y = removable(21, base.dense(), 1, 1 - left)
        if refused:
            assert_refused(model, "remove", y, r"all but \S+e-(09|10) of the variance of some")
        else:
            model.remove(y, "all but little")
            assert np.linalg.eigvalsh(model.form.matrix())[0] > 0


@forms
def test_nothing_is_removed_twice(form):
    model = updated(factors(24, 20), form)
    x = 10 * normal(25, 20, 2)
    model.add(x, "x")
    model.remove(x, "x")
    assert_refused(model, "remove", x, "not positive definite")


# Memory.


def peak_of(step):
    tracemalloc.start()
    try:
        step()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_an_update_of_a_dense_precision_takes_no_further_matrix():
    genes = 500
    model, x = updated(factors(26, genes), "dense"), normal(27, genes, 5)
    assert peak_of(lambda: model.add(x, "x")) < 8 * genes**2 / 5
    assert peak_of(lambda: model.remove(0.1 * x, "y")) < 8 * genes**2 / 5


def test_twenty_thousand_genes_are_never_a_matrix():
    genes, rank = 20_000, 10
    x = normal(29, genes, 3)
    asked = np.array([0, 17, genes - 1])
    found = {}

    def run():
        model = updated(LowRank(np.full(genes, 0.5), normal(28, genes, rank)), "implicit")
        found["record"] = model.add(x, "x")
        found["unit"] = model.form.times(model.covariance_columns(asked))
        found["rho"] = model.form.partial_correlations().block(asked, slice(0, 100))

    assert peak_of(run) < 20 * 8 * genes * rank  # genes × genes would be 2,000 × 8 × genes × rank
    assert not found["record"].refactorised
    found["unit"][asked, np.arange(3)] -= 1.0
    assert np.abs(found["unit"]).max() <= 1e-9
    assert found["rho"].shape == (3, 100)
