"""The network's panel and its cells: chosen by rule, in an order of their own."""

import anndata
import numpy as np
import pandas as pd
import pytest
from count_files import ENTRY, TARGET, count, make_screen
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from lgem.screen.io import network_expression, pseudobulk_data
from lgem.screen.network_cells import panel_of
from lgem.screen.panel import choose_panel, in_fixed_order, within_variance

variances = st.lists(st.sampled_from([0.0, 0.5, 1.0, 2.0]), min_size=1, max_size=12).map(np.array)


@pytest.mark.parametrize(
    ("size", "expected"),
    [(1, [1]), (2, [1, 4]), (3, [0, 1, 4]), (4, [0, 1, 3, 4]), (9, [0, 1, 3, 4])],
)
def test_targets_come_first_then_the_most_variable_genes(size, expected):
    variance = np.array([9.0, 0.1, 0.0, 5.0, 0.2])
    found = choose_panel(variance, [4, 1, 2] if size > 1 else [1], size)
    np.testing.assert_array_equal(found, expected)


@given(variances, st.data(), st.integers(1, 12))
def test_a_panel_is_sorted_varies_and_leaves_out_nothing_better(variance, data, size):
    targets = data.draw(st.sets(st.integers(0, len(variance) - 1)))
    found = choose_panel(variance, targets, size)
    assert list(found) == sorted(set(found.tolist()))
    assert len(found) == min(size, np.sum(variance > 0))
    assert (variance[found] > 0).all()

    def rank(row):
        return (row not in targets, -variance[row], row)

    left = set(np.flatnonzero(variance > 0)) - set(found)
    assert all(rank(inside) < rank(outside) for inside in found for outside in left)


@given(variances, st.data(), st.integers(1, 12))
def test_a_panel_with_genes_to_leave_out_is_that_of_the_others(variance, data, size):
    genes = len(variance)
    targets = data.draw(st.sets(st.integers(0, genes - 1)))
    usable = np.array(data.draw(st.lists(st.booleans(), min_size=genes, max_size=genes)), bool)
    rest = np.flatnonzero(usable)
    among = [int(np.searchsorted(rest, row)) for row in targets if usable[row]]
    np.testing.assert_array_equal(
        choose_panel(variance, targets, size, usable),
        rest[choose_panel(variance[rest], among, size)],
    )
    np.testing.assert_array_equal(
        choose_panel(variance, targets, size, np.ones(genes, bool)),
        choose_panel(variance, targets, size),
    )


def test_variance_within_groups_ignores_what_lies_between_them():
    rng = np.random.default_rng(0)
    parts = [rng.normal(shift, 1, (n, 3)) for shift, n in [(0, 5), (50, 9), (-20, 1)]]
    variance = np.array([p.var(axis=0, ddof=1) if len(p) > 1 else np.zeros(3) for p in parts])
    centred = np.vstack([part - part.mean(axis=0) for part in parts])
    np.testing.assert_allclose(
        within_variance(variance, np.array([5, 9, 1])), (centred**2).sum(axis=0) / 12
    )
    np.testing.assert_array_equal(within_variance(variance[2:], np.array([1])), [0, 0, 0])


def test_the_panel_of_a_screen_is_chosen_by_its_control_cells(tmp_path):
    screen = make_screen(cells=300, genes=10)
    screen.var_names = ["A", *screen.var_names[1:]]  # B is not measured
    counts = screen.X.toarray()
    wild = (screen.obs["gene"] == "A").to_numpy()
    counts[:, 5] = np.where(wild, 900 * np.arange(300) % 7, 0)  # varies, but not in control
    screen.X = sparse.csr_matrix(counts)
    screen.write_h5ad(tmp_path / "a.h5ad")
    cells, groups, genes, sums, [control] = count([tmp_path / "a.h5ad"], ENTRY)
    data = pseudobulk_data(sums, groups, genes.set_index("gene"), counts=True)
    size = control.obs["size_factor"].to_numpy(dtype=float)[:, None]
    log = np.log1p(TARGET * control.X.toarray() / np.maximum(size, 1))
    frame = pd.DataFrame(log).groupby(control.obs["batch"].to_numpy())
    within = frame.var().mul(frame.size() - 1, axis=0).sum() / (len(log) - frame.ngroups)
    best = within.drop(0).nlargest(4).index
    assert 5 not in best
    assert list(panel_of(data, 5, 0)[0]) == sorted([0, *best])
    assert 3 not in panel_of(data, 99, 0)[0]  # never detected
    assert 5 not in panel_of(data, 99, 0)[0]
    assert len(cells) == 300


def test_genes_that_few_control_cells_show_are_left_out_of_the_panel_targets_too(tmp_path):
    screen = make_screen(cells=300, genes=10)
    screen.var_names = ["A", *screen.var_names[1:]]
    counts = np.maximum(screen.X.toarray(), 1)
    control = np.flatnonzero(screen.obs["gene"] == "NT")
    counts[control, 0] = counts[control, 4] = counts[control, 6] = 0
    counts[control[:2], 0], counts[control[:3], 4], counts[control[:4], 6] = 900, 900, 1
    screen.X = sparse.csr_matrix(counts)
    screen.write_h5ad(tmp_path / "a.h5ad")
    _, groups, genes, sums, _ = count([tmp_path / "a.h5ad"], ENTRY)
    data = pseudobulk_data(sums, groups, genes.set_index("gene"), counts=True)
    n = len(control)
    everything = set(range(10))
    for share, left_out in [
        (0, set()), (2 / n, set()), (2.5 / n, {0}), (3 / n, {0}), (3.5 / n, {0, 4}),
        (4.5 / n, {0, 4, 6}), (0.9, {0, 4, 6}),
    ]:  # fmt: skip
        assert set(panel_of(data, 99, share)[0]) == everything - left_out
    assert 0 in panel_of(data, 1, 2 / n)[0]  # a target comes first
    assert 0 not in panel_of(data, 5, 0.1)[0]  # though hardly seen it varies most


def control_cells():
    rng = np.random.default_rng(0)
    obs = pd.DataFrame(
        {"batch": rng.choice(["10", "9"], 30), "size_factor": rng.integers(10, 99, 30) * 1.0},
        index=[f"c{number % 25}" for number in range(30)],  # barcodes may repeat between lanes
    )
    return anndata.AnnData(X=rng.poisson(2, (30, 4)).astype(np.int32), obs=obs)


@pytest.mark.filterwarnings("ignore:Observation names are not unique")
@given(order=st.permutations(range(30)))
def test_the_order_of_shards_and_cells_leaves_no_trace(order):
    cells = control_cells()
    one, other = in_fixed_order(cells), in_fixed_order(cells[order].copy())
    pd.testing.assert_frame_equal(one.obs, other.obs)
    np.testing.assert_array_equal(one.X, other.X)
    keys = list(zip(one.obs["batch"], one.obs_names, strict=True))
    assert keys == sorted(keys)


@pytest.mark.filterwarnings("ignore:Observation names are not unique")
def test_the_network_sees_log_normalised_counts_and_profiles_as_they_are():
    cells = in_fixed_order(control_cells())
    cells.uns["target_sum"] = TARGET
    size = cells.obs["size_factor"].to_numpy()[:, None]
    np.testing.assert_allclose(network_expression(cells), np.log1p(TARGET * cells.X / size))
    profiles = anndata.AnnData(X=np.array([[1.5, -2.0], [0.0, 3.0]]))
    np.testing.assert_array_equal(network_expression(profiles), profiles.X)
