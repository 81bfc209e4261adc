"""Held-out values change no prediction by one bit."""

from __future__ import annotations

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from tests.workflow.running import SHORT, succeed, write_config
from tests.workflow.screens import CELLS, CONTROL, GENES, cells_of, profiles_of

pytestmark = pytest.mark.workflow

SINGLES = GENES[:7]
ASKED = (*SINGLES, "GENE1+GENE3", "GENE2+GENE4", "GENE3+GENE4")
HELD_OUT = ("GENE1", "GENE2", "GENE1+GENE3")
# A combination with a held-out gene tells of it, and leaves training too.
SCRAMBLED = (*HELD_OUT, "GENE2+GENE4")
VALUES = ("measured", "scrambled")
# That no other model leaks is tested without Snakemake: tests/unit/test_folds.py.
MODELS = {
    "cells": ("lgem", "paper", "mean_on_target", "lgem_random_G", "lmf", "unadjusted"),
    "profiles": ("lgem", "paper", "lmf", "unadjusted"),
}
# What is made from samples stays on, so that there is something to leak.
FIXED = {"dimensions": 2, "penalty": 0.1, "mean_weight": 0.5}
FITTED = [
    {"name": "lgem"},
    {"name": "paper", "preset": "paper"},
    {"name": "lmf", "gene_embedding": "lmf", **FIXED},
    {"name": "unadjusted", "gene_embedding": "pca_unadjusted", **FIXED},
]
PREDICTIONS = [(kind, model) for kind, models in MODELS.items() for model in models]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Predictions from profiles and from cells, as measured and with held-out values scrambled."""
    folder = tmp_path_factory.mktemp("leak")
    rng = np.random.default_rng(5)
    cells = cells_of(ASKED)
    table, metadata = profiles_of(ASKED)
    metadata.to_csv(folder / "metadata.tsv", sep="\t")
    cells.write_h5ad(folder / "cells_measured.h5ad")
    table.to_csv(folder / "profiles_measured.tsv", sep="\t")

    counts = cells.X.toarray()
    rows = cells.obs["gene"].isin(SCRAMBLED).to_numpy()
    counts[rows] = rng.permuted(counts[rows] + rng.poisson(3, (rows.sum(), len(GENES))), axis=1)
    cells.X = sparse.csr_matrix(counts)
    rows = metadata["gene"].isin(SCRAMBLED).to_numpy()
    table[rows] = rng.normal(10, 5, (rows.sum(), len(GENES)))
    cells.write_h5ad(folder / "cells_scrambled.h5ad")
    table.to_csv(folder / "profiles_scrambled.tsv", sep="\t")

    sets = [f"{name}\t{'test' if name in HELD_OUT else 'train'}" for name in ASKED]
    lines = ["perturbation\tset", f"{CONTROL}\ttrain", *sets]
    (folder / "splits.tsv").write_text("\n".join(lines), "utf-8")
    datasets = {f"cells_{of}": {**CELLS, "path": f"cells_{of}.h5ad"} for of in VALUES} | {
        f"profiles_{of}": {
            **CELLS,
            "path": f"profiles_{of}.tsv",
            "kind": "profiles",
            "metadata": "metadata.tsv",
        }
        for of in VALUES
    }
    splits = {"scheme": "file", "file": "splits.tsv"}
    write_config(
        folder,
        dataset=list(datasets),
        datasets=datasets,
        splits=splits,
        models=FITTED,
        evaluation={**SHORT["evaluation"], "interval": 0.6},  # for which few residuals do
    )
    wanted = [
        f"results/{kind}_{of}/predictions/{model}.h5ad"
        for kind, model in PREDICTIONS
        for of in VALUES
    ]
    succeed(folder, *wanted)
    return folder


@pytest.mark.parametrize(("kind", "model"), PREDICTIONS)
def test_scrambled_held_out_values_change_no_prediction_and_no_interval(folder, kind, model):
    true, scrambled = (
        anndata.read_h5ad(folder / "results" / f"{kind}_{of}" / "predictions" / f"{model}.h5ad")
        for of in VALUES
    )
    assert sorted(true.obs["perturbation"]) == sorted(HELD_OUT)
    assert true.obs.equals(scrambled.obs)
    assert true.X.tobytes() == scrambled.X.tobytes()
    for bound in ("lower", "upper"):
        assert np.isfinite(true.layers[bound]).all()
        assert true.layers[bound].tobytes() == scrambled.layers[bound].tobytes()
    assert (true.obs["status"] == "predicted").all()
    assert np.isfinite(true.X).all()
    changed = np.abs(true.layers["observed"] - scrambled.layers["observed"]).max(axis=1)
    assert (changed > 0.1).all()


@pytest.mark.parametrize("kind", ["cells", "profiles"])
def test_the_batches_were_adjusted_for_and_combinations_of_held_out_genes_left_training(
    folder, kind
):
    place = folder / "results" / f"{kind}_measured"
    assert list(anndata.read_h5ad(place / "effects.h5ad", backed="r").uns["factors"]) == ["batch"]
    splits = pd.read_csv(place / "splits.tsv", sep="\t")
    assert set(splits.loc[splits["set"] == "excluded", "perturbation"]) == {"GENE2+GENE4"}
