"""Tables about the screen itself: linear systems, differential expression, mixed forms."""

from __future__ import annotations

import json
import shutil

import anndata
import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml

from lgem.config import CONTROLS
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
