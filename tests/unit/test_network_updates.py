"""Every update against a fresh inverse, and the certificate that guards the updates."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import LinAlgError

from lgem.network.structure import LowRank
from lgem.network.updates import (
    DRIFT_LIMIT,
    cancelled,
    inversion_lemma,
    sherman_morrison,
    woodbury,
)
from tests.unit.network_cases import (
    FORMS,
    factors,
    forms,
    normal,
    relative_error,
    removable,
    updated,
)

EPS = np.finfo(float).eps
cases = st.tuples(st.integers(0, 2**32 - 1), st.integers(2, 60), st.integers(0, 12))


# Updates of a precision in either form.


def test_five_pathways_on_a_panel_of_500_genes():
    """Source 4's experiment: a factor model, five dense pathways, direct against updated."""
    rng = np.random.RandomState(42)
    loadings = rng.randn(500, 10) * 0.1
    base = LowRank(rng.uniform(0.01, 0.05, 500), loadings)
    sigma = base.dense()
    assert np.linalg.cond(sigma) == pytest.approx(612.6, abs=0.1)
    x = rng.randn(500, 5) * 0.05
    direct = np.linalg.inv(sigma + x @ x.T)
    theta = np.linalg.inv(sigma)
    assert np.abs(woodbury(theta, x) - direct).max() <= 1e-11
    assert np.abs(inversion_lemma(theta, -x, np.eye(5), x.T) - direct).max() <= 1e-11
    for form in FORMS:
        model = updated(base, form)
        record = model.add(x, "pathways")
        assert np.abs(model.form.matrix() - direct).max() <= 1e-11
        assert (record.source, record.operation, record.rank) == ("pathways", "add", 5)
        assert not record.refactorised
        model.remove(x, "pathways")
        assert relative_error(model.form.matrix(), theta) <= 1e-12


@forms
@settings(deadline=None, max_examples=25)
@given(case=cases, size=st.sampled_from([1e-3, 1.0, 30.0]), more=st.booleans())
def test_adding_equals_a_fresh_inverse(form, case, size, more):
    seed, genes, rank = case
    rank += genes * more  # more columns than genes as well
    base, x = factors(seed, genes), size * normal(seed + 1, genes, rank)
    model = updated(base, form)
    model.add(x, "x")
    assert relative_error(model.form.matrix(), np.linalg.inv(base.dense() + x @ x.T)) <= 1e-9
    assert model.added.shape[1] == min(rank, genes)
    np.testing.assert_allclose(model.form.matrix(), model.form.matrix().T, rtol=0, atol=1e-15)


@forms
@settings(deadline=None, max_examples=25)
@given(case=cases)
def test_removing_equals_a_fresh_inverse(form, case):
    seed, genes, rank = case
    base = factors(seed, genes)
    y = removable(seed + 1, base.dense(), min(rank, genes))
    model = updated(base, form)
    model.remove(y, "y")
    assert relative_error(model.form.matrix(), np.linalg.inv(base.dense() - y @ y.T)) <= 1e-9
    assert np.linalg.eigvalsh(model.form.matrix())[0] > 0


@forms
@settings(deadline=None, max_examples=15)
@given(case=cases)
def test_what_is_added_and_removed_leaves_the_base(form, case):
    seed, genes, rank = case
    base, x = factors(seed, genes), normal(seed + 1, genes, rank)
    model = updated(base, form)
    before = model.form.matrix()
    model.add(x, "x")
    # Columns may go in another order; of more columns than genes X Xᵀ alone is remembered.
    model.remove(x[:, ::-1] if rank <= genes else x, "x")
    assert relative_error(model.form.matrix(), before) <= 1e-9
    assert model.added.shape == model.removed.shape == (genes, 0)
    y = removable(seed + 2, base.dense(), 1)
    model.remove(y, "y")
    model.add(y, "y")
    assert relative_error(model.form.matrix(), before) <= 1e-9
    assert model.added.shape == model.removed.shape == (genes, 0)


@forms
@settings(deadline=None, max_examples=15)
@given(case=cases)
def test_one_by_one_or_in_any_order_or_at_once_is_the_same(form, case):
    seed, genes, rank = case
    base, x = factors(seed, genes), normal(seed + 1, genes, rank)
    y = removable(seed + 2, base.dense(), 2)
    steps = [("add", column) for column in x.T] + [("remove", column) for column in y.T]
    at_once = updated(base, form)
    at_once.add(x, "x")
    at_once.remove(y, "y")
    any_order = np.random.default_rng(seed).permutation(len(steps))
    for order in (range(len(steps)), range(len(steps))[::-1], any_order):
        model = updated(base, form)
        for i in order:
            operation, column = steps[i]
            getattr(model, operation)(column[:, None], "one")
        assert relative_error(model.form.matrix(), at_once.form.matrix()) <= 1e-10


@settings(deadline=None, max_examples=20)
@given(case=cases)
def test_both_forms_give_the_same(case):
    seed, genes, rank = case
    base, x = factors(seed, genes), normal(seed + 1, genes, rank)
    y = removable(seed + 2, base.dense(), 1)
    models = [updated(base, form) for form in FORMS]
    for model in models:
        model.add(x, "x")
        model.remove(y, "y")
    dense, implicit = (model.form for model in models)
    assert relative_error(implicit.matrix(), dense.matrix()) <= 1e-9
    np.testing.assert_allclose(implicit.diagonal(), dense.diagonal(), rtol=1e-9)
    assert implicit.log_determinant() == pytest.approx(dense.log_determinant(), abs=1e-9)
    found, expected = (form.partial_correlations().matrix() for form in (implicit, dense))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)
    genes_asked = np.array([genes - 1, 0])
    columns = [model.covariance_columns(genes_asked) for model in models]
    np.testing.assert_allclose(columns[1], columns[0], rtol=0, atol=1e-11)


@forms
def test_updates_know_the_covariance_that_they_follow(form):
    base, x = factors(3, 30), normal(4, 30, 4)
    sigma = base.dense()
    y = removable(5, sigma, 2)
    model = updated(base, form)
    model.add(x, "x")
    model.remove(y, "y")
    now = sigma + x @ x.T - y @ y.T
    genes = np.array([4, 29, 0])
    np.testing.assert_allclose(model.covariance_columns(genes), now[:, genes], atol=1e-12)
    vectors = normal(6, 30, 3)
    np.testing.assert_allclose(model.covariance_times(vectors), now @ vectors, atol=1e-11)
    np.testing.assert_array_equal(model.added, x)
    np.testing.assert_array_equal(model.removed, y)
    assert model.form.log_determinant() == pytest.approx(np.linalg.slogdet(now)[1], rel=1e-12)


@forms
@pytest.mark.parametrize("operation", ["add", "remove"])
@pytest.mark.parametrize("x", [np.zeros((12, 0)), np.zeros((12, 3))], ids=["rank 0", "zeros"])
def test_an_update_by_nothing_changes_nothing(form, operation, x, capfd):
    model = updated(factors(7, 12), form)
    before = model.form.matrix()
    record = getattr(model, operation)(x, "nothing")
    assert (record.rank, record.refactorised) == (x.shape[1], False)
    np.testing.assert_array_equal(model.form.matrix(), before)
    assert capfd.readouterr() == ("", "")  # BLAS complains there of what it is handed


@forms
def test_the_base_covariance_never_changes(form):
    base = factors(16, 12)
    diagonal, factor = base.diagonal.copy(), base.factor.copy()
    model = updated(base, form)
    model.add(np.ones((12, 2)), "x")
    model.remove(removable(17, base.dense(), 1), "y")
    np.testing.assert_array_equal(base.diagonal, diagonal)
    np.testing.assert_array_equal(base.factor, factor)


@forms
def test_equal_seeds_give_equal_bytes(form):
    base, x = factors(13, 30), normal(14, 30, 3)
    models = [updated(base, form, seed) for seed in (1, 1, 2)]
    first, second, other = (model.add(x, "x") for model in models)
    assert first == second
    assert first.drift != other.drift
    assert models[0].form.matrix().tobytes() == models[1].form.matrix().tobytes()


# The certificate.


@forms
def test_drift_is_the_distance_from_the_identity_on_random_probes(form):
    base, x = factors(10, 40), normal(11, 40, 4)
    y = removable(12, base.dense(), 2)
    model = updated(base, form)
    model.add(x, "x")
    model.remove(y, "y")
    model.form.change(0.1 * normal(13, 2, 40), 1.0)  # no longer the inverse
    error = model.form.matrix() @ (base.dense() + x @ x.T - y @ y.T) - np.eye(40)
    worst, average = np.linalg.norm(error, 2), np.linalg.norm(error) / np.sqrt(40)
    assert average / 3 <= model.drift() <= worst


@forms
@settings(deadline=None, max_examples=10)
@given(seed=st.integers(0, 2**32 - 1), condition=st.sampled_from([1e1, 1e3, 1e6]))
def test_the_limit_follows_the_condition_of_the_updated_covariance(form, seed, condition):
    base, x = factors(seed, 50, 5, condition), 5 * normal(seed + 1, 50, 2)
    record = updated(base, form).add(x, "two")
    full = DRIFT_LIMIT * np.linalg.cond(base.dense() + x @ x.T) * EPS
    assert 0.5 * full <= record.limit <= 1.001 * full


@forms
@pytest.mark.parametrize("damage", [1e-8, 1e-3, 10.0])
def test_a_damaged_precision_is_found_and_replaced(form, damage):
    base = factors(6, 70)
    model = updated(base, form, seed=7)
    model.add(normal(8, 70, 2), "sound")
    model.form.change(np.sqrt(damage) * np.eye(70)[[3]], 1.0)
    record = model.add(normal(9, 70, 3), "after damage")
    assert record.refactorised
    assert record.drift > record.limit
    fresh = np.linalg.inv(base.dense() + model.added @ model.added.T)
    assert relative_error(model.form.matrix(), fresh) <= 1e-12
    assert not model.add(normal(10, 70, 1), "again").refactorised


def hold_condition(model, sigma, condition, steps, seed):
    """Add random columns, and after each take from the weakest direction until κ is back.

    Adding alone would bring κ down. Returns the covariance and the records.
    """
    records = []
    for column in normal(seed, steps // 2, len(sigma), 1):
        records.append(model.add(column, "add"))
        sigma = sigma + column @ column.T
        size, axes = np.linalg.eigh(sigma)
        weakest = axes[:, :1] * np.sqrt(max(size[0] - size[-1] / condition, 0.0))
        records.append(model.remove(weakest, "remove"))
        sigma = sigma - weakest @ weakest.T
    return (sigma + sigma.T) / 2, records


@forms
def test_a_thousand_updates_at_condition_1e6_stay_within_the_certificate(form):
    genes, condition = 40, 1e6
    base = factors(1, genes, 6, condition)
    model = updated(base, form, seed=2)
    sigma, records = hold_condition(model, base.dense(), condition, 1000, 3)
    assert np.linalg.cond(sigma) == pytest.approx(condition, rel=1e-3)
    assert [record.operation for record in records] == ["add", "remove"] * 500
    assert all(record.drift <= record.limit or record.refactorised for record in records)
    limits = np.array([record.limit for record in records[1::2]])
    assert np.median(limits) == pytest.approx(DRIFT_LIMIT * condition * EPS, rel=0.3)
    # ‖Θ − Σ⁻¹‖ ≤ ‖ΘΣ − I‖ ‖Σ⁻¹‖, and probes see ‖ΘΣ − I‖ / √genes of it at least on average.
    fresh = np.linalg.inv(sigma)
    error = np.linalg.norm(model.form.matrix() - fresh, 2) / np.linalg.norm(fresh, 2)
    assert model.drift() <= limits[-1]
    assert error <= np.sqrt(genes) * limits[-1]
    assert np.linalg.eigvalsh(model.form.matrix())[0] > 0


def chain_of_formulas(theta, x, steps):
    """Add a column and take it away, by formulas alone, until they refuse what they have made."""
    try:
        for _ in range(steps):
            theta = inversion_lemma(sherman_morrison(theta, x[:, 0]), x, np.eye(1), x.T)
    except LinAlgError:
        pass
    return theta


@forms
def test_alternating_additions_and_removals_do_not_wear_the_precision_out(form):
    genes = 60
    base, x = factors(4, genes, 6, 1e2), 100 * normal(5, genes, 1)
    truth = np.linalg.inv(base.dense())
    model, records = updated(base, form), []
    # The formulas by themselves lose their digits, and then definiteness, within these steps...
    assert np.linalg.eigvalsh(chain_of_formulas(truth, x, 50))[0] < 0
    for _ in range(50):
        records += [model.add(x, "in"), model.remove(x, "out")]
    # ...the certificate sees it every time, and inverts afresh what is left.
    assert all(record.refactorised for record in records if record.operation == "remove")
    assert relative_error(model.form.matrix(), truth) <= 1e-13
    assert model.added.size == model.removed.size == 0


@forms
@pytest.mark.parametrize("size", [1e4, 1e5])
def test_what_was_added_can_go_whatever_it_has_left_of_the_precision(form, size):
    """The removal leaves less of a direction than rounding can tell, yet is known to be sound."""
    genes = 40
    base, x = factors(6, genes), size * normal(7, genes, 1)
    model = updated(base, form)
    record = model.add(x, "huge")
    theta = model.form.matrix()
    remains = 1 - x[:, 0] @ theta @ x[:, 0]
    assert not remains > record.limit
    assert model.remove(x, "huge").refactorised
    assert relative_error(model.form.matrix(), np.linalg.inv(base.dense())) <= 1e-13
    assert not model.add(normal(8, genes, 2), "usual").refactorised


def test_columns_that_came_and_went_are_told_apart_to_the_last_bit():
    past = np.array([[1.0, 2.0, 1.0], [3.0, 4.0, 3.0]])
    left, new = cancelled(past, np.array([[1.0, 5.0, 1.0, 1.0], [3.0, 4.0, 3.0, 3.0]]))
    np.testing.assert_array_equal(left, [[2.0], [4.0]])
    np.testing.assert_array_equal(new, [[5.0, 1.0], [4.0, 3.0]])
    left, new = cancelled(past, past[:, :1] * (1 + EPS))
    np.testing.assert_array_equal(left, past)
    assert new.shape == (2, 1)


def test_a_long_history_becomes_the_base_of_a_dense_precision():
    genes, steps = 10, 90
    base = factors(20, genes)
    columns = normal(21, steps, genes, 1)
    models = {form: updated(base, form) for form in FORMS}
    longest = 0
    for column in columns:
        for model in models.values():
            model.add(column, "one")
        longest = max(longest, models["dense"].added.shape[1])
    assert models["implicit"].added.shape[1] == steps
    assert models["dense"].added.shape[1] < longest < steps
    sigma = base.dense() + np.tensordot(columns, columns, axes=([0, 2], [0, 2]))
    for model in models.values():
        assert relative_error(model.form.matrix(), np.linalg.inv(sigma)) <= 1e-12
        np.testing.assert_allclose(model.covariance_columns(np.arange(genes)), sigma, rtol=1e-12)
        assert model.drift() <= 1e-12
    y = removable(22, sigma, 2)
    models["dense"].remove(y, "y")
    fresh = np.linalg.inv(sigma - y @ y.T)
    assert relative_error(models["dense"].form.matrix(), fresh) <= 1e-11
