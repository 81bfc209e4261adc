"""Estimate every effect twice, in disjoint halves of the cells."""

from typing import TYPE_CHECKING

import anndata

from lgem.h5ad import write_h5ad
from lgem.provenance import provenance
from lgem.screen.duplicate import duplicate_by_context, technical_duplicate
from lgem.screen.io import ESTIMATED
from scripts.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake) as log:
    pseudobulk = anndata.read_h5ad(snakemake.input.pseudobulk)
    effects = anndata.read_h5ad(snakemake.input.effects)
    params = snakemake.params
    if params.context:
        data = duplicate_by_context(pseudobulk, effects, params.context, params.min_cells)
    else:
        data = technical_duplicate(pseudobulk, effects)
    write_h5ad(data, snakemake.output[0], provenance(**snakemake.params.origin))
    estimated = int((data.obs["status"] == ESTIMATED).sum())
    log.info("%d of %d effects estimated in both halves", estimated, data.n_obs)
