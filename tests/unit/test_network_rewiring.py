"""What one response rewires, against a precision that is inverted afresh for each."""

import numpy as np
import pandas as pd
import pytest

from lgem.network import rewiring as module
from lgem.network.dense import DensePartial, DensePrecision
from lgem.network.implicit import ImplicitPrecision
from lgem.network.precision import partial_correlations
from lgem.network.rewiring import rewired
from lgem.network.structure import LowRank
from lgem.network.updates import UpdatedPrecision

COLUMNS = ["update", "rank", "gene_a", "gene_b", "before", "after", "change"]


def low_rank(seed, genes, rank=3):
    rng = np.random.default_rng(seed)
    return LowRank(rng.uniform(0.5, 2, genes), rng.normal(size=(genes, rank)))


def called(genes):
    return [f"gene_{i:04}" for i in range(genes)]


def table_of(form, x, names, most=10):
    updated = UpdatedPrecision(form, seed=1)
    return rewired(updated, form.partial_correlations(), x, names, called(form.genes), most)


def slow(covariance, x, most):
    """One response alone: both networks by fresh inverses, and a sort of all pairs."""
    before, after = (
        partial_correlations(np.linalg.inv(matrix)) for matrix in (covariance, covariance + x @ x.T)
    )
    first, second = np.triu_indices(len(covariance), 1)
    genes = np.array(called(len(covariance)), dtype=object)
    table = pd.DataFrame(
        {
            "gene_a": genes[first],
            "gene_b": genes[second],
            "before": before[first, second],
            "after": after[first, second],
        }
    )
    table["change"] = table["after"].abs() - table["before"].abs()
    return table.loc[table["change"].abs().sort_values(ascending=False).index[:most]]


@pytest.mark.parametrize("form", [DensePrecision, ImplicitPrecision])
@pytest.mark.parametrize("genes", [2, 4, 30, 80])
def test_each_response_alone_is_an_update_of_the_control_network(form, genes):
    covariance = low_rank(1, genes)
    x = np.random.default_rng(2).normal(size=(genes, 3)) * [0.1, 1, 10]
    table = table_of(form(covariance), x, ["weak", "plain", "strong"])
    assert list(table) == COLUMNS
    for name, part in table.groupby("update", sort=False):
        column = x[:, [["weak", "plain", "strong"].index(name)]]
        expected = slow(covariance.dense(), column, 10)
        assert len(part) == min(10, genes * (genes - 1) // 2)
        assert list(part["rank"]) == list(range(1, len(part) + 1))
        for end in ("gene_a", "gene_b"):
            assert part[end].tolist() == expected[end].tolist()
        for number in ("before", "after", "change"):
            np.testing.assert_allclose(part[number], expected[number], atol=1e-10)
    assert list(table["update"].unique()) == ["weak", "plain", "strong"]
    assert {True, False} == set(table["change"] > 0) or genes < 30


def test_a_single_response_is_what_adding_it_does():
    covariance = low_rank(3, 25)
    x = np.random.default_rng(4).normal(size=(25, 1))
    updated = UpdatedPrecision(DensePrecision(covariance), seed=1)
    before = updated.form.partial_correlations()
    table = rewired(updated, before, x, ["alone"], called(25))
    updated.add(x, "alone")
    after = updated.form.partial_correlations().matrix()
    first, second = (table[end].str[-4:].astype(int) for end in ("gene_a", "gene_b"))
    np.testing.assert_allclose(table["after"], after[first, second], atol=1e-12)
    np.testing.assert_array_equal(table["before"], before.matrix()[first, second])


def test_asking_changes_neither_the_network_nor_the_loadings():
    form = DensePrecision(low_rank(5, 12))
    updated = UpdatedPrecision(form, seed=1)
    x = np.random.default_rng(6).normal(size=(12, 2))
    theta, loadings = form.matrix().copy(), x.copy()
    rho = form.partial_correlations()
    tables = [rewired(updated, rho, x, ["a", "b"], called(12)) for _ in range(2)]
    pd.testing.assert_frame_equal(*tables, check_exact=True)
    np.testing.assert_array_equal(form.matrix(), theta)
    np.testing.assert_array_equal(x, loadings)
    assert updated.added.shape == (12, 0)


def test_equal_changes_come_in_the_order_of_the_panel():
    table = table_of(DensePrecision(np.eye(6)), np.ones((6, 1)), ["all"], most=7)
    ends = list(zip(table["gene_a"].str[-1], table["gene_b"].str[-1], strict=True))
    assert ends == [*(("0", str(j)) for j in range(1, 6)), ("1", "2"), ("1", "3")]
    # (I + 11ᵀ)⁻¹ = I − 11ᵀ/7.
    np.testing.assert_allclose(table["after"], (1 / 7) / (6 / 7))


def test_a_response_of_one_gene_or_of_none_rewires_what_it_can():
    x = np.zeros((8, 2))
    x[3, 1] = 2
    assert table_of(DensePrecision(np.eye(8)), x, ["none", "one"]).empty
    covariance = np.eye(8)
    covariance[3, 5] = covariance[5, 3] = 0.5
    table = table_of(DensePrecision(covariance), x, ["none", "one"])
    # More variance of gene 3 makes what it shares with gene 5 a smaller part of it.
    assert table[["update", "rank", "gene_a", "gene_b"]].to_numpy().tolist() == [
        ["one", 1, "gene_0003", "gene_0005"]
    ]
    assert table["before"].iloc[0] == pytest.approx(0.5)
    assert table["after"].iloc[0] == pytest.approx(0.5 / np.sqrt(5))


def test_without_responses_the_table_has_its_columns():
    table = table_of(DensePrecision(np.eye(4)), np.empty((4, 0)), [])
    assert table.empty
    assert list(table) == COLUMNS


class Watched(DensePartial):
    """Remembers which blocks it was asked for."""

    def block(self, rows, columns):
        self.asked = [*getattr(self, "asked", []), np.asarray(rows)]
        return super().block(rows, columns)


def test_of_many_genes_those_that_are_moved_most_are_looked_at(monkeypatch):
    monkeypatch.setattr(module, "MOVED", 6)
    covariance = low_rank(7, 40)
    form = DensePrecision(covariance)
    x = np.random.default_rng(8).normal(size=(40, 1))
    rho = Watched(form.partial_correlations().matrix())
    table = rewired(UpdatedPrecision(form, seed=1), rho, x, ["x"], called(40), most=100)
    # How far a gene is moved: by how much its precision θ_ii falls, as a share of it.
    theta = np.linalg.inv(covariance.dense())
    fallen = np.linalg.inv(covariance.dense() + x @ x.T)
    share = 1 - np.diag(fallen) / np.diag(theta)
    moved = np.sort(np.argsort(-share)[:6])
    assert [rows.tolist() for rows in rho.asked] == [moved.tolist()]
    assert len(table) == 15
    assert (table["gene_a"] < table["gene_b"]).all()
    expected = slow(covariance.dense(), x, 780)
    among = {called(40)[i] for i in moved}
    inside = expected[expected["gene_a"].isin(among) & expected["gene_b"].isin(among)]
    assert table["gene_a"].tolist() == inside["gene_a"].tolist()
    np.testing.assert_allclose(table["change"], inside["change"], atol=1e-10)
