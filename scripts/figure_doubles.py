"""Draw errors and effects of combinations of perturbations."""

from pathlib import Path
from typing import TYPE_CHECKING

import anndata

from lgem.figures.doubles import doubles
from lgem.figures.style import save
from lgem.files import read_table
from lgem.prediction.evaluation import paired_effects, seen_alone
from lgem.provenance import provenance
from scripts.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake):
    files = {Path(path).stem: path for path in snakemake.input.predictions}
    first = snakemake.params.first
    predictions = {name: anndata.read_h5ad(files[name]) for name in (first, "additive")}
    effects = anndata.read_h5ad(snakemake.input.effects)
    pairs, _ = paired_effects(predictions, effects, snakemake.params.top_genes)
    # What training really held, where the design of a fold could not estimate all it should.
    seen = seen_alone(predictions)
    splits = read_table(snakemake.input.splits)
    splits = splits if seen is None else seen.assign(set="test")
    figure, drawn = doubles(
        read_table(snakemake.input.metrics),
        splits,
        pairs,
        first,
        unit=snakemake.params.unit,
    )
    stem = Path(snakemake.output.pdf).with_suffix("")
    save(figure, drawn, stem, provenance(**snakemake.params.origin))
