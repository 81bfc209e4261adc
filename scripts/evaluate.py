"""Score all predictions."""

from pathlib import Path
from typing import TYPE_CHECKING

import anndata

from lgem.files import write_table, write_text
from lgem.prediction.evaluation import score_models, seen_alone
from lgem.prediction.headline import headline, learned
from lgem.prediction.summary import (
    comparable_models,
    compare,
    per_perturbation,
    shared_perturbations,
    summarise,
)
from scripts.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake) as log:
    effects = anndata.read_h5ad(snakemake.input.effects)
    duplicate = anndata.read_h5ad(snakemake.input.duplicate)
    predictions = {Path(path).stem: anndata.read_h5ad(path) for path in snakemake.input.predictions}
    models, baselines = snakemake.params.models, snakemake.params.baselines
    controls, evaluation = snakemake.params.controls, snakemake.params.evaluation
    names = [*models, *baselines, *controls]
    resampling = (evaluation["bootstrap"], evaluation["interval"], snakemake.params.seed)
    metrics = score_models(predictions, effects, evaluation["top_genes"], duplicate)
    shared = shared_perturbations(per_perturbation(metrics), comparable_models(names))
    seen = seen_alone(predictions)
    summary = summarise(metrics, shared, effects.n_obs, *resampling, seen)
    comparisons = compare(metrics, names, *resampling)
    result = headline(metrics, shared, effects.n_obs, models, baselines, *resampling, controls)
    parts = list(predictions[models[0]].uns["parts"])
    result = f"{result} {learned(models[0], parts)}".strip()
    write_table(metrics, snakemake.output.metrics)
    write_table(summary, snakemake.output.summary)
    write_table(comparisons, snakemake.output.comparisons)
    write_text(result + "\n", snakemake.output.headline)
    log.info("%s", result)
