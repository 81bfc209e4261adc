"""Tables of a whole run: linear systems, differential expression, mixed forms, the network."""

from __future__ import annotations

import json
import shutil

import anndata
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml

from lgem.config import CONTROLS
from tests.workflow.network_screens import partial
from tests.workflow.running import TINY, succeed, write_config

pytestmark = pytest.mark.workflow


@pytest.fixture(scope="module")
def results(whole_run):
    return whole_run.folder / "results" / "tiny"


def test_the_design_has_a_row_for_every_system_that_a_stage_has_solved(whole_run, results):
    design = whole_run.table("tiny/design.tsv")
    models = [f"LGEM: {model}" for model in ("lgem", "paper", *CONTROLS)]
    forms = [f"mixed forms: {name}" for name in ("α", "β", "u", "K", "H", "constrained")]
    screen = ["effects", "effects: training sets"]
    network = ["covariance", "covariance: updated"]
    assert design["system"].tolist() == [*screen, *models, *forms, *network]
    solved = design[design["verdict"] != "not solved"]
    assert (solved["rank"] <= solved[["rows", "columns"]].min(axis=1)).all()
    assert (solved["rank"] == solved["columns"]).tolist() == (
        solved["verdict"] == "unique"
    ).tolist()
    values = whole_run.table("tiny/singular_values.tsv").groupby("system")["singular_value"]
    assert set(values.groups) == set(solved["system"])
    full = solved[solved["verdict"] == "unique"].set_index("system")
    for name, singular in values:
        assert singular.is_monotonic_decreasing
        if name in full.index:
            condition = singular.iloc[0] / singular.iloc[-1]
            assert full.loc[name, "condition"] == pytest.approx(condition)
    effects = full.loc["effects"]
    cells = anndata.read_h5ad(results / "pseudobulk.h5ad").obs
    kept = {"control", *anndata.read_h5ad(results / "effects.h5ad").obs.query(
        "status == 'estimated'").index}  # fmt: skip
    assert effects["rows"] == cells.loc[cells["perturbation"].isin(kept), "n_cells"].sum()
    assert effects["columns"] == len(kept) + TINY["batches"] - 1


def test_differential_expression_lists_every_gene_and_shows_the_strongest(whole_run, results):
    table = pq.read_table(results / "differential_expression.parquet").to_pandas()
    effects = anndata.read_h5ad(results / "effects.h5ad")
    effects = effects[(effects.obs["status"] == "estimated").to_numpy()]
    assert len(table) == effects.n_obs * effects.n_vars
    np.testing.assert_array_equal(table["effect"].to_numpy(), effects.X.ravel())
    np.testing.assert_array_equal(
        table["q_value"].to_numpy(), np.asarray(effects.layers["q_value"]).ravel()
    )
    shown = whole_run.table("tiny/differential_expression.tsv")
    assert shown.groupby("perturbation")["rank"].max().eq(10).all()
    significant = (table["q_value"] <= 0.05).groupby(table["perturbation"]).sum()
    told = shown.groupby("perturbation")["significant"].first()
    assert told.sort_index().to_dict() == significant.sort_index().to_dict()


def test_mixed_forms_are_fitted_to_the_groups_of_cells(whole_run, results):
    place = results / "mixed_forms"
    codes = whole_run.table("tiny/mixed_forms/codes.tsv")
    groups = anndata.read_h5ad(results / "pseudobulk.h5ad").obs
    estimated = anndata.read_h5ad(results / "effects.h5ad").obs.query("status == 'estimated'")
    groups = groups[groups["perturbation"].isin(["control", *estimated.index])]
    for column in ("perturbation", "batch", "n_cells"):
        assert codes[column].tolist() == groups[column].tolist()
    arrays, told = np.load(place / "model.npz"), json.loads((place / "model.json").read_text())
    k = told["dimensions"]
    assert arrays["free_K"].shape == (len(codes), k)
    assert arrays["free_alpha"].shape == (TINY["genes"], k)
    assert arrays["free_beta"].shape == (len(arrays["fixed_features"]), k)
    assert arrays["random_features"].tolist() == ["batch = batch_1", "batch = batch_2"]
    assert told["random_part"]
    assert told["settings"]["codes"] == "constrained"
    assert told["provenance"]["dataset"] == "tiny"
    shares = whole_run.table("tiny/mixed_forms/variance.tsv").groupby(["form", "start"])["share"]
    np.testing.assert_allclose(shares.sum(), 1)


def test_settings_of_mixed_forms_rerun_them_and_what_shows_them_alone(whole_run, tmp_path):
    shutil.copytree(whole_run.folder, tmp_path / "run")
    config = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text("utf-8"))
    write_config(tmp_path / "run", **config, mixed_forms={"penalty": 0.05})
    after = succeed(tmp_path / "run", "--dry-run").jobs
    shown = {"design", "figure_mixed_forms", "figure_linear_systems", "merged_config", "report"}
    assert set(after) == {"mixed_forms", *shown}


def test_predicted_responses_update_the_network_together_and_each_alone(whole_run, results):
    with np.load(results / "network" / "precision.npz") as saved:
        arrays = dict(saved)
    genes, eye = arrays["genes"].tolist(), np.eye(len(arrays["genes"]))
    after = arrays["covariance"] + arrays["loadings"] @ arrays["loadings"].T
    np.testing.assert_allclose(arrays["covariance"] @ arrays["before"], eye, atol=1e-9)
    np.testing.assert_allclose(after @ arrays["after"], eye, atol=1e-9)
    assert arrays["removed"].shape == (len(genes), 0)

    predicted = anndata.read_h5ad(results / "predictions" / "lgem.h5ad")[:, genes]
    predicted = predicted[(predicted.obs["status"] == "predicted").to_numpy()]
    control = anndata.read_h5ad(results / "effects.h5ad").var.loc[genes, "control"].to_numpy()
    responses = {}
    for name in predicted.obs["perturbation"].unique():
        mine = (predicted.obs["perturbation"] == name).to_numpy()
        response = (predicted[mine].X.mean(axis=0) - control) / arrays["scale"]
        # That a target changes is the experiment's doing.
        targets = name.split("+")
        response[[i for i, g in enumerate(genes) if {g, arrays["symbols"][i]} & {*targets}]] = 0
        if np.abs(response).max() > 1e-6:
            responses[name] = response
    assert 0 < len(responses) <= len(predicted)
    updates = whole_run.table("tiny/network/updates.tsv")
    assert updates["source"].tolist() == ["predicted responses"]
    assert updates["operation"].tolist() == ["add"]
    assert updates["rank"].tolist() == [len(responses)]
    assert (updates["drift"] <= updates["limit"]).all()

    changes = whole_run.table("tiny/network/changes.tsv")
    assert set(changes["update"]) == {"all updates", *responses}
    assert changes["update"].iloc[0] == "all updates"
    rows = pd.Index(genes)
    for name, part in changes.groupby("update", sort=False):
        assert part["rank"].tolist() == list(range(1, len(part) + 1))
        assert part["change"].abs().is_monotonic_decreasing
        covariance = after
        if name in responses:
            covariance = arrays["covariance"] + np.outer(responses[name], responses[name])
        rho = [partial(arrays["before"]), partial(np.linalg.inv(covariance))]
        a, b = (rows.get_indexer(part[f"gene_{end}"]) for end in "ab")
        np.testing.assert_allclose(part["before"], rho[0][a, b], atol=1e-9)
        np.testing.assert_allclose(part["after"], rho[1][a, b], atol=1e-9)
        change = np.abs(np.abs(rho[1]) - np.abs(rho[0]))[np.triu_indices(len(genes), 1)]
        largest = np.sort(change)[::-1][: len(part)]
        np.testing.assert_allclose(part["change"].abs(), largest, atol=1e-9)


def test_responses_are_asked_of_the_network_before_and_after_its_updates(whole_run):
    table = whole_run.table("tiny/network/responses.tsv")
    qc = whole_run.table("tiny/qc.tsv")
    assert set(table["network"]) == {"network", "updated", "mean", "shuffled"}
    assert set(table["perturbation"]) == set(qc["perturbation"])
    assert (table["value"].isna() == table["reason"].notna()).all()
    left_out = set(qc.loc[qc["status"] == "left_out", "perturbation"])
    reasons = table.groupby("perturbation")["reason"].first().dropna()
    assert set(reasons) == {"several targets", "effect not estimated"}
    assert left_out <= set(reasons.index)
    compared = whole_run.table("tiny/network/responses_comparisons.tsv")
    means = whole_run.table("tiny/network/responses_summary.tsv").set_index(["network", "metric"])
    for row in compared.itertuples():
        assert row.difference == pytest.approx(row.mean - row.mean_against)
        assert row.mean == pytest.approx(means.loc[(row.network, row.metric), "mean"])
