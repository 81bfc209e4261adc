"""Config that does not suit the data ends the run in words; what is merely odd runs through."""

from __future__ import annotations

import json

import anndata
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml
from scipy import sparse

from lgem.config import BASELINES, CONTROLS
from tests.workflow.broken_screens import PROFILES, cells
from tests.workflow.running import ended_in_words, files, snakemake, succeed, write_config
from tests.workflow.screens import CELLS, GENES, PERTURBATIONS, cells_of, profiles_of

pytestmark = pytest.mark.workflow

# --- config that does not suit the data ----------------------------------------------------------


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """A sound screen, with its effects estimated."""
    folder = tmp_path_factory.mktemp("sound")
    cells()(folder)
    datasets = {"sound": {**CELLS, "path": "screen.h5ad"}}
    write_config(folder, dataset="sound", datasets=datasets)
    succeed(folder, "results/sound/splits.tsv", "--config", "splits={scheme: leave_one_out}")
    return folder


MISFITS = {
    "too_many_folds": (
        {"splits": {"folds": 5}},
        None,
        ["splits.folds: found 5 folds for 4 perturbations; expected at most 4"],
    ),
    "unknown_perturbation": (
        {"splits": {"scheme": "file", "file": "splits.tsv"}},
        "perturbation\tset\nGENE1\ttrain\nGENE22\ttest\n",
        ["splits.tsv: perturbation: found 'GENE22'; expected a usable perturbation", "'GENE2'?"],
    ),
    "unknown_set": (
        {"splits": {"scheme": "file", "file": "splits.tsv"}},
        "perturbation\tset\nGENE1\ttrain\nGENE2\ttesting\n",
        ["splits.tsv: set: found 'testing'; expected train or test; did you mean 'test'?"],
    ),
    "no_column": (
        {"splits": {"scheme": "file", "file": "splits.tsv"}},
        "perturbations\tset\nGENE1\ttrain\nGENE2\ttest\n",
        ["splits.tsv: column 'perturbation': found no such column", "mean 'perturbations'?"],
    ),
    "no_rows": (
        {"splits": {"scheme": "file", "file": "splits.tsv"}},
        "perturbation\tset\n",
        ["splits.tsv: found no rows; expected a row per perturbation: its name, train or test"],
    ),
    "too_many_dimensions": (
        {
            "splits": {"scheme": "leave_one_out"},
            "models": [{"name": "paper", "preset": "paper", "dimensions": 5}],
        },
        None,
        ["models: paper: dimensions: found 5; expected at most 4 (12 genes, 3 training pert"],
    ),
    "no_combinations": (
        {"splits": {"scheme": "doubles"}},
        None,
        [
            "splits.scheme: found doubles, but no combination among 4 usable perturbations; ",
            "expected kfold or leave_one_out; or a dataset's combination_separator",
        ],
    ),
}


@pytest.mark.parametrize("case", MISFITS)
def test_config_that_does_not_suit_the_data_ends_the_run(sound, case):
    sections, splits, told = MISFITS[case]
    if splits is not None:
        (sound / "splits.tsv").write_text(splits, "utf-8")
    config = yaml.safe_load((sound / "config.yaml").read_text("utf-8"))
    asked = {key: config[key] for key in ("dataset", "datasets")}
    write_config(sound, **asked, **sections)
    run = snakemake(sound, "results/sound/predictions/paper.h5ad")
    ended_in_words(run)
    assert len(run.errors) == 1
    for words in told:
        assert words in run.errors[0]
    assert not {"plan_cells", "pseudobulk", "effects"} & run.jobs.keys()
    left = files(sound / "results" / "sound")
    assert not [name for name in left if name.startswith(("models/paper", "predictions"))]


# --- odd, but no error ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    folder = tmp_path_factory.mktemp("odd")
    screen = cells_of((*PERTURBATIONS, "GENE7"))
    lone = np.flatnonzero(screen.obs["gene"] == "GENE7")
    screen = screen[np.setdiff1d(np.arange(screen.n_obs), lone[1:])].copy()
    dense = screen.X.toarray()
    dense[0] = dense[45] = 0  # a control cell and a perturbed one without a single count
    dense[:, 8] = 0
    screen.X = sparse.csr_matrix(dense)
    screen.write_h5ad(folder / "odd.h5ad")
    names = [f"UNSEEN{number}" for number in range(1, 6)]
    table, metadata = profiles_of(names)
    table.to_csv(folder / "unmeasured.tsv", sep="\t")
    metadata.to_csv(folder / "metadata.tsv", sep="\t")
    part_of_a_screen(folder / "part.h5ad")
    datasets = {
        "odd": {**CELLS, "path": "odd.h5ad"},
        "unmeasured": {**PROFILES, "path": "unmeasured.tsv"},
        "part": {
            **CELLS,
            **{"path": "part.h5ad", "keep": {"day": "1"}, "gene_symbols": "symbol"},
        },
        "one_lane": {**CELLS, "path": "odd.h5ad", "batch": None},
        "bulk": {"kind": "profiles", "path": "unmeasured.tsv"},
    }
    write_config(folder, dataset=list(datasets), datasets=datasets, pseudobulk={"min_cells": 1})
    targets = [
        *("odd/metrics.tsv", "odd/network/statistics.tsv", "unmeasured/metrics.tsv"),
        *("part/predictions/additive.h5ad", "part/network/statistics.tsv", "part/design.tsv"),
        *("one_lane/mixed_forms/model.json", "bulk/design.tsv"),
    ]
    return succeed(folder, *(f"results/{target}" for target in targets))


def part_of_a_screen(path):
    """A screen that keeps nothing of GENE2, measures GENE3 apart, and lacks one cell's day."""
    screen = cells_of(GENES[:7])
    screen.obs["day"] = np.where(screen.obs["gene"] == "GENE2", 2.0, 1.0)
    screen.obs.loc["cell_39", "day"] = np.nan  # a control cell; the column is floating point
    screen.obs.loc[screen.obs["gene"] == "GENE3", "lane"] = "lane_9"
    screen.var["symbol"] = screen.var_names
    screen.var_names = [f"ENSG{row:02}" for row in range(len(GENES))]
    screen.write_h5ad(path)


def test_every_perturbation_that_is_not_kept_has_its_reason(odd):
    qc = odd.table("part/qc.tsv").set_index("perturbation")
    kept = ["GENE1", "GENE4", "GENE5", "GENE6", "GENE7"]
    unconnected = "not connected with control through batch"
    assert qc["status"].to_dict() == {
        **dict.fromkeys(kept, "kept"),
        **{"GENE2": "left_out", "GENE3": "not_estimable"},
    }
    assert qc["reason"].dropna().to_dict() == {
        "GENE2": "12 cells, all removed by keep",
        "GENE3": unconnected,
    }
    assert qc["n_cells"].to_dict() == {
        **dict.fromkeys([*kept, "GENE3"], 12),
        "GENE2": 0,
    }
    assert qc["n_guides"].isna().all()
    content = json.loads((odd.folder / "results/part/qc.json").read_text("utf-8"))
    assert content["cells_removed_by_keep"] == 13
    assert content["cells_without_perturbation"] == 0
    assert content["control_cells"] == 39
    assert content["perturbations_left_out"] == qc["reason"].dropna().to_dict()
    effects = anndata.read_h5ad(odd.folder / "results/part/effects.h5ad")
    left_out = effects.obs.loc[effects.obs["status"] == "left_out", "reason"]
    assert left_out.to_dict() == qc["reason"].dropna().to_dict()
    first = odd.table("part/design.tsv").loc[0]
    assert first["explanation"] == (
        f"5 effects estimated, adjusted for batch; 1 left out, {unconnected}: GENE3; "
        "the design asked for has 9 columns of rank 8"
    )
    # What was solved is sound; what was asked for is not, and says how to mend it.
    assert (first["system"], first["verdict"]) == ("effects", "unique")
    assert first["columns"] == first["rank"] == 1 + 5 + 1
    assert first["aliased"] == "GENE3 = lane_9"
    assert first["cause"] == "confounded batch"
    assert first["remedy"].startswith(
        "put control cells into lane_9, or GENE3 cells into a batch with control; or adjust_batch:"
    )
    log = (odd.folder / "logs/part/effects.log").read_text("utf-8")
    assert first["remedy"] in log
    held_out = anndata.read_h5ad(odd.folder / "results/part/predictions/additive.h5ad").obs
    assert sorted(held_out["perturbation"]) == kept


def test_a_screen_without_batches_has_no_random_part_and_says_so(odd):
    codes = odd.table("one_lane/mixed_forms/codes.tsv")
    random = [column for column in codes if column.startswith("H")]
    assert random
    assert (codes[random] == 0).all(axis=None)
    assert (codes["K1"] != 0).any()
    assert set(codes["batch"]) == {"all"}
    shares = odd.table("one_lane/mixed_forms/variance.tsv").groupby("part")["share"]
    assert shares.max()["random"] == shares.min()["overlap"] == 0
    told = json.loads((odd.folder / "results/one_lane/mixed_forms/model.json").read_text("utf-8"))
    assert told["random_part"] is False
    log = (odd.folder / "logs/one_lane/mixed_forms.log").read_text("utf-8")
    assert "there is no random part, H is 0" in log


def test_profiles_without_perturbations_meet_the_systems_of_the_network_alone(odd):
    design = odd.table("bulk/design.tsv")
    assert design["system"].tolist() == ["covariance", "covariance: updated"]
    assert (design["verdict"] == "unique").all()
    values = odd.table("bulk/singular_values.tsv")
    assert values["system"].value_counts().to_dict() == dict.fromkeys(design["system"], len(GENES))
    assert not (odd.folder / "results/bulk/mixed_forms").exists()


def test_edges_of_genes_with_symbols_show_both(odd):
    place = odd.folder / "results" / "part" / "network"
    symbol_of = {f"ENSG{row:02}": gene for row, gene in enumerate(GENES)}
    tables = {
        "edges": pq.read_table(place / "edges.parquet").to_pandas(),
        "strongest": odd.table("part/network/strongest.tsv"),
        "changes": odd.table("part/network/changes.tsv"),
    }
    # No response changes anything but its target here, and nothing is changed by them.
    assert [name for name, table in tables.items() if table.empty] == ["changes"]
    for table in tables.values():
        for end in "ab":
            assert table[f"symbol_{end}"].tolist() == [symbol_of[g] for g in table[f"gene_{end}"]]
    assert "symbol_a" not in odd.table("odd/network/strongest.tsv")
    pd.testing.assert_frame_equal(tables["strongest"], tables["edges"].head(100))


@pytest.mark.parametrize(("name", "warnings"), [("odd", 1), ("part", 0)])
def test_a_network_that_is_nothing_but_shrinkage_is_warned_of(odd, name, warnings):
    statistics = odd.table(f"{name}/network/statistics.tsv").set_index("metric")
    log = (odd.folder / "logs" / name / "network_estimate.log").read_text("utf-8")
    assert (statistics.loc["shrinkage", "before"] > 0.99) == bool(warnings)
    text = "shrinkage near 1: too few cells to tell partial correlations from none"
    assert log.count(text) == warnings


def test_empty_cells_are_counted_and_kept(odd):
    content = json.loads((odd.folder / "results/odd/qc.json").read_text("utf-8"))
    assert content["empty_control_cells"] == 1
    assert content["cells"] == 40 + 4 * 12 + 1
    assert content["control_cells"] == 40


def test_a_gene_of_zeros_has_no_effect_and_no_place_in_the_network(odd):
    effects = anndata.read_h5ad(odd.folder / "results/odd/effects.h5ad")
    assert (effects[:, "GENE9"].X == 0).all()
    assert np.isfinite(effects.X).all()
    statistics = odd.table("odd/network/statistics.tsv").set_index("metric")
    assert statistics.loc["genes", "before"] == len(GENES) - 1


def test_a_perturbation_with_one_cell_is_predicted_and_scored(odd):
    qc = odd.table("odd/qc.tsv").set_index("perturbation")
    assert qc.loc["GENE7", ["n_cells", "status"]].tolist() == [1, "kept"]
    metrics = odd.table("odd/metrics.tsv")
    l2 = metrics[(metrics["perturbation"] == "GENE7") & (metrics["metric"] == "l2")]
    values = l2.set_index("model")["value"]
    without = {"additive", "additive_on_target", "technical_duplicate"}  # no pair, no two halves
    assert set(values.index) == {"lgem", "paper", *BASELINES, *CONTROLS, "technical_duplicate"}
    assert set(values.index[values.isna()]) == without
    assert np.isfinite(values.dropna()).all()
    pseudobulk = anndata.read_h5ad(odd.folder / "results/odd/pseudobulk.h5ad")
    alone = (pseudobulk.obs["perturbation"] == "GENE7").to_numpy()
    assert (pseudobulk.layers["variance"][alone] == 0).all()


def test_where_no_target_is_measured_the_mean_is_all_there_is_and_the_result_says_so(odd):
    metrics = odd.table("unmeasured/metrics.tsv")
    names = {f"UNSEEN{number}" for number in range(1, 6)}
    paper = metrics[metrics["model"] == "paper"]
    assert set(paper["status"]) == {"not_embeddable"}
    assert paper["reason"].str.startswith("target not measured: UNSEEN").all()
    assert paper["value"].isna().all()
    l2 = metrics[(metrics["metric"] == "l2") & (metrics["gene_set"] == "top")]
    for model in ("lgem", "mean", "no_change"):
        values = l2[l2["model"] == model]
        assert set(values["perturbation"]) == names
        assert np.isfinite(values["value"]).all()
    assert set(metrics.loc[metrics["model"] == "lgem", "status"]) == {"mean_only"}
    assert set(metrics["model"]) == {"lgem", "paper", *BASELINES, *CONTROLS, "technical_duplicate"}
    sentence = (odd.folder / "results/unmeasured/headline.txt").read_text("utf-8")
    assert "paper scores 0 of these" in sentence
    assert (
        "Of 5 perturbations asked for, lgem scores 5, 5 of these by the shrunk mean alone (target "
        "not measured)."
    ) in sentence


def test_where_no_target_is_measured_nothing_specific_is_learned(odd):
    """The model is its mean: off target, the prediction is the same for all in a fold."""
    place = odd.folder / "results/unmeasured/predictions/lgem.h5ad"
    data = anndata.read_h5ad(place)
    assert data.obs["reason"].str.startswith("target not measured: UNSEEN").all()
    fitted = odd.folder / "results/unmeasured/models/lgem"
    folds = list(fitted.glob("repeat*.json"))
    assert len(folds) == 5
    for path in folds:
        content = json.loads(path.read_text("utf-8"))["fitted"]
        assert content["parts"] in ("no change", "mean")
        assert content["dimensions"] == content["embedded"] == 0
        assert content["on_target_factor"] is None
