"""Real screens through the workflow: to the report, to the published numbers, and to known ones."""

from __future__ import annotations

import anndata
import pandas as pd
import pytest

from tests.workflow.running import Run, succeed, write_config

pytestmark = [pytest.mark.real, pytest.mark.workflow]

SCREENS = {
    "papalexi": {
        "path": "papalexi21_thp1_eccite_299g.h5ad",
        "perturbation": "perturbation",
        "control": "control",
        "batch": "batch",
        "guide": "guide",
        "size_factor": "total_counts_all_genes",
    },
    "tapseq": {
        "path": "schraivogel20_k562_tapseq_72g.h5ad",
        "perturbation": "perturbation",
        "control": "control",
    },
}
# Measured targets whose predicted response is not their own change alone.
MOVING = {"papalexi": 5, "tapseq": 3}
ASKED, MEASURED = {"papalexi": 25, "tapseq": 14}, {"papalexi": 9, "tapseq": 13}
GENES = {"papalexi": 299, "tapseq": 72}
CONTROLS = {"papalexi": 2386, "tapseq": 7760}
DIMENSIONS = {"papalexi": 4, "tapseq": 5}


def entry(real_data, name):
    return {**SCREENS[name], "path": str(real_data / SCREENS[name]["path"])}


@pytest.fixture(scope="module")
def reports(real_data, tmp_path_factory) -> Run:
    """Both screens to the report, with nothing in the config but what their columns mean."""
    folder = tmp_path_factory.mktemp("reports")
    datasets = {name: entry(real_data, name) for name in SCREENS}
    write_config(folder, dataset=list(datasets), datasets=datasets, evaluation=None, network=None)
    return succeed(folder)


@pytest.mark.parametrize("name", SCREENS)
def test_a_real_screen_runs_to_its_report_with_only_its_columns_named(reports, name):
    assert (reports.folder / "results" / name / "report.html").stat().st_size > 1_000_000
    last = reports.output.splitlines()[-len(SCREENS) :][list(SCREENS).index(name)]
    assert last.startswith(f"{name}: ")
    assert "held-out L2" in last
    assert last.endswith(f". Report: results/{name}/report.html")

    qc = reports.table(f"{name}/qc.tsv")
    assert len(qc) == ASKED[name]
    assert qc["on_target_gene"].notna().sum() == MEASURED[name]
    controls = anndata.read_h5ad(
        reports.folder / "results" / name / "control_cells.h5ad", backed="r"
    )
    assert controls.n_obs == CONTROLS[name]
    metrics = reports.table(f"{name}/metrics.tsv")
    statuses = metrics[metrics["model"] == "paper"].groupby("perturbation")["status"].first()
    kept = (qc["status"] == "kept").sum()
    assert statuses.isin(["predicted", "not_embeddable"]).sum() == kept
    assert (statuses == "predicted").sum() == MEASURED[name]
    ours = metrics[metrics["model"] == "lgem"].groupby("perturbation")["status"].first()
    assert (ours == "predicted").sum() == MEASURED[name]
    assert (ours == "mean_only").sum() == kept - MEASURED[name]
    screen = reports.table(f"{name}/screen.tsv")
    assert len(screen) == GENES[name]
    # Neither the mean alone, where the target is not measured, nor a change of nothing but the
    # target, which is what most folds predict here, updates the network.
    rank = MOVING[name]
    assert reports.table(f"{name}/network/updates.tsv")["rank"].tolist() == [rank]
    log = (reports.folder / "logs" / name / "network.log").read_text("utf-8")
    assert f"{rank} responses update the network; {MEASURED[name] - rank} more" in log


@pytest.fixture(scope="module", params=SCREENS)
def unadjusted(request, real_data, parity, tmp_path_factory) -> tuple[str, Run, Run]:
    """One screen from its cells and from its published pseudobulk, not adjusted for batch.

    First split as the published code split it, then with one perturbation left out at a time.
    """
    name = request.param
    folder = tmp_path_factory.mktemp(name)
    train = (parity / f"{name}.train.txt").read_text("utf-8").split()
    test = list(pd.read_csv(parity / f"{name}.expected.csv", index_col=0))
    rows = [f"{gene}\ttrain" for gene in train] + [f"{gene}\ttest" for gene in test]
    (folder / "splits.tsv").write_text("\n".join(["perturbation\tset", *rows]), "utf-8")
    table = {
        "path": str(parity / f"{name}.pseudobulk.csv"),
        "kind": "profiles",
        "orientation": "genes_by_samples",
        "perturbation": "index",
        "control": "control",
    }
    config = {
        "dataset": ["cells", "table"],
        "datasets": {"cells": entry(real_data, name), "table": table},
        "pseudobulk": {"adjust_batch": False},
        "models": [{"name": "paper", "preset": "paper", "dimensions": DIMENSIONS[name]}],
    }
    write_config(folder, **config, splits={"scheme": "file", "file": "splits.tsv"})
    wanted = (f"results/{source}/predictions/paper.h5ad" for source in config["dataset"])
    succeed(folder, *wanted)
    predictions = {
        source: anndata.read_h5ad(folder / "results" / source / "predictions" / "paper.h5ad")
        for source in config["dataset"]
    }
    write_config(folder, **config, splits={"scheme": "leave_one_out"})
    return name, predictions, succeed(folder, "results/cells/summary.tsv")


@pytest.mark.parametrize(("source", "tolerance"), [("table", 1e-8), ("cells", 1e-6)])
def test_predictions_agree_with_the_published_code(unadjusted, parity, source, tolerance):
    name, predictions, _ = unadjusted
    expected = pd.read_csv(parity / f"{name}.expected.csv", index_col=0)
    data = predictions[source]
    assert data.obs["perturbation"].tolist() == sorted(expected)
    found = pd.DataFrame(data.X.T, index=data.var_names, columns=data.obs["perturbation"])
    error = (found.loc[expected.index, list(expected)].to_numpy() - expected.to_numpy()).ravel()
    assert len(error) == data.n_vars * len(expected.columns)
    assert abs(error).max() <= tolerance


KNOWN = {
    "papalexi": {"scored": (25, 0.729, 0.785), "shared": (9, 0.979, 0.940)},
    "tapseq": {"scored": (14, 1.534, 1.614)},
}


def test_baselines_score_what_others_measured(unadjusted):
    name, _, run = unadjusted
    summary = run.table("cells/summary.tsv")
    l2 = summary[(summary["gene_set"] == "top") & (summary["metric"] == "l2")]
    for which, (n, no_change, mean) in KNOWN[name].items():
        rows = l2[l2["perturbations"] == which].set_index("model")
        assert rows.loc[["no_change", "mean"], "n"].tolist() == [n, n]
        assert rows.loc["no_change", "mean"] == pytest.approx(no_change, abs=0.002)
        assert rows.loc["mean", "mean"] == pytest.approx(mean, abs=0.002)


def test_another_split_does_not_count_the_cells_again(unadjusted):
    _, _, run = unadjusted
    ran = {"splits", "fit", "predict", "technical_duplicate", "evaluate"}
    assert ran == run.jobs.keys()


def test_profiles_without_perturbations_give_a_network(real_data, tmp_path):
    folder = real_data / "dream4" / "net1"
    network = {
        "path": str(folder / "multifactorial.tsv"),
        "kind": "profiles",
        "reference_network": str(folder / "goldStandard_multifactorial.csv"),
    }
    write_config(tmp_path, dataset="dream4", datasets={"dream4": network}, network=None)
    run = succeed(tmp_path, "results/dream4/network/scores.tsv")
    ran = {"panel_profiles", "network_estimate", "network", "network_scores"}
    assert run.jobs == dict.fromkeys(ran, 1)
    scores = run.table("dream4/network/scores.tsv").set_index(["network", "metric"])
    assert scores.loc[("before", "aupr"), "value"] == pytest.approx(0.217, abs=0.005)
    assert 0.034 <= scores.loc[("before", "aupr"), "chance"] <= 0.049
