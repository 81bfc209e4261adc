"""The public evaluation package reads the pairs of a run, and finds the scores that are ours."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
import yaml

from lgem.config import load
from lgem.layout import Layout
from lgem.prediction.training import ANSWERED
from tests.conftest import lacking
from tests.workflow.running import SHORT, TINY, Run, succeed, write_config

pytestmark = pytest.mark.workflow

# Metrics that need cells are left out; the target stays among the genes of the ranks, as it does
# in ours.
EVALUATE = """
import sys
from cell_eval import MetricsEvaluator
for model in sys.argv[2:]:
    evaluator = MetricsEvaluator(
        adata_pred=f"{sys.argv[1]}/{model}_predicted.h5ad",
        adata_real=f"{sys.argv[1]}/{model}_observed.h5ad",
        pert_col="perturbation",
        control_pert="control",
        outdir=f"cell_eval/{model}",
        skip_de=True,
    )
    evaluator.compute(
        profile="anndata",
        skip_metrics=["pearson_edistance", "clustering_agreement"],
        metric_configs={"discrimination_score_l2": {"exclude_target_gene": False}},
        break_on_error=True,
    )
"""


@pytest.fixture(scope="module")
def cell_eval(tmp_path_factory) -> Path:
    """A Python that has cell-eval, in an environment of its own beside ours."""
    place = tmp_path_factory.mktemp("cell_eval_venv")
    subprocess.run([sys.executable, "-m", "venv", str(place)], check=True)
    python = place / "bin" / "python"
    # It looks into our environment for what both need, and installs the rest into its own.
    ask = "import sysconfig; print(sysconfig.get_path('purelib'))"
    own = subprocess.run([python, "-c", ask], check=True, capture_output=True, text=True).stdout
    (Path(own.strip()) / "ours.pth").write_text(sysconfig.get_path("purelib") + "\n", "utf-8")
    command = [python, "-m", "pip", "install", "--quiet", "cell-eval==0.8.2"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        lacking(f"pip cannot install cell-eval: {done.stderr.strip().splitlines()[-1]}")
    return python


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Run:
    """A run that holds out one perturbation at a time and scores all genes."""
    folder = tmp_path_factory.mktemp("exchange")
    write_config(
        folder,
        dataset="tiny",
        datasets={"tiny": {"simulate": TINY}},
        splits={"scheme": "leave_one_out"},
        evaluation={**SHORT["evaluation"], "top_genes": TINY["genes"]},
    )
    return succeed(folder, "exchange", "results/tiny/metrics.tsv")


def models(run: Run) -> list[str]:
    config = yaml.safe_load((run.folder / "config.yaml").read_text("utf-8"))
    return Layout(load(config)).models


@pytest.fixture(scope="module")
def theirs(run, cell_eval) -> dict[str, pd.DataFrame]:
    """What cell-eval says of every model: a row per perturbation, a column per metric."""
    command = [cell_eval, "-c", EVALUATE, "results/tiny/exchange", *models(run)]
    done = subprocess.run(
        command, cwd=run.folder, check=False, text=True, capture_output=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    return {
        model: pd.read_csv(
            run.folder / "cell_eval" / model / "results.csv", index_col="perturbation"
        )
        for model in models(run)
    }


def predicted_and_observed(run: Run, model: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The predictions of a run, without the pair: perturbations × genes."""
    data = anndata.read_h5ad(run.folder / f"results/tiny/predictions/{model}.h5ad")
    made = data[data.obs["status"].isin(ANSWERED).to_numpy()]
    names = made.obs["perturbation"].astype(str).to_numpy()
    return pd.DataFrame(made.X, names), pd.DataFrame(made.layers["observed"], names)


def test_every_model_has_a_pair(run):
    for model in models(run):
        pair = [
            anndata.read_h5ad(run.folder / f"results/tiny/exchange/{model}_{part}.h5ad")
            for part in ("predicted", "observed")
        ]
        assert pair[0].obs_names.equals(pair[1].obs_names)
        assert '"dataset": "tiny"' in pair[0].uns["provenance"]


def test_errors_are_those_of_the_profiles(run, theirs):
    for model, found in theirs.items():
        predicted, observed = predicted_and_observed(run, model)
        assert sorted(found.index) == sorted(predicted.index)
        difference = predicted - observed
        for metric, errors in (("mse", difference**2), ("mae", difference.abs())):
            expected = errors.mean(axis=1)[found.index]
            np.testing.assert_allclose(found[metric], expected, rtol=0, atol=1e-6)
            np.testing.assert_allclose(found[f"{metric}_delta"], expected, rtol=0, atol=1e-6)


def test_scores_that_both_define_agree(run, theirs):
    """L2² / genes is their mse; Pearson delta is theirs; ranks count from 1/n there, from 0 here.

    Retrieval is compared where a model predicts all: here, the truths of what it leaves out are
    among the candidates.
    """
    metrics = run.table("tiny/metrics.tsv")
    metrics = metrics[metrics["gene_set"] == "top"]
    compared = set()
    asked = metrics["perturbation"].nunique()
    for model, found in theirs.items():
        n = len(found)
        ranks = 1 - n * (1 - found["discrimination_score_l2"]) / (n - 1)
        same = {
            "l2": (found["mse"] * TINY["genes"]) ** 0.5,
            "pearson_delta": found["pearson_delta"],
            **({"retrieval": ranks} if n == asked else {}),
        }
        for metric, expected in same.items():
            rows = metrics[(metrics["model"] == model) & (metrics["metric"] == metric)]
            ours = rows.set_index("perturbation")["value"].reindex(found.index)
            defined = ours.notna().to_numpy()
            np.testing.assert_allclose(ours[defined], expected[defined], rtol=0, atol=1e-6)
            compared |= {metric} if defined.any() else set()
    assert compared == {"l2", "pearson_delta", "retrieval"}


def test_what_has_no_correlation_there_has_none_here(run, theirs):
    metrics = run.table("tiny/metrics.tsv")
    ours = metrics[(metrics["metric"] == "pearson_delta") & (metrics["gene_set"] == "top")]
    assert theirs["no_change"]["pearson_delta"].isna().all()
    assert ours.loc[ours["model"] == "no_change", "value"].isna().all()
