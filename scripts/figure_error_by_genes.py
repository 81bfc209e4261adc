"""Draw the error of every model against the number of genes scored."""

from pathlib import Path
from typing import TYPE_CHECKING

import anndata

from lgem.figures.gene_counts import error_by_genes as draw
from lgem.figures.style import save
from lgem.files import read_table
from lgem.prediction.gene_counts import error_by_genes, gene_grid
from lgem.prediction.summary import comparable
from lgem.provenance import provenance
from scripts.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake):
    metrics, _ = comparable(
        read_table(snakemake.input.metrics), read_table(snakemake.input.summary)
    )
    effects = anndata.read_h5ad(snakemake.input.effects)
    evaluation = snakemake.params.evaluation
    errors = error_by_genes(
        {Path(path).stem: anndata.read_h5ad(path) for path in snakemake.input.predictions},
        effects,
        gene_grid(effects.n_vars, evaluation["top_genes"]),
        set(metrics["perturbation"].astype(str)),
        evaluation["bootstrap"],
        evaluation["interval"],
        snakemake.params.seed,
    )
    figure, drawn = draw(
        errors,
        scored=evaluation["top_genes"],
        unit=snakemake.params.unit,
        interval=evaluation["interval"],
    )
    stem = Path(snakemake.output.pdf).with_suffix("")
    save(figure, drawn, stem, provenance(**snakemake.params.origin))
