"""The estimator that describes unseen cells best: likelihoods by hand, and known truths."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import multivariate_normal

from lgem.network.choice import (
    AUTO,
    FOLDS,
    INDEPENDENT,
    SURE,
    choose_estimate,
    held_out_likelihoods,
    log_likelihood,
)
from lgem.network.covariance import standardise
from lgem.network.estimators import ESTIMATORS
from lgem.network.structure import dense

SHRINKAGE = ["ledoit_wolf", "oas", "schaefer_strimmer"]


def sampled(seed, cells, covariance):
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(cells, len(covariance))) @ np.linalg.cholesky(covariance).T
    return standardise(values, None).values


def chain(genes, strength=0.45):
    """Sparse: every gene acts on the next one alone."""
    links = np.eye(genes, k=1) + np.eye(genes, k=-1)
    return np.linalg.inv(np.eye(genes) - strength * links)


def factors(genes, count, share=0.6):
    """Dense: `count` factors carry a share of every gene's variance."""
    loadings = np.random.default_rng(0).normal(size=(genes, count))
    loadings *= np.sqrt(share) / np.linalg.norm(loadings, axis=1, keepdims=True)
    return loadings @ loadings.T + (1 - share) * np.eye(genes)


def by_hand(values, covariance):
    """Gaussian log-density per gene, without the constant."""
    genes = len(covariance)
    density = multivariate_normal(np.zeros(genes), covariance).logpdf(values)
    return density / genes + 0.5 * np.log(2 * np.pi)


@pytest.mark.parametrize("name", ESTIMATORS)
@pytest.mark.parametrize(("cells", "genes"), [(60, 8), (15, 40)])
def test_the_likelihood_of_a_cell_is_the_normal_density(name, cells, genes):
    values = sampled(1, cells, chain(genes))
    estimate = ESTIMATORS[name](values[: cells // 2])
    found = log_likelihood(values[cells // 2 :], estimate)
    expected = by_hand(values[cells // 2 :], dense(estimate.covariance))
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_every_cell_is_judged_by_estimates_that_did_not_see_it():
    values = sampled(2, 43, chain(6))
    names = ["schaefer_strimmer", "factor_model"]
    table = held_out_likelihoods(values, names, seed=5).set_index("estimator")
    assert list(table.index) == [INDEPENDENT, *names]
    parts = np.array_split(np.random.default_rng(5).permutation(43), FOLDS)
    found = {name: np.empty(43) for name in names}
    for part in parts:
        train = standardise(np.delete(values, part, axis=0), None).values
        for name in names:
            found[name][part] = by_hand(values[part], dense(ESTIMATORS[name](train).covariance))
    alone = -0.5 * (values**2).mean(axis=1)
    for name in names:
        row = table.loc[name]
        difference = found[name] - alone
        assert row["log_likelihood"] == pytest.approx(found[name].mean(), rel=1e-9)
        assert row["difference"] == pytest.approx(difference.mean(), rel=1e-9)
        assert row["se"] == pytest.approx(difference.std(ddof=1) / np.sqrt(43), rel=1e-9)
    assert table.loc[INDEPENDENT, "log_likelihood"] == pytest.approx(-0.5)
    assert table.loc[INDEPENDENT, ["difference", "se"]].tolist() == [0, 0]
    assert table["reason"].isna().all()


@pytest.mark.parametrize("seed", range(3))
def test_of_independent_genes_no_estimator_knows_more(seed):
    table = held_out_likelihoods(sampled(seed, 100, np.eye(30)), list(ESTIMATORS), seed=1)
    rest = table[table["estimator"] != INDEPENDENT]
    assert len(rest) == len(ESTIMATORS)
    assert (rest["difference"] < np.maximum(2 * rest["se"], 1e-4)).all()


@pytest.mark.parametrize("truth", [chain(15), factors(15, 2)])
def test_of_genes_that_act_together_all_estimators_know_more(truth):
    table = held_out_likelihoods(sampled(4, 120, truth), list(ESTIMATORS), seed=1)
    rest = table[table["estimator"] != INDEPENDENT]
    assert (rest["difference"] > 3 * rest["se"]).all()
    # None can know more than the truth.
    scale = np.sqrt(np.diag(truth))
    most = -0.5 * np.linalg.slogdet(truth / np.outer(scale, scale))[1] / 15
    assert (rest["difference"] < most + 3 * rest["se"]).all()


def test_where_no_edge_is_left_the_lasso_is_as_good_as_independent_genes(monkeypatch):
    lasso = ESTIMATORS["graphical_lasso"]
    monkeypatch.setitem(ESTIMATORS, "empty", lambda train: lasso(train, 0.99))
    values = sampled(5, 60, chain(20))
    assert np.count_nonzero(lasso(values, 0.99).precision) == 20
    table = held_out_likelihoods(values, ["empty"], seed=1).set_index("estimator")
    # Not worse for estimating variances that the others are given.
    assert table.loc["empty", "difference"] == pytest.approx(0, abs=1e-9)


def test_where_factors_act_the_factor_model_wins():
    estimate, table = choose_estimate(sampled(0, 400, factors(20, 2)), AUTO, "dense", seed=1)
    likelihood = table.set_index("estimator")["log_likelihood"]
    assert estimate.estimator == likelihood.idxmax() == "factor_model"
    assert likelihood["factor_model"] > likelihood[SHRINKAGE].max() + 0.005


def test_where_few_pairs_act_the_graph_of_the_lasso_wins():
    estimate, table = choose_estimate(sampled(0, 120, chain(25)), AUTO, "dense", seed=1)
    likelihood = table.set_index("estimator")["log_likelihood"]
    assert estimate.estimator == likelihood.idxmax() == "graphical_lasso"
    assert likelihood["graphical_lasso"] > likelihood[SHRINKAGE].max() + 0.03


def test_the_choice_stands_in_the_row_of_the_estimator_that_was_taken():
    values = sampled(6, 80, factors(12, 2))
    for asked in (AUTO, "oas"):
        estimate, table = choose_estimate(values, asked, "dense", seed=1)
        taken = table[table["choice"].notna()]
        assert taken["estimator"].tolist() == [estimate.estimator]
        assert taken["choice"].tolist() == [estimate.choice]
        assert table["value"].dropna().tolist() == [estimate.value]
        # It is the estimate of all cells, not of those of a fold.
        whole = ESTIMATORS[estimate.estimator](values)
        np.testing.assert_array_equal(dense(estimate.covariance), dense(whole.covariance))
    assert table["estimator"].tolist() == [INDEPENDENT, "oas"]
    assert estimate.estimator == "oas"


def test_in_the_implicit_form_the_lasso_is_not_tried():
    values = sampled(7, 100, chain(40))
    estimate, table = choose_estimate(values, AUTO, "implicit", seed=1)
    assert "graphical_lasso" not in set(table["estimator"])
    assert set(table["estimator"]) == {INDEPENDENT, *ESTIMATORS} - {"graphical_lasso"}
    assert estimate.precision is None


def test_a_comparison_is_the_same_every_time_and_of_its_seed():
    values = sampled(8, 50, chain(10))
    names = ["ledoit_wolf", "factor_model"]
    first = held_out_likelihoods(values, names, seed=1)
    pd.testing.assert_frame_equal(first, held_out_likelihoods(values, names, 1), check_exact=True)
    other = held_out_likelihoods(values, names, seed=2)
    assert not np.array_equal(first["log_likelihood"], other["log_likelihood"])


def test_an_estimator_that_cannot_be_fitted_says_why():
    values = sampled(9, 3, np.eye(6))
    names = ["schaefer_strimmer", "ledoit_wolf", "oas"]
    table = held_out_likelihoods(values, names, seed=1).set_index("estimator")
    assert "at least 3" in table.loc["schaefer_strimmer", "reason"]
    # Two centred cells mirror one another: no spread of their products, and nothing is shrunk.
    assert "without variance of its own" in table.loc["ledoit_wolf", "reason"]
    for name in names[:2]:
        assert table.loc[name, ["log_likelihood", "difference", "se"]].isna().all()
    # The others are compared all the same.
    for name in (INDEPENDENT, "oas"):
        assert np.isfinite(table.loc[name, "log_likelihood"])
        assert pd.isna(table.loc[name, "reason"])


def test_three_cells_are_an_answer_or_a_reason_from_every_estimator():
    table = held_out_likelihoods(sampled(9, 3, np.eye(6)), list(ESTIMATORS), seed=1)
    answered = np.isfinite(table["log_likelihood"])
    assert (answered == table["reason"].isna()).all()


def test_without_a_comparison_ledoit_and_wolf_stay():
    # Of the cells of a fold no gene varies: nothing is held out, and all are told why.
    values = np.kron(np.eye(2), [[1.0, 2.0]]).T - 0.5
    estimate, table = choose_estimate(values, AUTO, "dense", seed=1)
    assert estimate.estimator == "ledoit_wolf"
    assert table["log_likelihood"].notna().all() or table["reason"].notna().any()


def test_another_estimator_must_be_better_by_more_than_its_error():
    values = sampled(0, 400, factors(20, 2))
    _, table = choose_estimate(values, AUTO, "dense", seed=1)
    gains = table.set_index("estimator")[["gain", "gain_se"]]
    assert tuple(gains.loc["ledoit_wolf"]) == (0, 0)
    assert gains.loc["factor_model", "gain"] > SURE * gains.loc["factor_model", "gain_se"]
    # Independent cells: whatever is likelier by chance does not take its place.
    estimate, _ = choose_estimate(sampled(3, 60, np.eye(8)), AUTO, "dense", seed=1)
    assert estimate.estimator == "ledoit_wolf"


def test_a_gene_that_is_seen_in_one_cell_alone_breaks_no_comparison():
    values = np.random.default_rng(10).normal(size=(40, 5))
    values[:, 3] = 0
    values[7, 3] = 1
    table = held_out_likelihoods(standardise(values, None).values, list(ESTIMATORS), seed=1)
    assert np.isfinite(table["log_likelihood"]).all()
    assert table["reason"].isna().all()
