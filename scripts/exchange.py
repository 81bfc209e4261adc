"""Write the predictions of a model, and what was observed, as a pair for cell-eval."""

from typing import TYPE_CHECKING

import anndata

from lgem.h5ad import write_h5ad
from lgem.prediction.exchange import to_exchange
from lgem.provenance import provenance
from lgem.screen.labels import CONTROL
from scripts.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake) as log:
    predictions = anndata.read_h5ad(snakemake.input[0])
    predicted, observed = to_exchange(predictions)
    made_from = provenance(**snakemake.params.origin)
    write_h5ad(predicted, snakemake.output.predicted, made_from)
    write_h5ad(observed, snakemake.output.observed, made_from)
    made = int((predicted.obs["perturbation"] != CONTROL).sum())
    shifted = int((predicted.var["shift"] != 0).sum())
    log.info("%d perturbations; %d of %d genes shifted", made, shifted, predicted.n_vars)
