"""Draw effects and network of a simulated screen against the truth behind them."""

from pathlib import Path
from typing import TYPE_CHECKING

import anndata
import pandas as pd

from lgem.figures.style import save
from lgem.figures.truth import predicted_against_truth
from lgem.files import read_arrays
from lgem.network.recall import average_precision, precision_recall
from lgem.network.reference import read_reference
from lgem.network.saved import AFTER, BEFORE, partial_from
from lgem.prediction.against_truth import with_truth
from lgem.prediction.evaluation import paired_effects
from lgem.provenance import provenance
from scripts.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake):
    first = snakemake.params.first
    predictions = {first: anndata.read_h5ad(snakemake.input.predictions)}
    effects = anndata.read_h5ad(snakemake.input.effects)
    pairs, missing = paired_effects(predictions, effects, snakemake.params.top_genes)
    pairs = with_truth(pairs, anndata.read_h5ad(snakemake.input.truth))
    arrays = read_arrays(snakemake.input.precision)
    genes = arrays["genes"].tolist()
    reference = read_reference(snakemake.input.network, genes)
    curves = {
        stage: precision_recall(partial_from(arrays, stage).matrix(), genes, reference.edges)
        for stage in (BEFORE, AFTER)
    }
    figure, drawn = predicted_against_truth(
        pairs,
        pd.concat([curve.assign(network=stage) for stage, curve in curves.items()]),
        {stage: average_precision(curve) for stage, curve in curves.items()},
        first,
        unit=snakemake.params.unit,
        missing=missing.get(first, ""),
    )
    stem = Path(snakemake.output.pdf).with_suffix("")
    save(figure, drawn, stem, provenance(**snakemake.params.origin))
