"""Pseudobulk: exact sums over cells that no order, block or shard can change."""

import anndata
import numpy as np
import pandas as pd
import pytest
from count_files import ENTRY, TARGET, count, make_screen
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from lgem.errors import InputError
from lgem.screen import matrices
from lgem.screen.io import group_statistics, pseudobulk_data
from lgem.screen.labels import CONTROL
from lgem.screen.pseudobulk import (
    Sums,
    log_normalise,
    merge_genes,
    moments,
    size_factors,
    terms_of,
)


@pytest.fixture(scope="module")
def screen():
    return make_screen()


def slow(counts, size, cells, groups):
    """Return mean, variance and both half means by their definitions, on dense arrays."""
    with np.errstate(invalid="ignore"):
        y = np.nan_to_num(np.log1p(TARGET * counts.astype(float) / size[:, None]))
    rows = []
    for group in range(len(groups)):
        mine = (cells["group"] == group).to_numpy()
        halves = [mine & (cells["half"] == half).to_numpy() for half in (1, 2)]
        rows.append(
            (
                y[mine].mean(axis=0),
                y[mine].var(axis=0, ddof=1) if mine.sum() > 1 else np.zeros(y.shape[1]),
                *(y[half].mean(axis=0) if half.any() else y[0] * np.nan for half in halves),
            )
        )
    return [np.array(part) for part in zip(*rows, strict=True)]


def add(sums, *cells):
    sums.add(terms_of(*cells, len(sums.counts), TARGET))


def assert_moments(found, expected):
    for name, values in zip(("mean", "variance", "half_1", "half_2"), expected, strict=True):
        np.testing.assert_allclose(getattr(found, name), values, atol=1e-9, err_msg=name)


def assert_same_bits(one, other):
    for name, values in one.arrays().items():
        np.testing.assert_array_equal(values, other.arrays()[name], err_msg=name)
        assert np.issubdtype(values.dtype, np.signedinteger)


# The formulas


def test_sums_and_moments_equal_their_definitions(screen, tmp_path):
    screen.write_h5ad(tmp_path / "a.h5ad")
    cells, groups, _, sums, _ = count([tmp_path / "a.h5ad"], ENTRY)
    counts = screen.X.toarray()
    assert_moments(moments(sums, groups), slow(counts, counts.sum(axis=1), cells, groups))
    members = np.eye(len(groups) + 1)[cells["group"]][:, : len(groups)]  # the last row: no group
    np.testing.assert_array_equal(sums.counts, members.T @ counts)
    np.testing.assert_array_equal(sums.detected, members.T @ (counts > 0))


def test_means_and_variances_equal_those_of_the_fields_tool(tmp_path):
    import scanpy as sc

    screen = make_screen(cells=400, seed=3)
    screen.write_h5ad(tmp_path / "a.h5ad")
    cells, groups, genes, sums, _ = count([tmp_path / "a.h5ad"], ENTRY)
    data = pseudobulk_data(sums, groups, genes.set_index("gene"), counts=True)
    other = screen.copy()
    sc.pp.normalize_total(other, target_sum=TARGET)
    sc.pp.log1p(other)
    other.obs["group"] = pd.Categorical(cells["group"].astype(str).to_numpy())
    found = sc.get.aggregate(other, by="group", func=["mean", "var", "sum", "count_nonzero"])
    found = found[[str(group) for group in range(len(groups))]]
    for layer, name in [("mean", "mean"), ("variance", "var"), ("sum_log", "sum")]:
        np.testing.assert_allclose(data.layers[layer], found.layers[name], rtol=2e-6, atol=1e-6)
    np.testing.assert_array_equal(data.layers["detected"], found.layers["count_nonzero"])


def test_a_mean_is_off_by_half_a_unit_of_the_fixed_point_at_most(screen, tmp_path):
    screen.write_h5ad(tmp_path / "a.h5ad")
    cells, groups, _, sums, _ = count([tmp_path / "a.h5ad"], ENTRY)
    counts = screen.X.toarray()
    mean = slow(counts, counts.sum(axis=1), cells, groups)[0]
    assert np.abs(moments(sums, groups).mean - mean).max() <= 2.0**-37 + 1e-14


def test_one_cell_has_variance_zero_and_its_second_half_is_missing():
    sums = Sums.zeros(1, 2)
    block = sparse.csr_matrix([[3.0, 0.0]])
    sums.add(
        terms_of(block, np.array([3.0]), np.array([0]), np.array([1]), len(sums.counts), TARGET)
    )
    groups = pd.DataFrame({"n_cells": [1], "n_half_1": [1], "n_half_2": [0]})
    found = moments(sums, groups)
    np.testing.assert_array_equal(found.variance, [[0, 0]])
    np.testing.assert_array_equal(found.half_1, found.mean)
    assert np.isnan(found.half_2).all()


@pytest.mark.parametrize("values", [[0, 0, 0], [7, 7, 7]])
def test_variances_are_never_negative(values):
    block = sparse.csr_matrix(np.array(values, dtype=float)[:, None])
    sums = Sums.zeros(1, 1)
    sums.add(
        terms_of(
            block, np.full(3, 13.0), np.zeros(3, int), np.array([1, 1, 2]), len(sums.counts), TARGET
        )
    )
    groups = pd.DataFrame({"n_cells": [3], "n_half_1": [2], "n_half_2": [1]})
    assert 0 <= moments(sums, groups).variance.item() < 1e-9


# Order, blocks and shards


@given(data=st.data())
@settings(deadline=None, max_examples=40)
def test_no_order_and_no_blocks_change_a_bit(data):
    screen = make_screen(cells=40, genes=6, seed=data.draw(st.integers(0, 3)))
    rng = np.random.default_rng(0)
    group, half = rng.integers(-1, 4, 40), rng.integers(1, 3, 40)
    size = np.asarray(screen.X.sum(axis=1)).ravel()
    whole = Sums.zeros(4, 6)
    add(whole, screen.X, size, group, half)
    order = np.array(data.draw(st.permutations(range(40))))
    cuts = sorted(data.draw(st.lists(st.integers(0, 40), max_size=5)))
    parts = []
    for rows in np.split(order, cuts):
        part = Sums.zeros(4, 6)
        part.add(
            terms_of(screen.X[rows], size[rows], group[rows], half[rows], len(part.counts), TARGET)
        )
        parts.append(part)
    added = parts[0]
    for part in parts[1:]:
        added = added + part
    assert_same_bits(added, whole)


@pytest.mark.parametrize(("shards", "nonzeros"), [(1, 17), (3, 17), (3, 10**6)])
@pytest.mark.parametrize("form", ["csr", "csc", "dense", "layer"])
def test_no_format_block_or_shard_changes_a_bit(
    screen, tmp_path, monkeypatch, nonzeros, shards, form
):
    screen.write_h5ad(tmp_path / "whole.h5ad")
    cells, groups, _, whole, [control] = count([tmp_path / "whole.h5ad"], ENTRY)
    parts = np.array_split(np.arange(screen.n_obs), shards)
    paths = [tmp_path / f"{shard}.h5ad" for shard in range(shards)]
    for rows, path in zip(parts, paths, strict=True):
        part = screen[rows].copy()
        if form == "layer":
            part.layers["raw"], part.X = part.X.astype(np.uint16), part.X * 0.5
        else:
            part.X = part.X.toarray() if form == "dense" else part.X.asformat(form)
        part.write_h5ad(path)
    monkeypatch.setattr(matrices.CountMatrix.blocks, "__defaults__", (nonzeros, None))
    entry = {**ENTRY, "layer": "raw" if form == "layer" else None}
    other_cells, other_groups, _, sums, controls = count(paths, entry)
    assert_same_bits(sums, whole)
    pd.testing.assert_frame_equal(other_groups, groups)
    assert other_cells["half"].tolist() == cells["half"].tolist()
    together = anndata.concat(controls)
    np.testing.assert_array_equal(together.X.toarray(), control.X.toarray())
    pd.testing.assert_frame_equal(together.obs, control.obs)


def test_control_cells_are_set_aside_with_their_raw_counts(screen, tmp_path):
    screen.write_h5ad(tmp_path / "a.h5ad")
    cells, _, _, _, [control] = count([tmp_path / "a.h5ad"], ENTRY)
    rows = (cells["perturbation"] == CONTROL).to_numpy()
    np.testing.assert_array_equal(control.X.toarray(), screen.X.toarray()[rows])
    assert list(control.obs_names) == list(screen.obs_names[rows])
    np.testing.assert_array_equal(control.obs["size_factor"], screen.X[rows].sum(axis=1).A1)
    assert list(control.obs["batch"]) == list(screen.obs["lane"][rows])


# Size factors and empty cells


def test_a_column_may_give_the_size_factors(screen, tmp_path):
    screen.write_h5ad(tmp_path / "a.h5ad")
    entry = {**ENTRY, "size_factor": "total"}
    cells, groups, _, sums, [control] = count([tmp_path / "a.h5ad"], entry)
    size = screen.obs["total"].to_numpy(dtype=float)
    assert_moments(moments(sums, groups), slow(screen.X.toarray(), size, cells, groups))
    is_control = (cells["perturbation"] == CONTROL).to_numpy()
    np.testing.assert_array_equal(control.obs["size_factor"], size[is_control])


def test_an_empty_cell_counts_as_a_cell_of_zeros_even_where_its_zeros_are_written_out():
    empty = sparse.csr_matrix(([0.0, 0.0, 4.0], [0, 1, 0], [0, 2, 3]), shape=(2, 2))
    assert empty.nnz == 3
    sums = Sums.zeros(1, 2)
    size = size_factors(empty, np.full(2, np.nan), 0, "x")
    add(sums, empty, size, np.zeros(2, int), np.array([1, 2]))
    groups = pd.DataFrame({"n_cells": [2], "n_half_1": [1], "n_half_2": [1]})
    found = moments(sums, groups)
    np.testing.assert_allclose(found.mean, [[np.log1p(TARGET) / 2, 0]], atol=1e-11)
    np.testing.assert_array_equal(found.half_1, [[0, 0]])
    np.testing.assert_array_equal(sums.detected, [[1, 0]])
    assert np.isfinite(log_normalise(empty, size, TARGET).data).all()


def test_a_total_below_the_counts_of_a_cell_is_told_with_its_row():
    block = sparse.csr_matrix([[0, 0], [1, 2]])
    np.testing.assert_array_equal(size_factors(block, np.full(2, np.nan), 0, "x"), [0, 3])
    np.testing.assert_array_equal(size_factors(block, np.array([0.0, 9.0]), 0, "x"), [0, 9])
    for total in (0.0, 2.5, 2.99):
        with pytest.raises(InputError) as error:
            size_factors(block, np.array([5.0, total]), 100, "a")
        assert str(error.value) == (
            f"a: size_factor: found {total:g} for row 102, whose counts add up to 3; expected the "
            "cell's total count, at least the sum of what is measured; or no size_factor"
        )


@pytest.mark.parametrize("total", [3.0, np.float32(3e7) / 1e7, 3.0 - 1e-9, 1e9])
def test_a_total_of_the_counts_themselves_or_more_is_taken_rounding_included(total):
    block = sparse.csr_matrix([[1, 2]])
    np.testing.assert_array_equal(size_factors(block, np.array([total]), 0, "x"), [total])


# Duplicated genes


def test_duplicates_are_summed_before_the_logarithm(screen, tmp_path):
    screen.write_h5ad(tmp_path / "a.h5ad")
    entry = {**ENTRY, "gene_symbols": "symbol", "duplicates": "sum"}
    cells, groups, genes, sums, _ = count([tmp_path / "a.h5ad"], entry)
    symbols = screen.var["symbol"].unique()
    assert genes["gene"].tolist() == list(symbols)
    dense = screen.X.toarray()
    merged = np.column_stack(
        [dense[:, (screen.var["symbol"] == name).to_numpy()].sum(axis=1) for name in symbols]
    )
    assert_moments(moments(sums, groups), slow(merged, dense.sum(axis=1), cells, groups))


def test_identifiers_are_kept_beside_symbols_that_occur_twice(screen, tmp_path):
    screen.write_h5ad(tmp_path / "a.h5ad")
    entry = {**ENTRY, "gene_symbols": "symbol", "duplicates": "keep_ids"}
    _, _, genes, sums, _ = count([tmp_path / "a.h5ad"], entry)
    assert genes["gene"].tolist() == list(screen.var_names)
    assert genes["symbol"].tolist() == screen.var["symbol"].tolist()
    assert_same_bits(sums, count([tmp_path / "a.h5ad"], ENTRY)[3])


@pytest.mark.parametrize("duplicates", ["error", "keep_ids"])
def test_gene_names_that_occur_twice_stop_the_run_unless_summed(duplicates):
    twice = pd.Index(["a", "b", "a"])
    with pytest.raises(
        InputError,
        match=r"^x: genes: found .* once: 1, such as 'a'; .* sum",
    ):
        merge_genes(twice, None, duplicates, "x")
    with pytest.raises(InputError, match="gene names that occur more than once"):
        merge_genes(twice, pd.Series(["p", "q", "r"]), duplicates, "x")
    names, matrix = merge_genes(twice, None, "sum", "x")
    assert names.tolist() == ["a", "b"]
    np.testing.assert_array_equal(np.array([[1, 2, 4]]) @ matrix, [[5, 2]])


def test_symbols_that_occur_twice_stop_the_run_unless_config_says_what_to_do():
    ids, symbols = pd.Index(["g1", "g2", "g3"]), pd.Series(["s", "t", "s"])
    with pytest.raises(InputError, match=r"symbols .* once: 1, such as 's'; .*keep_ids or sum"):
        merge_genes(ids, symbols, "error", "x")
    assert merge_genes(ids, symbols, "keep_ids", "x") == (ids, None)
    assert merge_genes(ids, pd.Series(["s", "t", "u"]), "error", "x") == (ids, None)
    assert merge_genes(ids, None, "sum", "x") == (ids, None)


def test_sums_that_are_used_up_cannot_be_used_again(screen, tmp_path):
    screen.write_h5ad(tmp_path / "a.h5ad")
    _, groups, _, sums, _ = count([tmp_path / "a.h5ad"], ENTRY)
    moments(sums, groups)
    with pytest.raises(IndexError):
        moments(sums, groups)


# Files and profiles


def test_the_pseudobulk_file_holds_the_sufficient_statistics(screen, tmp_path):
    screen.write_h5ad(tmp_path / "a.h5ad")
    _, groups, genes, sums, _ = count([tmp_path / "a.h5ad"], ENTRY)
    data = pseudobulk_data(sums, groups, genes.set_index("gene"), counts=True)
    data.write_h5ad(tmp_path / "p.h5ad")
    back = anndata.read_h5ad(tmp_path / "p.h5ad")
    assert set(back.layers) == {
        "mean", "variance", "sum", "sum_log", "detected", "half_1", "half_2",
    }  # fmt: skip
    statistics = group_statistics(back)
    pd.testing.assert_frame_equal(statistics.groups, groups)
    found = moments(count([tmp_path / "a.h5ad"], ENTRY)[3], groups)
    np.testing.assert_array_equal(statistics.mean, found.mean)
    np.testing.assert_array_equal(statistics.variance, found.variance)
    dense = screen.X.toarray()
    carried = (screen.obs["gene"] != "").to_numpy()
    np.testing.assert_array_equal(data.layers["sum"].sum(axis=0), dense[carried].sum(axis=0))


@given(data=st.data())
@settings(deadline=None, max_examples=30)
def test_profiles_are_summed_as_exactly(data):
    rng = np.random.default_rng(1)
    values = rng.normal(5, 4, (12, 3))
    group, half = rng.integers(-1, 3, 12), rng.integers(1, 3, 12)
    whole, other = Sums.zeros(3, 3), Sums.zeros(3, 3)
    whole.add_profiles(values, group, half)
    order = np.array(data.draw(st.permutations(range(12))))
    other.add_profiles(values[order], group[order], half[order])
    assert_same_bits(whole, other)
    n = np.bincount(group[group >= 0], minlength=3)
    groups = pd.DataFrame({"n_cells": n, "n_half_1": n, "n_half_2": n})
    found = moments(whole, groups)
    for row in range(3):
        mine = values[group == row]
        np.testing.assert_allclose(found.mean[row], mine.mean(axis=0), atol=1e-10)
        np.testing.assert_allclose(found.variance[row], mine.var(axis=0, ddof=1), atol=1e-8)
