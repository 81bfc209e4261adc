"""Score all predictions."""

from pathlib import Path
from typing import TYPE_CHECKING

import anndata

from lgem.files import write_table, write_text
from lgem.prediction.evaluation import headline, score_models
from lgem.prediction.metrics import (
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
    predictions = {Path(path).stem: anndata.read_h5ad(path) for path in snakemake.input.predictions}
    models, baselines = snakemake.params.models, snakemake.params.baselines
    evaluation = snakemake.params.evaluation
    resampling = (evaluation["bootstrap"], evaluation["interval"], snakemake.params.seed)
    metrics = score_models(predictions, effects, evaluation["top_genes"])
    comparable = comparable_models([*models, *baselines])
    shared = shared_perturbations(per_perturbation(metrics), comparable)
    summary = summarise(metrics, shared, effects.n_obs, *resampling)
    comparisons = compare(metrics, [*models, *baselines], *resampling)
    result = headline(metrics, shared, effects.n_obs, models, baselines, *resampling)
    write_table(metrics, snakemake.output.metrics)
    write_table(summary, snakemake.output.summary)
    write_table(comparisons, snakemake.output.comparisons)
    write_text(result + "\n", snakemake.output.headline)
    log.info("%s", result)
