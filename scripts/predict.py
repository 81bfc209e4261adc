"""Predict the held-out perturbations of every fold, with intervals."""

from pathlib import Path
from typing import TYPE_CHECKING

import anndata

from lgem.files import read_arrays, read_json, read_table
from lgem.h5ad import write_h5ad
from lgem.prediction.folds import Experiment, fold_name, folds, predictions_data
from lgem.prediction.model import restore_predictor
from lgem.provenance import provenance
from scripts.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake) as log:
    effects = anndata.read_h5ad(snakemake.input.effects)
    pseudobulk = anndata.read_h5ad(snakemake.input.pseudobulk)
    experiment = Experiment.of(pseudobulk, list(effects.uns["factors"]), snakemake.params.screen)
    models = Path(snakemake.input.models)
    fitted = (
        (fold, restore_predictor(content["kind"], arrays), content["training"])
        for fold in folds(read_table(snakemake.input.splits))
        for stem in [models / fold_name(fold)]
        for content in [read_json(stem.with_suffix(".json"))]
        for arrays in [read_arrays(stem.with_suffix(".npz"))]
    )
    data = predictions_data(experiment, effects, fitted, snakemake.params.level)
    write_h5ad(data, snakemake.output[0], provenance(**snakemake.params.origin))
    counts = data.obs["status"].value_counts()
    log.info("%s", ", ".join(f"{count} {status}" for status, count in counts.items()))
