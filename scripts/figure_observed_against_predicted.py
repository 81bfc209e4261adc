"""Draw observed against predicted effects of held-out perturbations."""

from pathlib import Path
from typing import TYPE_CHECKING

import anndata

from lgem.figures.pairs import observed_against_predicted
from lgem.figures.style import save
from lgem.prediction.evaluation import paired_effects
from lgem.provenance import provenance
from scripts.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake):
    files = {Path(path).stem: path for path in snakemake.input.predictions}
    predictions = {name: anndata.read_h5ad(files[name]) for name in snakemake.params.models}
    effects = anndata.read_h5ad(snakemake.input.effects)
    pairs, missing = paired_effects(predictions, effects, snakemake.params.top_genes)
    figure, drawn = observed_against_predicted(pairs, unit=snakemake.params.unit, missing=missing)
    stem = Path(snakemake.output.pdf).with_suffix("")
    save(figure, drawn, stem, provenance(**snakemake.params.origin))
