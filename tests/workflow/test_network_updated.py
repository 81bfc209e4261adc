"""What updates the network as users configure it: pathways, new cells, and all of it together."""

from __future__ import annotations

import shutil

import numpy as np
import pandas as pd
import pytest

from lgem.network.estimators import ESTIMATORS
from tests.workflow.network_screens import (
    PANEL,
    are_inverses,
    arrays_of,
    control_expression,
    edges_of,
    estimate_of,
    log_of,
    network_config,
    partial,
    rerun,
    result,
    simulated,
)
from tests.workflow.running import differing, files, succeed

pytestmark = pytest.mark.workflow

TABLES = ("edges.parquet", "statistics.tsv", "scores.tsv", "genes.tsv")
# P1 and P2 act on the panel, by id or symbol; of P2 one gene, of P3 both are counted elsewhere.
LOADINGS = {
    "P1": {"G02": 1.0, "G03": -0.5, "G09": 0.25},
    "P2": {"ENSG06": 0.8, "G08": -0.4, "OUTSIDE 0": 0.7},
    "P3": {"OUTSIDE 0": 1.0, "OUTSIDE 1": 1.0},
}


def covariance_after(arrays):
    """The updated covariance that the file tells, in matrices."""
    added, removed = arrays["loadings"], arrays["removed"]
    return arrays["covariance"] + added @ added.T - removed @ removed.T


# --- pathways ------------------------------------------------------------------------------------


def write_pathways(path, run, factor=1.0):
    """Write the loadings, with names for what is measured and not in the panel."""
    panel = arrays_of(run)["genes"]
    outside = np.setdiff1d(simulated(1).cells.var_names, panel)
    rows = ["gene\tpathway\tloading"]
    for pathway, loadings in LOADINGS.items():
        for gene, value in loadings.items():
            name = outside[int(gene.split()[1])] if gene.startswith("OUTSIDE") else gene
            rows.append(f"{name}\t{pathway}\t{factor * value}")
    path.write_text("\n".join(rows), "utf-8")


@pytest.fixture(scope="module")
def pathways(network_run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pathways") / "run"
    shutil.copytree(network_run.folder, folder)
    write_pathways(folder / "pathways.tsv", network_run)
    write_pathways(folder / "half.tsv", network_run, 0.5)
    network_config(folder, pathways="pathways.tsv")
    return succeed(folder, *result(*TABLES, "updates.tsv", "changes.tsv", "responses_summary.tsv"))


def test_pathways_update_the_network_and_no_estimate_is_made_again(network_run, pathways):
    assert pathways.jobs == {
        **{"network": 1, "network_tables": 1, "network_scores": 1, "network_responses": 1}
    }
    arrays = arrays_of(pathways)
    row = {name: i for i, name in enumerate(arrays["genes"])}
    row |= {name: i for i, name in enumerate(arrays["symbols"])}
    expected = np.zeros((PANEL, 2))
    for column, pathway in enumerate(("P1", "P2")):
        for gene, value in LOADINGS[pathway].items():
            if gene in row:
                expected[row[gene], column] = value
    np.testing.assert_allclose(arrays["loadings"], expected)
    are_inverses(arrays["covariance"], arrays["before"])
    are_inverses(covariance_after(arrays), arrays["after"])
    assert arrays["before"].tobytes() == arrays_of(network_run)["before"].tobytes()
    told = "8 rows, 3 not in panel, 0 ambiguous, 5 used, 2 pathways, 1 pathways left out"
    assert f"pathways.tsv: {told}" in log_of(pathways, "network")
    updates = pathways.table("mine/network/updates.tsv")
    assert updates[["order", "source", "operation", "rank"]].to_numpy().tolist() == [
        [1, "pathways", "add", 2]
    ]
    assert not updates["refactorised"].any()
    assert (updates["drift"] <= updates["limit"]).all()
    rho = {when: partial(arrays[when]) for when in ("before", "after")}
    change = np.abs(rho["after"]) - np.abs(rho["before"])
    upper = np.sort(np.abs(change[np.triu_indices(PANEL, 1)]))[::-1]
    changes = pathways.table("mine/network/changes.tsv")
    assert (changes["update"] == "all updates").all()
    for end in "ab":
        ids = changes[f"gene_{end}"].str.removeprefix("ENSG").astype(int)
        assert (changes[f"symbol_{end}"].str.removeprefix("G").astype(int) == ids + 1).all()
    np.testing.assert_allclose(changes["change"].abs(), upper[: len(changes)], atol=1e-12)
    edges = edges_of(pathways)
    size = edges[["before", "after"]].abs().max(axis=1)
    assert size.is_monotonic_decreasing
    assert (edges["before"] != edges["after"]).any()
    networks = pathways.table("mine/network/responses_summary.tsv")["network"]
    assert set(networks) == {"network", "updated", "mean", "shuffled"}


def test_pathways_that_are_taken_out_again_leave_the_network_as_it_was(pathways, tmp_path):
    both = {"pathways": "pathways.tsv", "removed_pathways": "pathways.tsv"}
    run = rerun(pathways, tmp_path / "run", "updates.tsv", **both)
    assert run.jobs == {"network": 1}
    arrays = arrays_of(run)
    np.testing.assert_allclose(arrays["after"], arrays["before"], rtol=0, atol=1e-10)
    np.testing.assert_allclose(covariance_after(arrays), arrays["covariance"], atol=1e-15)
    updates = run.table("mine/network/updates.tsv")
    assert updates["operation"].tolist() == ["add", "remove"]
    assert updates["source"].tolist() == ["pathways", "removed pathways"]
    assert updates["rank"].tolist() == [2, 2]
    assert (updates["drift"] <= updates["limit"]).all()


def test_the_implicit_form_gives_the_same_network(pathways, tmp_path):
    run = rerun(
        pathways,
        tmp_path / "run",
        *(*TABLES, "responses_summary.tsv", "changes.tsv"),
        **{"pathways": "pathways.tsv", "form": "implicit"},
    )
    assert "implicit form" in log_of(run, "network_estimate")
    arrays, dense = arrays_of(run), arrays_of(pathways)
    rows, signs = arrays["after_rows"], arrays["after_signs"]
    after = np.diag(arrays["after_diagonal"]) - np.einsum("k,ki,kj->ij", signs, rows, rows)
    np.testing.assert_allclose(after, dense["after"], rtol=0, atol=1e-8)
    factor = arrays["covariance_factor"]
    covariance = np.diag(arrays["covariance_diagonal"]) + factor @ factor.T
    np.testing.assert_allclose(covariance, dense["covariance"], rtol=0, atol=1e-12)
    pd.testing.assert_frame_equal(edges_of(run), edges_of(pathways), check_exact=False, atol=1e-8)
    for name in ("statistics", "scores", "genes", "responses_summary", "changes"):
        first, second = (each.table(f"mine/network/{name}.tsv") for each in (run, pathways))
        pd.testing.assert_frame_equal(first, second, check_exact=False, rtol=1e-8, atol=1e-8)


# --- new cells -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def new_cells(network_run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("new_cells") / "run"
    return rerun(network_run, folder, "updates.tsv", new_cells="other")


@pytest.fixture(scope="module")
def shifted(new_cells, tmp_path_factory):
    folder = tmp_path_factory.mktemp("shifted") / "run"
    return rerun(new_cells, folder, "updates.tsv", new_cells="other", mean_shift=True)


def within(values, batch):
    return values - pd.DataFrame(values).groupby(batch.to_numpy()).transform("mean").to_numpy()


@pytest.mark.parametrize("name", ["new_cells", "shifted"])
def test_new_cells_give_the_covariance_of_all_cells(request, name):
    """As if the cells of both screens had been pooled by hand, from the counts of either."""
    run = request.getfixturevalue(name)
    arrays = arrays_of(run)
    genes = arrays["genes"].tolist()
    old, new = (
        control_expression(run.folder / f"{screen}.h5ad", genes) for screen in ("mine", "other")
    )
    n, m = len(old[0]), len(new[0])
    residual = within(*old)
    spread = np.sqrt((residual**2).mean(axis=0))
    parts = [residual / spread, within(*new) / spread]
    if name == "shifted":
        parts = [
            part + values.mean(axis=0) / spread
            for part, (values, _) in zip(parts, (old, new), strict=True)
        ]
    every = np.vstack(parts)
    pooled = np.cov(every, rowvar=False, ddof=0)
    S = parts[0].T @ parts[0] / n if name == "new_cells" else np.cov(parts[0].T, ddof=0)
    delta = estimate_of(run)["value"]
    np.testing.assert_allclose(arrays["covariance"], (1 - delta) * S + delta * np.eye(PANEL))
    # Shrinkage weighs as much as it did.
    expected = (n + m) / n * pooled + delta * (np.eye(PANEL) - S)
    np.testing.assert_allclose(covariance_after(arrays), expected, rtol=0, atol=1e-10)
    are_inverses(covariance_after(arrays), arrays["after"])


def test_new_cells_are_told_and_a_shift_costs_one_rank_and_no_other_job(new_cells, shifted):
    ran = {"plan_cells", "count_shard", "network_new_cells", "network"}
    assert new_cells.jobs == dict.fromkeys(ran, 1)
    assert shifted.jobs == {"network": 1}
    updates = new_cells.table("mine/network/updates.tsv")
    assert updates["source"].tolist() == ["control cells of other"]
    assert updates["rank"].tolist() == [PANEL]
    shift = arrays_of(shifted)["loadings"] @ arrays_of(shifted)["loadings"].T
    shift -= arrays_of(new_cells)["loadings"] @ arrays_of(new_cells)["loadings"].T
    assert np.linalg.matrix_rank(shift, tol=1e-8) == 1
    assert "300 new cells update the network" in log_of(new_cells, "network")
    assert succeed(new_cells.folder, *result("updates.tsv")).jobs == {}


# --- all together -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def everything(pathways, tmp_path_factory):
    """The best estimator, updated by all there is but responses, with its merged config."""
    folder = tmp_path_factory.mktemp("everything") / "run"
    shutil.copytree(pathways.folder, folder)
    network_config(
        folder,
        estimator="auto",
        pathways="pathways.tsv",
        removed_pathways="half.tsv",
        new_cells="other",
        mean_shift=True,
    )
    targets = result(*TABLES, "updates.tsv", "changes.tsv", "responses_summary.tsv")
    return succeed(folder, *targets, "results/mine/config.yaml")


def test_auto_takes_the_estimator_under_which_held_out_cells_are_likeliest(everything):
    table = everything.table("mine/network/estimators.tsv").set_index("estimator")
    assert table.index.tolist() == ["independent_genes", *ESTIMATORS]
    assert table["log_likelihood"].notna().all()
    assert table["reason"].isna().all()
    assert table.loc["independent_genes", "log_likelihood"] == pytest.approx(-0.5, abs=0.05)
    assert (table.loc[list(ESTIMATORS), "difference"] > 0).all()
    chosen = table.index[table["choice"].notna()]
    assert chosen.tolist() == table.index[table["value"].notna()].tolist()
    better = table[table["gain"] > 2 * table["gain_se"]].drop("independent_genes", errors="ignore")
    expected = better["gain"].idxmax() if len(better) else "ledoit_wolf"
    assert chosen.tolist() == [expected]
    assert str(estimate_of(everything)["estimator"]) == expected
    assert (everything.table("mine/network/scores.tsv")["estimator"] == expected).all()


def test_all_updates_together_are_certified_in_their_order(everything):
    updates = everything.table("mine/network/updates.tsv")
    assert updates["source"].tolist() == [
        *("control cells of other", "pathways", "removed pathways")
    ]
    assert updates["operation"].tolist() == ["add", "add", "remove"]
    assert updates["order"].tolist() == [1, 2, 3]
    assert (updates["drift"] <= updates["limit"]).all()
    arrays = arrays_of(everything)
    np.testing.assert_allclose(arrays["removed"], 0.5 * arrays["loadings"][:, -2:])
    are_inverses(covariance_after(arrays), arrays["after"])


def test_the_merged_config_repeats_the_network_on_one_core_byte_by_byte(everything, tmp_path):
    for name in ("mine.h5ad", "other.h5ad", "reference.tsv", "pathways.tsv", "half.tsv"):
        shutil.copy(everything.folder / name, tmp_path)
    place = everything.folder / "results/mine"
    targets = result(*TABLES, "updates.tsv", "changes.tsv", "responses_summary.tsv")
    succeed(tmp_path, *targets, "--configfile", str(place / "config.yaml"), cores=1)
    first, second = (files(folder / "network") for folder in (place, tmp_path / "results/mine"))
    assert len(second) > 12
    assert differing(first, second) == []
